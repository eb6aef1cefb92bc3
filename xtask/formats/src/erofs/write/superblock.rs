//! The first block.

use super::compressor::{CLUSTER, ZSTD_WINDOW};
use super::{BLOCK, Options};
use crate::erofs::{MAGIC, SUPERBLOCK, crc32c};

/// Places and counts that the superblock gives.
pub(super) struct Totals {
    /// The number of the root directory's inode.
    pub(super) root: u16,
    pub(super) inodes: u64,
    pub(super) blocks: u32,
    /// The block from which inodes are counted.
    pub(super) inodes_at: u32,
    /// The block of shared attributes.
    pub(super) attributes_at: u32,
}

/// There is a checksum, and the times are of modification.
const COMPATIBLE: u32 = 0x1 | 0x2;
/// What is shorter than its cluster is at its end; there are settings of compressors, and clusters of several blocks.
const COMPRESSED: u32 = 0x1 | 0x2;
/// The farthest that LZ4 looks back, in bytes.
const LZ4_DISTANCE: u16 = u16::MAX;

/// The first block of a file system.
pub(super) fn encode(options: &Options, totals: &Totals) -> Vec<u8> {
    let algorithm = options.compressor.algorithm();
    let mut fields: Vec<u8> = Vec::with_capacity(BLOCK);
    let mut put = |bytes: &[u8]| fields.extend(bytes);
    put(&u32::try_from(MAGIC).unwrap_or_default().to_le_bytes());
    put(&[0; 4]);
    put(&COMPATIBLE.to_le_bytes());
    // The size of a block as a power of two; no more of the superblock behind its 128 bytes.
    put(&[12, 0]);
    put(&totals.root.to_le_bytes());
    put(&totals.inodes.to_le_bytes());
    put(&options.epoch.to_le_bytes());
    put(&[0; 4]);
    put(&totals.blocks.to_le_bytes());
    put(&totals.inodes_at.to_le_bytes());
    put(&totals.attributes_at.to_le_bytes());
    put(options.uuid.as_bytes());
    put(&[0; 16]);
    put(&algorithm.map_or(0, |_| COMPRESSED).to_le_bytes());
    put(&algorithm.map_or(0_u16, |algorithm| 1 << algorithm).to_le_bytes());
    fields.resize(128, 0);
    match algorithm {
        None => {}
        Some(0) => {
            let blocks = u16::try_from(CLUSTER / BLOCK).unwrap_or(1);
            fields.extend(14_u16.to_le_bytes());
            fields.extend(LZ4_DISTANCE.to_le_bytes());
            fields.extend(blocks.to_le_bytes());
        }
        Some(_) => {
            fields.extend(6_u16.to_le_bytes());
            // The format, and the window as a power of two beyond 1 KiB.
            fields.extend([0, u8::try_from(ZSTD_WINDOW - 10).unwrap_or_default()]);
        }
    }
    let before = usize::try_from(SUPERBLOCK).unwrap_or_default();
    fields.resize(BLOCK - before, 0);
    let checksum = crc32c(&fields);
    fields[4..8].copy_from_slice(&checksum.to_le_bytes());
    let mut block = vec![0; before];
    block.extend(fields);
    block
}
