//! Packages that make ids, keys and databases when they are configured.

use bedplate::prelude::*;

/// Packages whose maintainer scripts make what belongs to one machine.
const MAKERS: [&str; 13] = [
    "bind9",
    "dropbear",
    "dropbear-initramfs",
    "mariadb-server",
    "mdadm",
    "mosquitto",
    "nvme-cli",
    "open-iscsi",
    "openvpn",
    "popularity-contest",
    "postgresql",
    "ssl-cert",
    "tor",
];

/// All of them on a small device.
pub fn identity(_: &Target) -> Image {
    super::small().packages(MAKERS).bind("/var/lib/mysql")
}
