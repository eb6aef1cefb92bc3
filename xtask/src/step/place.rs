//! Where a path of the description lands in a tree: the one rule for overlays, files, units, homes and binds.
//!
//! The root is what its packages made it. A path goes through the links to directories that they made, inside of
//! the root, so that `lib/udev` lands in `/usr/lib/udev`; it never replaces one kind of object by another.

use std::fmt;

use bedplate_formats::tree::{Kind, Node, Tree, TreePath};

/// Directories that are in memory on the device, and empty at every boot.
pub const IN_MEMORY: [&str; 5] = ["dev", "proc", "run", "sys", "tmp"];
/// How many links a path may lead through, as for the kernel.
const LINKS: usize = 40;

/// Why a path leads nowhere that a file can be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Astray {
    /// Something on the way is no directory.
    ThroughFile(TreePath),
    /// A link on the way leads to nothing.
    Dangling {
        /// The link.
        link: TreePath,
        /// Where it leads.
        target: String,
    },
    /// Links on the way lead in a circle.
    Loop(TreePath),
    /// It ends below a directory that is in memory on the device.
    InMemory(TreePath),
}

impl fmt::Display for Astray {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ThroughFile(path) => write!(out, "`{path}` is a file in the image, and no directory"),
            Self::Dangling { link, target } => {
                write!(out, "the link `{link}` leads to `{target}`, which is not in the image")
            }
            Self::Loop(path) => write!(out, "the links from `{path}` on lead in a circle"),
            Self::InMemory(path) => {
                write!(out, "`{path}` is in memory on the device, and empty at every boot")
            }
        }
    }
}

/// The path with the links of all its directories followed; its last part stays as it is, link or not.
///
/// # Errors
/// Why nothing can be put there.
pub fn entry(tree: &Tree, path: &TreePath) -> Result<TreePath, Astray> {
    let (Some(parent), Some(name)) = (path.parent(), path.name()) else { return Ok(TreePath::root()) };
    let parent = directory(tree, &parent)?;
    match memory(&parent) {
        Some(memory) => Err(Astray::InMemory(memory)),
        None => Ok(parent.join(name)),
    }
}

/// The path with all its links followed, the last one too: a directory, or one that can be made.
///
/// # Errors
/// Why no directory can be there.
pub fn directory(tree: &Tree, path: &TreePath) -> Result<TreePath, Astray> {
    let mut pending: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
    let mut at = TreePath::root();
    // The last link that was followed, how much of the path was left behind it, and what it said.
    let mut behind: Option<(TreePath, usize, String)> = None;
    let mut links = 0;
    while let Some(name) = pending.pop() {
        if name == b".." {
            at = at.parent().unwrap_or_default();
            continue;
        }
        let next = at.join(&name);
        match tree.get(&next).map(|node| &node.kind) {
            Some(Kind::Symlink(target)) => {
                links += 1;
                if links > LINKS {
                    return Err(Astray::Loop(path.clone()));
                }
                behind = Some((next, pending.len(), String::from_utf8_lossy(target).into_owned()));
                if target.first() == Some(&b'/') {
                    at = TreePath::root();
                }
                pending.extend(TreePath::new(target).components().rev().map(<[u8]>::to_vec));
            }
            Some(Kind::Directory) => at = next,
            Some(_) => return Err(Astray::ThroughFile(next)),
            None => match behind.take() {
                // What a link leads to has to be there, unless it is in memory: then that is the reason.
                Some((link, left, target)) if pending.len() >= left => {
                    return Err(match memory(&next) {
                        Some(memory) => Astray::InMemory(memory),
                        None => Astray::Dangling { link, target },
                    });
                }
                _ => at = next,
            },
        }
    }
    Ok(at)
}

/// True for a directory that is in memory on the device, and all below it.
pub fn is_in_memory(path: &TreePath) -> bool {
    memory(path).is_some()
}

/// The directory in memory that this path is, or is below.
fn memory(path: &TreePath) -> Option<TreePath> {
    IN_MEMORY.iter().map(TreePath::new).find(|memory| path.starts_with(memory))
}

