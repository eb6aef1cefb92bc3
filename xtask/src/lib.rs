//! Placeholder.

pub mod archive;
pub mod fetch;
pub mod sandbox;
pub mod store;
