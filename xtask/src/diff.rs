//! What differs between two images, or between an image and what its description says now.
//!
//! Each side is read from its files alone, without root and without mounting anything: a disk, a file system, a kernel
//! image, a directory of artifacts, a lock, an update bundle ([`Side`]). What both sides have is compared, and becomes a
//! [`Comparison`]: a value that is printed for people ([`page`]), for a pull request ([`markdown`]) and for programs
//! (JSON). Two plans become the same value ([`plans`]).
//!
//! A root of a gigabyte is compared in seconds. Two file systems of the same bytes are not looked into; a file that is
//! stored in the same bytes is not decompressed; what has to be read is read in pieces, on all cores.
//!
//! Deliberately absent: times of modification, which are counted and not told; extended attributes and the numbers of
//! devices, which the readers of file systems pass over; and the content of files that not everybody may read, since what
//! is told is posted and mailed.

pub mod boot;
pub mod content;
pub mod described;
pub mod files;
pub mod holder;
pub mod markdown;
pub mod page;
pub mod plans;
pub mod revision;
pub mod side;
pub mod system;
#[cfg(test)]
mod tests;
pub mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use anyhow::{Context as _, Result};
use bedplate_core::Architecture;
use bedplate_core::bytes::bytes;
use bedplate_core::lock::{Change, Lock};
use bedplate_core::plan::compatible;
use bedplate_core::plan::diff::Difference;
use bedplate_formats::region::Region;
use bedplate_formats::sparse;
use camino::Utf8Path;
use serde::Serialize;

use self::files::{FilesDifference, Owners};
use self::side::PartitionFacts;
use self::system::{Package, changed, differences};
use crate::bundle::delta::{Download, Old};
use crate::error::UsageError;

pub use self::side::Side;

/// All that differs between two sides.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Comparison {
    /// What was compared.
    pub before: Name,
    /// What it was compared with.
    pub after: Name,
    /// True when nothing differs.
    pub same: bool,
    /// Why devices of the one side cannot be updated to the other. Known of plans, and of builds that tell theirs.
    pub stranded: Vec<String>,
    /// Partitions that were added, removed or changed.
    pub partitions: Vec<PartitionDifference>,
    /// Packages that were added, removed or changed.
    pub packages: Vec<PackageDifference>,
    /// What the bytes of packages are: `installed`, or the `download` of a lock.
    pub sizes_are: Option<&'static str>,
    /// The kernel image and the command line.
    pub boot: Vec<Difference>,
    /// What starts units.
    pub units: Vec<Difference>,
    /// Users and groups.
    pub people: Vec<Difference>,
    /// Files, for each file system and the initrd.
    pub files: Vec<FilesDifference>,
    /// The sizes of artifacts.
    pub artifacts: Vec<SizeDifference>,
    /// Whatever else differs.
    pub others: Vec<Difference>,
    /// What a device fetches for the update from the one to the other.
    pub download: Option<Download>,
    /// What is not known, or not told above.
    pub notes: Vec<String>,
}

/// What is compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Name {
    /// Its path, or what else it is called.
    pub name: String,
    /// What it is.
    pub kind: &'static str,
}

/// How a partition differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionDifference {
    /// Its label.
    pub label: String,
    /// What it was; none when it is new.
    pub before: Option<PartitionFacts>,
    /// What it is; none when it is gone.
    pub after: Option<PartitionFacts>,
    /// Whether it has another place or another size, or is gone: devices in the field have it where it was.
    pub moves: bool,
    /// Whether it holds no files and other bytes.
    pub other_content: bool,
}

/// How a package differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageDifference {
    /// Its name.
    pub name: String,
    /// Its version before; none when it is new.
    pub before: Option<String>,
    /// Its version after; none when it is gone.
    pub after: Option<String>,
    /// Its bytes before.
    pub size_before: Option<u64>,
    /// Its bytes after.
    pub size_after: Option<u64>,
    /// Whether it has the same version and other bytes.
    pub rebuilt: bool,
}

