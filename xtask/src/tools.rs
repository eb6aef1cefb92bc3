//! The tools tree: the few programs Bedplate does not write itself, unpacked
//! from packages of the image's own distribution.
//!
//! Only the packages' files are in it: no maintainer script has run, since
//! nothing in it is ever started but as one command in the sandbox.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use bedplate_core::lock::LockedPackage;
use bedplate_formats::deb::{self, DebError, EntryKind};
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

/// A statically linked program of a package, in the cache: the package may be a hundred times as large, and is read no
/// further than to the program. `fetch` brings it into the store, where it has to be read.
///
/// # Errors
/// The package is not in the store, cannot be read, or has no such program.
pub fn program(
    store: &Store,
    package: &LockedPackage,
    name: &str,
    fetch: impl FnOnce() -> Result<()>,
) -> Result<PathBuf> {
    let mut key = Key::new("program");
    key.add(&package.sha256);
    key.add(name);
    let layer = store.layer_or_make("program", &key.finish(), |directory| {
        fetch()?;
        let path = debs(store, std::slice::from_ref(package))?.remove(0);
        let wanted = format!("usr/bin/{name}").into_bytes();
        let found = deb::read(
            fs::File::open(path)?,
            |_| Ok(()),
            |entry, content| {
                if entry.path != wanted || !matches!(entry.kind, EntryKind::File { .. }) {
                    return Ok(());
                }
                let mut file = fs::File::create_new(directory.join(name))?;
                std::io::copy(content, &mut file)?;
                fs::set_permissions(directory.join(name), PermissionsExt::from_mode(0o755))?;
                Err(Stopped::Found)
            },
        );
        match found {
            Err(Stopped::Found) => Ok(()),
            Err(Stopped::Failed(error)) => Err(error),
            Ok(_) => bail!("it has no program `{name}`"),
        }
        .with_context(|| format!("package `{} {}`", package.name, package.version))
    })?;
    Ok(layer.join(name))
}

/// Why a package is read no further.
enum Stopped {
    Found,
    Failed(anyhow::Error),
}

impl From<DebError> for Stopped {
    fn from(error: DebError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<std::io::Error> for Stopped {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
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
