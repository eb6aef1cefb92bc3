//! `plan`: prints what will be built, or what differs from another plan.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use bedplate_core::lock::LockFile;
use bedplate_core::plan::SavedPlan;
use bedplate_core::{Architecture, Entry, Plan};
use camino::Utf8Path;

use crate::cli::PlanArgs;
use crate::cmd::{diff, planned};
use crate::diff::{Name, plans, revision};
use crate::error::UsageError;
use crate::keys::Keys;
use crate::locking::recommendation;
use crate::project::{self, Project};
use crate::report::Report;

/// Prints the plan, or what it has otherwise than another one, for people or as JSON.
///
/// # Errors
/// A name no image has, or a file that holds no plan.
pub fn run(project: Project<'_>, args: &PlanArgs, report: &Report) -> Result<ExitCode> {
    let (entry, plan) = planned(&project, &args.image)?;
    if let Some(other) = &args.against {
        let (before, name) = other_plan(&project, other, entry, plan.architecture, report)?;
        let mut found = plans::compare(&before, &SavedPlan::from(&plan))?;
        found.before = Name { name, kind: "plan" };
        found.after = Name { name: format!("the description of `{}`", plan.name), kind: "description" };
        return diff::print(&found, &args.form, args.exit_code, report);
    }
    if args.form.markdown {
        return Err(UsageError("a plan is no Markdown; `--against` is, with `--markdown`".to_owned()).into());
    }
    if args.form.json {
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

/// The plan to compare with, and what it is called: of a file, of another image, or of a git revision.
fn other_plan(
    project: &Project<'_>,
    name: &str,
    entry: &Entry,
    architecture: Architecture,
    report: &Report,
) -> Result<(SavedPlan, String)> {
    if name.ends_with(".json") || Utf8Path::new(name).is_file() {
        let text = fs::read_to_string(name).with_context(|| format!("cannot read the plan `{name}`"))?;
        let plan = SavedPlan::parse(&text).with_context(|| format!("invalid plan `{name}`"))?;
        return Ok((plan, name.to_owned()));
    }
    if let Ok(other) = project.entry(Some(name)) {
        let plan = project::plan(other, architecture)?;
        return Ok((SavedPlan::from(&plan), format!("the description of `{}`", other.name)));
    }
    let plan = revision::plan(project, entry, architecture, name, report)?;
    Ok((plan, format!("`{}` of `{name}`", entry.name)))
}

/// What the image's lock, where there is one, says of recommended packages that are left out.
fn left_out(path: &Utf8Path, plan: &Plan) -> String {
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
