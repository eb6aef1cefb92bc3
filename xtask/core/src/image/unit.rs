//! A unit written by hand.

use crate::diagnostic::Diagnostic;
use crate::given::accept;
use crate::location::{At, SourceLocation};
use crate::value::UnitName;

/// A unit of systemd's, with its text; made by [`unit!`](crate::unit!).
#[must_use = "a unit does nothing until it is given to an image"]
#[derive(Debug, Clone)]
pub struct Unit {
    pub(crate) name: Option<At<UnitName>>,
    pub(crate) text: String,
    pub(crate) at: SourceLocation,
    pub(crate) mistakes: Vec<Diagnostic>,
}

impl Unit {
    /// The unit in the file `path`, whose text is `text`.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let hello = Unit::new(
    ///     "units/hello.service",
    ///     "[Service]\nExecStart=echo hello\n[Install]\nWantedBy=multi-user.target\n",
    /// );
    /// ```
    #[track_caller]
    pub fn new(path: &str, text: &str) -> Self {
        let at = SourceLocation::caller();
        let mut mistakes = Vec::new();
        let file = path.rsplit('/').next().unwrap_or(path);
        let name = accept(&mut mistakes, file, &at);
        Unit { name, text: text.to_string(), at, mistakes }
    }

    /// The values of `key` in the unit's text, in any section.
    pub(crate) fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.text.lines().filter_map(move |line| {
            let (name, value) = line.trim().split_once('=')?;
            (name.trim_end() == key).then_some(value.trim())
        })
    }
}

/// A unit from a file beside the calling one: `unit!("units/hello.service")`.
///
/// The text is read by the compiler, so that a missing file does not compile.
#[macro_export]
macro_rules! unit {
    ($path:literal) => {
        $crate::Unit::new($path, ::core::include_str!($path))
    };
}
