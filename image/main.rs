//! The devices this project builds, described.
//!
//! `cargo xtask image` turns the first one into a disk, `cargo xtask image
//! edge-debian` the second; `cargo xtask plan` shows what will be on it. What
//! is written here is all there is: nothing is configured anywhere else.

use std::process::ExitCode;

use bedplate::*;

mod agents;
mod docker;

fn main() -> ExitCode {
    bedplate::main(&[image!(edge), image!(edge_debian)])
}

/// Ubuntu 24.04 for edge devices that are managed from AWS.
pub fn edge(target: &Target) -> Image {
    device(Image::ubuntu("noble"), target)
        .package("linux-generic-hwe-24.04")
        .package("linux-firmware")
        .package("docker-compose-v2")
        .with(|image| agents::ssm_package(image, target))
        .with(|image| agents::cloudwatch_package(image, target))
}

/// The same device from Debian's archive, with nothing of AWS's in it: their
/// packages can be added later, and find their places kept.
pub fn edge_debian(target: &Target) -> Image {
    let kernel = match target.architecture {
        Architecture::X86_64 => "linux-image-amd64",
        Architecture::Aarch64 => "linux-image-arm64",
    };
    device(Image::debian("trixie"), target).package(kernel).packages(["docker-cli", "docker-compose"])
}

/// What the devices have in common: a verified root that nobody can change,
/// and a data partition with the few directories that are kept.
fn device(image: Image, target: &Target) -> Image {
    image
        .hostname("edge")
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs).verity())
        .partition(Data::new("persistent", Ext4).mount("/local"))
        // Programs may write anywhere; what is not kept is gone at the next boot.
        .volatile(Volatile::Overlay)
        .with(|image| consoles(image, target))
        .with(base)
        .with(docker::docker)
        .with(updates)
        .with(agents::provisioning)
        .with(agents::greengrass)
        .with(agents::ssm_state)
        .with(agents::cloudwatch_state)
        .overlay("overlay")
}

/// Screen and serial line; systemd speaks on the last one.
fn consoles(image: Image, target: &Target) -> Image {
    let serial = match target.architecture {
        Architecture::X86_64 => "console=ttyS0,115200",
        Architecture::Aarch64 => "console=ttyAMA0,115200",
    };
    image.command_line("console=tty0").command_line(serial)
}

/// A small system with a network, names, time, and a shell one can work in.
fn base(image: Image) -> Image {
    image
        .packages(["systemd-sysv", "systemd-boot", "systemd-resolved", "systemd-timesyncd"])
        .packages(["apparmor", "dbus", "kmod"])
        .packages(["apt", "ca-certificates", "locales", "lsb-release", "sudo", "tzdata"])
        .packages(["e2fsprogs", "fdisk", "dmsetup"])
        .packages(["netplan.io", "iproute2", "iputils-ping", "bind9-host", "curl"])
        .packages(["bash-completion", "jq", "less", "procps", "unzip", "vim"])
        .enable("systemd-networkd.service")
        .enable("systemd-resolved.service")
        .enable("systemd-timesyncd.service")
        // What happened before the power went is what one wants to read.
        .bind("/var/log/journal")
        .file("/etc/systemd/journald.conf.d/60-kept.conf", "[Journal]\nSystemMaxUse=256M\n")
        // A device without its network starts all the same, and at once.
        .mask("systemd-networkd-wait-online.service")
}

/// What RAUC remembers of an update; it streams one through nbd.
fn updates(image: Image) -> Image {
    image.package("rauc").bind("/var/rauc")
}
