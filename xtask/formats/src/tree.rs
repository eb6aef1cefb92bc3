//! An in-memory file tree: the one structure the bytes of an image flow through.
//!
//! A package is a tree, the system is a tree, the initrd is a tree cut out of
//! the system, the ESP is a tree; file systems and archives are functions from
//! a tree to bytes. Paths are bytes, because packages carry names that are not
//! UTF-8, and are kept sorted, so equal trees give equal bytes.
//!
//! Invariant: every node but the root has a parent in the tree, and the parent
//! is a directory. Symbolic links are never followed here.

mod path;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, lsetxattr, utimensat,
};

pub use self::path::TreePath;

/// What a regular file holds: bytes in memory, or a file of the host.
#[derive(Clone, Debug)]
pub enum Content {
    /// Bytes in memory, shared between clones.
    Bytes(Arc<[u8]>),
    /// A file of the host that does not change while the tree lives.
    File {
        /// Where it lies.
        path: Arc<Path>,
        /// Its length in bytes.
        len: u64,
    },
}

impl Content {
    /// The length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a length in bytes, not a collection")]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// Fails as opening the host's file does.
    pub fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(match self {
            Self::Bytes(bytes) => Box::new(&bytes[..]),
            Self::File { path, .. } => Box::new(File::open(path)?),
        })
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// Fails as opening and reading the host's file does.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.to_vec()),
            Self::File { path, .. } => std::fs::read(path),
        }
    }
}

impl<T: Into<Vec<u8>>> From<T> for Content {
    fn from(bytes: T) -> Self {
        Self::Bytes(bytes.into().into())
    }
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link with its target as written.
    Symlink(Vec<u8>),
    /// One more name of the regular file at this path, which sorts before it.
    Hardlink(TreePath),
    /// A character device: major, minor.
    CharDevice(u32, u32),
    /// A block device: major, minor.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// One entry of a tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with set-id and sticky: `0o7777` at most.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, in seconds since 1970.
    pub mtime: i64,
    /// Extended attributes by full name (`security.capability`).
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Node {
    fn of(kind: Kind, mode: u32) -> Self {
        Self { kind, mode, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new() }
    }

    /// A directory of root's.
    pub fn directory(mode: u32) -> Self {
        Self::of(Kind::Directory, mode)
    }

    /// A regular file of root's.
    pub fn file(content: impl Into<Content>, mode: u32) -> Self {
        Self::of(Kind::File(content.into()), mode)
    }

    /// A symbolic link.
    pub fn symlink(target: impl Into<Vec<u8>>) -> Self {
        Self::of(Kind::Symlink(target.into()), 0o777)
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory)
    }
}

/// A file tree. See the module for its invariant.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: BTreeMap<TreePath, Node>,
    /// The further names of each file that has any. `None` where a node was
    /// lent to be changed since; then made anew when it is needed.
    names: Option<BTreeMap<TreePath, BTreeSet<TreePath>>>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: BTreeMap::from([(TreePath::root(), Node::directory(0o755))]), names: None }
    }
}

impl Tree {
    /// A tree of only a root directory, root's, mode 0755.
    pub fn new() -> Self {
        Self::default()
    }

    /// The node at a path.
    pub fn get(&self, path: &TreePath) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The node at a path, to change its metadata or content.
    pub fn get_mut(&mut self, path: &TreePath) -> Option<&mut Node> {
        self.names = None;
        self.nodes.get_mut(path)
    }

    /// Whether something stands at a path.
    pub fn contains(&self, path: &TreePath) -> bool {
        self.nodes.contains_key(path)
    }

    /// Puts a node at a path, in place of what is there, and makes the
    /// directories above it (root's, 0755) where they are missing. A directory
    /// put over a directory keeps what is below it; anything else takes the
    /// place of everything below.
    pub fn insert(&mut self, path: TreePath, node: Node) {
        if !(node.is_directory() && self.get(&path).is_some_and(Node::is_directory)) {
            self.remove(&path);
        }
        let mut missing = Vec::new();
        let mut above = path.parent();
        while let Some(directory) = above.filter(|path| !self.get(path).is_some_and(Node::is_directory)) {
            above = directory.parent();
            missing.push(directory);
        }
        // Outermost first: what is in the way of one has nothing below it yet.
        for directory in missing.into_iter().rev() {
            self.remove(&directory);
            self.nodes.insert(directory, Node::directory(0o755));
        }
        if matches!(node.kind, Kind::Hardlink(_)) {
            self.names = None;
        }
        self.nodes.insert(path, node);
    }

