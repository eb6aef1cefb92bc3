//! Writes a tree as a Squashfs whose files are read a block at a time.
//!
//! Blocks of data are stored as they are, and each file begins at a multiple of 4096 bytes: with blocks of that size,
//! one block of a file is one block of the device, and of a hash tree over it. Blocks of zeros are not stored at all.
//! Inodes, names and lists of blocks are compressed with Zstandard, since a list has four bytes for every block.
//!
//! Invariant: the bytes are a function of the tree, the options and the version of Zstandard. Everything belongs to
//! root and has one time. Deliberately absent: fragments (they would join ends of files that lie apart), extended
//! attributes, hard links, devices, and the table for NFS.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use super::{MAGIC, METADATA};
use crate::sparse::{extents, is_zero};
use crate::tree::{Content, Kind, Node, Tree, TreePath};

/// Where files begin, and the multiple of bytes that the whole has: a page, and a block of dm-verity.
const ALIGNMENT: u64 = 4096;
/// How much of a file is read at a time, in bytes: a multiple of every size of block.
const CHUNK: usize = 1 << 20;
/// The longest listing that the inode of a small directory holds, in bytes.
const MOST_SMALL: usize = 0xffff - 3;
/// The most entries behind one header of a listing.
const MOST_ENTRIES: usize = 256;
/// The number of a fragment that says there is none.
const NO_FRAGMENT: u32 = u32::MAX;
/// The number of a table of attributes that says there are none.
const NO_ATTRIBUTES: u32 = u32::MAX;
/// The flag of a block that is stored as it is.
const STORED: u32 = 1 << 24;
/// The place of a table that there is not.
const ABSENT: u64 = u64::MAX;
/// The number of the compressor.
const ZSTANDARD: u16 = 6;
/// How hard metadata is compressed: mksquashfs' own level.
const LEVEL: i32 = 15;
/// Data and fragments are not compressed; there are no fragments and no extended attributes.
const FLAGS: u16 = 0x002 | 0x008 | 0x010 | 0x200;

/// What a file system is made with, apart from its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The time of everything, in seconds since 1970.
    pub epoch: u32,
    /// The size of a block of data, in bytes: a power of two from 4096 to 1 MiB.
    pub block_size: u32,
}

