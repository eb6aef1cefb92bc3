//! The agents of `image/agents.rs` on a small image, their packages from a vendor that a test plays.
//!
//! `VENDOR_KEY` names the file with the vendor's key, `VENDOR_FINGERPRINT` pins it.

use std::process::ExitCode;

use bedplate::*;

#[path = "../../../image/agents.rs"]
#[expect(dead_code, reason = "the packages are the test's")]
mod profiles;

fn main() -> ExitCode {
    bedplate::main(&[image!(agents)])
}

/// As few packages as boot and reach the network, and the agents.
pub fn agents(_: &Target) -> Image {
    Image::debian("trixie")
        .packages(["linux-image-cloud-amd64", "systemd-sysv", "systemd-boot", "dbus", "dmsetup", "kmod"])
        .packages(["iproute2", "hostname"])
        .hostname("agents")
        .command_line("console=ttyS0,115200")
        .partition(Esp::new(MiB(256)))
        .partition(Root::new(Erofs).verity())
        .partition(Data::new("persistent", Ext4).mount("/local"))
        .volatile(Volatile::Overlay)
        .enable("systemd-networkd.service")
        .mask("systemd-networkd-wait-online.service")
        .overlay("overlay")
        .with(profiles::provisioning)
        .with(profiles::greengrass)
        .with(profiles::ssm_state)
        .with(profiles::cloudwatch_state)
        .deb(Deb::signed("https://vendor.example/amazon-ssm-agent.deb", key()))
        .deb(Deb::signed("https://vendor.example/amazon-cloudwatch-agent.deb", key()))
        .enable("amazon-ssm-agent.service")
        .enable("amazon-cloudwatch-agent.service")
}

fn key() -> Key {
    Key::file(&variable("VENDOR_KEY")).pinned(variable("VENDOR_FINGERPRINT"))
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| format!("{name} is not set"))
}
