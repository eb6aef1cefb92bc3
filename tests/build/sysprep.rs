//! What is in the built image, and what is not.

use std::sync::OnceLock;

use crate::product::{self, agrees, edge_debian};
use crate::unpacked;
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};

/// Every program that runs with the rights of its owner or group: a new one is
/// a decision, not an accident.
const SET_ID: &[&str] = &[
    // They come with sshd, which cannot be had without its client.
    "2755 root:_ssh /usr/bin/ssh-agent",
    "4755 root:root /usr/lib/openssh/ssh-keysign",
    "4755 root:root /usr/bin/chfn",
    "4755 root:root /usr/bin/chsh",
    "4755 root:root /usr/bin/gpasswd",
    "4755 root:root /usr/bin/mount",
    "4755 root:root /usr/bin/passwd",
    "4755 root:root /usr/bin/su",
    "4755 root:root /usr/bin/sudo",
    "4755 root:root /usr/bin/umount",
    "2755 root:shadow /usr/bin/chage",
    "2755 root:shadow /usr/bin/expiry",
    "4754 root:messagebus /usr/lib/dbus-1.0/dbus-daemon-launch-helper",
    "2755 root:shadow /usr/sbin/unix_chkpwd",
];

fn system() -> &'static Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    TREE.get_or_init(|| unpacked::unpacked(edge_debian(), "sysprepped"))
}

fn text(path: &str) -> String {
    let content = system().content(&path.into()).unwrap_or_else(|| panic!("there is no /{path}"));
    String::from_utf8(content.read().unwrap()).unwrap()
}

fn paths(wanted: impl Fn(&Node) -> bool) -> Vec<String> {
    system().iter().filter(|(_, node)| wanted(node)).map(|(path, _)| path.to_string()).collect()
}

#[test]
fn every_file_is_as_its_package_shipped_it_but_the_version_and_what_an_overlay_replaces() {
    system();
    let verified = agrees(&product::scratch("sysprepped"), &["dpkg"], &["dpkg", "--root=root", "--verify"]);
    let others = "??5??????   /usr/lib/os-release\n??5?????? c /etc/containerd/config.toml\n";
    assert_eq!(verified, others, "files that are not as packages ship them");
}

#[test]
fn nothing_is_newer_than_the_lock() {
    let lock = product::locked(&product::lock());
    assert_eq!(paths(|node| node.mtime > lock.epoch), [""; 0]);
    // Passwords "changed" on the day of the build would be its date, too.
    let day = lock.epoch / 86400;
    for line in text("etc/shadow").lines() {
        let changed: i64 = line.split(':').nth(2).unwrap().parse().unwrap();
        assert!(changed <= day, "{line}");
    }
}

#[test]
fn nobody_may_write_where_everybody_reads() {
    let is_link = |node: &Node| matches!(node.kind, Kind::Symlink(_));
    assert_eq!(paths(|node| !is_link(node) && node.mode & 0o002 != 0 && node.mode & 0o1000 == 0), [""; 0]);
    let devices =
        |node: &Node| matches!(node.kind, Kind::CharDevice(..) | Kind::BlockDevice(..) | Kind::Fifo);
    assert_eq!(paths(devices), [""; 0]);
}

#[test]
fn the_programs_with_the_rights_of_others_are_these() {
    let groups = text("etc/group");
    let group = |id: u32| {
        let mut lines = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
        lines.find(|line| line[2] == id.to_string()).map(|line| line[0].to_owned()).unwrap()
    };
    let line = |(path, node): (&TreePath, &Node)| {
        assert_eq!(node.uid, 0, "{path}");
        format!("{:o} root:{} {path}", node.mode, group(node.gid))
    };
    let is_program = |(_, node): &(&TreePath, &Node)| !node.is_directory() && node.mode & 0o6000 != 0;
    let mut found: Vec<String> = system().iter().filter(is_program).map(line).collect();
    let mut expected = SET_ID.to_vec();
    found.sort();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn nobody_has_a_password_and_every_owner_has_a_name() {
    for line in text("etc/shadow").lines() {
        let password = line.split(':').nth(1).unwrap();
        assert!(password.starts_with(['*', '!']), "{line}");
    }
    let ids = |path: &str| -> Vec<u32> {
        text(path).lines().map(|line| line.split(':').nth(2).unwrap().parse().unwrap()).collect()
    };
    let (users, groups) = (ids("etc/passwd"), ids("etc/group"));
    assert_eq!(paths(|node| !users.contains(&node.uid) || !groups.contains(&node.gid)), [""; 0]);
}

#[test]
fn no_log_no_cache_and_no_backup_is_left() {
    let below = |directory: &str| {
        let directory = directory.into();
        let files = system().below(&directory).filter(|(_, node)| !node.is_directory());
        files.map(|(path, _)| path.to_string()).collect::<Vec<_>>()
    };
    for directory in
        ["var/log", "var/cache/apt", "var/lib/apt/lists", "var/backups", "tmp", "var/tmp", "run", "dev"]
    {
        assert_eq!(below(directory), [""; 0]);
    }
    for path in
        ["etc/passwd-", "etc/shadow-", "etc/group-", "var/lib/dpkg/status-old", "usr/sbin/policy-rc.d"]
    {
        assert!(!system().contains(&path.into()), "/{path} is in the image");
    }
    let machine_id = system().get(&"etc/machine-id".into()).unwrap();
    assert!(matches!(&machine_id.kind, Kind::File(content) if content.len() == 0));
}
