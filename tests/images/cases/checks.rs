//! Trees that do not fit their description, and one that does.

use bedplate::prelude::*;

use crate::small;

/// The small image with programs that check their own configuration.
fn equipped() -> Image {
    small().packages(["nftables", "openssh-server", "sudo", "tzdata"])
}

/// A time zone that has moved into another package.
pub fn checks_zone(_: &Target) -> Image {
    equipped().timezone("US/Eastern")
}

/// A disk that nobody has, a link to no unit, and a service of many faults.
pub fn checks_unfit(_: &Target) -> Image {
    equipped()
        .overlay("checks/unfit")
        .unit(unit!("checks/agent.service"))
        .enable("agent.service")
        .bind(Bind::new("/var/lib/dynamic").required_by("dynamic.service"))
        .unit(unit!("checks/dynamic.service"))
        .enable("dynamic.service")
}

/// Settings with a misspelt word each.
pub fn checks_settings(_: &Target) -> Image {
    equipped()
        .overlay("checks/settings")
        .file("/etc/nftables.conf", "flush ruleset\ntable inet filter {\n    chian input {}\n}\n")
        .unit(unit!("checks/misspelt.service"))
        .enable("misspelt.service")
}

/// The same put right, with a service whose user is made when it starts.
pub fn everything(image: Image) -> Image {
    image
        .packages(["nftables", "openssh-server", "sudo", "tzdata"])
        .timezone("America/New_York")
        .overlay("checks/right")
        .file("/etc/nftables.conf", "flush ruleset\ntable inet filter {\n    chain input {}\n}\n")
        .bind(Bind::new("/var/lib/private/dynamic").required_by("dynamic.service"))
        .unit(unit!("checks/dynamic.service"))
        .enable("dynamic.service")
}
