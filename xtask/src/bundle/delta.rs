//! What makes a new root of the one that a device has: a file of a bundle, for each old version that it is made for.
//!
//! A device that takes a new version block by block (`adaptive`) fetches each block that it has nowhere. One package
//! more moves files by less than a block, or changes a byte in many: most of what is fetched is nearly what was there.
//! A delta tells the new in terms of the old, byte by byte. The device's own `delta.sh` makes the new root of it in the
//! slot that is not running, and RAUC then finds its blocks there. Nothing is believed: RAUC holds each block against
//! the digests that were signed, and fetches what differs.
//!
//! The new root is cut into chunks, and each is compressed with Zstandard against a stretch of the old root, as
//! `zstd --patch-from` does, and as `zstd -d --patch-from` reads. So a device needs memory for a stretch, a chunk and
//! a window, together 64 MiB, however large the root is.
//!
//! ```text
//! delta-ROOTHASH        the chunks, one Zstandard frame after another; ROOTHASH: what the old root is verified by
//! delta-ROOTHASH.index  text: tree SALT UUID BLOCKS ROOTHASH          how the new root's hash tree is made
//!                             chunk AT SIZE OLD_AT OLD_SIZE FRAME_AT FRAME_SIZE         each of them, in bytes
//! ```

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use bedplate_formats::digest::hex;
use bedplate_formats::region::Region;
use bedplate_formats::squashfs::{Block, Inode, Squashfs};
use bedplate_formats::verity::{self, BLOCK};
use rayon::prelude::*;
use zstd::zstd_safe::{CCtx, CParameter, compress_bound, get_error_name};

use super::{Bundle, Source};
use crate::paths;

/// The bytes of the new root in a chunk.
const CHUNK: u64 = 8 << 20;
/// The most of the old root that a chunk is compressed against, in bytes.
const STRETCH: u64 = 24 << 20;
/// What is added to a stretch on either side, for what is no longer the same, in bytes.
const MARGIN: u64 = 1 << 20;
/// A stretch and a chunk are in the window: a frame refers to all that came before. 32 MiB.
const WINDOW_LOG: u32 = 25;
/// How hard zstd tries: at 9, one core makes 10 MB of root a second; at 19, files are a tenth smaller in ten times the
/// time.
const LEVEL: i32 = 9;

/// What devices with one old version are given.
#[derive(Debug, Clone)]
pub struct Delta {
    /// The old version.
    pub version: String,
    /// The files, by name.
    pub files: Vec<(String, Vec<u8>)>,
    /// What such a device would fetch of the images' blocks without them, in bytes.
    pub blocks: u64,
}

impl Delta {
    /// How long it is, in bytes.
    pub fn size(&self) -> usize {
        self.files.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}

/// The images of a new version, with the digests of their blocks, which every old version is compared with.
#[derive(Debug)]
pub struct New<'a>(Vec<(&'a Source, Vec<u8>)>);

impl<'a> New<'a> {
    /// Reads and hashes the images.
    ///
    /// # Errors
    /// One cannot be read, or is no multiple of 4096 bytes.
    pub fn of(images: &'a [Source]) -> Result<Self> {
        let hashed = images.iter().map(|image| Ok((image, blocks(&File::open(&image.path)?)?)));
        Ok(Self(hashed.collect::<Result<_>>()?))
    }

    fn image(&self, class: &str) -> Result<&(&'a Source, Vec<u8>)> {
        let found = self.0.iter().find(|(image, _)| image.class == class);
        found.with_context(|| format!("a bundle without an image for `{class}` has no delta"))
    }
}

/// An old version's bundle, opened.
#[derive(Debug)]
pub struct Old {
    bundle: Bundle,
    payload: Squashfs,
    name: String,
}

impl Old {
    /// Opens a bundle, and holds it against its signature.
    ///
    /// # Errors
    /// As [`Bundle::open`].
    pub fn open(path: &Path) -> Result<Self> {
        let bundle = Bundle::open(path)?;
        let region = Region::of(File::open(path)?)?;
        let payload = Squashfs::open(region.part(0..bundle.payload)?)?;
        Ok(Self { bundle, payload, name: paths::path(path).to_string() })
    }

    /// What devices it is for.
    pub fn compatible(&self) -> &str {
        &self.bundle.manifest.compatible
    }

    fn inode(&self, name: &str) -> Result<Inode> {
        let entries = self.payload.entries(&self.payload.inode(self.payload.root())?)?;
        let found = entries.into_iter().find(|(entry, _)| entry == name.as_bytes());
        let (_, inode) = found.with_context(|| format!("the bundle `{}` has no file `{name}`", self.name))?;
        Ok(self.payload.inode(inode)?)
    }

