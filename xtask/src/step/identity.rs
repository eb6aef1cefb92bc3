//! Nothing of one machine in an image: looks at every file that the packages'
//! maintainer scripts have made, and at every packaged file they have changed.
//!
//! Known files are removed ([`super::sysprep`]) or known to be the same in every
//! build ([`known`]). An unknown one must hold no key ([`secret`]), and must be
//! the same when the system is configured a second time. That takes as long as
//! the first, so it is done only for a system with unknown files, once, and the
//! result is cached with the system.
//!
//! The second run differs in time, process ids and randomness. The date, the
//! sandbox's host name and the order in which the file system lists a directory
//! are the same on both. The date and the host name are found by their text in
//! what a script has made ([`today`], [`mod@hostname`]). The order is not looked
//! for: a script that writes down what `readdir` gives it makes another file on
//! another file system, and two builds of one lock differ.

mod compare;
mod hostname;
mod known;
mod maker;
mod secret;
mod today;
mod unowned;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use bedplate_core::SourceLocation;
use bedplate_core::lock::Lock;
use bedplate_core::plan::Plan;
use bedplate_formats::tree::{Content, Kind, Node, Tree, TreePath};
use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::sysprep;
use crate::error::LocatedError;
use crate::store::Store;

/// How many files an error names.
const NAMED: usize = 12;

/// A file of the system that belongs to one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its path, with a slash before it.
    pub path: String,
    /// What it is: `a private key`.
    pub what: String,
    /// The packages whose scripts may have made it; none when that cannot be told.
    pub packages: Vec<String>,
    /// True for key material.
    pub secret: bool,
}

/// Returns what belongs to one machine in the system of a key. `again`
/// installs the same packages into another directory.
///
/// # Errors
/// A file that cannot be read, or a second configuration that fails.
pub fn findings(
    store: &Store,
    key: &str,
    system: &Tree,
    epoch: i64,
    again: impl FnOnce(&Path) -> Result<()>,
) -> Result<Vec<Finding>> {
    let layer = store.layer_or_make("identity", key, |directory| {
        let second = store.temporary()?;
        let found = look(system, epoch, &second, again);
        fs::remove_dir_all(&second)?;
        Ok(fs::write(directory.join("findings.json"), serde_json::to_vec(&found?)?)?)
    })?;
    let text = fs::read(layer.join("findings.json"))?;
    serde_json::from_slice(&text).context("reading what belongs to one machine")
}

fn look(
    system: &Tree,
    epoch: i64,
    second: &Path,
    again: impl FnOnce(&Path) -> Result<()>,
) -> Result<Vec<Finding>> {
    let first = sysprepped(system.clone(), epoch);
    let packaged = unowned::Packaged::of(system)?;
    let made: Vec<&TreePath> = packaged.made(&first, epoch);
    let unknown: BTreeSet<&TreePath> = unknown(&first, &packaged, &made)?.into_iter().collect();
    let mut found = Vec::new();
    let id = system.content(&"etc/machine-id".into()).map(Content::read).transpose()?.unwrap_or_default();
    let build = Build { id: id.trim_ascii(), today: today::Today::new(epoch) };
    for path in made {
        let is_unknown = unknown.contains(path);
        if !is_unknown && !known::is_setting(path) {
            continue;
        }
        let content = content(&first, path).filter(|content| content.len() <= secret::LARGEST);
        let Some(bytes) = content.map(Content::read).transpose()? else { continue };
        let of_unknown = is_unknown.then(|| build.found_in(&bytes)).flatten();
        let found_in = of_unknown.or_else(|| hostname::is_in(&bytes).then_some((hostname::WHAT, false)));
        found.extend(found_in.map(|(what, secret)| (path.clone(), what, secret)));
    }
    // A key needs no second look, and no other file has to be compared when there is none.
    if unknown.iter().any(|path| !found.iter().any(|(known, ..)| known == *path)) {
        again(second).context("configuring the packages a second time, to compare")?;
        let other = Tree::scan(second).context("reading the second system")?;
        let differ = compare::differences(&first, &sysprepped(other, epoch), &packaged, epoch)?;
        let new = |path: &TreePath| !found.iter().any(|(known, ..)| known == path);
        let differ: Vec<_> = differ.into_iter().filter(|(path, _)| new(path)).collect();
        found.extend(differ.into_iter().map(|(path, what)| (path, what, false)));
    }
    found.sort();
    let finding = |(path, what, secret): (TreePath, &str, bool)| Finding {
        packages: maker::packages(system, &packaged, &path),
        path: path.to_string(),
        what: what.to_owned(),
        secret,
    };
    Ok(found.into_iter().map(finding).collect())
}

/// What is the same in two configurations of one build, and nowhere else.
struct Build<'a> {
    id: &'a [u8],
    today: today::Today,
}

impl Build<'_> {
    /// What of one machine is in a file, and whether it is a key.
    fn found_in(&self, bytes: &[u8]) -> Option<(&'static str, bool)> {
        if let Some(what) = secret::kind(bytes) {
            return Some((what, true));
        }
        if self.id.len() >= 32 && memchr::memmem::find(bytes, self.id).is_some() {
            return Some(("the machine id of the build", false));
        }
        self.today.is_in(bytes).then_some(("the date of the build", false))
    }
}

