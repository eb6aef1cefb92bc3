//! Reads a Squashfs 4.0 file system of any origin, and believes none of it; [`write`] makes one.
//!
//! <https://docs.kernel.org/filesystems/squashfs.html>, and `squashfs_fs.h` of the
//! kernel for the layout to the byte. Zlib, xz, LZ4 and Zstandard; LZO and LZMA are
//! deliberately absent, as are the tables of attributes and of NFS exports.
//!
//! Nothing is read before it is asked for. A directory that holds itself is found
//! by who walks it; here, no number leads outside of the file system, and no more
//! is allocated than the file system is long or [`MOST_CONTENT`].

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::decompress::{Algorithm, decompress};
use crate::metadata::{FileType, Metadata};
use crate::region::{Region, number};

pub use self::write::{Options, WriteError, write};

#[cfg(test)]
mod tests;
mod write;

/// The most content of a file that is taken into memory, in bytes.
pub const MOST_CONTENT: u64 = 2 << 30;
/// The most content of a directory, in bytes.
const MOST_DIRECTORY: u64 = 64 << 20;

const MAGIC: u32 = 0x7371_7368;
/// The longest block of metadata, in bytes.
const METADATA: usize = 8192;
/// A number of a fragment that says there is none.
const NO_FRAGMENT: u64 = 0xffff_ffff;
/// The flag of a block that is stored as it is.
const STORED: u64 = 1 << 24;

