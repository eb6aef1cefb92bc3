//! Where in a description a word was said.

use std::fmt;
use std::panic::Location;

use serde::Serialize;

/// A line of a description: the call that said something.
///
/// Taken with `#[track_caller]`, so the place of `.bind("/greengrass")` is
/// the `bind` in `image/main.rs`, and never a line of this crate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The source file as rustc names it: relative to the workspace.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
}

impl Place {
    /// The place of the outermost caller that is not `#[track_caller]` itself.
    #[track_caller]
    #[must_use]
    pub fn caller() -> Self {
        let location = Location::caller();
        Place { file: normal(location.file()), line: location.line(), column: location.column() }
    }

    /// `path` as it is meant in this place: beside the file that says it. An absolute path is meant as it is.
    #[must_use]
    pub fn beside(&self, path: &str) -> String {
        match self.file.rsplit_once('/').filter(|_| !path.starts_with('/')) {
            Some((directory, _)) => normal(&format!("{directory}/{path}")),
            None => normal(path),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A value and the place that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) at: Place,
}

/// `tests/../image/main.rs` is `image/main.rs`: a description that a test
/// includes by `#[path]` says the same as one that is compiled by itself.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            "" if !parts.is_empty() => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_through_a_test_is_the_path_itself() {
        assert_eq!(normal("tests/../image/main.rs"), "image/main.rs");
        assert_eq!(normal("/home/me/image/main.rs"), "/home/me/image/main.rs");
        assert_eq!(normal("../other/main.rs"), "../other/main.rs");
    }

    #[test]
    fn an_overlay_lies_beside_the_file_that_names_it() {
        let place = Place { file: "image/main.rs".into(), line: 1, column: 1 };
        assert_eq!(place.beside("overlay"), "image/overlay");
        assert_eq!(place.beside("../shared"), "shared");
        assert_eq!(place.beside("/srv/keys/./vendor.asc"), "/srv/keys/vendor.asc");
        let top = Place { file: "main.rs".into(), line: 1, column: 1 };
        assert_eq!(top.beside("overlay"), "overlay");
    }
}
