//! Placeholder.

pub mod step;
