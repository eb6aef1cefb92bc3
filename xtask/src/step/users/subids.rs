//! Subordinate ids, as useradd(8) gives them: what containers of a user's own run as.

use bedplate_core::plan::UserPlan;
use bedplate_formats::tree::Tree;

use super::{append, read};

/// Gives a user who logs in a range of subordinate users and groups, where the image has files for them.
///
/// A range follows from the user's id, so that what a container keeps belongs to the same numbers in every version of
/// the image; where that range is taken, the first free one is given.
pub(super) fn give(user: &UserPlan, tree: &mut Tree) {
    for (path, kind) in [("etc/subuid", "UID"), ("etc/subgid", "GID")] {
        if !tree.contains(&path.into()) {
            continue;
        }
        let text = read(tree, path);
        if text.lines().any(|line| line.split(':').next() == Some(&user.name)) {
            continue;
        }
        if let Some((first, count)) = range(user, &text, &Defaults::of(tree, kind)) {
            append(tree, path, &format!("{}:{first}:{count}\n", user.name));
        }
    }
}

fn range(user: &UserPlan, taken: &str, defaults: &Defaults) -> Option<(u64, u64)> {
    let Defaults { first, last, count, people } = *defaults;
    if count == 0 {
        return None;
    }
    let taken: Vec<(u64, u64)> = taken.lines().filter_map(given).collect();
    let free = |start: &u64| {
        let end = start + count;
        end - 1 <= last && taken.iter().all(|(other, many)| end <= *other || other + many <= *start)
    };
    let own = first + u64::from(user.uid).saturating_sub(people) * count;
    let after = std::iter::once(first).chain(taken.iter().map(|(start, many)| start + many));
    std::iter::once(own)
        .find(free)
        .or_else(|| after.filter(|start| *start >= first).filter(free).min())
        .map(|start| (start, count))
}

/// The range in a line.
fn given(line: &str) -> Option<(u64, u64)> {
    let mut fields = line.split(':').skip(1);
    Some((fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?))
}

/// What login.defs(5) says of them, or what useradd takes without.
struct Defaults {
    first: u64,
    last: u64,
    count: u64,
    people: u64,
}

impl Defaults {
    fn of(tree: &Tree, kind: &str) -> Self {
        let text = read(tree, "etc/login.defs");
        let value = |key: &str, default| {
            let mut lines = text.lines().map(str::split_whitespace);
            let found =
                lines.find_map(|mut words| (words.next() == Some(key)).then(|| words.next()?.parse().ok()));
            found.flatten().unwrap_or(default)
        };
        Self {
            first: value(&format!("SUB_{kind}_MIN"), 100_000),
            last: value(&format!("SUB_{kind}_MAX"), 600_100_000),
            count: value(&format!("SUB_{kind}_COUNT"), 65536),
            people: value("UID_MIN", 1000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_formats::tree::Node;

    /// case 19
    #[test]
    fn a_user_has_ranges_of_its_own_that_overlap_nobodys() {
        let mut tree = Tree::new();
        tree.insert("etc/subuid".into(), Node::file("service:165536:65536\n", 0o644));
        tree.insert("etc/subgid".into(), Node::file("", 0o644));
        let user = |name: &str, uid| UserPlan { name: name.into(), uid, ..super::super::tests::operator() };
        for (name, uid) in [("alice", 1000), ("bob", 1001), ("carol", 59000)] {
            give(&user(name, uid), &mut tree);
        }
        assert_eq!(
            read(&tree, "etc/subuid"),
            "service:165536:65536\nalice:100000:65536\nbob:231072:65536\ncarol:296608:65536\n"
        );
        assert!(read(&tree, "etc/subgid").starts_with("alice:100000:65536\nbob:165536:65536\n"));
        let before = read(&tree, "etc/subuid");
        give(&user("alice", 1000), &mut tree);
        assert_eq!(read(&tree, "etc/subuid"), before);
    }

    #[test]
    fn login_defs_decides_and_a_system_without_files_has_none() {
        let mut tree = Tree::new();
        give(&super::super::tests::operator(), &mut tree);
        assert!(!tree.contains(&"etc/subuid".into()));
        tree.insert("etc/subuid".into(), Node::file("", 0o644));
        tree.insert(
            "etc/login.defs".into(),
            Node::file("# SUB_UID_MIN 5\nSUB_UID_MIN\t200000\nSUB_UID_COUNT 1000\n", 0o644),
        );
        give(&super::super::tests::operator(), &mut tree);
        assert_eq!(read(&tree, "etc/subuid"), "operator:200000:1000\n");
    }
}
