//! The compact index of a compressed file: what begins in each of its blocks.
//!
//! A logical cluster is a block of the file. It is a head, in which an extent begins at an offset, or belongs to the
//! extent before: then the entry gives the distance to its head, for the first one behind a head the count of blocks
//! on the disk, and for the last one in a pack the distance to the next head. Entries have 14 or 16 bits. They lie in
//! packs of sixteen (32 bytes, aligned) or two (8 bytes), whose last four bytes are a block address; the address of a
//! head is that plus the blocks of the extents before it in the pack.

use super::BLOCK_U64;
use super::extents::Extent;

/// The header: algorithm, size of a logical cluster, and what else is to be known of the index.
pub(super) const HEADER: usize = 8;
/// Packs of sixteen where they fit; clusters of several blocks, for both kinds of head.
const ADVISE: u16 = 0x01 | 0x02 | 0x04;
/// The flag of a count of blocks in the place of a distance.
const COUNT: u32 = 1 << 11;
/// The greatest distance that is told; a greater one is followed in steps.
const MOST_DISTANCE: u32 = COUNT - 1;
/// Bits of an entry below its type.
const LOW_BITS: u32 = 12;

/// The size of a logical cluster, in bytes.
const BLOCK_U32: u32 = 4096;

/// Types of entries.
mod kind {
    pub(super) const STORED: u32 = 0;
    pub(super) const COMPRESSED: u32 = 1;
    pub(super) const REST: u32 = 2;
}

/// What an index tells of one block of the file.
#[derive(Debug, Clone, Copy)]
enum Entry {
    /// An extent begins at an offset; it lies at a block.
    Head { kind: u32, offset: u32, block: u32 },
    /// So many blocks behind a head, so many before the next; the first one counts the blocks on the disk.
    Rest { behind: u32, before: u32, count: Option<u32> },
}

/// The length of the header and index of a file of so many bytes, where `begin` is the header's offset in its inode.
pub(super) fn length(size: u64, begin: usize) -> usize {
    let entries = usize::try_from(size.div_ceil(BLOCK_U64)).unwrap_or(usize::MAX);
    HEADER + packs(entries, begin + HEADER).iter().map(|&pack| bytes(pack)).sum::<usize>()
}

/// The header and index of a file whose extents lie from a block on, one behind the other.
pub(super) fn encode(extents: &[Extent], algorithm: u8, address: u32, begin: usize) -> Vec<u8> {
    let entries = entries(extents, address);
    let mut index = vec![0; 4];
    index.extend(ADVISE.to_le_bytes());
    index.extend([algorithm, 0]);
    let mut rest = &entries[..];
    for pack in packs(entries.len(), begin + HEADER) {
        let (these, behind) = rest.split_at(pack.min(rest.len()));
        index.extend(encode_pack(these, pack, address));
        rest = behind;
    }
    index
}

/// How many entries each pack has; the last one may have room for one more than there is.
fn packs(entries: usize, begin: usize) -> Vec<usize> {
    // Packs of 32 bytes are aligned to 32.
    let before = (32 - begin % 32) / 4 % 8;
    let dense = entries.saturating_sub(before) / 16;
    let before = if dense == 0 { 0 } else { before };
    let behind = entries - before - dense * 16;
    let pairs = |entries: usize| std::iter::repeat_n(2, entries.div_ceil(2));
    pairs(before).chain(std::iter::repeat_n(16, dense)).chain(pairs(behind)).collect()
}

/// The length of a pack, in bytes.
fn bytes(pack: usize) -> usize {
    if pack == 16 { 32 } else { 8 }
}

fn entries(extents: &[Extent], address: u32) -> Vec<Entry> {
    let (mut entries, mut offset, mut block) = (Vec::new(), 0, address);
    for extent in extents {
        let kind = if extent.compressed == 0 { kind::STORED } else { kind::COMPRESSED };
        entries.push(Entry::Head { kind, offset, block });
        let crossed = (offset + extent.length) / BLOCK_U32;
        for behind in 1..crossed {
            let count = (behind == 1).then_some(extent.blocks());
            entries.push(Entry::Rest { behind, before: crossed - behind, count });
        }
        offset = if crossed == 0 { 0 } else { (offset + extent.length) % BLOCK_U32 };
        block = block.saturating_add(extent.blocks());
    }
    if offset != 0 {
        // The last extent ends inside of a cluster: a head that nobody asks for stands behind its end.
        entries.push(Entry::Head { kind: kind::STORED, offset, block });
    }
    entries
}

fn encode_pack(entries: &[Entry], size: usize, address: u32) -> Vec<u8> {
    let counted = match entries.first() {
        Some(Entry::Rest { count: Some(count), .. }) => *count,
        _ => 0,
    };
    // Nothing is added for what begins before the pack, unless its blocks are counted in it.
    let base = entries.iter().find_map(|entry| match entry {
        Entry::Head { block, .. } => Some(block.wrapping_sub(counted)),
        Entry::Rest { .. } => None,
    });
    let mut pack = vec![0; bytes(size)];
    let entry_bits = (bytes(size) - 4) * 8 / size;
    for (at, entry) in entries.iter().enumerate() {
        let (kind, low) = match *entry {
            Entry::Head { kind, offset, .. } => (kind, offset),
            Entry::Rest { count: Some(count), .. } => (kind::REST, count | COUNT),
            Entry::Rest { before, .. } if at + 1 == size => (kind::REST, before.min(MOST_DISTANCE)),
            Entry::Rest { behind, .. } => (kind::REST, behind.min(MOST_DISTANCE)),
        };
        let value = u64::from(kind << LOW_BITS | low) << (at * entry_bits % 8);
        for (byte, part) in pack[at * entry_bits / 8..].iter_mut().zip(value.to_le_bytes()).take(3) {
            *byte |= part;
        }
    }
    let end = pack.len() - 4;
    pack[end..].copy_from_slice(&base.unwrap_or(address).to_le_bytes());
    pack
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_are_aligned_and_hold_every_entry() {
        for begin in (40..120).step_by(8) {
            for entries in 0..100 {
                let packs = packs(entries, begin);
                let held: usize = packs.iter().sum();
                assert!(held == entries || held == entries + 1);
                let mut at = begin;
                for pack in packs {
                    assert_eq!(at % bytes(pack), 0);
                    at += bytes(pack);
                }
            }
        }
    }

    #[test]
    fn an_index_is_as_long_as_was_said() {
        let extents = [
            Extent { length: 100_000, compressed: 16 },
            Extent { length: 4096, compressed: 0 },
            Extent { length: 9000, compressed: 2 },
            Extent { length: 77, compressed: 0 },
        ];
        let size = extents.iter().map(|extent| u64::from(extent.length)).sum();
        for begin in (32..128).step_by(8) {
            assert_eq!(encode(&extents, 0, 5, begin).len(), length(size, begin));
        }
    }
}
