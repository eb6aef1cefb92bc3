//! What an installation leaves behind and an image must not hold: the ids and
//! keys of one machine, logs, caches, backups, and the times of the build.
//!
//! Done on the tree, so the cached system layer stays as dpkg left it.
//! Invariant: nothing that a package owns is touched, so `dpkg --verify` is as
//! silent after it as before.

mod rules;

pub use rules::RULES;

use bedplate_formats::jks;
use bedplate_formats::tree::{Content, Kind, Node, Tree, TreePath};

/// What is done with what a pattern fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes, with everything below it.
    Remove,
    /// It goes if it is a link that leads nowhere.
    RemoveDangling,
    /// It stays as an empty file.
    EmptyFile,
    /// Everything below it goes.
    EmptyDirectory,
    /// Every file below it goes; directories stay.
    RemoveFiles,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// A path in which `*` stands for any bytes but a slash, in any component.
    pub pattern: &'static str,
    /// What is done with what it fits.
    pub action: Action,
    /// Why.
    pub why: &'static str,
}

/// Removes what [`RULES`] say.
pub fn sysprep(tree: &mut Tree) {
    for rule in RULES {
        for path in fitting(tree, rule.pattern) {
            apply(tree, rule.action, &path);
        }
    }
}

/// What Java believes: no package owns it, and it holds the times at which the build put the certificates in.
const CERTIFICATES: &str = "etc/ssl/certs/java/cacerts";

/// Dates the key store that `ca-certificates-java` made. One that is not as it makes it stays as it is.
pub fn date_certificates(tree: &mut Tree, epoch: i64) {
    let Some(Node { kind: Kind::File(content), .. }) = tree.get_mut(&CERTIFICATES.into()) else { return };
    let dated = content.read().ok().and_then(|store| jks::dated(&store, u64::try_from(epoch).ok()?));
    if let Some(dated) = dated {
        *content = Content::from(dated);
    }
}

/// Sets every time after the epoch to the epoch: what the build made or touched.
/// Files keep the times of their packages, which are all before it; what has none
/// is ours, and of the epoch too. At 1970, `/etc/.updated` would be older than
/// `/usr`, and systemd bring everything up to date at every boot.
pub fn clamp_mtimes(tree: &mut Tree, epoch: i64) {
    for (_, node) in tree.iter_mut() {
        node.mtime = if node.mtime == 0 { epoch } else { node.mtime.min(epoch) };
    }
}

fn apply(tree: &mut Tree, action: Action, path: &TreePath) {
    match action {
        Action::Remove => {
            tree.remove(path);
        }
        Action::RemoveDangling => {
            let is_link = tree.get(path).is_some_and(|node| matches!(node.kind, Kind::Symlink(_)));
            if is_link && tree.resolve(path).is_none() {
                tree.remove(path);
            }
        }
        Action::EmptyFile => {
            if let Some(node) = tree.get_mut(path) {
                node.kind = Kind::File(Content::from(Vec::new()));
            }
        }
        Action::EmptyDirectory => {
            let children: Vec<TreePath> = tree.children(path).map(|(p, _)| p.clone()).collect();
            for child in children {
                tree.remove(&child);
            }
        }
        Action::RemoveFiles => {
            let files = tree.below(path).filter(|(_, node)| !node.is_directory());
            let files: Vec<TreePath> = files.map(|(p, _)| p.clone()).collect();
            for file in files {
                tree.remove(&file);
            }
        }
    }
}

/// The paths a pattern fits. Links above them are not followed.
fn fitting(tree: &Tree, pattern: &str) -> Vec<TreePath> {
    let mut found = vec![TreePath::root()];
    for part in pattern.split('/') {
        let below = |above: &TreePath| -> Vec<TreePath> {
            if !part.contains('*') {
                return Vec::from_iter(Some(above.join(part)).filter(|path| tree.contains(path)));
            }
            let children = tree.children(above).map(|(path, _)| path);
            children.filter(|path| path.name().is_some_and(|n| fits(n, part.as_bytes()))).cloned().collect()
        };
        found = found.iter().flat_map(below).collect();
    }
    found
}

/// Whether a component fits a pattern of one.
pub(super) fn fits_name(name: &str, pattern: &str) -> bool {
    fits(name.as_bytes(), pattern.as_bytes())
}