/// Why a file system, or a file on it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SquashfsError {
    /// It cannot be read, or ends too early.
    #[error("reading the Squashfs file system failed at offset `{offset}`")]
    Io {
        /// Where, in bytes.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// A field of the superblock has a value that cannot be, or cannot be read.
    #[error("no Squashfs file system that can be read: the {field} is `{value}`")]
    Superblock {
        /// Which field.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
    /// A block does not decompress.
    #[error("decompressing the block at offset `{offset}` failed")]
    Decompress {
        /// Where it lies, in bytes.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// Something has a value that cannot be.
    #[error("the {field} of the inode at `{inode:#x}` is `{value}`")]
    Inode {
        /// The reference of the inode.
        inode: u64,
        /// Which field.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
    /// Who reads a file fails.
    #[error("the content of the inode at `{inode:#x}` cannot be taken")]
    Take {
        /// The reference of the inode.
        inode: u64,
        /// Why.
        source: io::Error,
    },
    /// A file that is not taken into memory.
    #[error("the inode at `{inode:#x}` has `{size}` bytes, and 2 GiB are the most that is read")]
    TooLarge {
        /// The reference of the inode.
        inode: u64,
        /// Its size, in bytes.
        size: u64,
    },
}

/// A block of a file's content.
#[derive(Debug, Clone, Copy)]
pub enum Block<'a> {
    /// What it holds.
    Data(&'a [u8]),
    /// So many bytes of zeros, of which nothing is stored.
    Hole(u64),
}

/// An open file system.
#[derive(Debug)]
pub struct Squashfs {
    region: Region,
    algorithm: Algorithm,
    block_size: u64,
    root: u64,
    inodes: u64,
    directories: u64,
    fragments: u64,
    fragment_count: u64,
    ids: Vec<u32>,
    metadata: Recent,
    tails: Recent,
}

/// Blocks that were decompressed last: neighbours in a directory share them.
#[derive(Debug, Default)]
struct Recent(Mutex<VecDeque<(u64, Arc<[u8]>)>>);

impl Recent {
    /// How many blocks are kept.
    const MOST: usize = 16;

    /// The block at an offset, made where it is not known.
    fn get_or(
        &self,
        offset: u64,
        make: impl FnOnce() -> Result<Vec<u8>, SquashfsError>,
    ) -> Result<Arc<[u8]>, SquashfsError> {
        // What a thread leaves behind that has panicked is whole blocks.
        let blocks = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, block)) = blocks().iter().find(|(at, _)| *at == offset) {
            return Ok(Arc::clone(block));
        }
        let block: Arc<[u8]> = make()?.into();
        let mut blocks = blocks();
        blocks.truncate(Self::MOST - 1);
        blocks.push_front((offset, Arc::clone(&block)));
        Ok(block)
    }
}

/// What an inode says.
#[derive(Debug, Clone)]
pub struct Inode {
    reference: u64,
    /// Type, mode, owner, size, time.
    pub metadata: Metadata,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Directory { block: u64, offset: u64 },
    File { start: u64, fragment: u64, offset: u64, blocks: BlockList },
    Symlink(Vec<u8>),
    Other,
}

/// Where the sizes of a file's blocks lie: behind its inode. They are read with the
/// content, so that asking for the size of a large file costs nothing.
#[derive(Debug, Clone, Copy)]
struct BlockList {
    /// The block of metadata, and the offset in it.
    place: (u64, u64),
    count: u64,
}

impl Squashfs {
    /// Reads the superblock and the table of owners.
    ///
    /// # Errors
    /// Fails when there is none, it is damaged, or compressed with what is not read.
    pub fn open(region: Region) -> Result<Self, SquashfsError> {
        let bytes: [u8; 96] = region.array(0).map_err(|source| SquashfsError::Io { offset: 0, source })?;
        let value = |at: usize, length: usize| {
            bytes[at..at + length].iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
        };
        let refuse = |field, value| Err(SquashfsError::Superblock { field, value });
        if value(0, 4) != u64::from(MAGIC) {
            return refuse("magic number", value(0, 4));
        }
        if (value(28, 2), value(30, 2)) != (4, 0) {
            return refuse("version", value(28, 2));
        }
        let algorithm = match value(20, 2) {
            1 => Algorithm::Zlib,
            4 => Algorithm::Xz,
            5 => Algorithm::Lz4,
            6 => Algorithm::Zstd,
            other => return refuse("compressor", other),
        };
        let block_size = value(12, 4);
        if !block_size.is_power_of_two() || !(4096..=1 << 20).contains(&block_size) {
            return refuse("size of a block", block_size);
        }
        let mut squashfs = Self {
            region,
            algorithm,
            block_size,
            root: value(32, 8),
            inodes: value(64, 8),
            directories: value(72, 8),
            fragments: value(80, 8),
            fragment_count: value(16, 4),
            ids: Vec::new(),
            metadata: Recent::default(),
            tails: Recent::default(),
        };
        let ids = value(26, 2);
        for id in 0..ids {
            if id % 2048 == 0 {
                let place = squashfs.pointer(value(48, 8), id / 2048)?;
                let length = (ids - id).min(2048) * 4;
                let bytes = Metablocks::new(&squashfs, place, 0)?.take(length)?;
                squashfs
                    .ids
                    .extend(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])));
            }
        }
        Ok(squashfs)
    }

    /// The reference of the root directory's inode.
    pub fn root(&self) -> u64 {
        self.root
    }

    /// An entry of a table of places.
    fn pointer(&self, table: u64, number: u64) -> Result<u64, SquashfsError> {
        let offset = table.saturating_add(number * 8);
        let bytes = self.region.array(offset).map_err(|source| SquashfsError::Io { offset, source })?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Reads an inode.
    ///
    /// # Errors
    /// Fails when it lies outside, or is none.
    pub fn inode(&self, reference: u64) -> Result<Inode, SquashfsError> {
        let refuse = |field, value| SquashfsError::Inode { inode: reference, field, value };
        let place = self.inodes.saturating_add(reference >> 16);
        let mut from = Metablocks::new(self, place, reference & 0xffff)?;
        let head = from.take(16)?;
        let value = |at| number::<2>(&head, at).unwrap_or_default();
        let owner = |index: u64| {
            let id = usize::try_from(index).ok().and_then(|index| self.ids.get(index));
            id.copied().ok_or_else(|| refuse("owner", index))
        };
        let mut metadata = Metadata {
            kind: FileType::Regular,
            mode: u32::try_from(value(2) & 0o7777).unwrap_or_default(),
            uid: owner(value(4))?,
            gid: owner(value(6))?,
            size: 0,
            mtime: i64::try_from(number::<4>(&head, 8).unwrap_or_default()).unwrap_or_default(),
        };
        let kind = value(0);
        let content = match kind {
            1 => {
                let [block, _links, size_and_offset, _parent] = from.numbers()?;
                metadata.size = size_and_offset & 0xffff;
                Content::Directory { block, offset: size_and_offset >> 16 }
            }
            8 => {
                let [_links, size, block, _parent, count_and_offset, _attributes] = from.numbers()?;
                metadata.size = size;
                Content::Directory { block, offset: count_and_offset >> 16 }
            }
            2 => {
                let [start, fragment, offset, size] = from.numbers()?;
                metadata.size = size;
                let blocks = self.block_list(&from, size, fragment);
                Content::File { start, fragment, offset, blocks }
            }
            9 => {
                let [low, high, size_low, size_high, _, _, _links, fragment, offset, _attributes] =
                    from.numbers()?;
                metadata.size = size_low | size_high << 32;
                let blocks = self.block_list(&from, metadata.size, fragment);
                Content::File { start: low | high << 32, fragment, offset, blocks }
            }
            3 | 10 => {
                let [_links, length] = from.numbers()?;
                metadata.size = length;
                if length > 4096 {
                    return Err(refuse("length of the target", length));
                }
                Content::Symlink(from.take(length)?)
            }
            _ => Content::Other,
        };
        metadata.kind = match kind {
            1 | 8 => FileType::Directory,
            2 | 9 => FileType::Regular,
            3 | 10 => FileType::Symlink,
            4 | 11 => FileType::BlockDevice,
            5 | 12 => FileType::CharDevice,
            6 | 13 => FileType::Fifo,
            7 | 14 => FileType::Socket,
            other => return Err(refuse("type", other)),
        };
        Ok(Inode { reference, metadata, content })
    }

    /// The blocks of a file whose inode was read up to them.
    fn block_list(&self, from: &Metablocks<'_>, size: u64, fragment: u64) -> BlockList {
        let whole = size / self.block_size;
        let tail = fragment == NO_FRAGMENT && !size.is_multiple_of(self.block_size);
        BlockList { place: from.place(), count: whole + u64::from(tail) }
    }

    /// The names in a directory with the references of their inodes.
    ///
    /// # Errors
    /// Fails when its content is no directory's.
    pub fn entries(&self, directory: &Inode) -> Result<Vec<(Vec<u8>, u64)>, SquashfsError> {
        let refuse = |field, value| SquashfsError::Inode { inode: directory.reference, field, value };
        let Content::Directory { block, offset } = directory.content else {
            return Err(refuse("type, asked for names,", 0));
        };
        // Three bytes of the size stand for `.` and `..`, which are not written.
        let Some(length) = directory.metadata.size.checked_sub(3).filter(|&length| length > 0) else {
            return Ok(Vec::new());
        };
        // A name of one byte takes fifty in memory, and few where it lies compressed.
        if length > MOST_DIRECTORY {
            return Err(refuse("length of the names", length));
        }
        let mut from = Metablocks::new(self, self.directories.saturating_add(block), offset)?;
        let mut entries = Vec::new();
        let mut done = 0;
        while done < length {
            let [count, block, _number] = from.numbers()?;
            done += 12;
            if count >= 256 {
                return Err(refuse("number of names", count));
            }
            for _ in 0..=count {
                let head = from.take(8)?;
                let value = |at| number::<2>(&head, at).unwrap_or_default();
                let size = value(6) + 1;
                if size > 256 {
                    return Err(refuse("length of a name", size));
                }
                let name = from.take(size)?;
                if name.contains(&b'/') || name.contains(&0) || name == b"." || name == b".." {
                    return Err(refuse("name at byte", done));
                }
                done += 8 + size;
                entries.push((name, block << 16 | value(0)));
            }
        }
        if done == length { Ok(entries) } else { Err(refuse("length of the names", done)) }
    }

    /// All of a file, or the target of a symbolic link.
    ///
    /// # Errors
    /// Fails when it is damaged, or larger than [`MOST_CONTENT`].
    pub fn content(&self, inode: &Inode) -> Result<Vec<u8>, SquashfsError> {
        if let Content::Symlink(target) = &inode.content {
            return Ok(target.clone());
        }
        let size = inode.metadata.size;
        if matches!(inode.content, Content::File { .. }) && size > MOST_CONTENT {
            return Err(SquashfsError::TooLarge { inode: inode.reference, size });
        }
        let mut content = Vec::new();
        self.each_block(inode, |block| {
            match block {
                Block::Data(bytes) => content.extend_from_slice(bytes),
                Block::Hole(length) => {
                    content.resize(content.len() + usize::try_from(length).unwrap_or_default(), 0);
                }
            }
            Ok(())
        })?;
        Ok(content)
    }

    /// Hands the content of a file over, from its beginning, a block at a time; nothing of what is no file.
    ///
    /// # Errors
    /// It is damaged, or `take` fails.
    pub fn each_block(
        &self,
        inode: &Inode,
        mut take: impl FnMut(Block<'_>) -> io::Result<()>,
    ) -> Result<(), SquashfsError> {
        let Content::File { start, fragment, offset, blocks } = inode.content else { return Ok(()) };
        let (mut rest, mut place) = (inode.metadata.size, start);
        let taken = |source| SquashfsError::Take { inode: inode.reference, source };
        let mut sizes = Metablocks::new(self, blocks.place.0, blocks.place.1)?;
        for _ in 0..blocks.count {
            let [block] = sizes.numbers()?;
            let length = self.block_size.min(rest);
            let stored = block & (STORED - 1);
            if stored == 0 {
                take(Block::Hole(length)).map_err(taken)?;
            } else {
                let bytes = self.block(place, block)?;
                if bytes.len() as u64 != length {
                    let (field, value) = ("length of a block", bytes.len() as u64);
                    return Err(SquashfsError::Inode { inode: inode.reference, field, value });
                }
                take(Block::Data(&bytes)).map_err(taken)?;
            }
            place = place.saturating_add(stored);
            rest -= length;
        }
        if rest > 0 {
            if fragment >= self.fragment_count {
                return Err(SquashfsError::Inode {
                    inode: inode.reference,
                    field: "fragment",
                    value: fragment,
                });
            }
            let entries = self.pointer(self.fragments, fragment / 512)?;
            let mut from = Metablocks::new(self, entries, 0)?;
            from.take(fragment % 512 * 16)?;
            let [low, high, size, _] = from.numbers()?;
            let place = low | high << 32;
            let block = self.tails.get_or(place, || self.block(place, size))?;
            let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
            let bytes = block.get(at(offset)..at(offset.saturating_add(rest)));
            let missing = || SquashfsError::Inode {
                inode: inode.reference,
                field: "place in a fragment",
                value: offset,
            };
            take(Block::Data(bytes.ok_or_else(missing)?)).map_err(taken)?;
        }
        Ok(())
    }

    /// A block of data, whose size has the flag of a stored one.
    fn block(&self, offset: u64, size: u64) -> Result<Vec<u8>, SquashfsError> {
        let bytes = self
            .region
            .read(offset, size & (STORED - 1))
            .map_err(|source| SquashfsError::Io { offset, source })?;
        if size & STORED != 0 {
            return Ok(bytes);
        }
        let most = usize::try_from(self.block_size).unwrap_or_default();
        decompress(self.algorithm, &bytes, most)
            .map_err(|source| SquashfsError::Decompress { offset, source })
    }
}

/// A run of blocks of metadata, read as if they were one.
struct Metablocks<'a> {
    squashfs: &'a Squashfs,
    /// Where the block lies, and the next one.
    here: u64,
    next: u64,
    block: Arc<[u8]>,
    at: usize,
}

