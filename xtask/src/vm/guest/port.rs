//! The host's end of what a guest is asked through, read by lines: a Unix socket of QEMU's, or two named pipes.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::super::{Kind, container};
use super::Machine;

/// How long a single read waits: what looks at the console in between is to stay awake.
const MOMENT: Duration = Duration::from_millis(250);
/// How long QEMU may take to open the socket, and to be gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// The connection.
#[derive(Debug)]
pub(super) struct Port {
    from: File,
    to: File,
    received: Vec<u8>,
}

impl Port {
    /// Connects, once the other end is there.
    pub(super) fn connect(machine: &Machine) -> Result<Self> {
        if machine.kind() == Some(Kind::Container) {
            // Both for reading and writing: neither end waits for the other, or ends with it.
            let work = machine.work()?;
            let open = |name| File::options().read(true).write(true).open(container::pipe(work, name));
            let (from, to) = (open("from"), open("to"));
            let what = "could not open the pipes of the guest";
            return Ok(Self { from: from.context(what)?, to: to.context(what)?, received: Vec::new() });
        }
        let stream = Self::socket(machine, &machine.work()?.join("agent.socket"))?;
        let to = File::from(OwnedFd::from(stream));
        Ok(Self { from: to.try_clone().context("could not set up the port")?, to, received: Vec::new() })
    }

    fn socket(machine: &Machine, path: &Path) -> Result<UnixStream> {
        let start = Instant::now();
        loop {
            match UnixStream::connect(path) {
                Ok(stream) => return Ok(stream),
                Err(error) if start.elapsed() > PATIENCE => {
                    return Err(error).context("QEMU did not open the port of the guest");
                }
                Err(_) => {
                    machine.check()?;
                    sleep(Duration::from_millis(50));
                }
            }
        }
    }

    /// A whole line, without its end, if there is one within a moment.
    pub(super) fn read(&mut self) -> Result<Option<String>> {
        if let Some(line) = self.take_line() {
            return Ok(Some(line));
        }
        if !self.is_readable()? {
            return Ok(None);
        }
        let mut buffer = [0; 4096];
        match self.from.read(&mut buffer) {
            // QEMU is gone or going; whoever asks for lines asks after it, too, and not without a pause.
            Ok(0) => sleep(MOMENT),
            Ok(count) => self.received.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => sleep(MOMENT),
            Err(error) => return Err(error).context("could not read from the guest"),
        }
        Ok(self.take_line())
    }

    pub(super) fn write(&mut self, line: &str) -> Result<()> {
        self.to.write_all(line.as_bytes()).context("could not write to the guest")
    }

    /// Waits until QEMU has let go of its socket, and so of the disk.
    pub(super) fn wait_end(&mut self) -> Result<()> {
        let start = Instant::now();
        let mut buffer = [0; 4096];
        loop {
            if self.is_readable()? {
                match self.from.read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
                    Err(error) if error.kind() != ErrorKind::Interrupted => {
                        bail!("could not wait for QEMU's end: {error}");
                    }
                    _ => {}
                }
            }
            ensure!(start.elapsed() < PATIENCE, "QEMU did not end");
        }
    }

    /// Whether there is something to read, or an end to see, within a moment.
    fn is_readable(&self) -> Result<bool> {
        let mut watched = [PollFd::new(&self.from, PollFlags::IN)];
        let moment = Timespec { tv_sec: 0, tv_nsec: i64::from(MOMENT.subsec_nanos()) };
        match poll(&mut watched, Some(&moment)) {
            Ok(count) => Ok(count > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error).context("could not wait for the guest"),
        }
    }

    fn take_line(&mut self) -> Option<String> {
        let end = self.received.iter().position(|&byte| byte == b'\n')?;
        let line: Vec<u8> = self.received.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }
}
