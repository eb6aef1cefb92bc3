//! What people bring: each kind of input that once made an image wrong, and
//! what is right. A kind is a file in `cases/`; its images are in
//! `support/cases/`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/forge.rs"]
mod forge;
#[path = "cases/identity.rs"]
mod identity;
#[path = "cases/links.rs"]
mod links;
#[path = "cases/maintainer.rs"]
mod maintainer;
#[path = "support/product.rs"]
mod product;
#[path = "support/root.rs"]
mod root;
#[path = "support/scene.rs"]
mod scene;
#[path = "../xtask/tests/archive/server.rs"]
#[expect(dead_code, reason = "every test uses its own part")]
mod server;
#[path = "../xtask/tests/archive/signer.rs"]
#[expect(dead_code, reason = "every test uses its own part")]
mod signer;
#[path = "cases/triggers.rs"]
mod triggers;
#[path = "support/vendor.rs"]
mod vendor;

#[path = "cases/checks.rs"]
mod checks;
#[path = "cases/initrd.rs"]
mod initrd;
#[path = "cases/sources.rs"]
mod sources;

use product::{built, machine};

/// One boot for all kinds: the device settles, and each kind asks it.
#[test]
fn a_device_of_everything_settles() {
    let mut guest = machine(&built("cases", "everything")).start().unwrap();
    guest.settle().unwrap();
    initrd::in_guest(&mut guest);
    links::in_guest(&mut guest);
    triggers::in_guest(&mut guest);
    checks::in_guest(&mut guest);
}
