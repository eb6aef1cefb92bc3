//! `plan`: prints what will be built.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use bedplate_core::Plan;
use bedplate_core::lock::LockFile;

use crate::cli::PlanArgs;
use crate::cmd::planned;
use crate::locking::recommendation;
use crate::project::Project;
use crate::report::Report;

/// Prints the plan for people, or as JSON.
///
/// # Errors
/// A name no image has.
pub fn run(project: Project<'_>, args: &PlanArgs, report: &Report) -> Result<ExitCode> {
    let (entry, plan) = planned(&project, &args.image)?;
    if args.json {
        report.data(format_args!("{}\n", serde_json::to_string_pretty(&plan)?));
    } else {
        report.data(plan.page(report.width()));
        report.data(left_out(&project.lock(entry, None), &plan));
    }
    Ok(ExitCode::SUCCESS)
}

/// What the image's lock, where there is one, says of recommended packages that are left out.
fn left_out(path: &Path, plan: &Plan) -> String {
    // Whoever builds is told what is wrong with a lock; the plan needs none.
    let file = std::fs::read_to_string(path).ok().and_then(|text| LockFile::parse(&text).ok());
    let lock = file.as_ref().and_then(|file| file.of(plan.architecture));
    let left_out = lock.into_iter().flat_map(|lock| &lock.recommended).filter(|one| !one.installed);
    let lines: String = left_out.map(|one| format!("  {}\n", recommendation(one))).collect();
    match lines.is_empty() {
        true => lines,
        false => format!("\nleft out as recommended, by the lock\n{lines}"),
    }
}
