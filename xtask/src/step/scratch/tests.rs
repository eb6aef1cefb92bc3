//! What is written, hidden and read back; `tests/scratch.rs` runs programs.

use bedplate_formats::tree::{Kind as NodeKind, Node};

use super::*;

fn system() -> Tree {
    let mut tree = Tree::new();
    tree.insert("etc/hosts".into(), Node::file("packages'", 0o644));
    tree.insert("usr/bin/perl".into(), Node::file("perl", 0o755));
    let link = NodeKind::Hardlink("usr/bin/perl".into());
    tree.insert("usr/bin/perl5".into(), Node { kind: link, ..Node::file("", 0o755) });
    tree.insert("usr/share/doc/perl/README".into(), Node::file("read me", 0o644));
    tree
}

fn between(change: fn(&mut Tree)) -> (Vec<String>, Vec<String>) {
    let mut tree = system();
    change(&mut tree);
    let differences = differences::between(&system(), &tree);
    let texts = |paths: std::collections::BTreeSet<TreePath>| paths.iter().map(TreePath::to_string).collect();
    (texts(differences.written), texts(differences.removed))
}

#[test]
fn only_what_differs_is_written_and_only_the_top_of_what_is_gone_is_hidden() {
    assert_eq!(between(|_| ()), (vec![], vec![]));
    let (written, removed) = between(|tree| {
        tree.insert("etc/agent/x".into(), Node::file("x", 0o600));
        tree.remove(&"usr/share/doc".into());
    });
    assert_eq!(written, ["/", "/etc", "/etc/agent", "/etc/agent/x", "/usr", "/usr/share"]);
    assert_eq!(removed, ["/usr/share/doc"]);
}

#[test]
fn what_takes_the_place_of_a_directory_hides_what_was_below_it() {
    let (written, removed) = between(|tree| tree.insert("usr/share/doc".into(), Node::symlink("nowhere")));
    assert_eq!(written, ["/", "/usr", "/usr/share", "/usr/share/doc"]);
    assert_eq!(removed, [""; 0]);
}

#[test]
fn a_files_names_stay_one_file() {
    let (written, _) = between(|tree| tree.get_mut(&"usr/bin/perl".into()).unwrap().mode = 0o700);
    assert_eq!(written, ["/", "/usr", "/usr/bin", "/usr/bin/perl", "/usr/bin/perl5"]);
}

#[test]
fn changes_are_cached_as_they_were_made() {
    let directory = tempfile::tempdir().unwrap();
    let mut changes = Changes::default();
    changes.removed.insert("usr/share/doc/perl".into());
    changes.written.insert("etc/new/file".into(), Node { mtime: 7, ..Node::file("new", 0o4711) });
    changes.written.insert("etc/empty".into(), Node { mtime: 9, ..Node::directory(0o700) });
    changes.save(&system(), directory.path()).unwrap();
    let loaded = Changes::load(directory.path()).unwrap();
    let paths: Vec<String> = loaded.written.keys().map(TreePath::to_string).collect();
    assert_eq!(paths, ["/etc/empty", "/etc/new/file"], "the directories above are not changed");
    let (mut one, mut other) = (system(), system());
    changes.apply(&mut one);
    loaded.apply(&mut other);
    assert!(!other.contains(&"usr/share/doc/perl".into()) && other.contains(&"usr/share/doc".into()));
    for (path, node) in one.iter() {
        let found = other.get(path).unwrap();
        assert_eq!((found.mode, found.mtime), (node.mode, node.mtime), "{path}");
    }
    assert_eq!(other.content(&"etc/new/file".into()).unwrap().read().unwrap(), b"new");
}
