//! `tools`: runs a command of the distribution's packages in the sandbox.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use bedplate_core::lock::LockedPackage;
use bedplate_core::plan::Plan;
use fs_err as fs;

use crate::cli::ToolsArgs;
use crate::cmd::access;
use crate::key::Key;
use crate::project::{self, Project};
use crate::report::Report;
use crate::source::{Source, host_architecture};
use crate::tools;

/// Where the working directory is inside.
const WORK: &str = "/run/work";

/// Runs the command with the working directory at `/run/work`; prints the tree's
/// path where there is none.
///
/// # Errors
/// A package that cannot be had. The command's own failure is its exit code.
pub fn run(project: Project<'_>, args: &ToolsArgs, report: &Report) -> Result<ExitCode> {
    let entry = project.entry(args.image.as_deref())?;
    let plan = project::plan(entry, host_architecture()?)?;
    let source = Source::open(&plan, project.root, access(&args.source, report))?;
    let tree = tree(&source, &plan, &args.packages, report)?;
    if args.command.is_empty() {
        report.data(format_args!("{}\n", tree.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let here = std::env::current_dir()?;
    let sandbox = tools::sandbox(&tree).bind(&here, WORK).directory(WORK);
    let status = sandbox.command(&args.command).unchecked().run().context("starting the sandbox")?.status;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(2)).unwrap_or(2)))
}

/// A tree of these packages for this machine, from the distribution's own archives. What they mean is resolved once and
/// kept in the cache, until one of them cannot be had any more.
///
/// # Errors
/// A package that cannot be had.
pub fn tree(source: &Source, plan: &Plan, names: &[String], report: &Report) -> Result<PathBuf> {
    let mut names = names.to_vec();
    // It brings the links of a merged /usr, without which no program finds its loader.
    names.push("base-files".to_owned());
    names.sort();
    names.dedup();
    let architecture = host_architecture()?;
    let mut key = Key::new("resolved");
    key.add(format!("{} {} {}", plan.distribution, plan.release, architecture.deb()));
    names.iter().for_each(|name| key.add(name));
    let resolved = source.store.layer("resolved", &key.finish());
    let kept =
        fs::read(&resolved).ok().and_then(|bytes| serde_json::from_slice::<Vec<LockedPackage>>(&bytes).ok());
    if let Some(packages) = kept
        && source.fetch(plan, &packages, report).is_ok()
    {
        return tools::tree(&source.store, &packages, || Ok(()));
    }
    let packages = source.tools(plan, architecture, &names, report)?;
    source.fetch(plan, &packages, report)?;
    let temporary = source.store.temporary()?.join("resolved");
    fs::write(&temporary, serde_json::to_vec(&packages)?)?;
    fs::rename(&temporary, &resolved)?;
    tools::tree(&source.store, &packages, || Ok(()))
}
