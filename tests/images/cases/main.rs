//! What people bring: the images of `tests/boot/everything.rs`, a kind a file.
//!
//! Those that are to be refused differ from [`small`] in what is refused alone,
//! so that all of them share its packages and its cached system.

use std::process::ExitCode;

use bedplate::prelude::*;

mod budgets;
mod checks;
mod identity;
mod initrd;
mod links;
mod maintainer;
mod sources;
mod triggers;

fn main() -> ExitCode {
    bedplate::main(&[
        image!(everything),
        image!(budgets::budgeted),
        image!(identity::identity),
        image!(initrd::initrd_two_kernels),
        image!(initrd::initrd_module),
        image!(checks::checks_settings),
        image!(checks::checks_unfit),
        image!(links::links_tar),
        image!(links::links_hidden),
        image!(links::links_bind),
        image!(checks::checks_zone),
        image!(maintainer::maintainer_module),
        image!(maintainer::maintainer_scripts),
        image!(maintainer::maintainer_vendor),
        image!(triggers::triggers),
        image!(triggers::certificate_alone),
        image!(triggers::broken_profile),
        image!(triggers::script_of_the_time),
        image!(triggers::failing_script),
        image!(triggers::removes_nothing),
        image!(sources::sources_file),
        image!(sources::sources_presigned),
        image!(sources::sources_flat),
        image!(sources::sources_version),
        image!(sources::sources_backports),
        image!(sources::sources_recommended),
        image!(sources::sources_signed),
        image!(sources::sources_agent),
        image!(sources::sources_debian),
    ])
}

/// As many cases as fit into one device.
pub fn everything(_: &Target) -> Image {
    without_data()
        .partition(Data::new("calibration", Ext4).mount("/calibration").size(MiB(64)).fixed())
        .partition(Data::new("scratch", Ext4).mount("/scratch").size(MiB(64)).fixed().dangerous_makefs())
        .partition(Data::new("persistent", Ext4).mount("/local").size(MiB(256)))
        .with(initrd::everything)
        .with(links::everything)
        .with(triggers::everything)
        .with(checks::everything)
}

/// As few packages as boot.
pub fn small() -> Image {
    without_data().partition(Data::new("persistent", Ext4).mount("/local").size(MiB(256)))
}

fn without_data() -> Image {
    Image::debian("trixie")
        .packages(["linux-image-cloud-amd64", "systemd-sysv", "systemd-boot"])
        .packages(["dbus", "dmsetup", "kmod"])
        .hostname("small")
        .command_line("console=ttyS0,115200")
        .partition(Esp::new(MiB(320)))
        .partition(Root::new(Erofs).verity().size(MiB(512)))
        .volatile(Volatile::Overlay)
}
