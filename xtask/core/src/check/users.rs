//! Rules of users.

use super::repeated;
use crate::diagnostic::Diagnostic;
use crate::explain::{Rule, example};
use crate::image::Image;
use crate::image::user::User;

pub(crate) static USER_TWICE: Rule = Rule {
    code: "user-twice",
    title: "a user is added once",
    why: "Two entries of one name in passwd are read differently by different programs.",
    wrong: example!(|device| device.user(User::new("operator")).user(User::new("operator"))),
    right: example!(|device| device.user(User::new("operator"))),
};

pub(crate) static USER_OF_THE_SYSTEM: Rule = Rule {
    code: "user-of-the-system",
    title: "a user is not one that the distribution has",
    why: "root, daemon, www-data and their like come with base-passwd, with ids that packages rely on. root is \
          locked: log in as a user of your own.",
    wrong: example!(|device| device.user(User::new("root"))),
    right: example!(|device| device.user(User::new("operator"))),
};

pub(crate) static UID_OUT_OF_RANGE: Rule = Rule {
    code: "uid-out-of-range",
    title: "a user's id is between 1000 and 59999",
    why: "Ids below 1000 belong to the system and are handed out by packages when they are installed; 0 is root under \
          another name. From 60000 on they belong to systemd (dynamic users, homes, containers).",
    wrong: example!(|device| device.user(User::new("operator").uid(0))),
    right: example!(|device| device.user(User::new("operator").uid(1500))),
};

pub(crate) static UID_TWICE: Rule = Rule {
    code: "uid-twice",
    title: "every user has an id of its own",
    why: "Two users with one id are one user to the kernel: each can read and kill what the other has.",
    wrong: example!(|device| device.user(User::new("alice").uid(1500)).user(User::new("bob").uid(1500))),
    right: example!(|device| device.user(User::new("alice").uid(1500)).user(User::new("bob").uid(1501))),
};

pub(crate) static GROUP_OF_THE_SYSTEM: Rule = Rule {
    code: "group-of-the-system",
    title: "a user is not put into a group that is root by another name",
    why: "Who is in `disk` writes the partitions, who is in `shadow` reads the passwords' hashes, who is in `kmem` \
          reads the memory, and none of it leaves a trace. Being in `sudo` says what it is.",
    wrong: example!(|device| device.user(User::new("operator").group("disk"))),
    right: example!(|device| device.user(User::new("operator").group("sudo"))),
};

/// The users of Debian's base-passwd and of systemd.
const OF_THE_SYSTEM: [&str; 24] = [
    "_apt",
    "backup",
    "bin",
    "daemon",
    "dnsmasq",
    "games",
    "irc",
    "list",
    "lp",
    "mail",
    "man",
    "messagebus",
    "news",
    "nobody",
    "polkitd",
    "proxy",
    "root",
    "sshd",
    "sync",
    "sys",
    "systemd-network",
    "systemd-resolve",
    "uucp",
    "www-data",
];
const GROUPS: [&str; 5] = ["disk", "kmem", "root", "shadow", "utmp"];

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    for user in &image.users {
        if let Some(name) = user.name.as_ref().filter(|name| OF_THE_SYSTEM.contains(&name.value.as_str())) {
            let mistake =
                Diagnostic::new(USER_OF_THE_SYSTEM.code, format!("`{}` is a user of the system", name.value));
            found.push(mistake.at(&name.at).help("choose another name"));
        }
        if let Some(uid) = user.uid.as_ref().filter(|uid| !(1000..=59999).contains(&uid.value)) {
            let mistake =
                Diagnostic::new(UID_OUT_OF_RANGE.code, format!("{} is no id of a person", uid.value));
            let label = if uid.value == 0 { "0 is root" } else { "not between 1000 and 59999" };
            found.push(
                mistake.at(&uid.at).label(label).help("leave it out: the first free one from 1000 is taken"),
            );
        }
        for group in user.groups.iter().filter(|group| GROUPS.contains(&group.value.as_str())) {
            let message = format!("who is in the group `{}` is root by another name", group.value);
            found.push(Diagnostic::new(GROUP_OF_THE_SYSTEM.code, message).at(&group.at).help("use `sudo`"));
        }
    }
    for (first, second) in repeated(&image.users, |user| user.name.as_ref().map(|name| &name.value)) {
        let (Some(first), Some(second)) = (&first.name, &second.name) else { continue };
        let mistake = Diagnostic::new(USER_TWICE.code, format!("the user `{}` is added twice", second.value));
        found.push(
            mistake.at(&second.at).related(&first.at, "first added here").help("remove one of the two"),
        );
    }
    for (first, second) in repeated(&image.users, |user| user.uid.as_ref().map(|uid| uid.value)) {
        let (Some(first), Some(second)) = (&first.uid, &second.uid) else { continue };
        let mistake = Diagnostic::new(UID_TWICE.code, format!("two users have the id {}", second.value));
        found.push(mistake.at(&second.at).related(&first.at, "first given here"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use expect_test::expect;

    const SOURCE: &str = include_str!("users.rs");

    #[test]
    fn a_second_user_of_a_name_shows_the_first() {
        expect![[r#"
            error[user-twice]: the user `operator` is added twice
              --> xtask/core/src/check/users.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.user(User::new("operator")).user(User::new("operator"))),
               |                                                                      ^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/users.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.user(User::new("operator")).user(User::new("operator"))),
               |                                          --------------------- first added here
               |
               = help: remove one of the two
        "#]]
        .assert_eq(&refusal(&USER_TWICE, SOURCE));
    }

    #[test]
    fn root_is_not_a_user_to_add() {
        expect![[r#"
            error[user-of-the-system]: `root` is a user of the system
              --> xtask/core/src/check/users.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.user(User::new("root"))),
               |                                          ^^^^^^^^^^^^^^^^^
               |
               = help: choose another name
        "#]]
        .assert_eq(&refusal(&USER_OF_THE_SYSTEM, SOURCE));
    }

    #[test]
    fn nobody_becomes_root_by_id() {
        expect![[r#"
            error[uid-out-of-range]: 0 is no id of a person
              --> xtask/core/src/check/users.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.user(User::new("operator").uid(0))),
               |                                                                ^^^^^^ 0 is root
               |
               = help: leave it out: the first free one from 1000 is taken
        "#]]
        .assert_eq(&refusal(&UID_OUT_OF_RANGE, SOURCE));
    }

    #[test]
    fn two_users_do_not_share_an_id() {
        expect![[r#"
            error[uid-twice]: two users have the id 1500
              --> xtask/core/src/check/users.rs:LL:CC
               |
            LL | …example!(|device| device.user(User::new("alice").uid(1500)).user(User::new("bob").uid(1500))),
               |                                                                                    ^^^^^^^^^
              ::: xtask/core/src/check/users.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.user(User::new("alice").uid(1500)).user(User::new("bob").ui
               |                                                             --------- first given here
        "#]].assert_eq(&refusal(&UID_TWICE, SOURCE));
    }

    #[test]
    fn nobody_becomes_root_by_group() {
        expect![[r#"
            error[group-of-the-system]: who is in the group `disk` is root by another name
              --> xtask/core/src/check/users.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.user(User::new("operator").group("disk"))),
               |                                                                ^^^^^^^^^^^^^
               |
               = help: use `sudo`
        "#]]
        .assert_eq(&refusal(&GROUP_OF_THE_SYSTEM, SOURCE));
    }
}
