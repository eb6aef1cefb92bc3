//! What one tree has and another has not, as a tree that is laid over the other.

use std::collections::BTreeSet;

use bedplate_formats::tree::{Content, Kind, Node, Tree, TreePath};

/// The nodes of `tree` that are not the same in `base`, with the directories
/// above them; laid over `base` they give `tree`. `None` where that cannot be:
/// something is gone, is of another kind, or is one of a file's several names.
pub(super) fn since(base: &Tree, tree: &Tree) -> Option<Tree> {
    if base.iter().any(|(path, _)| !tree.contains(path)) {
        return None;
    }
    let several_names: BTreeSet<_> = base.iter().filter_map(|(_, node)| hardlinked(node)).collect();
    let mut changes = Tree::new();
    changes.insert("".into(), tree.get(&"".into())?.clone());
    for (path, node) in tree.iter() {
        match base.get(path) {
            Some(was) if same(was, node) => continue,
            Some(was) if !can_replace(was, node) => return None,
            _ if several_names.contains(path) || hardlinked(node).is_some() => return None,
            _ => {}
        }
        let mut above = path.parent();
        let mut missing = Vec::new();
        while let Some(directory) = above.filter(|directory| !changes.contains(directory)) {
            above = directory.parent();
            missing.push(directory);
        }
        for directory in missing.into_iter().rev() {
            let node = tree.get(&directory)?.clone();
            changes.insert(directory, node);
        }
        changes.insert(path.clone(), node.clone());
    }
    Some(changes)
}

fn hardlinked(node: &Node) -> Option<&TreePath> {
    match &node.kind {
        Kind::Hardlink(first) => Some(first),
        _ => None,
    }
}

/// Whether two nodes are the same, as far as can be seen without reading files.
pub(in crate::step) fn same(one: &Node, other: &Node) -> bool {
    let attributes = |node: &Node| (node.mode, node.uid, node.gid, node.mtime);
    let kinds = match (&one.kind, &other.kind) {
        (Kind::Directory, Kind::Directory) | (Kind::Fifo, Kind::Fifo) => true,
        (Kind::File(one), Kind::File(other)) => match (one, other) {
            (Content::Bytes(one), Content::Bytes(other)) => one == other,
            (Content::File { path: one, .. }, Content::File { path: other, .. }) => one == other,
            _ => false,
        },
        (Kind::Symlink(one), Kind::Symlink(other)) => one == other,
        (Kind::Hardlink(one), Kind::Hardlink(other)) => one == other,
        (Kind::CharDevice(a, b), Kind::CharDevice(c, d))
        | (Kind::BlockDevice(a, b), Kind::BlockDevice(c, d)) => (a, b) == (c, d),
        _ => false,
    };
    kinds && attributes(one) == attributes(other) && one.xattrs == other.xattrs
}

/// Whether the tool puts the one in the place of the other without a trace.
fn can_replace(was: &Node, node: &Node) -> bool {
    let leaf = |node: &Node| matches!(node.kind, Kind::File(_) | Kind::Symlink(_));
    (was.is_directory() && node.is_directory()) || (leaf(was) && leaf(node))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Tree {
        let mut tree = Tree::new();
        tree.insert("etc/hosts".into(), Node::file("packages'", 0o644));
        tree.insert("usr/bin/perl".into(), Node::file("perl", 0o755));
        let link = Node { kind: Kind::Hardlink("usr/bin/perl".into()), ..Node::file("", 0o755) };
        tree.insert("usr/bin/perl5".into(), link);
        tree
    }

    fn paths(tree: &Tree) -> Vec<String> {
        tree.iter().map(|(path, _)| path.to_string()).collect()
    }

    #[test]
    fn only_what_changed_is_written_again_with_the_directories_above_it() {
        let mut tree = base();
        assert_eq!(paths(&since(&base(), &tree).unwrap()), ["/"]);
        tree.insert("etc/hosts".into(), Node::file("ours", 0o644));
        tree.insert("usr/lib/new".into(), Node::symlink("x"));
        let changes = since(&base(), &tree).unwrap();
        assert_eq!(paths(&changes), ["/", "/etc", "/etc/hosts", "/usr", "/usr/lib", "/usr/lib/new"]);
    }

    #[test]
    fn what_cannot_be_laid_over_is_written_whole() {
        let change = |change: fn(&mut Tree)| {
            let mut tree = base();
            change(&mut tree);
            since(&base(), &tree).map(|changes| paths(&changes))
        };
        assert_eq!(change(|tree| drop(tree.remove(&"etc/hosts".into()))), None);
        assert_eq!(change(|tree| tree.insert("etc".into(), Node::symlink("x"))), None);
        assert_eq!(change(|tree| tree.insert("etc/hosts".into(), Node::directory(0o755))), None);
        assert_eq!(change(|tree| tree.get_mut(&"usr/bin/perl".into()).unwrap().mode = 0o700), None);
        assert_eq!(change(|tree| tree.get_mut(&"usr/bin/perl5".into()).unwrap().mode = 0o700), None);
    }
}
