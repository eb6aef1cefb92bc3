//! What is written is read as the same by our reader; `fsck.erofs`, `dump.erofs` and the kernel are asked in the
//! project's `tests/build/filesystems.rs`.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::filesystem::Filesystem;
use crate::region::Region;
use crate::tree::{Content, Kind, Node};

const EPOCH: i64 = 1_790_000_000;
const COMPRESSORS: [Compressor; 4] =
    [Compressor::None, Compressor::Lz4, Compressor::Lz4hc { level: 6 }, Compressor::Zstd { level: 3 }];

fn options(compressor: Compressor) -> Options {
    Options { uuid: Uuid::from_u128(7), epoch: EPOCH, compressor }
}

fn written(tree: &Tree, compressor: Compressor) -> Vec<u8> {
    let mut bytes = Vec::new();
    let length = write(tree, &options(compressor), &mut bytes).unwrap();
    assert_eq!(length, bytes.len() as u64);
    assert_eq!(length % 4096, 0);
    bytes
}

/// Lines of text, which compress.
fn text(length: usize) -> Vec<u8> {
    (0..)
        .flat_map(|n: u32| format!("line {n} of {}\n", n.wrapping_mul(n)).into_bytes())
        .take(length)
        .collect()
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// One of every kind, and files whose length or content lies at an edge of the format.
fn sample() -> Tree {
    let mut tree = Tree::new();
    let own = |node: Node| Node { mtime: 1_234_567_890, uid: 1000, gid: 100_000, ..node };
    let lengths = [0, 1, 4031, 4032, 4033, 4064, 4065, 4095, 4096, 4097, 8192, 9000, 65_536, 70_001, 300_000];
    for length in lengths {
        tree.insert(format!("text/{length}").as_str().into(), own(Node::file(text(length), 0o644)));
        tree.insert(format!("noise/{length}").as_str().into(), Node::file(noise(length), 0o755));
        tree.insert(format!("zeros/{length}").as_str().into(), Node::file(vec![0; length], 0o600));
        let mixed = [text(length), noise(length), text(length / 3)].concat();
        tree.insert(format!("mixed/{length}").as_str().into(), Node::file(mixed, 0o600));
    }
    tree.insert("zeros/many".into(), Node::file(vec![0; 3 << 20], 0o644));
    tree.insert("text/segments".into(), Node::file(text((8 << 20) + 4097), 0o644));
    tree.insert("twice".into(), own(Node::file(noise(9000), 0o4755)));
    for (name, major, minor) in [("null", 1, 3), ("far", 4095, 0xf_ffff)] {
        let node = Node { kind: Kind::CharDevice(major, minor), ..Node::file("", 0o666) };
        tree.insert(format!("dev/{name}").as_str().into(), node);
    }
    tree.insert("dev/disk".into(), Node { kind: Kind::BlockDevice(8, 1), ..Node::file("", 0o660) });
    tree.insert("dev/pipe".into(), Node { kind: Kind::Fifo, ..Node::file("", 0o600) });
    tree.insert("link".into(), own(Node::symlink("text/1")));
    tree.insert("links/long".into(), Node::symlink("far/".repeat(1000)));
    tree.insert("links/longest".into(), Node::symlink("n".repeat(4095)));
    for name in ["text/again", "zeros/of text"] {
        tree.insert(name.into(), Node { kind: Kind::Hardlink("text/9000".into()), ..Node::file("", 0o644) });
    }
    for n in 0..1500 {
        let name = format!("large/{n:0width$}", width = 1 + n % 255);
        tree.insert(name.as_str().into(), Node { mtime: EPOCH, ..Node::file(name, 0o644) });
    }
    // Names before `.` and `..`, and one that is no UTF-8.
    for name in [&b"names/!"[..], b"names/-", b"names/...", b"names/caf\xe9", b"names/ "] {
        tree.insert(TreePath::new(name), Node::file(name, 0o644));
    }
    tree.insert("old".into(), Node { mtime: -5, ..Node::directory(0o2770) });
    tree.insert("deep/".repeat(40).as_str().into(), Node::directory(0o1777));
    let capability = (b"security.capability".to_vec(), vec![1, 0, 0, 2, 0, 0x20, 0, 0]);
    for name in ["text/1", "noise/9000", "noise/4031", "link", "large"] {
        let attributes = &mut tree.get_mut(&name.into()).unwrap().xattrs;
        attributes.extend([capability.clone(), (b"user.of".to_vec(), name.into())]);
    }
    let attributes = &mut tree.get_mut(&"text/4033".into()).unwrap().xattrs;
    attributes.insert(b"user.large".to_vec(), noise(9000));
    attributes.insert(b"system.posix_acl_access".to_vec(), vec![2, 0, 0, 0]);
    tree
}

/// A tree as our reader gives it: without attributes and device numbers, and a further name of a file is a file.
fn as_read(tree: &Tree) -> Tree {
    let mut read = tree.clone();
    for (path, node) in tree.iter() {
        let kind = match &node.kind {
            Kind::CharDevice(..) => Kind::CharDevice(0, 0),
            Kind::BlockDevice(..) => Kind::BlockDevice(0, 0),
            Kind::Hardlink(first) => Kind::File(tree.content(first).unwrap().clone()),
            other => other.clone(),
        };
        let source = tree.get(first_name(path, node)).unwrap();
        *read.get_mut(path).unwrap() = Node { kind, xattrs: BTreeMap::new(), ..source.clone() };
    }
    read
}

fn assert_same(found: &Tree, expected: &Tree) {
    let described = |node: &Node| {
        let content = match &node.kind {
            Kind::File(content) => content.read().unwrap(),
            _ => Vec::new(),
        };
        let kind = match &node.kind {
            Kind::File(_) => Kind::File(Content::from("")),
            other => other.clone(),
        };
        (format!("{:?}", Node { kind, ..node.clone() }), content)
    };
    let paths = |tree: &Tree| tree.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(found), paths(expected));
    for ((path, found), (_, expected)) in found.iter().zip(expected.iter()) {
        let (found, expected) = (described(found), described(expected));
        assert_eq!(found.0, expected.0, "{path}");
        assert!(found.1 == expected.1, "{path} has another content");
    }
}

