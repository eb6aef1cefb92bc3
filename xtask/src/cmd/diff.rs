//! `diff`: prints what differs between two images, or between an image and its description.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use bedplate_core::lock::LockFile;
use bedplate_core::{Entry, Plan};
use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::{DiffArgs, FormArgs, NameArgs};
use crate::cmd::planned;
use crate::diff::described::Described;
use crate::diff::page::Layout;
use crate::diff::{Comparison, Side};
use crate::error::{Exit, UsageError};
use crate::keys::Keys;
use crate::project::Project;
use crate::report::Report;

/// Compares, and prints for people, as Markdown or as JSON.
///
/// # Errors
/// There is nothing to compare, or it is damaged.
pub fn run(project: Project<'_>, args: &DiffArgs, report: &Report) -> Result<ExitCode> {
    let found = match &args.after {
        Some(after) => {
            let (before, after) = (artifact(&project, &args.before)?, artifact(&project, after)?);
            let (mut before, mut after) = (Side::open(&before)?, Side::open(&after)?);
            Comparison::of(&mut before, &mut after, args.form.full || args.form.json)?
        }
        None => described(&project, args)?,
    };
    print(&found, &args.form, args.exit_code, report)
}

/// Prints a comparison in one of its forms.
///
/// # Errors
/// None that is known.
pub fn print(found: &Comparison, form: &FormArgs, exit_code: bool, report: &Report) -> Result<ExitCode> {
    if form.json {
        report.data(format_args!("{}\n", serde_json::to_string_pretty(found)?));
    } else if form.markdown {
        report.data(found.markdown(form.full));
    } else {
        let (width, color) = report.sheet();
        report.data(found.page(Layout { width, color, full: form.full }));
    }
    Ok(if exit_code && !found.same { Exit::Differs.into() } else { ExitCode::SUCCESS })
}

/// The path that somebody means: a file or directory, or the artifacts of an image by its name.
fn artifact(project: &Project<'_>, given: &str) -> Result<Utf8PathBuf> {
    let path = Utf8PathBuf::from(given);
    if path.exists() {
        return Ok(path);
    }
    let Ok(entry) = project.entry(Some(given)) else {
        return Err(UsageError(format!("there is no file and no image `{given}`")).into());
    };
    built(project, &entry.name, None)
}

/// The artifacts of an image.
///
/// # Errors
/// There are none.
pub fn built(project: &Project<'_>, name: &str, out: Option<&Utf8PathBuf>) -> Result<Utf8PathBuf> {
    let out = project.out(project.entry(Some(name))?, out);
    if out.exists() {
        return Ok(out);
    }
    Err(UsageError(format!("`{name}` is not built: run `cargo xtask image {name}`")).into())
}

/// What is built of an image against what is described now.
fn described(project: &Project<'_>, args: &DiffArgs) -> Result<Comparison> {
    if Utf8Path::new(&args.before).exists() && project.entry(Some(&args.before)).is_err() {
        let message = format!("compare `{}` with another file, or give the name of an image", args.before);
        return Err(UsageError(message).into());
    }
    let name = NameArgs { name: Some(args.before.clone()), arch: args.arch.clone(), out: None };
    let (entry, plan) = planned(project, &name)?;
    let out = built(project, &entry.name, args.out.as_ref())?;
    against_description(project, (entry, &plan), args.lock.as_ref(), &Side::open(&out)?, &out)
}

/// What is built of an image, as it was read of a directory, against what its plan, its lock and its files say.
///
/// # Errors
/// The lock, a key or a file of the description cannot be read.
pub fn against_description(
    project: &Project<'_>,
    (entry, plan): (&Entry, &Plan),
    lock: Option<&Utf8PathBuf>,
    built: &Side,
    out: &Utf8Path,
) -> Result<Comparison> {
    let path = project.lock(entry, lock);
    let lock = match fs::read_to_string(&path) {
        Ok(text) => Some(LockFile::parse(&text).with_context(|| format!("cannot read the lock `{path}`"))?),
        Err(_) => None,
    };
    let keys =
        plan.secure_boot.as_ref().map(|secure_boot| Keys::read(secure_boot, project.root)).transpose()?;
    let described = Described {
        plan,
        lock: lock.as_ref().and_then(|file| file.of(plan.architecture)),
        keys: keys.as_ref(),
        project: project.root,
    };
    described.against(built, out)
}
