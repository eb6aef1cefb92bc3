//! `lock`: pins every package of an image in `image/NAME.lock`.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::LockArgs;
use crate::cmd::{access, planned};
use crate::locking::{self, Policy};
use crate::project::Project;
use crate::report::Report;
use crate::source::Source;
use crate::step::overlay;

/// Writes the lock, and with `--update` prints what changed.
///
/// # Errors
/// What failed, once the description itself is right.
pub fn run(project: Project<'_>, args: &LockArgs, report: &Report) -> Result<ExitCode> {
    let (entry, plan) = planned(&project, &args.image)?;
    overlay::check(&plan, project.root, report, &|file| project.source(file))?;
    let source = Source::open(&plan, project.root, access(&args.source, report))?;
    let path = project.lock(entry, args.source.lock.as_ref());
    let policy = if args.update { Policy::Update } else { Policy::Keep };
    locking::settle(&source, &plan, &path, policy, report)?;
    Ok(ExitCode::SUCCESS)
}
