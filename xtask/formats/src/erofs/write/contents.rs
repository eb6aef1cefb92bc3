//! Where the content of each file comes from and what it is in the image: compressed, stored, or with its inode. Files
//! with the same content are one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::extents::{self, Extent, ExtentCache, ExtentKey};
use super::source::Source;
use super::{BLOCK_U64, CHUNK, Compressor, Options, WriteError};
use crate::region::Region;
use crate::tree::{Content, Kind, Tree, TreePath};

/// What a file's content is in the image.
#[derive(Debug)]
pub(super) enum Stored {
    /// Below a block: in memory, to lie with the inode where there is room.
    Small(Vec<u8>),
    /// As it is, with the bytes behind the last whole block.
    Plain { tail: Vec<u8> },
    /// Compressed.
    Compressed { table: Vec<Extent>, blocks: Region },
}

/// A part of the data, which is whole blocks.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// Blocks from the cache.
    Extents { region: Region },
    /// Blocks in memory.
    Bytes(Vec<u8>),
    /// The beginning of a content, as it is, with zeros up to the end of its last block.
    Stored { path: &'a TreePath, content: &'a Content, length: u64, blocks: u64 },
}

/// The contents of a tree.
pub(super) struct Contents<'a> {
    /// The number of the content of each file, by the file's first name.
    pub(super) of: BTreeMap<&'a TreePath, usize>,
    /// What each is, with the first file that has it.
    pub(super) stored: Vec<(&'a TreePath, &'a Content, Stored)>,
}

/// A file before it is known what it becomes.
enum Found {
    Small(Vec<u8>),
    Large([u8; 32]),
}

/// Reads small files, and compresses large ones that the cache does not hold.
pub(super) fn store<'a>(
    tree: &'a Tree,
    options: &Options,
    cache: &dyn ExtentCache,
) -> Result<Contents<'a>, WriteError> {
    let files: Vec<(&TreePath, &Content)> = tree
        .iter()
        .filter_map(|(path, node)| match &node.kind {
            Kind::File(content) => Some((path, content)),
            _ => None,
        })
        .collect();
    let found = files
        .par_iter()
        .with_max_len(64)
        .map(|&(path, content)| find(path, content, cache))
        .collect::<Result<Vec<_>, WriteError>>()?;

    let (mut of, mut first, mut unique) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for ((path, content), found) in files.into_iter().zip(found) {
        let number = match &found {
            Found::Large(digest) => *first.entry(*digest).or_insert(unique.len()),
            Found::Small(_) => unique.len(),
        };
        of.insert(path, number);
        if number == unique.len() {
            unique.push((path, content, found));
        }
    }
    let all = unique.iter().map(|(_, content, _)| content.len()).sum();
    let done = AtomicU64::new(0);
    let stored = unique
        .into_par_iter()
        .with_max_len(1)
        .map(|(path, content, found)| {
            let stored = match found {
                Found::Small(bytes) => Stored::Small(bytes),
                Found::Large(digest) => large(path, content, &digest, options.compressor, cache)?,
            };
            let before = done.fetch_add(content.len(), Ordering::Relaxed);
            cache.stored(before + content.len(), all);
            Ok((path, content, stored))
        })
        .collect::<Result<Vec<_>, WriteError>>()?;
    Ok(Contents { of, stored })
}

fn find(path: &TreePath, content: &Content, cache: &dyn ExtentCache) -> Result<Found, WriteError> {
    let source = Source::open(path, content)?;
    let length = content.len();
    if length < BLOCK_U64 {
        return Ok(Found::Small(source.read(0, usize::try_from(length).unwrap_or_default())?));
    }
    if let Some(digest) = source.host().and_then(|(_, metadata)| cache.digest(metadata)) {
        return Ok(Found::Large(digest));
    }
    let mut digest = blake3::Hasher::new();
    let mut buffer = vec![0; usize::try_from(length).unwrap_or(CHUNK).min(CHUNK)];
    let mut at = 0;
    while at < length {
        let size = usize::try_from(length - at).unwrap_or(CHUNK).min(buffer.len());
        source.read_at(at, &mut buffer[..size])?;
        digest.update(&buffer[..size]);
        at += size as u64;
    }
    let digest = digest.finalize().into();
    if let Some((host, metadata)) = source.host() {
        cache.digested(host, metadata, digest);
    }
    Ok(Found::Large(digest))
}

/// A file of a block and more.
fn large(
    path: &TreePath,
    content: &Content,
    digest: &[u8; 32],
    compressor: Compressor,
    cache: &dyn ExtentCache,
) -> Result<Stored, WriteError> {
    let size = content.len();
    let source = Source::open(path, content)?;
    if compressor != Compressor::None && size > BLOCK_U64 {
        let key = ExtentKey::new(digest, compressor);
        let kept = match cache.get(&key).map_err(WriteError::Cache)? {
            Some(entry) => extents::parse(&entry, size).map_err(WriteError::Cache)?,
            None => Err(()),
        };
        let extents = match kept {
            Ok(extents) => extents,
            Err(()) => {
                let entry = extents::compress(path, &source, size, compressor)?;
                let entry = cache.put(&key, entry).map_err(WriteError::Cache)?;
                let unsound = || WriteError::Cache(std::io::Error::other("an entry is not what was put"));
                extents::parse(&entry, size).map_err(WriteError::Cache)?.map_err(|()| unsound())?
            }
        };
        if let Some(extents::Extents { table, blocks }) = extents {
            return Ok(Stored::Compressed { table, blocks });
        }
    }
    let tail = usize::try_from(size % BLOCK_U64).unwrap_or_default();
    Ok(Stored::Plain { tail: source.read(size - tail as u64, tail)? })
}