    /// A file of it, in memory.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        Ok(self.payload.content(&self.inode(name)?)?)
    }

    /// A file of it, into an empty file.
    fn copy(&self, name: &str, to: &File) -> Result<()> {
        let mut to = BufWriter::with_capacity(1 << 20, to);
        let copied = self.payload.each_block(&self.inode(name)?, |block| match block {
            Block::Data(data) => to.write_all(data),
            Block::Hole(size) => {
                let end = to.stream_position()? + size;
                to.get_ref().set_len(end)?;
                to.seek(SeekFrom::Start(end)).map(|_| ())
            }
        });
        copied.with_context(|| format!("cannot take `{name}` out of the bundle `{}`", self.name))?;
        Ok(to.flush()?)
    }

    /// The digests of an image's blocks, as the bundle lists them.
    fn blocks(&self, image: &Source) -> Result<Vec<u8>> {
        self.read(&format!("{}.{}", image.name, super::BLOCK_INDEX))
    }

    /// What a device that has this version makes the new one of; `scratch` has room for the old root.
    ///
    /// # Errors
    /// The old bundle has other images; something cannot be read; a full disk.
    pub fn delta(&self, new: &New<'_>, scratch: &Path) -> Result<Delta> {
        let ((root, root_blocks), (tree, _)) = (new.image("root")?, new.image("verity")?);
        let old = tempfile::tempfile_in(scratch)?;
        self.copy(&root.name, &old)?;
        let chunks = chunks(&old, &self.blocks(root)?, &File::open(&root.path)?, root_blocks)?;

        let mut head = Vec::new();
        File::open(&tree.path)?.take(2 * BLOCK as u64).read_to_end(&mut head)?;
        let mut index = line_of_tree(&head)?;
        let mut frames = Vec::new();
        for Chunk { new, old, frame } in chunks {
            let (at, size) = (frames.len(), frame.len());
            writeln!(
                index,
                "chunk {} {} {} {} {at} {size}",
                new.start,
                new.end - new.start,
                old.start,
                old.end - old.start
            )?;
            frames.extend(frame);
        }
        let old_tree = self.read(&tree.name)?;
        let name = format!("delta-{}", hex(&root_hash(&old_tree)?));
        Ok(Delta {
            version: self.bundle.manifest.version.clone().unwrap_or_default(),
            files: vec![(format!("{name}.index"), index.into_bytes()), (name, frames)],
            blocks: self.fetched(new)?,
        })
    }

    /// The bytes in blocks of the images that the old ones have not.
    fn fetched(&self, new: &New<'_>) -> Result<u64> {
        let counts = new.0.iter().map(|(image, blocks)| Ok(unknown(&self.blocks(image)?, blocks)));
        counts.sum()
    }

    /// What there is to tell of it.
    pub fn facts(&self) -> super::page::Facts {
        self.bundle.facts()
    }
}

/// The bytes in the blocks with the digests `new` that are not among `old`.
fn unknown(old: &[u8], new: &[u8]) -> u64 {
    let known: BTreeSet<&[u8]> = old.chunks(32).collect();
    let new: BTreeSet<&[u8]> = new.chunks(32).collect();
    new.difference(&known).count() as u64 * BLOCK as u64
}

/// What a device with an old version's bundle fetches of a new one, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Download {
    /// The whole bundle, as a device that has nothing of it fetches it.
    pub bundle: u64,
    /// The blocks of its images that the device has not, before they are compressed.
    pub blocks: u64,
    /// The files that it fetches in place of the root's blocks, where the bundle has them for the old version.
    pub delta: Option<u64>,
}

impl Download {
    /// Compares the lists of blocks of two bundles.
    ///
    /// # Errors
    /// One of them is damaged, or has other images than our own.
    pub fn of(old: &Old, new: &Old) -> Result<Self> {
        let mut blocks = 0;
        for image in &new.bundle.manifest.images {
            let index = format!("{}.{}", image.filename, super::BLOCK_INDEX);
            let there = old.bundle.files.iter().any(|(name, _)| *name == index);
            let known = if there { old.read(&index)? } else { Vec::new() };
            blocks += unknown(&known, &new.read(&index)?);
        }
        let tree = old.bundle.manifest.images.iter().find(|image| image.class == "verity");
        let delta = match tree {
            Some(image) => {
                let name = format!("delta-{}", hex(&root_hash(&old.read(&image.filename)?)?));
                let files = new.bundle.files.iter().filter(|(file, _)| file.starts_with(&name));
                files.map(|(_, size)| *size).reduce(|one, other| one + other)
            }
            None => None,
        };
        Ok(Self { bundle: new.bundle.size, blocks, delta })
    }
}

