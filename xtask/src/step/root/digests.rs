//! The digests of the files in layers, so that the next build of the same packages reads none of them to find what they
//! are compressed to.
//!
//! A file is known by its inode's number, length and `ctime`, which every change of the file changes and nobody can set;
//! what does not fit is read again. Of the project's files, which an editor may change at any moment, nothing is kept.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use bedplate_formats::digest::Sha256;
use fs_err as fs;

use crate::key::Key;
use crate::store::Store;

/// The kind of these cache entries, and the name of the only file in one.
const KIND: &str = "digests";
/// A number of an inode, its length, and the seconds and nanoseconds of its last change.
type Identity = [u8; 4 * 8];
/// The length of what the file says of one inode, in bytes: its identity and its digest.
const LINE: usize = size_of::<Identity>() + 32;

/// What is known of the files in layers, and what this build adds.
pub(super) struct Digests<'a> {
    store: &'a Store,
    key: String,
    known: BTreeMap<Identity, [u8; 32]>,
    added: Mutex<BTreeMap<Identity, [u8; 32]>>,
}

impl<'a> Digests<'a> {
    /// Opens what the last build of a tree with this key has kept. What is damaged is as none.
    pub(super) fn open(store: &'a Store, tree: &str) -> Self {
        let mut key = Key::new(KIND);
        key.add(tree);
        let key = key.finish();
        let known = read(&store.layer(KIND, &key)).unwrap_or_default();
        Self { store, key, known, added: Mutex::default() }
    }

    /// The digest of a file, where it is known.
    pub(super) fn get(&self, file: &Metadata) -> Option<[u8; 32]> {
        self.known.get(&identity(file)).copied()
    }

    /// Hears the digest of a file.
    pub(super) fn put(&self, path: &Path, file: &Metadata, digest: [u8; 32]) {
        if path.starts_with(self.store.root()) {
            self.added.lock().unwrap_or_else(PoisonError::into_inner).insert(identity(file), digest);
        }
    }

    /// Keeps what was added, where nothing is kept yet: the files are this machine's, and so is this.
    ///
    /// # Errors
    /// The store cannot be written to.
    pub(super) fn keep(self) -> Result<()> {
        let added = self.added.into_inner().unwrap_or_else(PoisonError::into_inner);
        if added.is_empty() {
            return Ok(());
        }
        let mut lines: Vec<u8> =
            added.iter().flat_map(|(identity, digest)| identity.iter().chain(digest)).copied().collect();
        lines.extend(Sha256::of(&lines));
        self.store
            .alone()
            .layer_or_make(KIND, &self.key, |layer| Ok(fs::write(layer.join(KIND), &lines)?))?;
        Ok(())
    }
}

fn identity(file: &Metadata) -> Identity {
    let numbers = [file.ino(), file.len(), file.ctime().cast_unsigned(), file.ctime_nsec().cast_unsigned()];
    let mut identity = [0; size_of::<Identity>()];
    for (bytes, number) in identity.chunks_exact_mut(8).zip(numbers) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    identity
}

/// What a layer holds; none where there is none, or it is not what was written.
fn read(layer: &Path) -> Option<BTreeMap<Identity, [u8; 32]>> {
    let file = std::fs::read(layer.join(KIND)).ok()?;
    let (lines, sum) = file.split_last_chunk::<32>()?;
    if Sha256::of(lines) != *sum || lines.len() % LINE != 0 {
        return None;
    }
    let line = |line: &[u8]| Some((*line.first_chunk()?, *line.last_chunk()?));
    lines.chunks_exact(LINE).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_layer_is_known_until_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::at(directory.path()).unwrap();
        let file = store.root().join("layers/file");
        std::fs::write(&file, "one").unwrap();
        let metadata = || std::fs::metadata(&file).unwrap();
        let digests = Digests::open(&store, "tree");
        assert_eq!(digests.get(&metadata()), None);
        digests.put(&file, &metadata(), [1; 32]);
        digests.keep().unwrap();
        assert_eq!(Digests::open(&store, "tree").get(&metadata()), Some([1; 32]));
        assert_eq!(Digests::open(&store, "other tree").get(&metadata()), None);

        // The same length and time: what nobody can set tells.
        let times = std::fs::FileTimes::new().set_modified(metadata().modified().unwrap());
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&file, "two").unwrap();
        std::fs::File::options().write(true).open(&file).unwrap().set_times(times).unwrap();
        assert_eq!(Digests::open(&store, "tree").get(&metadata()), None);
    }

    #[test]
    fn of_what_is_outside_of_the_store_nothing_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::at(&directory.path().join("store")).unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "one").unwrap();
        let metadata = std::fs::metadata(&file).unwrap();
        let digests = Digests::open(&store, "tree");
        digests.put(&file, &metadata, [1; 32]);
        digests.keep().unwrap();
        assert_eq!(Digests::open(&store, "tree").get(&metadata), None);
    }

    #[test]
    fn a_damaged_file_is_as_none() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::at(directory.path()).unwrap();
        let file = store.root().join("layers/file");
        std::fs::write(&file, "one").unwrap();
        let metadata = std::fs::metadata(&file).unwrap();
        let digests = Digests::open(&store, "tree");
        digests.put(&file, &metadata, [1; 32]);
        let kept = store.layer(KIND, &digests.key).join(KIND);
        digests.keep().unwrap();
        let mut bytes = std::fs::read(&kept).unwrap();
        bytes[LINE - 1] ^= 1;
        std::fs::write(&kept, bytes).unwrap();
        assert_eq!(Digests::open(&store, "tree").get(&metadata), None);
    }
}
