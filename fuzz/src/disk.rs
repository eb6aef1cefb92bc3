//! What lies on a disk: partition tables, file systems, hash trees.

use std::collections::BTreeSet;
use std::io::{Cursor, Read as _};

use bedplate_formats::bmap::Bmap;
use bedplate_formats::erofs::Erofs;
use bedplate_formats::filesystem::{FileType, Filesystem, Metadata};
use bedplate_formats::region::Region;
use bedplate_formats::squashfs::{self, Squashfs};
use bedplate_formats::tree::{Kind, TreePath};
use bedplate_formats::{gpt, verity, vfat};

use crate::described;
use crate::sparse::Sparse;

/// The sectors of the disk that has a partition table.
pub const TABLE_SECTORS: u64 = 2048;
/// The sectors of a FAT file system.
pub const FAT_SECTORS: u64 = vfat::MINIMUM / 512;
/// How many files of a file system are read.
const MOST_FILES: usize = 64;
/// The largest file that is read, in bytes: readers give what a file system says to
/// have, and that may be holes.
const MOST_CONTENT: u64 = 1 << 20;

/// A block map: its ranges lie in the image, in order, and it is written as what it was read as.
pub fn bmap(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    // Without its own checksum it is read as well.
    let Ok(map) = Bmap::parse(&text.replace("<BmapFileChecksum>", "<Other>")) else { return false };
    let mut end = 0;
    for (range, _) in map.ranges() {
        assert!(end <= range.start && range.start < range.end && range.end <= map.size, "{range:?}");
        end = range.end;
    }
    assert_eq!(Bmap::parse(&map.render()).expect("what was written is a map"), map);
    true
}

/// A partition table: read, written to another disk, and read there as the same.
pub fn gpt(bytes: &[u8]) -> bool {
    let mut disk = Vec::new();
    Sparse::new(bytes, TABLE_SECTORS).read_to_end(&mut disk).expect("memory is read");
    for lba in [1, TABLE_SECTORS - 1] {
        sum_table(&mut disk, usize::try_from(lba * gpt::SECTOR).expect("a small disk"));
    }
    let Ok(table) = gpt::read(&mut Cursor::new(&disk)) else { return false };
    for partition in &table.partitions {
        assert!(partition.offset() + partition.size() <= disk.len() as u64, "{partition:?}");
    }
    let mut other = Cursor::new(vec![0; disk.len()]);
    // A table of fewer entries leaves more room than ours.
    if gpt::write(&table, &mut other).is_ok() {
        assert_eq!(gpt::read(&mut other).expect("what was written is a table"), table);
    }
    true
}

/// Puts the checksums of a header and of its entries right.
fn sum_table(disk: &mut [u8], header: usize) {
    let crc = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    let number = |disk: &[u8], at: usize| {
        let bytes = disk[header + at..].first_chunk::<4>().expect("a header is 512 bytes long");
        u32::from_le_bytes(*bytes) as usize
    };
    let from = number(disk, 72).saturating_mul(512);
    let to = from.saturating_add(number(disk, 80).saturating_mul(number(disk, 84)));
    if let Some(entries) = disk.get(from..to) {
        let sum = crc(entries);
        disk[header + 88..header + 92].copy_from_slice(&sum);
    }
    let size = number(disk, 12).min(512);
    disk[header + 16..header + 20].fill(0);
    let sum = crc(&disk[header..header + size]);
    disk[header + 16..header + 20].copy_from_slice(&sum);
}

/// A FAT32 file system, as a whole.
pub fn fat(bytes: &[u8]) -> bool {
    let Ok(tree) = vfat::read(&mut Sparse::new(bytes, FAT_SECTORS), 0) else { return false };
    for (path, node) in tree.iter().skip(1) {
        let parent = path.parent().expect("only the root has none");
        assert!(tree.get(&parent).is_some_and(|parent| parent.is_directory()), "{path}");
        assert!(path.components().all(|name| name != b".."), "{path}");
        assert!(matches!(node.kind, Kind::Directory | Kind::File(_)), "{path}");
    }
    true
}

/// An EROFS file system.
pub fn erofs(bytes: &[u8]) -> bool {
    let region = Region::from(bytes.to_vec());
    let Ok(erofs) = Erofs::open(region.clone()) else { return false };
    each_inode(erofs.root(), |nid| {
        let inode = erofs.inode(nid).ok()?;
        let names =
            (inode.metadata.kind == FileType::Directory).then(|| erofs.entries(&inode).ok()).flatten();
        if inode.metadata.size <= MOST_CONTENT
            && let Ok(content) = erofs.content(&inode)
        {
            assert_eq!(content.len() as u64, inode.metadata.size);
        }
        names
    });
    walk(&region)
}

