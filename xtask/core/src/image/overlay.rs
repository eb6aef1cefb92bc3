//! A directory that is copied over the root.

use crate::diagnostic::Diagnostic;
use crate::given::{Given, accept};
use crate::location::{At, SourceLocation};
use crate::value::{Glob, GroupName, UserName};

/// A directory of the project that is copied over the root, and what its files are like there.
///
/// Files are root's. Of their modes on the builder's disk only the executable bit counts, since git keeps no other
/// and a umask must not change an image; what else a file is to have, these words say. Below a user's home, files
/// belong to that user.
///
/// A pattern is a path in the directory. `*` stands for any characters but a slash, `?` for one of them, and a part
/// `**` for any number of directories. A mode goes to the files that fit; to directories only where the pattern has no
/// wildcard, or ends with `/`. An owner goes to everything that fits. Of two words for one file, the later one holds.
///
/// ```
/// # use bedplate_core::*;
/// let overlay = Overlay::new("overlay")
///     .mode("etc/agent/*.key", 0o600)
///     .mode("var/spool/drop", 0o1777)
///     .owner("var/lib/agent/**", "agent");
/// ```
#[must_use = "an overlay does nothing until it is given to an image"]
#[derive(Debug, Clone)]
#[doc(alias("ExtraTrees", "SkeletonTrees", "mkosi.extra"))]
pub struct Overlay {
    pub(crate) directory: At<String>,
    /// True for a directory that may lie anywhere on the builder's disk.
    pub(crate) outside: bool,
    pub(crate) rules: Vec<Rule>,
    pub(crate) mistakes: Vec<Diagnostic>,
}

/// What a pattern's files are to have.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) pattern: At<Glob>,
    pub(crate) mode: Option<u32>,
    pub(crate) owner: Option<UserName>,
    pub(crate) group: Option<GroupName>,
}

impl Overlay {
    /// The directory at this path, beside the file that calls this.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let overlay = Overlay::new("overlay").mode("etc/agent/token", 0o600);
    /// ```
    #[track_caller]
    pub fn new(directory: impl Into<String>) -> Self {
        Overlay {
            directory: At { value: directory.into(), at: SourceLocation::caller() },
            outside: false,
            rules: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    /// A directory that is no part of the project: an absolute path, or one that leads out of it.
    ///
    /// What is in it is in no version of the project: two checkouts may make two images.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let vendor = Overlay::outside("/srv/vendor/rootfs");
    /// ```
    #[track_caller]
    pub fn outside(directory: impl Into<String>) -> Self {
        Overlay { outside: true, ..Overlay::new(directory) }
    }

    /// Gives what fits the pattern these permissions: `0o755`, `0o4755` for a program that is set-uid, `0o1777` for a
    /// directory in which everybody may write.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let overlay = Overlay::new("overlay").mode("etc/agent/*.key", 0o600);
    /// ```
    #[track_caller]
    #[doc(alias("chmod", "setuid", "sticky"))]
    pub fn mode(mut self, pattern: impl Given<Glob>, mode: u32) -> Self {
        let pattern = accept(&mut self.mistakes, pattern, &SourceLocation::caller());
        self.rules.extend(pattern.map(|pattern| Rule { mode: Some(mode), ..Rule::of(pattern) }));
        self
    }

    /// Gives what fits the pattern to this user, by name: one of the description's or of a package's.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let overlay = Overlay::new("overlay").owner("var/lib/agent/**", "agent");
    /// ```
    #[track_caller]
    #[doc(alias("chown"))]
    pub fn owner(mut self, pattern: impl Given<Glob>, name: impl Given<UserName>) -> Self {
        let at = SourceLocation::caller();
        let pattern = accept(&mut self.mistakes, pattern, &at);
        let name = accept(&mut self.mistakes, name, &at);
        let rule =
            |(pattern, name): (At<Glob>, At<UserName>)| Rule { owner: Some(name.value), ..Rule::of(pattern) };
        self.rules.extend(pattern.zip(name).map(rule));
        self
    }

    /// Gives what fits the pattern to this group, by name.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let overlay = Overlay::new("overlay").group("etc/agent/token", "agent");
    /// ```
    #[track_caller]
    #[doc(alias("chgrp"))]
    pub fn group(mut self, pattern: impl Given<Glob>, name: impl Given<GroupName>) -> Self {
        let at = SourceLocation::caller();
        let pattern = accept(&mut self.mistakes, pattern, &at);
        let name = accept(&mut self.mistakes, name, &at);
        let rule = |(pattern, name): (At<Glob>, At<GroupName>)| Rule {
            group: Some(name.value),
            ..Rule::of(pattern)
        };
        self.rules.extend(pattern.zip(name).map(rule));
        self
    }
}

impl Rule {
    fn of(pattern: At<Glob>) -> Self {
        Rule { pattern, mode: None, owner: None, group: None }
    }
}

impl From<&str> for Overlay {
    #[track_caller]
    fn from(directory: &str) -> Self {
        Overlay::new(directory)
    }
}

impl From<String> for Overlay {
    #[track_caller]
    fn from(directory: String) -> Self {
        Overlay::new(directory)
    }
}