    /// Takes a node and everything below it out. A hard link whose first name
    /// goes takes over the content.
    pub fn remove(&mut self, path: &TreePath) -> Option<Node> {
        let below: Vec<TreePath> = self.below(path).map(|(p, _)| p.clone()).collect();
        let mut removed = None;
        for path in below.into_iter().rev() {
            removed = self.nodes.remove(&path);
            match &removed {
                Some(Node { kind: Kind::File(content), .. }) => self.rename_hardlinks(&path, content.clone()),
                Some(Node { kind: Kind::Hardlink(first), .. }) => {
                    if let Some(names) = self.names.as_mut().and_then(|names| names.get_mut(first)) {
                        names.remove(&path);
                    }
                }
                _ => {}
            }
        }
        removed
    }

    /// Gives the content to the first of the remaining names, and points the
    /// others at it.
    fn rename_hardlinks(&mut self, gone: &TreePath, content: Content) {
        let names = self.names.get_or_insert_with(|| further_names(&self.nodes));
        let Some(mut remaining) = names.remove(gone) else { return };
        let Some(first) = remaining.pop_first() else { return };
        for name in &remaining {
            if let Some(node) = self.nodes.get_mut(name) {
                node.kind = Kind::Hardlink(first.clone());
            }
        }
        if let Some(node) = self.nodes.get_mut(&first) {
            node.kind = Kind::File(content);
        }
        names.insert(first, remaining);
    }

    /// Every node, sorted by path: a directory before what it holds.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Node)> {
        self.nodes.iter()
    }

    /// Every node, to change metadata or content.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&TreePath, &mut Node)> {
        self.names = None;
        self.nodes.iter_mut()
    }

    /// A node and everything below it, sorted by path.
    pub fn below<'a>(&'a self, path: &'a TreePath) -> impl Iterator<Item = (&'a TreePath, &'a Node)> {
        self.nodes.range(path..).take_while(move |(p, _)| p.starts_with(path))
    }

    /// The names directly in a directory.
    pub fn children<'a>(&'a self, path: &'a TreePath) -> impl Iterator<Item = (&'a TreePath, &'a Node)> {
        let mut next = self.nodes.range((Bound::Excluded(path), Bound::Unbounded)).next();
        std::iter::from_fn(move || {
            let child = next.filter(|(child, _)| child.starts_with(path))?;
            next = self.nodes.range(child.0.behind()..).next();
            Some(child)
        })
    }

    /// How many nodes there are, the root among them.
    #[expect(clippy::len_without_is_empty, reason = "a tree always holds its root")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Follows symbolic links, absolute ones from the tree's root, until a node
    /// that is none. `None` where nothing stands there, or after 40 links.
    pub fn resolve(&self, path: &TreePath) -> Option<(TreePath, &Node)> {
        let mut pending: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        let mut at = TreePath::root();
        let mut links = 0;
        while let Some(name) = pending.pop() {
            if name == b".." {
                at = at.parent().unwrap_or_default();
                continue;
            }
            let next = at.join(&name);
            match &self.nodes.get(&next)?.kind {
                Kind::Symlink(target) => {
                    links += 1;
                    if links > 40 {
                        return None;
                    }
                    if target.first() == Some(&b'/') {
                        at = TreePath::root();
                    }
                    pending.extend(TreePath::new(target).components().rev().map(<[u8]>::to_vec));
                }
                _ => at = next,
            }
        }
        let node = self.nodes.get(&at)?;
        Some((at, node))
    }

    /// The content of a regular file, through symbolic and hard links.
    pub fn content(&self, path: &TreePath) -> Option<&Content> {
        let (_, node) = self.resolve(path)?;
        match &node.kind {
            Kind::File(content) => Some(content),
            Kind::Hardlink(first) => self.content(first),
            _ => None,
        }
    }

    /// Reads a directory of the host with everything below it. Regular files
    /// stay where they are and are opened when they are needed; sockets are
    /// left out. Where one file has several names, the first in order holds it.
    ///
    /// # Errors
    /// Fails as walking the directory does, naming the path.
    pub fn scan(directory: &Path) -> io::Result<Self> {
        let mut found = below(directory, TreePath::root())?;
        let mut inodes = BTreeMap::new();
        for Found { path, node, inode } in &mut found {
            let Some(inode) = inode else { continue };
            match inodes.get(inode) {
                Some(first) => node.kind = Kind::Hardlink(TreePath::clone(first)),
                None => drop(inodes.insert(*inode, path.clone())),
            }
        }
        let nodes = found.into_iter().map(|Found { path, node, .. }| (path, node)).collect();
        Ok(Self { nodes, names: None })
    }
}

