//! File trees and the byte formats of a bootable Linux disk, over `Read`,
//! `Write` and `Seek`. Nothing here knows what an image description is.

pub mod cpio;
pub mod elf;
pub mod modules;
pub mod tree;
