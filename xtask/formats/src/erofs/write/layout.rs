//! Gives everything its place, and makes all bytes but the files' data.

use std::collections::BTreeMap;

use super::attributes::{self, Attributes};
use super::contents::{Contents, Piece, Stored};
use super::directory::{self, Listing, Name};
use super::inode::{self, Body, Inode};
use super::pack::{self, Item, SLOT};
use super::superblock::{self, Totals};
use super::{BLOCK, BLOCK_U64, Image, Options, WriteError, first_name};
use crate::tree::{Kind, Node, Tree, TreePath};

/// How many inodes a group has on average: of those with a block address, whose blocks change with every place before
/// them anyhow, and of those without.
const MANY: u64 = 128;
const FEW: u64 = 64;
/// Inodes are counted from the block before the first: libc takes an entry whose inode is number 0 for a removed one.
const FIRST_NUMBER: u64 = BLOCK_U64 / SLOT as u64;
/// Stands for inline content while only its length counts.
const ZEROS: [u8; BLOCK] = [0; BLOCK];

/// The inodes of a tree, numbered in the order of their paths; a hard link has none of its own.
struct Inodes<'a> {
    nodes: Vec<(&'a TreePath, &'a Node)>,
    numbers: BTreeMap<&'a TreePath, usize>,
    links: Vec<u32>,
    attributes: Attributes,
    listings: BTreeMap<usize, Listing<'a>>,
}

/// The parts of the inodes' area, in their order. Everything but directories and addresses is the same in each image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Directories,
    Addressed,
    AddressedInline,
    Placeless,
}

/// Decides an image.
///
/// # Errors
/// Fails where the format has no room.
pub(super) fn lay_out<'a>(
    tree: &'a Tree,
    options: &Options,
    contents: Contents<'a>,
) -> Result<Image<'a>, WriteError> {
    let inodes = Inodes::of(tree)?;
    let count = inodes.nodes.len();
    let shapes: Vec<Inode<'_>> = (0..count).map(|number| inodes.inode(number, options.epoch)).collect();

    let mut data = Data { pieces: Vec::new(), end: 1 };
    let mut bodies = bodies(&inodes, &shapes, &contents, options, &mut data)?;
    let directories_at = data.end;
    let mut directories_end = directories_at;
    for (&number, listing) in &inodes.listings {
        let (size, tail) = (listing.size(), listing.size() % BLOCK);
        let is_inline = tail > 0 && shapes[number].length() + tail <= BLOCK;
        let address = narrow(directories_end)?;
        directories_end += (if is_inline { size / BLOCK } else { size.div_ceil(BLOCK) }) as u64;
        bodies[number] =
            if is_inline { Body::Inline { address, tail: &ZEROS[..tail] } } else { Body::Plain { address } };
    }

    let attributes_at = directories_end;
    let inodes_at = attributes_at + inodes.attributes.shared.len().div_ceil(BLOCK) as u64;
    let (offsets, length) = places(&inodes, &shapes, &bodies);
    let nids: Vec<u64> = offsets.iter().map(|offset| FIRST_NUMBER + (offset / SLOT) as u64).collect();

    let listed: BTreeMap<usize, Vec<u8>> =
        inodes.listings.iter().map(|(&number, listing)| (number, listing.encode(&nids))).collect();
    let mut rest = Vec::new();
    for (&number, bytes) in &listed {
        let is_inline = matches!(bodies[number], Body::Inline { .. });
        let whole = if is_inline { bytes.len() - bytes.len() % BLOCK } else { bytes.len() };
        rest.extend(&bytes[..whole]);
        pad(&mut rest);
    }
    rest.extend(&inodes.attributes.shared);
    pad(&mut rest);
    let begin = rest.len();
    rest.resize(begin + length, 0);
    for (number, (shape, body)) in shapes.iter().zip(&bodies).enumerate() {
        let bytes = match (body, listed.get(&number)) {
            (Body::Inline { address, .. }, Some(listed)) => {
                shape.encode(&Body::Inline { address: *address, tail: inode::tail(listed) })
            }
            _ => shape.encode(body),
        };
        let at = begin + offsets[number];
        rest[at..at + bytes.len()].copy_from_slice(&bytes);
    }

    let end = inodes_at + (length / BLOCK) as u64;
    let totals = Totals {
        // The root is in the first group, which has less than 2 MiB.
        root: u16::try_from(nids[0]).map_err(|_| WriteError::Size)?,
        inodes: count as u64,
        blocks: narrow(end)?,
        inodes_at: narrow(inodes_at - 1)?,
        attributes_at: if inodes.attributes.shared.is_empty() { 0 } else { narrow(attributes_at)? },
    };
    let superblock = superblock::encode(options, &totals);
    Ok(Image { superblock, data: data.pieces, rest, length: end * BLOCK_U64 })
}

