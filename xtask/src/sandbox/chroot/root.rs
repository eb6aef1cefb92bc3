//! The root directory of a sandbox without mounts: what would be mounted is put there, and taken away at the end.
//!
//! What was in its place is moved beside the root meanwhile. Directories of the host that are written to are not put
//! anywhere: the [supervisor](super::supervise) leads to them.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps, linkat, mknodat, openat,
    openat2, utimensat,
};
use tempfile::TempDir;

use crate::sandbox::mounts::{LINKS, NODES};
use crate::sandbox::spec::{Bind, Spec};

/// The directories that every sandbox has for itself, with their modes.
const OWN: [(&str, u32); 5] =
    [("dev", 0o755), ("dev/pts", 0o755), ("dev/shm", 0o1777), ("run", 0o755), ("tmp", 0o1777)];
/// Those that are empty here: the supervisor leads to the host's.
const LED: [&str; 2] = ["proc", "sys"];

/// A root directory that is ready to be entered. Dropping it puts everything back.
pub(super) struct Root {
    /// It, without links in its path.
    pub path: PathBuf,
    descriptor: OwnedFd,
    /// What was moved away, where it was, and the times of the directory it was in.
    moved: Vec<Moved>,
    /// What was put there.
    put: Vec<PathBuf>,
    /// Where things lie that were moved away; the root itself, when it is a copy.
    beside: TempDir,
    times: Vec<(PathBuf, Timestamps)>,
}

struct Moved {
    from: PathBuf,
    to: PathBuf,
}

impl Root {
    /// Makes the root of `spec` ready.
    ///
    /// A root that must not change is a copy whose files are those of the original: what writes into a file that is
    /// there, and does not replace it, would change the original. Sandboxes that are read-only run tools, which write
    /// into their own directories.
    pub fn new(spec: &Spec) -> Result<Self> {
        let above = spec.root.parent().context("the root of a sandbox cannot be the host's")?;
        let beside = tempfile::Builder::new().prefix(".sandbox-").tempdir_in(above)?;
        let path = match spec.read_only {
            false => fs::canonicalize(&spec.root)?,
            true => {
                let path = fs::canonicalize(beside.path())?.join("root");
                copy(&spec.root, &path, true).context("could not make a copy of the root directory")?;
                path
            }
        };
        let descriptor =
            openat(CWD, &path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut root =
            Self { path, descriptor, moved: Vec::new(), put: Vec::new(), beside, times: Vec::new() };
        root.directories()?;
        root.devices()?;
        for bind in &spec.binds {
            root.show(bind).with_context(|| format!("could not show `{}`", bind.host.display()))?;
        }
        for (path, times) in &root.times {
            utimensat(CWD, path, times, AtFlags::empty())?;
        }
        Ok(root)
    }

    fn directories(&mut self) -> Result<()> {
        let path = self.path.clone();
        self.keep_times(&path)?;
        for (name, mode) in OWN {
            let path = self.path.join(name);
            if !name.contains('/') {
                self.move_away(&path)?;
                self.put.push(path.clone());
            }
            DirBuilder::new()
                .mode(mode)
                .create(&path)
                .with_context(|| format!("could not make `/{name}`"))?;
            fs::set_permissions(&path, Permissions::from_mode(mode))?;
        }
        for name in LED {
            let made = DirBuilder::new().mode(0o755).create(self.path.join(name));
            made.or_else(
                |error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) },
            )
            .with_context(|| format!("could not make `/{name}`"))?;
        }
        Ok(())
    }

    fn devices(&self) -> Result<()> {
        let directory = self.path.join("dev");
        for node in NODES {
            let Ok(device) = fs::metadata(Path::new("/dev").join(node)) else { continue };
            let path = directory.join(node);
            mknodat(CWD, &path, FileType::CharacterDevice, Mode::from_raw_mode(0o666), device.rdev())
                .with_context(|| format!("could not make the device `/dev/{node}`"))?;
            fs::set_permissions(&path, Permissions::from_mode(0o666))?;
        }
        File::options().write(true).open(directory.join("null")).with_context(|| {
            format!("devices below `{}` cannot be opened: is it mounted with `nodev`?", self.path.display())
        })?;
        for (name, to) in LINKS {
            symlink(to, directory.join(name)).with_context(|| format!("could not make `/dev/{name}`"))?;
        }
        Ok(())
    }

    /// Puts a file of the host, or a directory that is not written to, where it is seen.
    fn show(&mut self, bind: &Bind) -> Result<()> {
        let is_own = is_own(&bind.inside);
        let target = match self.resolve(&bind.inside) {
            Ok(target) => target,
            Err(_) if is_own => self.path.join(bind.inside.trim_start_matches('/')),
            Err(error) => return Err(error).with_context(|| format!("could not find `{}`", bind.inside)),
        };
        if is_own {
            fs::create_dir_all(target.parent().unwrap_or(&self.path))?;
        } else {
            let directory = target.parent().unwrap_or(&self.path).to_owned();
            self.keep_times(&directory)?;
            self.move_away(&target)?;
            self.put.push(target.clone());
        }
        if is_led(bind) {
            match bind.host.is_dir() {
                true => fs::create_dir(&target)?,
                false => drop(File::create(&target)?),
            }
            return Ok(());
        }
        // What is written to must be the file itself.
        copy(&bind.host, &target, !bind.read_only)
    }

    /// Where a path leads to in the root, as a path of the host.
    fn resolve(&self, inside: &str) -> io::Result<PathBuf> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let found = openat2(&self.descriptor, inside, flags, Mode::empty(), ResolveFlags::IN_ROOT)?;
        fs::read_link(format!("/proc/self/fd/{}", found.as_fd().as_raw_fd()))
    }

    fn move_away(&mut self, path: &Path) -> Result<()> {
        if fs::symlink_metadata(path).is_err() {
            return Ok(());
        }
        let to = self.beside.path().join(self.moved.len().to_string());
        fs::rename(path, &to).with_context(|| format!("could not move `{}` away", path.display()))?;
        self.moved.push(Moved { from: path.to_owned(), to });
        Ok(())
    }

    fn keep_times(&mut self, directory: &Path) -> Result<()> {
        if !self.times.iter().any(|(known, _)| known == directory) {
            self.times.push((directory.to_owned(), times(&fs::symlink_metadata(directory)?)));
        }
        Ok(())
    }

    /// Takes away what was put there, and moves back what was moved.
    ///
    /// # Errors
    /// Something is in the way.
    pub fn restore(mut self) -> Result<()> {
        self.put_back()
    }

    fn put_back(&mut self) -> Result<()> {
        // The command's own changes have times of their own, and keep them.
        let kept = |(path, kept): &(PathBuf, Timestamps)| {
            let now = fs::symlink_metadata(path).map(|now| times(&now));
            now.is_ok_and(|now| now.last_modification == kept.last_modification)
        };
        let unchanged: Vec<_> = std::mem::take(&mut self.times).into_iter().filter(kept).collect();
        for path in std::mem::take(&mut self.put).iter().rev() {
            remove(path)?;
        }
        for Moved { from, to } in std::mem::take(&mut self.moved).iter().rev() {
            fs::rename(to, from).with_context(|| format!("could not move `{}` back", from.display()))?;
        }
        for name in LED {
            let directory = self.path.join(name);
            let found = fs::symlink_metadata(&directory).ok().filter(Metadata::is_dir);
            let Some(kept) = found.map(|metadata| times(&metadata)) else { continue };
            for entry in fs::read_dir(&directory)? {
                remove(&entry?.path())?;
            }
            utimensat(CWD, &directory, &kept, AtFlags::empty())?;
        }
        for (path, times) in unchanged {
            utimensat(CWD, &path, &times, AtFlags::empty())?;
        }
        Ok(())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // After `restore` there is nothing left to do; where the command was not started, nothing was changed by it.
        let _ = self.put_back();
    }
}

