//! An ordinary user with subordinate ids, who exists for one test only. Needs root.
//!
//! He is nobody the host knows: his processes run in a mount namespace in which an overlay puts his lines of
//! `passwd`, `subuid` and `subgid` over `/etc`, so no file of the host is touched. `newuidmap` and `newgidmap`, which a
//! bare machine lacks, are the stand-ins next to this file.
//!
//! ```ignore
//! let user = User::new();
//! let xtask = user.install(Path::new(env!("CARGO_BIN_EXE_xtask")));   // where he may run it
//! let output = user.command(&xtask).args(["image", "edge-debian"]).current_dir(user.home()).output()?;
//! ```

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The id of the user and of his group, which no distribution gives away.
pub const UID: u32 = 64123;
/// Where his subordinate ids begin.
pub const SUBORDINATE: u32 = 2_000_000_000;

/// Puts `$1` over `/etc`, and becomes the user.
const BECOME: &str = r#"set -e
mount -t overlay -o lowerdir="$1":/etc overlay /etc
uid=$2; shift 2
exec setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all "$@""#;

/// The user. His home, with all that is in it, goes when this is dropped.
pub struct User {
    home: TempDir,
}

impl User {
    /// A user with 65536 subordinate ids.
    pub fn new() -> Self {
        Self::with_subordinate(65536)
    }

    /// A user with `count` subordinate ids; with 0 he has no line at all.
    pub fn with_subordinate(count: u32) -> Self {
        let home = tempfile::tempdir().unwrap();
        let etc = home.path().join("etc");
        let bin = home.path().join("bin");
        for directory in [&etc, &bin] {
            fs::create_dir(directory).unwrap();
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let line = format!("tester:x:{UID}:{UID}::{}:/bin/sh\n", home.path().display());
        fs::write(etc.join("passwd"), passwd + &line).unwrap();
        let grant = if count == 0 { String::new() } else { format!("{UID}:{SUBORDINATE}:{count}\n") };
        for file in ["subuid", "subgid"] {
            fs::write(etc.join(file), &grant).unwrap();
        }
        let source = home.path().join("newuidmap.rs");
        fs::write(&source, include_str!("newuidmap.rs")).unwrap();
        let tool = bin.join("newuidmap");
        let compiled =
            Command::new("rustc").args(["--edition", "2024", "-o"]).arg(&tool).arg(&source).status();
        assert!(compiled.unwrap().success(), "rustc failed");
        fs::copy(&tool, bin.join("newgidmap")).unwrap();
        for name in ["newuidmap", "newgidmap"] {
            fs::set_permissions(bin.join(name), PermissionsExt::from_mode(0o4755)).unwrap();
        }
        chown(home.path(), Some(UID), Some(UID)).unwrap();
        Self { home }
    }

    /// His home directory.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Copies a program to where he may run it: the checkout may be closed to him.
    pub fn install(&self, program: &Path) -> PathBuf {
        let installed = self.home().join("bin").join(program.file_name().unwrap());
        fs::copy(program, &installed).unwrap();
        installed
    }

    /// A command that will run as the user.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", BECOME, "sh"])
            .arg(self.home().join("etc"))
            .arg(UID.to_string())
            .arg(program)
            .env("HOME", self.home())
            .env("USER", "tester")
            .env("PATH", format!("{}/bin:/usr/bin:/bin:/usr/sbin:/sbin", self.home().display()))
            .env_remove("XDG_CACHE_HOME")
            .current_dir(self.home());
        command
    }
}
