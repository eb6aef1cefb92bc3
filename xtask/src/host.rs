//! The rights the engine needs on the host, and how an ordinary user gets them.
//!
//! An image holds files of many owners, so the engine has to see itself as root with all of the first 65536 ids.
//! As root there is nothing to do. As an ordinary user the program replaces itself by itself inside a user
//! namespace, in which root is the user and all other ids are the subordinate ids the administrator gave him:
//! <https://man7.org/linux/man-pages/man5/subuid.5.html>. It stays the same process, so signals, exit codes and
//! the terminal need no care. Files of other owners made inside belong to subordinate ids outside: only a
//! process inside (any verb after [`enter`]) can remove them.
//!
//! Root in a container may lack the right to mount. It has a user namespace of its own where that is allowed, with the
//! container's ids; else the sandbox does with `chroot`, which needs what [`CHROOT`] names.

mod ids;
mod missing;

use std::env;
use std::fmt;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{getegid, geteuid};
use rustix::thread::{CapabilitySet, UnshareFlags};
use serde::{Deserialize, Serialize};

pub use self::ids::{IdRange, WANTED, free_range, ranges};
pub use self::missing::{Facts, Missing};
use crate::syscall;

/// Set in the environment of a process that [`enter`] has put into a user namespace.
const INSIDE: &str = "BEDPLATE_USER_NAMESPACE";

/// What an unprivileged container must leave to root.
const CHROOT: [(CapabilitySet, &str); 9] = [
    (CapabilitySet::CHOWN, "CHOWN"),
    (CapabilitySet::DAC_OVERRIDE, "DAC_OVERRIDE"),
    (CapabilitySet::FOWNER, "FOWNER"),
    (CapabilitySet::KILL, "KILL"),
    (CapabilitySet::MKNOD, "MKNOD"),
    (CapabilitySet::SETFCAP, "SETFCAP"),
    (CapabilitySet::SETGID, "SETGID"),
    (CapabilitySet::SETUID, "SETUID"),
    (CapabilitySet::SYS_CHROOT, "SYS_CHROOT"),
];

/// How foreign programs are shut in, the first that the host allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// Namespaces, by the rights of root.
    Root,
    /// Namespaces, in a user namespace.
    UserNamespace,
    /// `chroot` alone, and a supervisor.
    Chroot,
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Root => "as root",
            Self::UserNamespace => "in a user namespace",
            Self::Chroot => "under chroot alone, since this container may not mount",
        })
    }
}

/// What [`enter`] has found.
static ENTERED: OnceLock<Way> = OnceLock::new();

/// The way that [`enter`] has found in this process: trying costs a process each time.
pub(crate) fn entered() -> Option<Way> {
    ENTERED.get().copied()
}

/// Makes sure that this process may give files any owner and shut programs in.
///
/// Where it takes a user namespace, it does not return on success: the program starts anew, with the same arguments,
/// inside one, where this function then has nothing to do. To be called before any thread is started (progress bars, a
/// handler of Ctrl-C, rayon) and before anything is done that must not be done twice.
///
/// # Errors
///
/// When the host lacks something, with all that is lacking and the command that mends each; when root has neither the
/// right to mount nor what `chroot` needs; when the kernel refuses the namespace.
pub fn enter() -> Result<Way> {
    if geteuid().is_root() {
        let way = enter_as_root()?;
        return Ok(*ENTERED.get_or_init(|| way));
    }
    ensure!(!is_inside(), "the user namespace was entered, but its root is somebody else");

    let facts = Facts::gather();
    let missing = facts.missing();
    if !missing.is_empty() {
        let list: Vec<String> = missing.iter().map(|problem| format!("\n  {problem}")).collect();
        bail!("this host is not ready for building as the user `{}`:{}", facts.user, list.concat());
    }
    let own = std::process::id();
    let mut mapping = Vec::new();
    for (tool, id, file) in [
        ("newuidmap", geteuid().as_raw(), facts.subuid.as_deref()),
        ("newgidmap", getegid().as_raw(), facts.subgid.as_deref()),
    ] {
        let granted = ranges(file.unwrap_or_default(), &facts.user, facts.uid);
        let map: Vec<String> = ids::map(id, &granted).iter().map(ToString::to_string).collect();
        mapping.push(format!("{tool} {own} {}", map.join(" ")));
    }
    enter_user_namespace(&mapping.join(" && "))
}

