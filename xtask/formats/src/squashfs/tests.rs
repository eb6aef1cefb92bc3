//! A file system made by hand, damaged in every place; what mksquashfs makes is
//! read in the project's `tests/build/filesystems.rs`.

use std::fs::File;
use std::io::Cursor;
use std::os::unix::fs::FileExt as _;

use expect_test::expect;

use super::*;
use crate::filesystem::{Filesystem, FilesystemError};
use crate::tree::{Kind, Node, Tree, TreePath};

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

/// What is read of a file system that was written of a tree.
fn written(tree: &Tree, block_size: u32) -> Region {
    let mut bytes = Cursor::new(Vec::new());
    let length = write(tree, &Options { epoch: 77, block_size }, &mut bytes).unwrap();
    assert_eq!((length, bytes.position()), (bytes.get_ref().len() as u64, length));
    assert_eq!(length % 4096, 0);
    Region::from(bytes.into_inner())
}

/// Every path with what the file system has there, and its content.
fn described(tree: &Tree) -> Vec<String> {
    let content = |node: &Node| match &node.kind {
        Kind::File(content) => crate::digest::hex(&content.read().unwrap()),
        other => format!("{other:?}"),
    };
    tree.iter()
        .map(|(path, node)| {
            let Node { mode, uid, gid, mtime, .. } = node;
            format!("{path} {mode:o} {uid} {gid} {mtime} {}", content(node))
        })
        .collect()
}

/// One of everything, with sizes around those of blocks.
fn sample() -> Tree {
    let mut tree = Tree::new();
    for length in [0, 1, 4095, 4096, 4097, 8192, 131_072, 131_073, (1 << 20) + 1, (2 << 20) + 4096] {
        let bytes: Vec<u8> = (0..length).map(|at: u32| (at % 251).to_le_bytes()[0]).collect();
        tree.insert(format!("files/{length}").as_str().into(), Node::file(bytes, 0o640));
    }
    let mut holes = vec![0; 5 << 20];
    holes[4095] = 1;
    holes[(3 << 20) + 8192] = 2;
    tree.insert("holes/some".into(), Node::file(holes, 0o4755));
    tree.insert("holes/only".into(), Node::file(vec![0; 12_289], 0o600));
    tree.insert("link".into(), Node::symlink("files/4096"));
    tree.insert("far".into(), Node::symlink("far/".repeat(1000)));
    tree.insert("n".repeat(255).as_str().into(), Node::directory(0o1777));
    tree.insert(TreePath::new(b"caf\xe9/a\\b'\""), Node::file("no UTF-8", 0o644));
    // More entries than one header has, than one block of inodes, and than the inode of a small directory.
    for number in 0..700 {
        let name = format!("many/{number:04}-{}", "x".repeat(number % 200));
        tree.insert(name.as_str().into(), Node::file(number.to_string(), 0o644));
    }
    for (_, node) in tree.iter_mut() {
        node.mtime = 77;
    }
    tree
}

#[test]
fn what_is_written_is_read_again() {
    let tree = sample();
    for block_size in [4096, 131_072, 1 << 20] {
        let filesystem = Filesystem::open(&written(&tree, block_size)).unwrap();
        assert_eq!(described(&filesystem.tree().unwrap()), described(&tree), "{block_size}");
    }
    let empty = Filesystem::open(&written(&Tree::new(), 4096)).unwrap();
    assert_eq!(empty.tree().unwrap().len(), 1);
}

#[test]
fn the_same_tree_is_the_same_bytes_and_belongs_to_root() {
    let bytes = |tree: &Tree| {
        let region = written(tree, 4096);
        region.read(0, region.len()).unwrap()
    };
    let mut tree = sample();
    let once = bytes(&tree);
    for (_, node) in tree.iter_mut() {
        (node.uid, node.gid, node.mtime) = (5, 6, 7);
        node.xattrs.insert(b"user.a".to_vec(), b"b".to_vec());
    }
    assert!(bytes(&tree) == once);
}

#[test]
fn a_block_of_a_file_is_a_block_of_the_device_and_zeros_are_not_stored() {
    let mut tree = Tree::new();
    let numbered: Vec<u8> = (1..=3).flat_map(|number| [number; 4096]).collect();
    tree.insert("a".into(), Node::file("short", 0o644));
    tree.insert("b".into(), Node::file(numbered, 0o644));
    tree.insert("c".into(), Node::file(vec![0; 64 << 20], 0o644));
    let region = written(&tree, 4096);
    for (block, number) in [(2, 1), (3, 2), (4, 3)] {
        assert_eq!(region.read(block * 4096, 4096).unwrap(), [number; 4096]);
    }
    assert_eq!(region.len(), 6 * 4096);
}

#[test]
fn a_file_of_the_host_is_read_without_its_holes_and_may_have_more_than_4_gib() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large");
    let (length, end) = ((5 << 30) + 4096 + 7, b"the end");
    let file = File::create(&path).unwrap();
    file.set_len(length).unwrap();
    file.write_all_at(end, length - 7).unwrap();
    file.write_all_at(&[9; 5000], 1 << 20).unwrap();
    let region = written(&Tree::scan(directory.path()).unwrap(), 1 << 20);
    assert!(region.len() < 2 << 20, "{}", region.len());
    let squashfs = Squashfs::open(region.clone()).unwrap();
    let root = squashfs.inode(squashfs.root()).unwrap();
    let [(_, reference)] = squashfs.entries(&root).unwrap()[..] else { panic!("there is one file") };
    let inode = squashfs.inode(reference).unwrap();
    assert_eq!(inode.metadata.size, length);
    assert!(matches!(squashfs.content(&inode), Err(SquashfsError::TooLarge { size, .. }) if size == length));
}

#[test]
fn what_cannot_be_written_is_named() {
    let refused = |path: &[u8], node: Node, block_size: u32| {
        let mut tree = Tree::new();
        tree.insert(TreePath::new(path), node);
        let options = Options { epoch: 0, block_size };
        write(&tree, &options, &mut Cursor::new(Vec::new())).unwrap_err().to_string()
    };
    let fifo = Node { kind: Kind::Fifo, ..Node::file("", 0o644) };
    expect![
        "`/run/a` cannot be written to a Squashfs: it is no directory, no regular file and no symbolic link"
    ]
    .assert_eq(&refused(b"run/a", fifo, 4096));
    let long = refused(&[b'n'; 256], Node::file("", 0o644), 4096);
    assert!(long.ends_with("its name has more than 255 bytes"), "{long}");
    let far = refused(b"a", Node::symlink("x".repeat(4097)), 4096);
    assert!(far.ends_with("its target has more than 4096 bytes"), "{far}");
    expect!["invalid Squashfs block size `5000`: it is a power of two from 4096 to 1048576"]
        .assert_eq(&refused(b"a", Node::file("", 0o644), 5000));

    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a"), "long").unwrap();
    let tree = Tree::scan(directory.path()).unwrap();
    std::fs::write(directory.path().join("a"), "x").unwrap();
    let options = Options { epoch: 0, block_size: 4096 };
    let error = write(&tree, &options, &mut Cursor::new(Vec::new())).unwrap_err();
    expect!["`/a` has not `4` bytes any more: it changed during the build"].assert_eq(&error.to_string());
}