/// How a size differs, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SizeDifference {
    /// Of what.
    pub name: String,
    /// The size before; none when it is new.
    pub before: Option<u64>,
    /// The size after; none when it is gone.
    pub after: Option<u64>,
}

impl Comparison {
    /// Compares two sides. With `all`, contents are described of files, too, that differ because their package does.
    ///
    /// # Errors
    /// They have nothing in common, or one of them is damaged.
    pub fn of(before: &mut Side, after: &mut Side, all: bool) -> Result<Self> {
        before.settle_lock(after.architecture);
        after.settle_lock(before.architecture);
        let name = |side: &Side| Name { name: side.name.clone(), kind: side.kind };
        let mut found = Self { before: name(before), after: name(after), ..Self::default() };
        if same_bytes(before, after)? {
            found.same = true;
            found.notes.push("They are the same bytes.".to_owned());
            return Ok(found);
        }
        let compared = found.compare(before, after, all)?;
        if !compared {
            return Err(UsageError(format!(
                "a {} and a {} have nothing to compare: `{}`, `{}`",
                before.kind, after.kind, before.name, after.name
            ))
            .into());
        }
        found.same = found.is_empty();
        if found.same && !before.bytes.is_empty() && !after.bytes.is_empty() {
            let times: usize = found.files.iter().map(|files| files.other_times).sum();
            found.notes.push(match times {
                0 => "The bytes differ, though nothing that is in them does: ids, or the layout.".to_owned(),
                times => format!("The bytes differ by the times of {times} files, and by nothing else."),
            });
        }
        Ok(found)
    }

    /// Whether nothing was found.
    fn is_empty(&self) -> bool {
        let lists = [&self.boot, &self.units, &self.people, &self.others];
        self.stranded.is_empty()
            && self.partitions.is_empty()
            && self.packages.is_empty()
            && lists.iter().all(|list| list.is_empty())
            && self.files.iter().all(|files| files.files.is_empty())
            && self.artifacts.is_empty()
    }

    /// Compares all that both sides have, and tells whether there was anything.
    fn compare(&mut self, before: &Side, after: &Side, all: bool) -> Result<bool> {
        let mut compared = false;
        if let (Some(old), Some(new)) = (&before.partitions, &after.partitions) {
            self.partitions = partitions(old, new, (&before.raw, &after.raw))?;
            compared = true;
        }
        if let (Some(old), Some(new)) = (&before.plan, &after.plan) {
            self.stranded = compatible::reasons(old, new);
        }
        if let (Some(old), Some(new)) = (&before.packages, &after.packages) {
            let comparable = before.sizes_are == after.sizes_are;
            self.packages = packages(old, new, comparable);
            self.sizes_are = comparable.then_some(after.sizes_are).filter(|what| !what.is_empty());
            compared = true;
        }
        if let (Some(old), Some(new)) = (&before.command_line, &after.command_line) {
            self.boot = boot::command_line(old, new);
            compared = true;
        }
        for (old, new, into) in [
            (&before.boot, &after.boot, &mut self.boot),
            (&before.units, &after.units, &mut self.units),
            (&before.people, &after.people, &mut self.people),
        ] {
            if let (Some(old), Some(new)) = (old, new) {
                into.extend(differences(old, new));
                compared = true;
            }
        }
        let changed = self.packages.iter().map(|package| package.name.clone()).collect();
        let owners = Owners { before: &before.owners, after: &after.owners, changed: &changed, all };
        for (of, old) in &before.files {
            let Some(new) = after.files.get(of) else { continue };
            self.files.push(FilesDifference::of(of, old, new, &owners)?);
            compared = true;
        }
        // The root is what most people ask for.
        self.files.sort_by_key(|files| files.of != "root");
        if let (Some(old), Some(new)) = (&before.artifacts, &after.artifacts) {
            self.artifacts = sizes(old, new);
            compared = true;
        }
        if let (Some(old), Some(new)) = (&before.lock, &after.lock) {
            for architecture in [Architecture::X86_64, Architecture::Aarch64] {
                let none = Lock::default();
                let of = |file: &bedplate_core::lock::LockFile| file.of(architecture).cloned();
                let (old, new) = (of(old), of(new));
                if old.is_some() || new.is_some() {
                    let changes = Lock::diff(old.as_ref().unwrap_or(&none), new.as_ref().unwrap_or(&none));
                    self.others.extend(changes.iter().filter_map(of_lock));
                }
            }
            compared = true;
        }
        if let (Some(old), Some(new)) = (&before.bundle, &after.bundle) {
            self.bundles(old, new)?;
            compared = true;
        }
        Ok(compared)
    }

