//! The directory of all that a machine writes: its disk's changes, its TPM, its pipes.
//!
//! It goes with the machine. Where the program is killed, as by a terminal that is closed, the next machine takes it
//! away: who uses a directory holds a lock on it, which ends with its process.

use std::fs::{File, read_dir};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::store::remove_abandoned;

/// What the names of machines, of their directories and of their control groups begin with.
pub(super) const PREFIX: &str = "bedplate-vm-";
/// One that is younger may have been made and not locked yet.
const NEW: Duration = Duration::from_secs(60);

/// A directory that nobody else removes, and that goes with this value.
#[derive(Debug)]
pub(super) struct Work {
    directory: TempDir,
    _lock: File,
}

impl Work {
    /// Makes one, where temporary files are, and removes those that were left there.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn new() -> Result<Self> {
        Self::below(&std::env::temp_dir()).context("could not make a directory for the machine")
    }

    fn below(place: &Path) -> Result<Self> {
        sweep(place, NEW);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let directory = tempfile::Builder::new().prefix(&prefix).tempdir_in(place)?;
        let lock = File::open(directory.path())?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { directory, _lock: lock })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Removes what machines have left there whose program was killed.
fn sweep(place: &Path, new: Duration) {
    for entry in read_dir(place).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let Some(about) = entry.metadata().ok().filter(|about| ours && about.is_dir()) else { continue };
        let age = about.modified().ok().and_then(|made| made.elapsed().ok());
        if age.is_some_and(|age| age >= new) {
            remove_abandoned(&entry.path(), &entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_program_left_is_removed_and_what_is_used_is_not() {
        let place = tempfile::tempdir().unwrap();
        let used = Work::below(place.path()).unwrap();
        let left = place.path().join(format!("{PREFIX}1-left"));
        let other = place.path().join("other");
        for directory in [&left, &other] {
            std::fs::create_dir(directory).unwrap();
            std::fs::write(directory.join("overlay.qcow2"), "").unwrap();
        }
        sweep(place.path(), NEW);
        assert!(left.exists(), "it may be about to be locked");
        sweep(place.path(), Duration::ZERO);
        assert!(!left.exists() && other.exists() && used.path().exists());
    }
}
