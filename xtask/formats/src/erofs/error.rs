//! What is wrong with an EROFS file system.

use std::io;

/// Why a file system, or a file on it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ErofsError {
    /// It cannot be read, or ends too early.
    #[error("reading the EROFS file system failed at offset `{offset}`")]
    Io {
        /// Where, in bytes.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// A field of the superblock has a value that cannot be.
    #[error("no EROFS file system that can be read: the {field} at offset `{at}` is `{value}`")]
    Superblock {
        /// Which field.
        field: &'static str,
        /// Where it stands, in bytes.
        at: u64,
        /// What it holds.
        value: u64,
    },
    /// The superblock's checksum is wrong.
    #[error("the checksum of the EROFS superblock at offset `{}` is wrong", super::SUPERBLOCK)]
    Checksum,
    /// It uses what is not understood here.
    #[error("the EROFS file system uses incompatible feature `{bit:#x}`: {name}")]
    Feature {
        /// The bit of the feature.
        bit: u32,
        /// What it stands for.
        name: &'static str,
    },
    /// An inode has a value that cannot be.
    #[error("the {field} of inode `{nid}` is `{value}`")]
    Inode {
        /// The inode's number.
        nid: u64,
        /// Which field.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
    /// A block of a directory is none.
    #[error("block `{block}` of directory inode `{nid}` holds no names")]
    Directory {
        /// The inode's number.
        nid: u64,
        /// Which of its blocks.
        block: u64,
    },
    /// The index of a compressed file contradicts itself.
    #[error("the index of the compressed inode `{nid}` is broken at byte `{offset}` of the file: {what}")]
    Index {
        /// The inode's number.
        nid: u64,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A cluster does not decompress.
    #[error("decompressing inode `{nid}` failed at byte `{offset}` of the file")]
    Decompress {
        /// The inode's number.
        nid: u64,
        /// Where in the file, in bytes.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// A file is compressed with what is not understood here.
    #[error("inode `{nid}` is compressed with {name}, which cannot be read")]
    Algorithm {
        /// The inode's number.
        nid: u64,
        /// The algorithm.
        name: &'static str,
    },
    /// A file that is not taken into memory.
    #[error("inode `{nid}` has `{size}` bytes, which is more than is read: 2 GiB, 64 MiB of a directory")]
    TooLarge {
        /// The inode's number.
        nid: u64,
        /// Its size, in bytes.
        size: u64,
    },
}
