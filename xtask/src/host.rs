//! The rights the engine needs on the host, and how an ordinary user gets them.
//!
//! An image holds files of many owners, so the engine has to see itself as root with all of the first 65536 ids.
//! As root there is nothing to do. As an ordinary user the program replaces itself by itself inside a user
//! namespace, in which root is the user and all other ids are the subordinate ids the administrator gave him:
//! <https://man7.org/linux/man-pages/man5/subuid.5.html>. It stays the same process, so signals, exit codes and
//! the terminal need no care. Files of other owners made inside belong to subordinate ids outside: only a
//! process inside (any verb after [`enter`]) can remove them.
//!
//! Deliberately absent so far: root without CAP_SYS_ADMIN, as in an unprivileged container.

mod ids;
mod missing;

use std::env;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{getegid, geteuid};
use rustix::thread::UnshareFlags;

pub use self::ids::{IdRange, WANTED, free_range, ranges};
pub use self::missing::{Facts, Missing};
use crate::syscall;

/// Set in the environment of a process that [`enter`] has put into a user namespace.
const INSIDE: &str = "BEDPLATE_USER_NAMESPACE";
/// The bit of CAP_SYS_ADMIN in `/proc/self/status`.
const SYS_ADMIN: u32 = 21;

/// Makes sure that this process may mount and may give files any owner.
///
/// As an ordinary user it does not return on success: the program starts anew, with the same arguments, inside a
/// user namespace, where this function then has nothing to do. To be called before any thread is started (progress
/// bars, a handler of Ctrl-C, rayon) and before anything is done that must not be done twice.
///
/// # Errors
///
/// When the host lacks something, with all that is lacking and the command that mends each; when root has no
/// CAP_SYS_ADMIN; when the kernel refuses the namespace.
pub fn enter() -> Result<()> {
    if geteuid().is_root() {
        let status = fs_err::read_to_string("/proc/self/status")?;
        ensure!(
            has_sys_admin(&status),
            "root here has no CAP_SYS_ADMIN, so it cannot mount: building in such a container is not supported yet; \
             run it with `--cap-add SYS_ADMIN`, or build as an ordinary user"
        );
        return Ok(());
    }
    ensure!(env::var_os(INSIDE).is_none(), "the user namespace was entered, but its root is somebody else");

    let facts = Facts::gather();
    let missing = facts.missing();
    if !missing.is_empty() {
        let list: Vec<String> = missing.iter().map(|problem| format!("\n  {problem}")).collect();
        bail!("this host is not ready for building as the user `{}`:{}", facts.user, list.concat());
    }
    enter_user_namespace(&facts)
}

/// Whether this process runs in a user namespace that [`enter`] made.
#[must_use]
pub fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

pub(crate) fn has_sys_admin(status: &str) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & (1 << SYS_ADMIN) != 0)
}

fn enter_user_namespace(facts: &Facts) -> Result<()> {
    let own = std::process::id().to_string();
    let mut mapping = Vec::new();
    for (tool, id, file) in [
        ("newuidmap", geteuid().as_raw(), facts.subuid.as_deref()),
        ("newgidmap", getegid().as_raw(), facts.subgid.as_deref()),
    ] {
        let granted = ranges(file.unwrap_or_default(), &facts.user, facts.uid);
        let map: Vec<String> = ids::map(id, &granted).iter().map(ToString::to_string).collect();
        mapping.push(format!("{tool} {own} {}", map.join(" ")));
    }

    // Only a process outside may write the maps, through the two set-user-ID tools. It is started while we are
    // still outside ourselves, and waits for a line.
    let mut helper = Command::new("sh")
        .args(["-c", &format!("read -r _ && {}", mapping.join(" && "))])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("could not start `sh`")?;
    let entered = syscall::unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)
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

    let mut arguments = env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let error = command.args(arguments).env(INSIDE, "1").exec();
    Err(error).context("could not start anew inside the user namespace")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sys_admin_is_read_from_the_effective_set() {
        assert!(has_sys_admin("CapPrm:\t0\nCapEff:\t000001ffffffffff\n"));
        assert!(!has_sys_admin("CapPrm:\t000001ffffffffff\nCapEff:\t00000000a80425fb\n"));
        assert!(!has_sys_admin(""));
    }
}
