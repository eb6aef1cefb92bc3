//! The largest artifacts before the last ones. A build writes its own over them: most of it is the same and is not
//! written again, and what is not needs no new room in memory and on the disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::time::SystemTime;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use rustix::fs::{Mode, OFlags};

use super::hidden;
use crate::syscall;

/// A file that the next build writes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The root's file system.
    Root,
    /// The disk.
    Disk,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Root, Self::Disk];

    /// What it is called in the plan's names of artifacts, and among the spare ones.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Disk => "disk",
        }
    }
}

/// The directory of these files, beside that of the artifacts.
#[derive(Debug, Clone)]
pub struct Spare(Utf8PathBuf);

impl Spare {
    /// That of a directory of artifacts.
    pub fn of(output: &Utf8Path) -> Self {
        Self(hidden(output, "spare"))
    }

    /// Takes a file of artifacts that nobody asks for any more.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub(super) fn keep(&self, kind: Kind, file: &Utf8Path) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        fs::rename(file, self.0.join(kind.name()))
    }

    /// Opens a new file to read and write. It may hold anything, and be of any length: every byte has to be written, or
    /// seen to be what it should. A file that somebody has open, or by another name, is left alone.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn open(&self, kind: Kind, path: &Utf8Path) -> io::Result<File> {
        let new = fs::File::options().read(true).write(true).create_new(true).open(path)?.into_parts().0;
        Ok(self.take(kind, &new, path).unwrap_or(new))
    }

    /// Puts the spare file, if there is one that is like the new one, in its place.
    fn take(&self, kind: Kind, new: &File, path: &Utf8Path) -> Option<File> {
        let from = self.0.join(kind.name());
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let spare = File::from(rustix::fs::open(from.as_str(), flags, Mode::empty()).ok()?);
        let like =
            |file: &File| file.metadata().map(|meta| (meta.nlink(), meta.mode(), meta.uid(), meta.gid()));
        let is_ours = like(&spare).ok()? == like(new).ok()? && syscall::is_alone(&spare);
        if !is_ours {
            let _ = fs::remove_file(&from);
            return None;
        }
        spare.set_modified(SystemTime::now()).ok()?;
        fs::rename(&from, path).ok()?;
        Some(spare)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A directory of artifacts, one of which is spare.
    fn spare(directory: &tempfile::TempDir) -> (Spare, Utf8PathBuf) {
        let path = |name: &str| Utf8Path::from_path(directory.path()).unwrap().join(name);
        let spare = Spare::of(&path("edge"));
        fs::write(path("last"), "the last one").unwrap();
        spare.keep(Kind::Disk, &path("last")).unwrap();
        (spare, path("image.raw"))
    }

    fn taken(spare: &Spare, path: &Utf8Path) -> String {
        let mut text = String::new();
        spare.open(Kind::Disk, path).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_spare_file_is_taken_once() {
        let directory = tempfile::tempdir().unwrap();
        let (spare, path) = spare(&directory);
        let file = spare.0.join("disk");
        File::options().write(true).open(&file).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(taken(&spare, &path), "the last one");
        assert!(path.metadata().unwrap().modified().unwrap() > SystemTime::UNIX_EPOCH);
        fs::remove_file(&path).unwrap();
        assert_eq!(taken(&spare, &path), "");
    }

    #[test]
    fn who_reads_a_file_reads_it_to_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let (spare, path) = spare(&directory);
        let mut reader = File::open(spare.0.join("disk")).unwrap();
        let mut file = spare.open(Kind::Disk, &path).unwrap();
        file.write_all(b"another one.").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "the last one");
    }

    #[test]
    fn a_link_and_a_file_with_another_name_or_other_rights_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (first, path) = spare(&directory);
        let other = path.with_file_name("release.raw");
        fs::hard_link(first.0.join("disk"), &other).unwrap();
        assert_eq!(taken(&first, &path), "");
        fs::remove_file(&path).unwrap();
        fs_err::os::unix::fs::symlink(&other, first.0.join("disk")).unwrap();
        assert_eq!(taken(&first, &path), "");
        assert_eq!(fs::read_to_string(other).unwrap(), "the last one");
        fs::remove_file(&path).unwrap();
        let (second, path) = spare(&directory);
        fs::set_permissions(second.0.join("disk"), std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(taken(&second, &path), "");
    }
}
