//! Rules of users.

use super::repeated;
use crate::diagnostic::Diagnostic;
use crate::image::Image;
use crate::image::user::{Login, User};
use crate::rule::{Rule, example};

pub(crate) static USER_TWICE: Rule = Rule {
    code: "user-twice",
    title: "a user is added once",
    why: "Two entries of one name in passwd are read differently by different programs.",
    wrong: example!(|device| device.user(User::new("alice")).user(User::new("alice"))),
    right: example!(|device| device.user(User::new("alice"))),
};

pub(crate) static USER_OF_THE_SYSTEM: Rule = Rule {
    code: "user-of-the-system",
    title: "a user is not one that the distribution has",
    why: "root, daemon, www-data and their like come with base-passwd, with ids that packages rely on. root is \
          locked: log in as a user of your own.",
    wrong: example!(|device| device.user(User::new("root"))),
    right: example!(|device| device.user(User::new("alice"))),
};

pub(crate) static UID_OUT_OF_RANGE: Rule = Rule {
    code: "uid-out-of-range",
    title: "a user's id is between 1000 and 59999, a system user's between 100 and 999",
    why: "Ids below 1000 belong to the system: those below 100 to Debian's own users, the others to services; 0 is \
          root under another name. From 60000 on they belong to systemd (dynamic users, homes, containers).",
    wrong: example!(|device| device.user(User::new("alice").uid(0))),
    right: example!(|device| device.user(User::new("alice").uid(1500))),
};

pub(crate) static UID_TWICE: Rule = Rule {
    code: "uid-twice",
    title: "every user has an id of its own",
    why: "Two users with one id are one user to the kernel: each can read and kill what the other has.",
    wrong: example!(|device| device.user(User::new("alice").uid(1500)).user(User::new("bob").uid(1500))),
    right: example!(|device| device.user(User::new("alice").uid(1500)).user(User::new("bob").uid(1501))),
};

pub(crate) static SYSTEM_USER_WITHOUT_ID: Rule = Rule {
    code: "system-user-without-id",
    title: "a system user has a fixed id",
    why: "What a service keeps belongs to a number, and the number stays on the data partition for years. An id that \
          is handed out at every build may be another user's in the next version of the image, who then owns what \
          was kept.",
    wrong: example!(|device| device.user(User::system("cwagent"))),
    right: example!(|device| device.user(User::system("cwagent").uid(990))),
};

pub(crate) static LOGIN_OF_A_SERVICE: Rule = Rule {
    code: "login-of-a-service",
    title: "nobody logs in as a system user",
    why: "A system user has no shell and, mostly, no home. A key would be a door that leads nowhere, or into what a \
          service may do. Let people in as users of their own.",
    wrong: example!(|device| device.user(User::system("cwagent").uid(990).login(Login::Key(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJl3dIeudNqd0DMROIGqRXZzVvNzQTcP4MbZ2tWv4nKJ me"
    )))),
    right: example!(|device| device.user(User::new("alice").login(Login::Key(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJl3dIeudNqd0DMROIGqRXZzVvNzQTcP4MbZ2tWv4nKJ me"
    )))),
};

pub(crate) static GROUP_OF_THE_SYSTEM: Rule = Rule {
    code: "group-of-the-system",
    title: "a user is not put into a group that is root by another name",
    why: "Who is in `disk` writes the partitions, who is in `shadow` reads the passwords' hashes, who is in `kmem` \
          reads the memory, and none of it leaves a trace. Being in `sudo` says what it is.",
    wrong: example!(|device| device.user(User::new("alice").group("disk"))),
    right: example!(|device| device.user(User::new("alice").group("sudo"))),
};

