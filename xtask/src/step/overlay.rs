//! Lays the description's overlays and generated files over the system.
//!
//! An overlay is read and held against the plan before anything is fetched ([`check`]); where its files land is known
//! once there is a system ([`overlays`]).

mod leavings;
mod modes;
mod source;

use bedplate_core::SourceLocation;
use bedplate_core::plan::{FileKind, FilePlan, OverlayPlan, OverlayRule, Plan};
use bedplate_formats::tree::{Content, Kind, Node, Tree, TreePath};
use camino::Utf8Path;

use self::source::Layer;
use super::homes::Homes;
use super::owners::Owners;
use super::place;
use crate::error::LocatedError;
use crate::key::Key;
use crate::report::Report;

/// Reads the overlays and tells what is left out of them.
///
/// # Errors
/// An overlay that cannot be read, or cannot be what the plan makes of it, at its line.
pub fn check(
    plan: &Plan,
    project: &Utf8Path,
    report: &Report,
    text: &dyn Fn(&str) -> Option<String>,
) -> Result<(), LocatedError> {
    for layer in source::read_all(&plan.overlays, project)? {
        source::check(plan, &layer)?;
        if let Some(left_out) = leavings::told(&layer.left_out) {
            report.did("Left out", format_args!("{left_out} of `{}`", layer.plan.source));
        }
        if let Some(caution) = modes::caution(&layer) {
            report.caution(&caution, text);
        }
    }
    Ok(())
}

/// Returns what an overlay brings, for those who look at it beside the root; nothing where it cannot be read, which
/// [`check`] tells.
pub fn scan(overlay: &OverlayPlan, project: &Utf8Path) -> Option<Tree> {
    Some(source::read(overlay, project).ok()?.tree)
}

/// Adds the overlays' files to a key: paths, what counts of their modes, and
/// contents.
///
/// # Errors
/// As [`check`].
pub fn add_to(key: &mut Key, overlays: &[OverlayPlan], project: &Utf8Path) -> anyhow::Result<()> {
    for layer in source::read_all(overlays, project)? {
        for (path, node) in layer.tree.iter() {
            key.add(path.to_bytes());
            key.add((node.mode & 0o100).to_le_bytes());
            match &node.kind {
                Kind::Symlink(target) => key.add(target),
                _ => key.add(layer.tree.content(path).map(Content::read).transpose()?.unwrap_or_default()),
            }
        }
    }
    Ok(())
}

/// Copies every overlay in, later ones over earlier ones.
///
/// # Errors
/// A file that cannot be put where the overlay has it, at the overlay's line.
pub fn overlays(
    plan: &Plan,
    project: &Utf8Path,
    homes: &Homes,
    tree: &mut Tree,
    owners: &mut Owners,
) -> Result<(), LocatedError> {
    let generated = landed(&plan.files, tree);
    for layer in source::read_all(&plan.overlays, project)? {
        source::check(plan, &layer)?;
        for (path, node) in layer.tree.iter().skip(1) {
            lay(&layer, path, node, &generated, homes, tree, owners)?;
        }
    }
    Ok(())
}

/// Where the plan's files land, and why they are there.
fn landed<'a>(files: &'a [FilePlan], tree: &Tree) -> Vec<(TreePath, &'a FilePlan)> {
    let written =
        files.iter().filter(|file| matches!(file.kind, FileKind::File { .. } | FileKind::Symlink { .. }));
    written.filter_map(|file| Some((place::entry(tree, &TreePath::new(&file.path)).ok()?, file))).collect()
}

fn lay(
    layer: &Layer<'_>,
    path: &TreePath,
    node: &Node,
    generated: &[(TreePath, &FilePlan)],
    homes: &Homes,
    tree: &mut Tree,
    owners: &mut Owners,
) -> Result<(), LocatedError> {
    let directory = node.is_directory();
    let to = homes.in_image(path);
    let real = if directory { place::directory(tree, &to) } else { place::entry(tree, &to) };
    let real = real.map_err(|astray| layer.problem(path, &astray.to_string(), &astray_help(&astray)))?;
    if let Some((_, file)) = generated.iter().find(|(landed, _)| *landed == real) {
        return Err(layer.clash(path, file));
    }
    let new = Node { kind: kind(layer, node), ..Node::directory(layer.mode(path, node)) };
    if let Some(why) = place::conflict(tree, &real, &new) {
        return Err(layer.problem(path, &why, &type_help(&real, &new)));
    }
    let rules = layer.rules(path, node);
    let there = directory && tree.contains(&real);
    if !there {
        homes.insert(tree, &real, new);
    } else if let (Some(mode), Some(node)) =
        (rules.iter().rev().find_map(|rule| rule.mode), tree.get_mut(&real))
    {
        node.mode = mode;
    }
    for rule in rules {
        owners.add(&real, rule.owner.as_deref(), rule.group.as_deref(), Some(&rule.at));
    }
    Ok(())
}

