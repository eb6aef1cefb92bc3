//! What programs have changed of a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use anyhow::Result;
use bedplate_formats::tree::{Content, Kind, Node, Tree, TreePath};
use fs_err as fs;

use super::write::{self, Names, Stamp};

/// Marks a directory of which nothing below shows, with `userxattr`.
const OPAQUE: &[u8] = b"user.overlay.opaque";
/// What an overlay keeps its own attributes under.
const OVERLAY: &[u8] = b"user.overlay.";
/// Where a sandbox has mounts of its own.
const MOUNTS: [&[u8]; 5] = [b"dev", b"proc", b"run", b"sys", b"tmp"];
/// The files of a cached layer.
const TREE: &str = "tree";
const WRITTEN: &str = "written";
const REMOVED: &str = "removed";

/// What is to be done to a tree so that it is as programs have left it.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// What takes the place of what is there.
    pub written: BTreeMap<TreePath, Node>,
    /// What goes, with everything below it.
    pub removed: BTreeSet<TreePath>,
}

impl Changes {
    /// Whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written.is_empty() && self.removed.is_empty()
    }

    /// Makes them in a tree.
    pub fn apply(&self, tree: &mut Tree) {
        for path in &self.removed {
            tree.remove(path);
        }
        for (path, node) in &self.written {
            tree.insert(path.clone(), node.clone());
        }
    }

    /// Keeps what `keep` says.
    pub fn retain(&mut self, keep: impl Fn(&TreePath) -> bool) {
        self.written.retain(|path, _| keep(path));
        self.removed.retain(keep);
    }

    /// Moves the contents to a directory that lives longer than the one they were made in.
    ///
    /// # Errors
    /// Fails as renaming does.
    pub fn rescue(&mut self, directory: &Path) -> io::Result<()> {
        for (number, node) in self.written.values_mut().enumerate() {
            let Kind::File(Content::File { path, .. }) = &mut node.kind else { continue };
            if path.starts_with(directory.parent().unwrap_or(directory)) {
                let to = directory.join(number.to_string());
                fs::rename(&path, &to)?;
                *path = to.into();
            }
        }
        Ok(())
    }

    /// Reads what is different in `directory` from what was `written` there of `tree`.
    pub(super) fn read(
        directory: &Path,
        written: &BTreeMap<TreePath, Stamp>,
        tree: &Tree,
    ) -> io::Result<Self> {
        let found = Tree::scan(directory)?;
        let mut changes = Self::default();
        for path in written.keys().filter(|path| !found.contains(path) && is_of_the_image(path)) {
            changes.removed.insert(path.clone());
        }
        for (path, node) in found.iter().filter(|(path, _)| is_of_the_image(path)) {
            if matches!(node.kind, Kind::CharDevice(0, 0)) {
                changes.removed.extend(tree.contains(path).then(|| path.clone()));
                continue;
            }
            if node.xattrs.contains_key(OPAQUE) {
                let hidden = tree.children(path).map(|(child, _)| child);
                changes.removed.extend(hidden.filter(|child| !found.contains(child)).cloned());
            }
            let stamp = Stamp::of(&path.below(directory).symlink_metadata()?);
            if node.is_directory() || written.get(path) != Some(&stamp) {
                let node = without_overlay(node);
                if let Some(node) = changed(tree, path, node)? {
                    changes.written.insert(path.clone(), node);
                }
            }
        }
        let removed = std::mem::take(&mut changes.removed);
        let is_top = |path: &&TreePath| path.parent().is_none_or(|above| !removed.contains(&above));
        changes.removed = removed.iter().filter(is_top).cloned().collect();
        Ok(changes)
    }

    /// Writes them into an empty directory of the cache. `tree` is the one they were made of.
    ///
    /// # Errors
    /// A content that is gone, a disk that is full.
    pub fn save(&self, tree: &Tree, directory: &Path) -> Result<()> {
        let mut tree = tree.clone();
        self.apply(&mut tree);
        let mut paths: BTreeSet<TreePath> = self.written.keys().cloned().collect();
        paths.insert(TreePath::root());
        for path in self.written.keys() {
            let mut above = path.parent();
            while let Some(path) = above.filter(|path| !paths.contains(path)) {
                above = path.parent();
                paths.insert(path);
            }
        }
        let nodes = directory.join(TREE);
        fs::create_dir(&nodes)?;
        write::write(&tree, &paths, &nodes, Names::Together)?;
        fs::write(directory.join(WRITTEN), list(self.written.keys()))?;
        fs::write(directory.join(REMOVED), list(&self.removed))?;
        Ok(())
    }

    /// Reads what [`Changes::save`] wrote.
    ///
    /// # Errors
    /// Fails as reading the directory does.
    pub fn load(directory: &Path) -> io::Result<Self> {
        let nodes = Tree::scan(&directory.join(TREE))?;
        let paths = |name: &str| -> io::Result<Vec<TreePath>> {
            let list = fs::read(directory.join(name))?;
            Ok(list.split(|&byte| byte == 0).filter(|path| !path.is_empty()).map(TreePath::new).collect())
        };
        let node = |path: TreePath| nodes.get(&path).cloned().map(|node| (path, node));
        let written = paths(WRITTEN)?.into_iter().filter_map(node).collect();
        Ok(Self { written, removed: paths(REMOVED)?.into_iter().collect() })
    }
}

fn list<'a>(paths: impl IntoIterator<Item = &'a TreePath>) -> Vec<u8> {
    paths.into_iter().flat_map(|path| [path.to_bytes(), vec![0]].concat()).collect()
}

fn is_of_the_image(path: &TreePath) -> bool {
    path.components().next().is_none_or(|first| !MOUNTS.contains(&first))
}

fn without_overlay(node: &Node) -> Node {
    let mut node = node.clone();
    node.xattrs.retain(|name, _| !name.starts_with(OVERLAY));
    node
}

/// The node, where it is not what the tree has. A time alone is no change: programs open files to write what is in
/// them already.
fn changed(tree: &Tree, path: &TreePath, node: Node) -> io::Result<Option<Node>> {
    let Some(was) = tree.get(path) else { return Ok(Some(node)) };
    let attributes = |node: &Node| (node.mode, node.uid, node.gid);
    let unchanged = attributes(was) == attributes(&node) && was.xattrs == node.xattrs;
    match (&was.kind, &node.kind) {
        // Its time is that of its last entry: of the build, whoever made that.
        (Kind::Directory, Kind::Directory) => Ok((!unchanged).then_some(Node { mtime: was.mtime, ..node })),
        (Kind::Symlink(one), Kind::Symlink(other)) if unchanged && one == other => Ok(None),
        (Kind::File(one), Kind::File(other)) if same(one, other)? => {
            let kind = Kind::File(one.clone());
            Ok((!unchanged).then_some(Node { kind, mtime: was.mtime, ..node }))
        }
        (Kind::Hardlink(one), Kind::Hardlink(other)) if unchanged && one == other => Ok(None),
        _ => Ok(Some(node)),
    }
}

fn same(one: &Content, other: &Content) -> io::Result<bool> {
    Ok(one.len() == other.len() && one.read()? == other.read()?)
}
