//! Power that is cut at any moment: what had been there is there again, and
//! nothing is half made.
//!
//! QEMU is killed. What the guest had flushed, and also what its disk's cache
//! had taken, survives that: the order of writes is kept, and a disk that
//! loses its cache against the order is not simulated. What the guest's own
//! memory held is lost, as on a device.

#![expect(clippy::print_stdout, reason = "a failure is told with the seed that repeats it")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::replay::{INSTALLED, STARTED, Session};
use crate::{product, versions};
use bedplate::vm::Vm;
use bedplate::vm::guest::Guest;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// How often the power is cut: as often as `BEDPLATE_POWER_CUTS` says, and else three times.
pub fn cuts() -> u32 {
    std::env::var("BEDPLATE_POWER_CUTS").map_or(3, |said| said.parse().unwrap())
}

/// Whether cuts are asked for: each takes a start or two, and a session of an update minutes.
pub fn asked() -> bool {
    std::env::var("BEDPLATE_POWER_CUTS").is_ok()
}

/// What chance begins with: told, so that it can be said again with `BEDPLATE_SEED`.
pub fn seed() -> u64 {
    let seed = std::env::var("BEDPLATE_SEED").ok().map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("BEDPLATE_SEED={seed} cuts the power at the same moments again");
    seed
}

fn machine() -> Vm {
    // A larger disk than the image, so that the first boot grows the partition.
    product::machine(&product::built("small", "small")).size(5 << 30)
}

/// What was there when the power was cut, and must be there again.
#[derive(Default)]
struct Known {
    machine_id: Option<String>,
    written: u32,
    grown: bool,
}

impl Known {
    /// Looks at a guest that came up: all is well, what was there is, what is
    /// there is whole; and leaves more behind, flushed.
    fn hold(&mut self, guest: &mut Guest) {
        guest.settle().unwrap();
        let id = guest.check("cat /etc/machine-id").unwrap();
        assert_eq!(id.trim().len(), 32, "{id}");
        let told = "systemctl status --no-pager -l bedplate-data local.mount; journalctl -b --no-pager -u 'bedplate-*'";
        let told = guest.run(told).unwrap().stdout;
        assert_eq!(*self.machine_id.get_or_insert(id.clone()), id, "the device became another\n{told}");
        assert_eq!(guest.check("cat /etc/kept/setting").unwrap(), "as packaged\n");
        let written = guest.check("cat /var/lib/kept/* 2>/dev/null | wc -l").unwrap();
        assert_eq!(written.trim(), self.written.to_string(), "what was written and flushed is gone");
        assert_eq!(guest.check("find /local -name '*~'").unwrap(), "", "something was left half made");
        let size = product::room(guest);
        let growth = "systemctl status --no-pager systemd-repart 'systemd-growfs@*' local.mount; lsblk -b";
        let growth = guest.run(growth).unwrap().stdout;
        assert!(size > 2 << 30, "/local has not grown: {size} bytes\n{growth}");
        self.grown = true;
        self.written += 1;
        let write =
            format!("echo {0} >/var/lib/kept/{0} && sync /var/lib/kept/{0} /var/lib/kept", self.written);
        guest.check(&write).unwrap();
    }
}

#[test]
fn whenever_the_power_is_cut_the_device_comes_up_again_and_has_lost_nothing() {
    if !asked() && !product::release() {
        return;
    }
    let mut random = StdRng::seed_from_u64(seed());
    let mut vm = machine();
    let mut known = Known::default();
    // How long a boot takes here, to cut within it.
    let mut boot = Duration::from_secs(40);
    for cut in 0..cuts() {
        // Every third device is a new one: its first boot makes, seeds and grows.
        if cut % 3 == 0 {
            (vm, known) = (machine(), Known::default());
        }
        let moment = boot.mul_f64(random.gen_range(0.1..1.0));
        println!("cut {cut} after {:.1} s", moment.as_secs_f64());
        let guest = vm.begin().unwrap();
        std::thread::sleep(moment);
        let started = Instant::now();
        let mut guest = guest.kill().unwrap().start().unwrap();
        known.hold(&mut guest);
        boot = started.elapsed();
        vm = guest.kill().unwrap();
    }
}

/// What an update goes through, and the power is cut in.
#[derive(Debug, Clone, Copy)]
enum Stage {
    /// A new device starts, and makes its second slot.
    First,
    Installation,
    /// The new version starts for the first time.
    Trial,
    /// The new version proves itself.
    Blessing,
}

#[test]
fn whenever_the_power_is_cut_a_version_runs_and_the_next_update_works() {
    if !asked() {
        return;
    }
    let mut random = StdRng::seed_from_u64(seed());
    let devices = Devices::new();
    let stages = [Stage::Installation, Stage::Trial, Stage::Blessing, Stage::First];
    let first = random.gen_range(0..stages.len());
    for (number, stage) in (0..cuts()).zip(stages.iter().cycle().skip(first)) {
        let chance = random.gen_range(0.0..1.0);
        println!("cut {number} in {stage:?}, after {:.0} % of the time it may take", chance * 100.0);
        let started = Instant::now();
        let vm = devices.cut(*stage, chance);
        let kept = !matches!(stage, Stage::First);
        let (version, guest) = versions::hold(vm, stage.versions(), kept);
        if versions::goes_on(number) {
            versions::go_on(guest, kept);
        }
        println!("version {version} runs, and is updated; {:.0?}", started.elapsed());
    }
}

impl Stage {
    /// The versions that may run on a device whose power was cut in this stage.
    fn versions(self) -> &'static [&'static str] {
        match self {
            Self::First => &["1"],
            Self::Installation => &["1", "2"],
            // One try is used up, the other is left.
            Self::Trial | Self::Blessing => &["2"],
        }
    }
}

/// Disks of a device before what the power is cut in, each made once.
struct Devices {
    /// Version 1 was started.
    started: PathBuf,
    /// Version 2 is installed, and was not started yet.
    installed: PathBuf,
    /// How long a start takes.
    boot: Duration,
}

impl Devices {
    fn new() -> Self {
        let mut session = Session::installed("true");
        let [started, installed] = [STARTED, INSTALLED].map(|phase| {
            let directory = product::scratch(&format!("power-{}", session.end(phase)));
            session.whole(phase).write(&directory.join("image.raw")).unwrap();
            directory
        });
        let begun = Instant::now();
        drop(product::machine(&started).start().unwrap());
        Self { started, installed, boot: begun.elapsed() }
    }

    /// A device whose power was cut in a stage.
    fn cut(&self, stage: Stage, chance: f64) -> Vm {
        let device = |disk: &Path| product::machine(disk).network();
        let moment = self.boot.mul_f64(chance);
        match stage {
            Stage::Installation => {
                let mut guest = device(&self.started).start().unwrap();
                versions::online(&mut guest);
                guest.install_until(&versions::bundle("2", ""), moment).unwrap()
            }
            Stage::Blessing => {
                let guest = device(&self.installed).start().unwrap();
                std::thread::sleep(moment / 2);
                guest.kill().unwrap()
            }
            Stage::First | Stage::Trial => {
                let vm = match stage {
                    Stage::First => versions::device("1"),
                    _ => device(&self.installed),
                };
                let guest = vm.begin().unwrap();
                std::thread::sleep(moment);
                guest.kill().unwrap()
            }
        }
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        for directory in [&self.started, &self.installed] {
            std::fs::remove_dir_all(directory).unwrap();
        }
    }
}
