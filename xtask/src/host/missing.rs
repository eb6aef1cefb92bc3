//! What a host may lack for building as an ordinary user, each with the command that mends it.
//!
//! The facts are gathered first and judged by a pure function, so that every host can be played in a test.

use std::env;
use std::fmt;
use std::fs;
use std::path::Path;

use rustix::process::geteuid;

use super::ids::{WANTED, free_range, ranges};

/// What is known of the host. A file that does not exist is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The user's name, as `/etc/passwd` has it.
    pub user: String,
    /// The user's id.
    pub uid: u32,
    /// `/etc/subuid`.
    pub subuid: Option<String>,
    /// `/etc/subgid`.
    pub subgid: Option<String>,
    /// Which of `newuidmap` and `newgidmap` are not in `PATH`.
    pub missing_tools: Vec<&'static str>,
    /// Whether the host has `apt-get`, for advice.
    pub has_apt: bool,
    /// `/proc/sys/user/max_user_namespaces`.
    pub max_user_namespaces: Option<String>,
    /// `/proc/sys/kernel/unprivileged_userns_clone`, which only Debian's kernels have.
    pub unprivileged_userns_clone: Option<String>,
    /// `/proc/sys/kernel/apparmor_restrict_unprivileged_userns`, which Ubuntu's kernels have since 23.10.
    pub apparmor_restriction: Option<String>,
    /// `/proc/self/attr/current`: the AppArmor profile this program runs under.
    pub apparmor_profile: Option<String>,
}

/// Something the host lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The kernel makes no user namespaces, because of this setting.
    NoUserNamespaces {
        /// The sysctl's name.
        setting: &'static str,
        /// The value that mends it.
        wanted: u32,
    },
    /// AppArmor takes the rights from user namespaces of unprivileged programs.
    AppArmor,
    /// A program is not installed.
    NoTools {
        /// Their names.
        missing: Vec<&'static str>,
        /// Whether it can be installed with apt.
        has_apt: bool,
    },
    /// The user has too few subordinate ids, or none.
    TooFewIds {
        /// `/etc/subuid` or `/etc/subgid`.
        file: &'static str,
        /// How many there are.
        found: u32,
        /// The command that grants more.
        command: String,
    },
}

impl Facts {
    /// Looks at this host, for the user this process runs as.
    #[must_use]
    pub fn gather() -> Self {
        let uid = geteuid().as_raw();
        let read = |path: &str| fs::read_to_string(path).ok();
        let user = read("/etc/passwd")
            .and_then(|passwd| user_name(&passwd, uid))
            .or_else(|| env::var("USER").ok())
            .unwrap_or_else(|| uid.to_string());
        Self {
            user,
            uid,
            subuid: read("/etc/subuid"),
            subgid: read("/etc/subgid"),
            missing_tools: ["newuidmap", "newgidmap"].into_iter().filter(|tool| !in_path(tool)).collect(),
            has_apt: in_path("apt-get"),
            max_user_namespaces: read("/proc/sys/user/max_user_namespaces"),
            unprivileged_userns_clone: read("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor_restriction: read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            apparmor_profile: read("/proc/self/attr/current"),
        }
    }

    /// All that is lacking, the kernel's part first.
    #[must_use]
    pub fn missing(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        let is = |value: &Option<String>, text: &str| value.as_deref().map(str::trim) == Some(text);
        if is(&self.max_user_namespaces, "0") {
            missing.push(Missing::NoUserNamespaces { setting: "user.max_user_namespaces", wanted: 15000 });
        }
        if is(&self.unprivileged_userns_clone, "0") {
            missing
                .push(Missing::NoUserNamespaces { setting: "kernel.unprivileged_userns_clone", wanted: 1 });
        }
        // A program with a profile of its own is not restricted, unless by that.
        let unconfined =
            self.apparmor_profile.as_deref().is_none_or(|profile| profile.trim() == "unconfined");
        if is(&self.apparmor_restriction, "1") && unconfined {
            missing.push(Missing::AppArmor);
        }
        if !self.missing_tools.is_empty() {
            missing.push(Missing::NoTools { missing: self.missing_tools.clone(), has_apt: self.has_apt });
        }
        missing.extend(self.too_few("/etc/subuid", self.subuid.as_deref(), "--add-subuids"));
        missing.extend(self.too_few("/etc/subgid", self.subgid.as_deref(), "--add-subgids"));
        missing
    }

    fn too_few(&self, file: &'static str, text: Option<&str>, option: &str) -> Option<Missing> {
        let granted = ranges(text.unwrap_or_default(), &self.user, self.uid);
        let found = granted.iter().fold(0_u32, |sum, range| sum.saturating_add(range.count));
        let both = [self.subuid.as_deref().unwrap_or_default(), self.subgid.as_deref().unwrap_or_default()];
        let free = free_range(&both);
        let last = free.start.saturating_add(free.count - 1);
        let command = format!("sudo usermod {option} {}-{last} {}", free.start, self.user);
        (found < WANTED).then_some(Missing::TooFewIds { file, found, command })
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUserNamespaces { setting, wanted } => write!(
                formatter,
                "user namespaces are switched off (`{setting}` is 0): run `sudo sysctl -w {setting}={wanted}`"
            ),
            Self::AppArmor => write!(
                formatter,
                "AppArmor takes the rights from user namespaces: run \
                 `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, and to keep it, write that \
                 setting to `/etc/sysctl.d/60-bedplate.conf`"
            ),
            Self::NoTools { missing, has_apt } => {
                let install =
                    if *has_apt { "sudo apt-get install uidmap" } else { "sudo dnf install shadow-utils" };
                let (names, verb) = (missing.join("` and `"), if missing.len() == 1 { "is" } else { "are" });
                write!(formatter, "`{names}` {verb} not installed: run `{install}`")
            }
            Self::TooFewIds { file, found: 0, command } => {
                write!(formatter, "`{file}` grants no ids to the user: run `{command}`")
            }
            Self::TooFewIds { file, found, command } => write!(
                formatter,
                "`{file}` grants {found} ids to the user, and {WANTED} are needed: run `{command}`"
            ),
        }
    }
}

