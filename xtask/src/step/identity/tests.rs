use super::*;
use bedplate_formats::tree::Content;

const EPOCH: i64 = 1000;

/// A system of one package, whose script names a directory.
fn system() -> Tree {
    let mut tree = Tree::new();
    let mut add = |path: &str, text: &str, mtime: i64| {
        tree.insert(path.into(), Node { mtime, ..Node::file(text, 0o644) });
    };
    add(
        "var/lib/dpkg/info/agent.list",
        "/.\n/etc\n/etc/agent\n/etc/agent/agent.conf\n/usr/share/agent/default\n",
        1,
    );
    add("var/lib/dpkg/info/agent.postinst", "#!/bin/sh\ngen >/etc/agent/id\n", 1);
    add("etc/agent/agent.conf", "as packaged\n", 1);
    add("usr/share/agent/default", "a template\n", 1);
    add("etc/passwd", "root:x:0:0::/:/bin/sh\n", 2000);
    add("etc/machine-id", "b2f1719508874197a4b66614f9decd5e\n", 2000);
    tree
}

fn with(files: &[(&str, &str)]) -> Tree {
    let mut tree = system();
    for (path, text) in files {
        tree.insert((*path).into(), Node { mtime: 2000, ..Node::file(*text, 0o600) });
    }
    tree
}

/// What is found when the second configuration makes `second`; none when there is no second.
fn found(first: &[(&str, &str)], second: Option<&[(&str, &str)]>) -> Vec<Finding> {
    let directory = tempfile::tempdir().unwrap();
    look(&with(first), EPOCH, directory.path(), |directory| {
        let tree = with(second.expect("a second configuration, which no file asked for"));
        for (path, node) in tree.iter().skip(1) {
            let host = directory.join(path.to_string().trim_start_matches('/'));
            match &node.kind {
                Kind::File(content) => {
                    std::fs::write(&host, content.read()?)?;
                    std::os::unix::fs::chown(&host, Some(0), Some(0)).ok();
                    let mode = std::os::unix::fs::PermissionsExt::from_mode(node.mode);
                    std::fs::set_permissions(&host, mode)?;
                    let time =
                        std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(node.mtime)?);
                    std::fs::File::options().write(true).open(&host)?.set_modified(time)?;
                }
                _ => std::fs::create_dir(&host)?,
            }
        }
        Ok(())
    })
    .unwrap()
    .into_iter()
    // Who runs the test owns the second tree, and its directories have the test's time.
    .filter(|finding| {
        finding.what.contains("content")
            || finding.what.contains("there in")
            || !finding.what.contains("second build")
    })
    .collect()
}

#[test]
fn a_system_of_known_files_and_of_copies_needs_no_second_configuration() {
    assert_eq!(found(&[], None), []);
    assert_eq!(found(&[("etc/agent/settings", "a template\n"), ("etc/ld.so.cache", "cache")], None), []);
}

#[test]
fn a_key_is_found_at_once_with_its_package() {
    let key = ("etc/agent/id", "-----BEGIN PRIVATE KEY-----\nMC4C\n");
    let found = found(&[key], None);
    assert_eq!((found[0].path.as_str(), found[0].secret), ("/etc/agent/id", true));
    assert_eq!(found[0].packages, ["agent"]);
}

#[test]
fn the_machine_id_of_the_build_is_found_in_other_files() {
    let found = found(&[("var/lib/agent/host", "id=b2f1719508874197a4b66614f9decd5e\n")], None);
    assert_eq!(found[0].what, "the machine id of the build");
}

#[test]
fn the_host_name_of_the_build_is_found_in_unknown_files_and_in_settings() {
    let found = found(&[("etc/agent/name", "bedplate\n"), ("etc/aliases", "root: root@bedplate\n")], None);
    let what: Vec<(&str, &str)> =
        found.iter().map(|finding| (finding.path.as_str(), finding.what.as_str())).collect();
    assert_eq!(what, [("/etc/agent/name", hostname::WHAT), ("/etc/aliases", hostname::WHAT)]);
}

#[test]
fn what_differs_in_a_second_build_is_found_and_what_does_not_is_no_fault() {
    let settings = |id: &'static str| [("etc/agent/agent.conf", id), ("var/lib/agent/list", "the same\n")];
    let found = found(&settings("id 1\n"), Some(&settings("id 2\n")));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].path.as_str(), found[0].secret), ("/etc/agent/agent.conf", false));
    assert_eq!(found[0].packages, ["agent"], "the packaged file was changed");
}

#[test]
fn files_with_names_of_their_own_are_found_too() {
    let found = found(&[("var/lib/agent/a1", "x")], Some(&[("var/lib/agent/b2", "x")]));
    let paths: Vec<&str> = found.iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(paths, ["/var/lib/agent/a1", "/var/lib/agent/b2"]);
}

fn lock() -> Lock {
    Lock { epoch: EPOCH, ..Lock::default() }
}

fn refused(image: bedplate_core::Image, change: fn(&mut Tree)) -> Option<String> {
    refused_for(("a private key", true), image, change)
}

fn refused_for(
    (what, secret): (&str, bool),
    image: bedplate_core::Image,
    change: fn(&mut Tree),
) -> Option<String> {
    let base = {
        let mut base = system();
        // As a scanned tree has it.
        let content = Content::File { path: Path::new("/layer/etc/agent/id").into(), len: 3 };
        base.insert("etc/agent/id".into(), Node { kind: Kind::File(content), ..Node::file("", 0o600) });
        base
    };
    let mut tree = base.clone();
    change(&mut tree);
    let finding =
        Finding { path: "/etc/agent/id".into(), what: what.into(), packages: vec!["agent".into()], secret };
    let problem = check(&image.plan().unwrap(), &lock(), &[finding], &base, &tree).err()?;
    Some(format!("{}; {}; at {:?}", problem.message, problem.help, problem.word))
}

#[test]
fn a_finding_is_refused_unless_it_is_accepted_replaced_or_removed() {
    let device = || bedplate_core::rule::device().package("agent");
    let text = refused(device(), |_| ()).unwrap();
    assert!(
        text.starts_with(
            "`/etc/agent/id` is the same on every device: a private key, made when `agent` was configured;"
        ),
        "{text}"
    );
    assert!(
        text.contains(".dangerous_shared(\"/etc/agent/id\")") && text.contains("Some(\"agent\")"),
        "{text}"
    );
    assert_eq!(refused(device().dangerous_shared("/etc/agent"), |_| ()), None);
    assert_eq!(refused(device(), |tree| drop(tree.remove(&"etc/agent/id".into()))), None);
    assert_eq!(refused(device(), |tree| tree.insert("etc/agent/id".into(), Node::file("mine", 0o600))), None);
    let text = refused(device().dangerous_shared("/etc/agent/i"), |_| ()).unwrap();
    assert!(text.starts_with("nothing in `/etc/agent/i` belongs to one machine"), "{text}");
}

#[test]
fn the_host_name_of_the_build_is_refused_unless_the_devices_have_it() {
    let device = || bedplate_core::rule::device().package("agent");
    let of_host = |image| refused_for((hostname::WHAT, false), image, |_| ());
    let text = of_host(device().hostname("edge")).unwrap();
    assert!(text.contains("the host name of the build") && text.contains("`.debconf(…)`"), "{text}");
    assert_eq!(of_host(device().hostname("bedplate")), None);
}
