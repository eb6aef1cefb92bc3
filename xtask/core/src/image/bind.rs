//! What survives a reboot.

use serde::Serialize;

use crate::diagnostic::Diagnostic;
use crate::given::{Given, accept};
use crate::location::{At, SourceLocation};
use crate::value::{DevicePath, GroupName, UnitName, UserName};

/// A directory or a file that is kept on the data partition and mounted where programs look for it.
///
/// Nothing on it is executed unless said: it is mounted `nosuid,nodev,noexec`.
///
/// ```
/// # use bedplate_core::*;
/// let ssm = Bind::new("/etc/amazon/ssm").seeded().required_by("amazon-ssm-agent.service");
/// let docker = Bind::new("/var/lib/docker").mode(0o710).executable().required_by("docker.service");
/// ```
#[must_use = "a bind does nothing until it is given to an image"]
#[derive(Debug, Clone)]
#[doc(alias("BindPaths", "persistent"))]
pub struct Bind {
    pub(crate) path: Option<At<DevicePath>>,
    pub(crate) kind: BindKind,
    pub(crate) seeded: bool,
    pub(crate) empty: bool,
    pub(crate) mode: Option<At<u32>>,
    pub(crate) owner: Option<At<UserName>>,
    pub(crate) group: Option<At<GroupName>>,
    pub(crate) executable: Option<SourceLocation>,
    pub(crate) required_by: Vec<At<UnitName>>,
    pub(crate) mistakes: Vec<Diagnostic>,
}

impl Bind {
    /// Keeps a directory, empty on the first day, with the owner and mode that its package or its user gave it. A
    /// user's home starts as in the image.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let components = Bind::new("/greengrass");
    /// ```
    #[track_caller]
    pub fn new(path: impl Given<DevicePath>) -> Self {
        Bind::of(path, BindKind::Directory)
    }

    /// Keeps one file, empty on the first day. For a program that writes its
    /// file in place: one that renames a new file over it finds the place busy.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let serial = Bind::file("/etc/serial").mode(0o644);
    /// ```
    #[track_caller]
    pub fn file(path: impl Given<DevicePath>) -> Self {
        Bind::of(path, BindKind::File)
    }

    #[track_caller]
    fn of(path: impl Given<DevicePath>, kind: BindKind) -> Self {
        let mut mistakes = Vec::new();
        let path = accept(&mut mistakes, path, &SourceLocation::caller());
        Bind {
            path,
            kind,
            seeded: false,
            empty: false,
            mode: None,
            owner: None,
            group: None,
            executable: None,
            required_by: Vec::new(),
            mistakes,
        }
    }

    /// Copies what the packages have there to the data partition, once, with its modes and owners.
    /// What the device changes stays changed; a later version of the image does not overwrite it.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let settings = Bind::new("/etc/amazon/ssm").seeded();
    /// ```
    #[doc(alias("tmpfiles", "CopyFiles"))]
    pub fn seeded(mut self) -> Self {
        (self.seeded, self.empty) = (true, false);
        self
    }

    /// Starts the directory empty although the image has files in its place: they stay in the image, and nobody sees them.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let samples = Bind::new("/srv/samples").empty();
    /// ```
    pub fn empty(mut self) -> Self {
        (self.seeded, self.empty) = (false, true);
        self
    }

    /// Gives what is kept these permissions when it is made; those of its place in the image unless said.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let docker = Bind::new("/var/lib/docker").mode(0o710);
    /// ```
    #[track_caller]
    #[doc(alias("chmod", "DirectoryMode"))]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(At { value: mode, at: SourceLocation::caller() });
        self
    }

    /// Gives what is kept to this user when it is made; the owner of its place in the image unless said.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let mail = Bind::new("/srv/mail").owner("vmail").group("vmail");
    /// ```
    #[track_caller]
    #[doc(alias("chown", "User"))]
    pub fn owner(mut self, name: impl Given<UserName>) -> Self {
        let at = SourceLocation::caller();
        self.owner = accept(&mut self.mistakes, name, &at).or(self.owner);
        self
    }

    /// Gives what is kept to this group when it is made; that of its place in the image unless said.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let mail = Bind::new("/srv/mail").owner("vmail").group("vmail");
    /// ```
    #[track_caller]
    #[doc(alias("chgrp", "Group"))]
    pub fn group(mut self, name: impl Given<GroupName>) -> Self {
        let at = SourceLocation::caller();
        self.group = accept(&mut self.mistakes, name, &at).or(self.group);
        self
    }

    /// Lets programs that lie in it be started.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let components = Bind::new("/greengrass").executable();
    /// ```
    #[track_caller]
    #[doc(alias("noexec", "exec"))]
    pub fn executable(mut self) -> Self {
        self.executable = Some(SourceLocation::caller());
        self
    }

    /// Does not let the unit start on a device whose data is lost: it would begin anew, in memory.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let docker = Bind::new("/var/lib/docker").required_by("docker.service");
    /// ```
    #[track_caller]
    #[doc(alias("RequiresMountsFor", "RequiredBy"))]
    pub fn required_by(mut self, unit: impl Given<UnitName>) -> Self {
        let at = SourceLocation::caller();
        self.required_by.extend(accept(&mut self.mistakes, unit, &at));
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

/// A directory or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BindKind {
    /// A directory.
    Directory,
    /// A file.
    File,
}
