//! What a build makes of a description, held against the tools that everybody else uses.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod artifacts;
mod bundle;
mod cases;
mod delta;
mod diff;
mod disk;
mod environments;
mod failures;
mod filesystems;
mod flash;
mod page;
mod papers;
mod remote;
mod reproducible;
mod shells;
mod sysprep;
mod system;
mod trust;

#[path = "../support/product.rs"]
mod product;
#[path = "../support/python.rs"]
mod python;
#[path = "../support/scene.rs"]
mod scene;
#[path = "../support/unpacked.rs"]
mod unpacked;
