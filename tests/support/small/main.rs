//! Small images, for tests that build often and tests that are to fail.

use std::process::ExitCode;

use bedplate::*;

fn main() -> ExitCode {
    bedplate::main(&[image!(small), image!(typo), image!(mistaken)])
}

/// As few packages as boot, and one of everything a description can hold.
pub fn small(_: &Target) -> Image {
    Image::debian("trixie")
        .packages(["linux-image-cloud-amd64", "systemd-sysv", "systemd-boot"])
        .packages(["dbus", "dmsetup", "kmod"])
        .hostname("small")
        .command_line("console=ttyS0,115200")
        .partition(Esp::new(MiB(256)))
        .partition(Root::new(Erofs).verity())
        .partition(Data::new("persistent", Ext4).mount("/local"))
        .volatile(Volatile::Overlay)
        .bind("/var/lib/kept")
        .overlay("overlay")
}

/// Right as far as a plan can tell, with a package that no archive has.
pub fn typo(target: &Target) -> Image {
    small(target).packages(["less", "systemd-timesincd"])
}

/// Wrong as far as a plan can tell.
pub fn mistaken(target: &Target) -> Image {
    small(target).bind("/var/lib/kept").hostname("-small-")
}
