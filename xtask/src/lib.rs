//! Placeholder.

pub mod host;
pub mod sandbox;
pub mod vm;
