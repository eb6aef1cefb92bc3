//! Signing an executable: the bytes that are signed, and the signature in its place.

use std::io::{Read, Seek, SeekFrom, Write};

use super::{ALIGNMENT, AuthenticodeError, Hashed, PKCS7_ENTRY, content};
use crate::pkcs7;

/// How much is read at a time, in bytes.
const CHUNK: usize = 1 << 18;

/// An executable that is about to be signed.
#[derive(Debug, Clone)]
pub struct ToBeSigned {
    hashed: Hashed,
    certificate: Vec<u8>,
    /// `SpcIndirectDataContent`.
    content: Vec<u8>,
    attributes: Vec<u8>,
}

impl ToBeSigned {
    /// Hashes an executable, for a signature by the key of a certificate in DER.
    ///
    /// # Errors
    /// Fails as [`digest`](super::digest()), and when the certificate is none.
    pub fn new(source: &mut (impl Read + Seek), certificate: &[u8]) -> Result<Self, AuthenticodeError> {
        pkcs7::check_certificate(certificate)?;
        let hashed = Hashed::new(source)?;
        let content = content::write(&hashed.padded_digest(source)?)?;
        let attributes = pkcs7::attributes(content::of(&content)?)?;
        Ok(Self { hashed, certificate: certificate.to_vec(), content, attributes })
    }

    /// The bytes that are to be signed: RSA, PKCS#1 v1.5 over their SHA-256.
    pub fn bytes(&self) -> &[u8] {
        &self.attributes
    }

    /// The signature with its certificate as PKCS#7, as `sbattach` takes it.
    ///
    /// # Errors
    /// Fails when it is too long for DER.
    pub fn pkcs7(&self, signature: &[u8]) -> Result<Vec<u8>, AuthenticodeError> {
        let content = content::of(&self.content)?;
        let data = pkcs7::signed_data(content, Some(&self.attributes), &self.certificate, signature)?;
        Ok(pkcs7::content_info(&data)?)
    }

    /// Puts the signature into the executable, and returns its new length in bytes.
    ///
    /// Signatures that the file has are kept and stay valid, as with `sbsign`. A file whose length is no multiple of eight
    /// is padded with zeros. The check sum is updated.
    ///
    /// # Errors
    /// Fails when the file is not the one that was hashed, would be too long, or reading and writing do.
    pub fn attach(
        &self,
        signature: &[u8],
        file: &mut (impl Read + Write + Seek),
    ) -> Result<u64, AuthenticodeError> {
        if Hashed::new(file)? != self.hashed {
            return Err(AuthenticodeError::Changed);
        }
        let image = &self.hashed.image;
        let pkcs7 = self.pkcs7(signature)?;
        let mut entry = [0; 4].to_vec();
        entry.extend(PKCS7_ENTRY);
        entry.extend(&pkcs7);
        let length = entry.len() as u64;
        entry.resize(entry.len().next_multiple_of(ALIGNMENT as usize), 0);
        let padding = vec![0; self.hashed.padding()];
        let offset = self.hashed.end + padding.len() as u64;
        let size = u64::from(image.security.1) + entry.len() as u64;
        let total = offset + size;
        let bits = |value: u64| {
            u32::try_from(value).map(u32::to_le_bytes).map_err(|_| AuthenticodeError::TooLarge(total))
        };
        bits(total)?;
        entry[..4].copy_from_slice(&bits(length)?);
        let directory = [bits(offset)?, bits(size)?].concat();

        file.seek(SeekFrom::End(0))?;
        file.write_all(&padding)?;
        file.write_all(&entry)?;
        let place = image.security_entry().ok_or(AuthenticodeError::Headers)?;
        file.seek(SeekFrom::Start(place as u64))?;
        file.write_all(&directory)?;
        let sum = check_sum(file, image.check_sum() as u64)?;
        file.seek(SeekFrom::Start(image.check_sum() as u64))?;
        file.write_all(&sum.to_le_bytes())?;
        Ok(total)
    }
}

/// The sum over a file of even length, as `CheckSumMappedFile` of Windows makes it: 16-bit words with the carry added,
/// and the length. Its own four bytes count as zeros.
pub(super) fn check_sum(file: &mut (impl Read + Seek), at: u64) -> std::io::Result<u32> {
    file.seek(SeekFrom::Start(at))?;
    let mut own = [0; 4];
    file.read_exact(&mut own)?;
    file.seek(SeekFrom::Start(0))?;
    let (mut sum, mut length) = (0u64, 0u64);
    let mut buffer = Vec::with_capacity(CHUNK);
    while file.take(CHUNK as u64).read_to_end(&mut buffer)? > 0 {
        length += buffer.len() as u64;
        sum += words(&buffer);
        buffer.clear();
    }
    // With its carries added, the sum counts modulo 0xffff.
    sum += 2 * 0xffff - words(&own);
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    Ok(u32::try_from((sum + length) & 0xffff_ffff).unwrap_or_default())
}

fn words(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|word| u64::from(word[0]) | word.get(1).map_or(0, |&high| u64::from(high) << 8)).sum()
}
