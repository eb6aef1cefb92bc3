//! Which line of the description is answerable for a path of the finished tree.

use std::collections::{BTreeMap, BTreeSet};

use bedplate_core::{Plan, SourceLocation};
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};
use camino::Utf8Path;

use super::{overlay, place, root};

/// Where one file comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The line of the description.
    pub at: SourceLocation,
    /// The file on the builder's disk, relative to the project; none for text
    /// that the description itself holds.
    pub file: Option<String>,
}

/// The files of the description, by their path in the tree. What packages
/// brought is not among them.
pub struct Origins(BTreeMap<TreePath, Origin>);

impl Origins {
    /// Reads the overlays of the plan, and where their files are in `tree`.
    pub fn new(plan: &Plan, project: &Utf8Path, tree: &Tree) -> Self {
        let mut origins = BTreeMap::new();
        for overlay in &plan.overlays {
            // One that cannot be read has ended the build before.
            let Some(layer) = overlay::scan(overlay, project) else { continue };
            for (path, _) in layer.iter().filter(|(_, node)| !node.is_directory()) {
                let file = format!("{}{path}", overlay.source);
                let origin = Origin { at: overlay.at.clone(), file: Some(file) };
                origins.insert(landed(tree, path), origin);
            }
        }
        for file in &plan.files {
            let path = landed(tree, &TreePath::new(&file.path));
            // A file that the plan writes for itself is nobody's.
            origins.remove(&path);
            if let Some(at) = &file.at {
                origins.insert(path, Origin { at: at.clone(), file: None });
            }
        }
        Self(origins)
    }

    /// Where the file at `path` comes from.
    pub fn of(&self, path: &TreePath) -> Option<&Origin> {
        self.0.get(path)
    }

    /// Files of the description below a directory, with their origins.
    pub fn below<'a>(&'a self, directory: &'a TreePath) -> impl Iterator<Item = (&'a TreePath, &'a Origin)> {
        self.0.range(directory..).take_while(move |(path, _)| path.starts_with(directory))
    }
}

/// Where a path of the description is in the tree.
#[must_use]
pub fn landed(tree: &Tree, path: &TreePath) -> TreePath {
    place::entry(tree, path).unwrap_or_else(|_| path.clone())
}

/// The line that brought `path`: that of a file, a unit or an overlay. None for what packages bring.
#[must_use]
pub fn of(plan: &Plan, project: &Utf8Path, tree: &Tree, path: &TreePath) -> Option<SourceLocation> {
    Origins::new(plan, project, tree).of(path).map(|origin| origin.at.clone())
}

/// The files and links that `tree` has and `base` has not, or not so.
#[must_use]
pub fn brought(base: &Tree, tree: &Tree) -> BTreeSet<TreePath> {
    let is_new = |path: &TreePath, node: &Node| !base.get(path).is_some_and(|was| root::same(was, node));
    let nodes = tree.iter().filter(|(_, node)| !matches!(node.kind, Kind::Directory));
    nodes.filter(|(path, node)| is_new(path, node)).map(|(path, _)| path.clone()).collect()
}