/// Why a tree cannot be written as a Squashfs.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// No such size of block exists.
    #[error("invalid Squashfs block size `{0}`: it is a power of two from 4096 to 1048576")]
    BlockSize(u32),
    /// Something that is not written here.
    #[error("`{path}` cannot be written to a Squashfs: {why}")]
    Path {
        /// Which one.
        path: TreePath,
        /// Why.
        why: &'static str,
    },
    /// A file changed while it was read.
    #[error("`{path}` has not `{len}` bytes any more: it changed during the build")]
    Changed {
        /// Which one.
        path: TreePath,
        /// The length it had when the tree was made, in bytes.
        len: u64,
    },
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Content {
        /// Which one.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
    /// The file system cannot be written.
    #[error("cannot write the Squashfs file system")]
    Io(#[from] io::Error),
    /// A table is longer than its offsets count.
    #[error("too many files for a Squashfs file system: its tables have more than 4 GiB")]
    Tables,
}

/// Writes a tree from the beginning of the writer on, and returns the length in bytes, a multiple of 4096. No more of a
/// file than 1 MiB is in memory, and four bytes for each of its blocks.
///
/// # Errors
/// Fails on anything but directories, regular files and symbolic links, on names beyond 255 and targets beyond 4096
/// bytes, on a file that is not as long as the tree says, and when reading a file or writing fails.
pub fn write(tree: &Tree, options: &Options, to: &mut (impl Write + Seek)) -> Result<u64, WriteError> {
    let block_size = options.block_size;
    if !block_size.is_power_of_two() || !(4096..=1 << 20).contains(&block_size) {
        return Err(WriteError::BlockSize(block_size));
    }
    check(tree)?;
    let count = u32::try_from(tree.len()).map_err(|_| WriteError::Tables)?;

    to.seek(SeekFrom::Start(0))?;
    let mut data = Data { to, at: 0, block_size, buffer: vec![0; CHUNK] };
    data.zeros(ALIGNMENT)?;
    let mut stored = BTreeMap::new();
    for (path, node) in tree.iter() {
        if let Kind::File(content) = &node.kind {
            stored.insert(path, data.file(path, content)?);
        }
    }
    let Data { to, at: inode_table, .. } = data;

    let (inodes, listings, root) = tables(tree, &stored, options, count)?;
    let ids = Metablocks::of(&[0; 4])?;
    let directory_table = inode_table + inodes.len() as u64;
    let id_block = directory_table + listings.len() as u64;
    let id_table = id_block + ids.len() as u64;
    let used = id_table + 8;
    for table in [&inodes, &listings, &ids, &id_block.to_le_bytes()[..]] {
        to.write_all(table)?;
    }
    let length = used.next_multiple_of(ALIGNMENT);
    let padding = usize::try_from(length - used).unwrap_or_default();
    to.write_all(&vec![0; padding])?;

    let mut superblock = Fields::default();
    superblock.u32(MAGIC).u32(count).u32(options.epoch).u32(block_size);
    superblock.u32(0).u16(ZSTANDARD).u16(narrow(block_size.trailing_zeros())).u16(FLAGS);
    // One owner, and version 4.0.
    superblock.u16(1).u16(4).u16(0);
    for number in [root, used, id_table, ABSENT, inode_table, directory_table, ABSENT, ABSENT] {
        superblock.u64(number);
    }
    to.seek(SeekFrom::Start(0))?;
    to.write_all(&superblock.0)?;
    to.seek(SeekFrom::Start(length))?;
    Ok(length)
}

/// What cannot be written is found before anything is.
fn check(tree: &Tree) -> Result<(), WriteError> {
    for (path, node) in tree.iter() {
        let refuse = |why| Err(WriteError::Path { path: path.clone(), why });
        if path.name().is_some_and(|name| name.len() > 255) {
            return refuse("its name has more than 255 bytes");
        }
        match &node.kind {
            Kind::Directory | Kind::File(_) => {}
            Kind::Symlink(target) if target.len() <= 4096 => {}
            Kind::Symlink(_) => return refuse("its target has more than 4096 bytes"),
            _ => return refuse("it is no directory, no regular file and no symbolic link"),
        }
    }
    Ok(())
}

/// Where a file's data lies, and how.
#[derive(Default)]
struct Stored {
    start: u64,
    /// Of each block: its size with the flag of a stored one; 0 is a block of zeros.
    blocks: Vec<u32>,
    /// How many bytes are not stored because they are zero.
    sparse: u64,
}

/// The part of the file system that holds the files' data.
struct Data<'a, W> {
    to: &'a mut W,
    at: u64,
    block_size: u32,
    buffer: Vec<u8>,
}

impl<W: Write> Data<'_, W> {
    fn zeros(&mut self, until: u64) -> io::Result<()> {
        let missing = usize::try_from(until - self.at).unwrap_or_default();
        self.to.write_all(&vec![0; missing])?;
        self.at = until;
        Ok(())
    }

    fn file(&mut self, path: &TreePath, content: &Content) -> Result<Stored, WriteError> {
        let len = content.len();
        if len == 0 {
            return Ok(Stored::default());
        }
        self.zeros(self.at.next_multiple_of(ALIGNMENT))?;
        let mut stored = Stored { start: self.at, ..Stored::default() };
        match content {
            Content::Bytes(bytes) => {
                for chunk in bytes.chunks(CHUNK) {
                    self.blocks(chunk, &mut stored)?;
                }
            }
            Content::File { path: host, .. } => {
                let unread = |source| WriteError::Content { path: path.clone(), source };
                let file = File::open(host).map_err(unread)?;
                if file.metadata().map_err(unread)?.len() != len {
                    return Err(WriteError::Changed { path: path.clone(), len });
                }
                self.host(&file, path, len, &mut stored)?;
            }
        }
        Ok(stored)
    }

    /// A file of the host, whose holes are not read.
    fn host(
        &mut self,
        file: &File,
        path: &TreePath,
        len: u64,
        stored: &mut Stored,
    ) -> Result<(), WriteError> {
        let unread = |source| WriteError::Content { path: path.clone(), source };
        let mut data = extents(file, 0..len).map_err(unread)?.into_iter().peekable();
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut at = 0;
        while at < len {
            let size = usize::try_from(len - at).unwrap_or(CHUNK).min(CHUNK);
            let touches = |extent: &Range<u64>| extent.start < at + size as u64;
            while data.next_if(|extent| extent.end <= at).is_some() {}
            if data.peek().is_some_and(touches) {
                let chunk = &mut buffer[..size];
                file.read_exact_at(chunk, at).map_err(|source| match source.kind() {
                    io::ErrorKind::UnexpectedEof => WriteError::Changed { path: path.clone(), len },
                    _ => unread(source),
                })?;
                self.blocks(chunk, stored)?;
            } else {
                let blocks = size.div_ceil(self.block_size as usize);
                stored.blocks.resize(stored.blocks.len() + blocks, 0);
                stored.sparse += size as u64;
            }
            at += size as u64;
        }
        self.buffer = buffer;
        Ok(())
    }

    /// The blocks of a chunk, which ends at the end of a block or of its file.
    fn blocks(&mut self, chunk: &[u8], stored: &mut Stored) -> io::Result<()> {
        let mut run = 0..0;
        for block in chunk.chunks(self.block_size as usize) {
            let end = run.end + block.len();
            if is_zero(block) {
                self.write(&chunk[run])?;
                run = end..end;
                stored.blocks.push(0);
                stored.sparse += block.len() as u64;
            } else {
                run.end = end;
                stored.blocks.push(wide(block.len()) | STORED);
            }
        }
        self.write(&chunk[run])
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.to.write_all(bytes)
    }
}

