//! The steps of a build, one a file: each takes what the plan decided and turns
//! trees into trees, or trees into bytes.

pub mod initrd;
