//! Images with packages from a vendor, for tests that play the vendor.
//!
//! The key is made by the test, so that no secret key is in the repository: `VENDOR_KEY` names its file,
//! `VENDOR_FINGERPRINT` pins it, `VENDOR_SHA256` is the digest of the package that has no signature.

use std::process::ExitCode;

use bedplate::prelude::*;

/// Where the vendor says that its packages are.
const VENDOR: &str = "https://vendor.example";

fn main() -> ExitCode {
    bedplate::main(&[
        image!(signed),
        image!(signed_elsewhere),
        image!(unsigned),
        image!(both),
        image!(twice),
        image!(kept_out),
        image!(signed_by_url),
        image!(archive_by_url),
    ])
}

/// As few packages as boot, and the vendor's.
pub fn signed(target: &Target) -> Image {
    small(target).deb(Deb::signed(agent(), key()))
}

/// The signature has another name than most.
pub fn signed_elsewhere(target: &Target) -> Image {
    small(target).deb(Deb::signed(agent(), key()).signature(format!("{VENDOR}/signatures/agent.asc")))
}

/// Nobody has signed it.
pub fn unsigned(target: &Target) -> Image {
    small(target).deb(Deb::dangerous_unsigned(agent(), variable("VENDOR_SHA256")))
}

/// A package and what it needs, both from the vendor.
pub fn both(target: &Target) -> Image {
    signed(target).deb(Deb::signed(format!("{VENDOR}/library.deb"), key()))
}

/// One package at two addresses.
pub fn twice(target: &Target) -> Image {
    signed(target).deb(Deb::signed(format!("{VENDOR}/older.deb"), key()))
}

/// A package that is installed and kept out.
pub fn kept_out(target: &Target) -> Image {
    signed(target).without("agent")
}

/// The key is at an address.
pub fn signed_by_url(target: &Target) -> Image {
    small(target).deb(Deb::signed(agent(), key_by_url()))
}

/// The same, and an archive that is signed with the same key.
pub fn archive_by_url(target: &Target) -> Image {
    let archive = Repository::signed(format!("{VENDOR}/debian"), "stable", ["main"], key_by_url());
    signed_by_url(target).repository(archive).package("library")
}

fn small(_: &Target) -> Image {
    Image::debian("trixie")
        .packages(["linux-image-cloud-amd64", "systemd-sysv", "systemd-boot", "dmsetup"])
        .hostname("small")
        .command_line("console=ttyS0,115200")
        .partition(Esp::new(MiB(256)))
        .partition(Root::new(Erofs).verity().size(MiB(512)))
        .partition(Data::new("persistent", Ext4).mount("/local").size(MiB(64)))
}

fn agent() -> String {
    format!("{VENDOR}/latest/agent.deb")
}

fn key() -> Key {
    Key::file(&variable("VENDOR_KEY")).pinned(variable("VENDOR_FINGERPRINT"))
}

fn key_by_url() -> Key {
    Key::url(format!("{VENDOR}/vendor.gpg")).pinned(variable("VENDOR_FINGERPRINT"))
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| format!("{name} is not set"))
}
