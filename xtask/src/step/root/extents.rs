//! Compressed files of root file systems in the store, found by their content: whatever image they are of, and however
//! its other packages changed, a file is compressed once.
//!
//! What a build compresses makes one cache entry, a pack: `blocks` holds the entries of
//! [`write`](bedplate_formats::erofs::write) one behind the other, and `index` says where each lies. A pack is marked
//! as used when something of it is; packs that no image needs any more are removed as every cache entry.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use bedplate_formats::erofs::write::{ExtentCache, ExtentKey};
use bedplate_formats::region::Region;
use bedplate_formats::sparse::CHUNK;
use fs_err as fs;

use super::digests::Digests;
use crate::key::{Key, digest};
use crate::store::Store;

/// The kind of these cache entries.
pub(super) const KIND: &str = "extents";
const INDEX: &str = "index";
const BLOCKS: &str = "blocks";
/// The length of what an index says of one entry, in bytes: its key, its offset and its length.
const LINE: usize = 32 + 8 + 8;

/// All packs of a store, and what this build adds.
pub(super) struct Packs<'a> {
    store: &'a Store,
    packs: Vec<Pack>,
    /// Where each entry lies: in which pack, and there.
    known: BTreeMap<[u8; 32], (usize, Range<u64>)>,
    directory: PathBuf,
    added: Mutex<Added>,
    digests: Digests<'a>,
    told: Told<'a>,
}

/// Hears how many bytes of how many are stored.
pub(super) type Told<'a> = &'a (dyn Fn(u64, u64) + Sync);

struct Pack {
    key: String,
    blocks: Arc<File>,
    is_used: AtomicBool,
}

/// The pack of this build.
struct Added {
    blocks: Arc<File>,
    end: u64,
    entries: BTreeMap<[u8; 32], Range<u64>>,
}

impl<'a> Packs<'a> {
    /// Opens the packs that the store has, and what it knows of the files of the `tree` with this key. A pack that is
    /// damaged or made by other code is as none.
    ///
    /// # Errors
    /// The store cannot be written to.
    pub(super) fn open(store: &'a Store, tree: &str, told: Told<'a>) -> Result<Self> {
        let code = code()?;
        let (mut packs, mut known) = (Vec::new(), BTreeMap::new());
        for (key, layer) in store.keys(KIND)? {
            let Some((blocks, entries)) = read(&layer, &code) else { continue };
            for (entry, range) in entries {
                known.entry(entry).or_insert((packs.len(), range));
            }
            packs.push(Pack { key, blocks: Arc::new(blocks), is_used: AtomicBool::new(false) });
        }
        let directory = store.temporary()?;
        let blocks = File::options().read(true).write(true).create_new(true).open(directory.join(BLOCKS))?;
        let added = Mutex::new(Added { blocks: Arc::new(blocks), end: 0, entries: BTreeMap::new() });
        let digests = Digests::open(store, tree);
        Ok(Self { store, packs, known, directory, added, digests, told })
    }

    /// Keeps what was added, under a key that nobody else can know.
    ///
    /// # Errors
    /// The store cannot be written to.
    pub(super) fn keep(self) -> Result<()> {
        let mut own = Key::new(KIND);
        let added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        added.entries.keys().for_each(|entry| own.add(entry));
        drop(added);
        let store = self.store.alone();
        self.finish(&store, &own.finish())
    }

    /// Keeps all that was used under a key by which other machines ask for it.
    ///
    /// # Errors
    /// The store cannot be written to.
    pub(super) fn share(self, key: &str) -> Result<()> {
        let mut added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        let is_used = |pack: &usize| self.packs[*pack].is_used.load(Ordering::Relaxed);
        for (entry, (pack, range)) in self.known.iter().filter(|(_, (pack, _))| is_used(pack)) {
            let region = Region::of_range(Arc::clone(&self.packs[*pack].blocks), range.clone());
            added.add(*entry, &region.read(0, region.len())?)?;
        }
        drop(added);
        let store = self.store;
        self.finish(store, key)
    }

    fn finish(self, store: &Store, key: &str) -> Result<()> {
        for pack in self.packs.iter().filter(|pack| pack.is_used.load(Ordering::Relaxed)) {
            store.layer(KIND, &pack.key);
        }
        let added = self.added.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !added.entries.is_empty() {
            let mut index = code()?.to_vec();
            for (entry, range) in &added.entries {
                index.extend(entry);
                index.extend(range.start.to_le_bytes());
                index.extend((range.end - range.start).to_le_bytes());
            }
            store.layer_or_make(KIND, key, |layer| {
                fs::write(layer.join(INDEX), &index)?;
                Ok(fs::rename(self.directory.join(BLOCKS), layer.join(BLOCKS))?)
            })?;
        }
        self.digests.keep()?;
        Ok(fs::remove_dir_all(self.directory)?)
    }
}

impl ExtentCache for Packs<'_> {
    fn get(&self, key: &ExtentKey) -> io::Result<Option<Region>> {
        let Some((pack, range)) = self.known.get(&key.0) else { return Ok(None) };
        let pack = &self.packs[*pack];
        pack.is_used.store(true, Ordering::Relaxed);
        Ok(Some(Region::of_range(Arc::clone(&pack.blocks), range.clone())))
    }

    fn put(&self, key: &ExtentKey, entry: Vec<u8>) -> io::Result<Region> {
        let mut added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        let range = added.add(key.0, &entry)?;
        Ok(Region::of_range(Arc::clone(&added.blocks), range))
    }

    fn digest(&self, file: &Metadata) -> Option<[u8; 32]> {
        self.digests.get(file)
    }

    fn digested(&self, path: &Path, file: &Metadata, digest: [u8; 32]) {
        self.digests.put(path, file, digest);
    }

    fn stored(&self, done: u64, all: u64) {
        (self.told)(done, all);
    }
}

