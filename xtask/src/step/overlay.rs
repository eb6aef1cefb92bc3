//! Lays the description's overlay trees and generated files over the system.

use std::path::Path;

use bedplate_core::plan::{FileKind, FilePlan, OverlayPlan, Plan};
use bedplate_formats::tree::{Content, Kind, Node, Tree, TreePath};

use crate::key::Key;
use crate::problem::Problem;

/// Copies every overlay tree in, later ones over earlier ones. Files are
/// root's; of the modes on the host only the executable bit counts, since git
/// keeps no other and a umask must not change an image.
///
/// # Errors
/// An overlay that is no directory, or a file in it that cannot be read, at its line.
pub fn overlays(plan: &Plan, project: &Path, tree: &mut Tree) -> Result<(), Problem> {
    for overlay in &plan.overlays {
        let layer = scan(overlay, project)?;
        for (path, node) in layer.iter().skip(1) {
            // A directory of the system keeps its owner and mode, and what the
            // system reaches through a link (`/lib`) is written behind it.
            let path = real(tree, path);
            if node.is_directory() && tree.get(&path).is_some_and(Node::is_directory) {
                continue;
            }
            let mode = match node.kind {
                Kind::Directory => 0o755,
                Kind::Symlink(_) => 0o777,
                _ if node.mode & 0o100 == 0 => 0o644,
                _ => 0o755,
            };
            let kind = match &node.kind {
                // An overlay is written by hand: two names are two files.
                Kind::Hardlink(first) => match layer.content(first) {
                    Some(content) => Kind::File(content.clone()),
                    None => continue,
                },
                kind => kind.clone(),
            };
            tree.insert(path, Node { kind, ..Node::directory(mode) });
        }
    }
    Ok(())
}

/// Adds the overlays' files to a key: paths, what counts of their modes, and
/// contents.
///
/// # Errors
/// As [`overlays`].
pub fn add_to(key: &mut Key, plan: &Plan, project: &Path) -> anyhow::Result<()> {
    for overlay in &plan.overlays {
        let layer = scan(overlay, project)?;
        for (path, node) in layer.iter() {
            key.add(path.to_bytes());
            key.add((node.mode & 0o100).to_le_bytes());
            match &node.kind {
                Kind::Symlink(target) => key.add(target),
                _ => key.add(layer.content(path).map(Content::read).transpose()?.unwrap_or_default()),
            }
        }
    }
    Ok(())
}

fn scan(overlay: &OverlayPlan, project: &Path) -> Result<Tree, Problem> {
    Tree::scan(&project.join(&overlay.source)).map_err(|error| Problem {
        message: format!("overlay `{}` cannot be read: {error}", overlay.source),
        at: Some(overlay.at.clone()),
        word: None,
        help: "an overlay is a directory beside `main.rs`, with files at the path they have on the device"
            .into(),
    })
}

/// Puts generated files in.
pub fn files(files: &[FilePlan], tree: &mut Tree) {
    for file in files {
        let path = real(tree, &TreePath::new(&file.path));
        let own = |node| Node { uid: file.uid, gid: file.gid, ..node };
        match &file.kind {
            // A directory that a package ships keeps the package's owner and mode.
            FileKind::Directory if tree.get(&path).is_some_and(Node::is_directory) => {}
            FileKind::Directory => tree.insert(path, own(Node::directory(file.mode))),
            FileKind::File { text } => tree.insert(path, own(Node::file(text.as_str(), file.mode))),
            FileKind::Place if tree.contains(&path) => {}
            FileKind::Place => tree.insert(path, own(Node::file("", file.mode))),
            FileKind::Symlink { target } => tree.insert(path, own(Node::symlink(target.as_str()))),
        }
    }
}

/// The path with the links of its directories followed.
fn real(tree: &Tree, path: &TreePath) -> TreePath {
    let (Some(parent), Some(name)) = (path.parent(), path.name()) else { return path.clone() };
    match tree.resolve(&parent) {
        Some((parent, node)) if node.is_directory() => parent.join(name),
        _ => path.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_behind_the_link_that_leads_to_it() {
        let mut tree = Tree::new();
        tree.insert("usr/lib".into(), Node::directory(0o755));
        tree.insert("lib".into(), Node::symlink("usr/lib"));
        assert_eq!(real(&tree, &"lib/x".into()), "usr/lib/x".into());
        assert_eq!(real(&tree, &"new/x".into()), "new/x".into());
    }
}
