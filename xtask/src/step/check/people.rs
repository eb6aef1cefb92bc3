//! People come in.

use bedplate_core::plan::UserPlan;
use bedplate_core::{Diagnostic, Login, Rule, User, example};
use bedplate_formats::tree::TreePath;

use super::started::Started;
use super::{Findings, Subject};
use crate::step::users;

pub(super) static USER_WITHOUT_LOGIN: Rule = Rule {
    code: "user-without-login",
    title: "a person has a way in",
    why: "A `User::new` is locked until something lets it in: a key, the keys of a credential, or what the description \
          does itself. This is a warning. `Login::Program` says that a program becomes the user; one that a service \
          runs as, or that only owns files, is a `User::system`.",
    wrong: example!(|device| device.user(User::new("alice"))),
    right: example!(|device| device.user(User::new("alice").login(Login::Credential))),
};

/// Settings by which a description lets people in on its own account.
const WAYS: [&str; 4] =
    ["AuthorizedKeysFile", "AuthorizedKeysCommand", "TrustedUserCAKeys", "AuthorizedPrincipalsFile"];

pub(super) fn check(subject: &Subject<'_>, started: &Started, found: &mut Findings) {
    let people = subject.plan.users.iter().filter(|user| !user.system);
    for user in people.filter(|user| !comes_in(subject, started, user)) {
        let message = format!("nothing lets `{}` in: the user has neither a key nor a password", user.name);
        let help = "add `.login(Login::Key(…))` or `.login(Login::Credential)`; where a program becomes the user, \
                    `.login(Login::Program)`; or make it a `User::system`";
        let caution = Diagnostic::new(USER_WITHOUT_LOGIN.code, message).help(help);
        found.cautions.push(match &user.at {
            Some(at) => caution.at(at).word(&user.name),
            None => caution,
        });
    }
}

/// Whether there is a way in for a user.
fn comes_in(subject: &Subject<'_>, started: &Started, user: &UserPlan) -> bool {
    !user.authorized_keys.is_empty()
        || user.credential
        || user.program
        || has_password(subject, &user.name)
        || has_keys(subject, user)
        || is_run(started, &user.name)
        || lets_in_otherwise(subject, &user.name)
}

/// A password that a script or an overlay has set.
fn has_password(subject: &Subject<'_>, name: &str) -> bool {
    let shadow = users::read(subject.tree, "etc/shadow");
    let mut passwords =
        shadow.lines().filter_map(|line| line.split_once(':')).filter(|(user, _)| *user == name);
    passwords.any(|(_, rest)| !rest.is_empty() && !rest.starts_with(['!', '*', ':', 'x']))
}

/// Keys among the files of its home.
fn has_keys(subject: &Subject<'_>, user: &UserPlan) -> bool {
    ["authorized_keys", "authorized_keys2"].iter().any(|name| {
        let path = TreePath::new(&user.image_home).join(".ssh").join(name);
        subject.tree.content(&path).is_some_and(|content| content.len() > 0)
    })
}

/// Whether a unit runs as the user, or logs it in.
fn is_run(started: &Started, name: &str) -> bool {
    started.iter().any(|unit| {
        let runs = unit.last("User").is_some_and(|setting| setting.value == name);
        runs || unit.all("ExecStart").any(|setting| setting.value.split_whitespace().any(|word| word == name))
    })
}

/// Whether the description lets people in by a file of its own: settings of sshd or of PAM, or one that names the user
/// where people are logged in. An automatic login of root lets it be anybody.
fn lets_in_otherwise(subject: &Subject<'_>, name: &str) -> bool {
    let of_directories = |directories: &[&str], fits: &dyn Fn(&str) -> bool| {
        directories.iter().any(|directory| {
            let directory = TreePath::new(directory);
            subject.origins.below(&directory).any(|(path, _)| fits(&subject.text(path)))
        })
    };
    let is_autologin = |path: &str| path.ends_with("/60-bedplate-autologin.conf");
    subject.plan.files.iter().any(|file| is_autologin(&file.path))
        || of_directories(&["etc/ssh"], &|text| WAYS.iter().any(|way| text.contains(way)))
        || of_directories(&["etc/pam.d", "etc/sssd", "etc/nslcd.conf"], &|_| true)
        || of_directories(
            &["etc/lightdm", "etc/gdm3", "etc/sddm.conf.d", "etc/greetd", "etc/systemd/system"],
            &|text| text.contains(name),
        )
}

#[cfg(test)]
mod tests {
    use bedplate_core::Unit;
    use expect_test::expect;

    use super::*;
    use crate::step::check::tests::{refusal, refused};

    #[test]
    fn a_person_without_a_way_in_is_told() {
        expect![[r#"
            warning[user-without-login]: nothing lets `alice` in: the user has neither a key nor a password
              --> xtask/src/step/check/people.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.user(User::new("alice"))),
               |                                                    ^^^^^^^
               |
               = help: add `.login(Login::Key(…))` or `.login(Login::Credential)`; where a program becomes the
                       user, `.login(Login::Program)`; or make it a `User::system`
        "#]]
        .assert_eq(&refusal(&USER_WITHOUT_LOGIN, include_str!("people.rs")));
    }

    #[test]
    fn who_comes_in_otherwise_and_who_is_nobody_is_not_told() {
        let service = "[Service]\nUser=alice\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n";
        let alice = |image: bedplate_core::Image| image.user(User::new("alice"));
        assert_eq!(refused(|image| image.user(User::system("agent").uid(980))), "");
        assert_eq!(refused(|image| alice(image).dangerous_autologin()), "");
        let run = refused(|image| alice(image).enable("x.service").unit(Unit::new("x.service", service)));
        assert!(!run.contains("user-without-login"), "{run}");
        let keys = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJl3dIeudNqd0DMROIGqRXZzVvNzQTcP4MbZ2tWv4nKJ me\n";
        assert_eq!(refused(|image| alice(image).file("/home/alice/.ssh/authorized_keys", keys)), "");
    }
}
