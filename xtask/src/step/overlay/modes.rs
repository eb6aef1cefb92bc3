//! Modes and owners on the builder's disk that do not reach the image.
//!
//! Git keeps one bit of a mode. A checkout's umask takes read rights from all files alike; a file that can be read by
//! fewer than its neighbours was made so by somebody, who is told that the image does not have it so.

use std::os::unix::fs::MetadataExt as _;

use bedplate_core::Diagnostic;
use bedplate_core::plan::OverlayRule;
use bedplate_formats::tree::{Kind, Node, TreePath};

use super::source::Layer;

/// Whether a rule is for a node at this path.
pub(super) fn fits(rule: &OverlayRule, parts: &[&[u8]], node: &Node) -> bool {
    let directory = node.is_directory();
    if rule.pattern.is_of_directories() && !directory {
        return false;
    }
    let for_it = match rule.mode {
        // A link has no mode, and a directory that cannot be entered hides all that is in it.
        Some(_) if matches!(node.kind, Kind::Symlink(_)) => false,
        Some(_) if directory => rule.pattern.is_literal() || rule.pattern.is_of_directories(),
        _ => true,
    };
    for_it && rule.pattern.fits(parts)
}

/// What a word would have to say for the image to have it.
enum Dropped {
    Mode(u32),
    Owner,
    Capabilities,
}

/// Tells what is not taken over from the builder's disk, with the words that would.
pub(super) fn caution(layer: &Layer<'_>) -> Option<Diagnostic> {
    let own = std::fs::metadata(&layer.directory).ok()?;
    let (readers, inherited) = (readers(layer, own.mode()), own.mode() & 0o2000);
    let mut dropped: Vec<(&TreePath, Dropped)> = Vec::new();
    for (path, node) in layer.tree.iter().skip(1) {
        if matches!(node.kind, Kind::Symlink(_)) {
            continue;
        }
        let rules = layer.rules(path, node);
        let special = node.mode & 0o7000 & !if node.is_directory() { inherited } else { 0 };
        let fewer = readers & !node.mode;
        if (special != 0 || fewer != 0) && rules.iter().all(|rule| rule.mode.is_none()) {
            dropped.push((path, Dropped::Mode(node.mode & 0o7777)));
        } else if node.uid != own.uid() && rules.iter().all(|rule| rule.owner.is_none()) {
            dropped.push((path, Dropped::Owner));
        } else if node.xattrs.keys().any(|name| name == b"security.capability") {
            dropped.push((path, Dropped::Capabilities));
        }
    }
    let (first, what) = dropped.first()?;
    let name = layer.plan.source.rsplit('/').next().unwrap_or_default();
    let first = String::from_utf8_lossy(&first.to_bytes()).into_owned();
    let help = match what {
        Dropped::Mode(mode) => {
            format!(
                "set it: `Overlay::new(\"{name}\").mode(\"{first}\", 0o{mode:o})`; or give it the mode of the others"
            )
        }
        Dropped::Owner => format!("set it: `Overlay::new(\"{name}\").owner(\"{first}\", \"root\")`"),
        Dropped::Capabilities => "give the program its rights in its unit: `AmbientCapabilities=…`".into(),
    };
    let shown: Vec<String> = dropped.iter().take(3).map(|(path, what)| in_words(path, what)).collect();
    let more = match dropped.len().saturating_sub(3) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = format!("not in the image as in `{}`: {}{more}", layer.plan.source, shown.join(", "));
    Some(Diagnostic::new("", message).at(&layer.plan.at).help(help))
}

fn in_words(path: &TreePath, what: &Dropped) -> String {
    match what {
        Dropped::Mode(mode) => format!("mode {mode:04o} of `{path}`"),
        Dropped::Owner => format!("the owner of `{path}`"),
        Dropped::Capabilities => format!("the capabilities of `{path}`"),
    }
}

/// Who beside its owner may read anything at all here: what the umask of the checkout has left.
fn readers(layer: &Layer<'_>, own: u32) -> u32 {
    let modes = layer.tree.iter().filter(|(_, node)| !matches!(node.kind, Kind::Symlink(_)));
    modes.fold(own, |all, (_, node)| all | node.mode) & 0o044
}