/// Puts a link into a directory that is empty here, and is emptied at the end. `path` is one inside, and names it.
///
/// # Errors
/// Something is in the way, or the path is that of such a directory itself.
pub(super) fn put_link(root: &Path, path: &str, target: &Path) -> io::Result<()> {
    let mut names = path.split('/').skip(1).peekable();
    let led = root.join(names.next().filter(|name| LED.contains(name)).ok_or(io::ErrorKind::InvalidInput)?);
    names.peek().ok_or(io::ErrorKind::InvalidInput)?;
    let found = fs::symlink_metadata(&led)?;
    if !found.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let kept = times(&found);
    let mut link = led.clone();
    for name in names {
        if !fs::symlink_metadata(&link).is_ok_and(|metadata| metadata.is_dir()) {
            remove(&link)?;
            fs::create_dir(&link)?;
        }
        link.push(name);
    }
    if fs::read_link(&link).is_ok_and(|known| known == target) {
        return Ok(());
    }
    remove(&link)?;
    symlink(target, &link)?;
    Ok(utimensat(CWD, &led, &kept, AtFlags::empty())?)
}

/// Whether the supervisor leads to what is bound: a directory that is written to, or a file that is no program, where
/// nothing is covered. What is started must be there.
pub(super) fn is_led(bind: &Bind) -> bool {
    match fs::metadata(&bind.host) {
        Ok(metadata) if metadata.is_dir() => !bind.read_only,
        Ok(metadata) => is_own(&bind.inside) && metadata.permissions().mode() & 0o111 == 0,
        Err(_) => false,
    }
}

/// Whether a path is in a directory that every sandbox has for itself.
fn is_own(inside: &str) -> bool {
    ["/run/", "/tmp/", "/dev/"].iter().any(|own| inside.starts_with(own))
}

fn times(metadata: &Metadata) -> Timestamps {
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    Timestamps {
        last_access: time(metadata.atime(), metadata.atime_nsec()),
        last_modification: time(metadata.mtime(), metadata.mtime_nsec()),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

/// Copies a file or a directory with all that is below it. With `same`, files are not copied but have another name,
/// where the two places are in one file system.
fn copy(from: &Path, to: &Path, same: bool) -> Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_dir() {
        DirBuilder::new().mode(0o700).create(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()), same)?;
        }
        std::os::unix::fs::chown(to, Some(metadata.uid()), Some(metadata.gid()))?;
        fs::set_permissions(to, metadata.permissions())?;
        return Ok(utimensat(CWD, to, &times(&metadata), AtFlags::empty())?);
    }
    if same {
        return linkat(CWD, from, CWD, to, AtFlags::empty())
            .with_context(|| format!("could not give `{}` another name", from.display()));
    }
    if metadata.is_symlink() {
        return Ok(symlink(fs::read_link(from)?, to)?);
    }
    fs::copy(from, to).map(drop).with_context(|| format!("could not copy `{}`", from.display()))
}
