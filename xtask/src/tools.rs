//! The tools tree: the few programs Bedplate does not write itself, unpacked
//! from packages of the image's own distribution.
//!
//! Only the packages' files are in it: no maintainer script has run, since
//! nothing in it is ever started but as one command in the sandbox.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bedplate_core::LockedPackage;
use rayon::prelude::*;

use crate::key::Key;
use crate::sandbox::Sandbox;
use crate::store::Store;

/// The tree of these packages, unpacked into the cache when it is not there.
///
/// # Errors
/// A package that is not in the store, or cannot be unpacked.
pub fn tree(store: &Store, packages: &[LockedPackage]) -> Result<PathBuf> {
    let mut key = Key::new("tools");
    for package in packages {
        key.add(&package.sha256);
    }
    store.layer("tools", &key.finish(), |directory| unpack(store, packages, directory))
}

/// A sandbox with a tools tree as its root, which it cannot change.
pub fn sandbox(tree: &Path) -> Sandbox {
    Sandbox::new(tree).read_only()
}
