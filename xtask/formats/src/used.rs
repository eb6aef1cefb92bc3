//! Which bytes of a file system are in use: all others may be anything.
//!
//! FAT32 tells it in its table of clusters, ext4 in the bitmaps of its groups:
//! <https://www.kernel.org/doc/html/latest/filesystems/ext4/globals.html>. What is told in the tables themselves is in use,
//! a zero in them as much as a one.

use std::io;
use std::ops::Range;

use crate::filesystem;
use crate::region::Region;

/// The ranges of a file system that are in use, in order; none where it does not tell, and all of it counts.
///
/// # Errors
/// Fails as reading does.
pub fn used(region: &Region) -> io::Result<Option<Vec<Range<u64>>>> {
    let found = match filesystem::name(region)? {
        Some("vfat") => fat(region)?,
        Some("ext4") => ext4(region)?,
        _ => None,
    };
    Ok(found.map(|ranges| merged(ranges, region.len())))
}

/// Ranges in order, without those that overlap or touch, cut at an end.
fn merged(mut ranges: Vec<Range<u64>>, end: u64) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        let range = range.start.min(end)..range.end.min(end);
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ if range.is_empty() => {}
            _ => merged.push(range),
        }
    }
    merged
}

fn fat(region: &Region) -> io::Result<Option<Vec<Range<u64>>>> {
    let boot = region.read(0, 512)?;
    let (sector, cluster) =
        (u64::from(u16_at(&boot, 11)), u64::from(u16_at(&boot, 11)) * u64::from(boot[13]));
    let (reserved, tables) = (u64::from(u16_at(&boot, 14)), u64::from(boot[16]));
    let (table, total) = (u64::from(u32_at(&boot, 36)) * sector, u64::from(u32_at(&boot, 32)) * sector);
    let data = reserved * sector + tables * table;
    if cluster == 0 || data > total || total > region.len() {
        return Ok(None);
    }
    let clusters = ((total - data) / cluster).min((table / 4).saturating_sub(2));
    let entries = region.read(reserved * sector, (clusters + 2) * 4)?;
    let mut ranges = std::iter::once(0..data).collect::<Vec<_>>();
    for (number, entry) in (0..).zip(entries.chunks_exact(4).skip(2)) {
        // The upper four bits are nobody's.
        if u32_at(entry, 0) & 0x0fff_ffff != 0 {
            ranges.push(data + number * cluster..data + (number + 1) * cluster);
        }
    }
    Ok(Some(ranges))
}

fn ext4(region: &Region) -> io::Result<Option<Vec<Range<u64>>>> {
    const META_BG: u32 = 0x10;
    const WIDE: u32 = 0x80;
    const BIGALLOC: u32 = 0x200;
    const SPARSE_SUPER2: u32 = 0x200;
    const BITMAP_UNINITIALIZED: u16 = 2;

    let superblock = region.read(1024, 1024)?;
    let field = |at: usize| u32_at(&superblock, at);
    let (compatible, incompatible, read_only) = (field(0x5c), field(0x60), field(0x64));
    let is_wide = incompatible & WIDE != 0;
    // Layouts that mke2fs makes of none of our partitions.
    if incompatible & META_BG != 0
        || read_only & BIGALLOC != 0
        || compatible & SPARSE_SUPER2 != 0
        || field(0x18) > 6
    {
        return Ok(None);
    }
    let block = 1024_u64 << field(0x18);
    let blocks = u64::from(field(0x04)) | if is_wide { u64::from(field(0x150)) << 32 } else { 0 };
    let (first, of_group) = (u64::from(field(0x14)), u64::from(field(0x20)));
    let inode_size = u64::from(u16_at(&superblock, 0x58));
    let table = (u64::from(field(0x28)) * inode_size).div_ceil(block);
    let described = if is_wide { u64::from(u16_at(&superblock, 0xfe)) } else { 32 };
    if of_group == 0
        || of_group > block * 8
        || blocks <= first
        || described < 32
        || blocks > region.len() / block
    {
        return Ok(None);
    }
    let groups = (blocks - first).div_ceil(of_group);
    let own = 1 + (groups * described).div_ceil(block) + u64::from(u16_at(&superblock, 0xce));
    let descriptors = region.read((first + 1) * block, groups * described)?;
    let size = usize::try_from(described).map_err(io::Error::other)?;

    let mut used: Vec<Range<u64>> = std::iter::once(0..first + own).collect();
    for (group, descriptor) in (0..groups).zip(descriptors.chunks_exact(size)) {
        let at = |low: usize, high: usize| {
            let upper = if size >= 64 { u64::from(u32_at(descriptor, high)) << 32 } else { 0 };
            u64::from(u32_at(descriptor, low)) | upper
        };
        let start = first + group * of_group;
        let end = blocks.min(start + of_group);
        let (bitmap, inodes, inode_table) = (at(0x00, 0x20), at(0x04, 0x24), at(0x08, 0x28));
        used.extend([bitmap..bitmap + 1, inodes..inodes + 1, inode_table..inode_table + table]);
        if u16_at(descriptor, 0x12) & BITMAP_UNINITIALIZED != 0 {
            // Which groups have copies of the superblock is not worth the arithmetic: each may.
            used.push(start..end.min(start + own));
            continue;
        }
        let bits = region.read(bitmap.saturating_mul(block), block)?;
        let is_used = |number: &u64| {
            let bit = number - start;
            usize::try_from(bit / 8)
                .is_ok_and(|byte| bits.get(byte).is_some_and(|byte| byte >> (bit % 8) & 1 == 1))
        };
        used.extend((start..end).filter(is_used).map(|number| number..number + 1));
    }
    Ok(Some(
        used.into_iter()
            .map(|range| range.start.saturating_mul(block)..range.end.saturating_mul(block))
            .collect(),
    ))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Node, Tree};
    use crate::vfat;

    /// What is not in use may be anything: the files of a FAT stay what they were.
    #[test]
    fn free_clusters_of_a_fat_are_not_in_use() {
        let mut tree = Tree::new();
        tree.insert("EFI/file".into(), Node::file(vec![7; 100_000], 0o644));
        let options = vfat::Options {
            size: 64 << 20,
            volume_id: 1,
            label: "ESP".to_owned(),
            epoch: 1_700_000_000,
            sector_size: 512,
        };
        let file = tempfile::tempfile().unwrap();
        vfat::write(&tree, &file, &options).unwrap();
        let region = Region::of(file).unwrap();
        let used = used(&region).unwrap().unwrap();
        let mut other = vec![0xa5; 64 << 20];
        for range in &used {
            let length = range.end - range.start;
            let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
            other[start..end].copy_from_slice(&region.read(range.start, length).unwrap());
        }
        let total: u64 = used.iter().map(|range| range.end - range.start).sum();
        assert!(total < 3 << 20, "{total}");
        let back = vfat::read(&mut std::io::Cursor::new(other), 0).unwrap();
        assert_eq!(back.content(&"EFI/file".into()).unwrap().read().unwrap(), [7; 100_000]);
    }

    #[test]
    fn ranges_are_merged() {
        assert_eq!(merged(vec![8..9, 0..4, 3..5, 5..6, 7..7], 100), [0..6, 8..9]);
        assert_eq!(merged(vec![8..20, 30..31], 10).first(), Some(&(8..10)));
    }

    #[test]
    fn what_does_not_tell_counts_as_a_whole() {
        assert_eq!(used(&Region::from(vec![0; 4096])).unwrap(), None);
    }
}
