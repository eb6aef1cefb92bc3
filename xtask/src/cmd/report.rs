//! `report`: writes a page about a built image beside its artifacts.

use std::fs::File;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::artifacts::{self, Output};
use crate::cli::ReportArgs;
use crate::cmd::{diff, planned};
use crate::diff::{Comparison, Side};
use crate::error::{LocatedError, UsageError};
use crate::html::{self, Facts, Subject};
use crate::keys::Keys;
use crate::project::Project;
use crate::report::{Report, path};

/// Reads the artifacts, and writes the page to them as one more.
///
/// # Errors
/// The image is not built, or nobody has signed it yet; an artifact is damaged.
pub fn run(project: Project<'_>, args: &ReportArgs, report: &Report) -> Result<ExitCode> {
    let started = Instant::now();
    let (entry, plan) = planned(&project, &args.image)?;
    let out = diff::built(&project, &entry.name, args.image.out.as_ref())?;
    if !artifacts::is_build(&out) {
        let name = &entry.name;
        return Err(UsageError(format!("`{out}` holds no build: run `cargo xtask image {name}`")).into());
    }
    // A build that came between would get the page of the one before.
    let output = Output::open(&out, report)?;
    let unsigned = plan.artifacts.unsigned.as_ref().is_some_and(|names| out.join(&names.uki).exists());
    if unsigned {
        let message = format!("nobody signed `{}`, and it has no disk to tell of", plan.name);
        let help = format!("run `cargo xtask sign {}` first", plan.name);
        return Err(LocatedError::without_line(message, help).into());
    }
    let mut built = Side::open(&out)?;
    let changes = match &args.against {
        Some(other) => Comparison::of(&mut Side::open(other)?, &mut built, false)?,
        None => diff::against_description(&project, (entry, &plan), args.lock.as_ref(), &built, &out)?,
    };
    let development_keys =
        plan.secure_boot.as_ref().is_some_and(|keys| Keys::are_for_development(keys, project.root));
    let subject = Subject { plan: &plan, development_keys, directory: &out };
    let facts = Facts::read(subject, built, changes, args.against.as_deref().map(camino::Utf8Path::as_str))
        .with_context(|| format!("cannot read the artifacts in `{}`", path(&out)))?;
    let page = html::page(&facts);
    let write = |mut file: &File| Ok(file.write_all(page.as_bytes())?);
    output.add(html::NAME, &plan.artifacts.checksums, write)?;
    report.timed("Written", path(&out.join(html::NAME)), started);
    Ok(ExitCode::SUCCESS)
}
