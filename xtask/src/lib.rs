//! Placeholder.

pub mod archive;
pub mod fetch;
pub mod host;
pub mod resolve;
pub mod sandbox;
pub mod store;
