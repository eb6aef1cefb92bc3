//! `plan`: prints what will be built.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::PlanArgs;
use crate::project::Project;
use crate::report::Report;

/// Prints the plan for people, or as JSON.
///
/// # Errors
/// A name no image has.
pub fn run(project: Project<'_>, args: &PlanArgs, report: &Report) -> Result<ExitCode> {
    let (_, plan) = match project.planned(&args.image, report)? {
        Ok(planned) => planned,
        Err(code) => return Ok(code),
    };
    if args.json {
        report.data(format_args!("{}\n", serde_json::to_string_pretty(&plan)?));
    } else {
        report.data(plan.page(report.width()));
    }
    Ok(ExitCode::SUCCESS)
}
