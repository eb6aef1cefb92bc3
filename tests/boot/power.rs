//! Power that is cut at any moment: what had been there is there again, and
//! nothing is half made.
//!
//! QEMU is killed. What the guest had flushed, and also what its disk's cache
//! had taken, survives that: the order of writes is kept, and a disk that
//! loses its cache against the order is not simulated. What the guest's own
//! memory held is lost, as on a device.

#![expect(clippy::print_stdout, reason = "a failure is told with the seed that repeats it")]

use std::time::{Duration, Instant};

use crate::{product, versions};
use bedplate::vm::Vm;
use bedplate::vm::guest::Guest;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// How often the power is cut: once, three times with `BEDPLATE_TESTS=all`, or
/// as often as `BEDPLATE_POWER_CUTS` says.
pub fn cuts() -> u32 {
    let said = std::env::var("BEDPLATE_POWER_CUTS").ok();
    said.map_or(if product::all() { 3 } else { 1 }, |said| said.parse().unwrap())
}

/// Whether cuts of updates are asked for: a session of one takes minutes, and so does each start after it.
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
        let size: u64 = guest.check("df -B1 --output=size /local | tail -1").unwrap().trim().parse().unwrap();
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
    let stages = [Stage::Installation, Stage::Trial, Stage::Blessing, Stage::First];
    let first = random.gen_range(0..stages.len());
    for stage in stages.iter().cycle().skip(first).take(cuts() as usize) {
        let chance = random.gen_range(0.0..1.0);
        println!("cut in {stage:?}, after {:.0} % of the time it may take", chance * 100.0);
        let (vm, versions) = cut(*stage, chance);
        versions::hold(vm, versions, !matches!(stage, Stage::First));
    }
}

/// A device whose power was cut in a stage, and the versions that may run on it.
fn cut(stage: Stage, chance: f64) -> (Vm, &'static [&'static str]) {
    let started = Instant::now();
    let mut guest = versions::device("1").start().unwrap();
    // A start takes as long again.
    let boot = started.elapsed();
    if let Stage::First = stage {
        drop(guest);
        let guest = versions::device("1").begin().unwrap();
        std::thread::sleep(boot.mul_f64(chance));
        return (guest.kill().unwrap(), &["1"]);
    }
    guest.settle().unwrap();
    versions::keep(&mut guest);
    versions::online(&mut guest);
    let update = versions::bundle("2", "");
    if let Stage::Installation = stage {
        return (guest.install_until(&update, boot.mul_f64(chance)).unwrap(), &["1", "2"]);
    }
    guest.install(&update).unwrap();
    if let Stage::Blessing = stage {
        guest.reboot().unwrap();
        std::thread::sleep(boot.mul_f64(chance / 2.0));
        return (guest.kill().unwrap(), &["2"]);
    }
    guest.check("systemctl --no-block reboot").unwrap();
    std::thread::sleep(boot.mul_f64(chance));
    // One try is used up, the other is left.
    (guest.kill().unwrap(), &["2"])
}
