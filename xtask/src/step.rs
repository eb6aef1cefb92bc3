//! The steps of a build, one a file: each takes what the plan decided and turns
//! trees into trees, or trees into bytes.

pub mod apparmor;
pub mod boot;
pub mod budget;
pub mod check;
pub mod compress;
pub mod data;
pub mod disk;
pub mod homes;
pub mod identity;
pub mod initrd;
pub mod inside;
pub mod manifest;
pub mod measure;
pub mod microcode;
pub mod origin;
pub mod overlay;
pub mod owners;
pub mod place;
pub mod presets;
pub mod remove;
pub mod root;
pub mod scratch;
pub mod script;
pub mod seal;
pub mod slot;
pub mod sysprep;
pub mod system;
pub mod sysusers;
pub mod text;
pub mod triggers;
pub mod units;
pub mod unpacked;
pub mod users;
pub mod version;
