//! File trees and the byte formats of a bootable Linux disk, over `Read`,
//! `Write` and `Seek`. Nothing here knows what an image description is.

pub mod authenticode;
pub mod bmap;
pub mod control;
pub mod cpio;
pub mod deb;
mod decompress;
pub mod digest;
pub mod efi_variable;
pub mod elf;
pub mod erofs;
pub mod filesystem;
pub mod gpt;
pub mod jks;
pub mod members;
pub mod metadata;
pub mod modules;
pub mod pcr;
pub mod pe;
pub mod pkcs7;
pub mod region;
pub mod signature_list;
pub mod sparse;
pub mod squashfs;
pub mod tar;
pub mod tarball;
pub mod tree;
pub mod uefi_data;
pub mod uki;
pub mod unpack;
pub mod used;
pub mod verity;
pub mod vfat;

/// The digest of this crate's sources, for the keys of cache entries: see `build.rs`.
#[doc(hidden)]
pub const FORMATS_SOURCES: &str = env!("BEDPLATE_SOURCES");
