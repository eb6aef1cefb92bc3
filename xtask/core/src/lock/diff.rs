//! What changes from one lock to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::{Lock, LockedKey, LockedPackage};
use crate::bytes::bytes;
use crate::release::SECURITY;
use crate::value::PackageName;

/// A package's version as a lock has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Locked {
    /// Epoch and revision included.
    pub version: String,
    /// The pocket it comes from.
    pub pocket: String,
    /// The size of the file in bytes.
    pub size: u64,
}

/// One difference between two locks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A package is there that was not.
    Added {
        /// Its name.
        name: String,
        /// What it has.
        new: Locked,
    },
    /// A package is gone.
    Removed {
        /// Its name.
        name: String,
        /// What it had.
        old: Locked,
    },
    /// A package has another version.
    Changed {
        /// Its name.
        name: String,
        /// What it had.
        old: Locked,
        /// What it has.
        new: Locked,
    },
    /// A package has the same version and other bytes: somebody rebuilt it, or worse.
    Replaced {
        /// Its name.
        name: String,
        /// What it has.
        new: Locked,
    },
    /// The same differences in the tools tree: what it was, and the change.
    Tool(Box<Change>),
    /// A key is there that was not.
    KeyAdded {
        /// Its fingerprint.
        fingerprint: String,
    },
    /// A key is gone.
    KeyRemoved {
        /// Its fingerprint.
        fingerprint: String,
    },
    /// A key has other bytes: most often another day on which it expires.
    KeyReplaced {
        /// Its fingerprint.
        fingerprint: String,
    },
    /// A Release file is another one.
    Archive {
        /// The suite.
        suite: String,
        /// Seconds by which it is newer; negative when it is older.
        newer: i64,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Added { name, new } => write!(out, "+ {name} {}, {new}", new.version),
            Change::Removed { name, old } => write!(out, "- {name} {}", old.version),
            Change::Changed { name, old, new } => {
                let grown = i128::from(new.size) - i128::from(old.size);
                let sign = if grown < 0 { '-' } else { '+' };
                let grown = bytes(u64::try_from(grown.unsigned_abs()).unwrap_or(u64::MAX));
                write!(out, "~ {name} {} -> {}, {new} ({sign}{grown})", old.version, new.version)
            }
            Change::Replaced { name, new } => {
                write!(out, "! {name} {} has other bytes, {new}", new.version)
            }
            Change::KeyAdded { fingerprint } => write!(out, "+ key {fingerprint}"),
            Change::KeyRemoved { fingerprint } => write!(out, "- key {fingerprint}"),
            Change::KeyReplaced { fingerprint } => write!(out, "~ key {fingerprint} has other bytes"),
            Change::Tool(change) => write!(out, "{change} (tool)"),
            Change::Archive { suite, newer } if newer.abs() >= 86400 => {
                write!(out, "~ {suite} is {} days {}", newer.abs() / 86400, age(*newer))
            }
            Change::Archive { suite, newer } => {
                write!(out, "~ {suite} is {} minutes {}", newer.abs() / 60, age(*newer))
            }
        }
    }
}

/// Where it is from and how large it is: the version is said before.
impl fmt::Display for Locked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pocket = if self.pocket == SECURITY { "security update" } else { &self.pocket };
        write!(out, "{pocket}, {}", bytes(self.size))
    }
}

fn age(newer: i64) -> &'static str {
    if newer < 0 { "older" } else { "newer" }
}

pub(super) fn locks(old: &Lock, new: &Lock) -> Vec<Change> {
    let mut changes = packages(&old.packages, &new.packages);
    for (old, new) in [(&old.tools, &new.tools), (&old.cross_tools, &new.cross_tools)] {
        changes.extend(packages(old, new).into_iter().map(|change| Change::Tool(Box::new(change))));
    }
    changes.extend(keys(&old.keys, &new.keys));
    for archive in &new.archives {
        let before =
            old.archives.iter().find(|known| known.base == archive.base && known.suite == archive.suite);
        if let Some(before) = before.filter(|before| before.sha256 != archive.sha256) {
            changes.push(Change::Archive { suite: archive.suite.clone(), newer: archive.date - before.date });
        }
    }
    changes
}

