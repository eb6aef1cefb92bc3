//! Programs of the image that change its tree, each with its result in the cache.

use std::path::Path;

use anyhow::{Context as _, Result};
use bedplate_core::Plan;
use bedplate_formats::tree::{Content, Kind, Node, Tree, TreePath};
use camino::Utf8Path;

use super::scratch::{Base, Changes, Scratch};
use super::sysprep;
use super::system::Quiet;
use crate::key::Key;
use crate::sandbox::Sandbox;
use crate::store::Store;

/// What programs leave behind that is no part of an image, where no package brings it.
const LEAVINGS: [&str; 6] = [
    "etc/.pwd.lock",
    "usr/sbin/policy-rc.d",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/triggers/Lock",
    "root/.rnd",
];

/// What a step needs to run programs of the image on its tree.
#[derive(Clone, Copy)]
pub struct Inside<'a> {
    /// Where results are kept.
    pub store: &'a Store,
    /// The plan, for its lines.
    pub plan: &'a Plan,
    /// The directory that paths in the description start from.
    pub project: &'a Utf8Path,
    /// The cached system.
    pub base: Base<'a>,
    /// What the cached system was made of.
    pub key: &'a str,
    /// `SOURCE_DATE_EPOCH`, in seconds since 1970.
    pub epoch: i64,
}

impl<'a> Inside<'a> {
    /// A key of a kind of result, begun with the system.
    #[must_use]
    pub fn key(&self, kind: &str) -> Key {
        let mut key = Key::new(kind);
        key.add(self.key);
        key.add(self.epoch.to_le_bytes());
        key
    }

    /// Makes in `tree` what `work` changes of it, which must depend on what is in the key alone.
    ///
    /// # Errors
    /// Those of `work`, and of reading and writing the cache.
    pub fn cached(
        &self,
        kind: &str,
        key: Key,
        tree: &mut Tree,
        work: impl FnOnce(&Self, &Tree) -> Result<Changes>,
    ) -> Result<Changes> {
        let layer = self.store.layer_or_make(kind, &key.finish(), |directory| {
            let mut shown = tree.clone();
            sysprep::clamp_mtimes(&mut shown, self.epoch);
            work(self, &shown)?.save(&shown, directory)
        })?;
        let mut changes =
            Changes::load(&layer).context("cannot read what was changed of the image's tree")?;
        self.clamp(&mut changes);
        changes.apply(tree);
        Ok(changes)
    }

    /// Runs programs on a tree whose times are clamped, and returns what they have changed of it.
    ///
    /// # Errors
    /// Those of `work`, and of writing and reading back the tree.
    pub fn changes(&self, tree: &Tree, work: impl FnOnce(&Sandbox) -> Result<()>) -> Result<Changes> {
        let mut shown = tree.clone();
        let policy = TreePath::new("usr/sbin/policy-rc.d");
        if !shown.contains(&policy) {
            shown.insert(policy, Node::file("#!/bin/sh\nexit 101\n", 0o755));
        }
        let scratch = Scratch::new(self.store, self.base, &shown)?;
        let sandbox = scratch.sandbox().env("SOURCE_DATE_EPOCH", &self.epoch.to_string());
        let quiet = Quiet::new(&self.store.temporary()?, sandbox)?;
        work(&quiet.of_tree(&shown)?)?;
        let mut changes = scratch.changes(&shown)?;
        changes.retain(|path| {
            tree.contains(path) || !LEAVINGS.iter().any(|leaving| TreePath::new(leaving) == *path)
        });
        changes.removed.remove(&TreePath::new("usr/sbin/policy-rc.d"));
        sysprepped(&mut changes);
        self.clamp(&mut changes);
        // The directory goes now, and large results stay on disk.
        changes.rescue(&self.store.temporary()?)?;
        Ok(changes)
    }

    fn clamp(&self, changes: &mut Changes) {
        for node in changes.written.values_mut() {
            node.mtime = node.mtime.min(self.epoch);
        }
    }
}

/// Adds nodes of a tree to a key: paths, attributes and contents. What lies in the cache is known by its path there.
///
/// # Errors
/// A content that cannot be read.
pub fn add_to<'a>(
    key: &mut Key,
    store: &Store,
    tree: &Tree,
    paths: impl IntoIterator<Item = &'a TreePath>,
) -> Result<()> {
    for path in paths {
        let Some(node) = tree.get(path) else {
            key.add(path.to_bytes());
            key.add("gone");
            continue;
        };
        key.add(path.to_bytes());
        key.add(format!("{:o} {}:{} {:?}", node.mode, node.uid, node.gid, node.xattrs));
        match &node.kind {
            Kind::Symlink(target) => key.add(target),
            Kind::Directory => key.add("directory"),
            _ => match tree.content(path) {
                Some(content) => match within(content, store.root()) {
                    // The key of its entry is in it, and the place of the cache is not.
                    Some(path) => key.add(path.as_os_str().as_encoded_bytes()),
                    None => key.add(content.read()?),
                },
                None => key.add("special"),
            },
        }
    }
    Ok(())
}

/// The path of a content in a directory that it lies in.
fn within<'a>(content: &'a Content, directory: &Path) -> Option<&'a Path> {
    match content {
        Content::File { path, .. } => path.strip_prefix(directory).ok(),
        Content::Bytes(_) => None,
    }
}

/// Takes out what would be sysprepped.
fn sysprepped(changes: &mut Changes) {
    let mut tree = Tree::new();
    for (path, node) in &changes.written {
        let node =
            if matches!(node.kind, Kind::Hardlink(_)) { Node::file("", node.mode) } else { node.clone() };
        tree.insert(path.clone(), node);
    }
    sysprep::sysprep(&mut tree);
    changes.written.retain(|path, _| tree.contains(path));
}