impl<'a> Metablocks<'a> {
    /// From an offset inside the block at a place on.
    fn new(squashfs: &'a Squashfs, place: u64, offset: u64) -> Result<Self, SquashfsError> {
        let mut blocks = Self { squashfs, here: place, next: place, block: Arc::default(), at: 0 };
        blocks.advance()?;
        blocks.at = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(blocks)
    }

    fn advance(&mut self) -> Result<(), SquashfsError> {
        let offset = self.next;
        let io = |source| SquashfsError::Io { offset, source };
        let head = u16::from_le_bytes(self.squashfs.region.array(offset).map_err(io)?);
        let length = u64::from(head & 0x7fff);
        if length == 0 {
            return Err(io(io::ErrorKind::InvalidData.into()));
        }
        let squashfs = self.squashfs;
        self.block = squashfs.metadata.get_or(offset, || {
            let bytes = squashfs.region.read(offset + 2, length).map_err(io)?;
            if head & 0x8000 != 0 {
                return Ok(bytes);
            }
            decompress(squashfs.algorithm, &bytes, METADATA)
                .map_err(|source| SquashfsError::Decompress { offset, source })
        })?;
        self.here = offset;
        self.next = offset + 2 + length;
        self.at = 0;
        Ok(())
    }

    /// Where it is: the block, and the offset in it.
    fn place(&self) -> (u64, u64) {
        (self.here, self.at as u64)
    }

    fn take(&mut self, length: u64) -> Result<Vec<u8>, SquashfsError> {
        let mut taken = Vec::new();
        while (taken.len() as u64) < length {
            if self.at >= self.block.len() {
                // An offset beyond its block is damage; the end of one is not.
                if self.at > self.block.len() {
                    let source = io::ErrorKind::InvalidData.into();
                    return Err(SquashfsError::Io { offset: self.next, source });
                }
                self.advance()?;
            }
            let rest = &self.block[self.at..];
            let wanted = usize::try_from(length - taken.len() as u64).unwrap_or(usize::MAX).min(rest.len());
            taken.extend_from_slice(&rest[..wanted]);
            self.at += wanted;
        }
        Ok(taken)
    }

    /// Numbers of four bytes.
    fn numbers<const N: usize>(&mut self) -> Result<[u64; N], SquashfsError> {
        let bytes = self.take(N as u64 * 4)?;
        let mut numbers = [0; N];
        for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(4)) {
            *number = u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        }
        Ok(numbers)
    }
}
