//! Writes nodes of a tree into a directory of the host.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bedplate_formats::tree::{self, Content, Kind, Node, Tree, TreePath};
use fs_err as fs;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::io::Errno;

/// What tells whether a file was changed: every change moves its `ctime`, which nobody can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    changed: (i64, i64),
}

impl Stamp {
    pub fn of(metadata: &Metadata) -> Self {
        Self { inode: metadata.ino(), changed: (metadata.ctime(), metadata.ctime_nsec()) }
    }
}

/// What becomes of the several names of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// They stay names of one file.
    Together,
    /// Each is a file, as it is once a program has changed it in an overlay.
    Apart,
}

/// Writes the nodes at `paths`, among which are the directories above each, into the empty `directory`.
pub(super) fn write(
    tree: &Tree,
    paths: &BTreeSet<TreePath>,
    directory: &Path,
    names: Names,
) -> Result<BTreeMap<TreePath, Stamp>> {
    let nodes: Vec<(&TreePath, &Node)> =
        paths.iter().filter_map(|path| Some((path, tree.get(path)?))).collect();
    for (path, node) in &nodes {
        let host = path.below(directory);
        let first = |first: &TreePath| {
            (names == Names::Together && paths.contains(first)).then(|| first.below(directory))
        };
        make(tree, node, &host, first).with_context(|| format!("cannot write `{path}`"))?;
    }
    // A directory's time is that of what was last made in it.
    for (path, node) in nodes.iter().rev() {
        set_time(&path.below(directory), node.mtime).with_context(|| format!("cannot write `{path}`"))?;
    }
    let stamp = |(path, _): &(&TreePath, &Node)| {
        let metadata = path.below(directory).symlink_metadata().ok()?;
        Some(((*path).clone(), Stamp::of(&metadata)))
    };
    Ok(nodes.iter().filter_map(stamp).collect())
}

/// Sets every time after `epoch` below a directory to it: what shows a tree of it then has to write only what differs.
///
/// # Errors
/// Fails as walking the directory does.
pub fn clamp_times(directory: &Path, epoch: i64) -> Result<()> {
    for (path, _) in Tree::scan(directory)?.iter().filter(|(_, node)| node.mtime > epoch) {
        set_time(&path.below(directory), epoch)
            .with_context(|| format!("cannot set the time of `{path}`"))?;
    }
    Ok(())
}

/// Hides what is below in an overlay.
pub(super) fn whiteouts(paths: &BTreeSet<TreePath>, directory: &Path) -> Result<()> {
    for path in paths {
        let host = path.below(directory);
        mknodat(CWD, &host, FileType::CharacterDevice, Mode::empty(), 0)
            .with_context(|| format!("cannot hide `{path}`"))?;
    }
    Ok(())
}

fn make(tree: &Tree, node: &Node, host: &Path, linked: impl Fn(&TreePath) -> Option<PathBuf>) -> Result<()> {
    match &node.kind {
        Kind::Directory if host.is_dir() => {}
        Kind::Directory => fs::create_dir(host)?,
        Kind::File(content) => copy(content, host)?,
        Kind::Symlink(target) => symlink(std::ffi::OsStr::from_bytes(target), host)?,
        Kind::Hardlink(first) => match linked(first) {
            Some(first) => return Ok(fs::hard_link(first, host)?),
            None => copy(tree.content(first).context("its content is gone")?, host)?,
        },
        Kind::CharDevice(major, minor) => special(host, FileType::CharacterDevice, makedev(*major, *minor))?,
        Kind::BlockDevice(major, minor) => special(host, FileType::BlockDevice, makedev(*major, *minor))?,
        Kind::Fifo => special(host, FileType::Fifo, 0)?,
    }
    if host.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    let mode = (!matches!(node.kind, Kind::Symlink(_))).then_some(node.mode);
    Ok(tree::give(host, (node.uid, node.gid), mode, &node.xattrs)?)
}

/// A copy, since a program may write into the file itself.
fn copy(content: &Content, host: &Path) -> io::Result<()> {
    match content {
        Content::Bytes(bytes) => fs::write(host, bytes),
        Content::File { path, .. } => fs::copy(path.as_ref(), host).map(drop),
    }
}

/// An ordinary user may make no device: it is left out, as it is in the system he builds.
fn special(host: &Path, kind: FileType, device: u64) -> rustix::io::Result<()> {
    match mknodat(CWD, host, kind, Mode::RUSR | Mode::WUSR, device) {
        Err(Errno::PERM) => Ok(()),
        made => made,
    }
}

fn set_time(host: &Path, seconds: i64) -> io::Result<()> {
    match tree::set_time(host, seconds) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        set => set,
    }
}
