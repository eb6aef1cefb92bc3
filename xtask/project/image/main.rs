//! The devices of this project, described.
//!
//! `cargo xtask plan` prints what follows from each line, `cargo xtask image` builds it. Add a package, a file or a unit
//! below, and the promises in `tests/image.rs` tell what it changes.

use std::process::ExitCode;

use bedplate::prelude::*;

fn main() -> ExitCode {
    // The first one is the default.
    bedplate::main(&[image!(example_device), image!(example_device_development)])
}

/// A device with a verified root, a wired network, and a service that remembers.
pub fn example_device(target: &Target) -> Image {
    Image::ubuntu("noble")
        .package("linux-generic")
        .version(env!("CARGO_PKG_VERSION"))
        .hostname("example-device-{machine-id}")
        .with(disk)
        .with(|image| consoles(image, target))
        .with(system)
        .with(people)
        .with(boots)
}

/// The same with root at its console: to look inside, never to ship.
pub fn example_device_development(target: &Target) -> Image {
    example_device(target).dangerous_autologin().packages(["less", "procps"])
}

/// A root that nobody can change, and a partition for what lasts.
fn disk(image: Image) -> Image {
    image
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs).verity())
        // Grows to the end of the device's disk.
        .partition(Data::new("persistent", Ext4).mount("/local"))
        // Programs may write anywhere; a reboot undoes it, except below a bind.
        .volatile(Volatile::Overlay)
}

/// Screen and serial line; systemd speaks on the last one.
fn consoles(image: Image, target: &Target) -> Image {
    let serial = match target.architecture {
        Architecture::X86_64 => "console=ttyS0,115200",
        Architecture::Aarch64 => "console=ttyAMA0,115200",
    };
    image.command_line("console=tty0").command_line(serial)
}

/// systemd, with time and names from the network.
fn system(image: Image) -> Image {
    image
        .packages(["systemd-sysv", "systemd-boot", "systemd-resolved", "systemd-timesyncd"])
        .packages(["ca-certificates", "dbus", "iproute2", "kmod", "tzdata"])
        .enable("systemd-networkd.service")
        .enable("systemd-resolved.service")
        .enable("systemd-timesyncd.service")
        // A device without a network starts all the same.
        .mask("systemd-networkd-wait-online.service")
        // Files at the paths they have on the device: DHCP on wired interfaces.
        .overlay("overlay")
}

/// Who has a key that the device is handed as the credential `ssh.authorized_keys.admin` comes in by ssh.
fn people(image: Image) -> Image {
    image.user(User::new("admin").administrator().login(Login::Credential))
}

/// A service of our own, and the directory that it keeps over reboots and updates.
fn boots(image: Image) -> Image {
    image
        .unit(unit!("units/boots.service"))
        .enable("boots.service")
        .bind(Bind::new("/var/lib/boots").required_by("boots.service"))
}
