//! Where packages come from, for a test that plays the vendor.
//!
//! The key is made by the test, so that no secret key is in the repository: `SOURCES_KEY` names its file,
//! `SOURCES_FINGERPRINT` pins it. `SOURCES_SHA256` is the digest of the package that has no signature, and
//! `SOURCES_VERSION` the version that is asked for.

use bedplate::prelude::*;

use crate::small;

const VENDOR: &str = "https://vendor.example";

/// A package that lies in the project.
pub fn sources_file(_: &Target) -> Image {
    small().deb(Deb::file("debs/agent.deb"))
}

/// A package at a presigned address.
pub fn sources_presigned(_: &Target) -> Image {
    let url = format!("{VENDOR}/agent.deb?X-Amz-Signature=hush%2F&X-Amz-Date=1");
    small().deb(Deb::dangerous_unsigned(url, variable("SOURCES_SHA256")))
}

/// A flat archive with colons in its address.
pub fn sources_flat(_: &Target) -> Image {
    small().repository(Repository::flat(flat(), "./", key())).package("library")
}

/// The same in a certain version.
pub fn sources_version(_: &Target) -> Image {
    let library = Package::new("library").version(variable("SOURCES_VERSION"));
    small().repository(Repository::flat(flat(), "./", key())).package(library)
}

/// The same from a suite of which nothing is installed by itself.
pub fn sources_backports(target: &Target) -> Image {
    let backports = Repository::signed(VENDOR, "stable-backports", ["main"], key());
    sources_flat(target).repository(backports).package(Package::new("tool").from("stable-backports"))
}

/// The distribution's archive, signed with the vendor's key.
pub fn sources_signed(_: &Target) -> Image {
    small().signed_by(key())
}

/// A package of the project, and what it recommends.
pub fn sources_agent(target: &Target) -> Image {
    sources_flat(target).deb(Deb::file("debs/agent.deb").recommends())
}

/// What the library of the flat archive recommends is installed, too.
pub fn sources_recommended(_: &Target) -> Image {
    let library = Package::new("library").recommends();
    small().repository(Repository::flat(flat(), "./", key())).package(library)
}

/// Debian's own backports, and what they are for.
pub fn sources_debian(_: &Target) -> Image {
    small()
        .suite("trixie-backports")
        .package(Package::new("linux-image-cloud-amd64").from("trixie-backports"))
        .package("podman")
}

fn flat() -> String {
    format!("{VENDOR}/core:/stable:/v1.31/deb")
}

fn key() -> Key {
    Key::file(&variable("SOURCES_KEY")).pinned(variable("SOURCES_FINGERPRINT"))
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| format!("{name} is not set"))
}
