//! Where packages come from: archives, vendors, files and keys, and what is believed of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod forms;
mod keys;
mod releases;
mod ubuntu;
mod vendor;

#[path = "../support/product.rs"]
mod product;
#[path = "../support/scene.rs"]
mod scene;
#[path = "../support/unpacked.rs"]
mod unpacked;
