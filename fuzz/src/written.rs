//! Writers: a tree that the input tells of is written, and read as the same.

use bedplate_formats::erofs::write::{Compressor, Options, write};
use bedplate_formats::filesystem::Filesystem;
use bedplate_formats::region::Region;
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};

use crate::described;

/// The most nodes of a tree, and the longest file, in bytes.
const MOST_NODES: usize = 64;
const MOST_CONTENT: usize = 300_000;

/// A tree as an EROFS: the first byte chooses the compressor, then there are nodes.
///
/// A node is its kind (modulo 7), its mode, owner, group and time as two bytes each, the length of its path as one byte
/// and the path; then what the kind needs: a length as three bytes and how it is filled as one byte, or a target.
pub fn erofs_write(bytes: &[u8]) -> bool {
    let mut input = Input(bytes);
    let compressor = match input.byte() % 4 {
        0 => Compressor::None,
        1 => Compressor::Lz4,
        2 => Compressor::Lz4hc { level: 3 },
        _ => Compressor::Zstd { level: 1 },
    };
    let mut tree = Tree::new();
    while !input.0.is_empty() && tree.len() < MOST_NODES {
        let (path, node) = input.node(&tree);
        tree.insert(path, node);
    }
    let options = Options { uuid: uuid(), epoch: 7, compressor };
    let mut written = Vec::new();
    let Ok(length) = write(&tree, &options, &mut written) else { return false };
    assert_eq!(length, written.len() as u64);
    let filesystem = Filesystem::open(&Region::from(written)).expect("what was written is a file system");
    let found = filesystem.tree().expect("what was written is read");
    assert_eq!(described(&found), described(&as_read(&tree)));
    tree.len() > 1
}

fn uuid() -> uuid::Uuid {
    uuid::Uuid::from_u128(1)
}

/// A tree as the reader gives it: without attributes and device numbers, and a further name of a file is a file.
fn as_read(tree: &Tree) -> Tree {
    let mut read = tree.clone();
    for (path, node) in tree.iter() {
        let (source, kind) = match &node.kind {
            Kind::CharDevice(..) => (node, Kind::CharDevice(0, 0)),
            Kind::BlockDevice(..) => (node, Kind::BlockDevice(0, 0)),
            Kind::Hardlink(first) => {
                let source = tree.get(first).expect("a link is of a file");
                (source, source.kind.clone())
            }
            other => (node, other.clone()),
        };
        let node = Node { kind, xattrs: Default::default(), ..source.clone() };
        *read.get_mut(path).expect("it is a copy") = node;
    }
    read
}

/// What is left of an input; behind its end there are zeros.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    fn short(&mut self) -> u32 {
        u32::from(self.byte()) | u32::from(self.byte()) << 8
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn text(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        self.take(length)
    }

    fn node(&mut self, tree: &Tree) -> (TreePath, Node) {
        let kind = self.byte() % 7;
        let (mode, uid, gid, mtime) = (self.short() & 0o7777, self.short() * 3, self.short(), self.short());
        let path = TreePath::new(self.text());
        let kind = match kind {
            0 => Kind::Directory,
            1 => Kind::Symlink(self.text().repeat(17)),
            2 => Kind::CharDevice(self.short(), self.short() * 77),
            3 => Kind::Fifo,
            // A further name of the first file there is, where the path is behind it.
            4 => match tree.iter().find(|(_, node)| matches!(node.kind, Kind::File(_))) {
                Some((first, _)) if *first < path && !path.starts_with(first) => {
                    Kind::Hardlink(first.clone())
                }
                _ => Kind::BlockDevice(1, 2),
            },
            _ => Kind::File(self.content().into()),
        };
        let mut node = Node { kind, mode, uid, gid, mtime: i64::from(mtime), ..Node::directory(0) };
        if mode & 1 == 1 {
            node.xattrs.insert(b"user.of".to_vec(), self.text().to_vec());
        }
        // The root is a directory.
        let node = if path == TreePath::root() { Node::directory(node.mode) } else { node };
        (path, node)
    }

    fn content(&mut self) -> Vec<u8> {
        let length = self.short() as usize | usize::from(self.byte()) << 16;
        let length = length % MOST_CONTENT;
        match self.byte() % 4 {
            0 => vec![0; length],
            1 => {
                let pattern = self.text();
                pattern.iter().copied().cycle().take(length).collect()
            }
            2 => {
                let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length as u64;
                let noise = (0..length).map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state.to_le_bytes()[3]
                });
                noise.collect()
            }
            _ => self.take(length).to_vec(),
        }
    }
}