    fn bundles(&mut self, old: &Utf8Path, new: &Utf8Path) -> Result<()> {
        let (old, new) = (Old::open(old.as_std_path())?, Old::open(new.as_std_path())?);
        self.others.extend(differences(&bundle(&old), &bundle(&new)));
        self.download = Some(Download::of(&old, &new)?);
        Ok(())
    }
}

/// What a bundle says of itself.
fn bundle(bundle: &Old) -> BTreeMap<String, String> {
    let facts = bundle.facts();
    let mut said = BTreeMap::from([
        ("bundle is for".to_owned(), facts.compatible),
        ("bundle is signed by".to_owned(), facts.signer.subject),
    ]);
    for image in facts.images {
        let what = format!("{}, sha256 {}", bytes(image.size), image.sha256.get(..12).unwrap_or_default());
        said.insert(format!("bundle's {}", image.class), what);
    }
    said.extend(facts.version.map(|version| ("bundle brings version".to_owned(), version)));
    said.extend(facts.description.map(|text| ("bundle is described as".to_owned(), text)));
    said
}

/// Whether both sides are files of the same bytes.
fn same_bytes(before: &Side, after: &Side) -> Result<bool> {
    let ([old], [new]) = (&before.bytes[..], &after.bytes[..]) else { return Ok(false) };
    let open = |path: &Utf8Path| File::open(path).with_context(|| format!("cannot open `{path}`"));
    let (one, other) = (open(old)?, open(new)?);
    let (length, theirs) = (one.metadata()?.len(), other.metadata()?.len());
    // A block device has no length here, and is compared by what is on it.
    if length != theirs || length == 0 || before.artifacts.is_some() != after.artifacts.is_some() {
        return Ok(false);
    }
    let same = sparse::same(&one, 0..length, &other, 0);
    let same = same.with_context(|| format!("cannot compare `{}` and `{}`", before.name, after.name))?;
    Ok(same && before.artifacts == after.artifacts)
}

fn partitions(
    old: &BTreeMap<String, PartitionFacts>,
    new: &BTreeMap<String, PartitionFacts>,
    raw: (&BTreeMap<String, Region>, &BTreeMap<String, Region>),
) -> Result<Vec<PartitionDifference>> {
    let labels: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut found = Vec::new();
    for label in labels {
        let (before, after) = (old.get(label), new.get(label));
        let place = |facts: &PartitionFacts| (facts.start, facts.size);
        let moves = before.is_some_and(|before| after.is_none_or(|after| place(before) != place(after)));
        let other_content = match (raw.0.get(label), raw.1.get(label)) {
            (Some(one), Some(other)) => !same_region(one, other)?,
            _ => false,
        };
        let differs = match (before, after) {
            (Some(before), Some(after)) => {
                // A plan does not know an id that is made of the root hash.
                let id = before.id.is_some() && after.id.is_some() && before.id != after.id;
                id || PartitionFacts { id: None, ..before.clone() }
                    != PartitionFacts { id: None, ..after.clone() }
            }
            _ => true,
        };
        if differs || other_content {
            found.push(PartitionDifference {
                label: label.clone(),
                before: before.cloned(),
                after: after.cloned(),
                moves,
                other_content,
            });
        }
    }
    // In the order of the disk, and first those that move.
    found.sort_by_key(|one| {
        (!one.moves, one.after.as_ref().or(one.before.as_ref()).map(|facts| facts.number))
    });
    Ok(found)
}