/// What a scan has found.
struct Found {
    path: TreePath,
    node: Node,
    /// Device and number of a file with more than one name.
    inode: Option<(u64, u64)>,
}

/// A file, and all that is below it, read by all cores.
fn below(host: &Path, path: TreePath) -> io::Result<Vec<Found>> {
    let place = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", host.display()));
    let Some(found) = found(host, path.clone()).map_err(place)? else { return Ok(Vec::new()) };
    let is_directory = matches!(found.node.kind, Kind::Directory);
    let mut all = vec![found];
    if is_directory {
        let mut names = std::fs::read_dir(host)
            .and_then(|entries| entries.map(|e| Ok(e?.file_name())).collect::<io::Result<Vec<_>>>())
            .map_err(place)?;
        // Sorted as paths are, so that the first name met is the first in order.
        names.sort();
        let below = |name: OsString| below(&host.join(&name), path.join(name.as_bytes()));
        let parts: Vec<Vec<Found>> = names.into_par_iter().map(below).collect::<io::Result<_>>()?;
        all.extend(parts.into_iter().flatten());
    }
    Ok(all)
}

/// A file; nothing of a socket.
fn found(host: &Path, path: TreePath) -> io::Result<Option<Found>> {
    let meta = std::fs::symlink_metadata(host)?;
    let device = || (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
    let kind = match meta.mode() & 0o170_000 {
        0o040_000 => Kind::Directory,
        0o100_000 => Kind::File(Content::File { path: host.into(), len: meta.len() }),
        0o120_000 => Kind::Symlink(std::fs::read_link(host)?.as_os_str().as_bytes().to_vec()),
        0o020_000 => Kind::CharDevice(device().0, device().1),
        0o060_000 => Kind::BlockDevice(device().0, device().1),
        0o010_000 => Kind::Fifo,
        _ => return Ok(None),
    };
    let has_names = matches!(kind, Kind::File(_)) && meta.nlink() > 1;
    let node = Node {
        kind,
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        mtime: meta.mtime(),
        xattrs: xattrs(host)?,
    };
    Ok(Some(Found { path, node, inode: has_names.then(|| (meta.dev(), meta.ino())) }))
}

/// The names of each file but its first.
fn further_names(nodes: &BTreeMap<TreePath, Node>) -> BTreeMap<TreePath, BTreeSet<TreePath>> {
    let mut names: BTreeMap<TreePath, BTreeSet<TreePath>> = BTreeMap::new();
    for (path, node) in nodes {
        if let Kind::Hardlink(first) = &node.kind {
            names.entry(first.clone()).or_default().insert(path.clone());
        }
    }
    names
}

/// Gives a file, or a link itself, its owner, its mode where it has one, and extended attributes.
///
/// # Errors
/// As the system calls.
pub fn give(
    host: &Path,
    (uid, gid): (u32, u32),
    mode: Option<u32>,
    xattrs: &BTreeMap<Vec<u8>, Vec<u8>>,
) -> io::Result<()> {
    // The owner first: changing it takes set-id bits and capabilities away.
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    chownat(CWD, host, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if let Some(mode) = mode {
        chmodat(CWD, host, Mode::from_raw_mode(mode), AtFlags::empty())?;
    }
    for (name, value) in xattrs {
        lsetxattr(host, name.as_slice(), value, XattrFlags::empty())?;
    }
    Ok(())
}

/// Gives a file, or a link itself, its time in seconds since 1970.
///
/// # Errors
/// As the system call.
pub fn set_time(host: &Path, seconds: i64) -> io::Result<()> {
    Ok(utimensat(CWD, host, &timestamps(seconds), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// A modification time to the second; the access time is the same, so that
/// nothing of the clock remains.
pub(crate) fn timestamps(seconds: i64) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// The extended attributes of a file that belong in an image.
fn xattrs(host: &Path) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut list = [0u8; 4096];
    let length = match rustix::fs::llistxattr(host, &mut list[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => 0,
        Err(e) => return Err(e.into()),
    };
    let mut found = BTreeMap::new();
    for name in list[..length].split(|&b| b == 0).filter(|n| !n.is_empty()) {
        // What the host's own security modules put on a file is not the image's.
        if name == b"security.selinux" || name.starts_with(b"trusted.") {
            continue;
        }
        let mut value = vec![0u8; 65536];
        let length = rustix::fs::lgetxattr(host, name, &mut value[..])?;
        value.truncate(length);
        found.insert(name.to_vec(), value);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::new();
        tree.insert("/usr/lib/a".into(), Node::file("a", 0o644));
        tree.insert("/lib".into(), Node::symlink("usr/lib"));
        tree.insert(
            "/usr/lib/z".into(),
            Node { kind: Kind::Hardlink("/usr/lib/a".into()), ..Node::file("", 0o644) },
        );
        tree
    }

    #[test]
    fn what_is_below_sorts_directly_after_its_directory() {
        let mut tree = Tree::new();
        tree.insert("/a/x".into(), Node::file("", 0o644));
        tree.insert("/a-b".into(), Node::file("", 0o644));
        let paths: Vec<String> = tree.iter().map(|(p, _)| p.to_string()).collect();
        assert_eq!(paths, ["/", "/a", "/a/x", "/a-b"]);
    }

    #[test]
    fn links_are_followed_inside_the_tree() {
        let mut tree = tree();
        tree.insert("/etc/abs".into(), Node::symlink("/../lib/z"));
        assert_eq!(tree.content(&"/etc/abs".into()).unwrap().read().unwrap(), b"a");
        tree.insert("/loop".into(), Node::symlink("loop"));
        assert!(tree.resolve(&"/loop".into()).is_none());
    }

    #[test]
    fn a_second_name_outlives_the_first() {
        let mut tree = tree();
        tree.remove(&"/usr/lib/a".into());
        assert_eq!(tree.content(&"/usr/lib/z".into()).unwrap().read().unwrap(), b"a");
    }

    #[test]
    fn whichever_names_go_the_last_one_has_the_content() {
        let names = ["a/1", "a/2", "b/1", "b/2"];
        let link = Node { kind: Kind::Hardlink("a/1".into()), ..Node::file("", 0o644) };
        for last in names {
            let mut tree = Tree::new();
            tree.insert("a/1".into(), Node::file("kept", 0o644));
            names[1..].iter().for_each(|name| tree.insert(name.into(), link.clone()));
            for (index, gone) in names.iter().filter(|name| **name != last).enumerate() {
                match index {
                    // In each way a name can go.
                    0 => drop(tree.remove(&gone.into())),
                    1 => tree.insert(gone.into(), Node::directory(0o755)),
                    _ => tree.insert(TreePath::new(gone).join("below"), Node::file("", 0o644)),
                }
            }
            assert_eq!(tree.content(&last.into()).unwrap().read().unwrap(), b"kept", "{last}");
            let files = tree.iter().filter(|(_, node)| matches!(&node.kind, Kind::File(c) if c.len() == 4));
            assert_eq!(files.count(), 1);
        }
    }

    #[test]
    fn what_is_in_the_way_of_a_directory_goes() {
        let mut tree = Tree::new();
        tree.insert("a".into(), Node::file("", 0o644));
        tree.insert("a/b/c/d".into(), Node::file("", 0o644));
        let paths: Vec<String> = tree.iter().map(|(p, _)| p.to_string()).collect();
        assert_eq!(paths, ["/", "/a", "/a/b", "/a/b/c", "/a/b/c/d"]);
        assert!(tree.get(&"a".into()).unwrap().is_directory());
    }

    #[test]
    fn children_are_the_names_directly_in_a_directory() {
        let mut tree = tree();
        tree.insert("usr/lib-x/deep/er".into(), Node::file("", 0o644));
        let children =
            |path: &str| tree.children(&path.into()).map(|(p, _)| p.to_string()).collect::<Vec<_>>();
        assert_eq!(children(""), ["/lib", "/usr"]);
        assert_eq!(children("usr"), ["/usr/lib", "/usr/lib-x"]);
        assert_eq!(children("usr/lib"), ["/usr/lib/a", "/usr/lib/z"]);
        assert!(children("lib").is_empty());
    }

    #[test]
    fn a_file_takes_the_place_of_a_directory() {
        let mut tree = tree();
        tree.insert("/usr".into(), Node::file("", 0o644));
        assert_eq!(tree.len(), 3);
    }

    #[test]
    fn a_scan_keeps_names_that_are_not_utf8_and_hard_links() {
        let directory = tempfile::tempdir().unwrap();
        let odd = directory.path().join(OsStr::from_bytes(b"b\xff"));
        std::fs::write(&odd, "x").unwrap();
        std::fs::hard_link(&odd, directory.path().join("a")).unwrap();
        let tree = Tree::scan(directory.path()).unwrap();
        assert!(matches!(tree.get(&"a".into()).unwrap().kind, Kind::File(_)));
        assert!(
            matches!(&tree.get(&TreePath::new(b"b\xff")).unwrap().kind, Kind::Hardlink(p) if *p == "a".into())
        );
    }
}