/// What a directory says of something in it.
struct Known {
    /// The block of its inode, from the table's beginning, and the offset in it.
    place: (u32, u16),
    number: u32,
    kind: u16,
}

/// The tables of inodes and of listings, and the reference of the root's inode.
fn tables(
    tree: &Tree,
    stored: &BTreeMap<&TreePath, Stored>,
    options: &Options,
    count: u32,
) -> Result<(Vec<u8>, Vec<u8>, u64), WriteError> {
    let numbers: BTreeMap<&TreePath, u32> = tree.iter().map(|(path, _)| path).zip(1..).collect();
    let mut known: BTreeMap<&TreePath, Known> = BTreeMap::new();
    let (mut inodes, mut listings) = (Metablocks::default(), Metablocks::default());
    let nodes: Vec<(&TreePath, &Node)> = tree.iter().collect();
    // A directory is written after what it holds, whose places it names.
    for &(path, node) in nodes.iter().rev() {
        let number = numbers[path];
        let place = inodes.place()?;
        let (inode, kind) = match &node.kind {
            Kind::Directory => {
                let parent = path.parent().and_then(|parent| numbers.get(&parent).copied());
                let at = listings.place()?;
                let (listing, below) = listing(tree, path, &known);
                listings.push(&listing)?;
                // The root has a parent that is nothing's number.
                (directory(at, listing.len(), below, parent.unwrap_or(count + 1))?, 1)
            }
            Kind::Symlink(target) => {
                let mut inode = Fields::default();
                inode.u32(1).u32(wide(target.len())).0.extend(target);
                ((3, inode), 3)
            }
            Kind::File(content) => (file(&stored[path], content.len()), 2),
            // `check` has refused it.
            _ => continue,
        };
        let (variant, fields) = inode;
        let mut head = Fields::default();
        // The owners are the first of the table.
        head.u16(variant).u16(narrow(node.mode & 0o7777)).u16(0).u16(0).u32(options.epoch).u32(number);
        inodes.push(&head.0)?;
        inodes.push(&fields.0)?;
        known.insert(path, Known { place, number, kind });
    }
    let (block, offset) = known[&TreePath::root()].place;
    Ok((inodes.finish()?, listings.finish()?, u64::from(block) << 16 | u64::from(offset)))
}

/// A file's inode: the small one where its numbers fit.
fn file(stored: &Stored, len: u64) -> (u16, Fields) {
    let mut inode = Fields::default();
    let variant = match (u32::try_from(stored.start), u32::try_from(len)) {
        (Ok(start), Ok(len)) if stored.sparse == 0 => {
            inode.u32(start).u32(NO_FRAGMENT).u32(0).u32(len);
            2
        }
        _ => {
            // What is not stored is not in `st_blocks`, but no file has nothing at all.
            let sparse = stored.sparse.min(len.saturating_sub(1));
            inode.u64(stored.start).u64(len).u64(sparse).u32(1).u32(NO_FRAGMENT).u32(0).u32(NO_ATTRIBUTES);
            9
        }
    };
    stored.blocks.iter().for_each(|&block| {
        inode.u32(block);
    });
    (variant, inode)
}

