//! The plan of a git revision: its description is compiled beside this one, in the cache.
//!
//! git writes the revision's files to where it is told, and nothing of the checkout or of `.git` is changed. cargo compiles
//! them with the crates that are compiled already. What it makes lies in the cache; the plan is kept there by the commit,
//! so that the same question is answered at once.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use bedplate_core::plan::SavedPlan;
use bedplate_core::{Architecture, Entry};
use camino::Utf8Path;
use rustix::fs::FlockOperation;

use crate::error::UsageError;
use crate::key::Key;
use crate::papers::git;
use crate::project::Project;
use crate::report::Report;
use crate::store::Store;

/// Returns the plan of an image as a revision's description makes it.
///
/// # Errors
/// There is no such revision; its description does not compile, or does not have the image.
pub fn plan(
    project: &Project<'_>,
    entry: &Entry,
    architecture: Architecture,
    revision: &str,
    report: &Report,
) -> Result<SavedPlan> {
    let Some(commit) = commit(project.root, revision) else {
        let message = format!("`{revision}` is no image, no file of a plan and no git revision");
        return Err(UsageError(message).into());
    };
    let store = Store::open()?;
    let package = project.package.strip_prefix(project.root).unwrap_or(Utf8Path::new(""));
    let mut key = Key::new("plan of a revision");
    for part in [&commit, &package.to_string(), &entry.name, &architecture.to_string()] {
        key.add(part);
    }
    let name = format!("plan-{}", key.finish());
    if let Some(plan) =
        store.kept(&name).and_then(|bytes| SavedPlan::parse(&String::from_utf8_lossy(&bytes)).ok())
    {
        return Ok(plan);
    }
    let started = Instant::now();
    let short = commit.get(..12).unwrap_or(&commit);
    report.did("Compiling", format_args!("the description of `{revision}` ({short})"));
    let plan = (|| {
        // One directory for all revisions: what two of them have in common is compiled once.
        let mut place = Key::of_inputs();
        place.add(project.root.as_str());
        let beside = store.layer("revision", &place.finish());
        fs::create_dir_all(&beside)?;
        let lock = fs::File::create(beside.join("lock"))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).context("waiting for another comparison")?;
        let checkout = beside.join("checkout");
        check_out(project.root, &commit, &beside.join("index"), &checkout)?;
        reach_out(project.root, &checkout)?;
        let text = ask(&beside, &checkout.join(package), entry, architecture)?;
        let plan = SavedPlan::parse(&text).context("it prints no plan")?;
        store.keep(&name, text.as_bytes())?;
        Ok::<_, anyhow::Error>(plan)
    })()
    .with_context(|| format!("cannot plan `{}` of `{revision}`", entry.name))?;
    report.timed("Planned", format_args!("`{}` of `{revision}`", entry.name), started);
    Ok(plan)
}

