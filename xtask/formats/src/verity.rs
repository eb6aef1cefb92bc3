//! dm-verity hash trees, byte for byte as `veritysetup format` writes them.
//!
//! A superblock, then the tree from its top level down to the hashes of the data
//! blocks. Blocks of 4096 bytes on both sides, SHA-256 with the salt before the
//! data, format 1: <https://docs.kernel.org/admin-guide/device-mapper/verity.html>
//! and `lib/verity/verity.c` of cryptsetup. No other block sizes or digests, and
//! no forward error correction.
//!
//! Invariant: the hash device and the root hash are functions of the data, the
//! salt and the UUID alone.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rayon::prelude::*;
use uuid::Uuid;

use crate::digest::{self, Sha256};
use crate::sparse::{extents, is_zero};

/// The size of data and hash blocks, in bytes.
pub const BLOCK: usize = 4096;

/// How many hashes a hash block holds.
const FAN: usize = BLOCK / HASH;
/// The length of a hash, in bytes.
const HASH: usize = 32;
const BLOCK_U64: u64 = BLOCK as u64;

/// What a hash tree is made with, apart from its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// What every hash begins with; `veritysetup --salt`.
    pub salt: [u8; 32],
    /// The UUID in the superblock; `veritysetup --uuid`.
    pub uuid: Uuid,
}

impl Parameters {
    /// The hash of a block, begun.
    #[must_use]
    pub fn begun(&self) -> Sha256 {
        Sha256::begin(&self.salt)
    }
}

/// A finished hash device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verity {
    /// The hash everything is held against: what `roothash=` says.
    pub root_hash: [u8; 32],
    /// The superblock and the tree: what the hash partition holds.
    pub device: Vec<u8>,
}

/// A hash tree without a superblock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashTree {
    /// The hash everything is held against.
    pub root_hash: [u8; 32],
    /// The tree from its top level down to the hashes of the data; nothing for a single block.
    pub blocks: Vec<u8>,
}

/// What a superblock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// What the tree was made with.
    pub parameters: Parameters,
    /// How many data blocks it covers.
    pub data_blocks: u64,
}

