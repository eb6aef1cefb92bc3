//! Trees that do not fit their description, and one that does.

use bedplate::*;

use crate::small;

/// The small image with programs that check their own configuration.
fn equipped() -> Image {
    small().packages(["nftables", "openssh-server", "sudo", "tzdata"])
}

/// A time zone that has moved into another package, and a service of many faults.
pub fn checks_unfit(_: &Target) -> Image {
    equipped()
        .timezone("US/Eastern")
        .overlay("checks/unfit")
        .unit(unit!("checks/agent.service"))
        .enable("agent.service")
        .bind(Bind::new("/var/lib/dynamic").required_by("dynamic.service"))
        .unit(unit!("checks/dynamic.service"))
        .enable("dynamic.service")
}
