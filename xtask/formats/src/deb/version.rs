//! The order of Debian's versions.
//!
//! <https://www.debian.org/doc/debian-policy/ch-controlfields.html#version>,
//! deb-version(7).

use std::cmp::Ordering;

/// Compares two versions as dpkg does: epoch, upstream version, revision.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    let (a_epoch, a_upstream, a_revision) = split(a);
    let (b_epoch, b_upstream, b_revision) = split(b);
    compare_part(a_epoch, b_epoch)
        .then_with(|| compare_part(a_upstream, b_upstream))
        .then_with(|| compare_part(a_revision, b_revision))
}

fn split(version: &str) -> (&str, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// Text up to a digit and a number take turns, beginning with text.
fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (a_text, b_text) = (leading(a, false), leading(b, false));
        let weights = |text: &str| text.bytes().map(weight).chain([0]).collect::<Vec<_>>();
        let order = weights(a_text).cmp(&weights(b_text));
        (a, b) = (&a[a_text.len()..], &b[b_text.len()..]);
        let (a_number, b_number) = (leading(a, true), leading(b, true));
        (a, b) = (&a[a_number.len()..], &b[b_number.len()..]);
        let number = |n: &str| {
            let n = n.trim_start_matches('0');
            (n.len(), n.to_owned())
        };
        let order = order.then_with(|| number(a_number).cmp(&number(b_number)));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

fn leading(text: &str, digits: bool) -> &str {
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    &text[..end]
}

/// `~` sorts before the end, letters before everything else.
fn weight(byte: u8) -> i32 {
    match byte {
        b'~' => -1,
        byte if byte.is_ascii_alphabetic() => i32::from(byte),
        byte => i32::from(byte) + 256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        let ascending = [
            "1.0~~", "1.0~~a", "1.0~", "1.0", "1.0-0.1", "1.0-1", "1.0a", "1.0+b1", "1.0.1", "1.2", "1.10",
            "1.10-9", "1.10-10", "1:0.1", "2:0",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare_versions(a, b), i.cmp(&j), "{a} {b}");
            }
        }
    }

    #[test]
    fn spellings_of_one_version_are_equal() {
        for (a, b) in [("0:1", "1"), ("1.0", "1.00"), ("1-0", "1"), ("", "0")] {
            assert_eq!(compare_versions(a, b), Ordering::Equal, "{a} {b}");
        }
    }
}