fn enter_as_root() -> Result<Way> {
    if syscall::can_mount(UnshareFlags::NEWNS) {
        return Ok(if is_inside() { Way::UserNamespace } else { Way::Root });
    }
    let mut all = true;
    for file in ["/proc/self/uid_map", "/proc/self/gid_map"] {
        let count = ids::mapped(&fs_err::read_to_string(file)?);
        ensure!(
            count > WANTED,
            "this container has {count} ids, and {} are needed for the files of an image: give it more \
             (`{file}`; Podman takes them from `/etc/subuid` and `/etc/subgid`)",
            WANTED + 1
        );
        all &= count == u32::MAX;
    }
    if !is_inside() && syscall::can_mount(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) {
        let own = std::process::id();
        let map = |kind: &str| format!("echo 0 0 {} > /proc/{own}/{kind}_map", WANTED + 1);
        return enter_user_namespace(&format!("{} && {}", map("uid"), map("gid")));
    }
    ensure!(
        all,
        "root here is root of a user namespace, in which `chroot` has no devices, and may make no other one: run the \
         container with `--security-opt seccomp=unconfined`"
    );
    let has = rustix::thread::capabilities(None)
        .context("could not ask for this process's capabilities")?
        .effective;
    let lacking: Vec<&str> =
        CHROOT.iter().filter(|(capability, _)| !has.contains(*capability)).map(|(_, name)| *name).collect();
    ensure!(
        lacking.is_empty(),
        "root here may not mount, nor make a user namespace, and has not what `chroot` needs: run the container with \
         `--cap-add {}`",
        lacking.join(" --cap-add ")
    );
    Ok(Way::Chroot)
}

/// Whether this process runs in a user namespace that [`enter`] made.
#[must_use]
pub fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Whether this process may mount.
pub(crate) fn may_mount() -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// `mapping` is a command that writes the maps of this process.
fn enter_user_namespace(mapping: &str) -> Result<Way> {
    unshare_mapped(UnshareFlags::NEWUSER | UnshareFlags::NEWNS, mapping)?;

    let mut arguments = env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let error = command.args(arguments).env(INSIDE, "1").exec();
    Err(error).context("could not start anew inside the user namespace")
}

/// Puts this process into one more user namespace, with all ids of the one it is in, in which it stays root. To be
/// called by a process of a single thread.
///
/// # Errors
/// The kernel refuses it.
pub(crate) fn nest() -> Result<()> {
    let own = std::process::id();
    let mut mapping = Vec::new();
    for file in ["uid_map", "gid_map"] {
        let map = ids::same(&fs_err::read_to_string(format!("/proc/self/{file}"))?);
        // The kernel takes a map in one write alone.
        mapping.push(format!("printf '{map}' >/proc/{own}/{file}"));
    }
    unshare_mapped(UnshareFlags::NEWUSER, &mapping.join(" && "))
}

/// Leaves namespaces, the user's among them, and has the new one's ids mapped by a shell command.
///
/// Only a process outside may write the maps. It is started while we are still outside ourselves, and waits for a line.
fn unshare_mapped(namespaces: UnshareFlags, mapping: &str) -> Result<()> {
    let mut helper = Command::new("sh")
        .args(["-c", &format!("read -r _ && {mapping}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("could not start `sh`")?;
    let entered = syscall::unshare(namespaces)
        .context("could not make a user namespace (in a container, its seccomp profile may forbid it)");
    if let (Ok(()), Some(stdin)) = (&entered, &mut helper.stdin) {
        stdin.write_all(b"go\n").context("could not ask for the id maps")?;
    }
    let output = helper.wait_with_output().context("could not wait for the id maps")?;
    entered?;
    ensure!(
        output.status.success(),
        "could not write the id maps of the user namespace: {}",
        String::from_utf8_lossy(&output.stderr).trim().replace('\n', ": ")
    );
    Ok(())
}
