//! Reads an EROFS file system of any origin, and believes none of it.
//!
//! <https://docs.kernel.org/filesystems/erofs.html>, and `erofs_fs.h` of the kernel
//! for the layout to the byte. Everything that `mkfs.erofs` makes unless asked for
//! experiments: compact and extended inodes; plain, inline and chunk-based files;
//! files compressed with LZ4, Zstandard or DEFLATE under full and compact indexes,
//! with large clusters, inline tails, fragments and shared clusters. MicroLZMA,
//! further devices, 48-bit addresses and a compressed metadata area are
//! deliberately absent, and are named when one is met. Extended attributes are
//! passed over.
//!
//! No number leads outside of the file system, no file is followed in circles, and
//! no more is allocated than the file system is long or [`MOST_CONTENT`].

use std::io;
use std::sync::OnceLock;

use crate::metadata::{FileType, Metadata};
use crate::region::{Region, number};

use self::compressed::Extent;

pub use self::error::ErofsError;

mod compressed;
mod error;
#[cfg(test)]
pub(crate) mod tests;
pub mod write;

/// The most content of a file that is taken into memory, in bytes.
pub const MOST_CONTENT: u64 = 2 << 30;
/// How much of a file is in memory at a time while it is read in pieces, in bytes.
pub const PIECE: usize = 4 << 20;
/// The most content of a directory, in bytes.
const MOST_DIRECTORY: u64 = 64 << 20;
/// The longest target of a symbolic link, in bytes: no path of Linux is longer.
const MOST_TARGET: u64 = 4096;

const SUPERBLOCK: u64 = 1024;
const MAGIC: u64 = 0xe0f5_e1e2;
/// The compatible feature that the superblock has a checksum.
const CHECKSUM: u32 = 1;

/// Incompatible features by bit: what is understood, and the names of what is not.
mod feature {
    pub(super) const ZERO_PADDING: u32 = 0x01;
    pub(super) const UNDERSTOOD: u32 = 0x7f;
    pub(super) const NAMES: [(u32, &str); 2] =
        [(0x80, "48-bit block addresses"), (0x100, "a compressed metadata area")];
}

/// An open file system.
#[derive(Debug)]
pub struct Erofs {
    region: Region,
    block_bits: u32,
    /// Where inodes are counted from, in bytes.
    inodes: u64,
    root: u64,
    /// The time of compact inodes.
    epoch: i64,
    features: u32,
    /// The inode of all fragments.
    packed: u64,
    fragments: OnceLock<(Inode, Vec<Extent>)>,
    /// The volume's id.
    pub uuid: uuid::Uuid,
    /// The volume's name; mostly empty.
    pub label: String,
}

/// What an inode says.
#[derive(Debug, Clone)]
pub struct Inode {
    nid: u64,
    /// Type, mode, owner, size, time.
    pub metadata: Metadata,
    layout: Layout,
    /// A block address, a chunk format or a device, as the layout has it.
    address: u32,
    /// Where it ends, its attributes included: inline data or an index follows.
    end: u64,
}

/// How the content of a file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Plain,
    FullIndex,
    Inline,
    CompactIndex,
    Chunks,
}

