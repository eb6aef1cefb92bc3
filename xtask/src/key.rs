//! The key of a cached layer: a digest of everything that went into it.

use anyhow::{Context as _, Result};
use bedplate_formats::digest::{hex, unhex};
use sha2::{Digest as _, Sha256};

/// Collects what a layer is made of.
pub struct Key(Sha256);

impl Key {
    /// A key of a kind of cache entry, made by this version of the code: the digest of each crate's sources, and the
    /// version of the one library whose output is in an entry.
    pub fn new(kind: &str) -> Self {
        let mut key = Self(Sha256::new());
        for sources in
            [env!("BEDPLATE_SOURCES"), bedplate_core::CORE_SOURCES, bedplate_formats::FORMATS_SOURCES]
        {
            key.add(sources);
        }
        key.add(zstd::zstd_safe::version_string());
        key.add(kind);
        key
    }

    /// The digest of inputs alone, which outlives changes of the code.
    pub fn of_inputs() -> Self {
        Self(Sha256::new())
    }

    /// Adds one input. Each is framed by its length, so no two lists of inputs
    /// make the same key.
    pub fn add(&mut self, input: impl AsRef<[u8]>) {
        let input = input.as_ref();
        self.0.update((input.len() as u64).to_le_bytes());
        self.0.update(input);
    }

    /// The digest, in hexadecimal.
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// A digest of 64 hexadecimal digits.
///
/// # Errors
/// The text is something else.
pub fn digest(digits: &str) -> Result<[u8; 32]> {
    unhex(digits).with_context(|| format!("`{digits}` is no SHA-256"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_do_not_run_together() {
        let key = |inputs: &[&str]| {
            let mut key = Key::new("test");
            inputs.iter().for_each(|i| key.add(i));
            key.finish()
        };
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
    }
}
