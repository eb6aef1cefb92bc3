//! The rules against a small tree: their examples, and what tests of the
//! families add to the examples' device.

use std::collections::BTreeSet;

use bedplate_core::{Diagnostic, Image, Renderer, explain, rule};
use bedplate_formats::tree::{Node, TreePath};

use super::*;
use crate::step::homes::Homes;
use crate::step::owners::Owners;
use crate::step::{overlay, units, users};

/// As much of a system as the examples need.
fn system() -> Tree {
    let mut tree = Tree::new();
    tree.insert("lib".into(), Node::symlink("usr/lib"));
    tree.insert("bin".into(), Node::symlink("usr/bin"));
    for path in ["var/mail", "var/lib/keeperd", "var/lib/keeperd-cache", "var/lib/apt"] {
        tree.insert(path.into(), Node::directory(0o755));
    }
    tree.insert("opt/agent".into(), Node::symlink("agent-1.4"));
    tree.insert("opt/agent-1.4".into(), Node::directory(0o755));
    for (path, text, mode) in [
        (
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\n_keep:x:901:901::/var/lib/keeperd-cache:/bin/false\n",
            0o644,
        ),
        ("etc/shadow", "root:*:1::::::\n", 0o640),
        ("etc/group", "root:x:0:\nsudo:x:27:\n", 0o644),
        ("etc/gshadow", "root:*::\nsudo:*::\n", 0o640),
        ("usr/bin/true", "\x7fELF", 0o755),
        ("opt/hello/bin/run", "\x7fELF", 0o755),
        ("usr/bin/sh", "\x7fELF", 0o755),
        ("usr/bin/systemd-analyze", "\x7fELF", 0o755),
        ("usr/sbin/sshd", "\x7fELF", 0o755),
        ("usr/sbin/cron", "\x7fELF", 0o755),
        ("usr/bin/sudo", "\x7fELF", 0o755),
        ("usr/bin/python3", "\x7fELF", 0o755),
        ("usr/bin/dockerd", "\x7fELF", 0o755),
        ("usr/share/zoneinfo/America/New_York", "TZif", 0o644),
        ("usr/share/zoneinfo/Europe/Berlin", "TZif", 0o644),
        ("usr/share/i18n/SUPPORTED", "de_DE ISO-8859-1\nde_DE.UTF-8 UTF-8\n", 0o644),
        ("usr/share/zoneinfo/tzdata.zi", "L America/New_York US/Eastern\n", 0o644),
        ("usr/lib/systemd/system/sshd-keygen.service", "[Service]\nExecStart=/usr/bin/of-a-package\n", 0o644),
        (
            "var/lib/dpkg/info/keeper.list",
            "/.\n/lib/systemd/system/keeperd.service\n/var/lib\n/var/lib/keeperd\n/var/lib/apt\n/var/lib/gone\n",
            0o644,
        ),
        (
            "usr/lib/systemd/system/ssh.service",
            "[Service]\nExecStart=/usr/sbin/sshd -D\n[Install]\nWantedBy=multi-user.target\n",
            0o644,
        ),
        ("usr/lib/systemd/system/keeperd.service", "[Service]\nExecStart=true\nUser=_keep\n", 0o644),
        (
            "usr/lib/systemd/system/docker.service",
            "[Service]\nExecStart=/usr/bin/dockerd\n[Install]\nWantedBy=multi-user.target\n",
            0o644,
        ),
        (
            "usr/lib/systemd/system/multi-user.target",
            "[Unit]\nRequires=sysinit.target\nWants=sshd-keygen.service keeperd.service\n",
            0o644,
        ),
    ] {
        tree.insert(path.into(), Node::file(text, mode));
    }
    for target in ["local-fs", "initrd", "sockets", "sysinit", "basic", "getty", "factory-reset", "shutdown"]
    {
        let path = format!("usr/lib/systemd/system/{target}.target");
        tree.insert(TreePath::new(path), Node::file("[Unit]\n", 0o644));
    }
    tree.insert("usr/lib/systemd/system/default.target".into(), Node::symlink("multi-user.target"));
    tree
}

/// The findings of a description that plans, laid over the system.
fn findings(image: &Image) -> Findings {
    let plan = image.plan().unwrap();
    let mut tree = system();
    // System users are made before packages are configured.
    for user in plan.users.iter().filter(|user| user.system) {
        let passwd = format!(
            "{}{}:x:{}:{}::/:/bin/false\n",
            users::read(&tree, "etc/passwd"),
            user.name,
            user.uid,
            user.gid
        );
        tree.insert("etc/passwd".into(), Node::file(passwd, 0o644));
    }
    let (homes, mut owners) = (Homes::make(&plan.users, &mut tree).unwrap(), Owners::default());
    overlay::files(&plan.files, &homes, &mut tree, &mut owners).unwrap();
    users::apply(&plan.users, &mut tree).unwrap();
    let unfit = units::apply(&plan.units.enable, &mut tree);
    let origins = Origins::new(&plan, "/nonexistent".into(), &tree);
    let subject = Subject { plan: &plan, tree: &tree, origins };
    let mut found = Findings { mistakes: unfit, ..Findings::default() };
    fixed(&subject, &mut found);
    programs::check(&subject, &Played, &mut found).unwrap();
    found
}

