//! A root directory from the outside: every path is resolved as if the
//! directory were `/`, so no link in it leads out, whoever made it.
//!
//! openat2(2) with `RESOLVE_IN_ROOT`, Linux 5.6.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// A handle on a root directory. Paths are relative to it; a leading slash
/// makes no difference.
#[derive(Debug)]
pub struct Inside {
    handle: File,
}

impl Inside {
    /// Takes a directory of the host for a root.
    ///
    /// # Errors
    /// Fails as opening it does.
    pub fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self { handle: File::open(directory)? })
    }

    /// Opens a directory.
    ///
    /// # Errors
    /// Fails as openat2(2) does.
    pub fn open_directory(&self, path: impl AsRef<[u8]>) -> io::Result<OwnedFd> {
        self.open(path.as_ref(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
    }

    /// Whether something stands at a path, links followed.
    pub fn exists(&self, path: impl AsRef<[u8]>) -> bool {
        self.open(path.as_ref(), OFlags::PATH, Mode::empty()).is_ok()
    }

    /// Reads a file; `None` where there is none.
    ///
    /// # Errors
    /// Fails as openat2(2) and reading do.
    pub fn read(&self, path: impl AsRef<[u8]>) -> io::Result<Option<Vec<u8>>> {
        let file = match self.open(path.as_ref(), OFlags::RDONLY, Mode::empty()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut bytes = Vec::new();
        File::from(file).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Writes a file of a mode, in place of its former content, and returns it.
    ///
    /// # Errors
    /// Fails as openat2(2) and writing do.
    pub fn write(&self, path: impl AsRef<[u8]>, bytes: &[u8], mode: u32) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let mut file = File::from(self.open(path.as_ref(), flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(bytes)?;
        // Not left to the umask.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        Ok(file)
    }

    /// Makes a directory and the ones above it, mode 0755, where they are missing.
    ///
    /// # Errors
    /// Fails as openat2(2) and mkdirat(2) do.
    pub fn make_directories(&self, path: impl AsRef<[u8]>) -> io::Result<()> {
        let mut above = self.open_directory(b"")?;
        let mut done: Vec<u8> = Vec::new();
        for name in path.as_ref().split(|&b| b == b'/').filter(|name| !name.is_empty()) {
            let made = match rustix::fs::mkdirat(&above, name, Mode::RWXU) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(e) => return Err(e.into()),
            };
            done.extend([b"/", name].concat());
            above = self.open_directory(&done)?;
            if made {
                // Not left to the umask.
                rustix::fs::fchmod(&above, Mode::RWXU | Mode::from_raw_mode(0o055))?;
            }
        }
        Ok(())
    }

    /// Removes a file or link, where there is one.
    ///
    /// # Errors
    /// Fails as openat2(2) and unlinkat(2) do.
    pub fn remove(&self, path: impl AsRef<[u8]>) -> io::Result<()> {
        let (above, name) = split(path.as_ref());
        match rustix::fs::unlinkat(self.open_directory(above)?, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Removes a directory with everything in it, where there is one.
    ///
    /// # Errors
    /// Fails as openat2(2) and the removing do.
    pub fn remove_directory(&self, path: impl AsRef<[u8]>) -> io::Result<()> {
        use std::os::unix::ffi::OsStrExt;
        let (above, name) = split(path.as_ref());
        let above = self.open_directory(above)?;
        let place = PathBuf::from(format!("/proc/self/fd/{}", above.as_raw_fd()));
        match std::fs::remove_dir_all(place.join(std::ffi::OsStr::from_bytes(name))) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    fn open(&self, path: &[u8], flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = flags | OFlags::CLOEXEC;
        Ok(rustix::fs::openat2(&self.handle, path, flags, mode, ResolveFlags::IN_ROOT)?)
    }
}

/// The directory a path stands in, and its name there.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_leads_out() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let inside = Inside::new(&root).unwrap();
        symlink(directory.path(), root.join("absolute")).unwrap();
        symlink("../..", root.join("up")).unwrap();
        symlink("../other", root.join("file")).unwrap();
        assert!(inside.write("absolute/file", b"x", 0o644).is_err());
        for path in ["up/a", "file", "/../../b"] {
            inside.write(path, path.as_bytes(), 0o644).unwrap();
        }
        inside.make_directories("up/c/d").unwrap();
        inside.remove("up/a").unwrap();
        let names = |path: &Path| {
            let mut names: Vec<_> =
                std::fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(directory.path()), ["root"]);
        assert_eq!(names(&root), ["absolute", "b", "c", "file", "other", "up"]);
    }
}
