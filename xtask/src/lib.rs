//! Placeholder.

pub mod host;
pub mod sandbox;
