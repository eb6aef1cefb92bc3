//! Compressed files: from an index of logical clusters to extents, and from
//! extents to bytes.
//!
//! A file is cut into logical clusters of one size, a block mostly. Each is a head,
//! in which an extent begins, or belongs to the extent before. The index is read
//! from its beginning to its end, once, so no distance that it gives is followed.

use std::ops::Range;

use crate::decompress::{Algorithm, decompress};
use crate::region::number;

use super::{Erofs, ErofsError, Inode, Layout, feature};

/// The longest extent, in bytes of the file.
const MOST_EXTENT: u64 = 12 << 20;
/// The longest extent, in bytes on the disk.
const MOST_CLUSTER: u64 = 1 << 20;

mod advise {
    pub(super) const COMPACT_2_BYTES: u64 = 0x01;
    /// The same bit, in a file with a full index.
    pub(super) const EXTENT_RECORDS: u64 = 0x01;
    pub(super) const LARGE_CLUSTERS: [u64; 2] = [0x02, 0x04];
    pub(super) const INLINE_TAIL: u64 = 0x08;
    pub(super) const INTERLACED: u64 = 0x10;
    pub(super) const FRAGMENT: u64 = 0x20;
}

/// A part of a file, and where it comes from.
#[derive(Debug, Clone)]
pub(super) struct Extent {
    /// The bytes of the file.
    range: Range<u64>,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    /// A range of the disk, decompressed.
    Compressed { disk: Range<u64>, algorithm: Algorithm },
    /// As it lies there.
    Stored { disk: Range<u64> },
    /// The same, turned inside its block so that it lies where a page has it.
    Interlaced { disk: Range<u64> },
    /// In the inode of fragments, from an offset on.
    Fragment { offset: u64 },
}

