//! The sandbox's host name in a file: both configurations happen under it, so
//! comparing them does not show it.

use bedplate_core::plan::Plan;

use super::Finding;
use crate::sandbox::HOSTNAME;

/// What a file with it has.
pub(super) const WHAT: &str = "the host name of the build";

/// Whether a file of text has it as a word: not as a part of a path or of another name.
pub(super) fn is_in(bytes: &[u8]) -> bool {
    let name = HOSTNAME.as_bytes();
    !bytes.contains(&0)
        && memchr::memmem::find_iter(bytes, name).any(|at| is_word(bytes, at, at + name.len()))
}

fn is_word(bytes: &[u8], start: usize, end: usize) -> bool {
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/".contains(&byte);
    let (before, after) = (&bytes[..start], bytes.get(end));
    // An address has slashes before the host.
    let begins = match before.last() {
        Some(b'/') => before.ends_with(b"://"),
        Some(&byte) => !in_name(byte) && byte != b'.',
        None => true,
    };
    begins && after.is_none_or(|&byte| !in_name(byte) || byte == b'/' && before.ends_with(b"://"))
}

/// Whether the image's devices have this name, too.
pub(super) fn is_the_devices(plan: &Plan, finding: &Finding) -> bool {
    finding.what == WHAT && plan.hostname.as_deref() == Some(HOSTNAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_name_is_found_as_a_word() {
        let found = [
            "bedplate\n",
            "myhostname = bedplate",
            "a, bedplate, b",
            "root@bedplate.localdomain",
            "http://bedplate/x",
        ];
        assert_eq!(found.map(|text| is_in(text.as_bytes())), [true; 5]);
        let others = [
            "/run/bedplate/x",
            "bedplate-identity.service",
            "the_bedplate",
            "bedplates",
            "x.bedplate",
            "bedplate/x",
            "\0bedplate",
        ];
        assert_eq!(others.map(|text| is_in(text.as_bytes())), [false; 7]);
    }
}
