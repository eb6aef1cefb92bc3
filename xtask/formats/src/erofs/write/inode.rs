//! Inodes, to the byte.

use super::{BLOCK_U64, attributes, extents, index};
use crate::tree::{Kind, Node};

/// What an inode says of its content.
#[derive(Debug)]
pub(super) enum Body<'a> {
    /// Nothing, or a device.
    None,
    /// Blocks from an address on; the bytes behind the last whole one stand behind the inode.
    Inline { address: u32, tail: &'a [u8] },
    /// Blocks from an address on.
    Plain { address: u32 },
    /// Extents from an address on.
    Compressed { address: u32, table: &'a [extents::Extent], algorithm: u8 },
}

/// The two sizes of inodes, in bytes.
const COMPACT: usize = 32;
const EXTENDED: usize = 64;
/// The block address of what has no block.
const NO_BLOCK: u32 = u32::MAX;

/// Layouts of content, as an inode has them.
mod layout {
    pub(super) const PLAIN: u16 = 0;
    pub(super) const INLINE: u16 = 2;
    pub(super) const COMPACT_INDEX: u16 = 3;
}

/// An inode without its content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inode<'a> {
    pub(super) node: &'a Node,
    /// How many names it has; for a directory, how many directories name it.
    pub(super) links: u32,
    /// In bytes.
    pub(super) size: u64,
    pub(super) attributes: &'a [u8],
    pub(super) epoch: i64,
}

impl Inode<'_> {
    /// The length of the inode alone. The small one has the file system's time, and narrow numbers.
    pub(super) fn head(&self) -> usize {
        let narrow = |number: u32| number <= u32::from(u16::MAX);
        let is_compact = self.node.mtime == self.epoch
            && narrow(self.node.uid)
            && narrow(self.node.gid)
            && narrow(self.links)
            && u32::try_from(self.size).is_ok();
        if is_compact { COMPACT } else { EXTENDED }
    }

    /// The length with attributes, behind which inline content or the header of an index follows.
    pub(super) fn length(&self) -> usize {
        self.head() + self.attributes.len()
    }

    /// The length with what follows.
    pub(super) fn whole(&self, body: &Body<'_>) -> usize {
        match body {
            Body::None | Body::Plain { .. } => self.length(),
            Body::Inline { tail, .. } => self.length() + tail.len(),
            Body::Compressed { .. } => {
                let begin = self.length().next_multiple_of(8);
                begin + index::length(self.size, begin)
            }
        }
    }

    /// All bytes of an inode and of what follows it.
    pub(super) fn encode(&self, body: &Body<'_>) -> Vec<u8> {
        let is_compact = self.head() == COMPACT;
        let (layout, word) = match body {
            Body::None => (layout::PLAIN, device(self.node).unwrap_or(NO_BLOCK)),
            Body::Inline { address, .. } => (layout::INLINE, *address),
            Body::Plain { address } => (layout::PLAIN, *address),
            Body::Compressed { table, .. } => {
                let blocks: u64 = table.iter().map(|extent| u64::from(extent.blocks())).sum();
                (layout::COMPACT_INDEX, u32::try_from(blocks).unwrap_or(u32::MAX))
            }
        };
        let mut bytes = Vec::with_capacity(self.whole(body));
        let mut put = |field: &[u8]| bytes.extend(field);
        put(&(layout << 1 | u16::from(!is_compact)).to_le_bytes());
        put(&attributes::count(self.attributes).unwrap_or_default().to_le_bytes());
        put(&mode(self.node).to_le_bytes());
        // A number of its own is a matter of systems with 32 bits, where it is made of the inode's place today.
        let number = [0; 4];
        if is_compact {
            put(&low(self.links).to_le_bytes());
            put(&u32::try_from(self.size).unwrap_or_default().to_le_bytes());
            put(&[0; 4]);
            put(&word.to_le_bytes());
            put(&number);
            put(&low(self.node.uid).to_le_bytes());
            put(&low(self.node.gid).to_le_bytes());
            put(&[0; 4]);
        } else {
            put(&[0; 2]);
            put(&self.size.to_le_bytes());
            put(&word.to_le_bytes());
            put(&number);
            put(&self.node.uid.to_le_bytes());
            put(&self.node.gid.to_le_bytes());
            put(&self.node.mtime.to_le_bytes());
            put(&[0; 4]);
            put(&self.links.to_le_bytes());
            put(&[0; 16]);
        }
        put(self.attributes);
        match body {
            Body::None | Body::Plain { .. } => {}
            Body::Inline { tail, .. } => put(tail),
            Body::Compressed { address, table, algorithm } => {
                let begin = self.length().next_multiple_of(8);
                bytes.resize(begin, 0);
                bytes.extend(index::encode(table, *algorithm, *address, begin));
            }
        }
        bytes
    }
}

/// The bytes of a content behind its last whole block.
pub(super) fn tail(content: &[u8]) -> &[u8] {
    let whole = content.len() as u64 / BLOCK_U64 * BLOCK_U64;
    &content[usize::try_from(whole).unwrap_or(content.len())..]
}

/// Type and permissions.
fn mode(node: &Node) -> u16 {
    let kind = match node.kind {
        Kind::Fifo => 0o010_000,
        Kind::CharDevice(..) => 0o020_000,
        Kind::Directory => 0o040_000,
        Kind::BlockDevice(..) => 0o060_000,
        Kind::File(_) | Kind::Hardlink(_) => 0o100_000,
        Kind::Symlink(_) => 0o120_000,
    };
    kind | low(node.mode & 0o7777)
}

/// A device's number as Linux packs it in 32 bits; 0 for a pipe.
fn device(node: &Node) -> Option<u32> {
    match node.kind {
        Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) => {
            Some(minor & 0xff | major << 8 | (minor & !0xff) << 12)
        }
        Kind::Fifo => Some(0),
        _ => None,
    }
}

/// A number that is known to fit.
fn low(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
