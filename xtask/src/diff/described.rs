//! What a description says now, against what was built of it: its plan against the plan of the build, its lock against
//! the packages, its overlays against the files.

use std::collections::BTreeMap;

use anyhow::Result;
use bedplate_core::lock::Lock;
use bedplate_core::plan::{Plan, SavedPlan};
use bedplate_formats::tree::{Kind, Tree, TreePath};
use camino::Utf8Path;

use super::files::{FilesDifference, Owners};
use super::holder::Holder;
use super::side::{Side, locked};
use super::{Comparison, Name, packages, plans};
use crate::artifacts;
use crate::build;
use crate::keys::Keys;
use crate::step::overlay;

/// What is said of an image.
#[derive(Clone, Copy)]
pub struct Described<'a> {
    /// Its plan.
    pub plan: &'a Plan,
    /// Its lock, where there is one.
    pub lock: Option<&'a Lock>,
    /// The keys that it names.
    pub keys: Option<&'a Keys>,
    /// The directory that paths in it start from.
    pub project: &'a Utf8Path,
}

impl Described<'_> {
    /// Compares what was built in a directory with what is said now.
    ///
    /// # Errors
    /// It is no build, or a damaged one; a file of the description cannot be read.
    pub fn against(self, built: &Side, directory: &Utf8Path) -> Result<Comparison> {
        let (key, old) = artifacts::made_of(directory)?;
        let mut found = match SavedPlan::new(old) {
            Ok(old) => plans::compare(&old, &self.plan.into())?,
            Err(_) => Comparison {
                notes: vec!["The build does not tell its plan: an older program made it.".to_owned()],
                ..Comparison::default()
            },
        };
        found.before = Name { name: built.name.clone(), kind: built.kind };
        found.after = Name { name: format!("the description of `{}`", self.plan.name), kind: "description" };
        self.packages(built, &mut found);
        found.files.extend(self.overlays(built)?);
        let fresh = match self.lock {
            Some(lock) => {
                let now = build::key_of_image(self.plan, lock, self.project, self.keys)?;
                key.trim_end_matches(" unsigned") == now
            }
            None => false,
        };
        found.same = fresh && found.is_empty();
        if !fresh && found.is_empty() && self.lock.is_some() {
            found.notes.push(
                "Plan, packages and overlays are those that were built. A file that an overlay no longer has, a \
                 script, the tools or the program that builds is another one: a build makes the image anew."
                    .to_owned(),
            );
        }
        Ok(found)
    }

    /// The lock knows all packages and versions, and the plan those that are asked for and not locked yet.
    fn packages(self, built: &Side, found: &mut Comparison) {
        let Some(lock) = self.lock else {
            found.notes.push("There is no lock: versions of packages are not known.".to_owned());
            return;
        };
        let Some(old) = &built.packages else { return };
        let new: BTreeMap<String, _> = locked(lock, String::new()).collect();
        let asked = std::mem::take(&mut found.packages);
        found.packages = packages(old, &new, false);
        let known = |name: &String| found.packages.iter().any(|package| package.name == *name);
        let pending: Vec<_> = asked
            .into_iter()
            .filter(|package| {
                package.before.is_none() && !new.contains_key(&package.name) && !known(&package.name)
            })
            .map(|package| super::PackageDifference {
                after: package.after.map(|asked| format!("{asked}, not locked yet")),
                ..package
            })
            .collect();
        found.packages.extend(pending);
    }

    /// Files of overlays whose content is another one, or that are not in the image.
    fn overlays(self, built: &Side) -> Result<Option<FilesDifference>> {
        let Some(root) = built.files.get("root") else { return Ok(None) };
        let mut tree = Tree::new();
        for plan in &self.plan.overlays {
            for (path, node) in overlay::scan(plan, self.project).iter().flat_map(Tree::iter) {
                if !matches!(node.kind, Kind::File(_) | Kind::Symlink(_)) {
                    continue;
                }
                let place = root.real(&path.to_bytes());
                // Owners and modes are decided by name and by pattern, which the plan tells.
                let mut node = node.clone();
                if let Some(there) = root.metadata(&place) {
                    (node.mode, node.uid, node.gid) = (there.mode, there.uid, there.gid);
                }
                tree.insert(TreePath::new(&place), node);
            }
        }
        let mut overlays = Holder::of_tree("the overlays".to_owned(), tree);
        overlays.complete = false;
        let none = BTreeMap::new();
        let owners = Owners { before: &none, after: &none, changed: &Default::default(), all: true };
        let mut found = FilesDifference::of("overlays", root, &overlays, &owners)?;
        found.files.retain(|file| file.after.as_ref().is_some_and(|after| after.kind != "directory"));
        (found.size_before, found.size_after) = (0, 0);
        Ok((!found.files.is_empty()).then_some(found))
    }
}
