//! A TPM 2.0 for the guest: swtpm, which ends by itself when QEMU lets go of it.
//!
//! It starts empty, without the certificates a maker would put in: `swtpm_setup` is deliberately not run.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Vm, WORK};
use crate::sandbox::failed;

/// How long it may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running TPM. It ends with the value.
#[derive(Debug)]
pub(super) struct Tpm {
    handle: duct::Handle,
}

impl Tpm {
    /// The socket inside the sandbox on which QEMU finds it.
    pub(super) const SOCKET: &str = "/run/vm/tpm.socket";

    /// Starts the TPM with the state it had when the machine last ran.
    pub(super) fn start(vm: &Vm) -> Result<Self> {
        let command = [
            "swtpm".to_owned(),
            "socket".to_owned(),
            "--tpm2".to_owned(),
            "--tpmstate".to_owned(),
            format!("dir={WORK}/tpm"),
            "--ctrl".to_owned(),
            format!("type=unixio,path={}", Self::SOCKET),
            "--terminate".to_owned(),
        ];
        let socket = vm.work()?.join("tpm.socket");
        if socket.exists() {
            fs_err::remove_file(&socket)?;
        }
        let log = vm.work()?.join("tpm.log");
        let handle = vm
            .sandbox_base()?
            .command(&command)
            .stdin_null()
            .stdout_null()
            .stderr_path(&log)
            .unchecked()
            .start()
            .context("could not start swtpm")?;
        let tpm = Self { handle };
        let start = Instant::now();
        while !socket.exists() {
            if let Some(output) = tpm.handle.try_wait()? {
                return Err(failed(&command, output.status, &fs_err::read(&log)?));
            }
            if start.elapsed() > PATIENCE {
                bail!("swtpm did not open its socket within {} s", PATIENCE.as_secs());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(tpm)
    }

    /// Waits until it has ended, after QEMU has: its state can be used again only then.
    pub(super) fn end(self) {
        let start = Instant::now();
        while matches!(self.handle.try_wait(), Ok(None)) && start.elapsed() < PATIENCE {
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as well.
        let _ = self.handle.kill();
    }
}
