//! What editors, file managers and version control leave in a directory, and nobody means to ship.

use bedplate_formats::tree::{Tree, TreePath};

/// Names, in which `*` stands for any characters.
const NAMES: [&str; 24] = [
    // File managers.
    ".DS_Store",
    "._*",
    "Thumbs.db",
    "desktop.ini",
    ".directory",
    ".Trash-*",
    ".fuse_hidden*",
    ".nfs*",
    // Editors.
    "*~",
    ".*.swp",
    ".*.swo",
    ".*.swx",
    "*.swp",
    ".#*",
    "#*#",
    ".idea",
    ".vscode",
    // Version control.
    ".git",
    ".gitattributes",
    ".gitignore",
    ".gitkeep",
    ".gitmodules",
    ".hg",
    ".svn",
];

/// Takes them out, and returns their paths.
pub(super) fn take_out(tree: &mut Tree) -> Vec<TreePath> {
    let is_one = |path: &TreePath| {
        path.name().is_some_and(|name| NAMES.iter().any(|pattern| fits(pattern.as_bytes(), name)))
    };
    let found: Vec<TreePath> =
        tree.iter().map(|(path, _)| path).filter(|path| is_one(path)).cloned().collect();
    let below = |path: &TreePath| found.iter().any(|other| other != path && path.starts_with(other));
    let outermost: Vec<TreePath> = found.iter().filter(|path| !below(path)).cloned().collect();
    for path in &outermost {
        tree.remove(path);
    }
    outermost
}

/// The first few of them, in words.
pub(super) fn told(paths: &[TreePath]) -> Option<String> {
    if paths.is_empty() {
        return None;
    }
    let names: Vec<String> = paths.iter().take(3).map(|path| format!("`{path}`")).collect();
    let more = match paths.len().saturating_sub(3) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!("{}{more}", names.join(", ")))
}

fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skip| fits(rest, &name[skip..])),
        Some((byte, rest)) => name.first() == Some(byte) && fits(rest, &name[1..]),
    }
}
