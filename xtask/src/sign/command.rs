//! A command that signs: bytes in, a signature out, and nothing that it does wrong is waited for.
//!
//! Beside git, which names the commit, it is the one foreign program outside of the sandbox: what it talks to (a token,
//! a key service, an agent) is the person's own, and none of the build's files are its business.

use std::io::{Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::LocatedError;

/// The most of its standard error that is kept, in bytes.
const MOST_ERRORS: u64 = 16 << 10;
/// How often an end is looked for.
const PAUSE: Duration = Duration::from_millis(10);

/// A program with its arguments.
pub struct Command {
    pub program: String,
    pub arguments: Vec<String>,
    pub timeout: Duration,
}

impl Command {
    /// Runs it with a message on its standard input, and returns a signature of so many bytes.
    pub fn run(&self, message: &[u8], length: usize) -> Result<Vec<u8>> {
        let program = &self.program;
        let mut child = std::process::Command::new(program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // With all it starts, so that all of it can be ended.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run the signing command `{program}`"))?;
        let outcome = self.outcome(&mut child, message, length);
        // What is left of it when it failed, and what it left behind.
        if let Ok(id) = i32::try_from(child.id()).map(Pid::from_raw)
            && let Some(group) = id
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = child.wait();
        outcome
    }

    fn outcome(&self, child: &mut Child, message: &[u8], length: usize) -> Result<Vec<u8>> {
        let deadline = Instant::now() + self.timeout;
        let late = || {
            let (program, seconds) = (&self.program, self.timeout.as_secs_f32());
            let help = "it has no terminal to ask at: give it its PIN by its environment or by an agent";
            let message = format!("the signing command `{program}` did not end within {seconds} seconds");
            LocatedError::without_line(message, help)
        };
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(anyhow!("the signing command has no pipes"));
        };
        let message = message.to_vec();
        // One that does not read all of it says by its signature whether it had to.
        thread::spawn(move || drop(stdin.write_all(&message)));
        let printed = collect(stdout, length as u64 + 1);
        let errors = collect(stderr, MOST_ERRORS);
        let printed = received(&printed, deadline).ok_or_else(late)?;
        if printed.len() > length {
            return Err(self.wrong(length, "more").into());
        }
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if Instant::now() >= deadline {
                return Err(late().into());
            }
            thread::sleep(PAUSE);
        };
        if !status.success() {
            let errors = received(&errors, deadline).unwrap_or_default();
            let message = format!("the signing command `{}` failed: {status}{}", self.program, last(&errors));
            let help = "run it by hand: it gets the bytes on standard input, and prints the signature";
            return Err(LocatedError::without_line(message, help).into());
        }
        if printed.len() != length {
            return Err(self.wrong(length, &printed.len().to_string()).into());
        }
        Ok(printed)
    }

    fn wrong(&self, length: usize, printed: &str) -> LocatedError {
        let message = format!(
            "the signing command `{}` printed {printed} bytes: a signature by this key has {length}",
            self.program
        );
        LocatedError::without_line(
            message,
            "it prints the raw signature, neither base64 nor text, and nothing else",
        )
    }
}

/// Reads a pipe in a thread of its own: whoever holds its other end may never close it.
fn collect(pipe: impl Read + Send + 'static, most: u64) -> Receiver<Vec<u8>> {
    let (to, from) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read until an error is all there is.
        let _ = pipe.take(most).read_to_end(&mut bytes);
        let _ = to.send(bytes);
    });
    from
}

fn received(from: &Receiver<Vec<u8>>, deadline: Instant) -> Option<Vec<u8>> {
    from.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
}

/// The last lines that it told, unless a key is among them.
fn last(errors: &[u8]) -> String {
    let text = String::from_utf8_lossy(errors);
    if text.contains("PRIVATE KEY") {
        return ", and printed a private key, which is not shown".to_owned();
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(3)..];
    let shown: String = last.join("; ").chars().filter(|c| !c.is_control()).take(400).collect();
    if shown.is_empty() { shown } else { format!(": {shown}") }
}
