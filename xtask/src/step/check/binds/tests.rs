use bedplate_core::plan::RequiredBy;
use expect_test::expect;

use super::*;
use crate::step::check::tests::refusal;

const SOURCE: &str = include_str!("rules.rs");

fn tree() -> Tree {
    let mut tree = Tree::new();
    tree.insert("etc/passwd".into(), Node::file("root:x:0:0::/:/bin/sh\ncwagent:x:990:990:::\n", 0o644));
    tree.insert("etc/group".into(), Node::file("root:x:0:\ncwagent:x:990:\n", 0o644));
    tree.insert("usr/lib/systemd/system/agent.service".into(), Node::file("[Service]\n", 0o644));
    tree.insert("var/lib/agent".into(), Node::directory(0o755));
    tree.insert("var/lib/postgresql/17/main".into(), Node::directory(0o700));
    tree.insert("srv/people/alice/.bashrc".into(), Node::file("", 0o644));
    tree.insert("var/lib/empty/of/service".into(), Node::directory(0o755));
    tree.insert("etc/serial".into(), Node::file("0", 0o644));
    tree.insert("srv/link".into(), Node::symlink("people"));
    tree.insert("srv/gone".into(), Node::symlink("/nowhere"));
    tree
}

fn refused_with(change: fn(&mut BindPlan), path: &str, kind: BindKind) -> Option<String> {
    let mut bind = described();
    (bind.path, bind.kind) = (path.parse().unwrap(), kind);
    change(&mut bind);
    said(&bind)
}

fn refused(change: fn(&mut BindPlan)) -> Option<String> {
    let mut bind = described();
    change(&mut bind);
    said(&bind)
}

fn described() -> BindPlan {
    BindPlan {
        path: "/var/lib/agent".parse().unwrap(),
        backing: "/local/persistent/var/lib/agent".parse().unwrap(),
        kind: BindKind::Directory,
        seeded: false,
        empty: false,
        mode: Some(0o750),
        owner: Some("cwagent".into()),
        group: Some("cwagent".into()),
        executable: false,
        required_by: vec![RequiredBy { unit: "agent.service".parse().unwrap(), at: None }],
        unit: None,
        why: None,
        at: Some(bedplate_core::SourceLocation::caller()),
    }
}

fn said(bind: &BindPlan) -> Option<String> {
    let plan = bedplate_core::Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(bedplate_core::Esp::new(bedplate_core::MiB(512)))
        .partition(bedplate_core::Root::new(bedplate_core::Erofs).verity())
        .user(bedplate_core::User::new("alice").home("/srv/people/alice"));
    let mut found = owners(bind, &tree());
    found.extend(services(bind, &tree()));
    found.extend(mount_point(bind, &plan.plan().unwrap(), &tree()));
    let said = |mistake: &Diagnostic| format!("{}; {}", mistake.message, mistake.help.as_ref().unwrap());
    found.first().map(said)
}

#[test]
fn what_no_package_has_is_refused_by_name() {
    assert_eq!(refused(|_| ()), None);
    let owner = refused(|bind| bind.owner = Some("cwagnet".into())).unwrap();
    assert!(owner.contains("the user `cwagnet`") && owner.contains("there is `cwagent`"), "{owner}");
    let group = refused(|bind| bind.group = Some("docker".into())).unwrap();
    assert!(group.contains("the group `docker`"), "{group}");
    let unit = refused(|bind| bind.required_by[0].unit = "agnet.service".parse().unwrap()).unwrap();
    assert!(unit.contains("there is `agent.service`"), "{unit}");
    assert_eq!(
        refused(|bind| bind.required_by[0].unit = "of-another-package.service".parse().unwrap()),
        None
    );
}

/// case 9
#[test]
fn what_a_bind_would_hide_is_told_with_both_ways_out() {
    let said = refused(|bind| bind.path = "/var/lib/postgresql".parse().unwrap()).unwrap();
    assert!(said.contains("hides what the image has there: `17`"), "{said}");
    assert!(
        said.contains(".bind(Bind::new(\"/var/lib/postgresql\").seeded())") && said.contains(".empty()"),
        "{said}"
    );
    for change in [(|bind| bind.seeded = true) as fn(&mut BindPlan), |bind| bind.empty = true] {
        let said = refused_with(change, "/var/lib/postgresql", BindKind::Directory);
        assert_eq!(said, None);
    }
    assert!(refused_with(|_| (), "/etc/serial", BindKind::File).unwrap().contains("a file of 1 bytes"));
    assert_eq!(refused_with(|_| (), "/var/lib/empty", BindKind::Directory), None);
    assert_eq!(refused_with(|_| (), "/srv/people", BindKind::Directory), None, "homes are made");
}

