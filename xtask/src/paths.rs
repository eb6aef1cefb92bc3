//! Paths in messages.

use std::fmt::Display;
use std::path::Path;

/// A path as a person at the prompt would write it: relative to the current
/// directory where it is below it.
pub fn path(path: &(impl AsRef<Path> + ?Sized)) -> impl Display {
    let path = path.as_ref();
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
