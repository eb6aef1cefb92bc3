//! Runs the project's scripts in the finished tree: twice, for what they do has to be the same each time.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use bedplate_core::plan::ScriptPlan;
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};
use fs_err as fs;

use super::inside::{Inside, add_to};
use super::origin::brought;
use super::scratch::Changes;
use crate::error::LocatedError;
use crate::sandbox::Sandbox;

/// How many lines of what a script printed an error shows.
const LINES: usize = 20;
/// How many paths that differ an error names.
const PATHS: usize = 5;

/// Runs the plan's scripts in order; returns the paths they have written.
///
/// # Errors
/// A script that cannot be started, that fails, or that does something else the second time, at its line.
pub fn apply(inside: &Inside<'_>, tree: &mut Tree) -> Result<BTreeSet<TreePath>> {
    let mut written = BTreeSet::new();
    for script in &inside.plan.contents.scripts {
        interpreter(script, tree)?;
        let mut key = inside.key("script");
        key.add(&script.name);
        key.add(&script.text);
        add_to(&mut key, inside.store, tree, &brought(inside.base.tree, tree))?;
        for (path, _) in inside.base.tree.iter().filter(|(path, _)| !tree.contains(path)) {
            key.add(path.to_bytes());
        }
        let changes = inside.cached("script", key, tree, |inside, shown| twice(inside, script, shown))?;
        written.extend(changes.written.into_keys());
    }
    Ok(written)
}

fn twice(inside: &Inside<'_>, script: &ScriptPlan, tree: &Tree) -> Result<Changes> {
    let directory = inside.store.temporary()?;
    let file = directory.join("script");
    fs::write(&file, &script.text)?;
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let name = script.name.rsplit('/').next().unwrap_or(&script.name);
    let program = format!("/run/bedplate/{name}");
    let once = || {
        inside
            .changes(tree, |sandbox| run(&sandbox.clone().bind_read_only(&file, &program), &program, script))
    };
    let first = once()?;
    next_second();
    let second = once()?;
    let differ = differ(&first, &second)?;
    if differ.is_empty() {
        return Ok(first);
    }
    let shown: Vec<String> = differ.iter().take(PATHS).map(|path| format!("`{path}`")).collect();
    let more =
        differ.len().checked_sub(PATHS + 1).map(|more| format!(" and {} more", more + 1)).unwrap_or_default();
    Err(LocatedError {
        message: format!(
            "the script `{}` does not do the same twice: {}{more} differ",
            script.name,
            shown.join(", ")
        ),
        at: script.at.clone(),
        word: None,
        help: "take the time from `$SOURCE_DATE_EPOCH`, and use neither random numbers nor process ids"
            .into(),
    }
    .into())
}

fn run(sandbox: &Sandbox, program: &str, script: &ScriptPlan) -> Result<()> {
    let command = sandbox.command([program]).stdin_null().stderr_to_stdout().stdout_capture().unchecked();
    let output = command.run()?;
    if output.status.success() {
        return Ok(());
    }
    let ended = match output.status.code() {
        Some(code) => format!("failed with exit code {code}"),
        None => "was ended by a signal".to_owned(),
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(LINES)..].iter().map(|line| format!("\n  {line}"));
    Err(LocatedError {
        message: format!(
            "the script `{}` {ended}{}{}",
            script.name,
            if lines.is_empty() { "" } else { ":" },
            last.collect::<String>()
        ),
        at: script.at.clone(),
        word: None,
        help: "run `set -x` in it to see its commands".into(),
    }
    .into())
}

/// The kernel says of a missing interpreter that there is no such script.
fn interpreter(script: &ScriptPlan, tree: &Tree) -> Result<(), LocatedError> {
    let line = script.text.lines().next().unwrap_or_default();
    let mut words = line.trim_start_matches("#!").split_whitespace();
    let first = words.next().unwrap_or_default();
    let is_there = |path: &str| tree.content(&path.into()).is_some();
    let (name, found) = if first.ends_with("/env") && is_there(first) {
        let name = words.find(|word| !word.starts_with('-') && !word.contains('=')).unwrap_or_default();
        let path = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"];
        (name, path.iter().any(|directory| is_there(&format!("{directory}/{name}"))))
    } else {
        (first, is_there(first))
    };
    if found {
        return Ok(());
    }
    Err(LocatedError {
        message: format!("the script `{}` is for `{name}`, which is not in the image", script.name),
        at: script.at.clone(),
        word: None,
        help: "add the package that brings it, or write the script for `/bin/sh`".into(),
    })
}

/// Waits until the clock shows another second: file times and most dates are of seconds.
fn next_second() {
    let second = || SystemTime::now().duration_since(UNIX_EPOCH).map(|now| now.as_secs()).unwrap_or_default();
    let now = second();
    while second() == now {
        sleep(Duration::from_millis(20));
    }
}

/// The paths that two runs have left otherwise.
fn differ(first: &Changes, second: &Changes) -> std::io::Result<Vec<TreePath>> {
    let removed = first.removed.symmetric_difference(&second.removed).cloned();
    let mut differ: BTreeSet<TreePath> = removed.collect();
    for path in first.written.keys().chain(second.written.keys()) {
        let same = match (first.written.get(path), second.written.get(path)) {
            (Some(one), Some(other)) => same(one, other)?,
            _ => false,
        };
        if !same {
            differ.insert(path.clone());
        }
    }
    Ok(differ.into_iter().collect())
}

fn same(one: &Node, other: &Node) -> std::io::Result<bool> {
    let attributes = |node: &Node| (node.mode, node.uid, node.gid, node.mtime, node.xattrs.clone());
    let kinds = match (&one.kind, &other.kind) {
        (Kind::File(one), Kind::File(other)) => one.len() == other.len() && one.read()? == other.read()?,
        (one, other) => format!("{one:?}") == format!("{other:?}"),
    };
    Ok(kinds && attributes(one) == attributes(other))
}
