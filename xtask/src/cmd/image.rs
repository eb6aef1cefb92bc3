//! `image`: builds an image into `build/NAME/`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use bedplate_core::{Lock, Plan};

use crate::build;
use crate::cli::ImageArgs;
use crate::cmd::{access, planned};
use crate::locking::{self, Policy};
use crate::project::Project;
use crate::report::Report;
use crate::sandbox::emulation::Emulation;
use crate::source::{Source, host_architecture};
use crate::step::overlay;

/// Plans, locks, fetches, builds and verifies.
///
/// # Errors
/// What failed, once the description itself is right.
pub fn run(project: Project<'_>, args: &ImageArgs, report: &Report) -> Result<ExitCode> {
    build(&project, args, report)?;
    Ok(ExitCode::SUCCESS)
}

/// What was built, and where it lies.
pub(super) struct Built {
    pub(super) plan: Plan,
    pub(super) lock: Lock,
    pub(super) out: PathBuf,
}

pub(super) fn build(project: &Project<'_>, args: &ImageArgs, report: &Report) -> Result<Built> {
    let (entry, plan) = planned(project, &args.image)?;
    overlay::check(&plan, project.root, report, &|file| project.source(file))?;
    let weakened = if plan.dangers.is_empty() { "" } else { ", WEAKENED: see its plan" };
    let what = format_args!("{} from {} {}{weakened}", plan.name, plan.distribution, plan.release);
    report.did("Building", what);
    let host = host_architecture()?;
    let emulation = (host != plan.architecture).then(|| Emulation::find(plan.architecture)).transpose()?;
    if let Some(emulation) = emulation {
        report.did("Emulating", format_args!("{} on {host}, with {emulation}", plan.architecture));
    }
    let source = Source::open(&plan, project.root, access(&args.source, report))?;
    let policy = if args.locked { Policy::Frozen } else { Policy::Keep };
    let lock =
        locking::settle(&source, &plan, &project.lock(entry, args.source.lock.as_ref()), policy, report)?;
    let out = project.out(entry, args.image.out.as_ref());
    let (store, verbose) = (&source.store, args.verbose);
    let cross_tools = lock.cross_tools.iter().filter(|_| emulation.is_some());
    let fetched = || lock.packages.iter().chain(&lock.tools).chain(cross_tools.clone());
    let fetch = || source.fetch(&plan, fetched(), report);
    let context =
        build::Context { report, store, fetch: &fetch, project: project.root, out: &out, verbose, emulation };
    let built = build::image(context, &plan, &lock);
    // What was made on the way to a failure is as good.
    source.share(report);
    built?;
    Ok(Built { plan, lock, out })
}