/// Plays the programs, for the examples.
struct Played;

impl programs::Ask for Played {
    fn ask(
        &self,
        subject: &Subject<'_>,
        program: &programs::Program,
        touched: &[TreePath],
    ) -> Result<programs::Answer> {
        if std::ptr::eq(program, &programs::VERIFY) {
            let early = subject.text(&"usr/lib/systemd/system/early.service".into());
            let waits = early.contains("Before=sysinit.target") && !early.contains("DefaultDependencies=no");
            let text = "sysinit.target: Found ordering cycle on early.service/start\n\
                        sysinit.target: Found dependency on sysinit.target/start\n";
            return Ok(programs::Answer {
                success: !waits,
                text: if waits { text.to_owned() } else { String::new() },
            });
        }
        let complaints =
            [("PermitRotLogin", "Bad configuration option"), ("KillMode=none", "This is unsafe")];
        let said = touched.iter().flat_map(|path| {
            let text = subject.text(path);
            let of_file = |(word, complaint): &(&str, &str)| {
                let line = text.lines().position(|line| line.contains(word))? + 1;
                Some(format!("{path}:{line}: {complaint}\n"))
            };
            complaints.iter().filter_map(of_file).collect::<Vec<_>>()
        });
        let text: String = said.collect();
        Ok(programs::Answer { success: text.is_empty(), text })
    }
}

fn render(found: Findings, source: &dyn Fn(&str) -> Option<String>) -> String {
    let renderer = Renderer::plain().anonymous_lines();
    let mistakes = found.mistakes.iter().map(|mistake| renderer.render(mistake, source));
    let cautions = found.cautions.iter().map(|caution| renderer.warning().render(caution, source));
    mistakes.chain(cautions).collect()
}

/// What is found when `change` is made to the examples' device.
#[track_caller]
pub(super) fn refused(change: impl FnOnce(Image) -> Image) -> String {
    render(findings(&change(rule::device())), &|_| None)
}

/// What a person sees of the rule's wrong example, `source` being the text of
/// the file the rule is in.
pub(super) fn refusal(rule: &Rule, source: &str) -> String {
    let file = |name: &str| name.contains("/check/").then(|| source.to_owned());
    render(findings(&rule.wrong.describe()), &file)
}

fn codes(found: &Findings) -> BTreeSet<&'static str> {
    found.mistakes.iter().chain(&found.cautions).map(|found: &Diagnostic| found.code).collect()
}

#[test]
fn every_rules_wrong_example_breaks_that_rule_alone() {
    for rule in RULES {
        let found = findings(&rule.wrong.describe());
        assert_eq!(codes(&found), BTreeSet::from([rule.code]), "{}", render(found, &|_| None));
    }
}

#[test]
fn every_rules_right_example_breaks_none() {
    for rule in RULES {
        let found = findings(&rule.right.describe());
        assert!(codes(&found).is_empty(), "{}: {}", rule.code, render(found, &|_| None));
    }
}

#[test]
fn every_rule_has_a_page_and_a_name_of_its_own() {
    let of_core = bedplate_core::check::RULES.iter();
    let codes: BTreeSet<&str> = of_core.chain(RULES).map(|rule| rule.code).collect();
    assert_eq!(codes.len(), bedplate_core::check::RULES.len() + RULES.len());
    for rule in RULES {
        assert!(rule.code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", rule.code);
        assert!(!rule.title.ends_with('.') && rule.why.ends_with('.'), "{}", rule.code);
        let page = explain::page(rule, 80);
        let fits = |line: &str| line.chars().count() <= 100 || line.trim_start().starts_with('"');
        assert!(page.lines().all(fits), "{page}");
    }
}

#[test]
fn every_rule_is_tested_by_its_text() {
    let families = [
        include_str!("binds/tests.rs"),
        include_str!("fstab.rs"),
        include_str!("locale.rs"),
        include_str!("modes.rs"),
        include_str!("names.rs"),
        include_str!("people.rs"),
        include_str!("programs/order.rs"),
        include_str!("programs/tests.rs"),
        include_str!("readers.rs"),
        include_str!("state.rs"),
        include_str!("time.rs"),
        include_str!("units/tests.rs"),
    ];
    for rule in RULES {
        let constant = rule.code.to_ascii_uppercase().replace('-', "_");
        let tested = families.iter().any(|text| text.contains(&format!("refusal(&{constant}, ")));
        assert!(tested, "{} has no test of its text", rule.code);
    }
}
