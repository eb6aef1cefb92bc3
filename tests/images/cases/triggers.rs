//! What a package's trigger would have done, scripts, and what is left out.

use bedplate::prelude::*;

use super::small;

/// Files of an overlay for each program that makes something of files, a script, and classes of files left out.
pub fn everything(image: Image) -> Image {
    image
        .packages(["apparmor", "ca-certificates", "locales", "udev", "zlib1g"])
        .overlay("triggers")
        .script(script!("scripts/finish"))
        .path_exclude("/usr/share/man/*")
        .path_exclude("/usr/share/doc/*")
        .path_include("/usr/share/doc/*/copyright")
        .remove("/usr/share/bug/*")
        .remove("/usr/share/doc/ca-certificates")
}

/// The same device, of these cases alone.
pub fn triggers(_: &Target) -> Image {
    everything(small())
}

/// A certificate without the package that would make something of it.
pub fn certificate_alone(_: &Target) -> Image {
    small().file("/usr/local/share/ca-certificates/corp.crt", "-----BEGIN CERTIFICATE-----\n")
}

/// A profile of AppArmor's that has no end.
pub fn broken_profile(_: &Target) -> Image {
    small().package("apparmor").file("/etc/apparmor.d/broken", "profile broken /usr/bin/broken {\n")
}

/// A script that writes the time.
pub fn script_of_the_time(_: &Target) -> Image {
    small().script(script!("scripts/twice"))
}

/// A script that fails.
pub fn failing_script(_: &Target) -> Image {
    small().script(script!("scripts/fails"))
}

/// A path at which nothing is.
pub fn removes_nothing(_: &Target) -> Image {
    small().remove("/usr/share/docs")
}
