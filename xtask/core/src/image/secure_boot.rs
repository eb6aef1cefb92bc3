//! Secure Boot: whose programs firmware starts.

use crate::location::{At, SourceLocation};

/// Secure Boot with keys of one's own: firmware starts nothing but what they signed, and the TPM can tell it.
///
/// A device takes the keys over at its first start, when its firmware is in setup mode: a new virtual machine is, and a
/// PC once somebody has cleared the keys in its firmware's setup. From then on systemd-boot, the kernel image with its
/// command line, and with the root hash in that the whole root are what was signed. `cargo xtask keys new DIR` makes a
/// set for development, and says what each file is.
///
/// The description names what everybody may see. Private keys are given to the build (`--keys DIR`, or commands that
/// sign), or to `cargo xtask sign` on another machine.
///
/// ```
/// # use bedplate_core::*;
/// # let device = bedplate_core::rule::device();
/// let image = device.secure_boot(SecureBoot::keys("keys"));
/// assert!(image.plan().unwrap().secure_boot.unwrap().keys.ends_with("keys"));
/// ```
#[must_use = "Secure Boot does nothing until it is given to an image"]
#[derive(Debug, Clone)]
#[doc(alias(
    "SecureBootKey",
    "SecureBootCertificate",
    "SecureBootAutoEnroll",
    "SignExpectedPcr",
    "ShimBootloader"
))]
pub struct SecureBoot {
    pub(crate) directory: At<String>,
    /// The line that says so, where the key of measurements is being replaced.
    pub(crate) replaces_pcr_key: Option<SourceLocation>,
}

impl SecureBoot {
    /// The keys in this directory, beside the file that calls this:
    ///
    /// | file | what it is |
    /// |---|---|
    /// | `db.pem` | the certificate that systemd-boot and kernel images are signed by |
    /// | `PK.auth`, `KEK.auth`, `db.auth` | the firmware's variables, signed; `dbx.auth`, where there is one |
    /// | `pcr.pem` | the public key whose kernel images may open what a device has sealed |
    ///
    /// With keys of one's own alone, firmware does not run the option ROMs of graphics and network cards, which
    /// Microsoft signed: no matter in a virtual machine, and a dark screen on a PC that needs one. Their certificates
    /// are added to `db` by file: see `docs/src/how-to/trust.md`.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let secure_boot = SecureBoot::keys("keys");
    /// ```
    #[track_caller]
    pub fn keys(directory: impl Into<String>) -> Self {
        let directory = At { value: directory.into(), at: SourceLocation::caller() };
        SecureBoot { directory, replaces_pcr_key: None }
    }

    /// Takes the encrypted data away from every kernel image of the past: `pcr.pem` is a new key, and the one that it
    /// replaces is `pcr-former.pem`, beside it.
    ///
    /// This image is signed by both. It opens the data of devices by the former key, and once it has proven itself, seals
    /// them to the new one: from then on the former key opens nothing. When all devices have this version, the word and
    /// the former key go. What it means for a device that falls back is in `docs/src/how-to/trust.md`.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let secure_boot = SecureBoot::keys("keys").replaces_pcr_key();
    /// ```
    #[track_caller]
    #[doc(alias("revoke", "rotate", "tpm2-public-key"))]
    pub fn replaces_pcr_key(mut self) -> Self {
        let at = SourceLocation::caller();
        self.replaces_pcr_key.get_or_insert(at);
        self
    }
}
