//! A disk, started in QEMU.
//!
//! QEMU, its firmware (OVMF) and its TPM (swtpm) come from a tools tree and run in the sandbox. The disk is only
//! ever read: what the guest writes goes to a qcow2 overlay in a temporary directory, beside the firmware's
//! variables and the TPM's state. That directory lives as long as the [`Vm`], so a guest can be started again on
//! what it wrote, also after a power cut.
//!
//! Deliberately absent so far: Secure Boot, and any architecture but x86-64 (`platform.rs` is the place for one).

mod accelerator;
mod credential;
pub mod edit;
pub mod guest;
mod machine;
mod platform;
mod terminal;
mod tpm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use tempfile::TempDir;

use self::credential::Credential;
pub(crate) use self::machine::Machine;
use self::platform::X86_64;
use crate::sandbox::Sandbox;

/// The packages of the tools tree that everything here needs.
pub const PACKAGES: [&str; 5] = ["base-files", "ovmf", "qemu-system-x86", "qemu-utils", "swtpm"];

/// Where the sandbox shows the disk, and the directory of everything that is written.
const DISK: &str = "/run/disk.raw";
const WORK: &str = "/run/vm";

/// A virtual machine, as it is to be.
#[derive(Debug)]
pub struct Vm {
    tools: PathBuf,
    disk: PathBuf,
    size: Option<u64>,
    memory: u32,
    cpus: u32,
    network: bool,
    credentials: Vec<Credential>,
    arguments: Vec<String>,
    program: Option<PathBuf>,
    work: Option<TempDir>,
    /// The guest was given the unit that answers a test.
    asked: bool,
    /// The overlay was flattened into a disk of the machine's own.
    flat: bool,
}

impl Vm {
    /// A machine with 2 GiB of memory, two processors, a TPM and no network, that starts from the raw image `disk`.
    ///
    /// `tools` is a tree with [`PACKAGES`] unpacked in it. The kernel is asked to speak on the serial port.
    #[must_use]
    pub fn new(tools: &Path, disk: &Path) -> Self {
        Self {
            tools: tools.to_owned(),
            disk: disk.to_owned(),
            size: None,
            memory: 2048,
            cpus: 2,
            network: false,
            credentials: vec![Credential::command_line("console=ttyS0")],
            arguments: Vec::new(),
            program: None,
            work: None,
            asked: false,
            flat: false,
        }
    }

    /// Memory, in MiB.
    #[must_use]
    pub fn memory(mut self, mebibytes: u32) -> Self {
        self.memory = mebibytes;
        self
    }

    /// The number of processors.
    #[must_use]
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// Shows the guest a disk of `bytes` instead of the image's own size: what a device with a larger disk sees.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }

    /// Gives the guest a network behind the host's (QEMU's user mode: out, not in).
    #[must_use]
    pub fn network(mut self) -> Self {
        self.network = true;
        self
    }

    /// Hands the guest a system credential: <https://systemd.io/CREDENTIALS/>.
    #[must_use]
    pub fn credential(mut self, name: &str, value: &[u8]) -> Self {
        self.credentials.push(Credential::system(name, value));
        self
    }

    /// Adds an argument to QEMU's command line, for what has no method of its own.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Enters the sandbox by this program, for one (a test) that is not Bedplate's own.
    #[must_use]
    pub fn program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// Starts the machine with its serial port in this terminal, and waits for its end.
    ///
    /// `say` is told, in a line each, how the guest runs and how to leave it. The overlay goes when it ends.
    ///
    /// # Errors
    ///
    /// When QEMU or the TPM cannot be started, or QEMU fails.
    pub fn boot(mut self, say: &dyn Fn(&str)) -> Result<ExitCode> {
        self.prepare()?;
        let accelerator = accelerator::choose(&self.bare());
        say(accelerator.describe());
        say("the guest's console follows; leave with Ctrl-A X, its monitor is Ctrl-A C");
        let tpm = tpm::Tpm::start(&self)?;
        let restore = terminal::Saved::now();
        let arguments = self.qemu(accelerator, machine::Console::Terminal);
        let ended = self.sandbox(accelerator)?.command(&arguments).unchecked().run();
        drop(restore);
        tpm.end();
        let status = ended.context("could not start QEMU")?.status;
        if status.success() {
            return Ok(ExitCode::SUCCESS);
        }
        Err(crate::sandbox::failed(&arguments, status, b"its words are above"))
    }

    /// The directory of all that the machine writes.
    fn work(&self) -> Result<&Path> {
        Ok(self.work.as_ref().context("the machine was not prepared")?.path())
    }

    /// Makes the overlay and the firmware's variables, unless an earlier start has.
    fn prepare(&mut self) -> Result<()> {
        if self.work.is_some() {
            return Ok(());
        }
        let work = tempfile::Builder::new()
            .prefix("bedplate-vm-")
            .tempdir()
            .context("could not make a directory for the machine")?;
        let variables = self.tools.join(X86_64.variables.trim_start_matches('/'));
        fs_err::copy(variables, work.path().join("variables.fd"))?;
        fs_err::create_dir(work.path().join("tpm"))?;
        self.work = Some(work);

        let mut command: Vec<String> =
            ["qemu-img", "create", "-q", "-f", "qcow2", "-b", DISK, "-F", "raw"].map(str::to_owned).to_vec();
        command.push(format!("{WORK}/overlay.qcow2"));
        command.extend(self.size.map(|bytes| bytes.to_string()));
        let made = self.sandbox_base().and_then(|sandbox| sandbox.run(command));
        if made.is_err() {
            self.work = None;
        }
        made.map(drop).context("could not make an overlay for the disk")
    }

    /// A sandbox that sees the disk and the work directory.
    fn sandbox_base(&self) -> Result<Sandbox> {
        // The overlay is thrown away in the end; what a guest has flushed survives QEMU's end without `fsync`.
        Ok(self.bare().without_sync().bind_read_only(&self.disk, DISK).bind(self.work()?, WORK))
    }

    /// A sandbox with the tools and nothing else.
    fn bare(&self) -> Sandbox {
        let sandbox = Sandbox::new(&self.tools).read_only();
        match &self.program {
            Some(program) => sandbox.program(program),
            None => sandbox,
        }
    }
}
