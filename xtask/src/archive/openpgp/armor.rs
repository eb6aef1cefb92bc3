//! ASCII armour, and the bytes of a key file: binary packets, or any number of armoured blocks.
//!
//! Vendors publish keyrings in every form there is: two blocks one after the other while a key is replaced, comments
//! and blank lines between them, line ends of another system, and the indented form of `Signed-By` in deb822 sources.
//! Specification: RFC 9580, section 6 (ASCII armour).

use base64ct::{Base64, Encoding as _};

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
        let (block, _) = decode(&block?).map_err(SignatureError::Keyring)?;
        packets.extend(block);
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

/// Reads the armoured block that a text begins with: its bytes, and what follows it.
pub(super) fn decode(text: &str) -> Result<(Vec<u8>, &str), String> {
    let mut rest = text;
    let mut next = || {
        let end = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(end);
        rest = after;
        if line.is_empty() {
            Err("the armour has no end".to_owned())
        } else {
            Ok((line.trim_ascii_end(), after))
        }
    };
    let (first, _) = next()?;
    let label = first.strip_prefix(BEGIN).and_then(|label| label.strip_suffix("-----"));
    let label = label.ok_or_else(|| format!("the armour does not begin with `{BEGIN}…-----`"))?;
    loop {
        let (header, _) = next()?;
        if header.is_empty() {
            break;
        }
        if !header.contains(": ") && !header.ends_with(':') {
            return Err("there is no blank line below the headers of the armour".to_owned());
        }
    }
    let (mut base64, mut checksum) = (String::new(), None);
    let after = loop {
        let (line, after) = next()?;
        if let Some(end) = line.strip_prefix(END) {
            if end.strip_suffix("-----") != Some(label) {
                return Err("the armour ends as another one than it began".to_owned());
            }
            break after;
        }
        match line.strip_prefix('=') {
            Some(sum) if sum.len() == 4 && checksum.is_none() => checksum = Some(sum),
            _ if checksum.is_some() && !line.is_empty() => {
                return Err("the checksum of the armour is not at its end".to_owned());
            }
            _ => base64.push_str(line),
        }
    };
    let bytes = Base64::decode_vec(&base64).map_err(|_| "the armour is not base64".to_owned())?;
    if let Some(checksum) = checksum
        && Base64::decode_vec(checksum).ok().as_deref() != Some(&crc24(&bytes))
    {
        return Err("the checksum of the armour is another one".to_owned());
    }
    Ok((bytes, after))
}

fn crc24(bytes: &[u8]) -> [u8; 3] {
    let mut crc: u32 = 0x00b7_04ce;
    for byte in bytes {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
        }
    }
    let [_, sum @ ..] = crc.to_be_bytes();
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_with_its_checksum() {
        // The checksum of nothing is what the sum starts with.
        assert_eq!(crc24(b""), [0xb7, 0x04, 0xce]);
        assert_eq!(crc24(b"123456789"), [0x21, 0xcf, 0x02]);
        let block = "-----BEGIN PGP SIGNATURE-----\r\nVersion: 1\r\n\r\nMTIzNDU2\nNzg5\n=Ic8C\n-----END PGP SIGNATURE-----\nmore";
        assert_eq!(decode(block), Ok((b"123456789".to_vec(), "more")));
        assert_eq!(decode(&block.replace("=Ic8C\n", "")), Ok((b"123456789".to_vec(), "more")));
    }

    #[test]
    fn what_is_no_block_is_refused() {
        let block = "-----BEGIN PGP SIGNATURE-----\n\nMTIz\n=Ic8C\n-----END PGP SIGNATURE-----\n";
        for (from, to) in [
            ("=Ic8C", "=Ic8D"),
            ("END PGP SIGNATURE", "END PGP MESSAGE"),
            ("\n\n", "\n"),
            ("MTIz", "MTI"),
            ("MTIz", "M!Iz"),
            ("=Ic8C\n", "=Ic8C\nMTIz\n"),
            ("-----END PGP SIGNATURE-----\n", ""),
            ("-----BEGIN", "----BEGIN"),
        ] {
            assert!(decode(&block.replace(from, to)).is_err(), "{from:?} {to:?}");
        }
    }
}
