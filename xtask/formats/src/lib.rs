//! File trees and the byte formats of a bootable Linux disk, over `Read`,
//! `Write` and `Seek`. Nothing here knows what an image description is.

pub mod control;
pub mod deb;
pub mod tar;
pub mod cpio;
pub mod elf;
pub mod modules;
pub mod tree;
pub mod unpack;
pub mod digest;
pub mod gpt;
pub mod pe;
pub mod sparse;
pub mod tree;
pub mod uki;
pub mod verity;
pub mod vfat;
