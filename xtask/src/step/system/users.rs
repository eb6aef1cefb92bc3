//! The users that services run as, written once the base system is configured
//! and before any other package is: a package that makes such a user for itself
//! (`adduser --system`, sysusers) finds it made, with the id the description says.
//!
//! Deliberately absent: home directories; a package makes what it needs.

use anyhow::{Context as _, Result};
use bedplate_core::plan::UserPlan;
use bedplate_formats::unpack::Inside;

use crate::error::LocatedError;

/// Adds the users.
///
/// # Errors
/// A name or id that the base system uses, at the user's line.
pub(super) fn apply(users: &[UserPlan], inside: &Inside) -> Result<()> {
    for user in users {
        let (name, uid, gid, home, shell) = (&user.name, user.uid, user.gid, &user.home, &user.shell);
        let group = &user.group;
        let passwd = read(inside, "etc/passwd")?;
        let groups = read(inside, "etc/group")?;
        let taken = clash(&passwd, name, uid).or_else(|| clash(&groups, group, gid));
        if let Some(taken) = taken {
            return Err(LocatedError {
                message: format!("the system user `{name}` with id {uid} cannot be made: `{taken}` is there"),
                at: user.at.clone(),
                word: None,
                help: "choose another name, or another id between 100 and 999".into(),
            }
            .into());
        }
        // Without shadow files, which come with the package `passwd`, a star
        // in their place locks as well; that package then moves it over.
        let shadowed = |path: &str| if inside.exists(path) { "x" } else { "*" };
        let (x, group_x) = (shadowed("etc/shadow"), shadowed("etc/gshadow"));
        append(inside, "etc/passwd", passwd, &format!("{name}:{x}:{uid}:{gid}::{home}:{shell}\n"))?;
        append(inside, "etc/group", groups, &format!("{group}:{group_x}:{gid}:\n"))?;
        // Day 1, not today's: two builds of one lock are the same bytes.
        for (path, line) in
            [("etc/shadow", format!("{name}:!*:1::::::\n")), ("etc/gshadow", format!("{group}:!::\n"))]
        {
            if inside.exists(path) {
                append(inside, path, read(inside, path)?, &line)?;
            }
        }
    }
    Ok(())
}

/// The line whose name or id (its third field) is taken.
fn clash<'a>(text: &'a str, name: &str, id: u32) -> Option<&'a str> {
    text.lines().find(|line| {
        let mut fields = line.split(':');
        fields.next() == Some(name) || fields.nth(1).is_some_and(|taken| taken == id.to_string())
    })
}

fn read(inside: &Inside, path: &str) -> Result<String> {
    let bytes = inside.read(path).with_context(|| format!("could not read `/{path}`"))?;
    Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
}

/// Replaces the content; owner and mode stay.
fn append(inside: &Inside, path: &str, mut text: String, line: &str) -> Result<()> {
    let mode = if path.ends_with("shadow") { 0o640 } else { 0o644 };
    text.push_str(line);
    inside.write(path, text.as_bytes(), mode).with_context(|| format!("could not write `/{path}`"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cwagent(uid: u32) -> UserPlan {
        UserPlan {
            name: "cwagent".into(),
            system: true,
            administrator: false,
            credential: false,
            program: false,
            uid,
            group: "cwagent".into(),
            gid: uid,
            groups: vec!["adm".into()],
            home: "/nonexistent".parse().unwrap(),
            image_home: "/nonexistent".parse().unwrap(),
            shell: "/usr/sbin/nologin".into(),
            authorized_keys: Vec::new(),
            at: None,
        }
    }

    fn system(directory: &std::path::Path) -> Inside {
        std::fs::create_dir(directory.join("etc")).unwrap();
        let write = |path: &str, text: &str| std::fs::write(directory.join(path), text).unwrap();
        write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
        write("etc/shadow", "root:*:1::::::\n");
        write("etc/group", "root:x:0:\nkvm:x:992:\n");
        Inside::new(directory).unwrap()
    }

    #[test]
    fn a_system_user_is_locked_and_has_the_id_that_was_said() {
        let directory = tempfile::tempdir().unwrap();
        let inside = system(directory.path());
        apply(&[cwagent(990)], &inside).unwrap();
        let passwd = read(&inside, "etc/passwd").unwrap();
        assert!(passwd.ends_with("\ncwagent:x:990:990::/nonexistent:/usr/sbin/nologin\n"), "{passwd}");
        assert!(read(&inside, "etc/shadow").unwrap().ends_with("\ncwagent:!*:1::::::\n"));
        // There is no gshadow, so the group says itself that nobody knows its password.
        assert!(read(&inside, "etc/group").unwrap().ends_with("\ncwagent:*:990:\n"));
    }

    #[test]
    fn a_group_may_be_called_other_than_its_user() {
        let directory = tempfile::tempdir().unwrap();
        let inside = system(directory.path());
        apply(&[UserPlan { name: "ggc_user".into(), group: "ggc_group".into(), ..cwagent(991) }], &inside)
            .unwrap();
        assert!(read(&inside, "etc/passwd").unwrap().contains("\nggc_user:x:991:991:"));
        let groups = read(&inside, "etc/group").unwrap();
        assert!(groups.ends_with("\nggc_group:*:991:\n") && !groups.contains("ggc_user"), "{groups}");
        let taken = UserPlan { group: "kvm".into(), ..cwagent(990) };
        assert!(apply(&[taken], &inside).is_err(), "a group of that name is there");
    }

    #[test]
    fn a_taken_id_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let inside = system(directory.path());
        for uid in [0, 992] {
            let error = apply(&[cwagent(uid)], &inside).unwrap_err();
            assert!(error.downcast_ref::<LocatedError>().is_some(), "{uid}: {error}");
        }
    }
}