/// How the hash tree is made that begins with these blocks.
fn line_of_tree(head: &[u8]) -> Result<String> {
    let superblock = verity::read_superblock(&mut &head[..])?;
    let root_hash = root_hash(head)?;
    let verity::Parameters { salt, uuid, .. } = &superblock.parameters;
    Ok(format!("tree {} {} {} {}\n", hex(salt), uuid, superblock.data_blocks, hex(&root_hash)))
}

/// What a root is verified by, of its tree.
fn root_hash(mut tree: &[u8]) -> Result<[u8; 32]> {
    verity::root_hash(&mut tree)?.context("a root of a single block has no tree")
}

/// The digests of a file's blocks, one after another.
fn blocks(file: &File) -> Result<Vec<u8>> {
    let size = file.metadata()?.len();
    ensure!(size.is_multiple_of(BLOCK as u64), "an image has a multiple of {BLOCK} bytes, and not {size}");
    Ok(super::blocks(file, size)?)
}

/// A chunk of the new root.
struct Chunk {
    new: Range<u64>,
    old: Range<u64>,
    frame: Vec<u8>,
}

fn chunks(old: &File, old_blocks: &[u8], new: &File, new_blocks: &[u8]) -> Result<Vec<Chunk>> {
    let (old_size, new_size) = (old.metadata()?.len(), new.metadata()?.len());
    // What is there more than once, as a block of zeros, tells nothing of the place.
    let mut places: HashMap<&[u8], Option<u64>> = HashMap::new();
    for (at, digest) in (0..).step_by(BLOCK).zip(old_blocks.chunks(32)) {
        places.entry(digest).and_modify(|place| *place = None).or_insert(Some(at));
    }
    let per_chunk = usize::try_from(CHUNK)? / BLOCK * 32;
    new_blocks
        .par_chunks(per_chunk)
        .enumerate()
        .map(|(number, digests)| {
            let start = number as u64 * CHUNK;
            let range = start..(start + CHUNK).min(new_size);
            let found = digests.chunks(32).filter_map(|digest| places.get(digest).copied().flatten());
            let stretch = stretch(found.collect(), &range, old_size);
            let frame = compress(&read(old, &stretch)?, &read(new, &range)?)?;
            Ok(Chunk { new: range, old: stretch, frame })
        })
        .collect()
}

/// The stretch of the old root with the most of the blocks at these places; where there are none, what lies at the
/// chunk's own place.
fn stretch(mut places: Vec<u64>, chunk: &Range<u64>, size: u64) -> Range<u64> {
    places.sort_unstable();
    let room = STRETCH - 2 * MARGIN;
    let mut best = 0..0;
    let mut first = 0;
    for (last, &place) in places.iter().enumerate() {
        while place + BLOCK as u64 - places[first] > room {
            first += 1;
        }
        if last + 1 - first > best.len() {
            best = first..last + 1;
        }
    }
    let (start, end) = match &places[best] {
        [] => (chunk.start, chunk.end),
        [only] => (*only, only + BLOCK as u64),
        [start, .., end] => (*start, end + BLOCK as u64),
    };
    start.saturating_sub(MARGIN).min(size)..(end + MARGIN).min(size)
}

fn read(file: &File, range: &Range<u64>) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(range.end - range.start)?];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes)
}

/// A frame that is read with `old` as what came before it.
fn compress(old: &[u8], new: &[u8]) -> Result<Vec<u8>> {
    let mut context = CCtx::create();
    let mut frame = Vec::with_capacity(compress_bound(new.len()));
    let parameters = [
        CParameter::CompressionLevel(LEVEL),
        CParameter::WindowLog(WINDOW_LOG),
        CParameter::EnableLongDistanceMatching(true),
        CParameter::ChecksumFlag(true),
    ];
    let compressed = parameters
        .into_iter()
        .try_for_each(|parameter| context.set_parameter(parameter).map(|_| ()))
        .and_then(|()| context.ref_prefix(old).map(|_| ()))
        .and_then(|()| context.compress2(&mut frame, new));
    match compressed {
        Ok(_) => Ok(frame),
        Err(code) => bail!("zstd cannot compress: {}", get_error_name(code)),
    }
}

#[cfg(test)]
mod tests;
