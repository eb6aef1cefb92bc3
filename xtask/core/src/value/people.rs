//! Words for people: user and group names, and the keys they come in with.

use super::{Malformed, value};

value! {
    /// The name of a user: `a-z`, then `a-z 0-9 - _`, at most 31 characters
    /// ([systemd's strict form](https://systemd.io/USER_NAMES/)).
    UserName, "malformed-user-name", "a user name", name
}

value! {
    /// The name of a group, of the same form as a user's.
    GroupName, "malformed-user-name", "a group name", name
}

value! {
    /// A public key of OpenSSH's, one line: type, base64, comment.
    SshKey, "malformed-ssh-key", "a public ssh key", ssh_key
}

/// The key types sshd of the releases we build accepts by default.
const KEY_TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

fn name(text: &str) -> Result<(), Malformed> {
    let lower = text.to_ascii_lowercase();
    if text.len() > 31 {
        return Err(Malformed::new(text, "it is longer than 31 characters"));
    }
    if !text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') {
        let refusal = Malformed::new(text, "it does not start with one of a-z _");
        return Err(if lower != text && name(&lower).is_ok() {
            refusal.help(format!("did you mean `{lower}`?"))
        } else {
            refusal
        });
    }
    match text.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-' || *c == '_')) {
        Some(wrong) => Err(Malformed::new(text, format!("`{wrong}` is not one of a-z 0-9 - _"))),
        None => Ok(()),
    }
}

fn ssh_key(text: &str) -> Result<(), Malformed> {
    if text.contains("PRIVATE KEY") {
        // The text itself must not be repeated into a log.
        return Err(Malformed::new(
            "…",
            "it is a private key, and an image is read by everyone who has the device",
        )
        .help("give the `.pub` file beside it, and make a new key: this one is in the source now"));
    }
    let line = text.strip_suffix('\n').unwrap_or(text);
    if line.contains('\n') {
        return Err(Malformed::new(text, "it has more than one line").help("call `.login` once for each key"));
    }
    let mut words = line.split_ascii_whitespace();
    let (Some(kind), Some(blob)) = (words.next(), words.next()) else {
        return Err(Malformed::new(text, "it does not have the form `ssh-ed25519 AAAA… comment`"));
    };
    if !KEY_TYPES.contains(&kind) {
        return Err(Malformed::new(
            text,
            format!("`{}` is no type of key sshd accepts", super::abbreviated(kind)),
        )
        .help(format!("one of {}", KEY_TYPES.join(", "))));
    }
    let Some(bytes) = base64(blob) else {
        return Err(Malformed::new(text, "its second word is not base64"));
    };
    // RFC 4253, 6.6: the blob starts with the type again, length before.
    let expected = u32::try_from(kind.len()).unwrap_or(u32::MAX).to_be_bytes();
    if !bytes.starts_with(&expected) || !bytes[4..].starts_with(kind.as_bytes()) {
        return Err(Malformed::new(
            text,
            format!("its second word does not hold an `{kind}` key; is it cut off?"),
        ));
    }
    if bytes.len() < 4 + kind.len() + 4 + 32 {
        return Err(Malformed::new(text, "its second word is cut off"));
    }
    Ok(())
}

/// Plain base64 with padding, the only form OpenSSH writes.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0u32);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.extend(u8::try_from(bits >> held & 0xff));
        }
    }
    Some(bytes)
}
