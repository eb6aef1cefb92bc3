//! `verify`: holds a built image against its plan.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::cli::NameArgs;
use crate::cmd::planned;
use crate::keys::Keys;
use crate::project::Project;
use crate::report::{Report, path};
use crate::verify;

/// Reads every partition of the disk and compares.
///
/// # Errors
/// The first thing that is not as the plan says.
pub fn run(project: Project<'_>, args: &NameArgs, report: &Report) -> Result<ExitCode> {
    let (entry, plan) = planned(&project, args)?;
    let out = project.out(entry, args.out.as_ref());
    let started = Instant::now();
    let keys =
        plan.secure_boot.as_ref().map(|secure_boot| Keys::read(secure_boot, project.root)).transpose()?;
    verify::disk(&plan, keys.as_ref(), &out)
        .with_context(|| format!("`{}` is not what the plan says", path(&out)))?;
    report.timed("Verified", path(&out), started);
    Ok(ExitCode::SUCCESS)
}
