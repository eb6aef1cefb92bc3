//! What a device does: each image is started, in QEMU or in a container, and asked from inside.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agents;
mod arm64;
mod chain;
mod disks;
mod edge;
mod everything;
mod harness;
mod identity;
mod login;
mod new;
mod packages;
mod power;
mod quick;
mod replay;
mod state;
mod units;
mod versions;

#[path = "../support/product.rs"]
mod product;
#[path = "../support/project.rs"]
mod project;
#[path = "../support/unpacked.rs"]
mod unpacked;
