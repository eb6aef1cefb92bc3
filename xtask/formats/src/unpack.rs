//! Packages onto a disk, as dpkg leaves them before they are configured.
//!
//! Three passes, so that the first can run in parallel and the result does not
//! depend on the order in which it ends:
//!
//! 1. [`stage`] decompresses a package into a directory of its own, every file
//!    under a number. Nothing of the package's names reaches the disk.
//! 2. [`Root::add`] lays the entries of all packages out in memory, package by
//!    package in one fixed order, by dpkg's rules for what two packages share:
//!    `Replaces`, diversions, `Multi-Arch: same`.
//! 3. It then makes the directories and links, and moves the files into place.
//!
//! Invariant: whatever a package holds, nothing outside of the root directory
//! is written. `..` and links that climb above the root are refused; the disk
//! itself is walked with `RESOLVE_IN_ROOT`, whatever stands on it.
//!
//! Deliberately absent: upgrades and removals. A root begins empty.

mod database;
mod diversions;
mod filter;
mod inside;
mod kept;
mod layout;
mod place;
mod relations;
mod stage;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::database::Database;
pub use self::diversions::Diversions;
pub use self::filter::Filter;
pub use self::inside::Inside;
pub use self::kept::Kept;
pub use self::relations::{base_system, stages};
pub use self::stage::{Package, Staged, stage, stage_all};
use crate::deb::DebError;

use self::kept::{Placed, Round};
use self::layout::Layout;

/// Why packages could not be unpacked. Paths are as the package spells them.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// A package cannot be read.
    #[error("package file `{}` cannot be read", path.display())]
    Deb {
        /// The package's file.
        path: PathBuf,
        /// What is wrong with it.
        source: DebError,
    },
    /// A path has a `..`, or leads through a link above the root.
    #[error("package `{package}` holds `{path}`, which leads out of the root directory")]
    ClimbsOut {
        /// The package's name.
        package: String,
        /// The path it holds.
        path: String,
    },
    /// A path has a byte that dpkg's database cannot hold.
    #[error("package `{package}` holds a path with a line feed: `{path}`")]
    LineFeed {
        /// The package's name.
        package: String,
        /// The path, escaped.
        path: String,
    },
    /// A package holds a device node, a pipe or something else that is neither
    /// file, directory nor link.
    #[error("package `{package}` holds `{path}`, a {what}, which has no place in a package")]
    Special {
        /// The package's name.
        package: String,
        /// The path it holds.
        path: String,
        /// What it is.
        what: String,
    },
    /// A file runs with the rights of its owner and anyone may change it.
    #[error("package `{package}` holds `{path}`, a set-id file that everyone may write")]
    SetId {
        /// The package's name.
        package: String,
        /// The path it holds.
        path: String,
    },
    /// A hard link leads to something that is no earlier file of the package.
    #[error("package `{package}` holds `{path}`, a hard link to `{target}`, which is no file before it")]
    Hardlink {
        /// The package's name.
        package: String,
        /// The path it holds.
        path: String,
        /// The target as written.
        target: String,
    },
    /// A path leads through something that is no directory, or through a loop.
    #[error("package `{package}` holds `{path}`, but `{above}` is no directory")]
    NotADirectory {
        /// The package's name.
        package: String,
        /// The path it holds.
        path: String,
        /// The part of it that is no directory.
        above: String,
    },
    /// Two packages hold one path, and neither `Replaces` the other.
    #[error("packages `{first}` and `{second}` both hold `{path}`")]
    Conflict {
        /// The package that comes first.
        first: String,
        /// The package that comes second.
        second: String,
        /// The path, as the second spells it.
        path: String,
    },
    /// One package was given twice.
    #[error("package `{package}` was given twice")]
    Twice {
        /// Its name with its architecture.
        package: String,
    },
    /// Something on the disk failed.
    #[error("`{}`", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
}

impl UnpackError {
    /// Makes what failed at a path of the host an error that names it.
    fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// Where a package's configuration files go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Conffiles {
    /// Where they belong: for a tree that no dpkg will ever see.
    InPlace,
    /// To `NAME.dpkg-new`, from where `dpkg --configure` takes them.
    New,
    /// To both: for the packages that maintainer scripts need before they are
    /// configured. dpkg finds the two equal.
    Both,
}

/// A root directory and what was unpacked into it.
#[derive(Debug)]
pub struct Root {
    directory: PathBuf,
    layout: Layout,
    /// What was added, round by round.
    rounds: Vec<Round>,
    /// Files of packages, by path.
    placed: BTreeMap<Vec<u8>, Placed>,
    /// When the first was placed, in seconds since 1970.
    begun: Option<i64>,
}

impl Root {
    /// A root directory, which must be there and be empty.
    pub fn new(directory: &Path) -> Self {
        let (layout, rounds, placed, begun) = Default::default();
        Self { directory: directory.to_owned(), layout, rounds, placed, begun }
    }

    /// Leaves out of packages what the filter says. dpkg's database lists it all the same, as dpkg's own does.
    #[must_use]
    pub fn filtered(mut self, filter: Filter) -> Self {
        self.layout.filter = filter;
        self
    }

    /// Moves packages from their staging directories, which must be on the
    /// same file system, into the root. The result does not depend on the order
    /// in which they are given. A failure leaves the root half filled.
    ///
    /// # Errors
    /// Every variant of [`UnpackError`].
    pub fn add(
        &mut self,
        mut packages: Vec<Staged>,
        diversions: &Diversions,
        conffiles: Conffiles,
    ) -> Result<(), UnpackError> {
        packages.sort_by_cached_key(relations::rank);
        let Some(staging) = packages.first().map(|package| package.directory.clone()) else { return Ok(()) };
        if self.begun.is_none() {
            self.begun = Some(kept::now(&staging)?.0);
        }
        let round = Round::of(&packages, diversions, conffiles);
        let placements = self.layout.add(packages, diversions, conffiles)?;
        place::place(&self.directory, &placements)?;
        kept::record(&mut self.placed, placements, kept::now(&staging)?);
        self.rounds.push(round);
        Ok(())
    }

    /// The dpkg database that tells of the packages added so far.
    ///
    /// # Errors
    /// Fails as opening the root does.
    pub fn database(&self) -> Result<Database<'_>, UnpackError> {
        Database::new(&self.directory, &self.layout)
    }
}

/// Unpacks packages into an empty directory, configuration files in place and
/// without a dpkg database: a tree to run programs from. `staging` is a
/// directory on the same file system, which may be removed afterwards.
///
/// # Errors
/// Every variant of [`UnpackError`].
pub fn unpack(debs: &[PathBuf], directory: &Path, staging: &Path) -> Result<(), UnpackError> {
    let packages: Vec<Package> = debs.iter().cloned().map(Package::from).collect();
    let staged = stage_all(&packages, staging)?;
    Root::new(directory).add(staged, &Diversions::default(), Conffiles::InPlace)
}
