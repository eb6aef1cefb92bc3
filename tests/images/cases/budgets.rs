//! What an image may weigh.

use bedplate::prelude::*;

use crate::small;

/// An image within its budgets, until `CASES_MORE` adds a package and takes room away.
pub fn budgeted(_: &Target) -> Image {
    match std::env::var_os("CASES_MORE") {
        None => small().budget(Budget::initrd(MiB(60))),
        Some(_) => small().package("busybox-static").budget(Budget::initrd(MiB(1))),
    }
}
