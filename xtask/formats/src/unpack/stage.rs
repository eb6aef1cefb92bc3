//! Decompressing a package into a directory of numbered files.
//!
//! What no package may hold is refused here, before anything is put in place.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};
use rayon::iter::{ParallelBridge, ParallelIterator};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, XattrFlags};

use super::UnpackError;
use crate::deb::{self, Control, DebError, Entry, EntryKind};
use crate::digest::hex;
use crate::tree::timestamps;

/// How much is written at once, in bytes.
const BUFFER: usize = 128 << 10;

/// A package whose files lie in a staging directory, each with its owner, mode,
/// time and attributes.
#[derive(Debug)]
pub struct Staged {
    /// The package's control files.
    pub control: Control,
    pub(super) directory: PathBuf,
    pub(super) entries: Vec<StagedEntry>,
}

#[derive(Debug)]
pub(super) struct StagedEntry {
    /// With a path that has neither empty components nor `.` nor `..`.
    pub entry: Entry,
    /// The name of a regular file, or of one more link to it, in the directory.
    pub file: Option<String>,
}

/// A package that is to be unpacked.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its file.
    pub deb: PathBuf,
    /// A file with what its file tree was decompressed to. It is read in place of decompressing when it is there, and
    /// written when it is not; where that fails it is not there.
    pub kept: Option<PathBuf>,
}

impl From<PathBuf> for Package {
    /// Decompressed, and not kept.
    fn from(deb: PathBuf) -> Self {
        Self { deb, kept: None }
    }
}

/// Decompresses packages in parallel, the biggest first, each into a directory
/// of its own below `staging`. The order of the result is that of `packages`.
///
/// # Errors
/// As [`stage`]; which of several errors is returned is not determined.
pub fn stage_all(packages: &[Package], staging: &Path) -> Result<Vec<Staged>, UnpackError> {
    let mut order = Vec::new();
    for (index, Package { deb, .. }) in packages.iter().enumerate() {
        let size = deb.metadata().map_err(UnpackError::at(deb))?.len();
        order.push((std::cmp::Reverse(size), index));
    }
    order.sort_unstable();
    // A bridge hands them out one by one; a split would give one thread all the big ones.
    let mut staged: Vec<(usize, Staged)> = order
        .into_iter()
        .par_bridge()
        .map(|(_, index)| {
            let name = packages[index].deb.file_name().unwrap_or_default();
            Ok((index, stage(&packages[index], &staging.join(name))?))
        })
        .collect::<Result<_, UnpackError>>()?;
    staged.sort_unstable_by_key(|(index, _)| *index);
    Ok(staged.into_iter().map(|(_, staged)| staged).collect())
}

/// Decompresses a package into a new directory.
///
/// # Errors
/// What is wrong with the package, what it may not hold, and what the disk says.
pub fn stage(package: &Package, directory: &Path) -> Result<Staged, UnpackError> {
    let Package { deb, kept } = package;
    let known = kept.as_deref().and_then(|kept| File::open(kept).ok());
    let mut keep = Keep::new(kept.as_deref().filter(|_| known.is_none()));
    if let Some(mut decoder) = known.and_then(|file| zstd::Decoder::new(file).ok()) {
        if let Ok(staged) = stage_from(deb, directory, Archive::Kept(&mut decoder)) {
            return Ok(staged);
        }
        // It is damaged, or the package is: that tells. What stays of it is in the way, and told.
        let _ = std::fs::remove_dir_all(directory);
    }
    let staged = stage_from(deb, directory, Archive::Deb(&mut keep))?;
    keep.finish();
    Ok(staged)
}

/// What a file tree is read from.
enum Archive<'a> {
    /// From the package, and written here.
    Deb(&'a mut dyn Write),
    /// From here.
    Kept(&'a mut dyn Read),
}

/// Compresses what is decompressed, a little: it is read ten times as fast as an xz, and half as long as it was.
struct Keep<'a> {
    /// None where it is not to be kept.
    path: Option<&'a Path>,
    /// None, too, where it cannot be written, which is no reason not to go on.
    encoder: Option<zstd::Encoder<'static, File>>,
}

