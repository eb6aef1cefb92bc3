//! How long a device takes from the first instruction of its kernel until it is of use, in emulation: `-- --start DISK`,
//! for the disk of any revision.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use bedplate::vm::Vm;

use super::say;

/// A moment of a start, and the property of a unit (of the manager itself, where it has no name) that says when it was.
const MOMENTS: [(&str, &str, &str); 6] = [
    ("initrd", "", "InitRDTimestampMonotonic"),
    ("root", "", "UserspaceTimestampMonotonic"),
    ("sysinit", "sysinit.target", "ActiveEnterTimestampMonotonic"),
    ("login", "ssh.service", "ActiveEnterTimestampMonotonic"),
    ("docker", "docker.service", "ActiveEnterTimestampMonotonic"),
    ("all", "", "FinishTimestampMonotonic"),
];

/// How many services are told of that took the most of the processors.
const SERVICES: usize = 8;

/// Starts a device for the first time, and once more. What systemd plots of each stays in `directory`.
pub fn measure(disk: &Path, directory: &Path) -> Result<()> {
    let mut vm = Vm::new(disk);
    for start in ["first", "later"] {
        let mut guest = vm.start()?;
        guest.settle()?;
        let told = MOMENTS.iter().map(|(what, unit, property)| {
            let microseconds = guest.check(&format!("systemctl show -P {property} {unit}"))?;
            let seconds = microseconds.trim().parse::<f64>().context("systemd tells no time")? / 1e6;
            Ok(format!("{what} {seconds:.1} s"))
        });
        let told = told.collect::<Result<Vec<_>>>()?.join(", ");
        say(format_args!("{start} start: {told}"));
        let units = guest.check("systemctl show -p Id -p CPUUsageNSec init.scope '*.service'")?;
        let most = processor(&units).into_iter().take(SERVICES);
        let most: Vec<String> = most.map(|(unit, seconds)| format!("{unit} {seconds:.1} s")).collect();
        say(format_args!("of the processors: {}", most.join(", ")));
        fs::write(directory.join(format!("start-{start}.svg")), guest.check("systemd-analyze plot")?)?;
        vm = guest.power_off()?;
    }
    Ok(())
}

/// The seconds of processor that each unit took, the most first, from what `systemctl show` says of them.
fn processor(units: &str) -> Vec<(&str, f64)> {
    let name = |unit| property(unit, "Id=");
    let taken = |unit| Some(property(unit, "CPUUsageNSec=")?.parse::<f64>().ok()? / 1e9);
    // One that has run nothing says the largest number there is, or `[not set]`.
    let most = |&(_, seconds): &(&str, f64)| seconds < 1e6;
    let mut found: Vec<_> =
        units.split("\n\n").filter_map(|unit| Some((name(unit)?, taken(unit)?))).filter(most).collect();
    found.sort_by(|one, other| other.1.total_cmp(&one.1));
    found
}

fn property<'a>(unit: &'a str, name: &str) -> Option<&'a str> {
    unit.lines().find_map(|line| line.strip_prefix(name))
}
