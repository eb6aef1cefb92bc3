//! Whether this host's KVM runs a guest, found out by running one.
//!
//! A `/dev/kvm` that opens says little: nested virtualisation may abort QEMU, stop at the firmware's first
//! floating-point instruction, or hang. So the firmware is started for a moment, and only a word from it on the
//! serial port counts. Without KVM the guest is emulated, an order of magnitude slower.

use std::fs::File;
use std::path::Path;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::WORK;
use super::platform::Platform;
use crate::sandbox::Sandbox;

/// How long the firmware may take to its first word; emulated it takes about a second.
const PATIENCE: Duration = Duration::from_secs(6);

/// What runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accelerator {
    /// The processor itself.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl Accelerator {
    /// QEMU's options for it.
    pub(super) fn arguments(self, platform: &Platform) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => ["-accel", "tcg,thread=multi", "-cpu", platform.translated],
        }
    }

    /// A line for people.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Kvm => "the guest runs on KVM",
            Self::Tcg => {
                "KVM runs no guest here, so this one is emulated: expect a minute or two until it is up"
            }
        }
    }

    /// Adds what the accelerator needs of the host.
    pub(super) fn admit(self, sandbox: Sandbox) -> Sandbox {
        match self {
            Self::Kvm => sandbox.bind(Path::new("/dev/kvm"), "/dev/kvm"),
            Self::Tcg => sandbox,
        }
    }
}

/// The best accelerator that works. Asked once per process: the answer takes seconds, and stays.
pub(super) fn choose(platform: &Platform, tools: &Sandbox) -> Accelerator {
    static CHOSEN: OnceLock<Accelerator> = OnceLock::new();
    if !platform.is_native() {
        return Accelerator::Tcg;
    }
    *CHOSEN.get_or_init(|| {
        // Every failure of the probe, also one of its own, means the same: do without.
        let works = File::options().read(true).write(true).open("/dev/kvm").is_ok()
            && probe(platform, tools).unwrap_or(false);
        if works { Accelerator::Kvm } else { Accelerator::Tcg }
    })
}

/// Starts the firmware on KVM, without a disk, and listens.
fn probe(platform: &Platform, tools: &Sandbox) -> Result<bool> {
    let work = tempfile::tempdir()?;
    let [serial, errors] = ["serial", "errors"].map(|name| work.path().join(name));
    let sandbox = Accelerator::Kvm.admit(tools.clone().bind(work.path(), WORK));
    let mut command: Vec<String> = [platform.emulator, "-nodefaults", "-no-user-config", "-display", "none"]
        .into_iter()
        .chain(["-machine", platform.machine, "-m", "256"])
        .chain(Accelerator::Kvm.arguments(platform))
        .map(str::to_owned)
        .collect();
    for (unit, file, options) in [(0, platform.code, "readonly=on"), (1, platform.variables, "snapshot=on")] {
        command.push("-drive".to_owned());
        command.push(format!("if=pflash,unit={unit},format=raw,file={file},{options}"));
    }
    command.extend(["-serial".to_owned(), format!("file:{WORK}/serial")]);
    let qemu =
        sandbox.command(&command).stdin_null().stdout_null().stderr_path(&errors).unchecked().start()?;

    let start = Instant::now();
    let spoke = loop {
        if std::fs::metadata(&serial).is_ok_and(|file| file.len() > 0) {
            break true;
        }
        let failed = std::fs::read_to_string(&errors).is_ok_and(|text| text.contains("KVM internal error"));
        if failed || start.elapsed() > PATIENCE || qemu.try_wait()?.is_some() {
            break false;
        }
        sleep(Duration::from_millis(50));
    };
    qemu.kill()?;
    Ok(spoke)
}
