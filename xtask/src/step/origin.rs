//! Which line of the description is answerable for a path of the finished tree.

use std::collections::BTreeSet;
use std::path::Path;

use bedplate_core::{Place, Plan};
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};

use super::root;

/// The line that brought `path`: that of a file, a unit or an overlay. None for what packages bring.
#[must_use]
pub fn of(plan: &Plan, project: &Path, tree: &Tree, path: &TreePath) -> Option<Place> {
    let real = |text: &str| resolved(tree, &TreePath::new(text));
    if let Some(file) = plan.files.iter().find(|file| real(&file.path) == *path) {
        return file.at.clone();
    }
    let brings = |source: &str| {
        let directory = project.join(source);
        if path.below(&directory).symlink_metadata().is_ok() {
            return true;
        }
        // Through a link of the system: `lib/x` for `/usr/lib/x`.
        Tree::scan(&directory)
            .is_ok_and(|layer| layer.iter().any(|(other, _)| resolved(tree, other) == *path))
    };
    plan.overlays.iter().rev().find(|overlay| brings(&overlay.source)).map(|overlay| overlay.at.clone())
}

/// The path with the links of its directories followed.
#[must_use]
pub fn resolved(tree: &Tree, path: &TreePath) -> TreePath {
    let (Some(above), Some(name)) = (path.parent(), path.name()) else { return path.clone() };
    match tree.resolve(&above) {
        Some((above, node)) if node.is_directory() => above.join(name),
        _ => path.clone(),
    }
}

/// The files and links that `tree` has and `base` has not, or not so.
#[must_use]
pub fn brought(base: &Tree, tree: &Tree) -> BTreeSet<TreePath> {
    let is_new = |path: &TreePath, node: &Node| !base.get(path).is_some_and(|was| root::same(was, node));
    let nodes = tree.iter().filter(|(_, node)| !matches!(node.kind, Kind::Directory));
    nodes.filter(|(path, node)| is_new(path, node)).map(|(path, _)| path.clone()).collect()
}