/// The commit that a revision names.
fn commit(project: &Utf8Path, revision: &str) -> Option<String> {
    // What begins with a dash would be an option.
    if revision.starts_with('-') || revision.is_empty() {
        return None;
    }
    let commit = format!("{revision}^{{commit}}");
    let found =
        git(project).args(["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]).output().ok()?;
    found.status.success().then(|| String::from_utf8_lossy(&found.stdout).trim().to_owned())
}

/// Writes the files of a commit, of the project wherever it lies in its repository, into a directory of their own. An
/// index of their own tells which of them are there already.
fn check_out(project: &Utf8Path, commit: &str, index: &Path, checkout: &Path) -> Result<()> {
    fs::create_dir_all(checkout)?;
    let asked = |question| -> Result<String> {
        let found = said(git(project).args(["rev-parse", question]).output(), "git rev-parse")?;
        Ok(String::from_utf8_lossy(&found.stdout).trim_end_matches('\n').to_owned())
    };
    let (repository, prefix) = (asked("--absolute-git-dir")?, asked("--show-prefix")?);
    let mut read = git(checkout);
    read.env("GIT_DIR", repository).env("GIT_WORK_TREE", checkout).env("GIT_INDEX_FILE", index);
    let tree = format!("{commit}:{}", prefix.trim_end_matches('/'));
    said(read.args(["read-tree", "--reset", "-u", &tree]).output(), "git read-tree")?;
    Ok(())
}

/// Lets the manifests of a copy name what lies beside the project, and not beside the copy: crates by a path that leads
/// out of the project, as the one that `new` writes, are those that are there now.
fn reach_out(project: &Utf8Path, checkout: &Path) -> Result<()> {
    let mut pending = vec![PathBuf::new()];
    while let Some(below) = pending.pop() {
        for entry in fs::read_dir(checkout.join(&below))? {
            let entry = entry?;
            let name = entry.file_name();
            if entry.file_type()?.is_dir() {
                pending.push(below.join(name));
            } else if name == "Cargo.toml" {
                let text = fs::read_to_string(entry.path())?;
                // What cargo cannot read either, it says best itself.
                let Ok(mut manifest) = text.parse::<toml::Table>() else { continue };
                if name_from_root(&mut manifest, &project.as_std_path().join(&below), project) {
                    fs::write(entry.path(), manifest.to_string())?;
                }
            }
        }
    }
    Ok(())
}

/// Makes each relative `path` absolute that leads from a directory of the project out of it; says whether there is one.
fn name_from_root(table: &mut toml::Table, directory: &Path, project: &Utf8Path) -> bool {
    let mut found = false;
    for (key, value) in table {
        match value {
            toml::Value::Table(table) => found |= name_from_root(table, directory, project),
            toml::Value::String(path) if key == "path" => {
                let whole = lexical(&directory.join(&*path));
                if Path::new(path).is_relative() && !whole.starts_with(project) {
                    *path = whole.display().to_string();
                    found = true;
                }
            }
            _ => {}
        }
    }
    found
}

/// A path without `..`, as cargo reads it: without asking for links.
fn lexical(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut whole, part| {
        match part {
            Component::ParentDir => drop(whole.pop()),
            Component::CurDir => {}
            part => whole.push(part),
        }
        whole
    })
}

/// Compiles the program of a checkout as this one was compiled, and asks it for the plan.
fn ask(beside: &Path, package: &Path, entry: &Entry, architecture: Architecture) -> Result<String> {
    let program = std::env::current_exe().context("cannot find out how this program was compiled")?;
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let directory = program.parent().unwrap_or(Path::new(""));
    let is_example = directory.ends_with("examples");
    let profile = if is_example { directory.parent().unwrap_or(directory) } else { directory };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(package).args([
        "run",
        "--quiet",
        if is_example { "--example" } else { "--bin" },
        &name,
    ]);
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let architecture = architecture.to_string();
    command.args(["--", "plan", &entry.name, "--json", "--arch", &architecture]);
    command.env("CARGO_TARGET_DIR", beside.join("target"));
    // Newer versions of cargo keep what is compiled apart from what comes out: the crates of this program are taken as
    // they are, and its own file is not touched.
    if let Some(target) = target_directory(&program) {
        command.env("CARGO_BUILD_BUILD_DIR", target);
    }
    let found = said(command.stdin(Stdio::null()).output(), "cargo run")?;
    Ok(String::from_utf8(found.stdout)?)
}

/// Where cargo keeps what it compiled for a program.
fn target_directory(program: &Path) -> Option<PathBuf> {
    program.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file()).map(Path::to_owned)
}

/// What a program printed that did what it was told.
fn said(output: std::io::Result<Output>, what: &str) -> Result<Output> {
    let output = output.with_context(|| format!("cannot run `{what}`"))?;
    if output.status.success() {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(anyhow!("{}", text.trim_end()).context(format!("`{what}` failed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_finds_the_crates_beside_the_project() {
        let checkout = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = checkout.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let read = |path: &str| fs::read_to_string(checkout.path().join(path)).unwrap();
        let plain =
            "# As it is.\n[[bin]]\npath = \"image/main.rs\"\n[dependencies]\nown = { path = \"own\" }\n";
        write("Cargo.toml", &format!("{plain}bedplate = {{ path = \"../bedplate/xtask\" }}\n"));
        write("own/Cargo.toml", "[dependencies]\nparent = { path = \"..\" }\n");
        write("deep/er/Cargo.toml", "[dependencies.other]\npath = \"../../../../other\"\n");
        write("broken/Cargo.toml", "[");
        for _ in 0..2 {
            reach_out(Utf8Path::new("/home/me/device"), checkout.path()).unwrap();
            let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
            assert_eq!(
                manifest["dependencies"]["bedplate"]["path"].as_str(),
                Some("/home/me/bedplate/xtask")
            );
            assert_eq!(manifest["dependencies"]["own"]["path"].as_str(), Some("own"));
            assert_eq!(manifest["bin"][0]["path"].as_str(), Some("image/main.rs"));
            assert_eq!(read("own/Cargo.toml"), "[dependencies]\nparent = { path = \"..\" }\n");
            assert!(read("deep/er/Cargo.toml").contains("\"/home/other\""));
        }
    }
}