/// What is wrong with a hash device, or with the data it covers.
#[derive(Debug, thiserror::Error)]
pub enum VerityError {
    /// It cannot be read.
    #[error("reading failed")]
    Io(#[from] io::Error),
    /// The data does not end at the end of a block, or there is none.
    #[error("`{0}` bytes are not a whole number of 4096 byte blocks above zero")]
    Size(u64),
    /// It does not begin as a verity superblock does.
    #[error("no verity superblock at offset 0")]
    Signature,
    /// A field of the superblock has a value that is not supported here.
    #[error("the superblock's {field} at offset {offset} is `{value}`, not `{expected}`")]
    Field {
        /// Which one.
        field: &'static str,
        /// Where it stands, in bytes.
        offset: usize,
        /// What it holds.
        value: String,
        /// What it should.
        expected: String,
    },
    /// The root hash of the data is another.
    #[error("the data's root hash is `{found}`, not `{expected}`")]
    RootHash {
        /// The one the data gives.
        found: String,
        /// The one it should.
        expected: String,
    },
    /// The stored tree fits the root hash, and the data does not fit the tree.
    #[error("the data differs from its hash tree at offset {offset}")]
    Data {
        /// Of the first block that differs, in bytes from the start of the data.
        offset: u64,
    },
    /// The stored tree is not the one of the data.
    #[error("the hash tree differs from the data's at offset {offset}")]
    Tree {
        /// Of the first block that differs, in bytes from the start of the device.
        offset: u64,
    },
}

/// How large the hash device of so much data is, superblock included, in bytes.
/// Data that ends inside a block counts as ending with it.
pub fn device_size(data_size: u64) -> u64 {
    let levels: u64 = levels(data_size.div_ceil(BLOCK_U64)).iter().sum();
    (1 + levels) * BLOCK_U64
}

/// Makes the hash device of a range of a file: an image, or a partition of a disk.
///
/// # Errors
/// Fails as [`tree`] does.
pub fn format(data: &File, range: Range<u64>, parameters: &Parameters) -> Result<Verity, VerityError> {
    let data_blocks = range.end.saturating_sub(range.start) / BLOCK_U64;
    Ok(tree(data, range, &parameters.salt)?.below(parameters, data_blocks))
}

/// Makes the hash device of data whose blocks are hashed already: behind the salt ([`Parameters::begun`]), one hash after
/// another.
///
/// # Errors
/// Fails when there are none.
pub fn format_hashed(hashes: Vec<u8>, parameters: &Parameters) -> Result<Verity, VerityError> {
    let data_blocks = (hashes.len() / HASH) as u64;
    if data_blocks == 0 {
        return Err(VerityError::Size(0));
    }
    Ok(above(hashes, &parameters.begun()).below(parameters, data_blocks))
}

/// Makes the hash tree of a range of a file. Holes and what lies beyond the file's end
/// count as zeros and are not read; the rest is read once, on all cores.
///
/// # Errors
/// Fails when the range is no multiple of 4096 bytes or empty, or the file cannot
/// be read.
pub fn tree(data: &File, range: Range<u64>, salt: &[u8; 32]) -> Result<HashTree, VerityError> {
    let size = range.end.saturating_sub(range.start);
    if size == 0 || !size.is_multiple_of(BLOCK_U64) {
        return Err(VerityError::Size(size));
    }
    // Every hash begins with the salt: 32 bytes, whose state is kept.
    let salted = Sha256::begin(salt);

    Ok(above(data_hashes(data, range, &salted)?, &salted))
}

/// The tree over the hashes of all data blocks.
fn above(hashes: Vec<u8>, salted: &Sha256) -> HashTree {
    let mut below = hashes;
    let mut upwards = Vec::new();
    while below.len() > HASH {
        below.resize(below.len().next_multiple_of(BLOCK), 0);
        let level = below;
        below = digest::of_blocks(salted, &level);
        upwards.push(level);
    }
    let mut root_hash = [0; HASH];
    root_hash.copy_from_slice(&below);
    upwards.reverse();
    HashTree { root_hash, blocks: upwards.concat() }
}

/// Holds a range of a file against the hash device at an offset of another, or of
/// the same, and against a root hash, down to the last bit of each. What of the
/// range lies behind the blocks the superblock counts is not looked at.
///
/// # Errors
/// Fails with the first thing that does not fit, or when reading does.
pub fn verify(
    data: &File,
    range: Range<u64>,
    hashes: &File,
    hashes_at: u64,
    root_hash: &[u8; 32],
) -> Result<Superblock, VerityError> {
    let mut block = vec![0; BLOCK];
    hashes.read_exact_at(&mut block, hashes_at)?;
    let superblock = read_superblock(&mut &block[..])?;
    let end = range.end.min(data.metadata()?.len());
    let most = end.saturating_sub(range.start) / BLOCK_U64;
    if superblock.data_blocks > most {
        return Err(VerityError::Field {
            field: "count of data blocks",
            offset: 72,
            value: superblock.data_blocks.to_string(),
            expected: format!("{most} at most"),
        });
    }
    let covered = range.start..range.start + superblock.data_blocks * BLOCK_U64;
    // The superblock reads as it is written but for what stands behind its fields.
    if block != superblock.to_block() {
        return Err(VerityError::Tree { offset: 0 });
    }
    verify_tree(data, covered, hashes, hashes_at + BLOCK_U64, &superblock.parameters.salt, root_hash)
        .map_err(|error| match error {
            VerityError::Tree { offset } => VerityError::Tree { offset: offset + BLOCK_U64 },
            other => other,
        })?;
    Ok(superblock)
}

/// Holds a range of a file against the hash tree at an offset of another, or of the
/// same, and against a root hash, down to the last bit of each.
///
/// # Errors
/// Fails with the first thing that does not fit, or when reading does.
pub fn verify_tree(
    data: &File,
    range: Range<u64>,
    hashes: &File,
    hashes_at: u64,
    salt: &[u8; 32],
    root_hash: &[u8; 32],
) -> Result<(), VerityError> {
    let tree = tree(data, range.clone(), salt)?;
    let mut stored = vec![0; tree.blocks.len()];
    hashes.read_exact_at(&mut stored, hashes_at)?;
    let differs = |from: usize, size: usize| {
        let pairs = tree.blocks[from..].chunks(size).zip(stored[from..].chunks(size));
        (0_u64..).zip(pairs).find(|(_, (made, stored))| made != stored).map(|(number, _)| number)
    };
    if tree.root_hash == *root_hash {
        return match differs(0, BLOCK) {
            None => Ok(()),
            Some(number) => Err(VerityError::Tree { offset: number * BLOCK_U64 }),
        };
    }
    // Where the stored tree is whole, its lowest level tells which block of data is not.
    let blocks = (range.end - range.start) / BLOCK_U64;
    let lowest = stored.len().saturating_sub(level_size(levels(blocks).first()));
    if holds(&stored, blocks, salt, root_hash)
        && let Some(number) = differs(lowest, HASH)
    {
        return Err(VerityError::Data { offset: number * BLOCK_U64 });
    }
    Err(VerityError::RootHash {
        found: crate::digest::hex(&tree.root_hash),
        expected: crate::digest::hex(root_hash),
    })
}

/// The root hash of a hash device, as its tree's top says: of its first two blocks. None where the data is a single
/// block, which has no tree.
///
/// # Errors
/// Fails when it has no superblock, or when reading does.
pub fn root_hash(device: &mut impl Read) -> Result<Option<[u8; 32]>, VerityError> {
    let mut block = vec![0; BLOCK];
    device.read_exact(&mut block)?;
    let superblock = read_superblock(&mut &block[..])?;
    if superblock.data_blocks < 2 {
        return Ok(None);
    }
    device.read_exact(&mut block)?;
    Ok(Some(Sha256::begin(&superblock.parameters.salt).with(&block)))
}

/// Whether a tree's own levels fit together, and its top the root hash.
fn holds(tree: &[u8], data_blocks: u64, salt: &[u8; 32], root_hash: &[u8; 32]) -> bool {
    let salted = Sha256::begin(salt);
    let mut above = root_hash.to_vec();
    let mut rest = tree;
    for blocks in levels(data_blocks).iter().rev() {
        let Some((level, lower)) = rest.split_at_checked(level_size(Some(blocks))) else { return false };
        let mut pairs = level.chunks(BLOCK).zip(above.chunks(HASH));
        if !pairs.all(|(block, known)| salted.with(block) == known) {
            return false;
        }
        above = level.to_vec();
        rest = lower;
    }
    !tree.is_empty()
}

/// The size of a level of so many blocks, in bytes.
fn level_size(blocks: Option<&u64>) -> usize {
    let blocks = blocks.and_then(|&blocks| usize::try_from(blocks).ok()).unwrap_or_default();
    blocks.saturating_mul(BLOCK)
}

/// Reads the superblock a hash device begins with.
///
/// # Errors
/// Fails when there is none, or it says something that is not supported here.
pub fn read_superblock(source: &mut impl Read) -> Result<Superblock, VerityError> {
    let mut bytes = [0; 512];
    source.read_exact(&mut bytes)?;
    let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if bytes[..8] != SIGNATURE {
        return Err(VerityError::Signature);
    }
    for (field, offset, value, expected) in [
        ("version", 8, u32_at(8), 1),
        ("hash type", 12, u32_at(12), 1),
        ("data block size", 64, u32_at(64), 4096),
        ("hash block size", 68, u32_at(68), 4096),
        ("salt size", 80, u32_at(80) & 0xffff, 32),
    ] {
        if value != expected {
            let (value, expected) = (value.to_string(), expected.to_string());
            return Err(VerityError::Field { field, offset, value, expected });
        }
    }
    if bytes[32..64] != ALGORITHM {
        return Err(VerityError::Field {
            field: "algorithm",
            offset: 32,
            value: String::from_utf8_lossy(&bytes[32..64]).trim_end_matches('\0').escape_debug().to_string(),
            expected: "sha256".to_owned(),
        });
    }
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&bytes[16..32]);
    let mut salt = [0; 32];
    salt.copy_from_slice(&bytes[88..120]);
    let data_blocks = u64::from(u32_at(72)) | u64::from(u32_at(76)) << 32;
    Ok(Superblock { parameters: Parameters { salt, uuid: Uuid::from_bytes(uuid) }, data_blocks })
}

