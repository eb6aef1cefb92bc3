//! A file system made by hand, damaged in every place; what mksquashfs makes is
//! read in the project's `tests/build/filesystems.rs`.

use super::*;
use crate::filesystem::{Filesystem, FilesystemError};

/// A file `etc/hostname` and a link to it, with nothing compressed. In each inode
/// table, inodes are counted from its first byte behind the block's head.
fn image() -> Vec<u8> {
    let mut bytes = vec![0; 96];
    bytes.extend(b"edge\n");
    let inode = |kind: u16, mode: u16, numbers: &[u32], rest: &[u8]| {
        let mut inode = [kind.to_le_bytes(), mode.to_le_bytes(), [1, 0], [0, 0]].concat();
        inode.extend([77, 0, 0, 0, 9, 0, 0, 0]);
        numbers.iter().for_each(|number| inode.extend(number.to_le_bytes()));
        inode.extend(rest);
        inode
    };
    // Sizes of directories are three more than their listings, in the lower half
    // of a number whose upper half is the place in the block.
    let file = inode(2, 0o640, &[96, u32::MAX, 0, 5, 5 | 1 << 24], b"");
    let link = inode(3, 0o777, &[1, 16], b"../etc/hostname\0");
    let etc = inode(1, 0o755, &[0, 2, 3 + 12 + 16 + 12, 1], b"");
    let root = inode(1, 0o755, &[0, 2, (3 + 12 + 11) | 40 << 16, 1], b"");
    let places = [0, file.len(), file.len() + link.len(), file.len() + link.len() + etc.len()];
    let inodes = metadata(&[file, link, etc, root].concat());
    let entry = |place: usize, name: &[u8]| {
        let mut entry = u16::try_from(place).unwrap().to_le_bytes().to_vec();
        entry.extend([0, 0, 1, 0, u8::try_from(name.len() - 1).unwrap(), 0]);
        entry.extend(name);
        entry
    };
    let head = |count: u8| [&[count - 1][..], &[0; 11]].concat();
    let below = [head(2), entry(places[0], b"hostname"), entry(places[1], b"link")].concat();
    assert_eq!(below.len(), 40);
    let directories = metadata(&[below, head(1), entry(places[2], b"etc")].concat());
    let ids = metadata(&[0, 0, 0, 0, 5, 0, 0, 0]);

    let tables = [inodes, directories, ids];
    let mut starts = Vec::new();
    for table in tables {
        starts.push(bytes.len() as u64);
        bytes.extend(table);
    }
    let pointers = bytes.len() as u64;
    bytes.extend(starts[2].to_le_bytes());
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"hsqs");
    put(12, &131_072_u32.to_le_bytes());
    put(20, &[6, 0]);
    put(26, &[2, 0, 4, 0, 0, 0]);
    put(32, &(places[3] as u64).to_le_bytes());
    put(48, &pointers.to_le_bytes());
    put(64, &starts[0].to_le_bytes());
    put(72, &starts[1].to_le_bytes());
    bytes
}

/// A block of metadata, as it is.
fn metadata(bytes: &[u8]) -> Vec<u8> {
    let head = u16::try_from(bytes.len()).unwrap() | 0x8000;
    [&head.to_le_bytes()[..], bytes].concat()
}

#[test]
fn tables_stand_where_the_kernel_looks_for_them() {
    let filesystem = Filesystem::open(&Region::from(image())).unwrap();
    assert_eq!(filesystem.name(), "squashfs");
    assert_eq!(filesystem.read_dir("/etc").unwrap(), ["hostname", "link"]);
    let Metadata { kind, mode, uid, gid, size, mtime } = filesystem.metadata("/etc/hostname").unwrap();
    assert_eq!((kind, mode, uid, gid, size, mtime), (FileType::Regular, 0o640, 5, 0, 5, 77));
    assert_eq!(filesystem.file("/etc/hostname").unwrap(), b"edge\n");
    assert_eq!(filesystem.symlink_metadata("/etc/link").unwrap().kind, FileType::Symlink);
}

#[test]
fn a_directory_that_holds_itself_ends_a_walk() {
    let mut bytes = image();
    let entry = bytes.windows(3).rposition(|window| window == b"etc").unwrap() - 8;
    let root = bytes[32..34].to_vec();
    bytes[entry..entry + 2].copy_from_slice(&root);
    let filesystem = Filesystem::open(&Region::from(bytes)).unwrap();
    assert!(matches!(filesystem.walk(), Err(FilesystemError::Many { .. })));
}

#[test]
fn damage_ends_in_an_error_and_never_in_a_panic() {
    let whole = image();
    let read = |bytes: Vec<u8>| {
        if let Ok(filesystem) = Filesystem::open(&Region::from(bytes)) {
            // Whether it can be read is the damage's affair.
            let _ = filesystem.tree();
        }
    };
    for length in 0..whole.len() {
        read(whole[..length].to_vec());
    }
    for at in 0..whole.len() {
        for value in [0x00, 0xff, whole[at] ^ 0x01, whole[at] ^ 0x10, whole[at] ^ 0x80] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            read(bytes);
        }
    }
}
