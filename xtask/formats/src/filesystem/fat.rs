//! FAT32, read into a tree as a whole: an ESP is small.

use std::io;

use super::{FileType, Metadata, Source};
use crate::tree::{Kind, Tree, TreePath};

pub(super) fn stat(tree: &Tree, path: &[u8]) -> Result<Metadata, Source> {
    let node = tree.get(&TreePath::new(path)).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let (kind, size) = match &node.kind {
        Kind::File(content) => (FileType::Regular, content.len()),
        _ => (FileType::Directory, 0),
    };
    Ok(Metadata { kind, mode: node.mode, uid: node.uid, gid: node.gid, size, mtime: node.mtime })
}

pub(super) fn names(tree: &Tree, path: &[u8]) -> Vec<Vec<u8>> {
    let name = |path: &TreePath| path.to_bytes().rsplit(|&byte| byte == b'/').next().map(<[u8]>::to_vec);
    tree.children(&TreePath::new(path)).filter_map(|(path, _)| name(path)).collect()
}

pub(super) fn content(tree: &Tree, path: &[u8]) -> Result<Vec<u8>, Source> {
    let content = tree.content(&TreePath::new(path));
    Ok(content.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?.read()?)
}
