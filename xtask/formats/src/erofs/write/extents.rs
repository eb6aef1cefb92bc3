//! Compressed files as a cache keeps them: a function of the content and of the parameters, and of no place.
//!
//! A file is cut into segments of 8 MiB that are compressed apart, each from its beginning on: a cluster is filled, the
//! next begins behind what it took. Where compression gains no block, blocks are stored as they are.
//!
//! An entry is a table and the blocks: a `u32` count of extents, for each its length in bytes and its compressed
//! blocks (0 for a stored one of one block) as two `u32`, all little-endian; then the blocks. A count of 0 stands for a
//! file that is smaller as it is.

use std::fs::Metadata;
use std::io;
use std::path::Path;

use rayon::prelude::*;

use super::compressor::{CLUSTER, Compressor, State};
use super::source::Source;
use super::{BLOCK, BLOCK_U64, WriteError};
use crate::region::{Region, number};
use crate::tree::TreePath;

/// How much of a file is compressed by one thread at a time, in bytes.
const SEGMENT: u64 = 8 << 20;
/// The longest extent, in bytes of the file: what is read to find one byte in it.
const MOST_EXTENT: usize = 1 << 20;
/// The version of this format and of the way files are cut.
const VERSION: &str = "bedplate erofs extents 1";

/// What a compressed file is found by: a BLAKE3 digest of its content and of everything else its bytes
/// depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtentKey(pub [u8; 32]);

impl ExtentKey {
    /// The key of a content, by its digest, for a compressor.
    pub(super) fn new(content: &[u8; 32], compressor: Compressor) -> Self {
        let parameters = format!("{VERSION}\0{SEGMENT} {MOST_EXTENT}\0{}\0", compressor.parameters());
        Self(blake3::Hasher::new().update(parameters.as_bytes()).update(content).finalize().into())
    }
}

/// Keeps compressed files from one image to the next. Called by many threads at once.
pub trait ExtentCache: Sync {
    /// What was put under a key. An entry that turns out to be damaged is made and put anew.
    ///
    /// # Errors
    /// Fails as reading does; the image is not made then.
    fn get(&self, key: &ExtentKey) -> io::Result<Option<Region>>;

    /// Keeps an entry, and returns where it can be read until the image is written.
    ///
    /// # Errors
    /// Fails as writing does; the image is not made then.
    fn put(&self, key: &ExtentKey, entry: Vec<u8>) -> io::Result<Region>;

    /// The BLAKE3 digest of a file of the host, where it is known and the file has not changed since.
    fn digest(&self, _file: &Metadata) -> Option<[u8; 32]> {
        None
    }

    /// Hears the BLAKE3 digest of a file of the host, with what the file was when it was opened.
    fn digested(&self, _path: &Path, _file: &Metadata, _digest: [u8; 32]) {}

    /// Hears that so many bytes of all that files hold are stored, compressed or found here.
    fn stored(&self, _done: u64, _all: u64) {}
}

/// Keeps nothing: entries are in memory until the image is written.
#[derive(Debug, Clone, Copy)]
pub struct NoCache;

impl ExtentCache for NoCache {
    fn get(&self, _: &ExtentKey) -> io::Result<Option<Region>> {
        Ok(None)
    }

    fn put(&self, _: &ExtentKey, entry: Vec<u8>) -> io::Result<Region> {
        Ok(Region::from(entry))
    }
}

/// A part of a file, and what it is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// The bytes of the file.
    pub(super) length: u32,
    /// The blocks it is compressed to; 0 for one block that is stored as it is.
    pub(super) compressed: u32,
}

impl Extent {
    /// The blocks on the disk.
    pub(super) fn blocks(self) -> u32 {
        self.compressed.max(1)
    }
}

/// A compressed file: its extents and their blocks.
#[derive(Debug, Clone)]
pub(super) struct Extents {
    pub(super) table: Vec<Extent>,
    pub(super) blocks: Region,
}

/// Whether extents are those of a file of so many bytes, and an index can tell them: no two begin in one logical
/// cluster, and there is room for a count of blocks behind the first cluster of each that has several.
fn are_sound(table: &[Extent], size: u64) -> bool {
    let mut at = 0;
    for (number, extent) in table.iter().enumerate() {
        let crossed = (at % BLOCK_U64 + u64::from(extent.length)) / BLOCK_U64;
        let last = number + 1 == table.len();
        let most = if extent.compressed == 0 { BLOCK } else { MOST_EXTENT };
        if extent.length == 0
            || extent.length as usize > most
            || extent.compressed as usize > CLUSTER / BLOCK
            || (crossed == 0 && !(last && extent.compressed == 0))
            || (crossed < 2 && extent.compressed > 1)
        {
            return false;
        }
        at += u64::from(extent.length);
    }
    at == size
}

/// Reads an entry for a file of so many bytes. `None` in `Ok` stands for a file that is smaller as it is, and
/// `Err(())` for no entry of this file.
pub(super) fn parse(entry: &Region, size: u64) -> io::Result<Result<Option<Extents>, ()>> {
    let Ok(count) = entry.array::<4>(0).map(u32::from_le_bytes) else { return Ok(Err(())) };
    if count == 0 {
        return Ok(if entry.len() == 4 { Ok(None) } else { Err(()) });
    }
    let begin = 4 + u64::from(count) * 8;
    if begin > entry.len() {
        return Ok(Err(()));
    }
    let word = |bytes: &[u8], at| number::<4>(bytes, at).and_then(|value| u32::try_from(value).ok());
    let table: Option<Vec<Extent>> = entry
        .read(4, begin - 4)?
        .chunks_exact(8)
        .map(|bytes| Some(Extent { length: word(bytes, 0)?, compressed: word(bytes, 4)? }))
        .collect();
    let Some(table) = table.filter(|table| are_sound(table, size)) else { return Ok(Err(())) };
    let blocks: u64 = table.iter().map(|extent| u64::from(extent.blocks())).sum();
    if entry.len() - begin != blocks * BLOCK_U64 {
        return Ok(Err(()));
    }
    Ok(Ok(Some(Extents { table, blocks: entry.part(begin..entry.len())? })))
}

