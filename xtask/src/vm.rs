//! A disk, started, and asked: the harness for tests of a device.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use bedplate::vm::Vm;
//!
//! let mut guest = Vm::boot("build/edge/image.raw")?;
//! guest.settle()?;
//! guest.wait_unit("docker.service")?;
//! assert_eq!(guest.check("findmnt -no FSTYPE /local")?, "ext4\n");
//! guest.check("echo kept > /local/kept && sync")?;
//!
//! // Cut the power, spoil a partition, start it again.
//! let vm = guest.kill()?.edit(|disk| disk.zero("persistent"))?;
//! let mut guest = vm.start()?;
//! assert_eq!(guest.state()?.word, "degraded");
//! println!("{}", guest.journal("bedplate-data.service")?);
//! # Ok(())
//! # }
//! ```
//!
//! There are two ways to start a machine. **QEMU** is the whole device: firmware, kernel, initrd, the verified
//! root. **systemd-nspawn** ([`Vm::container`], [`Vm::quick`]) is the root file system and the data partition on
//! this host's kernel, up in three seconds where an emulated one takes thirty, and needs root.
//! Ask there what does not concern firmware, kernel or initrd.
//!
//! Both come from a tools tree and run in the sandbox, and the image is only ever read: what the guest writes goes
//! to an overlay or a sparse copy in a temporary directory, beside the firmware's variables and the TPM's state.
//! That directory lives as long as the [`Vm`], so a guest can be started again on what it wrote, also after a
//! power cut.
//!
//! A guest of another architecture than this machine's is translated, whatever the host has, and is never a container.
//!
//! A disk that brings keys for the firmware is started by firmware with Secure Boot, whose variables are empty at the first
//! start: it takes the keys over and starts again, as a new device does.

mod accelerator;
mod container;
mod credential;
mod disk;
pub mod edit;
pub mod guest;
mod machine;
mod platform;
pub mod replay;
pub mod second;
mod serve;
pub use serve::{Fault, Server};
mod tools;
mod tpm;
mod work;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use self::credential::Credential;
use self::guest::Guest;
pub(crate) use self::machine::Machine;
use self::platform::Platform;
use self::second::Second;
pub(crate) use self::tools::image as image_of;
use self::work::Work;
use crate::disk::Disk;
use crate::report::Report;
use crate::terminal::Saved;

/// Where the sandbox shows the disk, and the directory of everything that is written.
const DISK: &str = "/run/disk.raw";
const WORK: &str = "/run/vm";

/// How a machine is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The whole device, by QEMU.
    Whole,
    /// Its root file system on the kernel of this host, by systemd-nspawn.
    Container,
}

/// A machine, as it is to be.
#[derive(Debug)]
pub struct Vm {
    disk: PathBuf,
    platform: &'static Platform,
    kind: Kind,
    tools: Option<PathBuf>,
    program: Option<PathBuf>,
    image: Option<String>,
    size: Option<u64>,
    second: Option<Second>,
    memory: u32,
    cpus: u32,
    network: bool,
    /// A port of the host's loopback, and the port of the guest's it leads to.
    forwarded: Option<(u16, u16)>,
    secure_boot: bool,
    tpm: bool,
    metal: bool,
    credentials: Vec<Credential>,
    arguments: Vec<String>,
    work: Option<Work>,
    /// The guest was given the unit that answers a test.
    asked: bool,
    /// The machine has a disk of its own, and no overlay any more.
    flat: bool,
    /// What the guest writes to it is logged.
    logged: bool,
}

impl Vm {
    /// Starts the raw image `disk` in QEMU, and waits until commands can be run in it.
    ///
    /// # Errors
    ///
    /// When the tools cannot be had, QEMU cannot be started or the guest does not come up; the error ends with the
    /// last lines of its console.
    pub fn boot(disk: impl AsRef<Path>) -> Result<Guest> {
        Self::new(disk.as_ref()).start()
    }

    /// A machine with 2 GiB of memory, two processors, a TPM and no network, that starts from the raw image `disk`.
    ///
    /// The machine is of the architecture of the disk's root. The kernel is asked to speak on the serial port.
    #[must_use]
    pub fn new(disk: &Path) -> Self {
        let platform = Platform::of_disk(disk);
        Self {
            disk: disk.to_owned(),
            platform,
            kind: Kind::Whole,
            tools: None,
            program: None,
            image: None,
            size: None,
            second: None,
            memory: 2048,
            cpus: 2,
            network: false,
            forwarded: None,
            secure_boot: has_keys(disk),
            tpm: true,
            metal: false,
            credentials: vec![Credential::command_line(&format!("console={}", platform.serial))],
            arguments: Vec::new(),
            work: None,
            asked: false,
            flat: false,
            logged: false,
        }
    }