/// The name `passwd` has for a user id.
fn user_name(passwd: &str, uid: u32) -> Option<String> {
    passwd
        .lines()
        .find(|line| line.split(':').nth(2).and_then(|field| field.parse().ok()) == Some(uid))
        .and_then(|line| line.split(':').next())
        .map(str::to_owned)
}

fn in_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| {
        env::split_paths(&path).any(|directory| Path::new(&directory).join(program).is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host that lacks nothing.
    fn ready() -> Facts {
        Facts {
            user: "ann".to_owned(),
            uid: 1000,
            subuid: Some("ann:100000:65536\n".to_owned()),
            subgid: Some("1000:100000:65536\n".to_owned()),
            has_apt: true,
            max_user_namespaces: Some("96365\n".to_owned()),
            apparmor_restriction: Some("0\n".to_owned()),
            apparmor_profile: Some("unconfined\n".to_owned()),
            ..Facts::default()
        }
    }

    fn text(facts: &Facts) -> Vec<String> {
        facts.missing().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_ready_host_lacks_nothing() {
        assert_eq!(text(&ready()), [""; 0]);
    }

    #[test]
    fn missing_ids_are_named_with_a_free_range() {
        let facts = Facts { subuid: None, subgid: Some("bob:100000:65536\n".to_owned()), ..ready() };
        assert_eq!(
            text(&facts),
            [
                "`/etc/subuid` grants no ids to the user: run `sudo usermod --add-subuids 165536-231071 ann`",
                "`/etc/subgid` grants no ids to the user: run `sudo usermod --add-subgids 165536-231071 ann`",
            ]
        );
    }

    #[test]
    fn a_small_range_is_too_small() {
        let facts = Facts { subuid: Some("ann:100000:1000\n".to_owned()), ..ready() };
        assert_eq!(
            text(&facts),
            ["`/etc/subuid` grants 1000 ids to the user, and 65535 are needed: \
              run `sudo usermod --add-subuids 165536-231071 ann`"]
        );
    }

    #[test]
    fn missing_tools_are_named_with_their_package() {
        let facts = Facts { missing_tools: vec!["newuidmap", "newgidmap"], ..ready() };
        let expected = "`newuidmap` and `newgidmap` are not installed: run `sudo apt-get install uidmap`";
        assert_eq!(text(&facts), [expected]);
        let facts = Facts { missing_tools: vec!["newgidmap"], has_apt: false, ..ready() };
        assert_eq!(text(&facts), ["`newgidmap` is not installed: run `sudo dnf install shadow-utils`"]);
    }

    #[test]
    fn switched_off_namespaces_are_noticed() {
        let facts = Facts { max_user_namespaces: Some("0\n".to_owned()), ..ready() };
        assert_eq!(
            text(&facts),
            ["user namespaces are switched off (`user.max_user_namespaces` is 0): \
              run `sudo sysctl -w user.max_user_namespaces=15000`"]
        );
        let facts = Facts { unprivileged_userns_clone: Some("0\n".to_owned()), ..ready() };
        assert_eq!(facts.missing().len(), 1);
    }

    #[test]
    fn apparmors_restriction_is_noticed_unless_the_program_has_a_profile() {
        let facts = Facts { apparmor_restriction: Some("1\n".to_owned()), ..ready() };
        assert_eq!(facts.missing(), [Missing::AppArmor]);
        let facts = Facts { apparmor_profile: Some("bedplate (unconfined)\n".to_owned()), ..facts };
        assert_eq!(facts.missing(), []);
    }

    #[test]
    fn the_user_is_named_as_passwd_names_him() {
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(user_name(passwd, 1000), Some("ann".to_owned()));
        assert_eq!(user_name(passwd, 1001), None);
    }
}
