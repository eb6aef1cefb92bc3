//! `sandbox-exec`: the process between the host and the sandbox.
//!
//! It unshares, starts process 1 inside, and waits for two things: word of how the command ended, which it then
//! imitates, or the end of its parent, on which it takes the sandbox down. It watches the parent through a pidfd,
//! because a parent-death signal follows the *thread* that started the child, and that may be a worker's.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, getpid, getppid, kill_process, pidfd_open, setrlimit,
};
use rustix::thread::UnshareFlags;

use super::failure::NO_SANDBOX;
use super::spec::{Ending, Spec};
use super::{INIT, NOT_STARTED, watch};
use crate::host::Way;
use crate::syscall;

pub(super) fn main(arguments: Vec<OsString>) -> ExitCode {
    let ending = match run(&arguments) {
        Ok(ending) => ending,
        Err(error) => Ending::NotStarted(format!("{error:#}")),
    };
    match ending {
        Ending::Exited(code) => ExitCode::from(code),
        Ending::Signalled(signal) => imitate(signal),
        Ending::NotStarted(reason) => {
            complain(&format!("{NO_SANDBOX}{}", reason.replace('\n', " ")));
            ExitCode::from(NOT_STARTED)
        }
    }
}

fn run(arguments: &[OsString]) -> Result<Ending> {
    let started = Instant::now();
    let (argument, argv) = arguments.split_first().context("nothing was asked for")?;
    let argument = argument.to_str().context("what was asked for is not UTF-8")?;
    let mut spec = Spec::from_argument(argument)?;
    // Whoever asks from a program of his own, a test, has no rights yet; this process goes on as another.
    let way = spec.way.map_or_else(crate::host::enter, Ok)?;
    spec.way = Some(way);
    if spec.emulator.as_ref().is_some_and(|emulator| emulator.program.is_some()) {
        crate::host::nest()?;
    }
    let parent = watch_parent(spec.parent)?;
    let told = spec.told.take().and_then(|place| watch::open(&place));

    let mut namespaces =
        UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    if !spec.network {
        namespaces |= UnshareFlags::NEWNET;
    }
    if way != Way::Chroot {
        syscall::unshare(namespaces).context("could not leave the host's namespaces")?;
    }

    let (word, telling) = pipe_with(PipeFlags::empty()).context("could not make a pipe")?;
    rustix::io::fcntl_setfd(&word, rustix::io::FdFlags::CLOEXEC)?;
    let init = Command::new("/proc/self/exe")
        .arg0("sandbox")
        .arg(INIT)
        .arg(telling.as_raw_fd().to_string())
        .arg(spec.to_argument())
        .args(argv)
        .spawn()
        .context("could not start process 1")?;
    drop(telling);
    let ending = wait(init, word, &parent, way)?;
    if let Some(told) = told {
        watch::tell(told, argv, started.elapsed());
    }
    Ok(ending)
}

/// A descriptor that becomes readable when the parent has ended.
fn watch_parent(parent: u32) -> Result<OwnedFd> {
    let parent = i32::try_from(parent).ok().and_then(Pid::from_raw).context("no parent was named")?;
    let watched = pidfd_open(parent, PidfdFlags::empty()).context("the parent has ended")?;
    anyhow::ensure!(getppid() == Some(parent), "the parent has ended");
    Ok(watched)
}

/// Waits until process 1 has told how the command ended, and is gone with all that was inside.
fn wait(mut init: Child, word: OwnedFd, parent: &OwnedFd, way: Way) -> Result<Ending> {
    let mut watched = [PollFd::new(&word, PollFlags::IN), PollFd::new(parent, PollFlags::IN)];
    loop {
        match poll(&mut watched, None) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("could not wait for the sandbox"),
            Ok(_) if !watched[1].revents().is_empty() => {
                if way == Way::Chroot {
                    // It takes down what is inside when nobody listens to it any more.
                    drop(word);
                } else {
                    init.kill().context("could not end the sandbox")?;
                }
                init.wait()?;
                return Ok(Ending::Signalled(Signal::KILL.as_raw()));
            }
            Ok(_) => break,
        }
    }
    let mut text = String::new();
    File::from(word).read_to_string(&mut text).context("could not hear how the command ended")?;
    let status = init.wait().context("could not wait for process 1")?;
    if text.is_empty() {
        return Ok(Ending::NotStarted(format!("process 1 ended early: {status}")));
    }
    serde_json::from_str(&text).context("could not understand how the command ended")
}

/// Ends this process by the signal that ended the command, without a core dump of its own.
fn imitate(signal: i32) -> ExitCode {
    if let Some(signal) = Signal::from_named_raw(signal) {
        syscall::default_action(signal.as_raw());
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        if setrlimit(Resource::Core, none).is_ok() && kill_process(getpid(), signal).is_err() {
            complain("could not end by the command's signal");
        }
    }
    // Real-time signals have no name, and a blocked one does not end us: the shells' convention is left.
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

#[expect(
    clippy::print_stderr,
    reason = "standard error is this process's only way to the one that started it"
)]
pub(super) fn complain(text: &str) {
    eprintln!("{text}");
}
