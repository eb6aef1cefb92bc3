//! Patterns of paths, as fnmatch(3) understands them.

/// What a `*` or a `?` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wildcard {
    /// Any bytes but a slash, as in a shell.
    InName,
    /// Any bytes, as in dpkg's `path-exclude`.
    Any,
}

/// True when `pattern` fits the whole of `text`: `*`, `?`, `[a-z]` and `[!a-z]`.
#[must_use]
pub fn fits(pattern: &[u8], text: &[u8], wildcard: Wildcard) -> bool {
    let (mut at, mut from) = (0, 0);
    // Where the last star is, and what it stands for so far: the only place to go back to.
    let mut star: Option<(usize, usize)> = None;
    let stands = |byte: u8| wildcard == Wildcard::Any || byte != b'/';
    loop {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, from));
                at += 1;
                continue;
            }
            None if from == text.len() => return true,
            Some(_) if from < text.len() => {
                if let Some(length) = one(&pattern[at..], text[from], stands(text[from])) {
                    at += length;
                    from += 1;
                    continue;
                }
            }
            _ => {}
        }
        match star {
            Some((after, stood)) if stood < text.len() && stands(text[stood]) => {
                star = Some((after, stood + 1));
                (at, from) = (after, stood + 1);
            }
            _ => return false,
        }
    }
}

/// How much of the pattern stands for this one byte, if it does. `wild` is whether a wildcard may.
fn one(pattern: &[u8], byte: u8, wild: bool) -> Option<usize> {
    match pattern.first()? {
        b'?' => wild.then_some(1),
        b'[' => match set(pattern, byte) {
            Some((fits, length)) => (wild && fits).then_some(length),
            None => (byte == b'[').then_some(1),
        },
        literal => (*literal == byte).then_some(1),
    }
}

/// Whether a set holds the byte, and how long the set is. `None` for a bracket that nothing closes.
fn set(pattern: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = if negated { 2 } else { 1 };
    // A bracket in the first place is one of the set.
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|&b| b == b']')?;
    let (mut rest, mut holds) = (&pattern[start..end], false);
    while let Some((&low, after)) = rest.split_first() {
        (holds, rest) = match after {
            [b'-', high, after @ ..] => (holds || (low..=*high).contains(&byte), after),
            _ => (holds || low == byte, after),
        };
    }
    Some((holds != negated, end + 1))
}

/// True when there is a wildcard in the pattern.
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_those_of_fnmatch() {
        let shell = |pattern: &str, text: &str| fits(pattern.as_bytes(), text.as_bytes(), Wildcard::InName);
        let dpkg = |pattern: &str, text: &str| fits(pattern.as_bytes(), text.as_bytes(), Wildcard::Any);
        assert!(shell("/usr/share/doc", "/usr/share/doc") && !shell("/usr/share/doc", "/usr/share/doc/a"));
        assert!(
            dpkg("/usr/share/doc/*", "/usr/share/doc/a/b")
                && !shell("/usr/share/doc/*", "/usr/share/doc/a/b")
        );
        assert!(shell("/a/*/c", "/a/b/c") && !shell("/a/*/c", "/a/b/b/c") && dpkg("/a/*/c", "/a/b/b/c"));
        assert!(shell("*.s?", "libc.so") && !shell("*.s?", "libc.so.6") && shell("**", "x"));
        assert!(
            shell("[a-c]x", "bx") && !shell("[!a-c]x", "bx") && shell("[]-]x", "]x") && shell("[x", "[x")
        );
        assert!(!dpkg("a*b*c*d*e", &"abcd".repeat(50)));
        assert!(shell("", "") && !shell("", "a") && !shell("a", "") && shell("*", ""));
    }
}
