//! Authenticated updates of variables, as they are in `.auth` files.

use super::{
    APPEND, ATTRIBUTES, CERTIFICATE, CERTIFICATE_HEADER, EfiVariableError, PKCS7, Variable, message,
};
use crate::pkcs7;
use crate::signature_list::SignatureList;

/// An authenticated update whose signature nobody has checked. The name of the variable is signed, and not in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticatedVariable {
    time: [u8; 16],
    content: Vec<u8>,
    /// What the variable is set to, or what is added to it.
    pub lists: Vec<SignatureList>,
    /// The signer's certificate, in DER.
    pub certificate: Vec<u8>,
    /// RSA, PKCS#1 v1.5 over the SHA-256 of the message.
    pub signature: Vec<u8>,
}

impl AuthenticatedVariable {
    /// Reads an `.auth` file.
    ///
    /// # Errors
    /// Fails when it is cut off, damaged, or signed in another way than firmware asks for.
    pub fn read(bytes: &[u8]) -> Result<Self, EfiVariableError> {
        let (time, rest) = bytes.split_first_chunk().ok_or(EfiVariableError::Header("it is cut off"))?;
        let header = rest.get(..CERTIFICATE_HEADER).ok_or(EfiVariableError::Header("it is cut off"))?;
        let (length, kind) = header.split_first_chunk().ok_or(EfiVariableError::Header("it is cut off"))?;
        let length = u32::from_le_bytes(*length) as usize;
        if kind != [&CERTIFICATE[..], &PKCS7.to_bytes_le()].concat() {
            return Err(EfiVariableError::Header("its signature is no PKCS#7"));
        }
        let data = rest.get(CERTIFICATE_HEADER..length);
        let data = data.ok_or(EfiVariableError::Header("its signature is cut off"))?;
        let signed = pkcs7::read(data)?;
        if signed.content.value.is_some() || signed.attributes.is_some() {
            return Err(EfiVariableError::Header("its signature is over something else"));
        }
        let content = rest.get(length..).unwrap_or_default();
        Ok(Self {
            time: *time,
            content: content.to_vec(),
            lists: SignatureList::read_all(content)?,
            certificate: signed.certificate.clone(),
            signature: signed.signature.to_vec(),
        })
    }

    /// Its time as `2026-01-31 23:59:59`, in the zone of whoever made it: UTC where it was made here.
    pub fn time(&self) -> String {
        let [low, high, month, day, hour, minute, second, ..] = self.time;
        let year = u16::from_le_bytes([low, high]);
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }

    /// The bytes that the signature is over, when this is an update of that variable.
    pub fn message(&self, variable: Variable, append: bool) -> Vec<u8> {
        let attributes = if append { ATTRIBUTES | APPEND } else { ATTRIBUTES };
        message(variable, attributes, &self.time, &self.content)
    }
}