impl<'a> Keep<'a> {
    /// zstd's fast levels are negative. 5 takes half as long as 1, for a quarter more.
    const LEVEL: i32 = -5;

    fn new(path: Option<&'a Path>) -> Self {
        let encoder = |path| {
            let mut encoder = zstd::Encoder::new(File::create(path)?, Self::LEVEL)?;
            encoder.include_checksum(true)?;
            Ok::<_, io::Error>(encoder)
        };
        Self { path, encoder: path.and_then(|path| encoder(path).ok()) }
    }

    /// Ends the file. One that is not whole is removed.
    fn finish(self) {
        let whole = self.encoder.is_some_and(|encoder| encoder.finish().is_ok());
        if let Some(path) = self.path.filter(|_| !whole) {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Write for Keep<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.encoder.as_mut().is_some_and(|encoder| encoder.write_all(bytes).is_err()) {
            self.encoder = None;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stage_from(deb: &Path, directory: &Path, archive: Archive<'_>) -> Result<Staged, UnpackError> {
    let file = File::open(deb).map_err(UnpackError::at(deb))?;
    std::fs::create_dir_all(directory).map_err(UnpackError::at(directory))?;
    let handle = File::open(directory).map_err(UnpackError::at(directory))?;
    let mut stage = Stage {
        package: deb.display().to_string(),
        directory,
        handle,
        files: HashMap::new(),
        entries: Vec::new(),
        buffer: vec![0; BUFFER],
    };
    let mut package = String::new();
    let named = |control: &Control| {
        control.package().clone_into(&mut package);
        Ok(())
    };
    let entry = |entry, content: &mut dyn Read| stage.entry(entry, content);
    let control = match archive {
        Archive::Deb(keep) => deb::read_keeping(file, named, entry, keep),
        Archive::Kept(kept) => deb::read_kept(file, kept, named, entry),
    };
    let mut control = control.map_err(|failed| match failed {
        Failed::Deb(source) => UnpackError::Deb { path: deb.to_owned(), source },
        Failed::Unpack(error) => error.of(package),
    })?;
    if control.file("md5sums").is_none() {
        control.complete_md5sums(md5sums(directory, &stage.entries)?);
    }
    Ok(Staged { control, directory: directory.to_owned(), entries: stage.entries })
}

/// What dpkg writes of a package that has no `md5sums`: every regular file, conffiles and hard links among them, in
/// the order of the archive (`write_filehash_except` in dpkg's `filesdb-hash.c`).
fn md5sums(directory: &Path, entries: &[StagedEntry]) -> Result<Vec<u8>, UnpackError> {
    let mut lines = Vec::new();
    for StagedEntry { entry, file } in entries {
        let Some(file) = file else { continue };
        let path = directory.join(file);
        let mut hasher = Md5::new();
        File::open(&path)
            .and_then(|mut file| io::copy(&mut file, &mut hasher))
            .map_err(UnpackError::at(&path))?;
        lines.extend(hex(&hasher.finalize()).bytes().chain(*b"  "));
        lines.extend(entry.path.iter().chain(b"\n"));
    }
    Ok(lines)
}

/// An error of the package or of its unpacking.
enum Failed {
    Deb(DebError),
    Unpack(UnpackError),
}

impl From<DebError> for Failed {
    fn from(error: DebError) -> Self {
        Self::Deb(error)
    }
}

impl UnpackError {
    /// Names the package in an error that could not yet.
    fn of(mut self, name: String) -> Self {
        match &mut self {
            Self::ClimbsOut { package, .. }
            | Self::LineFeed { package, .. }
            | Self::Special { package, .. }
            | Self::SetId { package, .. }
            | Self::Hardlink { package, .. } => *package = name,
            _ => {}
        }
        self
    }
}

struct Stage<'a> {
    package: String,
    directory: &'a Path,
    handle: File,
    /// The numbered file of each path, for the hard links to it.
    files: HashMap<Vec<u8>, String>,
    entries: Vec<StagedEntry>,
    buffer: Vec<u8>,
}

impl Stage<'_> {
    fn entry(&mut self, mut entry: Entry, content: &mut dyn Read) -> Result<(), Failed> {
        entry.path = self.path(&entry.path).map_err(Failed::Unpack)?;
        self.check(&entry).map_err(Failed::Unpack)?;
        let name = self.entries.len().to_string();
        let file = match &entry.kind {
            EntryKind::File { .. } => {
                self.write(&name, &entry, content).map_err(|e| self.failed(&name, e))?;
                Some(name)
            }
            EntryKind::Hardlink(target) => {
                self.link(&name, &entry, target)?;
                Some(name)
            }
            _ => None,
        };
        if let Some(name) = &file {
            self.files.insert(entry.path.clone(), name.clone());
        }
        self.entries.push(StagedEntry { entry, file });
        Ok(())
    }

    /// Drops empty components and `.`, and refuses `..`.
    fn path(&self, path: &[u8]) -> Result<Vec<u8>, UnpackError> {
        let shown = || path.escape_ascii().to_string();
        if path.contains(&b'\n') {
            return Err(UnpackError::LineFeed { package: self.package.clone(), path: shown() });
        }
        let parts = path.split(|&b| b == b'/').filter(|p| !p.is_empty() && *p != b".");
        let parts: Vec<&[u8]> = parts.collect();
        if parts.iter().any(|p| *p == b"..") {
            return Err(UnpackError::ClimbsOut { package: self.package.clone(), path: shown() });
        }
        Ok(parts.join(&b'/'))
    }

    fn check(&self, entry: &Entry) -> Result<(), UnpackError> {
        let package = self.package.clone();
        let path = format!("/{}", String::from_utf8_lossy(&entry.path));
        match &entry.kind {
            EntryKind::File { .. } if entry.mode & 0o6000 != 0 && entry.mode & 0o002 != 0 => {
                Err(UnpackError::SetId { package, path })
            }
            EntryKind::Other(letter) => {
                let what = match letter {
                    b'3' => "character device".to_owned(),
                    b'4' => "block device".to_owned(),
                    b'6' => "named pipe".to_owned(),
                    b'S' => "sparse file".to_owned(),
                    letter => format!("tar entry of type `{}`", letter.escape_ascii()),
                };
                Err(UnpackError::Special { package, path, what })
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, name: &str, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        loop {
            match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(n) => file.write_all(&self.buffer[..n])?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        // The owner first: changing it takes set-id bits and capabilities away.
        rustix::fs::fchown(&file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode))?;
        for (name, value) in &entry.xattrs {
            rustix::fs::fsetxattr(&file, name.as_slice(), value, XattrFlags::empty())?;
        }
        rustix::fs::futimens(&file, &timestamps(entry.mtime))?;
        Ok(())
    }

    fn link(&self, name: &str, entry: &Entry, target: &[u8]) -> Result<(), Failed> {
        let target_path = self.path(target).map_err(Failed::Unpack)?;
        let Some(first) = self.files.get(&target_path) else {
            return Err(Failed::Unpack(UnpackError::Hardlink {
                package: self.package.clone(),
                path: format!("/{}", String::from_utf8_lossy(&entry.path)),
                target: String::from_utf8_lossy(target).into_owned(),
            }));
        };
        rustix::fs::linkat(&self.handle, first.as_str(), &self.handle, name, AtFlags::empty())
            .map_err(|e| self.failed(name, e.into()))
    }

    fn failed(&self, name: &str, source: io::Error) -> Failed {
        Failed::Unpack(UnpackError::Io { path: self.directory.join(name), source })
    }
}
