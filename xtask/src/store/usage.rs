//! Who uses the store, and since when: what may be removed while others build.
//!
//! An entry is marked as it is handed out, before it is looked for. Whoever removes one looks at its mark while nobody
//! marks, and leaves alone what was marked since the oldest living run began. So no list of users is kept for any
//! entry, and a run that is killed leaves nothing behind.
//!
//! The mark of a blob is its access time, since its modification time says whether it is whole; the mark of everything
//! else is the modification time, which reading does not move. A mark that cannot be written (a file system that is
//! mounted read-only, an entry of another user) is left out: such an entry is not ours to remove either.

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::Result;
use fs_err as fs;
use rustix::fs::{
    AtFlags, CWD, FlockOperation, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, flock, utimensat,
};

use super::lock;

/// Which time of an entry is its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// The access time.
    Accessed,
    /// The modification time.
    Modified,
}

/// A directory that is locked by those who mark, and alone by who removes.
#[derive(Debug)]
pub(super) struct Gate(Option<Mutex<File>>);

impl Gate {
    /// Opens it; where that cannot be, nothing is locked.
    pub(super) fn open(directory: &Path) -> Self {
        Self(File::open(directory).ok().map(Mutex::new))
    }

    /// Marks an entry as used now, where there is one.
    pub(super) fn mark(&self, entry: &Path, mark: Mark) {
        self.shared(|| write(entry, mark));
    }

    /// Does something while nobody removes.
    pub(super) fn shared<R>(&self, work: impl FnOnce() -> R) -> R {
        self.held(FlockOperation::LockShared, work)
    }

    /// Does something while nobody marks.
    pub(super) fn alone<R>(&self, work: impl FnOnce() -> R) -> R {
        self.held(FlockOperation::LockExclusive, work)
    }

    fn held<R>(&self, how: FlockOperation, work: impl FnOnce() -> R) -> R {
        let Some(file) = &self.0 else { return work() };
        // The lock belongs to the open file, and so to all threads: one at a time.
        let file = file.lock().unwrap_or_else(PoisonError::into_inner);
        // A file system without locks has one user, or trouble enough.
        let _ = flock(&*file, how);
        let result = work();
        let _ = flock(&*file, FlockOperation::Unlock);
        result
    }
}

/// Marks an entry; see the module's page for why a failure is none.
pub(super) fn write(entry: &Path, mark: Mark) {
    let time = |nanoseconds| Timespec { tv_sec: 0, tv_nsec: nanoseconds };
    let (now, as_it_is) = (time(UTIME_NOW), time(UTIME_OMIT));
    let times = match mark {
        Mark::Accessed => Timestamps { last_access: now, last_modification: as_it_is },
        Mark::Modified => Timestamps { last_access: as_it_is, last_modification: now },
    };
    let _ = utimensat(CWD, entry, &times, AtFlags::empty());
}

/// When an entry was marked last.
pub(super) fn read(entry: &Path, mark: Mark) -> Option<SystemTime> {
    // Of a link to a cache elsewhere, what it leads to was marked.
    let metadata = entry.metadata().or_else(|_| entry.symlink_metadata()).ok()?;
    match mark {
        Mark::Accessed => metadata.accessed().ok(),
        Mark::Modified => metadata.modified().ok(),
    }
}

/// When the oldest run that still lives opened the store of these scratch directories, but for one of them.
pub(super) fn oldest_run(temporary: &Path, but: Option<&Path>) -> Result<Option<SystemTime>> {
    let _guard = lock(&temporary.join(".lock"))?;
    let mut oldest = None;
    for entry in fs::read_dir(temporary)? {
        let path = entry?.path();
        // Its lock is held as long as the process lives.
        let Ok(file) = File::open(path.join(".lock")) else { continue };
        if but == Some(&*path) || flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            continue;
        }
        let began = file.metadata()?.modified()?;
        oldest = Some(oldest.map_or(began, |oldest: SystemTime| oldest.min(began)));
    }
    Ok(oldest)
}
