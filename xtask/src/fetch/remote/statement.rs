//! What a key of the team's says of a cache entry.
//!
//! ```text
//! bedplate cache entry v1
//! name system-0123…
//! sha256 4567…
//! size 123456
//! signature BASE64
//! ```
//!
//! The signature is over the lines above it. The name is among them, so that an entry cannot be put in the place of
//! another one; it holds the digest of all that the entry was made from, so that an old entry is as good as a new one.
//! Signed is by RSA as bundles are ([`crate::sign`]): a team has a key service and a way with keys once.

use base64ct::{Base64, Encoding as _};
use bedplate_core::value::Sha256;

use crate::sign::{PublicKey, Signer};

const FIRST: &str = "bedplate cache entry v1";
const SIGNATURE: &str = "signature ";

/// The packed content of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub sha256: Sha256,
    /// In bytes.
    pub size: u64,
}

impl Statement {
    fn text(&self, name: &str) -> String {
        format!("{FIRST}\nname {name}\nsha256 {}\nsize {}\n", self.sha256, self.size)
    }

    /// The statement of the entry with this name, signed.
    ///
    /// # Errors
    /// Those of the signer.
    pub fn sign(&self, name: &str, signer: &Signer, key: &PublicKey) -> anyhow::Result<Vec<u8>> {
        let text = self.text(name);
        let signature = Base64::encode_string(&signer.sign(text.as_bytes(), key)?);
        Ok(format!("{text}{SIGNATURE}{signature}\n").into_bytes())
    }

    /// Reads the statement of the entry with this name, if one of the keys has signed it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(bytes: &[u8], name: &str, trusted: &[PublicKey]) -> Result<Self, String> {
        let malformed = || "its statement is malformed".to_owned();
        let all = std::str::from_utf8(bytes).map_err(|_| malformed())?;
        let signed = all.rfind(SIGNATURE).ok_or_else(malformed)?;
        let (text, signature) = all.split_at(signed);
        let signature = signature.strip_prefix(SIGNATURE).and_then(|rest| rest.strip_suffix('\n'));
        let signature = signature.and_then(|text| Base64::decode_vec(text).ok()).ok_or_else(malformed)?;
        if !trusted.iter().any(|key| key.verify(text.as_bytes(), &signature)) {
            return Err("it is signed by none of the team's keys".to_owned());
        }
        let rest =
            text.strip_prefix(FIRST).and_then(|rest| rest.strip_prefix("\nname ")).ok_or_else(malformed)?;
        let (found, rest) = rest.split_once('\n').ok_or_else(malformed)?;
        if found != name {
            return Err(format!("it is `{}`, another entry", super::short(found)));
        }
        let rest = rest.strip_prefix("sha256 ").and_then(|rest| rest.split_once("\nsize "));
        let (sha256, size) = rest.ok_or_else(malformed)?;
        let size = size.strip_suffix('\n').and_then(|size| size.parse().ok()).ok_or_else(malformed)?;
        Ok(Self { sha256: sha256.parse().map_err(|_| malformed())?, size })
    }
}
