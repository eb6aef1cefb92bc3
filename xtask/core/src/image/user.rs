//! People who may log in.

use crate::diagnostic::Diagnostic;
use crate::given::{Given, accept};
use crate::location::{At, SourceLocation};
use crate::value::{DevicePath, GroupName, SshKey, UserName};

/// A user of the device. Locked: no password lets one in, and none can be
/// written down here, because everyone who has the image has its hash. root is
/// locked, too: in place of mkosi's `RootPassword`, give a user
/// [`User::administrator`] and a [`Login`].
///
/// ```
/// # use bedplate_core::*;
/// let alice = User::new("alice").group("sudo");
/// ```
#[must_use = "a user does nothing until it is given to an image"]
#[derive(Debug, Clone)]
#[doc(alias("RootPassword", "RootShell", "password", "useradd"))]
pub struct User {
    pub(crate) name: Option<At<UserName>>,
    pub(crate) system: bool,
    pub(crate) uid: Option<At<u32>>,
    pub(crate) own_group: Option<At<GroupName>>,
    pub(crate) home: Option<At<DevicePath>>,
    pub(crate) groups: Vec<At<GroupName>>,
    pub(crate) administrator: bool,
    pub(crate) credential: Option<SourceLocation>,
    pub(crate) program: bool,
    pub(crate) keys: Vec<At<SshKey>>,
    pub(crate) mistakes: Vec<Diagnostic>,
}

/// How a user gets in. There is no word for a password.
///
/// ```
/// # use bedplate_core::*;
/// let alice = User::new("alice").administrator().login(Login::Credential);
/// ```
#[derive(Debug, Clone)]
#[doc(alias("password", "Ssh"))]
pub struct Login {
    /// The key; none for those of the credential.
    key: Option<At<SshKey>>,
    credential: bool,
    program: bool,
    mistakes: Vec<Diagnostic>,
}

// The two read as the variants they would be, if one of them could take text or a typed key.
#[expect(non_snake_case, non_upper_case_globals, reason = "reads as the variants of an enum")]
impl Login {
    /// Lets in who has the private half of this ssh key: the line of a `.pub` file.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJl3dIeudNqd0DMROIGqRXZzVvNzQTcP4MbZ2tWv4nKJ alice";
    /// let alice = User::new("alice").login(Login::Key(key));
    /// ```
    #[track_caller]
    pub fn Key(key: impl Given<SshKey>) -> Self {
        let mut mistakes = Vec::new();
        let key = accept(&mut mistakes, key, &SourceLocation::caller());
        Login { key, credential: false, program: false, mistakes }
    }

    /// Lets in who has a key that the device is handed at provisioning: the system
    /// credential `ssh.authorized_keys.NAME`, in the form of an
    /// `authorized_keys` file. Without it the user stays locked.
    /// <https://systemd.io/CREDENTIALS/>
    #[doc(alias("Credentials", "ImportCredential", "provisioning"))]
    pub const Credential: Login = Login { key: None, credential: true, program: false, mistakes: Vec::new() };

    /// Lets a program become the user: an agent, a display manager, a directory service. Nothing is written
    /// for it; a build does not warn that the user has no key.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let session = User::new("ssm-user").administrator().login(Login::Program);
    /// ```
    #[doc(alias("su", "autologin"))]
    pub const Program: Login = Login { key: None, credential: false, program: true, mistakes: Vec::new() };
}

impl User {
    /// A user of this name, with a group of the same name, a home directory
    /// and `bash`.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let alice = User::new("alice").login(Login::Credential);
    /// ```
    #[track_caller]
    pub fn new(name: impl Given<UserName>) -> Self {
        User::of(name, false)
    }

    /// A user that a service runs as, with a group of the same name, and no
    /// shell: nobody logs in as it. It needs an id of its own, because what is
    /// kept belongs to an id, not to a name, and the next version of the image
    /// must find it there.
    ///
    /// It is there before any package is configured, so that a package which
    /// makes this user for itself finds it made.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let agent = User::system("cwagent").uid(990);
    /// ```
    #[track_caller]
    #[doc(alias("sysusers", "adduser"))]
    pub fn system(name: impl Given<UserName>) -> Self {
        User::of(name, true)
    }

    #[track_caller]
    fn of(name: impl Given<UserName>, system: bool) -> Self {
        let mut mistakes = Vec::new();
        let name = accept(&mut mistakes, name, &SourceLocation::caller());
        User {
            name,
            system,
            uid: None,
            own_group: None,
            home: None,
            groups: Vec::new(),
            administrator: false,
            credential: None,
            program: false,
            keys: Vec::new(),
            mistakes,
        }
    }

    /// The home directory: `/home/NAME` unless said, and `/nonexistent` for a
    /// system user, whose home is not made. It may lie on a data partition or
    /// below a bind: the device makes it there, as the image has it.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let alice = User::new("alice").home("/srv/alice");
    /// ```
    #[track_caller]
    pub fn home(mut self, path: impl Given<DevicePath>) -> Self {
        let at = SourceLocation::caller();
        self.home = accept(&mut self.mistakes, path, &at).or(self.home);
        self
    }

    /// Gives the user (and its group) this id; otherwise the next from 1000.
    /// That of a system user is between 100 and 999.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let alice = User::new("alice").uid(1500);
    /// ```
    #[track_caller]
    pub fn uid(mut self, uid: u32) -> Self {
        self.uid = Some(At { value: uid, at: SourceLocation::caller() });
        self
    }

    /// Calls the user's own group so, instead of as the user; its id stays the user's.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let components = User::system("ggc_user").own_group("ggc_group").uid(991);
    /// ```
    #[track_caller]
    pub fn own_group(mut self, name: impl Given<GroupName>) -> Self {
        let at = SourceLocation::caller();
        self.own_group = accept(&mut self.mistakes, name, &at).or(self.own_group);
        self
    }

    /// Puts the user into a group that exists in the image.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let alice = User::new("alice").group("docker");
    /// ```
    #[track_caller]
    pub fn group(mut self, name: impl Given<GroupName>) -> Self {
        let at = SourceLocation::caller();
        self.groups.extend(accept(&mut self.mistakes, name, &at));
        self
    }

    /// Lets the user become root with `sudo`, without a password, since there is none.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let alice = User::new("alice").administrator();
    /// ```
    #[doc(alias("sudo", "NOPASSWD", "wheel"))]
    pub fn administrator(mut self) -> Self {
        self.administrator = true;
        self
    }

    /// Lets the user in this way too.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let alice = User::new("alice").login(Login::Credential);
    /// ```
    #[track_caller]
    #[doc(alias("authorized_keys"))]
    pub fn login(mut self, mut login: Login) -> Self {
        self.mistakes.append(&mut login.mistakes);
        self.keys.extend(login.key);
        self.program |= login.program;
        if login.credential {
            self.credential = Some(SourceLocation::caller());
        }
        self
    }

    /// True when there is a way in.
    pub(crate) fn comes_in(&self) -> bool {
        !self.keys.is_empty() || self.credential.is_some()
    }
}
