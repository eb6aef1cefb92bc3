//! Files of one side by their paths, whatever holds them: a file system, or a tree in memory.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use bedplate_formats::filesystem::{self, FileType, Filesystem, Found, Metadata};
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};

/// Files by path, without a slash before; the root directory has the empty one.
#[derive(Debug)]
pub struct Holder {
    /// What they are called in a message: `the root of \`build/edge\``.
    what: String,
    files: Files,
    /// Whether it has every file there is. A plan has those that it generates.
    pub complete: bool,
}

#[derive(Debug)]
enum Files {
    Filesystem { filesystem: Box<Filesystem>, found: BTreeMap<Vec<u8>, Found> },
    Tree { tree: Tree, metadata: BTreeMap<Vec<u8>, Metadata> },
}

impl Holder {
    /// All files of a file system.
    ///
    /// # Errors
    /// It is damaged.
    pub fn of_filesystem(what: String, filesystem: Filesystem) -> Result<Self> {
        let found = filesystem.find_all().with_context(|| format!("cannot read {what}"))?;
        let found = found.into_iter().map(|found| (found.path.clone(), found)).collect();
        let files = Files::Filesystem { filesystem: Box::new(filesystem), found };
        Ok(Self { what, files, complete: true })
    }

    /// All files of a tree.
    pub fn of_tree(what: String, tree: Tree) -> Self {
        let metadata = tree.iter().map(|(path, node)| (path.to_bytes(), of_node(&tree, path, node)));
        let metadata = metadata.map(|(path, metadata)| (without_slash(&path), metadata)).collect();
        Self { what, files: Files::Tree { tree, metadata }, complete: true }
    }

    /// Every path, sorted.
    pub fn paths(&self) -> Box<dyn Iterator<Item = &[u8]> + '_> {
        match &self.files {
            Files::Filesystem { found, .. } => Box::new(found.keys().map(Vec::as_slice)),
            Files::Tree { metadata, .. } => Box::new(metadata.keys().map(Vec::as_slice)),
        }
    }

    /// What is known of a file; links are not followed.
    pub fn metadata(&self, path: &[u8]) -> Option<&Metadata> {
        match &self.files {
            Files::Filesystem { found, .. } => found.get(path).map(|found| &found.metadata),
            Files::Tree { metadata, .. } => metadata.get(path),
        }
    }

    /// A path through the links that each root has at its top: `bin/sh` is `usr/bin/sh`.
    pub fn real(&self, path: &[u8]) -> Vec<u8> {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let (top, rest) =
            path.iter().position(|&byte| byte == b'/').map_or((path, &[][..]), |at| path.split_at(at));
        let is_link = self.metadata(top).is_some_and(|metadata| metadata.kind == FileType::Symlink);
        match is_link && !rest.is_empty() {
            true => match self.content(top) {
                Ok(target) => [&*without_slash(&target), rest].concat(),
                Err(_) => path.to_vec(),
            },
            false => path.to_vec(),
        }
    }

    /// The files below a directory, at any depth, with what is known of them.
    pub fn below<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = (&'a str, &'a Metadata)> {
        let paths = self.paths().filter_map(|path| std::str::from_utf8(path).ok());
        let below =
            paths.filter(move |path| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/')));
        below.filter_map(|path| Some((path, self.metadata(path.as_bytes())?)))
    }

    /// All of a file, or the target of a link.
    ///
    /// # Errors
    /// It is damaged.
    pub fn content(&self, path: &[u8]) -> Result<Vec<u8>> {
        let read = || -> Result<Vec<u8>> {
            match &self.files {
                Files::Filesystem { filesystem, found } => {
                    Ok(filesystem.read(found.get(path).context("no such file")?)?)
                }
                Files::Tree { tree, .. } => {
                    let path = TreePath::new(path);
                    match &tree.get(&path).context("no such file")?.kind {
                        Kind::Symlink(target) => Ok(target.clone()),
                        _ => {
                            tree.content(&path).map_or_else(|| Ok(Vec::new()), |content| Ok(content.read()?))
                        }
                    }
                }
            }
        };
        read().with_context(|| format!("cannot read `/{}` of {}", String::from_utf8_lossy(path), self.what))
    }

    /// The text of a file, where there is one: what is no UTF-8 in it is shown as `�`.
    ///
    /// # Errors
    /// It is damaged.
    pub fn text(&self, path: &str) -> Result<Option<String>> {
        match self.metadata(path.as_bytes()) {
            Some(metadata) if metadata.kind == FileType::Regular => {
                Ok(Some(String::from_utf8_lossy(&self.content(path.as_bytes())?).into_owned()))
            }
            _ => Ok(None),
        }
    }

    /// Whether the file at a path has the same content in both.
    ///
    /// # Errors
    /// One of them is damaged.
    pub fn same_content(&self, other: &Self, path: &[u8]) -> Result<bool> {
        if let (
            Files::Filesystem { filesystem, found },
            Files::Filesystem { filesystem: theirs, found: their_found },
        ) = (&self.files, &other.files)
            && let (Some(found), Some(their_found)) = (found.get(path), their_found.get(path))
        {
            let same = filesystem::same_content((filesystem, found), (theirs, their_found));
            return same.with_context(|| format!("cannot compare {} and {}", self.what, other.what));
        }
        Ok(self.content(path)? == other.content(path)?)
    }
}

/// The path of a tree's node without the slash it may have before.
fn without_slash(path: &[u8]) -> Vec<u8> {
    path.strip_prefix(b"/").unwrap_or(path).to_vec()
}

fn of_node(tree: &Tree, path: &TreePath, node: &Node) -> Metadata {
    let (kind, size) = match &node.kind {
        Kind::Directory => (FileType::Directory, 0),
        Kind::Symlink(target) => (FileType::Symlink, target.len() as u64),
        Kind::CharDevice(..) => (FileType::CharDevice, 0),
        Kind::BlockDevice(..) => (FileType::BlockDevice, 0),
        Kind::Fifo => (FileType::Fifo, 0),
        Kind::File(_) | Kind::Hardlink(_) => {
            (FileType::Regular, tree.content(path).map_or(0, bedplate_formats::tree::Content::len))
        }
    };
    Metadata { kind, mode: node.mode, uid: node.uid, gid: node.gid, size, mtime: node.mtime }
}
