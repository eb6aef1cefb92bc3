//! Bedplate builds immutable Ubuntu and Debian disk images from a Rust description.

pub mod host;
pub mod sandbox;
pub mod step;
