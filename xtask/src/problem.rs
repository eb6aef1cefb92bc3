//! A failed effect that one line of the description is answerable for.

use bedplate_core::{Diagnostic, Place};

/// What could not be done, where the description asked for it, and what helps.
///
/// It travels as an [`anyhow::Error`]; [`crate::report`] draws the line.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// What was attempted, on what, and why it failed.
    pub message: String,
    /// The call in `main.rs` that asked for it.
    pub at: Option<Place>,
    /// What to do about it.
    pub help: String,
}

impl Problem {
    /// As the mistakes of a description are shown.
    pub fn diagnostic(&self) -> Diagnostic {
        let diagnostic = Diagnostic::new("", &self.message).help(&self.help);
        match &self.at {
            Some(place) => diagnostic.at(place),
            None => diagnostic,
        }
    }
}

/// The name that was probably meant: the nearest by edits, when near enough.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = wanted.len() / 3 + 1;
    names
        .into_iter()
        .map(|name| (distance(wanted.as_bytes(), name.as_bytes()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance, in bytes.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, &left) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name() {
        let names = ["docker.io", "dbus", "udev"];
        assert_eq!(nearest("dokcer.io", names), Some("docker.io"));
        assert_eq!(nearest("zzzzzz", names), None);
    }
}