impl Added {
    fn add(&mut self, key: [u8; 32], entry: &[u8]) -> io::Result<Range<u64>> {
        for (part, at) in entry.chunks(CHUNK).zip((self.end..).step_by(CHUNK)) {
            self.blocks.write_all_at(part, at)?;
        }
        let range = self.end..self.end + entry.len() as u64;
        self.end = range.end;
        self.entries.insert(key, range.clone());
        Ok(range)
    }
}

/// What every index begins with: the digest of the code that makes entries.
fn code() -> Result<[u8; 32]> {
    digest(&Key::new(KIND).finish())
}

type Entries = Vec<([u8; 32], Range<u64>)>;

/// A pack's blocks, and its entries, all of which lie in them.
fn read(layer: &Path, code: &[u8; 32]) -> Option<(File, Entries)> {
    let index = std::fs::read(layer.join(INDEX)).ok()?;
    let blocks = File::open(layer.join(BLOCKS)).ok()?;
    let length = blocks.metadata().ok()?.len();
    let lines = index.strip_prefix(&code[..]).filter(|lines| lines.len() % LINE == 0)?;
    let entries = lines.chunks_exact(LINE).map(|line| {
        let number = |at: usize| Some(u64::from_le_bytes(line.get(at..at + 8)?.try_into().ok()?));
        let start = number(32)?;
        let end = start.checked_add(number(40)?).filter(|&end| end <= length)?;
        Some((line.get(..32)?.try_into().ok()?, start..end))
    });
    Some((blocks, entries.collect::<Option<_>>().context("an entry lies outside").ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(packs: &Packs<'_>, key: u8, entry: &[u8]) {
        let region = packs.put(&ExtentKey([key; 32]), entry.to_vec()).unwrap();
        assert_eq!(region.read(0, region.len()).unwrap(), entry);
    }

    fn get(packs: &Packs<'_>, key: u8) -> Option<Vec<u8>> {
        let region = packs.get(&ExtentKey([key; 32])).unwrap()?;
        Some(region.read(0, region.len()).unwrap())
    }

    #[test]
    fn what_one_build_compressed_the_next_ones_find() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::at(directory.path()).unwrap();
        let packs = Packs::open(&store, "tree", &|_, _| {}).unwrap();
        assert_eq!(get(&packs, 1), None);
        put(&packs, 1, b"one");
        put(&packs, 2, b"two");
        packs.keep().unwrap();
        let packs = Packs::open(&store, "tree", &|_, _| {}).unwrap();
        assert_eq!(get(&packs, 2), Some(b"two".to_vec()));
        put(&packs, 3, &[3; 9]);
        packs.keep().unwrap();
        let packs = Packs::open(&store, "tree", &|_, _| {}).unwrap();
        assert_eq!(get(&packs, 1), Some(b"one".to_vec()));
        assert_eq!(get(&packs, 3), Some(vec![3; 9]));
        // Nothing was added, and nothing is kept.
        packs.keep().unwrap();
        assert_eq!(store.keys(KIND).unwrap().len(), 2);
    }

    #[test]
    fn what_is_shared_is_all_that_was_used() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::at(directory.path()).unwrap();
        for entry in [1, 2] {
            let packs = Packs::open(&store, "tree", &|_, _| {}).unwrap();
            put(&packs, entry, &[entry; 9]);
            packs.keep().unwrap();
        }
        let packs = Packs::open(&store, "tree", &|_, _| {}).unwrap();
        assert_eq!(get(&packs, 1), Some(vec![1; 9]));
        put(&packs, 3, &[3; 9]);
        packs.share("shared").unwrap();
        let (_, entries) = read(&store.layer(KIND, "shared"), &code().unwrap()).unwrap();
        let keys: Vec<u8> = entries.iter().map(|(key, _)| key[0]).collect();
        assert_eq!(keys, [1, 3]);
    }

    #[test]
    fn a_damaged_pack_is_as_none() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::at(directory.path()).unwrap();
        let packs = Packs::open(&store, "tree", &|_, _| {}).unwrap();
        put(&packs, 1, b"one");
        packs.share("key").unwrap();
        let layer = store.layer(KIND, "key");
        std::fs::write(layer.join(BLOCKS), "on").unwrap();
        assert_eq!(get(&Packs::open(&store, "tree", &|_, _| {}).unwrap(), 1), None);
        std::fs::write(layer.join(BLOCKS), "one").unwrap();
        assert_eq!(get(&Packs::open(&store, "tree", &|_, _| {}).unwrap(), 1), Some(b"one".to_vec()));
        let index = std::fs::read(layer.join(INDEX)).unwrap();
        for damaged in [&index[1..], &index[..index.len() - 1], b""] {
            std::fs::write(layer.join(INDEX), damaged).unwrap();
            assert_eq!(get(&Packs::open(&store, "tree", &|_, _| {}).unwrap(), 1), None);
        }
    }
}
