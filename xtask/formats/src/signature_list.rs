//! Signature databases of Secure Boot: the certificates and digests that firmware trusts or refuses.
//!
//! `EFI_SIGNATURE_LIST`, UEFI 2.10, section 32.4.1. A database is lists one after another; in a list, all entries have
//! one kind and one length, so certificates have a list each.

use uuid::{Uuid, uuid};

#[cfg(test)]
mod tests;

/// `EFI_CERT_X509_GUID`: entries are certificates in DER.
pub const X509: Uuid = uuid!("a5c059a1-94e4-4aa7-87b5-ab155c2bf072");
/// `EFI_CERT_SHA256_GUID`: entries are Authenticode digests of executables.
pub const SHA256: Uuid = uuid!("c1c41626-504c-4092-aca9-41f936934328");

/// The length of a list's header in bytes: kind, length, length of a further header, length of an entry.
const HEADER: usize = 28;
/// The length of an entry's owner, in bytes.
const OWNER: usize = 16;

/// What is wrong with a signature database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid signature list at offset `{offset}`: {why}")]
pub struct SignatureListError {
    /// Where the list begins, in bytes.
    pub offset: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Entries of one kind and one length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureList {
    /// What the entries are: [`X509`], [`SHA256`], or what else the specification has.
    pub kind: Uuid,
    /// The entries, one at least.
    pub entries: Vec<SignatureData>,
}

/// An entry of a list: `EFI_SIGNATURE_DATA`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureData {
    /// Who added it. Any value will do: it is compared with nothing.
    pub owner: Uuid,
    /// A certificate in DER, a digest.
    pub data: Vec<u8>,
}

impl SignatureData {
    /// Returns the entry as it is in a list. Firmware measures it when it accepts an executable by it.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.owner.to_bytes_le()[..], &self.data].concat()
    }
}

impl SignatureList {
    /// A list with a certificate in DER.
    pub fn certificate(owner: Uuid, certificate: &[u8]) -> Self {
        Self { kind: X509, entries: vec![SignatureData { owner, data: certificate.to_vec() }] }
    }

    /// A list with Authenticode digests.
    pub fn sha256(owner: Uuid, digests: &[[u8; 32]]) -> Self {
        let entry = |digest: &[u8; 32]| SignatureData { owner, data: digest.to_vec() };
        Self { kind: SHA256, entries: digests.iter().map(entry).collect() }
    }

    /// Reads a database: list after list, none of an empty one.
    ///
    /// # Errors
    /// Fails when a list is cut off, has a further header or no entry, or its lengths do not fit one another.
    pub fn read_all(bytes: &[u8]) -> Result<Vec<Self>, SignatureListError> {
        let mut lists = Vec::new();
        let mut offset = 0;
        while offset < bytes.len() {
            let (list, length) =
                Self::read(&bytes[offset..]).map_err(|why| SignatureListError { offset, why })?;
            lists.push(list);
            offset += length;
        }
        Ok(lists)
    }

    /// The first list, and its length in bytes.
    fn read(bytes: &[u8]) -> Result<(Self, usize), &'static str> {
        let header = bytes.first_chunk::<HEADER>().ok_or("its header is cut off")?;
        let number = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize
        };
        let (length, further, size) = (number(16), number(20), number(24));
        if further != 0 {
            return Err("it has a further header, and no kind of list has one");
        }
        let entries = bytes.get(HEADER..length).ok_or("it is cut off")?;
        if size <= OWNER || entries.is_empty() || !entries.len().is_multiple_of(size) {
            return Err("its entries do not fit its length");
        }
        let entry = |entry: &[u8]| {
            let (owner, data) = entry.split_first_chunk::<OWNER>()?;
            Some(SignatureData { owner: Uuid::from_bytes_le(*owner), data: data.to_vec() })
        };
        let entries = entries.chunks_exact(size).filter_map(entry).collect();
        let mut kind = [0; 16];
        kind.copy_from_slice(&header[..16]);
        Ok((Self { kind: Uuid::from_bytes_le(kind), entries }, length))
    }

    /// Writes lists one after another, byte for byte as efitools and sbsigntools do.
    ///
    /// An entry that is not as long as the first one of its list gets a list of its own.
    pub fn write_all(lists: &[Self]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for list in lists {
            for entries in list.entries.chunk_by(|a, b| a.data.len() == b.data.len()) {
                let size = OWNER + entries.first().map_or(0, |entry| entry.data.len());
                bytes.extend(list.kind.to_bytes_le());
                for number in [HEADER + size * entries.len(), 0, size] {
                    // No one has a certificate of 4 GiB.
                    bytes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
                }
                bytes.extend(entries.iter().flat_map(SignatureData::to_bytes));
            }
        }
        bytes
    }
}
