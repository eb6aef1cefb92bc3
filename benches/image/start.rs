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
        fs::write(directory.join(format!("start-{start}.svg")), guest.check("systemd-analyze plot")?)?;
        vm = guest.power_off()?;
    }
    Ok(())
}
