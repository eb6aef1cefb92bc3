//! A program that changes the image's tree when it is built.

use crate::location::SourceLocation;

/// A script with its text; made by [`script!`](crate::script!).
#[must_use = "a script does nothing until it is given to an image"]
#[derive(Debug, Clone)]
pub struct Script {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) at: SourceLocation,
}

impl Script {
    /// The script in the file `path`, whose text is `text`.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let script = Script::new("scripts/finish", "#!/bin/sh\nset -e\n");
    /// ```
    #[track_caller]
    pub fn new(path: &str, text: &str) -> Self {
        Script { name: path.to_string(), text: text.to_string(), at: SourceLocation::caller() }
    }
}

/// A script from a file beside the calling one: `script!("scripts/finish")`.
///
/// The text is read by the compiler, so that a missing file does not compile.
#[macro_export]
macro_rules! script {
    ($path:literal) => {
        $crate::Script::new($path, ::core::include_str!($path))
    };
}