fn kind(layer: &Layer<'_>, node: &Node) -> Kind {
    match &node.kind {
        // An overlay is written by hand: two names are two files.
        Kind::Hardlink(first) => match layer.tree.content(first) {
            Some(content) => Kind::File(content.clone()),
            None => node.kind.clone(),
        },
        kind => kind.clone(),
    }
}

fn astray_help(astray: &place::Astray) -> String {
    match astray {
        place::Astray::InMemory(_) => {
            "let tmpfiles.d(5) make it at boot: add `usr/lib/tmpfiles.d/NAME.conf` to the overlay".into()
        }
        place::Astray::Dangling { link, .. } => {
            format!("remove the link `{link}`, or make what it leads to a directory of the overlay")
        }
        place::Astray::ThroughFile(path) => {
            format!("remove `{path}` from what brings it, or choose another path")
        }
        place::Astray::Loop(_) => "remove one of the links".into(),
    }
}

/// What to do instead of replacing one kind of object by another.
fn type_help(path: &TreePath, new: &Node) -> String {
    match &new.kind {
        Kind::Symlink(target) => {
            let target = String::from_utf8_lossy(target);
            format!(
                "keep `{path}` a directory; to have it persistent, write `.bind(\"{path}\")` in place of the link to `{target}`"
            )
        }
        _ => format!("give it another path than `{path}`"),
    }
}

/// Puts generated files in.
///
/// # Errors
/// A file that cannot be where the plan has it, at its line.
pub fn files(
    files: &[FilePlan],
    homes: &Homes,
    tree: &mut Tree,
    owners: &mut Owners,
) -> Result<(), LocatedError> {
    files.iter().try_for_each(|file| generate(file, homes, tree, owners))
}

fn generate(
    file: &FilePlan,
    homes: &Homes,
    tree: &mut Tree,
    owners: &mut Owners,
) -> Result<(), LocatedError> {
    let path = homes.in_image(&TreePath::new(&file.path));
    let problem = |why: String, help: String| LocatedError {
        message: format!("`{}` cannot be written: {why}", file.path),
        at: file.at.clone(),
        word: Some(file.path.to_string()),
        help,
    };
    let directory = matches!(file.kind, FileKind::Directory);
    let real = if directory { place::directory(tree, &path) } else { place::entry(tree, &path) };
    let real = real.map_err(|astray| problem(astray.to_string(), astray_help(&astray)))?;
    let node = match &file.kind {
        FileKind::Directory => Node::directory(file.mode),
        FileKind::File { text } => Node::file(text.as_str(), file.mode),
        FileKind::MountPoint => Node::file("", file.mode),
        FileKind::Symlink { target } => Node::symlink(target.as_str()),
    };
    if let Some(why) = place::conflict(tree, &real, &node) {
        // What a bind finds in its place is the bind's to tell.
        if matches!(file.kind, FileKind::MountPoint) {
            return Ok(());
        }
        return Err(problem(why, format!("give it another path than `{real}`")));
    }
    // A directory that a package ships keeps the package's owner and mode.
    let keeps = matches!(file.kind, FileKind::Directory | FileKind::MountPoint) && tree.contains(&real);
    if !keeps {
        homes.insert(tree, &real, Node { uid: file.uid, gid: file.gid, ..node });
        owners.add(&real, file.owner.as_deref(), file.group.as_deref(), file.at.as_ref());
    }
    Ok(())
}

impl Layer<'_> {
    /// The rules that a node fits, in the order of the description.
    fn rules(&self, path: &TreePath, node: &Node) -> Vec<&OverlayRule> {
        let parts: Vec<&[u8]> = path.components().collect();
        let fits = |rule: &&OverlayRule| modes::fits(rule, &parts, node);
        self.plan.rules.iter().filter(fits).collect()
    }

    /// The mode that a node has in the image.
    fn mode(&self, path: &TreePath, node: &Node) -> u32 {
        let said = self.rules(path, node).iter().rev().find_map(|rule| rule.mode);
        said.unwrap_or(match node.kind {
            Kind::Directory => 0o755,
            Kind::Symlink(_) => 0o777,
            _ if node.mode & 0o100 == 0 => 0o644,
            _ => 0o755,
        })
    }

    fn at(&self) -> Option<SourceLocation> {
        Some(self.plan.at.clone())
    }
}

#[cfg(test)]
mod tests;