impl<'a> Inodes<'a> {
    fn of(tree: &'a Tree) -> Result<Self, WriteError> {
        let nodes: Vec<(&TreePath, &Node)> =
            tree.iter().filter(|(_, node)| !matches!(node.kind, Kind::Hardlink(_))).collect();
        let numbers: BTreeMap<&TreePath, usize> =
            nodes.iter().enumerate().map(|(number, (path, _))| (*path, number)).collect();
        let mut links = vec![0_u32; nodes.len()];
        let mut listings = BTreeMap::new();
        for (number, (path, node)) in nodes.iter().enumerate() {
            if !node.is_directory() {
                continue;
            }
            let parent = path.parent().and_then(|parent| numbers.get(&parent).copied()).unwrap_or(number);
            let mut names = vec![
                Name { name: b".", inode: number, kind: 2 },
                Name { name: b"..", inode: parent, kind: 2 },
            ];
            for (child, node) in tree.children(path) {
                // The tree has a first name for each hard link: `check` looked.
                let inode = numbers.get(first_name(child, node)).copied().unwrap_or(number);
                names.push(Name {
                    name: child.name().unwrap_or_default(),
                    inode,
                    kind: directory::kind(node),
                });
            }
            names.iter().for_each(|name| links[name.inode] = links[name.inode].saturating_add(1));
            listings.insert(number, Listing::new(names));
        }
        let attributes = attributes::encode(&nodes)?;
        Ok(Self { nodes, numbers, links, attributes, listings })
    }

    fn inode(&self, number: usize, epoch: i64) -> Inode<'_> {
        let (_, node) = self.nodes[number];
        let size = match &node.kind {
            Kind::File(content) => content.len(),
            Kind::Symlink(target) => target.len() as u64,
            _ => self.listings.get(&number).map_or(0, |listing| listing.size() as u64),
        };
        let attributes = &self.attributes.inline[number];
        Inode { node, links: self.links[number], size, attributes, epoch }
    }
}

/// The area of files' data.
struct Data<'a> {
    pieces: Vec<Piece<'a>>,
    /// The block behind the last one.
    end: u64,
}

impl<'a> Data<'a> {
    /// Adds a piece of so many blocks, and returns the address of the first.
    fn add(&mut self, piece: Piece<'a>, blocks: u64) -> Result<u32, WriteError> {
        let address = narrow(self.end)?;
        self.end += blocks;
        self.pieces.push(piece);
        Ok(address)
    }

    /// Adds less than a block of bytes.
    fn add_bytes(&mut self, bytes: &[u8]) -> Result<u32, WriteError> {
        let mut block = bytes.to_vec();
        pad(&mut block);
        let blocks = block.len() as u64 / BLOCK_U64;
        self.add(Piece::Bytes(block), blocks)
    }
}