/// A Squashfs file system.
pub fn squashfs(bytes: &[u8]) -> bool {
    let region = Region::from(bytes.to_vec());
    let Ok(squashfs) = Squashfs::open(region.clone()) else { return false };
    each_inode(squashfs.root(), |reference| {
        let inode = squashfs.inode(reference).ok()?;
        let Metadata { kind, size, .. } = inode.metadata;
        let names = (kind == FileType::Directory).then(|| squashfs.entries(&inode).ok()).flatten();
        if matches!(kind, FileType::Regular | FileType::Symlink)
            && size <= MOST_CONTENT
            && let Ok(content) = squashfs.content(&inode)
        {
            assert_eq!(content.len() as u64, size);
        }
        names
    });
    walk(&region) && written_again(&region)
}

/// What is read is written by our own writer, and read as the same.
fn written_again(region: &Region) -> bool {
    let Ok(filesystem) = Filesystem::open(region) else { return false };
    let Ok(found) = filesystem.walk() else { return false };
    let total = found.iter().fold(0_u64, |total, (_, metadata)| total.saturating_add(metadata.size));
    if total > MOST_CONTENT {
        return true;
    }
    let Ok(mut tree) = filesystem.tree() else { return false };
    let odd: Vec<TreePath> = tree
        .iter()
        .filter(|(_, node)| !matches!(node.kind, Kind::Directory | Kind::File(_) | Kind::Symlink(_)))
        .map(|(path, _)| path.clone())
        .collect();
    odd.iter().for_each(|path| drop(tree.remove(path)));
    for (_, node) in tree.iter_mut() {
        (node.uid, node.gid, node.mtime) = (0, 0, 7);
        node.xattrs.clear();
    }
    let mut written = Cursor::new(Vec::new());
    let options = squashfs::Options { epoch: 7, block_size: 4096 };
    squashfs::write(&tree, &options, &mut written).expect("a tree in memory is written");
    let back = Filesystem::open(&Region::from(written.into_inner())).expect("what was written is read");
    assert_eq!(described(&tree), described(&back.tree().expect("what was written is read")));
    true
}

/// An ext4 file system.
pub fn ext4(bytes: &[u8]) -> bool {
    let region = Region::from(bytes.to_vec());
    Filesystem::open(&region).is_ok_and(|filesystem| filesystem.name() == "ext4") && walk(&region)
}

/// Asks for some inodes, from the root on; `names` gives those in a directory.
fn each_inode(root: u64, mut names: impl FnMut(u64) -> Option<Vec<(Vec<u8>, u64)>>) {
    let mut seen = BTreeSet::from([root]);
    let mut ahead = vec![root];
    while let Some(number) = ahead.pop() {
        for (name, number) in names(number).into_iter().flatten() {
            assert!(!name.is_empty() && !name.contains(&b'/') && name != b"." && name != b"..", "{name:?}");
            if seen.len() < MOST_FILES && seen.insert(number) {
                ahead.push(number);
            }
        }
    }
}

/// Walks a file system as those do who ask for paths. Says whether all of it is
/// whole.
fn walk(region: &Region) -> bool {
    let Ok(filesystem) = Filesystem::open(region) else { return false };
    let Ok(found) = filesystem.walk() else { return false };
    let mut whole = true;
    for (path, _) in found.iter().filter(|(path, _)| TreePath::new(path).depth() < 16).take(MOST_FILES) {
        let Ok(path) = std::str::from_utf8(path) else { continue };
        // Of two files of one name, the first is met.
        let Ok(metadata) = filesystem.symlink_metadata(path) else { continue };
        match metadata.kind {
            FileType::Regular if metadata.size <= MOST_CONTENT => match filesystem.file(path) {
                Ok(content) => assert_eq!(content.len() as u64, metadata.size, "{path}"),
                Err(_) => whole = false,
            },
            FileType::Symlink => whole &= filesystem.read_link(path).is_ok(),
            _ => {}
        }
    }
    let total = found.iter().fold(0_u64, |total, (_, metadata)| total.saturating_add(metadata.size));
    if total <= MOST_CONTENT {
        whole &= filesystem.tree().is_ok();
    }
    whole
}

/// The first block of a hash tree.
pub fn verity(bytes: &[u8]) -> bool {
    verity::read_superblock(&mut &bytes[..]).is_ok()
}