/// A directory's inode, from the place and the length of its listing and the number of directories in it.
fn directory(at: (u32, u16), length: usize, below: u32, parent: u32) -> Result<(u16, Fields), WriteError> {
    // Three bytes stand for `.` and `..`, which are not written.
    let size = u32::try_from(length + 3).map_err(|_| WriteError::Tables)?;
    let mut inode = Fields::default();
    if length <= MOST_SMALL {
        inode.u32(at.0).u32(2 + below).u16(narrow(size)).u16(at.1).u32(parent);
        return Ok((1, inode));
    }
    // No index into the listing: the kernel reads it from the beginning.
    inode.u32(2 + below).u32(size).u32(at.0).u32(parent).u16(0).u16(at.1).u32(NO_ATTRIBUTES);
    Ok((8, inode))
}

/// The names in a directory, and how many of them are directories.
fn listing(tree: &Tree, path: &TreePath, known: &BTreeMap<&TreePath, Known>) -> (Vec<u8>, u32) {
    let entries: Vec<(&[u8], &Known)> =
        tree.children(path).filter_map(|(child, _)| Some((child.name()?, known.get(child)?))).collect();
    let below = wide(entries.iter().filter(|(_, known)| known.kind == 1).count());
    let mut listing = Fields::default();
    let mut rest = &entries[..];
    while let Some((_, first)) = rest.first() {
        // What follows one header lies in one block, and its numbers are near.
        let near = |known: &Known| i16::try_from(i64::from(known.number) - i64::from(first.number)).ok();
        let fits = |(_, known): &&(&[u8], &Known)| known.place.0 == first.place.0 && near(known).is_some();
        let (these, others) = rest.split_at(rest.iter().take_while(fits).take(MOST_ENTRIES).count());
        listing.u32(wide(these.len() - 1)).u32(first.place.0).u32(first.number);
        for (name, known) in these {
            let distance = near(known).unwrap_or_default();
            listing.u16(known.place.1).0.extend(distance.to_le_bytes());
            listing.u16(known.kind).u16(narrow(name.len() - 1));
            listing.0.extend(*name);
        }
        rest = others;
    }
    (listing.0, below)
}

/// A number that was checked to fit, or is bounded by what it counts.
fn narrow(number: impl TryInto<u16>) -> u16 {
    number.try_into().unwrap_or(u16::MAX)
}

fn wide(number: usize) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}

/// Little-endian numbers, one after another.
#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend(value.to_le_bytes());
        self
    }
}

/// A table in blocks of metadata.
#[derive(Default)]
struct Metablocks {
    written: Vec<u8>,
    block: Vec<u8>,
}

impl Metablocks {
    fn of(bytes: &[u8]) -> Result<Vec<u8>, WriteError> {
        let mut blocks = Self::default();
        blocks.push(bytes)?;
        blocks.finish()
    }

    /// Where the next byte comes: the block, from the table's beginning, and the offset in it.
    fn place(&self) -> Result<(u32, u16), WriteError> {
        let block = u32::try_from(self.written.len()).map_err(|_| WriteError::Tables)?;
        Ok((block, narrow(self.block.len())))
    }

    fn push(&mut self, mut bytes: &[u8]) -> Result<(), WriteError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(METADATA - self.block.len()));
            self.block.extend(now);
            bytes = later;
            if self.block.len() == METADATA {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        let compressed = zstd::bulk::compress(&self.block, LEVEL)?;
        // The highest bit says that a block is as it was.
        let (head, block) = match compressed.len() < self.block.len() {
            true => (narrow(compressed.len()), &compressed),
            false => (narrow(self.block.len()) | 0x8000, &self.block),
        };
        self.written.extend(head.to_le_bytes());
        self.written.extend(block);
        self.block.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>, WriteError> {
        if !self.block.is_empty() {
            self.flush()?;
        }
        Ok(self.written)
    }
}
