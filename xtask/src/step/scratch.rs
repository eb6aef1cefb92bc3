//! A finished tree as a root directory in which programs of the image run.
//!
//! The cached system stays as it is. What the tree has and the system has not is written into a directory that is laid
//! over it in the sandbox's own mount namespace, so showing a tree costs what differs, and nothing of the host is
//! mounted. What programs change is read back as [`Changes`]. Where the host cannot mount an overlay (the root of a
//! container that is one itself, Linux before 5.11), the whole tree is copied.
//!
//! Deliberately absent: `/dev`, `/proc`, `/run`, `/sys` and `/tmp`, which are the sandbox's own.

mod changes;
mod differences;
mod write;

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bedplate_formats::tree::{Tree, TreePath};
use fs_err as fs;

pub use self::changes::Changes;
pub use self::write::clamp_times;
use self::write::{Names, Stamp};
use crate::sandbox::emulation::Emulator;
use crate::sandbox::{Sandbox, overlay_is_supported};
use crate::store::Store;

/// What a tree is shown from.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    /// The cached system's directory.
    pub directory: &'a Path,
    /// The same as a tree, as it was scanned.
    pub tree: &'a Tree,
    /// What runs its programs, where this machine does not.
    pub emulator: Option<&'a Emulator>,
}

/// A tree as a root directory. It is gone when this is dropped.
///
/// ```ignore
/// let scratch = Scratch::new(store, base, &tree)?;
/// scratch.read_only().run(["sshd", "-t"])?;
/// ```
pub struct Scratch {
    directory: PathBuf,
    sandbox: Sandbox,
    /// What was written, as it was when it was.
    written: BTreeMap<TreePath, Stamp>,
    kind: Kind,
}

/// How the tree is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Overlay,
    Copy,
}

impl Scratch {
    /// Shows `tree`, which was made from `base`. Times are to be clamped before: what stands in files of the system
    /// with another time is written, too.
    ///
    /// # Errors
    /// A content of the tree that is gone, a disk that is full.
    pub fn new(store: &Store, base: Base<'_>, tree: &Tree) -> Result<Self> {
        let directory = directories(store, base)?;
        let kind = if overlay_is_supported(&directory) { Kind::Overlay } else { Kind::Copy };
        Self::of(kind, directory, base, tree)
    }

    /// The same as on a host without overlays.
    ///
    /// # Errors
    /// As [`Scratch::new`].
    pub fn copied(store: &Store, base: Base<'_>, tree: &Tree) -> Result<Self> {
        Self::of(Kind::Copy, directories(store, base)?, base, tree)
    }

    /// Whether the tree was copied.
    #[must_use]
    pub fn is_copied(&self) -> bool {
        self.kind == Kind::Copy
    }

    fn of(kind: Kind, directory: PathBuf, base: Base<'_>, tree: &Tree) -> Result<Self> {
        let (upper, root) = (directory.join("upper"), directory.join("root"));
        let sandbox = match kind {
            Kind::Overlay => Sandbox::overlay(&directory),
            Kind::Copy => Sandbox::new(&root),
        };
        let sandbox = sandbox.without_sync().emulated(base.emulator);
        let mut scratch = Self { directory, sandbox, written: BTreeMap::new(), kind };
        let written = match kind {
            Kind::Copy => {
                write::write(tree, &tree.iter().map(|(path, _)| path.clone()).collect(), &root, Names::Apart)
            }
            Kind::Overlay => {
                let differences = differences::between(base.tree, tree);
                let written = write::write(tree, &differences.written, &upper, Names::Apart);
                written.and_then(|written| {
                    write::whiteouts(&differences.removed, &upper)?;
                    Ok(written)
                })
            }
        };
        scratch.written = written.context("cannot show the image's tree as a directory")?;
        Ok(scratch)
    }

    /// A sandbox in the tree. What is written in it is found in [`Scratch::changes`]. Not two at the same time.
    #[must_use]
    pub fn sandbox(&self) -> Sandbox {
        self.sandbox.clone()
    }

    /// A sandbox in the tree in which nothing but `/dev`, `/run` and `/tmp` can be written.
    #[must_use]
    pub fn read_only(&self) -> Sandbox {
        self.sandbox.clone().read_only()
    }

    /// Returns what programs have changed of `tree`, the tree that is shown. The contents lie in this directory.
    ///
    /// # Errors
    /// Fails as reading the directory does.
    pub fn changes(&self, tree: &Tree) -> Result<Changes> {
        let directory = match self.kind {
            Kind::Overlay => self.directory.join("upper"),
            Kind::Copy => self.directory.join("root"),
        };
        Changes::read(&directory, &self.written, tree).context("cannot read back the image's tree")
    }
}

/// The directories of an overlay.
fn directories(store: &Store, base: Base<'_>) -> Result<PathBuf> {
    let directory = store.temporary()?;
    for name in ["upper", "work", "root"] {
        fs::create_dir(directory.join(name))?;
    }
    symlink(base.directory, directory.join("lower"))?;
    Ok(directory)
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now goes with the process's other scratch files.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[cfg(test)]
mod tests;