/// case 21
#[test]
fn a_bind_through_a_link_is_told_where_it_leads() {
    let said = refused(|bind| bind.path = "/srv/link".parse().unwrap()).unwrap();
    assert!(said.contains("to `/srv/people`; bind that: `.bind(\"/srv/people\")`"), "{said}");
    assert!(
        refused(|bind| bind.path = "/srv/link/x/y".parse().unwrap()).is_none_or(|said| said.contains("link"))
    );
    assert!(refused(|bind| bind.path = "/srv/gone".parse().unwrap()).unwrap().contains("not in the image"));
}

#[test]
fn a_bind_is_of_the_kind_of_what_it_covers() {
    let kind = refused(|bind| bind.kind = BindKind::File).unwrap();
    assert!(kind.contains("no file") && kind.contains("Bind::new"), "{kind}");
    assert_eq!(refused(|bind| bind.path = "/var/lib/new".parse().unwrap()), None);
}

#[test]
fn an_unknown_owner_is_told_the_word_that_makes_it() {
    expect![[r#"
        error[bind-of-unknown-owner]: `/var/lib/hello` is to belong to the user `hello`, which is not in the
               image
          --> xtask/src/step/check/binds/rules.rs:LL:CC
           |
        LL |     wrong: example!(|device| device.bind(Bind::new("/var/lib/hello").owner("hello"))),
           |                                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: add the package that makes it, or `.user(User::system("hello").uid(…))`
    "#]]
    .assert_eq(&refusal(&BIND_OF_UNKNOWN_OWNER, SOURCE));
}

#[test]
fn a_misspelt_service_is_told_its_neighbour() {
    expect![[r#"
        error[bind-for-no-unit]: `dokcer.service` is to need `/var/lib/docker`, but is not in the image
          --> xtask/src/step/check/binds/rules.rs:LL:CC
           |
        LL | …g: example!(|device| device.bind(Bind::new("/var/lib/docker").required_by("dokcer.service"))),
           |                                                                            ^^^^^^^^^^^^^^^^
           |
           = help: there is `docker.service`
    "#]]
    .assert_eq(&refusal(&BIND_FOR_NO_UNIT, SOURCE));
}

#[test]
fn a_bind_of_a_link_is_told_the_directory_behind_it() {
    expect![[r#"
        error[bind-through-link]: the bind of `/opt/agent` goes through a link of the image, to
               `/opt/agent-1.4`
          --> xtask/src/step/check/binds/rules.rs:LL:CC
           |
        LL |     wrong: example!(|device| device.bind("/opt/agent")),
           |                                     ^^^^^^^^^^^^^^^^^^
           |
           = help: bind that: `.bind("/opt/agent-1.4")`
    "#]]
    .assert_eq(&refusal(&BIND_THROUGH_LINK, SOURCE));
}

#[test]
fn a_file_where_the_image_has_a_directory_is_told_the_word_for_it() {
    expect![[r#"
        error[bind-of-other-kind]: `/var/mail` cannot be kept as it is said: it is no file in the image
          --> xtask/src/step/check/binds/rules.rs:LL:CC
           |
        LL |     wrong: example!(|device| device.bind(Bind::file("/var/mail"))),
           |                                          ^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: use `Bind::new(…)`
    "#]]
    .assert_eq(&refusal(&BIND_OF_OTHER_KIND, SOURCE));
}

#[test]
fn what_would_be_hidden_is_told_with_the_words_for_both_ways_out() {
    expect![[r#"
        error[bind-hides-content]: `/opt/hello` starts empty, and hides what the image has there: `bin`
          --> xtask/src/step/check/binds/rules.rs:LL:CC
           |
        LL |     wrong: example!(|device| device.bind("/opt/hello")),
           |                                     ^^^^^^^^^^^^^^^^^^
           |
           = help: copy it to the data partition once with `.bind(Bind::new("/opt/hello").seeded())`, or
                   leave it hidden with `.bind(Bind::new("/opt/hello").empty())`
    "#]]
    .assert_eq(&refusal(&BIND_HIDES_CONTENT, SOURCE));
}