fn keys(old: &[LockedKey], new: &[LockedKey]) -> Vec<Change> {
    let find = |keys: &[LockedKey], key: &LockedKey| {
        keys.iter().find(|known| known.fingerprint == key.fingerprint).cloned()
    };
    let changed = new.iter().filter_map(|key| {
        let fingerprint = key.fingerprint.clone();
        match find(old, key) {
            None => Some(Change::KeyAdded { fingerprint }),
            Some(before) if before.base64 != key.base64 => Some(Change::KeyReplaced { fingerprint }),
            Some(_) => None,
        }
    });
    let gone = old.iter().filter(|key| find(new, key).is_none());
    changed.chain(gone.map(|key| Change::KeyRemoved { fingerprint: key.fingerprint.clone() })).collect()
}

fn packages(old: &[LockedPackage], new: &[LockedPackage]) -> Vec<Change> {
    let by_name = |packages: &[LockedPackage]| -> BTreeMap<PackageName, LockedPackage> {
        packages.iter().map(|package| (package.name.clone(), package.clone())).collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    let names: BTreeSet<&PackageName> = old.keys().chain(new.keys()).collect();
    names.into_iter().filter_map(|name| package(name, old.get(name), new.get(name))).collect()
}

fn package(name: &str, old: Option<&LockedPackage>, new: Option<&LockedPackage>) -> Option<Change> {
    let name = name.to_string();
    let locked = |package: &LockedPackage| Locked {
        version: package.version.clone(),
        pocket: package.pocket.clone(),
        size: package.size,
    };
    match (old, new) {
        (None, Some(new)) => Some(Change::Added { name, new: locked(new) }),
        (Some(old), None) => Some(Change::Removed { name, old: locked(old) }),
        (Some(old), Some(new)) if old.version != new.version => {
            Some(Change::Changed { name, old: locked(old), new: locked(new) })
        }
        (Some(old), Some(new)) if old.sha256 != new.sha256 => {
            Some(Change::Replaced { name, new: locked(new) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lock, package};
    use super::*;
    use crate::value::Sha256;
    use expect_test::expect;

    #[test]
    fn an_update_says_what_moved() {
        let mut old = lock();
        let mut new = lock();
        let larger = LockedPackage { size: 1_234_567, ..package("jq", "1.8.0-1") };
        let fixed = LockedPackage { size: 1000, pocket: SECURITY.to_string(), ..package("udev", "257.9-1") };
        new.packages = vec![larger, fixed, package("rauc", "1.13-1")];
        old.packages.push(package("less", "1"));
        new.tools[0].sha256 = Sha256::of([0xef; 32]);
        new.archives[0].sha256 = Sha256::of([0xef; 32]);
        new.keys.push(LockedKey { fingerprint: "AB".repeat(20), ..new.keys[0].clone() });
        new.keys[0].base64 = "mQINBB==".to_string();
        new.archives[0].date += 3 * 86400;
        let lines: Vec<String> = Lock::diff(&old, &new).iter().map(ToString::to_string).collect();
        expect![[r#"
            ~ jq 1.7.1-6 -> 1.8.0-1, release, 1.2 MB (+1.2 MB)
            - less 1
            + rauc 1.13-1, release, 1.2 kB
            ~ udev 257.8-1 -> 257.9-1, security update, 1.0 kB (-234 B)
            ! erofs-utils 1.8.6-1 has other bytes, release, 1.2 kB (tool)
            ~ key 9376937693769376937693769376937693769376 has other bytes
            + key ABABABABABABABABABABABABABABABABABABABAB
            ~ trixie is 3 days newer"#]]
        .assert_eq(&lines.join("\n"));
    }

    #[test]
    fn the_same_lock_has_no_difference() {
        assert_eq!(Lock::diff(&lock(), &lock()), []);
    }
}
