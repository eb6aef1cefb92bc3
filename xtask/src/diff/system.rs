//! What a root says of itself: packages with their files, units that start, users and groups.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use bedplate_core::plan::diff::Difference;
use bedplate_formats::control;
use bedplate_formats::filesystem::FileType;

use super::holder::Holder;

/// Facts by name.
pub type Facts = BTreeMap<String, String>;

/// A package of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its version.
    pub version: String,
    /// The bytes of its files, where they are known.
    pub size: Option<u64>,
    /// The digest of its file, where a lock has it.
    pub sha256: Option<String>,
}

/// The packages of a root, by name, from what dpkg knows of them.
///
/// # Errors
/// The file system is damaged.
pub fn packages(root: &Holder) -> Result<Option<BTreeMap<String, Package>>> {
    let Some(status) = root.text("var/lib/dpkg/status")? else { return Ok(None) };
    let stanzas = control::stanzas(&status).filter_map(|stanza| {
        let installed = stanza.field("Status")?.ends_with(" installed");
        let package = Package { version: stanza.field("Version")?.to_owned(), size: None, sha256: None };
        installed.then_some((stanza.field("Package")?.to_owned(), package))
    });
    Ok(Some(stanzas.collect()))
}

/// Which package brings each file of a root, by path.
///
/// # Errors
/// The file system is damaged.
pub fn owners(root: &Holder) -> Result<BTreeMap<Vec<u8>, String>> {
    let mut owners = BTreeMap::new();
    let lists: Vec<String> = root
        .below("var/lib/dpkg/info")
        .filter(|(path, _)| path.ends_with(".list"))
        .map(|(path, _)| path.to_owned())
        .collect();
    for list in lists {
        let name = list.rsplit('/').next().unwrap_or_default().trim_end_matches(".list");
        let package = name.split(':').next().unwrap_or_default();
        let text = root.text(&list)?.unwrap_or_default();
        for path in text.lines().filter_map(|line| line.strip_prefix('/')) {
            let real = root.real(path.as_bytes());
            // Directories are brought by many, and belong to none.
            if root.metadata(&real).is_some_and(|metadata| metadata.kind != FileType::Directory) {
                owners.insert(real, package.to_owned());
            }
        }
    }
    Ok(owners)
}

/// The bytes of each package's files; what no package brings is under the empty name.
pub fn sizes(root: &Holder, owners: &BTreeMap<Vec<u8>, String>) -> BTreeMap<String, u64> {
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    for path in root.paths() {
        let Some(file) = root.metadata(path).filter(|file| file.kind == FileType::Regular) else { continue };
        *sizes.entry(owners.get(path).cloned().unwrap_or_default()).or_default() += file.size;
    }
    sizes
}

/// The directories in which systemd looks for units, and what their units are called here.
const UNITS: [(&str, &str); 4] = [
    ("etc/systemd/system", ""),
    ("usr/lib/systemd/system", ""),
    ("etc/systemd/user", " (user)"),
    ("usr/lib/systemd/user", " (user)"),
];

/// What starts each unit that something starts, and which are masked.
///
/// # Errors
/// The file system is damaged.
pub fn units(root: &Holder) -> Result<Facts> {
    let mut started: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (directory, of) in UNITS {
        let links = root.below(directory).filter(|(_, file)| file.kind == FileType::Symlink);
        for (path, _) in links {
            let Some(rest) = path.strip_prefix(directory).map(|rest| rest.trim_start_matches('/')) else {
                continue;
            };
            let (unit, how) = match rest.split_once('/') {
                Some((by, unit)) => {
                    let how = [(".wants", "wanted"), (".requires", "required"), (".upholds", "upheld")];
                    let how = how
                        .iter()
                        .find_map(|(end, how)| by.strip_suffix(end).map(|by| format!("{how} by {by}")));
                    (unit, how)
                }
                None => {
                    let masked = root.content(path.as_bytes())? == b"/dev/null";
                    (rest, masked.then(|| "masked".to_owned()))
                }
            };
            if let Some(how) = how {
                started.entry(format!("{unit}{of}")).or_default().insert(how);
            }
        }
    }
    let joined = |how: BTreeSet<String>| how.into_iter().collect::<Vec<_>>().join(", ");
    Ok(started.into_iter().map(|(unit, how)| (unit, joined(how))).collect())
}

/// Users with what they are, from `passwd` and `shadow`, and groups with their members.
///
/// # Errors
/// The file system is damaged.
pub fn people(root: &Holder) -> Result<Facts> {
    let mut facts = Facts::new();
    let shadow = root.text("etc/shadow")?.unwrap_or_default();
    let passwords: BTreeMap<&str, &str> = shadow
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            Some((fields.next()?, fields.next()?))
        })
        .collect();
    for line in root.text("etc/passwd")?.unwrap_or_default().lines() {
        if let [name, _, uid, gid, _, home, shell] = line.split(':').collect::<Vec<_>>()[..] {
            let password = match passwords.get(name) {
                Some(password) if password.starts_with(['!', '*']) => "no password",
                Some(&"") => "NO PASSWORD ASKED",
                Some(_) => "with a password",
                None => "not in shadow",
            };
            let user = format!("uid {uid}, gid {gid}, home {home}, shell {shell}, {password}");
            facts.insert(format!("user {name}"), user);
        }
    }
    for line in root.text("etc/group")?.unwrap_or_default().lines() {
        if let [name, _, gid, members] = line.split(':').collect::<Vec<_>>()[..] {
            let members = if members.is_empty() { String::new() } else { format!(", with {members}") };
            facts.insert(format!("group {name}"), format!("gid {gid}{members}"));
        }
    }
    Ok(facts)
}

/// What differs between two sides' facts, by name.
pub fn differences(before: &Facts, after: &Facts) -> Vec<Difference> {
    changed(before, after)
        .map(|(name, before, after)| Difference {
            what: name.clone(),
            before: before.cloned(),
            after: after.cloned(),
        })
        .collect()
}

/// The entries that two maps do not have alike, by name: what each has.
pub fn changed<'a, V: PartialEq>(
    before: &'a BTreeMap<String, V>,
    after: &'a BTreeMap<String, V>,
) -> impl Iterator<Item = (&'a String, Option<&'a V>, Option<&'a V>)> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .map(|name| (name, before.get(name), after.get(name)))
        .filter(|(_, before, after)| before != after)
}
