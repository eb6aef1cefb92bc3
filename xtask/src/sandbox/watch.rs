//! What is run in sandboxes, told to who wants to hear it.
//!
//! `sandbox-exec` alone knows when a command ended, however its caller waits for it: it writes a line to a pipe of this
//! process, which it opens by its path, so that no descriptor leaks into anything else.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};

use super::failure;

/// The line after which nobody listens.
const END: &str = "";
/// The writing end, as long as somebody listens.
static TOLD: Mutex<Option<File>> = Mutex::new(None);

/// A command that ended; shorter than what a pipe takes in one piece.
#[derive(Debug, Serialize, Deserialize)]
struct Ran {
    command: String,
    took: Duration,
}

/// Hears of every command until it is dropped.
#[derive(Debug)]
pub struct Watch(Option<JoinHandle<()>>);

/// Tells of every command that ends from now on: the command in backticks, and how long it took, with its sandbox.
///
/// # Errors
/// There is no pipe.
pub fn watch(hear: impl Fn(&str, Duration) + Send + 'static) -> Result<Watch> {
    let (heard, told) = pipe_with(PipeFlags::CLOEXEC).context("could not make a pipe")?;
    *told_to() = Some(File::from(told));
    let lines = BufReader::new(File::from(heard)).lines();
    let listener = thread::spawn(move || {
        let lines = lines.map_while(Result::ok).take_while(|line| line != END);
        for ran in lines.filter_map(|line| serde_json::from_str::<Ran>(&line).ok()) {
            hear(&ran.command, ran.took);
        }
    });
    Ok(Watch(Some(listener)))
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A command that still runs has the pipe open, too.
        if let Some(mut told) = told_to().take() {
            let _ = told.write_all(format!("{END}\n").as_bytes());
        }
        // A listener that panicked has heard enough.
        let _ = self.0.take().map(JoinHandle::join);
    }
}

/// Where `sandbox-exec` is to tell it.
pub(super) fn place() -> Option<PathBuf> {
    let descriptor = told_to().as_ref()?.as_raw_fd();
    Some(PathBuf::from(format!("/proc/{}/fd/{descriptor}", std::process::id())))
}

/// Opened before the namespaces are left, where the path leads elsewhere.
pub(super) fn open(place: &Path) -> Option<File> {
    OpenOptions::new().write(true).open(place).ok()
}

/// Tells what ended. Nobody's command fails because nobody hears of it.
pub(super) fn tell(mut told: File, argv: &[OsString], took: Duration) {
    let argv: Vec<String> = argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let ran = Ran { command: failure::quoted(&argv), took };
    if let Ok(line) = serde_json::to_string(&ran) {
        let _ = told.write_all(format!("{line}\n").as_bytes());
    }
}

fn told_to() -> std::sync::MutexGuard<'static, Option<File>> {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner)
}
