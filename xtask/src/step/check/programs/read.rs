//! What the answer of a program depends on, apart from the packages.

use std::collections::BTreeSet;

use bedplate_formats::tree::TreePath;

use super::super::Subject;
use super::table::Program;

/// Files longer than this are not searched for the names of others.
const LONGEST: u64 = 64 << 10;

/// Returns those paths of `changed`, the paths that the tree has otherwise than the packages, which a program may read
/// when it tests its settings: what is among these, what they name, and what no file of the description brought, for a
/// script or a trigger may have made it of anything.
pub(super) fn of<'a>(
    subject: &Subject<'_>,
    program: &Program,
    touched: &'a [TreePath],
    changed: &'a BTreeSet<TreePath>,
) -> BTreeSet<&'a TreePath> {
    // A program that takes files by their first line reads these alone.
    let directories = program.reads.iter().filter(|_| program.starts.is_empty()).map(TreePath::new);
    let directories: Vec<TreePath> = directories.collect();
    let is_setting = |path: &TreePath| directories.iter().any(|directory| path.starts_with(directory));
    let own =
        |path: &&TreePath| is_setting(path) || (program.starts.is_empty() && !is_described(subject, path));
    let mut read: BTreeSet<&TreePath> = touched.iter().chain(changed.iter().filter(own)).collect();
    let mut pending: Vec<&TreePath> = touched.iter().filter(|_| program.starts.is_empty()).collect();
    while let Some(path) = pending.pop() {
        for name in names(subject, path) {
            for other in changed.iter().filter(|other| other.to_string().starts_with(&name)) {
                if read.insert(other) {
                    pending.push(other);
                }
            }
        }
    }
    read
}

/// Whether a file of the description, or of its plan, is at a path.
fn is_described(subject: &Subject<'_>, path: &TreePath) -> bool {
    subject.origins.of(path).is_some() || subject.plan.file(&path.to_string()).is_some()
}

/// The absolute paths that a file names, each up to its first pattern.
fn names(subject: &Subject<'_>, path: &TreePath) -> BTreeSet<String> {
    if subject.tree.content(path).is_none_or(|content| content.len() > LONGEST) {
        return BTreeSet::new();
    }
    let text = subject.text(path);
    let ends = |c: char| c.is_whitespace() || "\"'`;:,()[]{}<>=*?$%".contains(c);
    let names = text.split(ends).filter_map(|word| word.find('/').map(|at| word[at..].to_owned()));
    names.filter(|name| name.len() > 1).collect()
}

#[cfg(test)]
mod tests {
    use bedplate_core::rule;
    use bedplate_formats::tree::{Node, Tree};

    use super::super::table;
    use super::*;
    use crate::step::origin::Origins;

    #[test]
    fn settings_what_they_name_and_what_scripts_made_is_read_and_nothing_else() {
        let image = rule::device()
            .file("/etc/nginx/conf.d/ours.conf", "include /etc/ours/*.conf;\n")
            .file("/etc/ours/a.conf", "ssl_certificate /opt/key.pem;\n")
            .file("/opt/key.pem", "key\n")
            .file("/opt/other", "other\n");
        let plan = image.plan().unwrap();
        let mut tree = Tree::new();
        for (path, text) in [
            ("etc/nginx/conf.d/ours.conf", "include /etc/ours/*.conf;\n"),
            ("etc/ours/a.conf", "ssl_certificate /opt/key.pem;\n"),
            ("opt/key.pem", "key\n"),
            ("opt/other", "other\n"),
            ("etc/made", "by a script\n"),
        ] {
            tree.insert(path.into(), Node::file(text, 0o644));
        }
        let origins = Origins::new(&plan, "/nonexistent".into(), &tree);
        let subject = Subject { plan: &plan, tree: &tree, origins };
        let mut changed: BTreeSet<TreePath> = tree.iter().map(|(path, _)| path.clone()).collect();
        changed.retain(|path| tree.content(path).is_some());
        let nginx = table::programs().find(|program| program.name == "nginx").unwrap();
        let touched = [TreePath::new("etc/nginx/conf.d/ours.conf")];
        let read = of(&subject, nginx, &touched, &changed);
        let read: Vec<String> = read.into_iter().map(TreePath::to_string).collect();
        assert_eq!(read, ["/etc/made", "/etc/nginx/conf.d/ours.conf", "/etc/ours/a.conf", "/opt/key.pem"]);
    }
}