const SIGNATURE: [u8; 8] = *b"verity\0\0";
const ALGORITHM: [u8; 32] = {
    let mut name = [0; 32];
    let text = *b"sha256";
    let mut at = 0;
    while at < text.len() {
        name[at] = text[at];
        at += 1;
    }
    name
};

impl Superblock {
    /// The first block of a hash device.
    fn to_block(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(BLOCK);
        block.extend(SIGNATURE);
        block.extend(1u32.to_le_bytes()); // version
        block.extend(1u32.to_le_bytes()); // hash type
        block.extend(self.parameters.uuid.as_bytes());
        block.extend(ALGORITHM);
        block.extend(4096u32.to_le_bytes()); // data block size
        block.extend(4096u32.to_le_bytes()); // hash block size
        block.extend(self.data_blocks.to_le_bytes());
        block.extend(32u16.to_le_bytes()); // salt size
        block.extend([0; 6]);
        block.extend(self.parameters.salt);
        block.resize(BLOCK, 0);
        block
    }
}

impl HashTree {
    /// The device that the tree lies on, behind its superblock.
    fn below(self, parameters: &Parameters, data_blocks: u64) -> Verity {
        let mut device = Superblock { parameters: parameters.clone(), data_blocks }.to_block();
        device.extend(self.blocks);
        Verity { root_hash: self.root_hash, device }
    }
}

