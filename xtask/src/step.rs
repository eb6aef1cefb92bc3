//! The steps of a build, one a file. Each takes what it needs and decides nothing.

pub mod boot;
pub mod data;
pub mod disk;
pub mod initrd;
pub mod manifest;
pub mod overlay;
pub mod root;
pub mod scrub;
pub mod system;
pub mod units;
pub mod users;
