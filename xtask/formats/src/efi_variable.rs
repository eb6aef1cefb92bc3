//! The variables of Secure Boot, and authenticated updates of them.
//!
//! UEFI 2.10, sections 8.2.2 and 32.3: `EFI_VARIABLE_AUTHENTICATION_2`, the content of an `.auth` file, byte for byte as
//! `sign-efi-sig-list` writes it. Signing is in two steps: [`VariableUpdate::bytes`] are signed, and
//! [`VariableUpdate::auth`] takes the signature.

use std::time::Duration;

use der::DateTime;
use der::asn1::ObjectIdentifier;
use uuid::{Uuid, uuid};

use crate::pkcs7::{self, Content, Pkcs7Error};
use crate::signature_list::{SignatureList, SignatureListError};

pub use self::read::AuthenticatedVariable;

mod read;
#[cfg(test)]
mod tests;

/// `EFI_GLOBAL_VARIABLE`, the vendor of `SecureBoot`, `PK` and `KEK`.
pub const GLOBAL: Uuid = uuid!("8be4df61-93ca-11d2-aa0d-00e098032b8c");
/// `EFI_IMAGE_SECURITY_DATABASE_GUID`, the vendor of `db` and `dbx`.
pub const SECURITY_DATABASE: Uuid = uuid!("d719b2cb-3d3a-4596-a3bc-dad00e67656f");

/// Kept over a reset, readable to firmware and system, written with a signature that has a time.
pub const ATTRIBUTES: u32 = 0x27;
/// `EFI_VARIABLE_APPEND_WRITE`.
const APPEND: u32 = 0x40;

const PKCS7: Uuid = uuid!("4aafd29d-68df-49ee-8aa9-347d375665a7");
/// `WIN_CERT_REVISION_2_0` and `WIN_CERT_TYPE_EFI_GUID`.
const CERTIFICATE: [u8; 4] = [0x00, 0x02, 0xf1, 0x0e];
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");

/// What is wrong with an authenticated update of a variable.
#[derive(Debug, thiserror::Error)]
pub enum EfiVariableError {
    /// Its header is cut off, or of another kind.
    #[error("invalid update of an EFI variable: {0}")]
    Header(&'static str),
    /// Its certificate or its signature is damaged.
    #[error(transparent)]
    Pkcs7(#[from] Pkcs7Error),
    /// Its content is no signature database.
    #[error(transparent)]
    SignatureList(#[from] SignatureListError),
    /// The time is after the year 9999.
    #[error("invalid time of an EFI variable: `{0}` seconds after 1970")]
    Time(u64),
}

/// A variable of Secure Boot that holds signature lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variable {
    /// The platform key: signs updates of itself and of `KEK`. Without one, firmware is in setup mode and takes any update.
    Pk,
    /// Key exchange keys: sign updates of `db` and `dbx`.
    Kek,
    /// Signers and digests of executables that are started.
    Db,
    /// Signers and digests of executables that are refused, also with a signature by `db`.
    Dbx,
}

impl Variable {
    /// All of them, in the order in which firmware measures them.
    pub const ALL: [Self; 4] = [Self::Pk, Self::Kek, Self::Db, Self::Dbx];

    /// Its name in firmware.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pk => "PK",
            Self::Kek => "KEK",
            Self::Db => "db",
            Self::Dbx => "dbx",
        }
    }

    /// The GUID that its name is unique below.
    pub fn vendor(self) -> Uuid {
        match self {
            Self::Pk | Self::Kek => GLOBAL,
            Self::Db | Self::Dbx => SECURITY_DATABASE,
        }
    }
}

/// An update of a variable that is to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableUpdate {
    variable: Variable,
    time: [u8; 16],
    append: bool,
    content: Vec<u8>,
}

impl VariableUpdate {
    /// Sets a variable to these lists, as of a time in seconds after 1970. No lists at all delete it.
    ///
    /// Firmware takes an update only when its time is later than that of the one before.
    ///
    /// # Errors
    /// Fails when the time is after the year 9999.
    pub fn new(variable: Variable, time: u64, lists: &[SignatureList]) -> Result<Self, EfiVariableError> {
        let date = DateTime::from_unix_duration(Duration::from_secs(time));
        let date = date.map_err(|_| EfiVariableError::Time(time))?;
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&date.year().to_le_bytes());
        bytes[2..7].copy_from_slice(&[date.month(), date.day(), date.hour(), date.minutes(), date.seconds()]);
        Ok(Self { variable, time: bytes, append: false, content: SignatureList::write_all(lists) })
    }

    /// Adds the lists to those that the variable has, whatever the time.
    #[must_use]
    pub fn append(self) -> Self {
        Self { append: true, ..self }
    }

    /// The bytes that are to be signed: RSA, PKCS#1 v1.5 over their SHA-256.
    pub fn bytes(&self) -> Vec<u8> {
        let attributes = if self.append { ATTRIBUTES | APPEND } else { ATTRIBUTES };
        message(self.variable, attributes, &self.time, &self.content)
    }

    /// The update with its signature and the signer's certificate in DER: an `.auth` file.
    ///
    /// # Errors
    /// Fails when the certificate is none.
    pub fn auth(&self, certificate: &[u8], signature: &[u8]) -> Result<Vec<u8>, EfiVariableError> {
        let content = Content { kind: DATA, value: None };
        let data = pkcs7::signed_data(content, None, certificate, signature)?;
        let length = CERTIFICATE_HEADER + data.len();
        let length = u32::try_from(length).map_err(|_| EfiVariableError::Header("it is too long"))?;
        let mut bytes = self.time.to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend(CERTIFICATE);
        bytes.extend(PKCS7.to_bytes_le());
        bytes.extend(data);
        bytes.extend(&self.content);
        Ok(bytes)
    }
}

/// The length of what precedes the signed data, in bytes: its length, its kind, and a GUID.
const CERTIFICATE_HEADER: usize = 24;

fn message(variable: Variable, attributes: u32, time: &[u8; 16], content: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = variable.name().encode_utf16().flat_map(u16::to_le_bytes).collect();
    bytes.extend(variable.vendor().to_bytes_le());
    bytes.extend(attributes.to_le_bytes());
    bytes.extend(time);
    bytes.extend(content);
    bytes
}
