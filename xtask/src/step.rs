//! The steps of a build, a file each. A step does what the plan says and never
//! chooses.

pub mod scrub;
pub mod system;
