//! `plan`: prints what will be built, or what differs from another plan.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use bedplate_core::lock::LockFile;
use bedplate_core::plan::diff;
use bedplate_core::{Architecture, Plan};
use serde_json::Value;

use crate::cli::PlanArgs;
use crate::cmd::planned;
use crate::keys::Keys;
use crate::locking::recommendation;
use crate::project::Project;
use crate::report::Report;

/// Prints the plan, or what it has otherwise than another one, for people or as JSON.
///
/// # Errors
/// A name no image has, or a file that holds no plan.
pub fn run(project: Project<'_>, args: &PlanArgs, report: &Report) -> Result<ExitCode> {
    let (entry, plan) = planned(&project, &args.image)?;
    if let Some(other) = &args.against {
        let before = saved_or_planned(&project, other, plan.architecture)?;
        let after = serde_json::to_value(&plan)?;
        let found = diff::diff(&before, &after);
        let lines: String = found.iter().map(|difference| format!("{difference}\n")).collect();
        let json = args.json.then(|| serde_json::to_string_pretty(&found)).transpose()?;
        report.data(json.map_or(lines, |json| json + "\n"));
        if let Some(why) = diff::no_update(&before, &after) {
            report.warn(format_args!(
                "devices with the other plan cannot be updated to this one, and have to be written anew: {why}"
            ));
        }
    } else if args.json {
        report.data(format_args!("{}\n", serde_json::to_string_pretty(&plan)?));
    } else {
        let page = plan.page(report.width());
        let marked =
            plan.secure_boot.as_ref().is_some_and(|plan| Keys::are_for_development(plan, project.root));
        report.data(if marked { page.replacen('\n', ", with DEVELOPMENT keys\n", 1) } else { page });
        report.data(left_out(&project.lock(entry, None), &plan));
    }
    Ok(ExitCode::SUCCESS)
}

/// The JSON of a plan: of a file, or of another image of the description.
fn saved_or_planned(project: &Project<'_>, name: &str, architecture: Architecture) -> Result<Value> {
    if !name.ends_with(".json") {
        return Ok(serde_json::to_value(project.planned(Some(name), architecture)?.1)?);
    }
    let text = fs::read_to_string(name).with_context(|| format!("cannot read the plan `{name}`"))?;
    let plan: Value = serde_json::from_str(&text).with_context(|| format!("invalid plan `{name}`"))?;
    ensure!(plan["disk"]["root"].is_object(), "invalid plan `{name}`: save one with `plan --json`");
    Ok(plan)
}

/// What the image's lock, where there is one, says of recommended packages that are left out.
fn left_out(path: &Path, plan: &Plan) -> String {
    // Whoever builds is told what is wrong with a lock; the plan needs none.
    let file = fs::read_to_string(path).ok().and_then(|text| LockFile::parse(&text).ok());
    let lock = file.as_ref().and_then(|file| file.of(plan.architecture));
    let left_out = lock.into_iter().flat_map(|lock| &lock.recommended).filter(|one| !one.installed);
    let lines: String = left_out.map(|one| format!("  {}\n", recommendation(one))).collect();
    match lines.is_empty() {
        true => lines,
        false => format!("\nleft out as recommended, by the lock\n{lines}"),
    }
}