/// Compresses a file of more than a block to an entry.
///
/// # Errors
/// Fails as reading and compressing do.
pub(super) fn compress(
    path: &TreePath,
    source: &Source<'_>,
    size: u64,
    compressor: Compressor,
) -> Result<Vec<u8>, WriteError> {
    let segments: Vec<u64> = (0..size.div_ceil(SEGMENT)).map(|number| number * SEGMENT).collect();
    let parts = segments
        .par_iter()
        .with_max_len(1)
        .map_init(
            || compressor.state(),
            |state, &begin| {
                let failed = |source| WriteError::Compress { path: path.clone(), source };
                let state = state.as_mut().map_err(|error| failed(io::Error::other(error.to_string())))?;
                let length = usize::try_from((size - begin).min(SEGMENT)).unwrap_or_default();
                segment(&source.read(begin, length)?, state).map_err(failed)
            },
        )
        .collect::<Result<Vec<_>, WriteError>>()?;
    let table: Vec<Extent> = parts.iter().flat_map(|(table, _)| table).copied().collect();
    if !gains(&table, size) {
        return Ok(0_u32.to_le_bytes().to_vec());
    }
    let count = u32::try_from(table.len()).map_err(|_| WriteError::Size)?;
    let mut entry = count.to_le_bytes().to_vec();
    for extent in &table {
        entry.extend(extent.length.to_le_bytes());
        entry.extend(extent.compressed.to_le_bytes());
    }
    parts.iter().for_each(|(_, blocks)| entry.extend(blocks));
    Ok(entry)
}

/// Whether a file is smaller compressed, with its index of at most four bytes for each block of content.
fn gains(table: &[Extent], size: u64) -> bool {
    let blocks: u64 = table.iter().map(|extent| u64::from(extent.blocks())).sum();
    blocks * BLOCK_U64 + size.div_ceil(BLOCK_U64) * 4 + 24 < size
}

/// The extents of a segment, and their blocks.
fn segment(content: &[u8], state: &mut State) -> io::Result<(Vec<Extent>, Vec<u8>)> {
    let (mut table, mut blocks): (Vec<Extent>, Vec<u8>) = Default::default();
    let mut cluster = vec![0; CLUSTER];
    let mut rest = content;
    let mut futile = true;
    while !rest.is_empty() {
        let window = &rest[..rest.len().min(MOST_EXTENT)];
        let mut tried = (0, 0);
        if rest.len() > BLOCK && (!futile || state.promises(window, &mut cluster)?) {
            tried = state.fill(window, &mut cluster)?;
        }
        let (taken, written) = tried;
        let used = written.div_ceil(BLOCK);
        if taken > used * BLOCK {
            // Whoever reads passes over the zeros before the compressed bytes.
            blocks.resize(blocks.len() + used * BLOCK - written, 0);
            blocks.extend(&cluster[..written]);
            table.push(Extent { length: narrow(taken), compressed: narrow(used) });
            rest = &rest[taken..];
            futile = false;
        } else {
            let (stored, behind) = rest.split_at(rest.len().min(CLUSTER));
            for block in stored.chunks(BLOCK) {
                blocks.extend(block);
                blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
                table.push(Extent { length: narrow(block.len()), compressed: 0 });
            }
            rest = behind;
            futile = true;
        }
    }
    Ok((table, blocks))
}

/// A number that is below 2 MiB by its making.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_another_file_or_a_damaged_one_is_none() {
        let path = TreePath::new("file");
        let text: Vec<u8> = (0..30_000_u32).flat_map(|n| format!("{n} ").into_bytes()).collect();
        let content = crate::tree::Content::from(text);
        let source = Source::open(&path, &content).unwrap();
        let entry = compress(&path, &source, content.len(), Compressor::Lz4).unwrap();
        let sound = |entry: Vec<u8>, size| {
            parse(&Region::from(entry), size).unwrap().is_ok_and(|found| found.is_some())
        };
        assert!(sound(entry.clone(), content.len()));
        assert!(!sound(entry.clone(), content.len() - 1));
        for length in [0, 3, 4, 20, entry.len() - 1] {
            assert!(!sound(entry[..length].to_vec(), content.len()));
        }
        for at in 0..8 {
            let mut entry = entry.clone();
            entry[at] ^= 0x40;
            assert!(!sound(entry, content.len()), "{at}");
        }
    }

    #[test]
    fn what_does_not_compress_is_stored_and_found_out_fast() {
        let noise: Vec<u8> =
            (0..300_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[7]).collect();
        let mut state = Compressor::Lz4hc { level: 6 }.state().unwrap();
        let (table, blocks) = segment(&noise, &mut state).unwrap();
        assert!(!gains(&table, noise.len() as u64) || blocks.len() < noise.len());
        assert!(are_sound(&table, noise.len() as u64));
    }
}
