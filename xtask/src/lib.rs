//! Placeholder.

pub mod archive;
pub mod fetch;
pub mod resolve;
pub mod sandbox;
pub mod store;
