//! A file system made by hand, damaged in every place; what mkfs makes is read in
//! the project's `tests/build/filesystems.rs`.

use expect_test::expect;

use super::*;
use crate::filesystem::{Filesystem, FilesystemError};
use crate::tree::{Kind, Node, Tree};

/// A tree as the simplest EROFS there is: a superblock, compact inodes from block 1
/// on, and a block for every content.
pub(crate) fn image(tree: &Tree) -> Vec<u8> {
    let nodes: Vec<_> = tree.iter().collect();
    let number = |path: &crate::tree::TreePath| nodes.iter().position(|(other, _)| *other == path).unwrap();
    let first = 1 + (nodes.len() * 32).div_ceil(4096);
    let (mut inodes, mut data) = (Vec::new(), Vec::new());
    for (path, node) in &nodes {
        let (kind, content) = match &node.kind {
            Kind::File(content) => (0o100_000, content.read().unwrap()),
            Kind::Symlink(target) => (0o120_000, target.clone()),
            _ => {
                let mut names: Vec<(Vec<u8>, usize)> = vec![(b".".to_vec(), number(path))];
                names.extend(tree.children(path).map(|(child, _)| {
                    (child.to_bytes().rsplit(|&byte| byte == b'/').next().unwrap().to_vec(), number(child))
                }));
                (0o040_000, directory(&names))
            }
        };
        let block = u32::try_from(first + data.len() / 4096).unwrap();
        let mut inode = vec![0; 32];
        inode[4..6].copy_from_slice(&u16::try_from(kind | node.mode).unwrap().to_le_bytes());
        inode[8..12].copy_from_slice(&u32::try_from(content.len()).unwrap().to_le_bytes());
        inode[16..20].copy_from_slice(&block.to_le_bytes());
        inode[24..26].copy_from_slice(&u16::try_from(node.uid).unwrap().to_le_bytes());
        inode[26..28].copy_from_slice(&u16::try_from(node.gid).unwrap().to_le_bytes());
        inodes.extend(inode);
        data.extend(&content);
        data.resize(data.len().next_multiple_of(4096), 0);
    }
    let mut bytes = vec![0; 4096];
    bytes[1024..1028].copy_from_slice(&0xe0f5_e1e2_u32.to_le_bytes());
    bytes[1036] = 12;
    bytes[1038..1040].copy_from_slice(&u16::try_from(number(&"".into())).unwrap().to_le_bytes());
    bytes[1048] = 77;
    bytes[1064] = 1;
    bytes.extend(inodes);
    bytes.resize(first * 4096, 0);
    bytes.extend(data);
    bytes
}

fn directory(names: &[(Vec<u8>, usize)]) -> Vec<u8> {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for (name, number) in names {
        head.extend((*number as u64).to_le_bytes());
        head.extend(u16::try_from(names.len() * 12 + tail.len()).unwrap().to_le_bytes());
        head.extend([0, 0]);
        tail.extend(name);
    }
    [head, tail].concat()
}

fn tree() -> Tree {
    let mut tree = Tree::new();
    tree.insert("etc/hostname".into(), Node { uid: 5, gid: 7, ..Node::file("edge\n", 0o640) });
    tree.insert("etc/link".into(), Node::symlink("../etc/hostname"));
    tree.insert("var/large".into(), Node::file(vec![3; 9000], 0o644));
    tree
}

fn open(bytes: Vec<u8>) -> Result<Erofs, ErofsError> {
    Erofs::open(Region::from(bytes))
}

#[test]
fn a_superblock_and_an_inode_stand_where_the_kernel_looks_for_them() {
    let bytes = image(&tree());
    let erofs = open(bytes).unwrap();
    let root = erofs.inode(erofs.root()).unwrap();
    let entries = erofs.entries(&root).unwrap();
    assert_eq!(entries.iter().map(|(name, _)| &name[..]).collect::<Vec<_>>(), [b"etc", b"var"]);
    let etc = erofs.inode(entries[0].1).unwrap();
    let file = erofs.inode(erofs.entries(&etc).unwrap()[0].1).unwrap();
    let Metadata { kind, mode, uid, gid, size, mtime } = file.metadata;
    assert_eq!((kind, mode, uid, gid, size, mtime), (FileType::Regular, 0o640, 5, 7, 5, 77));
}

#[test]
fn what_is_not_understood_is_named() {
    let said = |change: fn(&mut Vec<u8>)| {
        let mut bytes = image(&tree());
        change(&mut bytes);
        open(bytes).unwrap_err().to_string()
    };
    let all = [
        said(|bytes| bytes[1104] = 0x80),
        said(|bytes| bytes[1105] = 0x01),
        said(|bytes| bytes[1105] = 0x40),
        said(|bytes| bytes[1110] = 1),
        said(|bytes| bytes[1032] = 1),
        said(|bytes| bytes[1036] = 30),
        said(|bytes| bytes[1024] = 0),
        said(|bytes| bytes.truncate(1100)),
    ];
    expect![[r#"
        the EROFS file system uses incompatible feature `0x80`: 48-bit block addresses
        the EROFS file system uses incompatible feature `0x100`: a compressed metadata area
        the EROFS file system uses incompatible feature `0x4000`: one that is not known
        no EROFS file system that can be read: the number of further devices at offset `1110` is `1`
        the checksum of the EROFS superblock at offset `1024` is wrong
        no EROFS file system that can be read: the size of a block, as a power of two at offset `1036` is `30`
        no EROFS file system that can be read: the magic number at offset `1024` is `3774210304`
        reading the EROFS file system failed at offset `1024`"#]]
    .assert_eq(&all.join("\n"));
}

#[test]
fn a_checksum_is_the_kernels() {
    // The check value of CRC-32C, which is inverted at its end.
    assert_eq!(!crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn a_directory_that_holds_itself_ends_a_walk() {
    let mut bytes = image(&tree());
    let erofs = open(bytes.clone()).unwrap();
    let root = erofs.inode(erofs.root()).unwrap();
    // The first entry is `.`; the second one's inode becomes the root.
    let place = (u64::from(root.address) << 12) + 12;
    let place = usize::try_from(place).unwrap();
    bytes[place..place + 8].copy_from_slice(&erofs.root().to_le_bytes());
    let filesystem = Filesystem::open(&Region::from(bytes)).unwrap();
    assert!(matches!(filesystem.walk(), Err(FilesystemError::Deep { .. })));
    assert!(filesystem.exists("/etc/etc/etc/var").unwrap());
}

#[test]
fn damage_ends_in_an_error_and_never_in_a_panic() {
    let whole = image(&tree());
    let read = |bytes: Vec<u8>| {
        if let Ok(filesystem) = Filesystem::open(&Region::from(bytes)) {
            // Whether it can be read is the damage's affair.
            let _ = filesystem.tree();
            let _ = filesystem.file("/etc/link");
        }
    };
    for length in (0..whole.len()).step_by(97) {
        read(whole[..length].to_vec());
    }
    for at in (1024..1024 + 128).chain(4096..whole.len()) {
        for value in [0x00, 0xff, whole[at] ^ 0x01, whole[at] ^ 0x10, whole[at] ^ 0x80] {
            // Nothing lies between the last inode and the first content.
            if whole[at] == 0 && at % 4096 > 400 {
                continue;
            }
            let mut bytes = whole.clone();
            bytes[at] = value;
            read(bytes);
        }
    }
}
