//! Ubuntu's images on an archive that a test makes of Debian's packages, and Debian's of the same packages.
//!
//! `UBUNTU_KEY` names the file with the key that signs the archive, `UBUNTU_SNAPSHOT` the moment of a snapshot of it,
//! `VENDOR_KEY` the file with that of the agents, which `VENDOR_FINGERPRINT` pins.

use std::process::ExitCode;

use bedplate::prelude::*;

#[path = "../../../image/main.rs"]
#[expect(dead_code, reason = "its images are built by others")]
mod image;

fn main() -> ExitCode {
    bedplate::main(&[image!(edge), image!(edge_twin), image!(small), image!(small_twin)])
}

/// The device of `image/main.rs`, as it is, with its archive and its agents from the test.
pub fn edge(target: &Target) -> Image {
    archive(image::edge_ubuntu(target))
        .with(|image| image::agents::ssm_from(image, agent("amazon-ssm-agent")))
        .with(|image| image::agents::cloudwatch_from(image, agent("amazon-cloudwatch-agent")))
}

/// Debian's packages that its are made of.
pub fn edge_twin(target: &Target) -> Image {
    image::edge_debian(target).packages(["default-jre-headless", "netplan.io"]).with(materials)
}

/// As few packages as boot.
pub fn small(target: &Target) -> Image {
    archive(few(Image::ubuntu("noble"), target)).package("linux-generic-hwe-24.04")
}

/// Debian's packages that its are made of.
pub fn small_twin(target: &Target) -> Image {
    few(Image::debian("trixie"), target).package("linux-image-cloud-amd64").with(materials)
}

fn few(image: Image, _: &Target) -> Image {
    image
        .packages(["systemd-sysv", "systemd-boot", "dbus", "dmsetup", "kmod", "less", "tzdata", "unzip"])
        .hostname("small")
        .command_line("console=ttyS0,115200")
        .partition(Esp::new(MiB(256)))
        .partition(Root::new(Erofs).verity().size(MiB(512)))
        .partition(Data::new("persistent", Ext4).mount("/local").size(MiB(64)))
        .volatile(Volatile::Overlay)
}

/// What is in Ubuntu's `systemd`, what its kernel asks for, and what resolves and writes its images.
fn materials(image: Image) -> Image {
    image.packages(["apt", "cryptsetup-bin", "firmware-linux-free", "systemd-boot-efi"])
}

fn archive(image: Image) -> Image {
    let image = image.signed_by(Key::file(&variable("UBUNTU_KEY")));
    match std::env::var("UBUNTU_SNAPSHOT") {
        Ok(moment) => image.snapshot(moment.as_str()),
        Err(_) => image,
    }
}

fn agent(name: &str) -> Deb {
    let key = Key::file(&variable("VENDOR_KEY")).pinned(variable("VENDOR_FINGERPRINT"));
    Deb::signed(format!("http://vendor.example/{name}.deb"), key)
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| format!("{name} is not set"))
}
