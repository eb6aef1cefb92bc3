//! The directory of an overlay, and what it must not hold, before there is a system.

use std::io::ErrorKind;
use std::path::PathBuf;

use bedplate_core::check::files::word_for;
use bedplate_core::plan::{BindKind, BindPlan, FileKind, FilePlan, OverlayPlan, Plan};
use bedplate_core::value::DevicePath;
use bedplate_formats::tree::{Kind, Tree, TreePath};
use camino::Utf8Path;

use super::{leavings, modes};
use crate::error::LocatedError;
use crate::step::place::IN_MEMORY;

/// An overlay as it lies on the builder's disk.
pub(super) struct Layer<'a> {
    /// What the description says of it.
    pub plan: &'a OverlayPlan,
    /// The directory, links followed.
    pub directory: PathBuf,
    /// What is in it.
    pub tree: Tree,
    /// What is not taken over.
    pub left_out: Vec<TreePath>,
}

/// Links to directories that every release has: where a path lands is known before there is a system.
const LINKS: [(&str, &str); 6] = [
    ("bin", "usr/bin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
    ("sbin", "usr/sbin"),
    ("var/lock", "run/lock"),
    ("var/run", "run"),
];
/// The files of users and groups.
const ACCOUNTS: [&str; 6] =
    ["etc/group", "etc/gshadow", "etc/passwd", "etc/shadow", "etc/subgid", "etc/subuid"];

/// Reads overlays.
pub(super) fn read_all<'a>(
    overlays: &'a [OverlayPlan],
    project: &Utf8Path,
) -> Result<Vec<Layer<'a>>, LocatedError> {
    overlays.iter().map(|overlay| read(overlay, project)).collect()
}

pub(super) fn read<'a>(plan: &'a OverlayPlan, project: &Utf8Path) -> Result<Layer<'a>, LocatedError> {
    let problem = |message: String, help: &str| LocatedError {
        message: format!("the overlay `{}` {message}", plan.source),
        at: Some(plan.at.clone()),
        word: None,
        help: help.into(),
    };
    let help = "an overlay is a directory beside `main.rs`, with files at the path they have on the device";
    let path = project.join(&plan.source);
    let directory = match std::fs::canonicalize(&path) {
        Ok(directory) => directory,
        Err(error) if error.kind() == ErrorKind::NotFound && path.is_symlink() => {
            return Err(problem("is a link that leads to nothing".into(), help));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(problem("does not exist".into(), help));
        }
        Err(error) => return Err(problem(format!("cannot be read: {error}"), help)),
    };
    if !directory.is_dir() {
        let packed = [".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".zip", ".cpio"];
        let help = match packed.iter().any(|end| plan.source.ends_with(end)) {
            true => "unpack it into a directory of the project, and name the directory",
            false => {
                "name the directory it is in, or write the file with `.file(\"/path\", include_str!(…))`"
            }
        };
        return Err(problem("is a file, and no directory".into(), help));
    }
    let mut tree =
        Tree::scan(&directory).map_err(|error| problem(format!("cannot be read: {error}"), help))?;
    let left_out = leavings::take_out(&mut tree);
    if tree.len() == 1 {
        return Err(problem(
            "is empty".into(),
            "remove it, or put files in at the path they have on the device",
        ));
    }
    Ok(Layer { plan, directory, tree, left_out })
}

