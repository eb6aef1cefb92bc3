//! The tools tree: the few programs Bedplate does not write itself, unpacked
//! from packages of the image's own distribution.
//!
//! Only the packages' files are in it: no maintainer script has run, since
//! nothing in it is ever started but as one command in the sandbox.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bedplate_core::lock::LockedPackage;
use bedplate_formats::unpack;
use fs_err as fs;

use crate::key::Key;
use crate::sandbox::Sandbox;
use crate::store::Store;

/// The tree of these packages, unpacked into the cache when it is not there. `fetch` brings them into the store.
///
/// # Errors
/// A package that cannot be had, or cannot be unpacked.
pub fn tree(
    store: &Store,
    packages: &[LockedPackage],
    fetch: impl FnOnce() -> Result<()>,
) -> Result<PathBuf> {
    let mut key = Key::new("tools");
    for package in packages {
        key.add(&package.sha256);
    }
    store.layer_or_make("tools", &key.finish(), |directory| {
        fetch()?;
        let debs = debs(store, packages)?;
        let staging = store.temporary()?;
        unpack::unpack(&debs, directory, &staging).context("unpacking the tools")?;
        fs::remove_dir_all(&staging)?;
        Ok(())
    })
}

/// Where the files of locked packages are in the store.
///
/// # Errors
/// One that is not there.
pub fn debs(store: &Store, packages: &[LockedPackage]) -> Result<Vec<PathBuf>> {
    let path = |package: &LockedPackage| {
        store
            .path(&package.sha256)
            .with_context(|| format!("package `{} {}` is not in the store", package.name, package.version))
    };
    packages.iter().map(path).collect()
}

/// A sandbox with a tools tree as its root, which it cannot change.
pub fn sandbox(tree: &Path) -> Sandbox {
    Sandbox::new(tree).read_only()
}