impl Erofs {
    /// Reads the superblock.
    ///
    /// # Errors
    /// Fails when there is none, it is damaged, or asks for what is not understood.
    pub fn open(region: Region) -> Result<Self, ErofsError> {
        let io = |source| ErofsError::Io { offset: SUPERBLOCK, source };
        let bytes: [u8; 128] = region.array(SUPERBLOCK).map_err(io)?;
        let field =
            |field, at: usize, value| ErofsError::Superblock { field, at: SUPERBLOCK + at as u64, value };
        if u32_at(&bytes, 0) != MAGIC {
            return Err(field("magic number", 0, u32_at(&bytes, 0)));
        }
        let block_bits = u32::from(bytes[12]);
        if !(9..=16).contains(&block_bits) {
            return Err(field("size of a block, as a power of two", 12, block_bits.into()));
        }
        let features = word(&bytes, 80);
        if features & !feature::UNDERSTOOD != 0 {
            let bit = 1 << (features & !feature::UNDERSTOOD).trailing_zeros();
            let name = feature::NAMES.iter().find(|(known, _)| *known == bit).map(|(_, name)| *name);
            return Err(ErofsError::Feature { bit, name: name.unwrap_or("one that is not known") });
        }
        if word(&bytes, 8) & CHECKSUM != 0 {
            let block = 1 << block_bits;
            let length = if block > SUPERBLOCK { block - SUPERBLOCK } else { block };
            let mut whole = region.read(SUPERBLOCK, length).map_err(io)?;
            whole[4..8].fill(0);
            if u64::from(crc32c(&whole)) != u32_at(&bytes, 4) {
                return Err(ErofsError::Checksum);
            }
        }
        let devices = u16_at(&bytes, 86);
        if devices != 0 {
            return Err(field("number of further devices", 86, devices));
        }
        if bytes[90] != 0 {
            return Err(field("size of a directory block", 90, bytes[90].into()));
        }
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&bytes[48..64]);
        let label: Vec<u8> = bytes[64..80].iter().copied().take_while(|&byte| byte != 0).collect();
        Ok(Self {
            region,
            block_bits,
            inodes: u32_at(&bytes, 40) << block_bits,
            root: u16_at(&bytes, 14),
            epoch: u64_at(&bytes, 24).cast_signed(),
            features,
            packed: u64_at(&bytes, 96),
            fragments: OnceLock::new(),
            uuid: uuid::Uuid::from_bytes(uuid),
            label: String::from_utf8_lossy(&label).into_owned(),
        })
    }

    /// The number of the root directory's inode.
    pub fn root(&self) -> u64 {
        self.root
    }

    fn block(&self) -> u64 {
        1 << self.block_bits
    }

    /// Reads an inode.
    ///
    /// # Errors
    /// Fails when it lies outside, or is none.
    pub fn inode(&self, nid: u64) -> Result<Inode, ErofsError> {
        let refuse = |field, value| ErofsError::Inode { nid, field, value };
        let place = nid.checked_mul(32).and_then(|offset| offset.checked_add(self.inodes));
        let place = place.ok_or_else(|| refuse("number", nid))?;
        let io = |source| ErofsError::Io { offset: place, source };
        let compact: [u8; 32] = self.region.array(place).map_err(io)?;
        let format = u16_at(&compact, 0);
        let layout = match format >> 1 & 7 {
            0 => Layout::Plain,
            1 => Layout::FullIndex,
            2 => Layout::Inline,
            3 => Layout::CompactIndex,
            4 => Layout::Chunks,
            _ => return Err(refuse("format", format)),
        };
        if format >> 4 != 0 {
            return Err(refuse("format", format));
        }
        let mode = u16_at(&compact, 4);
        let kind = FileType::of_mode(mode).ok_or_else(|| refuse("mode", mode))?;
        let permissions = word(&compact, 4) & 0o7777;
        let (metadata, length) = if format & 1 == 0 {
            let metadata = Metadata {
                kind,
                mode: permissions,
                uid: word(&compact, 24) & 0xffff,
                gid: word(&compact, 24) >> 16,
                size: u32_at(&compact, 8),
                mtime: self.epoch.saturating_add(i64::from(word(&compact, 12))),
            };
            (metadata, 32)
        } else {
            let extended: [u8; 64] = self.region.array(place).map_err(io)?;
            let metadata = Metadata {
                kind,
                mode: permissions,
                uid: word(&extended, 24),
                gid: word(&extended, 28),
                size: u64_at(&extended, 8),
                mtime: u64_at(&extended, 32).cast_signed(),
            };
            (metadata, 64)
        };
        let attributes = match u16_at(&compact, 2) {
            0 => 0,
            count => 12 + (count - 1) * 4,
        };
        // The array was read there, so the sum does not overflow by much.
        let end = place.saturating_add(length + attributes);
        Ok(Inode { nid, metadata, layout, address: word(&compact, 16), end })
    }

    /// The names in a directory with the numbers of their inodes, without `.` and
    /// `..`.
    ///
    /// # Errors
    /// Fails when its content is no directory's.
    pub fn entries(&self, directory: &Inode) -> Result<Vec<(Vec<u8>, u64)>, ErofsError> {
        if directory.metadata.size > MOST_DIRECTORY {
            return Err(ErofsError::TooLarge { nid: directory.nid, size: directory.metadata.size });
        }
        let content = self.content(directory)?;
        let block_size = usize::try_from(self.block()).unwrap_or(usize::MAX);
        let mut entries = Vec::new();
        for (count, block) in content.chunks(block_size).enumerate() {
            let broken = || ErofsError::Directory { nid: directory.nid, block: count as u64 };
            // Where the names begin, the entries end.
            let names = number::<2>(block, 8).ok_or_else(broken)?;
            let names = usize::try_from(names).unwrap_or(usize::MAX);
            if names < 12 || names % 12 != 0 || names > block.len() {
                return Err(broken());
            }
            for at in (0..names).step_by(12) {
                let name_at = |at| number::<2>(block, at).and_then(|offset| usize::try_from(offset).ok());
                let from = name_at(at + 8).ok_or_else(broken)?;
                let to = if at + 12 < names { name_at(at + 20) } else { Some(block.len()) };
                let name = block.get(from..to.ok_or_else(broken)?).ok_or_else(broken)?;
                let name: Vec<u8> = name.iter().copied().take_while(|&byte| byte != 0).collect();
                if name.is_empty() || name.contains(&b'/') {
                    return Err(broken());
                }
                if name != b"." && name != b".." {
                    entries.push((name, number::<8>(block, at).ok_or_else(broken)?));
                }
            }
        }
        Ok(entries)
    }

    /// All of a file, or the target of a symbolic link.
    ///
    /// # Errors
    /// Fails when it is damaged, or larger than [`MOST_CONTENT`].
    pub fn content(&self, inode: &Inode) -> Result<Vec<u8>, ErofsError> {
        let size = inode.metadata.size;
        if size > MOST_CONTENT {
            return Err(ErofsError::TooLarge { nid: inode.nid, size });
        }
        if inode.metadata.kind == FileType::Symlink && size > MOST_TARGET {
            return Err(ErofsError::Inode { nid: inode.nid, field: "length of the target", value: size });
        }
        if size == 0 {
            return Ok(Vec::new());
        }
        match inode.layout {
            Layout::Plain => self.plain(inode, size),
            Layout::Inline => {
                let tail = (size - 1) % self.block() + 1;
                let mut content = self.plain(inode, size - tail)?;
                content.extend(self.read(inode.end, tail)?);
                Ok(content)
            }
            Layout::Chunks => self.chunks(inode),
            Layout::FullIndex | Layout::CompactIndex => {
                let extents = compressed::extents(self, inode)?;
                compressed::read(self, inode, &extents, 0..size)
            }
        }
    }

    /// Hands the content of a file over in pieces of [`PIECE`] bytes, so that a large one is never whole in memory.
    ///
    /// # Errors
    /// It is damaged.
    pub fn each_piece(&self, inode: &Inode, mut take: impl FnMut(&[u8])) -> Result<(), ErofsError> {
        let size = inode.metadata.size;
        let pieces = (0..size).step_by(PIECE).map(|start| start..size.min(start + PIECE as u64));
        match inode.layout {
            Layout::FullIndex | Layout::CompactIndex => {
                let extents = compressed::extents(self, inode)?;
                for piece in pieces {
                    take(&compressed::read(self, inode, &extents, piece)?);
                }
            }
            Layout::Plain if inode.address != u32::MAX => {
                let start = u64::from(inode.address) << self.block_bits;
                for piece in pieces {
                    take(&self.read(start.saturating_add(piece.start), piece.end - piece.start)?);
                }
            }
            _ => take(&self.content(inode)?),
        }
        Ok(())
    }

    /// Whether two files are stored in the same bytes, and so have the same content, which is then not decompressed.
    /// Files that are stored otherwise may have the same content, too.
    ///
    /// # Errors
    /// One of them is damaged.
    pub fn same_stored(&self, inode: &Inode, other: &Self, theirs: &Inode) -> Result<bool, ErofsError> {
        let compressed = |inode: &Inode| matches!(inode.layout, Layout::FullIndex | Layout::CompactIndex);
        if !compressed(inode) || !compressed(theirs) || inode.metadata.size != theirs.metadata.size {
            return Ok(false);
        }
        let (ours, others) = (compressed::extents(self, inode)?, compressed::extents(other, theirs)?);
        if ours.len() != others.len() {
            return Ok(false);
        }
        for (one, two) in ours.iter().zip(&others) {
            let Some((one, two)) = compressed::stored_alike(one, two) else { return Ok(false) };
            if self.read(one.start, one.end - one.start)? != other.read(two.start, two.end - two.start)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn plain(&self, inode: &Inode, size: u64) -> Result<Vec<u8>, ErofsError> {
        if inode.address == u32::MAX && inode.layout == Layout::Plain {
            // A hole from its beginning to its end.
            return zeros(size);
        }
        if size == 0 { Ok(Vec::new()) } else { self.read(u64::from(inode.address) << self.block_bits, size) }
    }

    fn chunks(&self, inode: &Inode) -> Result<Vec<u8>, ErofsError> {
        let refuse = |field, value| ErofsError::Inode { nid: inode.nid, field, value };
        let format = u64::from(inode.address) & 0xffff;
        if format & !0x3f != 0 {
            return Err(refuse("chunk format", format));
        }
        let bits = u32::try_from(format & 0x1f).unwrap_or_default() + self.block_bits;
        let (size, chunk) = (inode.metadata.size, 1_u64 << bits);
        let unit: u64 = if format & 0x20 == 0 { 4 } else { 8 };
        let table = self.read(inode.end.next_multiple_of(unit), size.div_ceil(chunk) * unit)?;
        let mut content = Vec::new();
        for entry in table.chunks_exact(if unit == 4 { 4 } else { 8 }) {
            let length = chunk.min(size - content.len() as u64);
            // An index is a device, and an address behind it.
            let device = if unit == 4 { 0 } else { number::<2>(entry, 2).unwrap_or_default() };
            let address = number::<4>(entry, entry.len() - 4).unwrap_or_default();
            if address == u64::from(u32::MAX) {
                content.extend(zeros(length)?);
            } else if device != 0 {
                return Err(refuse("device of a chunk", device));
            } else {
                content.extend(self.read(address << self.block_bits, length)?);
            }
        }
        Ok(content)
    }

    fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, ErofsError> {
        self.region.read(offset, length).map_err(|source| ErofsError::Io { offset, source })
    }
}

fn zeros(length: u64) -> Result<Vec<u8>, ErofsError> {
    let length = usize::try_from(length);
    Ok(vec![0; length.map_err(|e| ErofsError::Io { offset: 0, source: io::Error::other(e) })?])
}

/// CRC-32C from all ones, and not inverted at the end, as the format has it.
fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ ((crc & 1) * 0x82f6_3b78))
    })
}

fn u16_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    u64::from(bytes[at]) | u64::from(bytes[at + 1]) << 8
}

fn word<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    word(bytes, at).into()
}

fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    u32_at(bytes, at) | u32_at(bytes, at + 4) << 32
}
