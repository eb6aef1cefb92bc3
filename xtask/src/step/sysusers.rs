//! Makes the users that the description's files in `sysusers.d` ask for, with the image's own systemd-sysusers.
//!
//! On a device nothing would: its condition is that `/usr` was updated. A user or group without a number gets one that
//! follows from its name, so that what a service keeps belongs to it in every version of the image; systemd-sysusers
//! takes the next free one, which another package shifts.
//! <https://www.freedesktop.org/software/systemd/man/latest/sysusers.d.html>

use std::collections::BTreeSet;

use anyhow::Result;
use bedplate_core::SourceLocation;
use bedplate_formats::tree::{Tree, TreePath};
use fs_err as fs;
use sha2::{Digest as _, Sha256};

use super::inside::Inside;
use super::scratch::Changes;
use super::{origin, users};
use crate::error::LocatedError;

const DIRECTORIES: [&str; 3] = ["etc/sysusers.d", "usr/local/lib/sysusers.d", "usr/lib/sysusers.d"];
const PROGRAM: &str = "usr/bin/systemd-sysusers";
const ACCOUNTS: [&str; 4] = ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"];
/// Numbers that follow from names: away from the two ends from which packages take theirs.
const FIRST: u32 = 400;
const COUNT: u32 = 300;

/// Makes the users of the files in `brought`.
///
/// # Errors
/// What systemd-sysusers finds wrong with them, and a number that somebody else has, at the line that brought the file.
pub fn apply(inside: &Inside<'_>, brought: &BTreeSet<TreePath>, tree: &mut Tree) -> Result<()> {
    let is_ours = |path: &&TreePath| {
        path.name().is_some_and(|name| name.ends_with(b".conf"))
            && path.parent().is_some_and(|above| DIRECTORIES.iter().any(|one| above == one.into()))
    };
    let mut files: Vec<&TreePath> = brought.iter().filter(is_ours).collect();
    let Some(first) = files.first() else { return Ok(()) };
    let at = origin::of(inside.plan, inside.project, tree, first);
    files.sort_by_key(|path| path.name());
    let mut lines = String::new();
    for path in &files {
        let content = tree.content(path).map(|content| content.read()).transpose()?.unwrap_or_default();
        lines.push_str(&String::from_utf8_lossy(&content));
        lines.push('\n');
    }
    let text = numbered(&lines, &users::read(tree, "etc/passwd"), &users::read(tree, "etc/group"));
    if tree.content(&PROGRAM.into()).is_none() {
        return Err(LocatedError {
            message: format!("`{}` asks for users, but systemd-sysusers is not in the image", files[0]),
            at,
            word: None,
            help: "add `.package(\"systemd\")`".into(),
        }
        .into());
    }
    let mut key = inside.key("sysusers");
    key.add(&text);
    for path in ACCOUNTS {
        key.add(tree.content(&path.into()).map(|content| content.read()).transpose()?.unwrap_or_default());
    }
    inside.cached("sysusers", key, tree, |inside, shown| make(inside, shown, &text, at.as_ref()))?;
    check(&text, tree, at).map_err(Into::into)
}

fn make(inside: &Inside<'_>, tree: &Tree, text: &str, at: Option<&SourceLocation>) -> Result<Changes> {
    let file = inside.store.temporary()?.join("sysusers.conf");
    fs::write(&file, text)?;
    let mut changes = inside.changes(tree, |sandbox| {
        // Day 1 in the shadow file, as for every other user.
        let sandbox = sandbox.clone().env("SOURCE_DATE_EPOCH", "86400");
        let sandbox = sandbox.bind_read_only(&file, "/run/bedplate/sysusers.conf");
        let command = sandbox.command(["systemd-sysusers", "/run/bedplate/sysusers.conf"]);
        let output = command.stdin_null().stderr_to_stdout().stdout_capture().unchecked().run()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stdout).replace("/run/bedplate/sysusers.conf:", "line ");
        Err(LocatedError {
            message: format!(
                "systemd-sysusers cannot make the users of `sysusers.d`:\n  {}",
                said.trim().replace('\n', "\n  ")
            ),
            at: at.cloned(),
            word: None,
            help: "see sysusers.d(5)".into(),
        }
        .into())
    })?;
    changes.retain(|path| ACCOUNTS.iter().any(|account| path == &account.into()));
    Ok(changes)
}