/// Holds an overlay against the plan.
pub(super) fn check(plan: &Plan, layer: &Layer<'_>) -> Result<(), LocatedError> {
    for (path, node) in layer.tree.iter().skip(1) {
        let real = known(path);
        let text = String::from_utf8_lossy(&real.to_bytes()).into_owned();
        if ACCOUNTS.contains(&text.as_str()) {
            let why = format!("`/{text}` holds the users of every package");
            return Err(layer.problem(path, &why, &word_for(&format!("/{text}"))));
        }
        let written = |file: &&FilePlan| {
            matches!(file.kind, FileKind::File { .. } | FileKind::Symlink { .. })
                && known(&file.path.as_str().into()) == real
        };
        if let Some(file) = plan.files.iter().find(written) {
            return Err(layer.clash(path, file));
        }
        if let Some(why) = hidden(plan, &real, node.is_directory()) {
            return Err(layer.problem(path, &why.0, &why.1));
        }
        if let Kind::CharDevice(..) | Kind::BlockDevice(..) = node.kind {
            return Err(layer.problem(path, "it is a device", "let udev or tmpfiles.d(5) make it at boot"));
        }
    }
    let parts: Vec<(Vec<&[u8]>, _)> =
        layer.tree.iter().skip(1).map(|(path, node)| (path.components().collect(), node)).collect();
    let unused = |rule: &&_| !parts.iter().any(|(parts, node)| modes::fits(rule, parts, node));
    let Some(rule) = layer.plan.rules.iter().find(unused) else { return Ok(()) };
    let what = match rule.mode {
        Some(_) if !rule.pattern.is_literal() && !rule.pattern.is_of_directories() => "file",
        Some(_) if rule.pattern.is_of_directories() => "directory",
        _ => "file or directory",
    };
    Err(LocatedError {
        message: format!("no {what} in the overlay `{}` fits `{}`", layer.plan.source, rule.pattern),
        at: Some(rule.at.clone()),
        word: Some(rule.pattern.to_string()),
        help: "write the path as it is in the overlay; `**` stands for any number of directories".into(),
    })
}

/// Why nobody would see what is put there, and what helps.
fn hidden(plan: &Plan, path: &TreePath, directory: bool) -> Option<(String, String)> {
    if let Some(memory) = IN_MEMORY.iter().find(|memory| below(path, memory)) {
        let why = format!("`/{memory}` is in memory on the device, and empty at every boot");
        return Some((why, "let tmpfiles.d(5) make it at boot: add `usr/lib/tmpfiles.d/NAME.conf`".into()));
    }
    let mounts = plan.disk.data.iter().filter_map(|data| data.mount.as_ref());
    let text = path.to_string();
    let hides = |mount: &&DevicePath| below(path, mount) && !plan.holds_home(mount, &text);
    if let Some(mount) = mounts.into_iter().find(hides) {
        let why = format!("the data partition is mounted at `{mount}`");
        return Some((why, "put it elsewhere, and bind the place where programs look for it".into()));
    }
    if directory {
        return None;
    }
    let covers = |bind: &&BindPlan| {
        let bound = TreePath::new(&bind.path);
        // What is in the bind's own place, the bind is held against.
        let inside = *path != bound || bind.kind == BindKind::File;
        bind.at.is_some()
            && bind.is_fresh()
            && inside
            && path.starts_with(&bound)
            && !plan.holds_home(&bind.path, &text)
    };
    let bind = plan.binds.iter().find(covers)?;
    let why = format!("`{}` is persistent, and starts empty", bind.path);
    Some((why, format!("start it with the image's files: `.bind(Bind::new(\"{}\").seeded())`", bind.path)))
}

fn below(path: &TreePath, directory: &str) -> bool {
    let directory = TreePath::new(directory);
    *path != directory && path.starts_with(&directory)
}

/// The path with the links followed that every release has.
fn known(path: &TreePath) -> TreePath {
    for (link, target) in LINKS {
        let link = TreePath::new(link);
        if path.starts_with(&link) {
            return path
                .components()
                .skip(link.depth())
                .fold(TreePath::new(target), |to, name| to.join(name));
        }
    }
    path.clone()
}

impl Layer<'_> {
    /// A file of the overlay that cannot be in the image.
    pub(super) fn problem(&self, path: &TreePath, why: &str, help: &str) -> LocatedError {
        LocatedError {
            message: format!("`{path}` of the overlay `{}` cannot be in the image: {why}", self.plan.source),
            at: self.at(),
            word: None,
            help: help.into(),
        }
    }

    /// A file of the overlay that something else in the description writes.
    pub(super) fn clash(&self, path: &TreePath, file: &FilePlan) -> LocatedError {
        let by = match &file.at {
            Some(at) if file.why == "written in the description" => format!("it is written at {at}, too"),
            _ => format!("the plan writes it: {}", file.why),
        };
        let help = match file.why.as_str() {
            "written in the description" | "written by hand" => "remove one of the two".into(),
            _ => word_for(&file.path),
        };
        self.problem(path, &by, &help)
    }
}
