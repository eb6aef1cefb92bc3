//! What packages were decompressed to, in the cache: each is decompressed once, in whichever images it is, and however
//! the packages beside it change.

use std::path::{Path, PathBuf};

use anyhow::Result;
use bedplate_core::value::Sha256;
use fs_err as fs;

use crate::key::Key;
use crate::store::Store;

/// The kind of these cache entries.
const KIND: &str = "unpacked";
/// The file in each.
const FILE: &str = "data.tar.zst";

/// The entries of a store, and what one build adds to them.
pub struct Unpacked<'a> {
    store: &'a Store,
    /// Where new ones are written, each under the package's digest.
    directory: PathBuf,
}

impl<'a> Unpacked<'a> {
    /// Adds nothing yet.
    ///
    /// # Errors
    /// The store cannot be written to.
    pub fn new(store: &'a Store) -> Result<Self> {
        Ok(Self { store, directory: store.temporary()? })
    }

    /// The file with what a package was decompressed to, or the one to write that to.
    pub fn file(&self, package: &Sha256) -> PathBuf {
        let known = self.store.layer(KIND, &key(package.as_bytes())).join(FILE);
        if known.exists() { known } else { self.directory.join(package.as_str()) }
    }

    /// Keeps what was added, for this machine alone: others get the system, and have no use for it.
    ///
    /// # Errors
    /// The store cannot be written to.
    pub fn keep(self) -> Result<()> {
        let store = self.store.alone();
        for added in fs::read_dir(&self.directory)? {
            let added = added?;
            let rename = |layer: &Path| Ok(fs::rename(added.path(), layer.join(FILE))?);
            store.layer_or_make(KIND, &key(added.file_name().as_encoded_bytes()), rename)?;
        }
        Ok(fs::remove_dir_all(self.directory)?)
    }
}

/// The key of what the package with this digest, as text, was decompressed to.
fn key(package: &[u8]) -> String {
    let mut key = Key::new(KIND);
    key.add(package);
    key.finish()
}