impl Verity {
    /// Writes the hash device at the writer's position.
    ///
    /// # Errors
    /// Fails as writing does.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.device)
    }
}

/// How many blocks each level of the tree has, the lowest first. The root hash
/// itself is stored nowhere, so a single data block has no tree at all.
fn levels(data_blocks: u64) -> Vec<u64> {
    let mut levels = Vec::new();
    let mut blocks = data_blocks;
    while blocks > 1 {
        blocks = blocks.div_ceil(FAN as u64);
        levels.push(blocks);
    }
    levels
}

/// The hashes of all data blocks, one after another.
fn data_hashes(data: &File, range: Range<u64>, salted: &Sha256) -> io::Result<Vec<u8>> {
    /// Blocks one core reads and hashes at a time: 1 MiB.
    const RUN: usize = 256;
    let blocks = usize::try_from((range.end - range.start) / BLOCK_U64)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "more data than memory can index"))?;
    let zero = salted.with(&[0; BLOCK]);
    let end = data.metadata()?.len();
    let data_at = extents(data, range.clone())?;
    let mut hashes = vec![0; blocks * HASH];
    hashes.par_chunks_mut(RUN * HASH).enumerate().try_for_each_init(Vec::new, |buffer, (run, hashes)| {
        let start = range.start + (run * RUN * BLOCK) as u64;
        let length = hashes.len() / HASH * BLOCK;
        buffer.clear();
        let first = data_at.partition_point(|extent| extent.end <= start);
        if data_at.get(first).is_some_and(|extent| extent.start < start + length as u64) {
            buffer.resize(length, 0);
            let inside = usize::try_from(end.saturating_sub(start)).unwrap_or(length).min(length);
            data.read_exact_at(&mut buffer[..inside], start)?;
        }
        if is_zero(buffer) {
            hashes.chunks_exact_mut(HASH).for_each(|place| place.copy_from_slice(&zero));
        } else {
            hashes.copy_from_slice(&salted.with_each(buffer, BLOCK));
        }
        Ok::<(), io::Error>(())
    })?;
    Ok(hashes)
}

#[cfg(test)]
mod tests;
