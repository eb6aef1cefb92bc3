//! Signatures of executables as firmware with Secure Boot checks them, and the digests that are measured of them.
//!
//! Authenticode: <https://learn.microsoft.com/en-us/windows-hardware/drivers/install/authenticode>, and what edk2 and
//! sbsigntools make of it where it is silent. Signing is in two steps, so that a signature can be made elsewhere: the
//! bytes of [`ToBeSigned`] are signed, and the signature is attached. `sbsign` also signs the time at which it ran and
//! the ciphers that its OpenSSL has; neither firmware nor `sbverify` look at them, and they are absent here: the same
//! file, certificate and key are the same bytes.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use der::asn1::ObjectIdentifier;
use sha2::digest::Output;
use sha2::{Digest, Sha256};

use crate::digest::hash_range;
use crate::pe::{Image, PeError};
use crate::pkcs7::Pkcs7Error;

pub use self::read::{Signature, signatures};
pub use self::sign::ToBeSigned;

mod content;
mod read;
mod sign;
#[cfg(test)]
mod tests;

/// `WIN_CERT_REVISION_2_0` and `WIN_CERT_TYPE_PKCS_SIGNED_DATA`, behind the length of a table's entry.
const PKCS7_ENTRY: [u8; 4] = [0x00, 0x02, 0x02, 0x00];
/// Certificate tables and their entries begin at multiples of this many bytes.
const ALIGNMENT: u32 = 8;

/// Why an executable cannot be signed, or what is wrong with its signatures.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticodeError {
    /// It is no executable.
    #[error(transparent)]
    Pe(#[from] PeError),
    /// A certificate or a signature is damaged.
    #[error(transparent)]
    Pkcs7(#[from] Pkcs7Error),
    /// It cannot be read or written.
    #[error("cannot read or write the executable")]
    Io(#[from] io::Error),
    /// Its headers end beyond it, or before the entry of the certificate table.
    #[error("invalid PE executable: its headers have no entry for a certificate table")]
    Headers,
    /// A byte would be hashed twice.
    #[error("invalid PE executable: section `{0}` overlaps the headers or another section")]
    Overlap(String),
    /// The certificate table is not at the end of the file, or is damaged.
    #[error("invalid certificate table at `{offset}`, `{size}` bytes long: {why}")]
    Table {
        /// Where it begins, in bytes.
        offset: u32,
        /// How long it is, in bytes.
        size: u32,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The signature is over something else than the digest of an executable.
    #[error("invalid signature: its content is of type `{0}`, not the digest of an executable")]
    Content(ObjectIdentifier),
    /// The content of a signature is damaged.
    #[error("invalid signature: the digest of the executable is damaged")]
    Digest(#[source] der::Error),
    /// The executable is not the one that was read.
    #[error("the executable changed while it was signed")]
    Changed,
    /// Offsets in a PE have 32 bits.
    #[error("with its signature the executable has `{0}` bytes, and a PE executable ends at 4 GiB")]
    TooLarge(u64),
}

/// Returns the digest of an executable: of all its bytes but the check sum, the certificate table, and the table's entry
/// in the headers.
///
/// Firmware extends PCR 4 with it, in the hash of each bank.
///
/// # Errors
/// Fails when it is no PE32+, sections overlap, signatures are not at its end, or reading does.
pub fn digest<D: Digest>(source: &mut (impl Read + Seek)) -> Result<Output<D>, AuthenticodeError> {
    Ok(Hashed::new(source)?.hash::<D>(source)?.finalize())
}

/// What of an executable is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hashed {
    image: Image,
    /// In the order in which they are hashed.
    ranges: Vec<Range<u64>>,
    /// Where the certificate table begins, or will begin after some padding, in bytes.
    end: u64,
}

impl Hashed {
    fn new(source: &mut (impl Read + Seek)) -> Result<Self, AuthenticodeError> {
        let image = Image::read(source)?;
        let length = source.seek(SeekFrom::End(0))?;
        let (offset, size) = image.security;
        let end = if size == 0 { length } else { u64::from(offset) };
        let table = |why| Err(AuthenticodeError::Table { offset, size, why });
        if size > 0 && end + u64::from(size) != length {
            return table("it is not at the end of the file");
        }
        if size > 0 && (!offset.is_multiple_of(ALIGNMENT) || !size.is_multiple_of(ALIGNMENT)) {
            return table("it is not aligned to 8 bytes");
        }
        let (sum, entry) = (image.check_sum() as u64, image.security_entry());
        let entry = entry.ok_or(AuthenticodeError::Headers)? as u64;
        let headers = u64::from(image.size_of_headers);
        if entry + 8 > headers || headers > end {
            return Err(AuthenticodeError::Headers);
        }
        let mut ranges = vec![0..sum, sum + 4..entry, entry + 8..headers];
        let mut sections: Vec<_> = image.sections.iter().filter(|section| section.raw_size > 0).collect();
        sections.sort_by_key(|section| section.offset);
        let (mut last, mut total) = (headers, headers);
        for section in sections {
            let (start, size) = (u64::from(section.offset), u64::from(section.raw_size));
            if start < last || start + size > end {
                return Err(AuthenticodeError::Overlap(section.name.clone()));
            }
            ranges.push(start..start + size);
            last = start + size;
            total += size;
        }
        // The sum of what was hashed, as the specification counts: with a gap between sections, it is not where the
        // last one ends.
        ranges.push(total..end);
        Ok(Self { image, ranges, end })
    }

    fn hash<D: Digest>(&self, source: &mut (impl Read + Seek)) -> io::Result<D> {
        let mut hasher = D::new();
        for range in &self.ranges {
            hash_range(source, range.clone(), &mut hasher)?;
        }
        Ok(hasher)
    }

    /// How many zeros align the certificate table of an unsigned file.
    fn padding(&self) -> usize {
        // Less than eight.
        usize::try_from(self.end.next_multiple_of(ALIGNMENT.into()) - self.end).unwrap_or_default()
    }

    /// The digest that is signed: of the file with its padding.
    fn padded_digest(&self, source: &mut (impl Read + Seek)) -> io::Result<[u8; 32]> {
        let hasher = self.hash::<Sha256>(source)?;
        Ok(hasher.chain_update(vec![0; self.padding()]).finalize().into())
    }
}
