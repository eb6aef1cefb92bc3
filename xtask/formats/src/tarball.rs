//! A directory as one compressed file, and back: owners, modes, times, hard links and extended attributes come back as
//! they went in, for root and in a user namespace alike.
//!
//! Equal directories give equal bytes. Both ways the contents are streamed: no file is in memory whole.
//!
//! Invariant: nothing outside of the directory is written. What stands above an entry is a directory that the same
//! archive has made, never a link.
//!
//! Deliberately absent: devices, which an ordinary user cannot make, and sockets.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::num::NonZero;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::deb::{Entry, EntryKind, entries};
use crate::tar;
use crate::tree::{self, Kind, Tree, TreePath};

/// Levels beyond it take longer than is saved on the way.
const LEVEL: i32 = 3;
/// Frames of more than this are not read back: a window of 128 MiB.
const WINDOW_LOG: u32 = 27;

/// Writes everything in a directory as one tar archive, compressed by zstd.
///
/// # Errors
/// A device in it; what reading it or the output says, with the path.
pub fn pack(directory: &Path, output: impl Write) -> io::Result<()> {
    write(&Tree::scan(directory)?, output)
}

/// Writes a tree as [`pack`] does.
///
/// # Errors
/// As [`pack`].
pub fn write(tree: &Tree, output: impl Write) -> io::Result<()> {
    let device = |kind: &Kind| matches!(kind, Kind::CharDevice(..) | Kind::BlockDevice(..));
    if let Some((path, _)) = tree.iter().find(|(_, node)| device(&node.kind)) {
        return Err(invalid(format!("`{path}` is a device")));
    }
    let mut encoder = zstd::Encoder::new(output, LEVEL)?;
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(4);
    encoder.multithread(u32::try_from(threads).unwrap_or(1))?;
    encoder.include_checksum(true)?;
    tar::write(tree, &mut encoder)?;
    encoder.finish()?.flush()
}

/// Makes in an empty directory what [`pack`] wrote of another one.
///
/// # Errors
/// Damage; an entry that another program would have to have made; what the disk says, with the path. The directory is
/// then half filled.
pub fn unpack(input: impl Read, directory: &Path) -> io::Result<()> {
    unpack_around(input, directory, &[], i64::MAX)
}

/// The same around `files`, pairs of a path and of where a file of that file system is now, which are moved into the
/// archive's directories. What has a time of `new` or later, in seconds since 1970, has that of now.
///
/// # Errors
/// As [`unpack`], and where the archive has another directory in the place of a file's.
pub fn unpack_around(
    input: impl Read,
    directory: &Path,
    files: &[(TreePath, PathBuf)],
    new: i64,
) -> io::Result<()> {
    let mut decoder = zstd::Decoder::new(input)?;
    decoder.window_log_max(WINDOW_LOG)?;
    let mut made = Made {
        root: directory,
        directories: Vec::new(),
        known: BTreeSet::new(),
        files: BTreeSet::new(),
        new,
    };
    made.known.insert(TreePath::root());
    entries::read(&mut decoder, &|error| error, |entry, content| {
        let path = TreePath::new(&entry.path);
        made.entry(&path, &entry, content).map_err(at(&path))?;
        if entry.kind == EntryKind::Directory {
            made.directories.push((path, entry));
        }
        Ok::<_, io::Error>(())
    })?;
    for (path, file) in files {
        if path.parent().is_none_or(|above| !made.known.contains(&above)) {
            return Err(invalid(format!("`{path}`: nothing is the directory above it")));
        }
        std::fs::rename(file, path.below(directory)).map_err(at(path))?;
    }
    // What is made in a directory changes its time, and its mode may forbid to make anything in it.
    for (path, entry) in made.directories.iter().rev() {
        finish(entry, &path.below(directory), new).map_err(at(path))?;
    }
    Ok(())
}

/// What there is of a directory so far.
struct Made<'a> {
    root: &'a Path,
    /// In the order they were made.
    directories: Vec<(TreePath, Entry)>,
    /// The paths of directories.
    known: BTreeSet<TreePath>,
    /// The paths of regular files.
    files: BTreeSet<TreePath>,
    /// The times from here on are not given.
    new: i64,
}

impl Made<'_> {
    fn entry(&mut self, path: &TreePath, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let host = path.below(self.root);
        if path.components().any(|name| name == b"." || name == b"..") {
            return Err(invalid("a path that climbs"));
        }
        if let Some(above) = path.parent()
            && !self.known.contains(&above)
        {
            return Err(invalid("nothing before it is the directory above it"));
        }
        match &entry.kind {
            EntryKind::Directory => {
                if path.parent().is_some() {
                    std::fs::create_dir(&host)?;
                }
                self.known.insert(path.clone());
                return Ok(());
            }
            EntryKind::File { .. } => {
                // A new file: what stands there is written over by nobody.
                io::copy(content, &mut File::create_new(&host)?)?;
                self.files.insert(path.clone());
            }
            EntryKind::Symlink(target) => {
                use std::os::unix::ffi::OsStrExt as _;
                symlink(std::ffi::OsStr::from_bytes(target), &host)?;
            }
            EntryKind::Hardlink(first) => {
                let first = TreePath::new(first);
                if !self.files.contains(&first) {
                    return Err(invalid("a further name of a file that is not before it"));
                }
                return std::fs::hard_link(first.below(self.root), &host);
            }
            EntryKind::Other(b'6') => mknodat(CWD, &host, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?,
            EntryKind::Other(letter) => {
                return Err(invalid(format!("an entry of type `{}`", letter.escape_ascii())));
            }
        }
        finish(entry, &host, self.new)
    }
}

