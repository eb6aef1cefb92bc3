//! Extended attributes: behind their inode, or once for all that have them.

use std::collections::BTreeMap;

use super::WriteError;
use crate::tree::{Node, TreePath};

/// The bytes before a file's attributes.
const HEADER: usize = 12;
/// An attribute that more files have than these is stored once.
const MOST_COPIES: usize = 2;

/// Prefixes of names that have a number: what follows them is stored. The whole name of an access control list is one.
const PREFIXES: [(&[u8], u8); 6] = [
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"lustre.", 5),
    (b"security.", 6),
];

/// The attributes of a tree's inodes.
pub(super) struct Attributes {
    /// What stands behind each inode; empty where it has none.
    pub(super) inline: Vec<Vec<u8>>,
    /// The attributes of several inodes.
    pub(super) shared: Vec<u8>,
}

/// Encodes the attributes of all inodes.
///
/// # Errors
/// Fails on names without a prefix that has a number, on names and values that are too long, and where a file has too
/// many.
pub(super) fn encode(nodes: &[(&TreePath, &Node)]) -> Result<Attributes, WriteError> {
    let mut entries: Vec<Vec<Vec<u8>>> = Vec::new();
    for (path, node) in nodes {
        let encoded = node.xattrs.iter().map(|(name, value)| entry(path, name, value));
        entries.push(encoded.collect::<Result<_, _>>()?);
    }
    let mut copies: BTreeMap<&[u8], usize> = BTreeMap::new();
    for entry in entries.iter().flatten() {
        *copies.entry(entry).or_default() += 1;
    }
    let mut shared = Vec::new();
    let mut ids: BTreeMap<&[u8], u32> = BTreeMap::new();
    for (entry, count) in copies {
        if count > MOST_COPIES {
            ids.insert(entry, u32::try_from(shared.len() / 4).map_err(|_| WriteError::Size)?);
            shared.extend(entry);
        }
    }
    let bodies = nodes.iter().zip(&entries).map(|((path, _), entries)| body(path, entries, &ids));
    let inline = bodies.collect::<Result<_, _>>()?;
    Ok(Attributes { inline, shared })
}

/// What stands behind one inode.
fn body(path: &TreePath, entries: &[Vec<u8>], ids: &BTreeMap<&[u8], u32>) -> Result<Vec<u8>, WriteError> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let shared: Vec<u32> = entries.iter().filter_map(|entry| ids.get(&entry[..]).copied()).collect();
    let many = || WriteError::Path { path: path.clone(), why: "it has too many extended attributes" };
    let mut body = vec![0; HEADER];
    body[4] = u8::try_from(shared.len()).map_err(|_| many())?;
    shared.iter().for_each(|id| body.extend(id.to_le_bytes()));
    entries.iter().filter(|entry| !ids.contains_key(&entry[..])).for_each(|entry| body.extend(entry));
    count(&body).map(|_| ()).ok_or_else(many)?;
    Ok(body)
}

/// How an inode counts the bytes of its attributes; none where they are too many.
pub(super) fn count(body: &[u8]) -> Option<u16> {
    if body.is_empty() { Some(0) } else { u16::try_from((body.len() - HEADER) / 4 + 1).ok() }
}

/// One attribute, whose length is a multiple of four.
fn entry(path: &TreePath, name: &[u8], value: &[u8]) -> Result<Vec<u8>, WriteError> {
    let refuse = |why| WriteError::Attribute {
        path: path.clone(),
        name: String::from_utf8_lossy(name).into_owned(),
        why,
    };
    let known = PREFIXES.iter().find_map(|&(prefix, index)| Some((index, name.strip_prefix(prefix)?)));
    let (index, rest) = known.ok_or_else(|| refuse("the format has no number for its prefix"))?;
    let is_list = matches!(index, 2 | 3);
    if is_list != rest.is_empty() {
        return Err(refuse("it has no name behind its prefix, or one where there is none"));
    }
    let length = u8::try_from(rest.len()).map_err(|_| refuse("its name has more than 255 bytes"))?;
    let size = u16::try_from(value.len()).map_err(|_| refuse("its value has more than 65535 bytes"))?;
    let mut entry = vec![length, index];
    entry.extend(size.to_le_bytes());
    entry.extend(rest);
    entry.extend(value);
    entry.resize(entry.len().next_multiple_of(4), 0);
    Ok(entry)
}
