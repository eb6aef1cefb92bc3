//! Control data: the paragraphs of `Packages`, `Release`, `status` and of a
//! package's own `control`.
//!
//! <https://www.debian.org/doc/debian-policy/ch-controlfields.html>; deb822(5).
//! A scan that borrows from the text: nothing is copied, and a paragraph's
//! fields are looked for only when asked, so a `Packages` of 56 MB takes as
//! long as finding its blank lines. Lines that are neither a field nor a
//! continuation are passed over, as apt passes over them.
//!
//! Deliberately absent: writing, and comments inside a field's value.

/// One paragraph of control data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stanza<'a> {
    text: &'a str,
}

/// The paragraphs of a text, in order. Empty ones do not occur.
pub fn stanzas(text: &str) -> impl Iterator<Item = Stanza<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = skip_blank_lines(rest);
        if rest.is_empty() {
            return None;
        }
        let end = end_of_paragraph(rest);
        let (paragraph, after) = rest.split_at(end);
        rest = after;
        Some(Stanza { text: paragraph })
    })
}

impl<'a> Stanza<'a> {
    /// The value of a field, without its name in any case and without the
    /// white space around it. The lines of a multi-line value keep the space
    /// that makes them continuations. The first of two equal names counts.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        self.fields().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Every field with its value, in the order they are written.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut rest = self.text;
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                let (field, after) = rest.split_at(end_of_field(rest));
                rest = after;
                if field.starts_with(['#', ' ', '\t']) {
                    continue;
                }
                // A colon further down makes no field of what its first line is not.
                if let Some((name, value)) = field.split_once(':')
                    && !name.contains('\n')
                {
                    return Some((name.trim_end(), value.trim()));
                }
            }
            None
        })
    }

    /// The paragraph as it is written, without the blank line after it.
    pub fn text(&self) -> &'a str {
        self.text
    }
}

/// Skips lines of white space, which separate paragraphs.
fn skip_blank_lines(mut text: &str) -> &str {
    loop {
        let end = line_end(text, 0);
        if end == 0 || !is_blank(&text[..end]) {
            return text;
        }
        text = &text[end..];
    }
}

/// Where the paragraph a text begins with ends: at a blank line or at the end.
fn end_of_paragraph(text: &str) -> usize {
    let mut at = 0;
    loop {
        at = line_end(text, at);
        if at == text.len() || is_blank(&text[at..line_end(text, at)]) {
            return at;
        }
    }
}

/// Where the field a text begins with ends: at a line that does not begin with
/// white space.
fn end_of_field(text: &str) -> usize {
    let mut at = 0;
    loop {
        at = line_end(text, at);
        if !text[at..].starts_with([' ', '\t']) {
            return at;
        }
    }
}

/// Where the line at an offset ends, its line feed included.
fn line_end(text: &str, from: usize) -> usize {
    text[from..].find('\n').map_or(text.len(), |at| from + at + 1)
}

/// Only a line of nothing but white space ends a paragraph.
fn is_blank(line: &str) -> bool {
    line.starts_with(['\n', '\r', ' ', '\t']) && line.trim_ascii().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "\n\nPackage: a\nDescription: short\n long\n .\n more\nSize:5\n \t\nPackage: b\n";

    #[test]
    fn paragraphs_are_split_at_blank_lines() {
        let names: Vec<_> = stanzas(TWO).map(|s| s.field("Package")).collect();
        assert_eq!(names, [Some("a"), Some("b")]);
        assert_eq!(stanzas("").count(), 0);
        assert_eq!(stanzas(" \n\n").count(), 0);
        assert_eq!(stanzas("A: 1\r\n\r\nA: 2").count(), 2);
    }

    #[test]
    fn a_field_is_found_in_any_case_and_keeps_its_lines() {
        let stanza = stanzas(TWO).next().unwrap();
        assert_eq!(stanza.field("description"), Some("short\n long\n .\n more"));
        assert_eq!(stanza.field("SIZE"), Some("5"));
        assert_eq!(stanza.field("long"), None);
        assert_eq!(stanza.fields().count(), 3);
    }

    #[test]
    fn what_is_no_field_is_passed_over() {
        let stanza = stanzas("# Package: no\nnonsense\nPackage: yes\n").next().unwrap();
        assert_eq!(stanza.fields().collect::<Vec<_>>(), [("Package", "yes")]);
    }

    #[test]
    fn no_text_makes_it_panic() {
        for text in [":", "\u{e4}:\n \u{fc}", "a", "\r", "a:\n\n\n b", " a: b"] {
            for stanza in stanzas(text) {
                assert!(stanza.fields().count() <= 1, "{text:?}");
            }
        }
    }
}