#[test]
fn a_tree_comes_back_as_it_went_in() {
    let (tree, expected) = (sample(), as_read(&sample()));
    for compressor in COMPRESSORS {
        let bytes = written(&tree, compressor);
        let filesystem = Filesystem::open(&Region::from(bytes)).unwrap();
        assert_same(&filesystem.tree().unwrap(), &expected);
    }
    let empty = written(&Tree::new(), Compressor::Lz4);
    assert_same(&Filesystem::open(&Region::from(empty)).unwrap().tree().unwrap(), &Tree::new());
}

#[test]
fn compression_makes_it_smaller_and_the_same_content_is_stored_once() {
    let (tree, mut once) = (sample(), sample());
    let [none, lz4, lz4hc, zstd] = COMPRESSORS.map(|compressor| written(&tree, compressor).len());
    assert!(zstd < lz4hc && lz4hc < lz4 && lz4 * 2 < none, "{none} {lz4} {lz4hc} {zstd}");
    once.remove(&"twice".into()).unwrap();
    assert!(written(&once, Compressor::None).len() + 8192 > none);
}

#[test]
fn attributes_of_several_files_are_stored_once() {
    let bytes = written(&sample(), Compressor::Lz4);
    let count = |entry: &[u8]| bytes.windows(entry.len()).filter(|window| *window == entry).count();
    assert_eq!(count(b"\x0a\x06\x08\x00capability\x01\0\0\x02\0\x20\0\0"), 1);
    assert_eq!(count(b"\x02\x01\x06\x00oftext/1"), 1);
    assert_eq!(count(b"\x00\x02\x04\x00\x02\0\0\0"), 1);
}

/// Entries in memory.
#[derive(Default)]
struct Memory {
    entries: Mutex<BTreeMap<ExtentKey, Vec<u8>>>,
    puts: Mutex<usize>,
}

impl ExtentCache for Memory {
    fn get(&self, key: &ExtentKey) -> io::Result<Option<Region>> {
        Ok(self.entries.lock().unwrap().get(key).cloned().map(Region::from))
    }

    fn put(&self, key: &ExtentKey, entry: Vec<u8>) -> io::Result<Region> {
        *self.puts.lock().unwrap() += 1;
        self.entries.lock().unwrap().insert(*key, entry.clone());
        Ok(Region::from(entry))
    }
}

#[test]
fn neither_threads_nor_the_cache_change_a_byte() {
    let tree = sample();
    let cache = Memory::default();
    for compressor in COMPRESSORS {
        let expected = written(&tree, compressor);
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert!(alone.install(|| written(&tree, compressor)) == expected);
        let mut puts = Vec::new();
        for _ in 0..3 {
            let image = prepare(&tree, &options(compressor), &cache).unwrap();
            let mut bytes = Vec::new();
            image.write(&mut bytes).unwrap();
            assert!(bytes == expected, "{compressor:?}");
            puts.push(*cache.puts.lock().unwrap());
            // Whatever is damaged is made anew.
            if puts.len() == 2 {
                cache.entries.lock().unwrap().values_mut().for_each(|entry| entry.push(0));
            }
        }
        assert_eq!(puts[0], puts[1], "what is kept is not compressed again");
        assert_eq!(puts[2] > puts[1], compressor != Compressor::None);
    }
}

