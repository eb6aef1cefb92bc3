//! Which line of the description brought a file of the finished tree.

use std::collections::BTreeMap;
use std::path::Path;

use bedplate_core::plan::Plan;
use bedplate_core::{Diagnostic, Place};
use bedplate_formats::tree::{Kind, Tree, TreePath};

use super::Subject;
use crate::step::place;

/// Where one file comes from.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// The line of the description.
    pub at: Place,
    /// The file on the builder's disk, relative to the project; none for text
    /// that the description itself holds.
    pub file: Option<String>,
}

/// The files of the description, by their path in the tree. What packages
/// brought is not among them.
pub(super) struct Origins(BTreeMap<TreePath, Origin>);

impl Origins {
    pub(super) fn new(plan: &Plan, project: &Path, tree: &Tree) -> Self {
        let mut origins = BTreeMap::new();
        for overlay in &plan.overlays {
            // One that cannot be read has ended the build before.
            let Some(layer) = crate::step::overlay::scan(overlay, project) else { continue };
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

    pub(super) fn of(&self, path: &TreePath) -> Option<&Origin> {
        self.0.get(path)
    }

    /// Files of the description below a directory, with their origins.
    pub(super) fn below<'a>(
        &'a self,
        directory: &'a TreePath,
    ) -> impl Iterator<Item = (&'a TreePath, &'a Origin)> {
        self.0.range(directory..).take_while(move |(path, _)| path.starts_with(directory))
    }
}

/// Where a path of the description is in the tree.
pub(super) fn landed(tree: &Tree, path: &TreePath) -> TreePath {
    place::entry(tree, path).unwrap_or_else(|_| path.clone())
}

impl Subject<'_> {
    /// Points `mistake` at what brought the file at `path`, and shows one of its
    /// lines, counted from 1.
    pub(super) fn blame(&self, mistake: Diagnostic, path: &TreePath, line: u32) -> Diagnostic {
        let Some(origin) = self.origins.of(path) else { return mistake };
        let mistake = mistake.at(&origin.at);
        let is_link = self.tree.get(path).is_some_and(|node| matches!(node.kind, Kind::Symlink(_)));
        match &origin.file {
            Some(_) if is_link => mistake,
            Some(file) => {
                let place = Place { file: file.clone(), line, column: 1 };
                mistake.related(&place, "here")
            }
            None => match self.text(path).lines().nth(line as usize - 1).map(str::trim) {
                Some(text) if !text.is_empty() => mistake.label(format!("line {line}: `{text}`")),
                _ => mistake,
            },
        }
    }

    /// The text of a file of the tree; empty where there is none.
    pub(super) fn text(&self, path: &TreePath) -> String {
        let bytes = self.tree.content(path).and_then(|content| content.read().ok());
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    }
}