/// Why a node must not be put at a path of the tree: it would change what kind of object is there.
pub fn conflict(tree: &Tree, path: &TreePath, node: &Node) -> Option<String> {
    let there = tree.get(path)?;
    let leads = |target: &[u8]| String::from_utf8_lossy(target).into_owned();
    match (&there.kind, &node.kind) {
        (Kind::Directory, Kind::Directory) => None,
        (Kind::Directory, new) => {
            Some(format!("`{path}` is a directory in the image, and not {}", article(new)))
        }
        (Kind::Symlink(target), new) => {
            let is_directory = tree.resolve(path).is_some_and(|(_, node)| node.is_directory());
            match new {
                Kind::Symlink(new) if !is_directory || same(tree, path, new) => None,
                Kind::Directory => Some(format!("`{path}` is a link to `{}` in the image", leads(target))),
                _ if is_directory => {
                    Some(format!("`{path}` is a link to the directory `{}` in the image", leads(target)))
                }
                _ => None,
            }
        }
        (old, Kind::Directory) => {
            Some(format!("`{path}` is {} in the image, and no directory", article(old)))
        }
        _ => None,
    }
}

/// Whether another target of the link leads to the same directory.
fn same(tree: &Tree, link: &TreePath, target: &[u8]) -> bool {
    let from =
        if target.first() == Some(&b'/') { TreePath::root() } else { link.parent().unwrap_or_default() };
    let to = |path: &TreePath| tree.resolve(path).map(|(path, _)| path);
    to(&from.join(target)).is_some_and(|new| Some(new) == to(link))
}

fn article(kind: &Kind) -> &'static str {
    match kind {
        Kind::Directory => "a directory",
        Kind::Symlink(_) => "a link",
        _ => "a file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::new();
        for directory in ["usr/lib", "usr/bin", "var/mail", "var/spool", "run", "etc"] {
            tree.insert(directory.into(), Node::directory(0o755));
        }
        for (link, target) in [
            ("lib", "usr/lib"),
            ("bin", "usr/bin"),
            ("var/run", "/run"),
            ("var/lock", "/run/lock"),
            ("var/spool/mail", "../mail"),
            ("gone", "/nowhere/at/all"),
            ("round", "round"),
            ("etc/mtab", "../proc/self/mounts"),
        ] {
            tree.insert(link.into(), Node::symlink(target));
        }
        tree.insert("etc/motd".into(), Node::file("", 0o644));
        tree
    }

    /// case 1
    #[test]
    fn a_path_goes_through_the_links_of_the_root() {
        let tree = tree();
        let lands = |path: &str| entry(&tree, &path.into()).map_err(|astray| astray.to_string());
        assert_eq!(lands("lib/udev/rules.d/99-x.rules"), Ok("usr/lib/udev/rules.d/99-x.rules".into()));
        assert_eq!(lands("var/spool/mail/alice"), Ok("var/mail/alice".into()));
        assert_eq!(lands("new/x"), Ok("new/x".into()));
        assert_eq!(lands("bin"), Ok("bin".into()));
        assert_eq!(directory(&tree, &"bin".into()), Ok("usr/bin".into()));
    }

    #[test]
    fn a_path_that_leads_nowhere_tells_why() {
        let tree = tree();
        let why = |path: &str| entry(&tree, &path.into()).unwrap_err().to_string();
        assert!(why("var/run/agent/x").starts_with("`/run` is in memory"));
        assert!(why("var/lock/agent/x").starts_with("`/run` is in memory"));
        assert!(why("tmp/x").starts_with("`/tmp` is in memory"));
        assert!(why("etc/motd/x").starts_with("`/etc/motd` is a file"));
        assert_eq!(why("gone/x"), "the link `/gone` leads to `/nowhere/at/all`, which is not in the image");
        assert!(why("round/x").contains("in a circle"));
    }

    #[test]
    fn no_object_becomes_one_of_another_kind() {
        let tree = tree();
        let (file, directory) = (Node::file("", 0o644), Node::directory(0o755));
        let refused = |path: &str, node: &Node| conflict(&tree, &path.into(), node).is_some();
        assert!(refused("bin", &file) && refused("usr", &file) && refused("etc/motd", &directory));
        assert!(refused("etc", &Node::symlink("/local/etc")) && refused("bin", &Node::symlink("/opt/bin")));
        assert!(refused("bin", &directory), "an overlay goes through it, and does not put it there");
        assert!(!refused("bin", &Node::symlink("/usr/bin")), "the same link again");
        assert!(!refused("etc/motd", &file) && !refused("etc/mtab", &file) && !refused("new", &file));
        assert!(!refused("etc/motd", &Node::symlink("/local/motd")));
    }
}
