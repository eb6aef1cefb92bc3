//! What has to be written over a system to show a tree that was made from it.

use std::collections::BTreeSet;

use bedplate_formats::tree::{Kind, Node, Tree, TreePath};

use crate::step::root;

/// The paths at which a tree is not its system.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// What is to be written, with the directories above it.
    pub written: BTreeSet<TreePath>,
    /// What is to be hidden. What is below it goes with it.
    pub removed: BTreeSet<TreePath>,
}

/// What differs from `system` in `tree`.
pub(super) fn between(system: &Tree, tree: &Tree) -> Differences {
    let mut differences = Differences::default();
    let changed = |path: &TreePath, node: &Node| !system.get(path).is_some_and(|was| root::same(was, node));
    let mut changed: BTreeSet<TreePath> =
        tree.iter().filter(|(path, node)| changed(path, node)).map(|(path, _)| path.clone()).collect();
    // The further names of a file whose first name is written would show what it was.
    for (path, node) in tree.iter() {
        if matches!(&node.kind, Kind::Hardlink(first) if changed.contains(first)) {
            changed.insert(path.clone());
        }
    }
    let is_directory = |tree: &Tree, path: &TreePath| tree.get(path).is_some_and(Node::is_directory);
    for (path, _) in system.iter().filter(|(path, _)| !tree.contains(path)) {
        let Some(above) = path.parent() else { continue };
        // Elsewhere what is above it is hidden already.
        if is_directory(system, &above) && is_directory(tree, &above) {
            differences.removed.insert(path.clone());
            changed.insert(above);
        }
    }
    for path in &changed {
        let mut above = path.parent();
        while let Some(path) = above.filter(|path| !differences.written.contains(path)) {
            above = path.parent();
            differences.written.insert(path);
        }
    }
    differences.written.extend(changed);
    differences
}
