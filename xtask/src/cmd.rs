//! The verbs, one a file.

pub mod boot;
pub mod check;
pub mod clean;
pub mod explain;
pub mod image;
pub mod inspect;
pub mod lock;
pub mod plan;
pub mod tools;
pub mod verify;
