//! A file whose text is written in the description.

use crate::diagnostic::Diagnostic;
use crate::given::{Given, accept};
use crate::location::{At, SourceLocation};
use crate::value::{GroupName, UserName};

/// The text of a file, and how the file is to be: whose it is, and who may read or run it.
///
/// Text alone is a file of root's, mode 0644. Below a user's home, a file belongs to that user.
///
/// ```
/// # use bedplate_core::*;
/// # fn of(image: Image) -> Image {
/// image
///     .file("/usr/local/bin/hello", Text::new("#!/bin/sh\necho hello\n").mode(0o755))
///     .file("/etc/agent/token", Text::new("…\n").mode(0o640).group("agent"))
/// # }
/// ```
#[must_use = "a text does nothing until it is given to an image"]
#[derive(Debug, Clone)]
#[doc(alias("ExtraTrees", "chmod", "chown", "install"))]
pub struct Text {
    pub(crate) text: String,
    pub(crate) mode: Option<At<u32>>,
    pub(crate) owner: Option<At<UserName>>,
    pub(crate) group: Option<At<GroupName>>,
    pub(crate) mistakes: Vec<Diagnostic>,
}

impl Text {
    /// A text of a file.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let motd = Text::new("Welcome\n");
    /// ```
    pub fn new(text: impl Into<String>) -> Self {
        Text { text: text.into(), mode: None, owner: None, group: None, mistakes: Vec::new() }
    }

    /// Gives the file these permissions: `0o755` for a program, `0o4755` for one that is set-uid.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let program = Text::new("#!/bin/sh\necho hello\n").mode(0o755);
    /// ```
    #[track_caller]
    #[doc(alias("chmod", "setuid", "executable"))]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(At { value: mode, at: SourceLocation::caller() });
        self
    }

    /// Gives the file to this user, by name: one of the description's or of a package's.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let token = Text::new("…\n").mode(0o600).owner("agent");
    /// ```
    #[track_caller]
    #[doc(alias("chown"))]
    pub fn owner(mut self, name: impl Given<UserName>) -> Self {
        let at = SourceLocation::caller();
        self.owner = accept(&mut self.mistakes, name, &at).or(self.owner);
        self
    }

    /// Gives the file to this group, by name.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let token = Text::new("…\n").mode(0o640).group("agent");
    /// ```
    #[track_caller]
    #[doc(alias("chgrp"))]
    pub fn group(mut self, name: impl Given<GroupName>) -> Self {
        let at = SourceLocation::caller();
        self.group = accept(&mut self.mistakes, name, &at).or(self.group);
        self
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text::new(text)
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Text::new(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text::new(text)
    }
}

/// A file of the description: where it goes, and its text.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) path: At<crate::value::DevicePath>,
    pub(crate) text: Text,
}
