//! Java's key stores (JKS), as `ca-certificates-java` makes one of the host's certificate authorities: each entry has
//! the time at which it was put in, and so no two builds have the same.
//!
//! Layout: `sun.security.provider.JavaKeyStore`. Big-endian: magic, version, number of entries; of each its kind, name,
//! date, and the certificate; then a SHA-1 over a password, a phrase, and all before. The password guards nothing:
//! it is in Java's documentation.

use sha1::{Digest, Sha1};

const MAGIC: u32 = 0xfeed_feed;
/// Its strings have a length of two bytes, its certificates name their type.
const VERSION: u32 = 2;
/// A certificate, and no private key beside it.
const CERTIFICATE: u32 = 2;
const PASSWORD: &str = "changeit";

/// The same store with every entry put in `seconds` after 1970, and the digest over that.
///
/// `None` when it is no store of certificates with Java's own password.
#[must_use]
pub fn dated(store: &[u8], seconds: u64) -> Option<Vec<u8>> {
    let (content, digest) = store.split_at(store.len().checked_sub(20)?);
    if digest_of(content) != digest {
        return None;
    }
    let mut dated = content.to_vec();
    let mut reader = Reader { bytes: content, at: 0 };
    if (reader.number()?, reader.number()?) != (MAGIC, VERSION) {
        return None;
    }
    for _ in 0..reader.number()? {
        if reader.number()? != CERTIFICATE {
            return None;
        }
        reader.text()?;
        let date = reader.at;
        reader.take(8)?;
        dated.get_mut(date..date + 8)?.copy_from_slice(&seconds.saturating_mul(1000).to_be_bytes());
        reader.text()?;
        let length = usize::try_from(reader.number()?).ok()?;
        reader.take(length)?;
    }
    if reader.at != content.len() {
        return None;
    }
    let digest = digest_of(&dated);
    dated.extend(digest);
    Some(dated)
}

fn digest_of(content: &[u8]) -> [u8; 20] {
    let mut digest = Sha1::new();
    for letter in PASSWORD.encode_utf16() {
        digest.update(letter.to_be_bytes());
    }
    digest.update(b"Mighty Aphrodite");
    digest.update(content);
    digest.finalize().into()
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two entries, put in at these milliseconds.
    fn store(dates: [u64; 2], password_is_javas: bool) -> Vec<u8> {
        let mut store = [MAGIC, VERSION, 2].map(u32::to_be_bytes).concat();
        for (name, date) in ["debian:one", "debian:two"].into_iter().zip(dates) {
            store.extend(CERTIFICATE.to_be_bytes());
            for text in [name.as_bytes(), b"X.509"] {
                store.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
                store.extend(text);
                if text == name.as_bytes() {
                    store.extend(date.to_be_bytes());
                }
            }
            store.extend(3u32.to_be_bytes());
            store.extend(b"der");
        }
        let digest = if password_is_javas { digest_of(&store) } else { [7; 20] };
        store.extend(digest);
        store
    }

    #[test]
    fn two_builds_stores_become_one() {
        let (one, other) = (store([1, 2], true), store([1_800_000_000_000, 5], true));
        assert_ne!(one, other);
        assert_eq!(dated(&one, 1_700_000_000), dated(&other, 1_700_000_000));
        assert_eq!(dated(&one, 1_700_000_000).unwrap(), store([1_700_000_000_000; 2], true));
    }

    #[test]
    fn what_is_no_store_of_certificates_is_left_alone() {
        let whole = store([1, 2], true);
        for length in 0..whole.len() {
            assert_eq!(dated(&whole[..length], 1), None, "{length}");
        }
        assert_eq!(dated(&store([1, 2], false), 1), None, "somebody's own password");
        let mut key = whole;
        key[15] = 1;
        assert_eq!(dated(&key, 1), None, "a private key");
    }
}