/// Gives all data its place, and tells what each inode says of it; of directories, nothing.
fn bodies<'b, 'a>(
    inodes: &'b Inodes<'a>,
    shapes: &[Inode<'_>],
    contents: &'b Contents<'a>,
    options: &Options,
    data: &mut Data<'a>,
) -> Result<Vec<Body<'b>>, WriteError> {
    // A tail lies with its inode where it fits into the block of each that has this content.
    let mut longest = vec![0; contents.stored.len()];
    for (path, &content) in &contents.of {
        let length = shapes[inodes.numbers[path]].length();
        longest[content] = longest[content].max(length);
    }
    let mut addresses: Vec<Option<u32>> = vec![None; contents.stored.len()];
    for (number, (path, content, stored)) in contents.stored.iter().enumerate() {
        if let Stored::Plain { tail } = stored {
            let is_inline = longest[number] + tail.len() <= BLOCK;
            let length = content.len() - if is_inline { tail.len() as u64 } else { 0 };
            let blocks = length.div_ceil(BLOCK_U64);
            addresses[number] = Some(data.add(Piece::Stored { path, content, length, blocks }, blocks)?);
        }
    }
    for (number, (.., stored)) in contents.stored.iter().enumerate() {
        if let Stored::Compressed { blocks, .. } = stored {
            let piece = Piece::Extents { region: blocks.clone() };
            addresses[number] = Some(data.add(piece, blocks.len() / BLOCK_U64)?);
        }
    }
    let algorithm = options.compressor.algorithm().unwrap_or_default();
    let mut bodies = Vec::with_capacity(shapes.len());
    for (shape, (path, node)) in shapes.iter().zip(&inodes.nodes) {
        let body = match &node.kind {
            Kind::Symlink(target) => small(shape, target, data)?,
            Kind::File(_) => {
                let number = contents.of[path];
                let address = addresses[number].unwrap_or_default();
                match &contents.stored[number].2 {
                    Stored::Small(bytes) => small(shape, bytes, data)?,
                    Stored::Plain { tail } if !tail.is_empty() && longest[number] + tail.len() <= BLOCK => {
                        Body::Inline { address, tail }
                    }
                    Stored::Plain { .. } => Body::Plain { address },
                    Stored::Compressed { table, .. } => Body::Compressed { address, table, algorithm },
                }
            }
            _ => Body::None,
        };
        bodies.push(body);
    }
    Ok(bodies)
}

/// A content of less than a block: with its inode where there is room.
fn small<'b>(shape: &Inode<'_>, bytes: &'b [u8], data: &mut Data<'_>) -> Result<Body<'b>, WriteError> {
    Ok(if bytes.is_empty() {
        Body::None
    } else if shape.length() + bytes.len() <= BLOCK {
        Body::Inline { address: 0, tail: bytes }
    } else {
        Body::Plain { address: data.add_bytes(bytes)? }
    })
}

/// Where each inode lies in the inodes' area, and the area's length, both in bytes.
fn places(inodes: &Inodes<'_>, shapes: &[Inode<'_>], bodies: &[Body<'_>]) -> (Vec<usize>, usize) {
    let mut offsets = vec![0; shapes.len()];
    let mut end = 0;
    for part in [Part::Directories, Part::Addressed, Part::AddressedInline, Part::Placeless] {
        let members: Vec<usize> = (0..shapes.len())
            .filter(|&number| part == self::part(inodes.listings.contains_key(&number), &bodies[number]))
            .collect();
        let items: Vec<Item> = members
            .iter()
            .map(|&number| Item {
                length: shapes[number].whole(&bodies[number]),
                head: shapes[number].head(),
                whole: matches!(bodies[number], Body::Inline { .. }),
                hash: pack::hash(&inodes.nodes[number].0.to_bytes()),
            })
            .collect();
        let (places, length) = match part {
            Part::Addressed => pack::line(&items),
            Part::Directories => pack::pack(&items, FEW),
            Part::AddressedInline => pack::pack(&items, MANY),
            Part::Placeless => pack::pack(&items, FEW),
        };
        members.iter().zip(places).for_each(|(&number, place)| offsets[number] = end + place);
        end += length;
    }
    (offsets, end)
}

fn part(is_directory: bool, body: &Body<'_>) -> Part {
    match body {
        _ if is_directory => Part::Directories,
        Body::Inline { address: 0, .. } | Body::None => Part::Placeless,
        Body::Inline { .. } => Part::AddressedInline,
        Body::Plain { .. } | Body::Compressed { .. } => Part::Addressed,
    }
}

/// Fills a block with zeros.
fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
}

/// A block address.
fn narrow(block: u64) -> Result<u32, WriteError> {
    // The last number stands for no block.
    u32::try_from(block).ok().filter(|&block| block != u32::MAX).ok_or(WriteError::Size)
}
