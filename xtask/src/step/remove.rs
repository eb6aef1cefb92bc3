//! Removes what the description has no use for from the finished tree.

use bedplate_core::glob::{Wildcard, fits, is_pattern};
use bedplate_core::plan::RemovedPlan;
use bedplate_core::spelling::nearest;
use bedplate_formats::tree::{Tree, TreePath};

use super::origin::landed;
use crate::error::LocatedError;
use crate::key::Key;

/// Removes what a plan removes.
///
/// # Errors
/// A path or pattern at which nothing is, at its line.
pub fn apply(removed: &[RemovedPlan], tree: &mut Tree) -> Result<(), LocatedError> {
    for removed in removed {
        let found = found(tree, &removed.path);
        if found.is_empty() {
            return Err(missing(tree, removed));
        }
        found.iter().for_each(|path| drop(tree.remove(path)));
    }
    Ok(())
}

/// Removes the same from the packages' files, where it is: so that what is laid over them has nothing to take away.
pub fn apply_to_packages(removed: &[RemovedPlan], tree: &mut Tree) {
    for removed in removed {
        found(tree, &removed.path).iter().for_each(|path| drop(tree.remove(path)));
    }
}

/// What [`apply_to_packages`] depends on.
pub fn add_to(key: &mut Key, removed: &[RemovedPlan]) {
    removed.iter().for_each(|removed| key.add(&removed.path));
}

/// The paths a pattern fits, through the links of its directories, without those below another.
fn found(tree: &Tree, pattern: &str) -> Vec<TreePath> {
    if !is_pattern(pattern) {
        let path = landed(tree, &TreePath::new(pattern));
        return if tree.contains(&path) { vec![path] } else { Vec::new() };
    }
    let wildcard = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
    let (fixed, rest) = pattern.split_at(pattern[..wildcard].rfind('/').unwrap_or(0));
    let Some((above, _)) = tree.resolve(&TreePath::new(fixed)) else { return Vec::new() };
    let slash: &[u8] = if above.depth() == 0 { b"" } else { b"/" };
    let pattern = [slash, &above.to_bytes(), rest.as_bytes()].concat();
    let mut found: Vec<TreePath> = Vec::new();
    for (path, _) in tree.below(&above) {
        let is_below = found.last().is_some_and(|last| path.starts_with(last));
        if !is_below && fits(&pattern, &[b"/", &path.to_bytes()[..]].concat(), Wildcard::InName) {
            found.push(path.clone());
        }
    }
    found
}

fn missing(tree: &Tree, removed: &RemovedPlan) -> LocatedError {
    let path = TreePath::new(&removed.path);
    let above = path.parent().and_then(|above| tree.resolve(&above)).map(|(above, _)| above);
    let siblings: Vec<String> =
        above.iter().flat_map(|above| tree.children(above)).map(|(path, _)| path.to_string()).collect();
    LocatedError {
        message: format!("`{}` is to be removed, but nothing in the image is there", removed.path),
        at: removed.at.clone(),
        word: Some(removed.path.to_string()),
        help: match nearest(&removed.path, siblings.iter().map(String::as_str)) {
            Some(near) => format!("there is `{near}`"),
            None => "remove the line".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_core::rule::device;
    use bedplate_formats::tree::Node;

    fn tree() -> Tree {
        let mut tree = Tree::new();
        tree.insert("lib".into(), Node::symlink("usr/lib"));
        for path in
            ["usr/lib/python3.13/test/a", "usr/share/doc/b/README", "usr/share/doc/b/copyright", "usr/lib/x"]
        {
            tree.insert(path.into(), Node::file("", 0o644));
        }
        tree
    }

    fn left(patterns: &[&str]) -> Result<Vec<String>, LocatedError> {
        let plan = patterns.iter().fold(device(), |image, pattern| image.remove(*pattern)).plan().unwrap();
        let mut tree = tree();
        apply(&plan.contents.removed, &mut tree)?;
        let files = tree.iter().filter(|(_, node)| !node.is_directory());
        Ok(files.map(|(path, _)| path.to_string()).filter(|path| path != "/lib").collect())
    }

    #[test]
    fn paths_and_patterns_go_with_what_is_below_them() {
        assert_eq!(left(&["/usr/share/doc"]).unwrap(), ["/usr/lib/python3.13/test/a", "/usr/lib/x"]);
        assert_eq!(
            left(&["/usr/share/doc/*/README", "/lib/python3*/test"]).unwrap(),
            ["/usr/lib/x", "/usr/share/doc/b/copyright"]
        );
    }

    #[test]
    fn a_path_at_which_nothing_is_names_its_neighbour() {
        let problem = left(&["/usr/share/docs"]).unwrap_err();
        assert_eq!(problem.help, "there is `/usr/share/doc`");
        assert!(problem.at.is_some());
        assert!(left(&["/usr/share/*/changelog"]).is_err());
    }
}
