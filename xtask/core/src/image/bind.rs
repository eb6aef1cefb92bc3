//! A directory that is kept.

use crate::diagnostic::Diagnostic;
use crate::given::{Given, accept};
use crate::place::{At, Place};
use crate::value::DevicePath;

/// A directory of the device that lives on the data partition.
///
/// A plain one starts empty. A seeded one starts with what the packages put
/// there, copied once, on the first boot.
///
/// ```
/// # use bedplate_core::*;
/// let kept = Bind::new("/etc/amazon/ssm").seeded();
/// ```
#[must_use = "a bind does nothing until it is given to an image"]
#[derive(Debug, Clone)]
#[doc(alias("BindPaths", "persistent"))]
pub struct Bind {
    pub(crate) path: Option<At<DevicePath>>,
    pub(crate) seeded: bool,
    pub(crate) mistakes: Vec<Diagnostic>,
}

impl Bind {
    /// Keeps the directory at `path`.
    #[track_caller]
    pub fn new(path: impl Given<DevicePath>) -> Self {
        let mut mistakes = Vec::new();
        let path = accept(&mut mistakes, path, &Place::caller());
        Bind { path, seeded: false, mistakes }
    }

    /// Starts with the packages' content instead of empty.
    #[doc(alias("tmpfiles", "CopyFiles"))]
    pub fn seeded(mut self) -> Self {
        self.seeded = true;
        self
    }
}

impl From<DevicePath> for Bind {
    #[track_caller]
    fn from(path: DevicePath) -> Self {
        Bind::new(path)
    }
}

impl From<&str> for Bind {
    #[track_caller]
    fn from(path: &str) -> Self {
        Bind::new(path)
    }
}