/// Whether two regions have the same bytes; the longer one zeros where the other has ended.
fn same_region(one: &Region, other: &Region) -> Result<bool> {
    const PIECE: u64 = 1 << 20;
    let (longer, shorter) = if one.len() < other.len() { (other, one) } else { (one, other) };
    let mut at = 0;
    while at < longer.len() {
        let bytes = longer.read(at, PIECE.min(longer.len() - at))?;
        let there = shorter.len().saturating_sub(at).min(bytes.len() as u64);
        let theirs = shorter.read(at.min(shorter.len()), there)?;
        let (same, rest) = bytes.split_at(theirs.len());
        if same != theirs || rest.iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        at += PIECE;
    }
    Ok(true)
}

fn packages(
    old: &BTreeMap<String, Package>,
    new: &BTreeMap<String, Package>,
    sizes: bool,
) -> Vec<PackageDifference> {
    let mut found = Vec::new();
    for (name, before, after) in changed(old, new) {
        let digest = |package: Option<&Package>| package.and_then(|package| package.sha256.clone());
        let rebuilt = before.zip(after).is_some_and(|(before, after)| before.version == after.version)
            && digest(before).zip(digest(after)).is_some_and(|(before, after)| before != after);
        if before.map(|package| &package.version) != after.map(|package| &package.version) || rebuilt {
            found.push(PackageDifference {
                name: name.clone(),
                before: before.map(|package| package.version.clone()),
                after: after.map(|package| package.version.clone()),
                size_before: before.filter(|_| sizes).and_then(|package| package.size),
                size_after: after.filter(|_| sizes).and_then(|package| package.size),
                rebuilt,
            });
        }
    }
    found
}

fn sizes(old: &BTreeMap<String, u64>, new: &BTreeMap<String, u64>) -> Vec<SizeDifference> {
    changed(old, new)
        .map(|(name, before, after)| SizeDifference {
            name: name.clone(),
            before: before.copied(),
            after: after.copied(),
        })
        .collect()
}

/// What a lock has otherwise beside the image's own packages.
fn of_lock(change: &Change) -> Option<Difference> {
    let difference = |what: String, before: Option<String>, after: Option<String>| {
        Some(Difference { what, before, after })
    };
    let there = || Some("there".to_owned());
    match change {
        Change::Added { .. } | Change::Removed { .. } | Change::Changed { .. } | Change::Replaced { .. } => {
            None
        }
        Change::Tool(change) => match &**change {
            Change::Added { name, new } => {
                difference(format!("tool {name}"), None, Some(new.version.clone()))
            }
            Change::Removed { name, old } => {
                difference(format!("tool {name}"), Some(old.version.clone()), None)
            }
            Change::Changed { name, old, new } => {
                difference(format!("tool {name}"), Some(old.version.clone()), Some(new.version.clone()))
            }
            Change::Replaced { name, new } => difference(
                format!("tool {name}"),
                Some(new.version.clone()),
                Some(format!("{}, other bytes", new.version)),
            ),
            other => of_lock(other),
        },
        Change::KeyAdded { fingerprint } => difference(format!("key {fingerprint}"), None, there()),
        Change::KeyRemoved { fingerprint } => difference(format!("key {fingerprint}"), there(), None),
        Change::KeyReplaced { fingerprint } => {
            difference(format!("key {fingerprint}"), there(), Some("other bytes".to_owned()))
        }
        Change::Archive { suite, newer } => {
            let (days, when) = (newer.unsigned_abs() / 86400, if *newer < 0 { "older" } else { "newer" });
            let hours = newer.unsigned_abs() % 86400 / 3600;
            difference(format!("archive {suite}"), None, Some(format!("{days} days {hours} hours {when}")))
        }
    }
}
