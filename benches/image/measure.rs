//! What a command cost, with everything it started and waited for.

use std::mem::MaybeUninit;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// What a command cost.
#[derive(Clone, Copy)]
pub struct Cost {
    /// From its start to its end.
    pub wall: Duration,
    /// Of all processes together, in user and kernel mode.
    pub processor: Duration,
    /// The most that one of the processes held at a time, in bytes.
    pub memory: u64,
    /// What was written to files, in bytes.
    pub written: u64,
}

/// Runs a command to its end, silent but for its failure.
pub fn run(command: &mut Command) -> Result<Cost> {
    let said = tempfile::NamedTempFile::new()?;
    command.stdin(Stdio::null()).stdout(said.reopen()?).stderr(said.reopen()?);
    let started = Instant::now();
    let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    let (status, usage) = wait4(child.id())?;
    let wall = started.elapsed();
    if status != 0 {
        bail!("{command:?} failed:\n{}", std::fs::read_to_string(said.path())?);
    }
    let time = |time: libc::timeval| -> Result<Duration> {
        Ok(Duration::from_secs(time.tv_sec.try_into()?) + Duration::from_micros(time.tv_usec.try_into()?))
    };
    let processor = time(usage.ru_utime)? + time(usage.ru_stime)?;
    Ok(Cost {
        wall,
        processor,
        memory: u64::try_from(usage.ru_maxrss)? * 1024,
        written: u64::try_from(usage.ru_oublock)? * 512,
    })
}

/// Waits for a child; what it used covers all of its descendants that were waited for.
#[expect(unsafe_code, reason = "the standard library waits for a child without asking what it used")]
fn wait4(child: u32) -> Result<(i32, libc::rusage)> {
    let mut status = 0;
    let mut usage = MaybeUninit::zeroed();
    loop {
        // SAFETY: both places outlive the call, and a zeroed `rusage` is one.
        let waited = unsafe { libc::wait4(child.try_into()?, &raw mut status, 0, usage.as_mut_ptr()) };
        if waited > 0 {
            // SAFETY: as above.
            return Ok((status, unsafe { usage.assume_init() }));
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error.into());
        }
    }
}
