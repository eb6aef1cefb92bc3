//! Recognises a private key or a shared secret by its content, whatever the file is called.

/// Files larger than this hold no key alone, and are not searched.
pub(super) const LARGEST: u64 = 1 << 20;

/// What a file begins with, and what it then is.
const MAGIC: &[(&[u8], &str)] = &[
    (b"\x00\x00\x00\x07ssh-rsa", "a host key of dropbear"),
    (b"\x00\x00\x00\x07ssh-dss", "a host key of dropbear"),
    (b"\x00\x00\x00\x0bssh-ed25519", "a host key of dropbear"),
    (b"\x00\x00\x00\x13ecdsa-sha2-", "a host key of dropbear"),
    (b"PuTTY-User-Key-File-", "a private key of PuTTY"),
    (b"SSH PRIVATE KEY FILE FORMAT 1.1\n", "a private key of SSH 1"),
    (b"== ed25519v1-secret:", "a private key of Tor"),
    (b"Private-key-format:", "a private key of DNSSEC"),
    (b"(21:protected-private-key", "a private key of GnuPG"),
    (b"(11:private-key", "a private key of GnuPG"),
    (b"Key: (private-key", "a private key of GnuPG"),
    (b"Key: (protected-private-key", "a private key of GnuPG"),
    (b"\xce\xce\xce\xce\x00\x00\x00\x02", "a key store of Java"),
];

/// What a file has somewhere, and what it then is.
const INSIDE: &[(&[u8], &str)] = &[
    (b"PRIVATE KEY-----", "a private key"),
    (b"-----BEGIN PGP PRIVATE KEY BLOCK-----", "a private key of OpenPGP"),
    (b"-----BEGIN OpenVPN Static key", "a static key of OpenVPN"),
    (b"-----BEGIN OpenVPN tls-crypt-v2", "a static key of OpenVPN"),
    (b"AGE-SECRET-KEY-", "a private key of age"),
];

/// What precedes a secret in a setting, and what it then is. The value is at
/// least 16 characters of base64.
const SETTINGS: &[(&str, &str)] = &[
    ("secret", "a shared secret, as rndc and TSIG have"),
    ("PrivateKey", "a private key of WireGuard"),
    ("PresharedKey", "a shared secret of WireGuard"),
];

/// Object identifiers of private keys in DER: PKCS #1's RSA, elliptic curves, Ed25519, Ed448.
const ALGORITHMS: &[&[u8]] = &[
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01",
    b"\x2a\x86\x48\xce\x3d\x02\x01",
    b"\x2b\x65\x70",
    b"\x2b\x65\x71",
];

/// Returns what key the bytes are or hold.
pub(super) fn kind(bytes: &[u8]) -> Option<&'static str> {
    let magic = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic));
    let inside = || INSIDE.iter().find(|(text, _)| memchr::memmem::find(bytes, text).is_some());
    let found = magic.or_else(inside).map(|(_, what)| *what);
    found.or_else(|| setting(bytes)).or_else(|| raw(bytes)).or_else(|| java(bytes)).or_else(|| der(bytes))
}

/// `secret "…";` of BIND, `secret: …` of Knot, `PrivateKey = …` of WireGuard.
fn setting(bytes: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let of_line = |line: &str| {
        let line = line.trim_start();
        SETTINGS.iter().find_map(|(name, what)| {
            let at = line.find(name)?;
            // A comment shows how it would be written.
            let comment = line.starts_with(['#', ';', '*']) || line.starts_with("//");
            let value = line[at + name.len()..].trim_start_matches([' ', '\t', '=', ':', '"', '\'']);
            let separated = value.len() < line.len() - at - name.len();
            let length = value.bytes().take_while(|byte| is_base64(*byte)).count();
            (!comment && separated && length >= 16).then_some(*what)
        })
    };
    text.lines().find_map(of_line)
}

/// 32 bytes of base64 and nothing else, as `wg genkey` prints.
fn raw(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let is_key = text.len() == 44
        && text[43] == b'='
        && text[..43].iter().all(|byte| is_base64(*byte) && *byte != b'=');
    is_key.then_some("a key of 32 bytes, as WireGuard's")
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)
}

