//! The key of a cached layer: a digest of everything that went into it.

use anyhow::{Result, ensure};
use bedplate_formats::digest::hex;
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
    let mut bytes = [0; 32];
    ensure!(digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "`{digits}` is no SHA-256");
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16)?;
    }
    Ok(bytes)
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
