//! The agents of `image/` on a small image, their packages from a vendor that a test plays.
//!
//! `VENDOR_KEY` names the file with the vendor's key, `VENDOR_FINGERPRINT` pins it.

use std::process::ExitCode;

use bedplate::prelude::*;

#[path = "../../../image/greengrass_lite.rs"]
mod lite;
#[path = "../../../image/network.rs"]
#[expect(dead_code, reason = "the other is Debian's, and starts in every other test")]
mod network;
#[path = "../../../image/agents.rs"]
#[expect(dead_code, reason = "the packages are the test's")]
mod profiles;

fn main() -> ExitCode {
    bedplate::main(&[image!(agents)])
}

/// As few packages as boot and reach the network, and the agents: both nuclei of Greengrass, which no device has.
pub fn agents(_: &Target) -> Image {
    Image::debian("trixie")
        .packages(["linux-image-cloud-amd64", "systemd-sysv", "systemd-boot", "dbus", "dmsetup", "kmod"])
        .packages(["iproute2", "hostname"])
        .hostname("agents")
        .command_line("console=ttyS0,115200")
        .partition(Esp::new(MiB(256)))
        .partition(Root::new(Erofs).verity().size(MiB(512)))
        .partition(Data::new("persistent", Ext4).mount("/local").size(MiB(256)))
        .volatile(Volatile::Overlay)
        .with(network::netplan)
        .with(profiles::provisioning)
        .with(|image| profiles::ssm_from(image, package("amazon-ssm-agent")))
        .with(|image| profiles::cloudwatch_from(image, package("amazon-cloudwatch-agent")))
        .with(profiles::greengrass)
        .with(|image| lite::greengrass_lite(image, package("aws-greengrass-lite")))
        .dangerous_autologin()
}

fn package(name: &str) -> Deb {
    let key = Key::file(&variable("VENDOR_KEY")).pinned(variable("VENDOR_FINGERPRINT"));
    Deb::signed(format!("https://vendor.example/{name}.deb"), key)
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| format!("{name} is not set"))
}
