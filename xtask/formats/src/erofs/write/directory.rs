//! The names in a directory: sorted, in blocks that are searched by halving.

use super::BLOCK;
use crate::tree::{Kind, Node};

/// The bytes of an entry, apart from its name.
const ENTRY: usize = 12;

/// A name, and which inode it is: a number that is told apart from the inode's place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: usize,
    pub(super) kind: u8,
}

/// A directory's names in blocks.
#[derive(Debug)]
pub(super) struct Listing<'a> {
    blocks: Vec<Vec<Name<'a>>>,
}

/// The number of a kind in an entry.
pub(super) fn kind(node: &Node) -> u8 {
    match node.kind {
        Kind::File(_) | Kind::Hardlink(_) => 1,
        Kind::Directory => 2,
        Kind::CharDevice(..) => 3,
        Kind::BlockDevice(..) => 4,
        Kind::Fifo => 5,
        Kind::Symlink(_) => 7,
    }
}

impl<'a> Listing<'a> {
    /// Sorts names into blocks. `.` and `..` are among them.
    pub(super) fn new(mut names: Vec<Name<'a>>) -> Self {
        names.sort_by_key(|name| name.name);
        let mut blocks: Vec<Vec<Name<'a>>> = vec![Vec::new()];
        let mut used = 0;
        for name in names {
            let length = ENTRY + name.name.len();
            if used + length > BLOCK {
                blocks.push(Vec::new());
                used = 0;
            }
            used += length;
            if let Some(block) = blocks.last_mut() {
                block.push(name);
            }
        }
        Self { blocks }
    }

    /// The size of the directory in bytes: whole blocks, and what the last one holds.
    pub(super) fn size(&self) -> usize {
        let last = self.blocks.last().map_or(0, |names| used(names));
        (self.blocks.len() - 1) * BLOCK + last
    }

    /// The bytes, with the number of the inode at each place of `nids`.
    pub(super) fn encode(&self, nids: &[u64]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size());
        for names in &self.blocks {
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
            let mut offset = names.len() * ENTRY;
            for name in names {
                bytes.extend(nids[name.inode].to_le_bytes());
                // Below the size of a block.
                bytes.extend(u16::try_from(offset).unwrap_or(u16::MAX).to_le_bytes());
                bytes.extend([name.kind, 0]);
                offset += name.name.len();
            }
            names.iter().for_each(|name| bytes.extend(name.name));
        }
        bytes
    }
}

fn used(names: &[Name<'_>]) -> usize {
    names.iter().map(|name| ENTRY + name.name.len()).sum()
}
