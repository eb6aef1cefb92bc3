//! Small images on the root file systems that the devices do not use.

use std::process::ExitCode;

use bedplate::prelude::*;

fn main() -> ExitCode {
    bedplate::main(&[image!(squashfs), image!(ext4)])
}

/// The other file system that can be verified.
pub fn squashfs(_: &Target) -> Image {
    small().partition(Root::new(Squashfs).verity().size(MiB(512))).volatile(Volatile::Overlay)
}

/// A root that is written to, and keeps what is written.
pub fn ext4(_: &Target) -> Image {
    small().partition(Root::new(Ext4).size(MiB(768)))
}

/// As few packages as boot, and a program with file capabilities.
fn small() -> Image {
    Image::debian("trixie")
        .packages(["linux-image-cloud-amd64", "systemd-sysv", "systemd-boot"])
        .packages(["dbus", "dmsetup", "kmod", "libcap2-bin", "mtr-tiny"])
        .hostname("small")
        .command_line("console=ttyS0,115200")
        .partition(Esp::new(MiB(256)))
        .partition(Data::new("persistent", Ext4).mount("/local").size(MiB(256)))
        .bind("/var/lib/kept")
}
