//! The signatures of an executable.

use std::io::{Read, Seek, SeekFrom};

use super::{ALIGNMENT, AuthenticodeError, Hashed, PKCS7_ENTRY, content};
use crate::pkcs7::{self, Signed};

/// The longest certificate table that is read, in bytes.
const MOST_BYTES: u32 = 256 * 1024;

/// A signature that nobody has checked yet.
///
/// It is valid when [`fits`](Self::fits) is true and the key of the certificate accepts the signature of the message.
/// Whether the certificate is trusted is for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The signer's certificate, in DER.
    pub certificate: Vec<u8>,
    /// The bytes that were signed.
    pub message: Vec<u8>,
    /// RSA, PKCS#1 v1.5 over the SHA-256 of the message.
    pub signature: Vec<u8>,
    /// The SHA-256 of the executable that was signed.
    pub digest: [u8; 32],
    /// Whether it is the digest of this executable.
    pub fits: bool,
}

/// Reads the signatures of an executable, none of an unsigned one.
///
/// # Errors
/// Fails as [`digest`](super::digest()), and when an entry is damaged or of a kind that is not read here: another digest
/// than SHA-256, another key than RSA, or no PKCS#7.
pub fn signatures(source: &mut (impl Read + Seek)) -> Result<Vec<Signature>, AuthenticodeError> {
    let hashed = Hashed::new(source)?;
    let (offset, size) = hashed.image.security;
    let table = |why| AuthenticodeError::Table { offset, size, why };
    if size > MOST_BYTES {
        return Err(table("it is too long"));
    }
    let mut bytes = vec![0; size as usize];
    source.seek(SeekFrom::Start(offset.into()))?;
    source.read_exact(&mut bytes)?;

    let mut found = Vec::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (length, header) = rest.split_first_chunk::<4>().ok_or(table("an entry is cut off"))?;
        let length = u32::from_le_bytes(*length);
        if !header.starts_with(&PKCS7_ENTRY) {
            return Err(table("an entry is no PKCS#7"));
        }
        let entry = rest.get(8..length as usize).ok_or(table("an entry reaches beyond it"))?;
        found.push(signature(&pkcs7::read(entry)?)?);
        rest = rest.get(length.next_multiple_of(ALIGNMENT) as usize..).unwrap_or_default();
    }
    if !found.is_empty() {
        let digest: [u8; 32] = hashed.padded_digest(source)?;
        for signature in &mut found {
            signature.fits = signature.digest == digest;
        }
    }
    Ok(found)
}

fn signature(signed: &Signed<'_>) -> Result<Signature, AuthenticodeError> {
    let digest = content::read(signed.content)?;
    Ok(Signature {
        certificate: signed.certificate.clone(),
        message: signed.message(),
        signature: signed.signature.to_vec(),
        digest,
        fits: false,
    })
}