/// A key store whose first entry is a key; one of certificates begins with a certificate.
fn java(bytes: &[u8]) -> Option<&'static str> {
    let key = bytes.starts_with(b"\xfe\xed\xfe\xed") && bytes.get(12..16) == Some(b"\x00\x00\x00\x01");
    key.then_some("a key store of Java")
}

/// PKCS #1, #8 and #12, and SEC 1, without armour.
fn der(bytes: &[u8]) -> Option<&'static str> {
    let body = match bytes {
        [0x30, 0x82, _, _, body @ ..] | [0x30, 0x81, _, body @ ..] => body,
        [0x30, length, body @ ..] if *length < 0x80 => body,
        _ => return None,
    };
    let early = |needle: &[u8]| memchr::memmem::find(&body[..body.len().min(40)], needle).is_some();
    match body {
        [0x02, 0x01, 0x00, 0x02, 0x82, ..] => Some("a private key"),
        [0x02, 0x01, 0x00, 0x30, ..] if ALGORITHMS.iter().any(|oid| early(oid)) => Some("a private key"),
        [0x02, 0x01, 0x01, 0x04, 0x1c..=0x42, ..] => Some("a private key"),
        [0x02, 0x01, 0x03, 0x30, ..] if early(b"\x2a\x86\x48\x86\xf7\x0d\x01\x07") => {
            Some("a key store in PKCS #12")
        }
        // Encrypted PKCS #8: PBES2.
        [0x30, ..] if early(b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d") => Some("an encrypted private key"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_by_what_is_in_them() {
        for bytes in [
            &b"-----BEGIN PRIVATE KEY-----\nMC4CAQ\n"[..],
            b"Bag Attributes\n-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
            b"-----BEGIN RSA PRIVATE KEY-----\n",
            b"-----BEGIN EC PARAMETERS-----\nA\n-----END EC PARAMETERS-----\n-----BEGIN EC PRIVATE KEY-----\n",
            b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
            b"-----BEGIN ED25519 PRIVATE KEY-----\n",
            b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n",
            b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x40abc",
            b"key \"rndc-key\" {\n\talgorithm hmac-sha256;\n\tsecret \"8epkbBaE2TgooFb0VVF6b213t8LijnREUZOvYWcn9yw=\";\n};\n",
            b"key:\n  - id: a\n    secret: 8epkbBaE2TgooFb0VVF6b213t8LijnREUZOvYWcn9yw=\n",
            b"[Interface]\nPrivateKey = 8epkbBaE2TgooFb0VVF6b213t8LijnREUZOvYWcn9yw=\n",
            b"8epkbBaE2TgooFb0VVF6b213t8LijnREUZOvYWcn9yw=\n",
            b"# created\nAGE-SECRET-KEY-1QQQ\n",
            b"\xfe\xed\xfe\xed\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x01\x00\x05alias",
            b"\x30\x82\x04\xbe\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00",
            b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20",
            b"\x30\x82\x04\xa4\x02\x01\x00\x02\x82\x01\x01\x00",
            b"\x30\x77\x02\x01\x01\x04\x20abc",
            b"\x30\x82\x09\x10\x02\x01\x03\x30\x82\x08\xd6\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01",
        ] {
            assert!(kind(bytes).is_some(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_everybody_may_have_is_no_key() {
        for bytes in [
            &b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"[..],
            b"-----BEGIN PUBLIC KEY-----\n",
            b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKOXqajzfv3BCd root@vm\n",
            b"// secret \"8epkbBaE2TgooFb0VVF6b213t8LijnREUZOvYWcn9yw=\";\n",
            b"# PrivateKey = 8epkbBaE2TgooFb0VVF6b213t8LijnREUZOvYWcn9yw=\n",
            b"secretary = somebody-whose-name-is-long\n",
            b"\xfe\xed\xfe\xed\x00\x00\x00\x02\x00\x00\x00\x8c\x00\x00\x00\x02\x00\x05alias",
            b"\x30\x82\x03\x00\x30\x82\x02\x00\xa0\x03\x02\x01\x02",
            b"",
        ] {
            assert_eq!(kind(bytes), None, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