fn sysprepped(mut tree: Tree, epoch: i64) -> Tree {
    sysprep::sysprep(&mut tree);
    sysprep::date_certificates(&mut tree, epoch);
    tree
}

/// The files that are neither in the table nor a copy of a packaged file.
fn unknown<'a>(
    tree: &Tree,
    packaged: &unowned::Packaged,
    made: &[&'a TreePath],
) -> Result<Vec<&'a TreePath>> {
    let mut unknown = Vec::new();
    for path in made {
        if !known::is_known(path) && !packaged.has_copy(tree, path)? {
            unknown.push(*path);
        }
    }
    Ok(unknown)
}

/// The content of a regular file, whatever its name of several.
fn content<'a>(tree: &'a Tree, path: &TreePath) -> Option<&'a Content> {
    match &tree.get(path)?.kind {
        Kind::File(content) => Some(content),
        Kind::Hardlink(first) => content(tree, first),
        _ => None,
    }
}

/// Refuses what belongs to one machine, unless the description accepts,
/// replaces or removes it. `base` is the tree before the description's files.
///
/// # Errors
/// All such files in one, with the package and the words that help.
pub fn check(
    plan: &Plan,
    lock: &Lock,
    found: &[Finding],
    base: &Tree,
    tree: &Tree,
) -> Result<(), LocatedError> {
    let left = |finding: &&Finding| {
        let path = TreePath::new(&finding.path);
        same(base.get(&path), tree.get(&path))
    };
    let left: Vec<&Finding> =
        found.iter().filter(left).filter(|finding| !hostname::is_the_devices(plan, finding)).collect();
    let below = |finding: &Finding, path: &str| {
        finding.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    for shared in &plan.shared {
        if !left.iter().any(|finding| below(finding, &shared.path)) {
            return Err(LocatedError {
                message: format!("nothing in `{}` belongs to one machine", shared.path),
                at: Some(shared.at.clone()),
                word: Some(shared.path.to_string()),
                help: "remove `.dangerous_shared(…)`, or correct its path".into(),
            });
        }
    }
    let accepted = |finding: &Finding| plan.shared.iter().any(|shared| below(finding, &shared.path));
    let refused: Vec<&Finding> = left.into_iter().filter(|finding| !accepted(finding)).collect();
    if refused.is_empty() { Ok(()) } else { Err(problem(plan, lock, &refused)) }
}

/// Whether the description has left a node as the packages made it.
fn same(before: Option<&Node>, after: Option<&Node>) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => match (&before.kind, &after.kind) {
            (Kind::File(Content::File { path: one, .. }), Kind::File(Content::File { path: other, .. })) => {
                one == other
            }
            (Kind::File(_), Kind::File(_)) => false,
            (Kind::Symlink(one), Kind::Symlink(other)) => one == other,
            _ => std::mem::discriminant(&before.kind) == std::mem::discriminant(&after.kind),
        },
        _ => false,
    }
}

/// The line that asked for a package by its name, or by its vendor's address.
fn asked(plan: &Plan, lock: &Lock, name: &str) -> Option<(SourceLocation, Option<String>)> {
    if let Some(at) = plan.package(name).and_then(|package| package.at.clone()) {
        return Some((at, Some(name.to_owned())));
    }
    let locked = lock.packages.iter().find(|package| package.name == name)?;
    let deb = plan.debs.iter().find(|deb| deb.url == locked.url)?;
    Some((deb.at.clone()?, None))
}

fn problem(plan: &Plan, lock: &Lock, refused: &[&Finding]) -> LocatedError {
    let line = |finding: &Finding| {
        let by = match finding.packages.as_slice() {
            [] => "made when the packages were configured".to_owned(),
            packages => format!("made when {} was configured", quoted(packages)),
        };
        format!("`{}` is the same on every device: {}, {by}", finding.path, finding.what)
    };
    let mut message = match refused {
        [one] => line(one),
        _ => format!("{} files belong to one machine, and are the same on every device:", refused.len()),
    };
    if refused.len() > 1 {
        for finding in refused.iter().take(NAMED) {
            let by = if finding.packages.is_empty() {
                String::new()
            } else {
                format!(", by {}", quoted(&finding.packages))
            };
            let _ = write!(message, "\n  `{}`: {}{by}", finding.path, finding.what);
        }
        if refused.len() > NAMED {
            let _ = write!(message, "\n  and {} more", refused.len() - NAMED);
        }
    }
    let makers = refused.iter().flat_map(|finding| &finding.packages);
    let (at, word) = makers.filter_map(|name| asked(plan, lock, name)).next().unzip();
    let help = refused.first().map(|first| help(first)).unwrap_or_default();
    LocatedError { message, at, word: word.flatten(), help }
}

/// The words that help with one file.
fn help(Finding { path, what, .. }: &Finding) -> String {
    let question = match what.as_str() {
        hostname::WHAT => {
            "answer the question that it comes from with `.debconf(…)`, change it in a `.script(…)`, "
        }
        _ => "",
    };
    format!(
        "leave it out with `.remove(\"{path}\")`, write it yourself with `.file(\"{path}\", …)`, {question}or accept \
         one for all devices with `.dangerous_shared(\"{path}\")`"
    )
}

fn quoted(packages: &[String]) -> String {
    packages.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests;
