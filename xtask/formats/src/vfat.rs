//! The FAT32 file system of an EFI system partition: written through the `fatfs`
//! crate, read by our own reader.
//!
//! Microsoft's "FAT: General Overview of On-Disk Format", version 1.03. Only FAT32:
//! firmware has to read it, and an ESP is never so small that it would not do.
//! Owners, modes, links and devices are deliberately absent, as they are in FAT.
//!
//! `fatfs` leaves directories that a check refuses, and takes its times from a
//! clock; so each directory is mended after it is written, and every time is the
//! one given. Invariant: the bytes are a function of the tree and the options.

use crate::tree::TreePath;

pub use self::read::{ReadError, Volume, read};
pub use self::write::write;

mod device;
mod entry;
mod mend;
mod read;
#[cfg(test)]
mod tests;
mod write;

/// The smallest file system that can be a FAT32, in bytes, rounded up.
pub const MINIMUM: u64 = 33 << 20;
/// The same with sectors of 4096 bytes, in clusters of one sector each.
pub const LARGE_MINIMUM: u64 = 257 << 20;

/// The size of a usual sector, in bytes.
const SECTOR: u64 = 512;

/// What a file system is made with, apart from its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How large it is, in bytes: the size of its partition.
    pub size: u64,
    /// Its serial number, which Linux shows as the UUID `1234-ABCD`.
    pub volume_id: u32,
    /// Its label: at most eleven of the characters a short name may have.
    pub label: String,
    /// The time every file gets, in seconds since 1970. FAT begins in 1980, ends
    /// in 2107 and counts two seconds at a time.
    pub epoch: i64,
    /// The size of the disk's sectors, in bytes: 512 or 4096.
    pub sector_size: u64,
}

/// Why a tree cannot be written as a FAT file system.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The size is no multiple of a sector, too small for a FAT32 or too large.
    #[error(
        "a FAT32 file system cannot have `{size}` bytes: it takes whole sectors of {sector_size} bytes, {} to 2 TiB",
        minimum(*sector_size)
    )]
    Size {
        /// The size, in bytes.
        size: u64,
        /// The size of a sector, in bytes.
        sector_size: u64,
    },
    /// The label is too long or has characters no label may have.
    #[error(
        "`{0}` cannot be the label of a FAT file system: up to eleven of A-Z, 0-9, blank and _ - $ % @ # & ! ~"
    )]
    Label(String),
    /// A name FAT cannot hold.
    #[error("`{path}` cannot be on a FAT file system: {why}")]
    Path {
        /// Which one.
        path: TreePath,
        /// Why.
        why: &'static str,
    },
    /// The files do not fit.
    #[error(
        "`{needed}` bytes do not fit into a FAT file system with room for `{available}`; the largest files: {}",
        list(largest)
    )]
    Full {
        /// What files and directories need, in bytes.
        needed: u64,
        /// What there is, in bytes.
        available: u64,
        /// The largest files with their sizes in bytes, the largest first.
        largest: Vec<(TreePath, u64)>,
    },
    /// A file cannot be read or the file system not be written.
    #[error("writing `{path}` to the FAT file system failed")]
    Io {
        /// What was being written; `/` for the file system itself.
        path: TreePath,
        /// Why.
        source: std::io::Error,
    },
    /// What was written is not what it should be: a defect of ours.
    #[error("the FAT file system came out broken")]
    Broken(#[source] ReadError),
}

/// The smallest FAT32 of sectors of this size.
fn minimum(sector_size: u64) -> u64 {
    if sector_size > SECTOR { LARGE_MINIMUM } else { MINIMUM }
}

fn list(files: &[(TreePath, u64)]) -> String {
    let files = files.iter().map(|(path, size)| format!("`{path}` with `{size}`"));
    files.collect::<Vec<_>>().join(", ")
}
