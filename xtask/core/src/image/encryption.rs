//! Who opens a data partition that is encrypted.

use super::updates::Certificate;
use crate::location::SourceLocation;

/// The TPM of the device: it opens the data to a kernel image that was signed, started by firmware with the same keys, and
/// to nothing else.
///
/// ```
/// # use bedplate_core::*;
/// let data = Data::new("persistent", Ext4).mount("/local").encrypted(Tpm);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias("TPM2", "LUKS", "cryptenroll", "sealed", "BitLocker"))]
pub struct Tpm;

impl Tpm {
    /// The TPM, or who has the private key of this certificate.
    ///
    /// A device makes a recovery key at its first start and leaves it on its EFI system partition as `recovery.cms`,
    /// encrypted to the certificate, for its owner to fetch.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # macro_rules! certificate { ($path:literal) => { Certificate::new($path, "") } }
    /// let data = Data::new("persistent", Ext4)
    ///     .mount("/local")
    ///     .encrypted(Tpm.or_recovery(certificate!("keys/recovery.pem")));
    /// ```
    #[doc(alias("recovery-key", "escrow", "cms"))]
    pub fn or_recovery(self, certificate: Certificate) -> TpmOrRecovery {
        TpmOrRecovery(certificate)
    }
}

/// The TPM, or a recovery key: see [`Tpm::or_recovery`].
#[derive(Debug, Clone)]
#[must_use = "nothing is encrypted until a partition is given this"]
pub struct TpmOrRecovery(Certificate);

/// Who opens a data partition: [`Tpm`], or [`Tpm::or_recovery`].
#[derive(Debug, Clone)]
pub struct OpenedBy(Option<Certificate>);

impl From<Tpm> for OpenedBy {
    fn from(Tpm: Tpm) -> Self {
        OpenedBy(None)
    }
}

impl From<TpmOrRecovery> for OpenedBy {
    fn from(TpmOrRecovery(certificate): TpmOrRecovery) -> Self {
        OpenedBy(Some(certificate))
    }
}

/// How a data partition is encrypted.
#[derive(Debug, Clone)]
pub(crate) struct Encryption {
    pub(crate) recovery: Option<Certificate>,
    pub(crate) at: SourceLocation,
}

impl Encryption {
    pub(crate) fn new(OpenedBy(recovery): OpenedBy, at: SourceLocation) -> Self {
        Encryption { recovery, at }
    }
}
