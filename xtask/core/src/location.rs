//! Where in a description a value was given.

use std::fmt;
use std::panic::Location;

use serde::Serialize;

/// A line of a description: the call that said something.
///
/// Taken with `#[track_caller]`, so the location of `.bind("/greengrass")` is
/// the `bind` in `image/main.rs`, and never a line of this crate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SourceLocation {
    /// The source file as rustc names it: relative to the workspace.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
}

impl SourceLocation {
    /// The location of the outermost caller that is not `#[track_caller]` itself.
    #[track_caller]
    #[must_use]
    pub fn caller() -> Self {
        let location = Location::caller();
        SourceLocation { file: normal(location.file()), line: location.line(), column: location.column() }
    }

    /// `path` as it is meant at this location: beside its file. An absolute path is meant as it is.
    #[must_use]
    pub fn beside(&self, path: &str) -> String {
        match self.file.rsplit_once('/').filter(|_| !path.starts_with('/')) {
            Some((directory, _)) => normal(&format!("{directory}/{path}")),
            None => normal(path),
        }
    }
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A value, and where it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) at: SourceLocation,
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
        let place = SourceLocation { file: "image/main.rs".into(), line: 1, column: 1 };
        assert_eq!(place.beside("overlay"), "image/overlay");
        assert_eq!(place.beside("../shared"), "shared");
        assert_eq!(place.beside("/srv/keys/./vendor.asc"), "/srv/keys/vendor.asc");
        let top = SourceLocation { file: "main.rs".into(), line: 1, column: 1 };
        assert_eq!(top.beside("overlay"), "overlay");
    }
}
