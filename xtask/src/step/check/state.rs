//! What services keep, and where the plan keeps it.

mod later;
mod volatile;

use std::collections::BTreeSet;

use bedplate_core::plan::BindPlan;
use bedplate_core::{Bind, Diagnostic, Rule, Unit, Volatile, example};

use self::volatile::volatile;
use super::started::Started;
use super::{Findings, Subject, unit};

pub(super) static BIND_OF_DYNAMIC_USER: Rule = Rule {
    code: "bind-of-dynamic-user",
    title: "the state of a service with a dynamic user is kept below /var/lib/private",
    why: "With DynamicUser=yes, systemd keeps a StateDirectory= in /var/lib/private and makes its place in /var/lib a \
          link to it. It cannot put a link where something is mounted, and the service fails with \
          238/STATE_DIRECTORY. The same is true of /var/cache and /var/log.",
    wrong: example!(|device| device
        .bind(Bind::new("/var/lib/hello").required_by("hello.service"))
        .enable("hello.service")
        .unit(Unit::new(
            "units/hello.service",
            "[Service]\nDynamicUser=yes\nStateDirectory=hello\nExecStart=true\n\
             [Install]\nWantedBy=multi-user.target\n",
        ))),
    right: example!(|device| device
        .bind(Bind::new("/var/lib/private/hello").required_by("hello.service"))
        .enable("hello.service")
        .unit(Unit::new(
            "units/hello.service",
            "[Service]\nDynamicUser=yes\nStateDirectory=hello\nExecStart=true\n\
             [Install]\nWantedBy=multi-user.target\n",
        ))),
};

pub(super) static STATE_IS_VOLATILE: Rule = Rule {
    code: "state-is-volatile",
    title: "the state of a service is kept",
    why: "What is written to the root is gone at the next boot, and so is the directory in which a service keeps what \
          it should find again. This is a warning and no error: some state is better lost. Docker's layers do not \
          fit into memory, and it takes its slowest driver there.",
    wrong: example!(|device| device.volatile(Volatile::Overlay).enable("hello.service").unit(Unit::new(
        "units/hello.service",
        "[Service]\nStateDirectory=hello\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
    ))),
    right: example!(|device| device
        .volatile(Volatile::Overlay)
        .bind("/var/lib/hello")
        .enable("hello.service")
        .unit(Unit::new(
            "units/hello.service",
            "[Service]\nStateDirectory=hello\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
        ))),
};

/// Directories of systemd's services, by key.
const DIRECTORIES: [(&str, &str); 3] =
    [("StateDirectory", "/var/lib"), ("CacheDirectory", "/var/cache"), ("LogsDirectory", "/var/log")];

pub(super) fn check(subject: &Subject<'_>, started: &Started, found: &mut Findings) {
    dynamic_users(subject, found);
    volatile(subject, started, found);
}

/// A bind on the place where systemd wants to make a link.
fn dynamic_users(subject: &Subject<'_>, found: &mut Findings) {
    let mut seen = BTreeSet::new();
    for name in crate::step::units::unit_names(subject.tree) {
        let unit::Found::Unit(unit) = unit::load(subject.tree, &name) else { continue };
        if !unit.is("DynamicUser") {
            continue;
        }
        for (key, base) in DIRECTORIES {
            for (word, _) in unit.words(key) {
                let Some(directory) = unit.expand(word.split(':').next().unwrap_or(word)) else { continue };
                let path = format!("{base}/{directory}");
                let Some(bind) = subject.plan.binds.iter().find(|bind| bind.path == path) else { continue };
                if seen.insert(path.clone()) {
                    found.mistake(dynamic_user(bind, &unit.name, &format!("{base}/private/{directory}")));
                }
            }
        }
    }
}

fn dynamic_user(bind: &BindPlan, unit: &str, private: &str) -> Diagnostic {
    let message = format!("`{}` is a link that systemd makes for `{unit}`, and cannot be kept", bind.path);
    let mistake = Diagnostic::new(BIND_OF_DYNAMIC_USER.code, message)
        .help(format!("keep what it leads to: `Bind::new(\"{private}\")`"));
    match &bind.at {
        Some(at) => mistake.at(at).word(&bind.path),
        None => mistake,
    }
}

/// Whether a path is a directory or stands below it.
fn is_below(path: &str, directory: &str) -> bool {
    let directory = directory.trim_end_matches('/');
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::check::tests::{refusal, refused};
    use expect_test::expect;

    const SOURCE: &str = include_str!("state.rs");

    #[test]
    fn a_bind_where_systemd_makes_a_link_is_told_the_directory_behind_it() {
        expect![[r#"
            error[bind-of-dynamic-user]: `/var/lib/hello` is a link that systemd makes for `hello.service`, and
                   cannot be kept
              --> xtask/src/step/check/state.rs:LL:CC
               |
            LL |     .bind(Bind::new("/var/lib/hello").required_by("hello.service"))
               |                     ^^^^^^^^^^^^^^^^
               |
               = help: keep what it leads to: `Bind::new("/var/lib/private/hello")`
        "#]].assert_eq(&refusal(&BIND_OF_DYNAMIC_USER, SOURCE));
    }

    #[test]
    fn state_that_is_lost_is_told() {
        expect![[r#"
            warning[state-is-volatile]: what `hello.service` keeps in `/var/lib/hello` is gone at the next boot
              --> xtask/src/step/check/state.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.volatile(Volatile::Overlay).enable("hello.service").unit(Un
               |                                                                 ^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: add `.bind("/var/lib/hello")`
        "#]].assert_eq(&refusal(&STATE_IS_VOLATILE, SOURCE));
    }

    #[test]
    fn docker_without_a_store_is_told_and_with_one_is_not() {
        let lost = refused(|image| image.volatile(Volatile::Overlay).enable("docker.service"));
        assert!(lost.contains("add `.bind(\"/var/lib/docker\")`"), "{lost}");
        let kept = refused(|image| {
            image.volatile(Volatile::Overlay).enable("docker.service").bind("/var/lib/docker")
        });
        assert_eq!(kept, "");
        assert!(refused(|image| image.enable("docker.service")).contains("cannot be written"));
    }

    #[test]
    fn a_journal_that_is_to_last_needs_a_place_that_does() {
        let persistent = |image: bedplate_core::Image| {
            image
                .volatile(Volatile::Overlay)
                .file("/etc/systemd/journald.conf.d/1.conf", "[Journal]\nStorage=persistent\n")
        };
        assert!(refused(persistent).contains("add `.bind(\"/var/log/journal\")`"));
        assert_eq!(refused(|image| persistent(image).bind("/var/log/journal")), "");
    }

    /// What a package has, and what belongs to the user of its service.
    #[test]
    fn directories_that_the_unit_does_not_say_are_told_once_and_all_of_them() {
        let lost = refused(|image| image.volatile(Volatile::Overlay).package("keeper"));
        assert_eq!(lost.matches("warning[").count(), 1, "{lost}");
        let lost = lost.replace("\n       ", " ");
        assert!(lost.contains("keeps in `/var/lib/keeperd` and `/var/lib/keeperd-cache`"), "{lost}");
        for bind in ["/var/lib/keeperd", "/var/lib/keeperd/deep"] {
            let kept = refused(|image| image.volatile(Volatile::Overlay).package("keeper").bind(bind));
            assert!(
                !kept.contains("`/var/lib/keeperd`") && kept.contains("/var/lib/keeperd-cache"),
                "{kept}"
            );
        }
        // Nobody asks for it.
        assert_eq!(refused(|image| image.volatile(Volatile::Overlay)), "");
    }
}