pub(crate) static OWN_GROUP_OF_THE_SYSTEM: Rule = Rule {
    code: "own-group-of-the-system",
    title: "a user's own group is not one that the distribution has",
    why: "A user has a group of its own, named like the user. base-passwd brings groups without a user of that name \
          (`operator`, `staff`, `users`): the user would be in a group that others are in, too.",
    wrong: example!(|device| device.user(User::new("operator"))),
    right: example!(|device| device.user(User::new("operator").own_group("operators"))),
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
/// The groups of base-passwd that have no user of the same name.
const WITHOUT_USER: [&str; 23] = [
    "adm", "audio", "cdrom", "dialout", "dip", "disk", "fax", "floppy", "kmem", "nogroup", "operator",
    "plugdev", "sasl", "shadow", "src", "staff", "sudo", "tape", "tty", "users", "utmp", "video", "voice",
];

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    for user in &image.users {
        if let Some(name) = user.name.as_ref().filter(|name| OF_THE_SYSTEM.contains(&name.value.as_str())) {
            let mistake =
                Diagnostic::new(USER_OF_THE_SYSTEM.code, format!("`{}` is a user of the system", name.value));
            found.push(mistake.at(&name.at).help("choose another name"));
        }
        let (range, whose, outside, help) = match user.system {
            false => (
                1000..=59999,
                "a person",
                "not between 1000 and 59999",
                "leave it out: the first free one from 1000 is taken",
            ),
            true => (
                100..=999,
                "a system user",
                "not between 100 and 999",
                "packages take 999 first, so start below",
            ),
        };
        if let Some(uid) = user.uid.as_ref().filter(|uid| !range.contains(&uid.value)) {
            let mistake =
                Diagnostic::new(UID_OUT_OF_RANGE.code, format!("{} is no id of {whose}", uid.value));
            let label = if uid.value == 0 { "0 is root" } else { outside };
            found.push(mistake.at(&uid.at).label(label).help(help));
        }
        if let (true, None, Some(name)) = (user.system, &user.uid, &user.name) {
            let message = format!("the system user `{}` has no id", name.value);
            let mistake = Diagnostic::new(SYSTEM_USER_WITHOUT_ID.code, message).at(&name.at);
            found.push(mistake.help("add `.uid(990)`, or another id between 100 and 999 that is free"));
        }
        if let (true, Some(key)) = (user.system, user.keys.first()) {
            let message = "a key is to let somebody in as a system user".to_string();
            found.push(
                Diagnostic::new(LOGIN_OF_A_SERVICE.code, message)
                    .at(&key.at)
                    .help("make it `User::new(…)`, or leave the key out"),
            );
        }
        let own_group = user.own_group.as_ref().map(|group| (group.value.as_str(), &group.at));
        let own_group = own_group.or(user.name.as_ref().map(|name| (name.value.as_str(), &name.at)));
        if let Some((group, at)) = own_group.filter(|(group, _)| WITHOUT_USER.contains(group)) {
            let message = format!("the distribution has a group `{group}`");
            let mistake = Diagnostic::new(OWN_GROUP_OF_THE_SYSTEM.code, message).at(at);
            found.push(mistake.help("call the user's otherwise: `.own_group(\"…\")`"));
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
            error[user-twice]: the user `alice` is added twice
              --> xtask/core/src/check/users.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.user(User::new("alice")).user(User::new("alice"))),
               |                                                                   ^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/users.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.user(User::new("alice")).user(User::new("alice"))),
               |                                          ------------------ first added here
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
            LL |     wrong: example!(|device| device.user(User::new("alice").uid(0))),
               |                                                             ^^^^^^ 0 is root
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
    fn a_system_user_without_id_is_refused() {
        expect![[r#"
            error[system-user-without-id]: the system user `cwagent` has no id
              --> xtask/core/src/check/users.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.user(User::system("cwagent"))),
               |                                          ^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: add `.uid(990)`, or another id between 100 and 999 that is free
        "#]]
        .assert_eq(&refusal(&SYSTEM_USER_WITHOUT_ID, SOURCE));
    }

    #[test]
    fn nobody_logs_in_as_a_service() {
        expect![[r#"
            error[login-of-a-service]: a key is to let somebody in as a system user
              --> xtask/core/src/check/users.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.user(User::system("cwagent").uid(990).login(Login::Key(
               |                                                                                 ^^^^^^^^^^^
               |
               = help: make it `User::new(…)`, or leave the key out
        "#]]
        .assert_eq(&refusal(&LOGIN_OF_A_SERVICE, SOURCE));
    }

    #[test]
    fn the_id_of_a_system_user_is_one_of_the_systems() {
        assert!(crate::rule::device().user(User::system("cwagent").uid(990)).plan().is_ok());
        for uid in [0, 33, 1000] {
            let mistakes = crate::rule::device().user(User::system("cwagent").uid(uid)).plan().unwrap_err();
            assert!(
                mistakes.iter().all(|mistake| mistake.code == UID_OUT_OF_RANGE.code),
                "{uid}: {mistakes}"
            );
        }
    }

    #[test]
    fn a_user_shares_its_own_group_with_nobody() {
        expect![[r#"
            error[own-group-of-the-system]: the distribution has a group `operator`
              --> xtask/core/src/check/users.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.user(User::new("operator"))),
               |                                          ^^^^^^^^^^^^^^^^^^^^^
               |
               = help: call the user's otherwise: `.own_group("…")`
        "#]]
        .assert_eq(&refusal(&OWN_GROUP_OF_THE_SYSTEM, SOURCE));
        let named = |group| crate::rule::device().user(User::new("alice").own_group(group)).plan();
        assert!(named("staff").is_err());
        assert!(named("alices").is_ok());
    }

    #[test]
    fn nobody_becomes_root_by_group() {
        expect![[r#"
            error[group-of-the-system]: who is in the group `disk` is root by another name
              --> xtask/core/src/check/users.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.user(User::new("alice").group("disk"))),
               |                                                             ^^^^^^^^^^^^^
               |
               = help: use `sudo`
        "#]]
        .assert_eq(&refusal(&GROUP_OF_THE_SYSTEM, SOURCE));
    }
}