    /// Starts the root file system in a container instead of the whole device in QEMU. Needs root.
    ///
    /// What the initrd does is played by the harness: the data partition is mounted where the root wants it, and
    /// the kept machine id over `/etc/machine-id`; an order for a factory reset is not carried out. A root that keeps
    /// what is written to it on the data partition forgets it here. There is no network, no TPM, and no device.
    #[must_use]
    pub fn container(mut self) -> Self {
        self.kind = Kind::Container;
        self
    }

    /// A container where this process may start one, and QEMU otherwise: the same answers, later.
    ///
    /// That QEMU is asked, and why, is said on standard error.
    #[must_use]
    pub fn quick(self) -> Self {
        match container::obstacle(&self) {
            None => self.container(),
            Some(why) => {
                Report::default().warn(format_args!("asking QEMU, which takes longer: {why}"));
                self
            }
        }
    }

    /// Why this process cannot start a container, if so.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        container::obstacle(self)
    }

    /// Whether it is a container.
    #[must_use]
    pub fn is_container(&self) -> bool {
        self.kind == Kind::Container
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

    /// Logs each write of the guest to its disk from the next start on, so that the disk can be had as it is when the
    /// power is cut at any of them: [`Vm::replay`].
    #[must_use]
    pub fn log_writes(mut self) -> Self {
        self.logged = true;
        self
    }

    /// Starts it with firmware that has Secure Boot, or has not; otherwise with one that has where the disk brings keys.
    #[must_use]
    pub fn secure_boot(mut self, has: bool) -> Self {
        self.secure_boot = has;
        self
    }

    /// Tells the guest nothing of a hypervisor: it behaves as on a machine of its own.
    #[must_use]
    pub fn metal(mut self) -> Self {
        self.metal = true;
        self
    }

    /// Takes its TPM away.
    #[must_use]
    pub fn without_tpm(mut self) -> Self {
        self.tpm = false;
        self
    }

    /// Gives the guest a network behind the host's (QEMU's user mode: out, not in).
    #[must_use]
    pub fn network(mut self) -> Self {
        self.network = true;
        self
    }

    /// The same, and the `host`'s port on its loopback leads to the `guest`'s.
    #[must_use]
    pub fn forward(mut self, host: u16, guest: u16) -> Self {
        self.forwarded = Some((host, guest));
        self.network()
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

    /// Makes sandboxes and tools trees with this program, where the project's own is not beside the test.
    #[must_use]
    pub fn program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// Takes the tools from the distribution of this image, where no manifest beside the disk names one.
    #[must_use]
    pub fn image(mut self, name: &str) -> Self {
        self.image = Some(name.to_owned());
        self
    }

    /// The packages of the tools tree that QEMU, its firmware and its TPM are in, or what starts a container.
    #[must_use]
    pub fn packages(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Whole => &self.platform.packages,
            Kind::Container => &container::PACKAGES,
        }
    }

    /// Takes the tools from this tree, in which [`Vm::packages`] are unpacked.
    #[must_use]
    pub fn tools(mut self, tree: &Path) -> Self {
        self.tools = Some(tree.to_owned());
        self
    }

    /// Starts the machine and waits until commands can be run in it.
    ///
    /// # Errors
    ///
    /// As [`Vm::boot`].
    pub fn start(self) -> Result<Guest> {
        let mut guest = self.begin()?;
        guest.wait_ready()?;
        Ok(guest)
    }

    /// Starts the machine and does not wait: for one that is not expected to come up.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn begin(self) -> Result<Guest> {
        Guest::begin(self)
    }

    /// Starts the machine with its console in this terminal, and waits for its end.
    ///
    /// `say` is told, in a line each, how the guest runs and how to leave it. What it wrote goes when it ends.
    ///
    /// # Errors
    ///
    /// When QEMU, the TPM or the container cannot be started, or QEMU fails.
    pub fn attend(mut self, say: &dyn Fn(&str)) -> Result<ExitCode> {
        if self.is_container() {
            return container::attend(self, say);
        }
        self.prepare_qemu()?;
        let accelerator = accelerator::choose(self.platform, &self.bare()?);
        say(accelerator.describe());
        say("the guest's console follows; leave with Ctrl-A X, its monitor is Ctrl-A C");
        let tpm = self.tpm.then(|| tpm::Tpm::start(&self)).transpose()?;
        let restore = Saved::now();
        let arguments = self.qemu(accelerator, machine::Console::Terminal);
        let ended = self.sandbox(accelerator)?.command(&arguments).unchecked().run();
        drop(restore);
        if let Some(tpm) = tpm {
            tpm.end();
        }
        let status = ended.context("could not start QEMU")?.status;
        if status.success() {
            return Ok(ExitCode::SUCCESS);
        }
        Err(crate::sandbox::failed(&arguments, status, b"its words are above"))
    }
}

/// Whether there are keys on the disk that systemd-boot gives to firmware by itself. A disk that cannot be read is refused
/// when it is started.
fn has_keys(disk: &Path) -> bool {
    let esp = Disk::open(disk).and_then(|disk| disk.esp());
    esp.and_then(|esp| esp.exists("loader/keys/auto/PK.auth")).unwrap_or(false)
}
