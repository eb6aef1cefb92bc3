//! What differs between two systems of the same packages.

use anyhow::Result;
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};

use super::unowned::Packaged;

/// The paths that differ, and how. Contents are read where a script may have
/// written them: the others come from the same packages.
pub(super) fn differences(
    first: &Tree,
    second: &Tree,
    packaged: &Packaged,
    epoch: i64,
) -> Result<Vec<(TreePath, &'static str)>> {
    let mut found = Vec::new();
    for (path, one) in first.iter() {
        let how = match second.get(path) {
            None => Some("not there in a second build"),
            Some(other) => {
                let written = !packaged.owns(path) || one.mtime >= epoch || other.mtime >= epoch;
                difference(first, second, path, (one, other), (written, epoch))?
            }
        };
        found.extend(how.map(|how| (path.clone(), how)));
    }
    let new = second.iter().filter(|(path, _)| !first.contains(path));
    found.extend(new.map(|(path, _)| (path.clone(), "there in a second build alone")));
    // What is below a directory that is not in both is told by the directory.
    let one_sided = |how: &str| how.contains("there in");
    let tops: Vec<TreePath> =
        found.iter().filter(|(_, how)| one_sided(how)).map(|(path, _)| path.clone()).collect();
    found.retain(|(path, how)| {
        !one_sided(how) || !tops.iter().any(|top| top != path && path.starts_with(top))
    });
    Ok(found)
}

fn difference(
    first: &Tree,
    second: &Tree,
    path: &TreePath,
    (one, other): (&Node, &Node),
    (written, epoch): (bool, i64),
) -> Result<Option<&'static str>> {
    if std::mem::discriminant(&one.kind) != std::mem::discriminant(&other.kind) {
        return Ok(Some("another kind of file in a second build"));
    }
    if (one.mode, one.uid, one.gid) != (other.mode, other.uid, other.gid) || one.xattrs != other.xattrs {
        return Ok(Some("another owner or mode in a second build"));
    }
    if one.mtime.min(epoch) != other.mtime.min(epoch) {
        return Ok(Some("another time in a second build"));
    }
    let content = "another content in a second build";
    match (&one.kind, &other.kind) {
        (Kind::Symlink(one), Kind::Symlink(other)) if one != other => {
            return Ok(Some("another target in a second build"));
        }
        (Kind::File(_) | Kind::Hardlink(_), _) => {
            let (Some(one), Some(other)) = (super::content(first, path), super::content(second, path)) else {
                return Ok(None);
            };
            if one.len() != other.len() || written && one.read()? != other.read()? {
                return Ok(Some(content));
            }
        }
        _ => {}
    }
    Ok(None)
}