/// One entry of an index.
#[derive(Debug, Clone, Copy)]
enum Cluster {
    Head {
        kind: Kind,
        offset: u64,
        block: u64,
    },
    /// Belongs to the extent before; the first that does may say how many blocks
    /// the extent has on the disk.
    Rest {
        blocks: Option<u64>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stored,
    /// One of the two algorithms a file may have.
    Compressed(usize),
}

/// The eight bytes before an index.
struct Header {
    /// Where the index begins.
    index: u64,
    advise: u64,
    algorithms: [u64; 2],
    cluster_bits: u32,
    /// The low half of a fragment's offset.
    fragment: u64,
    /// The length of an inline tail.
    tail: u64,
}

/// All extents of a file, in order and without gaps.
pub(super) fn extents(erofs: &Erofs, inode: &Inode) -> Result<Vec<Extent>, ErofsError> {
    let size = inode.metadata.size;
    let broken = |offset, what| ErofsError::Index { nid: inode.nid, offset, what };
    let place = inode.end.next_multiple_of(8);
    let bytes: [u8; 8] =
        erofs.region.array(place).map_err(|source| ErofsError::Io { offset: place, source })?;
    if bytes[7] & 0x80 != 0 {
        // All of the file is a fragment, and the header its offset.
        let offset = u64::from_le_bytes(bytes) & !(1 << 63);
        return Ok(vec![Extent { range: 0..size, source: Source::Fragment { offset } }]);
    }
    let low = u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let header = Header {
        index: place + 8,
        advise: u64::from(bytes[4]) | u64::from(bytes[5]) << 8,
        algorithms: [u64::from(bytes[6] & 15), u64::from(bytes[6] >> 4)],
        cluster_bits: erofs.block_bits + u32::from(bytes[7] & 15),
        fragment: low,
        tail: low >> 16,
    };
    let count = size.div_ceil(1 << header.cluster_bits);
    let (clusters, end) = match inode.layout {
        Layout::CompactIndex => compact(erofs, inode, &header, count)?,
        _ if header.advise & advise::EXTENT_RECORDS != 0 => {
            return Err(ErofsError::Algorithm { nid: inode.nid, name: "extent records" });
        }
        _ => full(erofs, inode, &header, count)?,
    };

    let mut extents: Vec<Extent> = Vec::new();
    let heads: Vec<(usize, Kind, u64, u64)> = clusters
        .iter()
        .enumerate()
        .filter_map(|(at, cluster)| match *cluster {
            Cluster::Head { kind, offset, block } => Some((at, kind, offset, block)),
            Cluster::Rest { .. } => None,
        })
        .map(|(at, kind, offset, block)| (at, kind, ((at as u64) << header.cluster_bits) + offset, block))
        // A last extent that ends inside of a cluster has a head behind its end.
        .filter(|&(_, _, start, _)| start != size)
        .collect();
    for (number, &(at, kind, start, block)) in heads.iter().enumerate() {
        let last = number + 1 == heads.len();
        let until = heads.get(number + 1).map_or(size, |&(_, _, start, _)| start);
        if until <= start || until > size || until - start > MOST_EXTENT {
            return Err(broken(start, "an extent is empty, beyond the end or too long"));
        }
        if extents.last().map_or(0, |extent| extent.range.end) != start {
            return Err(broken(start, "bytes belong to no extent"));
        }
        let inline = last && header.advise & advise::INLINE_TAIL != 0 && header.tail > 0;
        let disk = if last && header.advise & advise::FRAGMENT != 0 {
            // A full index has a word left for the offset's other half.
            let high = if inode.layout == Layout::FullIndex { block } else { 0 };
            let offset = header.fragment | high << 32;
            extents.push(Extent { range: start..until, source: Source::Fragment { offset } });
            continue;
        } else if inline {
            end..end.saturating_add(header.tail)
        } else {
            let blocks = blocks(&header, &clusters, at, kind)
                .ok_or_else(|| broken(start, "the size of a large cluster is missing"))?;
            let from = block << erofs.block_bits;
            from..from.saturating_add(blocks << erofs.block_bits)
        };
        if disk.end - disk.start > MOST_CLUSTER {
            return Err(broken(start, "a cluster is too long"));
        }
        let source = match kind {
            Kind::Stored if header.advise & advise::INTERLACED != 0 && !inline => Source::Interlaced { disk },
            Kind::Stored => Source::Stored { disk },
            Kind::Compressed(which) => {
                let algorithm = algorithm(inode.nid, header.algorithms[which])?;
                if algorithm == Algorithm::Lz4 && erofs.features & feature::ZERO_PADDING == 0 {
                    return Err(ErofsError::Algorithm {
                        nid: inode.nid,
                        name: "the LZ4 of before Linux 5.3",
                    });
                }
                Source::Compressed { disk, algorithm }
            }
        };
        extents.push(Extent { range: start..until, source });
    }
    match extents.last() {
        Some(extent) if extent.range.end == size => Ok(extents),
        _ => Err(broken(size, "the last bytes belong to no extent")),
    }
}

/// How many blocks an extent has on the disk.
fn blocks(header: &Header, clusters: &[Cluster], at: usize, kind: Kind) -> Option<u64> {
    let which = if kind == Kind::Compressed(0) { 0 } else { 1 };
    match clusters.get(at + 1) {
        Some(Cluster::Rest { blocks }) if header.advise & advise::LARGE_CLUSTERS[which] != 0 => *blocks,
        _ => Some(1),
    }
}

fn algorithm(nid: u64, number: u64) -> Result<Algorithm, ErofsError> {
    match number {
        0 => Ok(Algorithm::Lz4),
        1 => Err(ErofsError::Algorithm { nid, name: "MicroLZMA" }),
        2 => Ok(Algorithm::Deflate),
        3 => Ok(Algorithm::Zstd),
        _ => Err(ErofsError::Algorithm { nid, name: "an algorithm that is not known" }),
    }
}

/// The flag of a count of blocks in what else is a distance.
const COUNT: u64 = 1 << 11;

/// An entry's bits, whatever the index: its type and a number. `block` says where
/// a head's extent lies.
fn cluster(kind: u64, low: u64, block: u64) -> Cluster {
    match kind {
        0 => Cluster::Head { kind: Kind::Stored, offset: low, block },
        1 => Cluster::Head { kind: Kind::Compressed(0), offset: low, block },
        3 => Cluster::Head { kind: Kind::Compressed(1), offset: low, block },
        _ => Cluster::Rest { blocks: (low & COUNT != 0).then_some(low & !COUNT) },
    }
}

type Index = (Vec<Cluster>, u64);

/// Reads an index of eight bytes an entry, and says where it ends.
fn full(erofs: &Erofs, inode: &Inode, header: &Header, count: u64) -> Result<Index, ErofsError> {
    // Eight bytes that older kernels skipped.
    let place = header.index + 8;
    let bytes = erofs.read(place, count * 8)?;
    let mut clusters = Vec::new();
    for (at, entry) in (0..).zip(bytes.chunks_exact(8)) {
        let value = |at| number::<2>(entry, at).unwrap_or_default();
        let kind = value(0) & 3;
        let low = if kind == 2 { value(4) } else { value(2) };
        if kind != 2 && low >= 1 << header.cluster_bits {
            let offset = at << header.cluster_bits;
            return Err(ErofsError::Index {
                nid: inode.nid,
                offset,
                what: "a head is outside of its cluster",
            });
        }
        clusters.push(cluster(kind, low, value(4) | value(6) << 16));
    }
    Ok((clusters, place + count * 8))
}

/// Reads a compact index, and says where it ends: packs of two entries in eight
/// bytes, or of sixteen in 32, each with the address of one block at its end.
fn compact(erofs: &Erofs, inode: &Inode, header: &Header, count: u64) -> Result<Index, ErofsError> {
    let broken = |offset, what| ErofsError::Index { nid: inode.nid, offset, what };
    let bits = header.cluster_bits;
    if bits > 14 {
        return Err(broken(0, "a compact index with clusters of more than 16 KiB"));
    }
    // Packs of 32 bytes are aligned to 32; what is before and behind them are
    // packs of eight.
    let before = (32 - header.index % 32) / 4 % 8;
    let total = inode.metadata.size.div_ceil(erofs.block());
    let dense = if header.advise & advise::COMPACT_2_BYTES != 0 && before < total {
        (total - before) / 16 * 16
    } else {
        0
    };
    if dense > 0 && bits > 12 {
        return Err(broken(0, "a dense index with clusters of more than 4 KiB"));
    }
    let large = header.advise & advise::LARGE_CLUSTERS[0] != 0;
    let mut clusters: Vec<Cluster> = Vec::new();
    let mut place = header.index;
    while (clusters.len() as u64) < count {
        let done = clusters.len() as u64;
        let (entries, length) = if (before..before + dense).contains(&done) { (16, 32) } else { (2, 8) };
        let pack = erofs.read(place, length)?;
        place += length;
        pack_of(&pack, entries, bits, large, &mut clusters);
    }
    clusters.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    let outside = clusters
        .iter()
        .position(|cluster| matches!(cluster, Cluster::Head { offset, .. } if *offset >= 1 << bits));
    match outside {
        Some(at) => Err(broken((at as u64) << bits, "a head is outside of its cluster")),
        None => Ok((clusters, place)),
    }
}

/// The entries of one pack.
fn pack_of(pack: &[u8], entries: usize, cluster_bits: u32, large: bool, into: &mut Vec<Cluster>) {
    // The number has as many bits as an offset in a cluster, and twelve at least.
    let low_bits = usize::try_from(cluster_bits.max(12)).unwrap_or(12);
    let entry_bits = (pack.len() - 4) * 8 / entries;
    let raw = |entry: usize| {
        let at = entry * entry_bits;
        // Eighteen bits of one that begins inside of a byte lie in four.
        let mut window = [0; 4];
        let rest = &pack[at / 8..];
        let length = rest.len().min(4);
        window[..length].copy_from_slice(&rest[..length]);
        let value = u64::from(u32::from_le_bytes(window)) >> (at % 8);
        (value & ((1 << low_bits) - 1), value >> low_bits & 3)
    };
    let base = number::<4>(pack, pack.len() - 4).unwrap_or_default();
    // The address is of the last extent that began before the pack, or of its
    // successor where extents have more than one block.
    let mut block = if large { base } else { base + 1 };
    for entry in 0..entries {
        let (low, kind) = raw(entry);
        let found = cluster(kind, low, block);
        match found {
            Cluster::Head { .. } => {
                let next = (entry + 1 < entries).then(|| raw(entry + 1));
                let counted = large && next.is_some_and(|(low, kind)| kind == 2 && low & COUNT != 0);
                // A count follows, and is added when it is met.
                block += u64::from(!counted);
            }
            Cluster::Rest { blocks: Some(blocks) } if large => block += blocks,
            Cluster::Rest { .. } => {}
        }
        into.push(found);
    }
}

/// Where the bytes of two extents lie, when the same bytes would be the same part of a file.
pub(super) fn stored_alike(one: &Extent, other: &Extent) -> Option<(Range<u64>, Range<u64>)> {
    if one.range != other.range {
        return None;
    }
    let (disk, theirs) = match (&one.source, &other.source) {
        (Source::Compressed { disk, algorithm }, Source::Compressed { disk: theirs, algorithm: other })
            if algorithm == other =>
        {
            (disk, theirs)
        }
        (Source::Stored { disk }, Source::Stored { disk: theirs })
        | (Source::Interlaced { disk }, Source::Interlaced { disk: theirs }) => (disk, theirs),
        _ => return None,
    };
    (disk.end - disk.start == theirs.end - theirs.start).then(|| (disk.clone(), theirs.clone()))
}

/// Reads a range of a file from its extents.
pub(super) fn read(
    erofs: &Erofs,
    inode: &Inode,
    extents: &[Extent],
    range: Range<u64>,
) -> Result<Vec<u8>, ErofsError> {
    let mut content = Vec::new();
    let first = extents.partition_point(|extent| extent.range.end <= range.start);
    for extent in &extents[first..] {
        if extent.range.start >= range.end {
            break;
        }
        let until = extent.range.end.min(range.end);
        let wanted = until - extent.range.start;
        let skipped = range.start.saturating_sub(extent.range.start);
        let bytes = one(erofs, inode, extent, wanted)?;
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX).min(bytes.len());
        content.extend_from_slice(&bytes[skipped..]);
    }
    if content.len() as u64 == range.end - range.start {
        Ok(content)
    } else {
        Err(ErofsError::Index { nid: inode.nid, offset: range.end, what: "an extent is too short" })
    }
}

