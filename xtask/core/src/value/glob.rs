//! Patterns of paths in an overlay.

use super::{Malformed, value};

value! {
    /// A pattern of paths: `usr/local/bin/*`, `home/alice/**`, `etc/secret.key`.
    ///
    /// `*` stands for any characters but a slash, `?` for one of them; a part `**` stands for any number of
    /// directories, and at the end for everything below. A pattern that ends with `/` fits directories alone.
    Glob, "malformed-glob", "a pattern of paths", glob
}

impl Glob {
    /// True when it stands for one path alone.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        !self.as_str().contains(['*', '?'])
    }

    /// True when it fits directories alone.
    #[must_use]
    pub fn is_of_directories(&self) -> bool {
        self.as_str().ends_with('/')
    }

    /// Whether a path fits, given by its parts from the outermost one on.
    #[must_use]
    pub fn fits(&self, path: &[&[u8]]) -> bool {
        let parts: Vec<&[u8]> =
            self.as_str().split('/').filter(|part| !part.is_empty()).map(str::as_bytes).collect();
        parts_fit(&parts, path)
    }
}

fn parts_fit(pattern: &[&[u8]], path: &[&[u8]]) -> bool {
    match pattern {
        [] => path.is_empty(),
        // What is below a directory is not the directory itself.
        [b"**"] => !path.is_empty(),
        [b"**", rest @ ..] => (0..=path.len()).any(|skip| parts_fit(rest, &path[skip..])),
        [part, rest @ ..] => {
            path.split_first().is_some_and(|(name, below)| fits(part, name) && parts_fit(rest, below))
        }
    }
}

fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skip| fits(rest, &name[skip..])),
        Some((byte, rest)) => name
            .split_first()
            .is_some_and(|(first, below)| (*byte == b'?' || byte == first) && fits(rest, below)),
    }
}

fn glob(text: &str) -> Result<(), Malformed> {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Err(Malformed::new(text, "it is empty").help("write `**` for everything"));
    }
    if parts.iter().any(|part| *part == "." || *part == "..") {
        return Err(Malformed::new(text, "it holds `.` or `..`"));
    }
    if parts.iter().any(|part| part.contains("**") && *part != "**") {
        return Err(Malformed::new(text, "`**` is a part of its own").help("write `dir/**/*.key`"));
    }
    match text.chars().find(|c| c.is_control() || "[]{}!\\".contains(*c)) {
        Some(wrong) => Err(Malformed::new(text, format!("`{}` has no meaning in it", wrong.escape_debug()))
            .help("use `*`, `?` and `**` alone, and call the word once for each pattern")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn fits(pattern: &str, path: &str) -> bool {
        let parts: Vec<&[u8]> = path.split('/').map(str::as_bytes).collect();
        Glob::parse(pattern).unwrap().fits(&parts)
    }

    #[test]
    fn a_star_stays_in_its_directory_and_two_do_not() {
        assert!(fits("usr/local/bin/*", "usr/local/bin/hello"));
        assert!(!fits("usr/local/bin/*", "usr/local/bin/sub/hello"));
        assert!(!fits("*", "usr/bin"));
        assert!(fits("home/alice/**", "home/alice/a/b"));
        assert!(!fits("home/alice/**", "home/alice"));
        assert!(fits("etc/**/*.key", "etc/a.key") && fits("etc/**/*.key", "etc/x/y/a.key"));
        assert!(fits("**", "a") && fits("a?c", "abc") && !fits("a?c", "ac"));
        assert!(fits("/etc/motd", "etc/motd") && fits("var/spool/", "var/spool"));
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        for text in ["", "/", "a/../b", "a**", "etc/[ab]", "{a,b}", "a\\*"] {
            assert!(Glob::parse(text).is_err(), "{text}");
        }
    }
}
