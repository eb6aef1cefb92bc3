//! A sandbox for root in a container that may neither mount nor make namespaces: `chroot`, and a supervisor.
//!
//! Docker's containers are such, unless they are privileged: no CAP_SYS_ADMIN, and a seccomp filter that refuses
//! `mount`, `unshare` and their like. What they have is `chroot`, device nodes, and files of any owner.
//!
//! * `/dev`, `/run` and `/tmp` are directories that are put into the root and taken away again ([`root`]).
//! * `/proc`, `/sys` and directories of the host that are written to are not below the root: a [supervisor](supervise)
//!   opens files there for whoever asks, and answers `uname` and `connect` as the other sandboxes do.
//! * What is left running ends with the command, since this process is its heir.
//!
//! Deliberately absent: whatever needs to be somewhere else in earnest, such as a current directory in `/proc`. It is
//! an error that names the program. Not seen is `/proc` by programs of another architecture than this one's, and by a
//! process that has become another user and not started a program since: nobody may look into its memory.

mod root;
mod shapes;
mod supervise;

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use libc::sock_filter;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, umask, wait};

use self::root::Root;
use self::supervise::Supervisor;
use super::spec::{Ending, Spec};
use super::{init, sync};
use crate::syscall;

/// Runs the command to its end. The other end of `telling` is held by the process whose end ends the sandbox.
pub(super) fn run(telling: &OwnedFd, spec: &Spec, argv: &[OsString]) -> Result<Ending> {
    let (program, arguments) = argv.split_first().context("no command was given")?;
    set_child_subreaper(Some(rustix::process::getpid())).context("could not become the heir of orphans")?;
    let root = Root::new(spec)?;
    let led = spec.binds.iter().filter(|bind| root::is_led(bind));
    // The supervisor has another current directory than the one that these are named in.
    let led = led.map(|bind| Ok((bind.inside.clone(), std::path::absolute(&bind.host)?)));
    let supervisor = Arc::new(Supervisor {
        root: root.path.clone(),
        shown: led.collect::<Result<_>>()?,
        network: spec.network,
        impossible: Mutex::new(None),
        is_over: AtomicBool::new(false),
    });
    umask(Mode::WGRP | Mode::WOTH);
    std::env::set_current_dir(&root.path).context("could not enter the root directory")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(&spec.environment);
    init::enter_current_directory(&mut command, &spec.directory)?;
    syscall::end_with_thread(&mut command);

    end_with_parent(telling)?;

    let ending = thread::scope(|scope| {
        let (listeners, listener) = mpsc::channel();
        let (children, child) = mpsc::channel();
        let (ending, end) = mpsc::channel::<Infallible>();
        let filter = supervisor.filter();
        // The filter is this thread's and the command's, so that the supervisor's own calls are not asked about.
        scope.spawn(move || {
            let _ = children.send(supervised(command, program, &filter, spec.without_sync, &listeners));
            drop(listeners);
            // The command ends with the thread that has started it.
            let _ = end.recv();
        });
        if let Ok(listener) = listener.recv() {
            let supervisor = Arc::clone(&supervisor);
            // It waits for calls until this process ends.
            thread::spawn(move || supervisor.serve(&listener));
        }
        let ended = child.recv().context("nobody started the command")?.and_then(init::reap);
        drop(ending);
        end_heirs()?;
        supervisor.is_over.store(true, Ordering::Relaxed);
        ended
    });
    root.restore().context("could not put the root directory back in order")?;
    let impossible = supervisor.impossible.lock().unwrap_or_else(PoisonError::into_inner).take();
    match impossible {
        Some(what) => Ok(Ending::NotStarted(format!(
            "{what}, which this container does not allow; build with `--cap-add SYS_ADMIN`, or as an ordinary user"
        ))),
        None => ending,
    }
}

/// Starts the command under the filter; whoever answers for it is sent the descriptor first.
fn supervised(
    mut command: Command,
    program: &OsStr,
    filter: &[sock_filter],
    without_sync: bool,
    listeners: &mpsc::Sender<OwnedFd>,
) -> Result<i32> {
    if without_sync {
        syscall::no_new_privileges()?;
        sync::ignore().context("could not install the filter for `fsync`")?;
    }
    let listener = syscall::supervise_this_thread(filter).context("could not supervise the command")?;
    listeners.send(listener).context("nobody supervises the command")?;
    let child = command.spawn().with_context(|| format!("could not start `{}`", program.display()))?;
    Ok(i32::try_from(child.id())?)
}

/// Ends all that is inside once the process that holds the other end of the pipe is gone.
fn end_with_parent(telling: &OwnedFd) -> Result<()> {
    let telling = telling.try_clone()?;
    thread::spawn(move || {
        let mut pipe = [PollFd::new(&telling, PollFlags::empty())];
        while poll(&mut pipe, None).is_err() {}
        loop {
            end_children();
            thread::sleep(Duration::from_millis(10));
        }
    });
    Ok(())
}

/// Ends what the command has left running, and what those have started.
fn end_heirs() -> Result<()> {
    loop {
        end_children();
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return Ok(()),
            Err(error) => return Err(error).context("could not wait for what the command left running"),
        }
    }
}

fn end_children() {
    let own = rustix::process::getpid().as_raw_pid();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name of the program, in brackets, may have anything in it.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        if let (Some(pid), true) = (Pid::from_raw(pid), parent == Some(own)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
