//! `sandbox-init`: process 1 of the sandbox.
//!
//! It mounts, changes the root, starts the command, reaps whatever is left to it, and tells the process outside
//! how the command ended. When it exits, the kernel ends everything else inside.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, set_parent_process_death_signal, umask, wait};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

use super::spec::{Ending, Spec};
use super::{chroot, mounts, sync};
use crate::host::Way;
use crate::syscall;

pub(super) fn main(arguments: Vec<OsString>) -> ExitCode {
    let [number, argument, argv @ ..] = arguments.as_slice() else {
        return ExitCode::FAILURE;
    };
    let Some(telling) = telling(number) else {
        return ExitCode::FAILURE;
    };
    let ending = match run(&telling, argument, argv) {
        Ok(ending) => ending,
        Err(error) => Ending::NotStarted(format!("{error:#}")),
    };
    let told = serde_json::to_vec(&ending)
        .map_err(std::io::Error::from)
        .and_then(|text| File::from(telling).write_all(&text));
    if told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The pipe to the process outside, closed in whatever is started from here.
fn telling(number: &OsStr) -> Option<OwnedFd> {
    let telling = syscall::inherited(number.to_str()?.parse().ok()?)?;
    rustix::io::fcntl_setfd(&telling, rustix::io::FdFlags::CLOEXEC).ok()?;
    Some(telling)
}

fn run(telling: &OwnedFd, argument: &OsStr, argv: &[OsString]) -> Result<Ending> {
    let spec = Spec::from_argument(argument.to_str().context("what was asked for is not UTF-8")?)?;
    if spec.way == Some(Way::Chroot) {
        return chroot::run(telling, &spec, argv);
    }
    end_with_parent(telling)?;
    let (program, arguments) = argv.split_first().context("no command was given")?;

    let _registered = mounts::enter(&spec)?;
    rustix::system::sethostname(super::HOSTNAME.as_bytes()).context("could not set the host name")?;
    if !spec.network {
        syscall::loopback_up().context("could not bring up `lo`")?;
    }
    if spec.without_sync {
        sync::ignore().context("could not install the filter for `fsync`")?;
    }
    umask(Mode::WGRP | Mode::WOTH);
    // The kernel and its clock are the host's, and so is what a mount of `binfmt_misc` or `devtmpfs` shows.
    let mounts = spec.without_mounts.then_some(CapabilitySet::SYS_ADMIN);
    for capability in [CapabilitySet::SYS_MODULE, CapabilitySet::SYS_TIME].into_iter().chain(mounts) {
        remove_capability_from_bounding_set(capability).context("could not drop a capability")?;
    }

    std::env::set_current_dir(&spec.directory)
        .with_context(|| format!("could not change to the directory `{}`", spec.directory))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(&spec.environment);
    leave_root(&mut command, &spec.directory)?;
    let command = command.spawn().with_context(|| format!("could not start `{}`", program.display()))?;
    reap(i32::try_from(command.id())?)
}

/// Gives this process another root than the command's.
///
/// systemctl, systemd-detect-virt, udevadm and ischroot compare `/` with `/proc/1/root`, and take themselves to be
/// in a chroot, where no system manager runs, when the two differ. `/proc` is a directory that every sandbox has.
fn leave_root(command: &mut Command, directory: &str) -> Result<()> {
    std::env::set_current_dir("/").context("could not enter the root directory")?;
    enter_current_directory(command, directory)?;
    // The current directory stays the root that the command gets.
    rustix::process::chroot("/proc").context("could not change the root of process 1")
}

/// Gives the command this process's current directory as its root, and the directory `inside` that as its own.
pub(super) fn enter_current_directory(command: &mut Command, inside: &str) -> Result<()> {
    let inside = CString::new(inside).context("the directory has a NUL in its name")?;
    syscall::root_is_current_directory(command, inside);
    Ok(())
}

/// Asks the kernel to end this process with its parent, which may have happened already.
fn end_with_parent(telling: &OwnedFd) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("could not tie process 1 to its parent")?;
    let mut pipe = [PollFd::new(telling, PollFlags::OUT)];
    poll(&mut pipe, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    ensure!(!pipe[0].revents().intersects(PollFlags::ERR | PollFlags::HUP), "the parent has ended");
    Ok(())
}

/// Reaps orphans until the command itself has ended.
pub(super) fn reap(command: i32) -> Result<Ending> {
    loop {
        match wait(WaitOptions::empty()) {
            Err(Errno::INTR) | Ok(None) => {}
            Err(error) => return Err(error).context("could not wait for the command"),
            Ok(Some((process, status))) if Pid::as_raw(Some(process)) == command => {
                if let Some(code) = status.exit_status() {
                    return Ok(Ending::Exited(u8::try_from(code)?));
                }
                if let Some(signal) = status.terminating_signal() {
                    return Ok(Ending::Signalled(signal));
                }
            }
            Ok(Some(_)) => {}
        }
    }
}
