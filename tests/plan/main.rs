//! What a description says, and what is said of it: no package is fetched, and nothing is built.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cli;
mod environments;
mod flash;
mod guide;
mod image;
mod new;

// What `cargo xtask new` writes.
#[path = "../../xtask/project/tests/image.rs"]
mod new_project;

#[path = "../support/product.rs"]
mod product;
#[path = "../support/project.rs"]
mod project;
