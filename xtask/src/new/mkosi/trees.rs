//! Trees that mkosi copies into an image: their files, and the units in them that a description has words for.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use fs_err as fs;

use super::{Left, ini, left};
use crate::new::{Content, File};

/// Where units lie in a tree.
const UNITS: [&str; 4] =
    ["usr/lib/systemd/system", "lib/systemd/system", "etc/systemd/system", "usr/local/lib/systemd/system"];

/// Files that the description says in other words: the host's name, and where packages come from.
const SAID: [&str; 5] = [
    "etc/hostname",
    "etc/apt/sources.list",
    "etc/apt/sources.list.d",
    "etc/apt/keyrings",
    "etc/apt/trusted.gpg.d",
];

/// The mounts that units in trees make, for which a description has words of its own.
#[derive(Debug, Default)]
pub struct Mounts {
    /// Labels of partitions, and where they are mounted.
    partitions: Vec<(String, String)>,
    /// Directories that are bound from a partition.
    pub binds: Vec<String>,
    /// The files of these units.
    units: BTreeSet<PathBuf>,
}

impl Mounts {
    /// Those in the trees.
    pub fn of<'a>(trees: impl Iterator<Item = &'a Path> + Clone) -> Self {
        let mut mounts = Mounts::default();
        let units = |tree: &Path| -> Vec<PathBuf> {
            let units =
                UNITS.iter().filter_map(|directory| fs::read_dir(tree.join(directory)).ok()).flatten();
            let mut units: Vec<PathBuf> = units.flatten().map(|entry| entry.path()).collect();
            units.retain(|unit| unit.extension().is_some_and(|extension| extension == "mount"));
            units.sort();
            units
        };
        let units: Vec<PathBuf> = trees.flat_map(units).collect();
        let of = |unit: &PathBuf| {
            let sections = ini::parse(&fs::read_to_string(unit).ok()?).ok()?;
            let mount = sections.into_iter().find(|section| section.name == "Mount")?;
            let value = |key| mount.last(key).unwrap_or_default().trim_end_matches('/').to_owned();
            Some((unit.clone(), value("What"), value("Where"), value("Options")))
        };
        let units: Vec<_> = units.iter().filter_map(of).collect();
        for (unit, what, place, _) in &units {
            let by = ["/dev/disk/by-label/", "/dev/disk/by-partlabel/", "LABEL=", "PARTLABEL="];
            if let Some(label) = by.iter().find_map(|by| what.strip_prefix(by)) {
                mounts.partitions.push((label.to_owned(), place.clone()));
                mounts.units.insert(unit.clone());
            }
        }
        for (unit, what, place, options) in units {
            let is_kept = mounts.partitions.iter().any(|(_, mount)| Path::new(&what).starts_with(mount));
            if is_kept && options.split(',').any(|option| option == "bind" || option == "rbind") {
                mounts.binds.push(place);
                mounts.units.insert(unit);
            }
        }
        mounts
    }

    /// Where the partition with this label is mounted.
    pub fn of_label(&self, label: &str) -> Option<&str> {
        self.partitions.iter().find(|(known, _)| known == label).map(|(_, mount)| mount.as_str())
    }
}

/// The files of a tree, as those of an overlay of this name, without what the description says in its own words.
///
/// # Errors
/// It cannot be read.
pub fn overlay(
    tree: &Path,
    target: &Path,
    overlay: &str,
    mounts: &Mounts,
    told: &mut Vec<Left>,
) -> Result<Vec<File>> {
    let root = Path::new("image").join(overlay);
    let below: PathBuf = target.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    let mut files = Vec::new();
    if tree.is_file() {
        let name =
            if below.as_os_str().is_empty() { tree.file_name().map(PathBuf::from) } else { Some(below) };
        return Ok(name
            .map(|name| File { path: root.join(name), content: Content::Copy(tree.to_owned()) })
            .into_iter()
            .collect());
    }
    let mut directories = vec![tree.to_owned()];
    while let Some(directory) = directories.pop() {
        let mut entries = fs::read_dir(&directory)?.collect::<std::io::Result<Vec<_>>>()?;
        entries.sort_by_key(|entry| entry.file_name());
        for entry in entries {
            let path = entry.path();
            let inside = below.join(path.strip_prefix(tree).unwrap_or(&path));
            let kind = entry.file_type()?;
            // The description has its own words for these.
            if mounts.units.contains(&path) || SAID.iter().any(|said| inside == Path::new(said)) {
                continue;
            }
            if let Some(why) = said_otherwise(&inside, &path) {
                told.push(left(format!("/{}", inside.display()), why));
                continue;
            }
            let content = if kind.is_symlink() {
                Content::Link(fs::read_link(&path)?)
            } else if kind.is_dir() {
                directories.push(path);
                continue;
            } else if kind.is_file() {
                Content::Copy(path)
            } else {
                told.push(left(
                    format!("/{}", inside.display()),
                    "a file of an overlay is a file, a link or a directory",
                ));
                continue;
            };
            files.push(File { path: root.join(inside), content });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Why a file is in no overlay: the description, or the plan, has its own.
fn said_otherwise(inside: &Path, path: &Path) -> Option<&'static str> {
    let machine_id = "a device makes its own machine id, and keeps it on its data partition";
    match inside.to_str()? {
        "etc/hosts" => Some("the plan writes it; `.host(ADDRESS, NAME)` adds a line"),
        "etc/fstab" => Some("partitions are mounted by the description"),
        "etc/machine-id" => Some(machine_id),
        "etc/resolv.conf" => Some("systemd-resolved, or who configures the network, writes it"),
        "etc/passwd" | "etc/shadow" | "etc/group" | "etc/gshadow" => {
            Some("users are said with `.user(User::new(…))`")
        }
        "etc/localtime" => Some("`.timezone(…)` says it"),
        inside if inside.contains("tmpfiles.d/") => {
            fs::read_to_string(path).is_ok_and(|text| text.contains(" /etc/machine-id")).then_some(machine_id)
        }
        inside if ["run", "tmp", "proc", "sys", "dev"].contains(&inside) => {
            Some("it is empty when a device starts")
        }
        inside if inside.starts_with("var/lib/dpkg") => Some("dpkg's own records are dpkg's to write"),
        _ => None,
    }
}
