//! The bytes of a key file: binary packets, or any number of armoured blocks.
//!
//! Vendors publish keyrings in every form there is: two blocks one after the other while a key is replaced, comments
//! and blank lines between them, line ends of another system, and the indented form of `Signed-By` in deb822 sources.
//! Specification: RFC 9580, section 6.2 (ASCII armour).

use std::io::Read;

use pgp::armor::Dearmor;

use super::SignatureError;

const BEGIN: &str = "-----BEGIN PGP ";
const END: &str = "-----END PGP ";

/// Returns the packets of all public keys in a file.
pub(super) fn packets(bytes: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.get(8..12) == Some(b"KBXf") {
        let reason = "it is a keybox of gpg; write the key with `gpg --export --armor FINGERPRINT`";
        return Err(SignatureError::Keyring(reason.to_owned()));
    }
    // Packets are no text: the first byte of each has its highest bit set.
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.contains(BEGIN));
    let Some(text) = text else { return Ok(bytes.to_owned()) };
    let mut packets = Vec::new();
    for block in armoured(text) {
        let block = block?;
        Dearmor::new(block.as_bytes())
            .read_to_end(&mut packets)
            .map_err(|error| SignatureError::Keyring(error.to_string()))?;
    }
    Ok(packets)
}

/// Returns the armoured blocks of a text, without what stands between them.
fn armoured(text: &str) -> impl Iterator<Item = Result<String, SignatureError>> {
    let mut lines = text.lines().map(line);
    std::iter::from_fn(move || {
        let first = lines.find(|line| line.starts_with(BEGIN))?;
        if first.contains("PRIVATE KEY") {
            let reason = "there is a private key in it; a project holds public keys alone";
            return Some(Err(SignatureError::Keyring(reason.to_owned())));
        }
        let mut block = format!("{first}\n");
        for line in lines.by_ref() {
            block.push_str(line);
            block.push('\n');
            if line.starts_with(END) {
                return Some(Ok(block));
            }
        }
        Some(Err(SignatureError::Keyring("a block in it has no end".to_owned())))
    })
}

/// Returns a line without line end and indentation; deb822 has a dot in the place of an empty one.
fn line(line: &str) -> &str {
    match line.trim() {
        "." => "",
        line => line,
    }
}
