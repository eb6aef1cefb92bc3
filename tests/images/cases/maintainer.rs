//! Maintainer scripts of the real world. The vendor's package is the test's: `MAINTAINER_SHA256` is its digest.

use bedplate::prelude::*;

use super::small;

/// A vendor's package whose scripts call what such scripts call.
pub fn maintainer_scripts(_: &Target) -> Image {
    small()
        .packages(["adduser", "init-system-helpers", "libcap2-bin", "procps", "ucf", "udev"])
        .component("non-free-firmware")
        .package("firmware-ipw2x00")
        .debconf("firmware-ipw2x00/license/accepted", true)
        .debconf("agent/accept", true)
        .debconf("agent/site", "north")
        .deb(vendors())
}

/// A vendor's package with a kernel module that DKMS builds.
pub fn maintainer_module(_: &Target) -> Image {
    small()
        .packages(["dkms", "linux-headers-cloud-amd64", "openssl"])
        .dangerous_command_line("lockdown=none")
        .dangerous_command_line("module.sig_enforce=0")
        .deb(vendors())
}

/// A vendor's package in a system of as few packages as boot.
pub fn maintainer_vendor(_: &Target) -> Image {
    small().deb(vendors())
}

fn vendors() -> Deb {
    let sha256 = std::env::var("MAINTAINER_SHA256").unwrap_or_else(|_| "0".repeat(64));
    Deb::dangerous_unsigned("https://vendor.example/agent.deb", sha256)
}
