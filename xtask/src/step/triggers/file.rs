//! File triggers of the installed packages: deb-triggers(5).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use bedplate_formats::tree::{Tree, TreePath};

use super::table::WITHOUT;
use crate::error::LocatedError;
use crate::step::inside::{Inside, add_to};
use crate::step::{origin, users};

/// What the packages are interested in.
const INTERESTS: &str = "var/lib/dpkg/triggers/File";

/// Fires the triggers of the packages that are interested in a path of `brought`.
///
/// # Errors
/// A maintainer script that fails, at the line that brought the first file it was fired for.
pub(super) fn apply(inside: &Inside<'_>, brought: &BTreeSet<TreePath>, tree: &mut Tree) -> Result<()> {
    let fired = fired(tree, brought);
    let Some((interest, files)) = fired.first_key_value() else { return Ok(()) };
    let at = files.first().and_then(|path| origin::of(inside.plan, inside.project, tree, path));
    let first = interest.clone();
    let mut key = inside.key("triggers");
    for (interest, files) in &fired {
        key.add(interest);
        add_to(&mut key, inside.store, tree, files)?;
    }
    inside.cached("triggers", key, tree, |inside, shown| {
        inside.changes(shown, |sandbox| {
            let fire = ["dpkg-trigger", "--no-await"].into_iter();
            for interest in fired.keys() {
                sandbox.run(fire.clone().chain([interest.as_str()]))?;
            }
            let options = ["dpkg", "--force-confdef", "--force-confold", "--triggers-only", "--pending"];
            sandbox.run(options).map(drop).map_err(|error| {
                LocatedError {
                    message: format!("the packages' triggers for `{first}` failed: {error:#}"),
                    at: at.clone(),
                    word: None,
                    help: "leave the files out that it is fired for, or mend them".into(),
                }
                .into()
            })
        })
    })?;
    Ok(())
}

/// The interests that are met, as the packages spell them, each with what meets it and what its package is set up with.
fn fired(tree: &Tree, brought: &BTreeSet<TreePath>) -> BTreeMap<String, Vec<TreePath>> {
    let mut fired: BTreeMap<String, Vec<TreePath>> = BTreeMap::new();
    for line in users::read(tree, INTERESTS).lines() {
        let Some((interest, package)) = line.rsplit_once(' ') else { continue };
        let path = TreePath::new(interest);
        let path = tree.resolve(&path).map_or(path, |(path, _)| path);
        if WITHOUT.iter().any(|without| path == without.into()) {
            continue;
        }
        let mut files: Vec<TreePath> =
            brought.iter().filter(|file| file.starts_with(&path)).cloned().collect();
        if !files.is_empty() {
            let package = package.split('/').next().unwrap_or(package);
            files.extend(settings(tree, package, brought));
            fired.entry(interest.to_owned()).or_default().extend(files);
        }
    }
    fired
}

/// Settings of a package among the paths: what is in a directory below `/etc` that it has for itself.
fn settings(tree: &Tree, package: &str, brought: &BTreeSet<TreePath>) -> Vec<TreePath> {
    let list = users::read(tree, &format!("var/lib/dpkg/info/{package}.list"));
    let directories: Vec<TreePath> =
        list.lines().filter(|path| path.starts_with("/etc/")).map(TreePath::new).collect();
    let is_ours = |path: &&TreePath| directories.iter().any(|above| path.starts_with(above));
    brought.iter().filter(is_ours).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_formats::tree::Node;

    #[test]
    fn a_package_is_told_of_what_it_is_interested_in() {
        let mut tree = Tree::new();
        let interests = "/usr/share/fonts fontconfig/noawait\n/lib/x x\n/usr/lib/sysctl.d procps/noawait\n";
        tree.insert(INTERESTS.into(), Node::file(interests, 0o644));
        tree.insert("lib".into(), Node::symlink("usr/lib"));
        let list = "/.\n/etc\n/etc/fonts\n/etc/fonts/conf.d\n/usr/bin/fc-cache\n";
        tree.insert("var/lib/dpkg/info/fontconfig.list".into(), Node::file(list, 0o644));
        for path in
            ["usr/share/fonts/a.ttf", "etc/fonts/local.conf", "usr/lib/x/a", "usr/lib/sysctl.d/60.conf"]
        {
            tree.insert(path.into(), Node::file("", 0o644));
        }
        let fire = |paths: &[&str]| {
            let fired = fired(&tree, &paths.iter().map(TreePath::new).collect());
            let text = |(interest, files): (&String, &Vec<TreePath>)| format!("{interest} {files:?}");
            fired.iter().map(text).collect::<Vec<_>>()
        };
        assert_eq!(
            fire(&["usr/share/fonts/a.ttf", "etc/fonts/local.conf"]),
            ["/usr/share/fonts [/usr/share/fonts/a.ttf, /etc/fonts/local.conf]"]
        );
        assert_eq!(fire(&["usr/lib/x/a"]), ["/lib/x [/usr/lib/x/a]"]);
        assert_eq!(fire(&["usr/lib/sysctl.d/60.conf", "etc/fonts/local.conf"]), [""; 0]);
    }
}
