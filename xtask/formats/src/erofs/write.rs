//! Writes a tree as an EROFS that Linux 6.1 and newer read; with Zstandard, Linux 6.10 and newer.
//!
//! <https://docs.kernel.org/filesystems/erofs.html>, and `erofs_fs.h` of the kernel for the layout to the byte. Blocks
//! have 4096 bytes. Files are compressed into physical clusters of at most 64 KiB under compact indexes, or stored as
//! they are with their last bytes behind their inode.
//!
//! The order of an image, and what it is for:
//!
//! | part | holds |
//! |---|---|
//! | superblock | the first block |
//! | data | stored files in the order of their paths, then compressed ones; nothing here names a place |
//! | directories | blocks of directories of more than a block |
//! | attributes | extended attributes that several files have |
//! | inodes | directories; inodes with a block address; inodes without one |
//!
//! A file that did not change is the same 4 KiB blocks in every image: its data is a function of its content, and the
//! inodes of small files, which hold their content, name no place. Where they lie in a block depends on their
//! neighbours alone (`pack`). What changes with every place is directories and the inodes of larger files: below 1 %
//! of a Debian system.
//!
//! What costs time is compression. [`prepare`] compresses on all cores, and asks an [`ExtentCache`] first, by the
//! digest of a content and by the parameters. Afterwards every place is known, and [`Image::write`] goes forward only.
//!
//! Invariant: the bytes are a function of the tree, the options and the versions of LZ4 and Zstandard, whatever the
//! number of threads and whatever the cache holds. Deliberately absent: fragments and inline compressed tails, chunks,
//! devices, deduplication of parts of files. Whole files with the same content share their data.

use std::io::{self, Write};

use uuid::Uuid;

use self::contents::Piece;
use self::source::Source;
use crate::tree::{Tree, TreePath};

pub use self::compressor::Compressor;
pub use self::error::WriteError;
pub use self::extents::{ExtentCache, ExtentKey, NoCache};

mod attributes;
mod compressor;
mod contents;
mod directory;
mod error;
mod extents;
mod index;
mod inode;
mod layout;
mod pack;
mod source;
mod superblock;
#[cfg(test)]
mod tests;

/// The size of a block, in bytes.
const BLOCK: usize = 4096;
/// The same, to compute with places.
const BLOCK_U64: u64 = 4096;
/// How much of a file is copied at a time, in bytes.
const CHUNK: usize = 1 << 20;

/// What a file system is made with, apart from its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The volume's id.
    pub uuid: Uuid,
    /// The time of the file system, in seconds since 1970. Files keep theirs; those of this time have smaller inodes.
    pub epoch: i64,
    /// How files are compressed.
    pub compressor: Compressor,
}

/// A file system whose every byte is decided, and whose data has not been read yet.
#[derive(Debug)]
pub struct Image<'a> {
    superblock: Vec<u8>,
    data: Vec<Piece<'a>>,
    /// Everything behind the data.
    rest: Vec<u8>,
    length: u64,
}

/// Decides a file system: compresses what the cache does not hold, on all cores, and gives everything its place.
///
/// In memory are the inodes, the directories and the content of small files; compressed data is where the cache has
/// it, which is in memory for [`NoCache`].
///
/// # Errors
/// Fails on names beyond 255 and link targets beyond 4095 bytes, on attributes and device numbers that the format has
/// no room for, on a file that is not as long as the tree says, and when reading a file or the cache fails.
pub fn prepare<'a>(
    tree: &'a Tree,
    options: &Options,
    cache: &dyn ExtentCache,
) -> Result<Image<'a>, WriteError> {
    check(tree)?;
    let contents = contents::store(tree, options, cache)?;
    layout::lay_out(tree, options, contents)
}

/// Writes a tree with nothing cached, and returns the length in bytes, a multiple of 4096.
///
/// # Errors
/// Fails as [`prepare`] and [`Image::write`] do.
pub fn write(tree: &Tree, options: &Options, to: &mut impl Write) -> Result<u64, WriteError> {
    let image = prepare(tree, options, &NoCache)?;
    image.write(to)?;
    Ok(image.length())
}

impl Image<'_> {
    /// The length in bytes, a multiple of 4096.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Writes all of it, from the beginning to the end.
    ///
    /// # Errors
    /// Fails when a file changed since it was prepared, and when reading or writing fails.
    pub fn write(&self, to: &mut impl Write) -> Result<(), WriteError> {
        to.write_all(&self.superblock)?;
        let mut buffer = vec![0; CHUNK];
        for piece in &self.data {
            match piece {
                Piece::Extents { region, .. } => {
                    copy(region.len(), &mut buffer, to, |at, into| region.read_at(at, into))?;
                }
                Piece::Bytes(bytes) => to.write_all(bytes)?,
                Piece::Stored { path, content, length, blocks } => {
                    let source = Source::open(path, content)?;
                    let mut at = 0;
                    while at < *length {
                        let size = usize::try_from(length - at).unwrap_or(CHUNK).min(CHUNK);
                        source.read_at(at, &mut buffer[..size])?;
                        to.write_all(&buffer[..size])?;
                        at += size as u64;
                    }
                    let padding = usize::try_from(blocks * BLOCK_U64 - length).unwrap_or_default();
                    to.write_all(&[0; BLOCK][..padding])?;
                }
            }
        }
        to.write_all(&self.rest)?;
        Ok(())
    }
}

/// Copies so many bytes from where `read` finds them.
fn copy(
    length: u64,
    buffer: &mut [u8],
    to: &mut impl Write,
    read: impl Fn(u64, &mut [u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut at = 0;
    while at < length {
        let size = usize::try_from(length - at).unwrap_or(buffer.len()).min(buffer.len());
        read(at, &mut buffer[..size])?;
        to.write_all(&buffer[..size])?;
        at += size as u64;
    }
    Ok(())
}

/// Finds what the format has no room for before anything is compressed.
fn check(tree: &Tree) -> Result<(), WriteError> {
    use crate::tree::Kind;
    for (path, node) in tree.iter() {
        let refuse = |why| Err(WriteError::Path { path: path.clone(), why });
        if path.name().is_some_and(|name| name.len() > 255) {
            return refuse("its name has more than 255 bytes");
        }
        match &node.kind {
            Kind::Symlink(target) if target.len() > 4095 => {
                return refuse("its target has more than 4095 bytes");
            }
            Kind::Symlink(target) if target.is_empty() => return refuse("its target is empty"),
            Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor)
                if *major >= 1 << 12 || *minor >= 1 << 20 =>
            {
                return refuse(
                    "its device number has more than 12 bits for the major or 20 for the minor part",
                );
            }
            Kind::Hardlink(first)
                if !matches!(tree.get(first).map(|node| &node.kind), Some(Kind::File(_))) =>
            {
                return refuse("it is a further name of what is no regular file");
            }
            _ => {}
        }
    }
    Ok(())
}

/// The path of the file whose inode a path names: its own but for a hard link.
fn first_name<'a>(path: &'a TreePath, node: &'a crate::tree::Node) -> &'a TreePath {
    match &node.kind {
        crate::tree::Kind::Hardlink(first) => first,
        _ => path,
    }
}