/// Gives owner, mode, attributes and time to what was made.
fn finish(entry: &Entry, host: &Path, new: i64) -> io::Result<()> {
    let mode = (!matches!(entry.kind, EntryKind::Symlink(_))).then_some(entry.mode);
    tree::give(host, (entry.uid, entry.gid), mode, &entry.xattrs)?;
    if entry.mtime < new { tree::set_time(host, entry.mtime) } else { Ok(()) }
}

/// An error at a path.
fn at(path: &TreePath) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("`{path}`: {error}"))
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;
    use crate::tree::Node;
    use rustix::fs::{AtFlags, Timespec, Timestamps, utimensat};

    fn packed(directory: &Path) -> Vec<u8> {
        let mut bytes = Vec::new();
        pack(directory, &mut bytes).unwrap();
        bytes
    }

    /// An archive that [`pack`] would not write.
    fn forged(nodes: &[(&str, Node)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut builder = ::tar::Builder::new(&mut bytes);
        for (path, node) in nodes {
            let mut header = ::tar::Header::new_gnu();
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_mode(node.mode);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(0);
            let (kind, link) = match &node.kind {
                Kind::Directory => (::tar::EntryType::Directory, None),
                Kind::Symlink(target) => (::tar::EntryType::Symlink, Some(target.clone())),
                Kind::Hardlink(first) => (::tar::EntryType::Link, Some(first.to_bytes())),
                Kind::CharDevice(..) => (::tar::EntryType::Char, None),
                _ => (::tar::EntryType::Regular, None),
            };
            header.set_entry_type(kind);
            if let Some(link) = link {
                header.as_old_mut().linkname[..link.len()].copy_from_slice(&link);
            }
            header.set_cksum();
            builder.append(&header, &[][..]).unwrap();
        }
        builder.finish().unwrap();
        drop(builder);
        zstd::encode_all(&bytes[..], 1).unwrap()
    }

    #[test]
    fn a_directory_comes_back_as_it_went_in() {
        let directory = tempfile::tempdir().unwrap();
        let from = directory.path().join("from");
        let closed = from.join("closed");
        std::fs::create_dir_all(&closed).unwrap();
        std::fs::write(from.join("long".repeat(50)), vec![7; 300_000]).unwrap();
        std::fs::write(closed.join("first"), "twice").unwrap();
        std::fs::hard_link(closed.join("first"), closed.join("second")).unwrap();
        std::fs::write(from.join("suid"), "").unwrap();
        std::fs::set_permissions(from.join("suid"), std::fs::Permissions::from_mode(0o4755)).unwrap();
        symlink("/nowhere", from.join("link")).unwrap();
        mknodat(CWD, from.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let time = Timespec { tv_sec: 1_700_000_000, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, from.join("link"), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        utimensat(CWD, &closed, &times, AtFlags::empty()).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o500)).unwrap();
        let bytes = packed(&from);
        let to = directory.path().join("to");
        std::fs::create_dir(&to).unwrap();
        unpack(&bytes[..], &to).unwrap();
        let shown = |root: &Path| {
            let tree = Tree::scan(root).unwrap();
            tree.iter()
                .map(|(path, node)| {
                    let content = tree.content(path).map(|content| content.read().unwrap());
                    let kind = std::mem::discriminant(&node.kind);
                    format!(
                        "{path} {kind:?} {:o} {} {} {} {:?}",
                        node.mode, node.uid, node.gid, node.mtime, content
                    )
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(&to), shown(&from));
        assert_eq!(to.join("closed/second").metadata().unwrap().nlink(), 2);
        assert_eq!(packed(&to), bytes);
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::set_permissions(to.join("closed"), std::fs::Permissions::from_mode(0o700)).unwrap();
    }

    #[test]
    fn nothing_outside_is_written() {
        let top = || ("./", Node::directory(0o755));
        let file = || Node::file("", 0o644);
        let device = Node { kind: Kind::CharDevice(1, 3), ..file() };
        let link = |to: &str| Node { kind: Kind::Hardlink(TreePath::new(to)), ..file() };
        let cases: [(&[(&str, Node)], &str); 6] = [
            (&[top(), ("./up", Node::symlink("..")), ("./up/a", file())], "`/up/a`: nothing before it"),
            (&[top(), ("./a/b", file())], "`/a/b`: nothing before it"),
            (&[top(), ("./x/../../a", file())], "climbs"),
            (&[top(), ("./a", link("../../etc/passwd"))], "`/a`: a further name"),
            (&[top(), ("./a", device)], "`/a`: an entry of type `3`"),
            (&[top(), ("./a", file()), ("./a", file())], "`/a`: "),
        ];
        for (nodes, expected) in cases {
            let directory = tempfile::tempdir().unwrap();
            let inner = directory.path().join("inner");
            std::fs::create_dir(&inner).unwrap();
            let error = unpack(&forged(nodes)[..], &inner).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn damage_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), vec![3; 100_000]).unwrap();
        let bytes = packed(directory.path());
        let mut changed = bytes.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        for bytes in [&bytes[..bytes.len() - 1], &bytes[..10], &changed, b"", b"not compressed"] {
            let to = tempfile::tempdir().unwrap();
            assert!(unpack(bytes, to.path()).is_err());
        }
    }
}