fn fits(name: &[u8], pattern: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skip| fits(&name[skip..], rest)),
        Some((byte, rest)) => name.first() == Some(byte) && fits(&name[1..], rest),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bedplate_formats::tree::Node;

    use super::*;

    fn tree(files: &[&str]) -> Tree {
        let mut tree = Tree::new();
        for file in files {
            tree.insert(TreePath::new(file), Node::file("content", 0o644));
        }
        tree
    }

    fn paths(tree: &Tree) -> Vec<String> {
        tree.iter().map(|(path, _)| path.to_string()).collect()
    }

    #[test]
    fn no_id_and_no_key_of_a_machine_is_left() {
        let mut tree = tree(&[
            "etc/machine-id",
            "etc/ssh/ssh_host_rsa_key",
            "etc/ssh/ssh_host_rsa_key.pub",
            "etc/ssh/sshd_config",
            "var/lib/systemd/random-seed",
        ]);
        sysprep(&mut tree);
        assert!(tree.content(&"etc/machine-id".into()).unwrap().read().unwrap().is_empty());
        let left = ["/", "/etc", "/etc/machine-id", "/etc/ssh", "/etc/ssh/sshd_config", "/var", "/var/lib"];
        assert_eq!(paths(&tree)[..left.len()], left);
        assert_eq!(paths(&tree)[left.len()..], ["/var/lib/systemd"]);
    }

    #[test]
    fn directories_of_logs_stay_with_their_owners() {
        let mut tree = tree(&["var/log/apt/history.log", "var/log/dpkg.log"]);
        tree.get_mut(&"var/log/apt".into()).unwrap().gid = 4;
        sysprep(&mut tree);
        assert_eq!(paths(&tree), ["/", "/var", "/var/log", "/var/log/apt"]);
        assert_eq!(tree.get(&"var/log/apt".into()).unwrap().gid, 4);
    }

    #[test]
    fn what_a_package_makes_for_one_device_goes_with_all_that_belongs_to_it() {
        let mut tree = tree(&[
            "etc/bind/rndc.key",
            "etc/dropbear/initramfs/dropbear_rsa_host_key",
            "etc/nvme/hostid",
            "etc/ssl/certs/ssl-cert-snakeoil.pem",
            "etc/ssl/private/ssl-cert-snakeoil.key",
            "var/lib/postgresql/17/main/PG_VERSION",
        ]);
        tree.insert("etc/ssl/certs/8a856aa2.0".into(), Node::symlink("ssl-cert-snakeoil.pem"));
        sysprep(&mut tree);
        let files = tree.iter().filter(|(_, node)| !node.is_directory());
        assert_eq!(files.map(|(path, _)| path.to_string()).collect::<Vec<_>>(), [""; 0]);
        assert!(tree.contains(&"var/lib/postgresql".into()));
        assert!(!tree.contains(&"var/lib/postgresql/17".into()));
    }

    #[test]
    fn only_a_link_that_leads_nowhere_is_removed() {
        let mut tree = tree(&["boot/initrd.img-6"]);
        tree.insert("initrd.img".into(), Node::symlink("boot/initrd.img-6"));
        tree.insert("initrd.img.old".into(), Node::symlink("boot/initrd.img-5"));
        sysprep(&mut tree);
        assert_eq!(paths(&tree), ["/", "/boot", "/boot/initrd.img-6", "/initrd.img"]);
    }

    #[test]
    fn times_after_the_epoch_become_the_epoch() {
        let mut tree = tree(&["old", "new"]);
        tree.get_mut(&"old".into()).unwrap().mtime = 5;
        tree.get_mut(&"new".into()).unwrap().mtime = 50;
        tree.insert("ours".into(), Node::file("", 0o644));
        clamp_mtimes(&mut tree, 10);
        let mtime = |path: &str| tree.get(&path.into()).unwrap().mtime;
        assert_eq!((mtime("old"), mtime("new"), mtime("ours")), (5, 10, 10));
    }

    #[test]
    fn every_rule_is_there_once_and_says_why() {
        let patterns: BTreeSet<&str> = RULES.iter().map(|rule| rule.pattern).collect();
        assert_eq!(patterns.len(), RULES.len());
        assert!(RULES.iter().all(|rule| !rule.why.is_empty() && !rule.pattern.starts_with('/')));
    }
}
