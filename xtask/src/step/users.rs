//! Writes the description's users into `/etc/passwd`, `shadow`, `group` and
//! `gshadow` of a tree. Every one is locked: no password can be written down.
//! Their home directories and keys are among the plan's files.
//!
//! System users are in the system already, made before its packages were
//! configured; here they join their groups.

mod subids;

use bedplate_core::plan::UserPlan;
use bedplate_formats::tree::{Content, Kind, Node, Tree};

use crate::error::LocatedError;

/// Adds the users of a plan.
///
/// # Errors
/// A name or id that a package already uses, or a group nobody made, at the
/// user's line.
pub fn apply(users: &[UserPlan], tree: &mut Tree) -> Result<(), LocatedError> {
    for user in users {
        add(user, tree)?;
    }
    Ok(())
}

fn add(user: &UserPlan, tree: &mut Tree) -> Result<(), LocatedError> {
    if user.system {
        return join_all(user, tree);
    }
    let (name, uid, gid) = (&user.name, user.uid, user.gid);
    let problem = |message: String, help: &str| LocatedError {
        message,
        at: user.at.clone(),
        word: None,
        help: help.to_owned(),
    };

    for line in read(tree, "etc/passwd").lines() {
        let mut fields = line.split(':');
        let (taken, id) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
        if taken == name {
            return Err(problem(format!("a package already has a user `{name}`"), "choose another name"));
        }
        if id == uid.to_string() {
            return Err(problem(
                format!("uid {uid} of `{name}` is the uid of `{taken}`"),
                "choose another uid",
            ));
        }
    }
    if read(tree, "etc/group").lines().any(|line| line.split(':').next() == Some(&user.group)) {
        let message =
            format!("a package already has a group `{}`, which is to be that of `{name}`", user.group);
        return Err(problem(message, "call it otherwise with `.own_group(\"…\")`, or choose another name"));
    }
    append(tree, "etc/passwd", &format!("{name}:x:{uid}:{gid}::{}:{}\n", user.home, user.shell));
    // Day 1, not today's: two builds of one lock are the same bytes.
    append(tree, "etc/shadow", &format!("{name}:!*:1:0:99999:7:::\n"));
    append(tree, "etc/group", &format!("{}:x:{gid}:\n", user.group));
    append(tree, "etc/gshadow", &format!("{}:!::\n", user.group));
    subids::give(user, tree);
    join_all(user, tree)
}

/// Puts a user into its further groups.
fn join_all(user: &UserPlan, tree: &mut Tree) -> Result<(), LocatedError> {
    let name = &user.name;
    for group in &user.groups {
        let joined = join(tree, "etc/group", group, name) && {
            join(tree, "etc/gshadow", group, name);
            true
        };
        if !joined {
            let help = "add the package that makes the group, or leave it out";
            return Err(LocatedError {
                message: format!("user `{name}` is to be in group `{group}`, which no package makes"),
                at: user.at.clone(),
                word: None,
                help: help.to_owned(),
            });
        }
    }
    Ok(())
}

pub(super) fn read(tree: &Tree, path: &str) -> String {
    let bytes = tree.content(&path.into()).and_then(|content| content.read().ok());
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

/// The names in a file of accounts: `etc/passwd`, `etc/group`.
pub(super) fn names(tree: &Tree, path: &str) -> Vec<String> {
    read(tree, path).lines().filter_map(|line| line.split(':').next()).map(str::to_owned).collect()
}

/// Replaces a file's content and leaves its owner and mode.
fn write(tree: &mut Tree, path: &str, text: String) {
    let kind = Kind::File(Content::from(text));
    match tree.get_mut(&path.into()) {
        Some(node) => node.kind = kind,
        None => tree.insert(path.into(), Node { kind, ..Node::file("", 0o644) }),
    }
}

fn append(tree: &mut Tree, path: &str, line: &str) {
    let text = read(tree, path) + line;
    write(tree, path, text);
}

/// Adds a member to a group's last field; `false` where there is no such group.
fn join(tree: &mut Tree, path: &str, group: &str, member: &str) -> bool {
    let text = read(tree, path);
    let prefix = format!("{group}:");
    if !text.lines().any(|line| line.starts_with(&prefix)) {
        return false;
    }
    let line = |line: &str| match line.strip_prefix(&prefix) {
        None => format!("{line}\n"),
        Some(_) if line.ends_with(':') => format!("{line}{member}\n"),
        Some(_) => format!("{line},{member}\n"),
    };
    write(tree, path, text.lines().map(line).collect());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::new();
        tree.insert("etc/passwd".into(), Node::file("root:x:0:0:root:/root:/bin/bash\n", 0o644));
        tree.insert("etc/shadow".into(), Node { gid: 42, ..Node::file("root:*:1::::::\n", 0o640) });
        tree.insert("etc/group".into(), Node::file("root:x:0:\nsudo:x:27:\nadm:x:4:syslog\n", 0o644));
        tree
    }

    pub(super) fn operator() -> UserPlan {
        UserPlan {
            name: "operator".into(),
            system: false,
            administrator: false,
            credential: false,
            program: false,
            uid: 1000,
            gid: 1000,
            group: "operator".into(),
            groups: vec!["sudo".into(), "adm".into()],
            home: "/home/operator".parse().unwrap(),
            image_home: "/home/operator".parse().unwrap(),
            shell: "/bin/bash".into(),
            authorized_keys: vec!["ssh-ed25519 AAAA me".into()],
            at: None,
        }
    }

    #[test]
    fn a_user_is_locked_and_in_its_groups() {
        let mut tree = tree();
        add(&operator(), &mut tree).unwrap();
        assert!(read(&tree, "etc/shadow").ends_with("operator:!*:1:0:99999:7:::\n"));
        assert_eq!(
            read(&tree, "etc/group"),
            "root:x:0:\nsudo:x:27:operator\nadm:x:4:syslog,operator\noperator:x:1000:\n"
        );
        let shadow = tree.get(&"etc/shadow".into()).unwrap();
        assert_eq!((shadow.mode, shadow.gid), (0o640, 42));
    }

    #[test]
    fn a_taken_id_or_name_and_a_missing_group_are_refused() {
        let wrong = |change: fn(&mut UserPlan)| {
            let mut user = operator();
            change(&mut user);
            add(&user, &mut tree()).unwrap_err().message
        };
        assert!(wrong(|u| u.uid = 0).contains("uid of `root`"));
        assert!(wrong(|u| u.name = "root".into()).contains("already has a user"));
        assert!(wrong(|u| u.group = "sudo".into()).contains("already has a group `sudo`"));
        assert!(wrong(|u| u.groups = vec!["docker".into()]).contains("which no package makes"));
    }
}
