//! The host's end of the virtio port: a Unix socket of QEMU's, read by lines.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::Machine;

/// How long a single read waits: what looks at the console in between is to stay awake.
const MOMENT: Duration = Duration::from_millis(250);
/// How long QEMU may take to open the socket, and to be gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// The connection.
#[derive(Debug)]
pub(super) struct Port {
    stream: UnixStream,
    received: Vec<u8>,
}

impl Port {
    /// Connects, once QEMU has opened the socket.
    pub(super) fn connect(machine: &Machine) -> Result<Self> {
        let path = machine.work()?.join("agent.socket");
        let start = Instant::now();
        loop {
            match UnixStream::connect(&path) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(MOMENT)).context("could not set up the port")?;
                    return Ok(Self { stream, received: Vec::new() });
                }
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
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            // QEMU is gone or going; whoever asks for lines asks after it, too, and not without a pause.
            Ok(0) => sleep(MOMENT),
            Ok(count) => self.received.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => sleep(MOMENT),
            Err(error) => return Err(error).context("could not read from the guest"),
        }
        Ok(self.take_line())
    }

    pub(super) fn write(&mut self, line: &str) -> Result<()> {
        self.stream.write_all(line.as_bytes()).context("could not write to the guest")
    }

    /// Waits until QEMU has let go of the socket, and so of the disk.
    pub(super) fn wait_end(&mut self) -> Result<()> {
        let start = Instant::now();
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
                Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    bail!("could not wait for QEMU's end: {error}");
                }
                _ => ensure!(start.elapsed() < PATIENCE, "QEMU did not end"),
            }
        }
    }

    fn take_line(&mut self) -> Option<String> {
        let end = self.received.iter().position(|&byte| byte == b'\n')?;
        let line: Vec<u8> = self.received.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }
}
