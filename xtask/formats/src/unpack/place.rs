//! Making on the disk what was laid out.
//!
//! Every directory is opened with `RESOLVE_IN_ROOT`: maintainer scripts have
//! run between two rounds, and a link of theirs must not lead out of the root.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Uid};
use rustix::io::Errno;

use super::inside::{Inside, split};
use super::layout::{Placement, Placements};
use super::{Conffiles, UnpackError};
use crate::deb::Entry;
use crate::tree::timestamps;

/// Makes directories and links and moves files into place.
pub(super) fn place(directory: &Path, placements: &Placements) -> Result<(), UnpackError> {
    let inside = Inside::new(directory).map_err(UnpackError::at(directory))?;
    let mut root = Root { inside, above: None };
    for (path, placement) in placements {
        root.place(path, placement).map_err(UnpackError::at(below(directory, path)))?;
    }
    // At the end, because each file put into a directory changes its time, and
    // some directories may not be written by the modes they end up with.
    for (path, placement) in placements {
        if let Placement::Directory(entry) = placement {
            root.finish(path, entry).map_err(UnpackError::at(below(directory, path)))?;
        }
    }
    Ok(())
}

struct Root {
    inside: Inside,
    /// The directory that was opened last.
    above: Option<(Vec<u8>, OwnedFd)>,
}

impl Root {
    fn place(&mut self, path: &[u8], placement: &Placement) -> io::Result<()> {
        if path.is_empty() {
            return Ok(());
        }
        let (above, name) = split(path);
        let above = self.open(above)?;
        match placement {
            Placement::Directory(_) => match rustix::fs::mkdirat(above, name, Mode::RWXU) {
                Err(Errno::EXIST) => is_directory(above, name)?,
                made => made?,
            },
            Placement::Symlink(entry, target) => {
                match rustix::fs::symlinkat(target.as_slice(), above, name) {
                    Err(Errno::EXIST) => {
                        rustix::fs::unlinkat(above, name, AtFlags::empty())?;
                        rustix::fs::symlinkat(target.as_slice(), above, name)?;
                    }
                    made => made?,
                }
                let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
                rustix::fs::chownat(above, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
                let times = timestamps(entry.mtime);
                rustix::fs::utimensat(above, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
            }
            Placement::File(staged, None | Some(Conffiles::InPlace), _) => {
                rustix::fs::renameat(CWD, staged, above, name)?;
            }
            Placement::File(staged, Some(conffiles), _) => {
                let new = [name, b".dpkg-new"].concat();
                if *conffiles == Conffiles::Both {
                    rustix::fs::linkat(CWD, staged, above, name, AtFlags::empty())?;
                }
                rustix::fs::renameat(CWD, staged, above, new.as_slice())?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, path: &[u8], entry: &Entry) -> io::Result<()> {
        let directory = self.open(path)?;
        rustix::fs::fchown(directory, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))?;
        rustix::fs::fchmod(directory, Mode::from_raw_mode(entry.mode))?;
        for (name, value) in &entry.xattrs {
            rustix::fs::fsetxattr(directory, name.as_slice(), value, rustix::fs::XattrFlags::empty())?;
        }
        rustix::fs::futimens(directory, &timestamps(entry.mtime))?;
        Ok(())
    }

    /// Opens a directory, following links inside the root only.
    fn open(&mut self, path: &[u8]) -> io::Result<&OwnedFd> {
        if self.above.as_ref().is_none_or(|(known, _)| known != path) {
            let handle = self.inside.open_directory(path)?;
            self.above = Some((path.to_vec(), handle));
        }
        self.above.as_ref().map(|(_, handle)| handle).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// What stands in a directory's place must be one, or a link, which
/// `RESOLVE_IN_ROOT` takes care of.
fn is_directory(above: &OwnedFd, name: &[u8]) -> io::Result<()> {
    let stat = rustix::fs::statat(above, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory | FileType::Symlink => Ok(()),
        _ => Err(io::ErrorKind::NotADirectory.into()),
    }
}

fn below(directory: &Path, path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    directory.join(std::ffi::OsStr::from_bytes(path))
}