#[test]
fn a_file_that_did_not_change_is_the_same_blocks() {
    let mut tree = Tree::new();
    for n in 0..2000_usize {
        let content = match n % 4 {
            0 => text(n * 29),
            1 => noise(n * 11),
            _ => format!("{n} ").repeat(n % 300).into_bytes(),
        };
        let path = format!("{}/{}/{n}", n % 7, n % 3);
        tree.insert(
            path.as_str().into(),
            Node { mtime: n.try_into().unwrap(), ..Node::file(content, 0o644) },
        );
    }
    for compressor in COMPRESSORS {
        let old = written(&tree, compressor);
        let mut changed = tree.clone();
        changed.insert("0/0/0".into(), Node::file(text(100_000), 0o644));
        changed.insert("3/1/new".into(), Node::file("new", 0o644));
        changed.remove(&"1/1/1".into()).unwrap();
        let new = written(&changed, compressor);
        let kept: std::collections::BTreeSet<&[u8]> = old.chunks(4096).collect();
        let found = new.chunks(4096).filter(|block| kept.contains(block)).count();
        // Directories and block addresses are much of so small a system.
        assert!(found * 100 >= new.len() / 4096 * 85, "{compressor:?}: {found} of {}", new.len() / 4096);
    }
}

#[test]
fn what_the_format_has_no_room_for_is_named() {
    let refused = |path: &str, node: Node| {
        let mut tree = Tree::new();
        tree.insert(path.into(), node);
        write(&tree, &options(Compressor::Lz4), &mut io::sink()).unwrap_err().to_string()
    };
    let with = |name: &str, value: Vec<u8>| {
        let xattrs = BTreeMap::from([(name.into(), value)]);
        Node { xattrs, ..Node::file("", 0o644) }
    };
    let kind = |kind| Node { kind, ..Node::file("", 0o644) };
    let path = std::path::Path::new("/no/such/file").into();
    let all = [
        refused(&"n".repeat(256), Node::file("", 0o644)).replace(&"n".repeat(256), "nnn"),
        refused("a", Node::symlink("n".repeat(4096))),
        refused("a", Node::symlink("")),
        refused("a", kind(Kind::CharDevice(4096, 0))),
        refused("a", kind(Kind::Hardlink("b".into()))),
        refused("a", with("color", vec![])),
        refused("a", with("user.", vec![])),
        refused("a", with("system.posix_acl_access.x", vec![])),
        refused("a", with(&["user.", &"n".repeat(256)].concat(), vec![])).replace(&"n".repeat(256), "nnn"),
        refused("a", with("user.x", vec![0; 65_536])),
        refused("a", kind(Kind::File(Content::File { path, len: 5 }))),
    ];
    expect_test::expect![[r#"
        `/nnn` cannot be written to an EROFS: its name has more than 255 bytes
        `/a` cannot be written to an EROFS: its target has more than 4095 bytes
        `/a` cannot be written to an EROFS: its target is empty
        `/a` cannot be written to an EROFS: its device number has more than 12 bits for the major or 20 for the minor part
        `/a` cannot be written to an EROFS: it is a further name of what is no regular file
        the extended attribute `color` of `/a` cannot be written to an EROFS: the format has no number for its prefix
        the extended attribute `user.` of `/a` cannot be written to an EROFS: it has no name behind its prefix, or one where there is none
        the extended attribute `system.posix_acl_access.x` of `/a` cannot be written to an EROFS: it has no name behind its prefix, or one where there is none
        the extended attribute `user.nnn` of `/a` cannot be written to an EROFS: its name has more than 255 bytes
        the extended attribute `user.x` of `/a` cannot be written to an EROFS: its value has more than 65535 bytes
        cannot read `/a`"#]].assert_eq(&all.join("\n"));
}

#[test]
fn a_file_that_changed_since_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let host = directory.path().join("file");
    std::fs::write(&host, noise(10_000)).unwrap();
    let tree = Tree::scan(directory.path()).unwrap();
    let image = prepare(&tree, &options(Compressor::Lz4), &NoCache).unwrap();
    std::fs::write(&host, noise(9_000)).unwrap();
    let error = image.write(&mut io::sink()).unwrap_err();
    assert!(matches!(error, WriteError::Changed { len: 10_000, .. }), "{error:?}");
    assert!(prepare(&tree, &options(Compressor::Lz4), &NoCache).is_err());
}