/// The lines, with a number for every user and group that has none.
fn numbered(lines: &str, passwd: &str, group: &str) -> String {
    let mut taken: BTreeSet<u32> = BTreeSet::new();
    for text in [passwd, group] {
        taken.extend(text.lines().filter_map(|line| line.split(':').nth(2)?.parse::<u32>().ok()));
    }
    let asked = |line: &str| number(line).and_then(|id| id.split(':').next()?.parse::<u32>().ok());
    taken.extend(lines.lines().filter_map(asked));
    let there = |text: &str, name: &str| text.lines().any(|line| line.split(':').next() == Some(name));
    let mut given: std::collections::BTreeMap<String, u32> = std::collections::BTreeMap::new();
    let mut line = |line: &str| {
        let mut words = line.split_whitespace();
        let (Some(kind), Some(name)) = (words.next(), words.next()) else { return line.to_owned() };
        let is_user = kind.starts_with('u');
        let known = there(if is_user { passwd } else { group }, name) || (is_user && there(group, name));
        if !(is_user || kind.starts_with('g')) || number(line).is_some_and(|id| id != "-") || known {
            return line.to_owned();
        }
        let id = *given.entry(name.to_owned()).or_insert_with(|| free(name, &mut taken));
        let rest = line.trim_start();
        let rest = rest[kind.len()..].trim_start();
        let rest = rest[name.len()..].trim_start();
        format!("{kind} {name} {id} {}", rest.strip_prefix('-').unwrap_or(rest).trim_start())
    };
    lines.lines().map(|text| line(text).trim_end().to_owned() + "\n").collect()
}

/// The third field of a line that makes a user or a group.
fn number(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    words.next().filter(|kind| kind.starts_with(['u', 'g']))?;
    words.nth(1)
}

fn free(name: &str, taken: &mut BTreeSet<u32>) -> u32 {
    let digest = Sha256::digest(name);
    let start = u32::from(digest[0]) << 8 | u32::from(digest[1]);
    let candidates = (0..COUNT).map(|step| FIRST + (start + step) % COUNT);
    let id = candidates.clone().find(|id| !taken.contains(id)).unwrap_or(FIRST);
    taken.insert(id);
    id
}

/// systemd-sysusers takes another number where one is taken, and says so to nobody.
fn check(text: &str, tree: &Tree, at: Option<SourceLocation>) -> Result<(), LocatedError> {
    let passwd = users::read(tree, "etc/passwd");
    for line in text.lines().filter(|line| line.starts_with('u')) {
        let (Some(name), Some(id)) = (line.split_whitespace().nth(1), number(line)) else { continue };
        let found = passwd.lines().find(|line| line.split(':').next() == Some(name));
        let found = found.and_then(|line| line.split(':').nth(2));
        let wanted = id.split(':').next().unwrap_or_default();
        if !wanted.is_empty() && wanted.bytes().all(|byte| byte.is_ascii_digit()) && found != Some(wanted) {
            let other = passwd.lines().find(|line| line.split(':').nth(2) == Some(wanted));
            let other = other.and_then(|line| line.split(':').next()).unwrap_or("another group");
            return Err(LocatedError {
                message: format!("the user `{name}` is to have the id {wanted}, which is that of `{other}`"),
                at,
                word: None,
                help: "choose another id, or write `-` for one that follows from the name".into(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nmessagebus:x:998:998::/:/bin/false\n";

    #[test]
    fn a_name_without_a_number_gets_the_same_one_whatever_else_there_is() {
        let one = numbered("u agent - \"The agent\" /var/lib/agent\n", PASSWD, "");
        let other = numbered("g group 12\nu other -\nu agent -\n", "x:x:999:999::/:/\n", "");
        let id = |text: &str| {
            number(text.lines().find(|line| line.contains("agent")).unwrap()).unwrap().to_owned()
        };
        assert_eq!(id(&one), id(&other));
        assert!((FIRST..FIRST + COUNT).contains(&id(&one).parse::<u32>().unwrap()));
        assert!(one.ends_with("\"The agent\" /var/lib/agent\n"), "{one}");
    }

    #[test]
    fn numbers_that_are_written_and_users_that_are_there_stay() {
        let lines = "u agent 980\nu messagebus -\nm agent kvm\n# u no -\n";
        assert_eq!(numbered(lines, PASSWD, ""), lines);
    }

    #[test]
    fn a_taken_number_is_refused() {
        let mut tree = Tree::new();
        let passwd = format!("{PASSWD}agent:x:997:997::/:/\n");
        tree.insert("etc/passwd".into(), bedplate_formats::tree::Node::file(passwd, 0o644));
        assert!(check("u agent 997\n", &tree, None).is_ok());
        let problem = check("u agent 998\n", &tree, None).unwrap_err();
        assert!(problem.message.ends_with("which is that of `messagebus`"), "{problem}");
    }
}
