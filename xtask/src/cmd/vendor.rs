//! `vendor`: brings along what a locked build needs, to a machine that has no network.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::VendorArgs;
use crate::cmd::{access, planned};
use crate::fetch::carried;
use crate::locking::{self, Policy};
use crate::project::Project;
use crate::report::{Report, bytes, path};
use crate::source::Source;

/// Fetches every package of the image and of the tools that build it, and puts them into the directory.
///
/// # Errors
/// What cannot be locked or fetched; a directory that cannot be written to.
pub fn run(project: Project<'_>, args: &VendorArgs, report: &Report) -> Result<ExitCode> {
    let (entry, plan) = planned(&project, &args.image)?;
    let source = Source::open(&plan, project.root, access(&args.source, report))?;
    let lock = project.lock(entry, args.source.lock.as_ref());
    let lock = locking::settle(&source, &plan, &lock, Policy::Keep, report)?;
    let packages = || lock.all_packages();
    source.fetch(&plan, packages(), report)?;
    let directory = args.directory.as_std_path();
    let fetched = packages().filter(|package| !package.is_projects());
    let (count, size) = carried::carry(fetched, &source.store, directory)?;
    let (directory, size) = (path(directory), bytes(size));
    report.did(
        "Vendored",
        format_args!("{count} packages, {size}, to {directory}: for `--offline --store {directory}`"),
    );
    Ok(ExitCode::SUCCESS)
}
