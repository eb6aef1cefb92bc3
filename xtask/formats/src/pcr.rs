//! Measured boot: the values of a TPM's PCRs after an image has started, predicted without a machine.
//!
//! TCG PC Client Platform Firmware Profile, sections 2.3.4 and 3.3.4, and what systemd-boot and systemd's stub extend,
//! <https://uapi-group.org/specifications/specs/linux_tpm_pcr_registry/>. A PCR begins as zeros and is extended
//! with the digest of what is about to be used. PCRs are named as systemd names them.

use std::fmt;
use std::io;

use sha2::{Digest as _, Sha256, Sha384};

use crate::authenticode::AuthenticodeError;
use crate::digest::hex;
use crate::pe::PeError;

pub use self::boot_loader::boot_loader_code;
pub use self::kernel::{Phase, kernel_boot};
pub use self::secure_boot::SecureBootPolicy;
pub use self::signature::{PcrPolicy, PcrSignature, PcrSignatureError, PcrSignatures};

mod boot_loader;
mod kernel;
mod secure_boot;
mod signature;
#[cfg(test)]
pub(crate) mod tests;

/// `EV_SEPARATOR`: firmware extends it before it starts anything.
const SEPARATOR: [u8; 4] = [0; 4];

/// Why a PCR cannot be predicted.
#[derive(Debug, thiserror::Error)]
pub enum PcrError {
    /// An executable is none.
    #[error(transparent)]
    Pe(#[from] PeError),
    /// An executable cannot be digested as firmware does.
    #[error(transparent)]
    Authenticode(#[from] AuthenticodeError),
    /// It cannot be read.
    #[error("cannot read the executable")]
    Io(#[from] io::Error),
    /// What starts the kernel of a unified kernel image depends on the version of its stub.
    #[error("cannot tell the version of the EFI stub: section `.sdmagic` is missing or has none")]
    StubVersion,
    /// A section has zeros in memory that are not in the file; no unified kernel image has one.
    #[error("invalid section `{0}`: it is longer in memory than in the file")]
    Section(String),
}

/// The PCRs of one hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bank {
    /// What every TPM 2.0 has.
    Sha256,
    /// What an attestation document of EC2 has.
    Sha384,
}

impl Bank {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha384];

    /// Its name as systemd and tpm2-tools have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
        }
    }

    /// Hashes what is written to it.
    pub(crate) fn hasher(self) -> Hasher {
        match self {
            Self::Sha256 => Hasher::Sha256(Sha256::new()),
            Self::Sha384 => Hasher::Sha384(Sha384::new()),
        }
    }

    /// The digest of bytes.
    pub(crate) fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
        }
    }
}

/// The hash of a bank, under way.
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha384(Sha384),
}

impl Hasher {
    pub(crate) fn finalize(self) -> Vec<u8> {
        match self {
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::Sha384(hasher) => hasher.finalize().to_vec(),
        }
    }
}

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha384(hasher) => hasher.update(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The value of a PCR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pcr {
    bank: Bank,
    value: Vec<u8>,
}

impl Pcr {
    /// One that nothing was extended into, as PCR 12 (`kernel-config`) and 13 (`sysexts`) are after a start without
    /// credentials, addons and system extensions.
    pub fn new(bank: Bank) -> Self {
        Self { bank, value: vec![0; bank.hash(&[]).len()] }
    }

    /// Which hash it is of.
    pub fn bank(&self) -> Bank {
        self.bank
    }

    /// Its bytes: 32 or 48.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Extends it with a digest.
    fn extend(&mut self, digest: &[u8]) {
        self.value = self.bank.hash(&[&self.value, digest].concat());
    }

    /// Extends it with the digest of bytes.
    fn measure(&mut self, bytes: &[u8]) {
        self.extend(&self.bank.hash(bytes));
    }
}

/// Lower-case hexadecimal digits, as tpm2-tools print it.
impl fmt::Display for Pcr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.value))
    }
}
