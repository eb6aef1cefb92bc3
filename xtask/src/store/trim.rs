//! Removing entries: what was not used for long, what is more than the store may hold, and, when asked, everything.
//!
//! An entry is moved away under the gate of [`usage`](super::usage), and removed after it. What another run has used
//! since it began stays, and what this one has.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use bedplate_core::bytes::bytes;
use fs_err as fs;

use super::usage::{self, Mark};
use super::{Store, lock_if_free};

/// An entry that was not used for this long goes.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What was removed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Freed {
    /// Entries that are gone.
    pub entries: usize,
    /// The room they took on the disk, in bytes.
    pub bytes: u64,
    /// Entries that were to go, and stay because a living run has used them.
    pub in_use: usize,
    /// Entries that cannot be removed: another user's.
    pub refused: usize,
}

impl Display for Freed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", entries(self.entries), bytes(self.bytes))
    }
}

/// A number of cache entries, in words.
pub fn entries(count: usize) -> String {
    match count {
        1 => "1 cache entry".to_owned(),
        count => format!("{count} cache entries"),
    }
}

/// Something that can be removed by itself.
struct Entry {
    path: PathBuf,
    mark: Mark,
    used: SystemTime,
    size: u64,
}

impl Store {
    /// Removes what was not used for 30 days, and beyond the store's limit what was used least recently.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn trim(&self) -> Result<Freed> {
        let began = usage::oldest_run(&self.root().join("temporary"), None)?;
        self.trim_to(self.opened.limit, SystemTime::now() - UNUSED, began)
    }

    /// Removes the layers, which are made again from the blobs; with `all` the blobs, too. What another run uses
    /// stays.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn clean(&self, all: bool) -> Result<Freed> {
        let began = usage::oldest_run(&self.root().join("temporary"), Some(&self.opened.scratch))?;
        self.evict(if all { self.entries()? } else { self.layers()? }, began)
    }

    fn trim_to(&self, limit: u64, unused_since: SystemTime, began: Option<SystemTime>) -> Result<Freed> {
        let mut entries = self.entries()?;
        entries.sort_by(|one, other| (one.used, &one.path).cmp(&(other.used, &other.path)));
        let mut total: u64 = entries.iter().map(|entry| entry.size).sum();
        let goes = entries.into_iter().take_while(|entry| {
            let goes = entry.used < unused_since || total > limit;
            total = total.saturating_sub(entry.size);
            goes
        });
        self.evict(goes.collect(), began)
    }

    /// Removes the entries that no run uses which began at `began` or later.
    fn evict(&self, entries: Vec<Entry>, began: Option<SystemTime>) -> Result<Freed> {
        let mut freed = Freed::default();
        for entry in entries {
            let aside = self.temporary()?;
            let in_use = || {
                let used = usage::read(&entry.path, entry.mark).unwrap_or(entry.used);
                began.is_some_and(|began| used >= began)
            };
            let moved = self.opened.gate.alone(|| {
                if in_use() {
                    return None;
                }
                Some(std::fs::rename(&entry.path, aside.join("entry")))
            });
            let removed = match moved {
                None => {
                    freed.in_use += 1;
                    fs::remove_dir(aside)?;
                    continue;
                }
                // What cannot be removed here is tried again by whoever opens the store next.
                Some(moved) => moved.and_then(|()| std::fs::remove_dir_all(&aside)),
            };
            match removed {
                Ok(()) => {
                    freed.entries += 1;
                    freed.bytes += entry.size;
                    self.forget(&entry.path);
                }
                Err(_) => freed.refused += 1,
            }
        }
        Ok(freed)
    }

    /// Removes the lock of a layer that is gone, unless somebody makes it anew.
    fn forget(&self, layer: &Path) {
        if let Some(name) = layer.file_name().filter(|_| layer.parent() == Some(&self.root().join("layers")))
        {
            let path = self.root().join("locks").join(name);
            if let Some(_held) = lock_if_free(&path) {
                // It only takes room.
                let _ = std::fs::remove_file(path);
            }
        }
    }

    /// Everything that can be removed.
    fn entries(&self) -> Result<Vec<Entry>> {
        let mut entries = self.layers()?;
        entries.extend(self.blobs()?);
        entries.extend(self.partials()?);
        Ok(entries)
    }

    fn layers(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.root().join("layers"))? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let Some(used) = usage::read(&path, Mark::Modified) else { continue };
            // A layer is not changed once it is there: its size is found out once.
            let note = self.root().join("locks").join(name);
            let noted = || std::fs::read_to_string(&note).ok()?.trim().parse().ok();
            let size = match noted() {
                Some(size) => size,
                None => {
                    let size = size(&path, &mut BTreeSet::new());
                    if note.exists() {
                        // Else it is found out again.
                        let _ = std::fs::write(&note, format!("{size}\n"));
                    }
                    size
                }
            };
            entries.push(Entry { path, mark: Mark::Modified, used, size });
        }
        Ok(entries)
    }

    fn blobs(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for directory in fs::read_dir(self.root().join("blobs"))? {
            let directory = directory?.path();
            if directory.is_dir() {
                entries.extend(files(&directory, Mark::Accessed)?);
            }
        }
        Ok(entries)
    }

    /// Files whose fetching was given up: one that is being written has just been marked by that.
    fn partials(&self) -> Result<Vec<Entry>> {
        let partials = files(&self.root().join("partial"), Mark::Modified)?;
        Ok(partials.into_iter().filter(|entry| lock_if_free(&entry.path).is_some()).collect())
    }
}

fn files(directory: &Path, mark: Mark) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        // One that is gone by now needs no removing.
        if let (Some(used), Ok(metadata)) = (usage::read(&path, mark), path.symlink_metadata()) {
            entries.push(Entry { path, mark, used, size: metadata.blocks() * 512 });
        }
    }
    Ok(entries)
}

/// The room that a file or a directory takes, in bytes, each file with many names once. What cannot be read counts as
/// nothing.
fn size(path: &Path, seen: &mut BTreeSet<(u64, u64)>) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    if !metadata.is_dir() && metadata.nlink() > 1 && !seen.insert((metadata.dev(), metadata.ino())) {
        return 0;
    }
    let mut total = metadata.blocks() * 512;
    if metadata.is_dir()
        && let Ok(entries) = std::fs::read_dir(path)
    {
        total += entries.flatten().map(|entry| size(&entry.path(), seen)).sum::<u64>();
    }
    total
}

#[cfg(test)]
mod tests;