/// The first bytes of an extent.
fn one(erofs: &Erofs, inode: &Inode, extent: &Extent, wanted: u64) -> Result<Vec<u8>, ErofsError> {
    let offset = extent.range.start;
    let broken = |what| ErofsError::Index { nid: inode.nid, offset, what };
    let stored = |disk: &Range<u64>| erofs.read(disk.start, disk.end - disk.start);
    match &extent.source {
        Source::Compressed { disk, algorithm } => {
            let bytes = stored(disk)?;
            // What is shorter than its cluster is at its end, behind zeros.
            let begin = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
            let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
            let content = decompress(*algorithm, &bytes[begin..], wanted)
                .map_err(|source| ErofsError::Decompress { nid: inode.nid, offset, source })?;
            if content.len() == wanted { Ok(content) } else { Err(broken("an extent is too short")) }
        }
        Source::Stored { disk } => {
            if wanted > disk.end - disk.start {
                return Err(broken("an extent is longer than what is stored"));
            }
            erofs.read(disk.start, wanted)
        }
        Source::Interlaced { disk } => {
            let mut bytes = stored(disk)?;
            if wanted > bytes.len() as u64 || bytes.len() as u64 != erofs.block() {
                return Err(broken("an extent is longer than what is stored"));
            }
            let turned = usize::try_from(offset % erofs.block()).unwrap_or_default();
            bytes.rotate_left(turned);
            bytes.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
            Ok(bytes)
        }
        Source::Fragment { offset } => {
            let end = offset.checked_add(wanted).ok_or_else(|| broken("a fragment is beyond the end"))?;
            fragment(erofs, inode, *offset..end)
        }
    }
}

/// Reads from the inode that holds all fragments.
fn fragment(erofs: &Erofs, inode: &Inode, range: Range<u64>) -> Result<Vec<u8>, ErofsError> {
    let refuse = |value| ErofsError::Inode { nid: inode.nid, field: "fragment", value };
    // The inode of fragments has none itself, or it would be read in a circle.
    if inode.nid == erofs.packed || erofs.packed == 0 {
        return Err(refuse(range.start));
    }
    let (packed, extents) = match erofs.fragments.get() {
        Some(known) => known,
        None => {
            let packed = erofs.inode(erofs.packed)?;
            let compressed = matches!(packed.layout, Layout::FullIndex | Layout::CompactIndex);
            let extents = if compressed { self::extents(erofs, &packed)? } else { Vec::new() };
            erofs.fragments.get_or_init(|| (packed, extents))
        }
    };
    if range.end > packed.metadata.size {
        return Err(refuse(range.end));
    }
    match packed.layout {
        Layout::FullIndex | Layout::CompactIndex => read(erofs, packed, extents, range),
        _ => {
            let content = erofs.content(packed)?;
            let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
            Ok(content[at(range.start)..at(range.end)].to_vec())
        }
    }
}
