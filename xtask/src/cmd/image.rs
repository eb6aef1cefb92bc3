//! `image`: builds an image into `build/NAME/`.

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Result;
use bedplate_core::{Lock, Plan};
use camino::Utf8PathBuf;

use crate::build;
use crate::cli::ImageArgs;
use crate::cmd::{access, planned};
use crate::error::UsageError;
use crate::keys::{Keys, Signers};
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
    let built = build(&project, args, report)?;
    if args.compress && built.out.join(&built.plan.artifacts.disk).exists() {
        build::compress(report, &built.plan, &built.out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What was built, and where it lies.
pub(super) struct Built {
    pub(super) plan: Plan,
    pub(super) lock: Lock,
    pub(super) out: Utf8PathBuf,
}

pub(super) fn build(project: &Project<'_>, args: &ImageArgs, report: &Report) -> Result<Built> {
    let (entry, plan) = planned(project, &args.image)?;
    overlay::check(&plan, project.root, report, &|file| project.source(file))?;
    let weakened = if plan.dangers.is_empty() { "" } else { ", WEAKENED: see its plan" };
    let keys =
        plan.secure_boot.as_ref().map(|secure_boot| Keys::read(secure_boot, project.root)).transpose()?;
    let signers = signers(&plan, keys.as_ref(), args)?;
    let trust = build::Trust { keys: keys.as_ref(), signers: signers.as_ref() };
    let keyed =
        if keys.as_ref().is_some_and(|keys| keys.development) { ", with DEVELOPMENT keys" } else { "" };
    let what = format_args!("{} from {} {}{weakened}{keyed}", plan.name, plan.distribution, plan.release);
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
    let cross_tools = lock.cross_tools.iter().filter(|_| emulation.is_some());
    let fetched = || lock.packages.iter().chain(&lock.tools).chain(cross_tools.clone());
    let fetch = || source.fetch(&plan, fetched(), report);
    let context = build::Context {
        report,
        store: &source.store,
        fetch: &fetch,
        project: project.root,
        out: &out,
        emulation,
        trust,
    };
    let built = build::image(context, &plan, &lock);
    // What was made on the way to a failure is as good.
    source.share(report);
    built?;
    if keys.is_some() && !out.join(&plan.artifacts.disk).exists() {
        let name = &plan.name;
        report.warn(format_args!(
            "nobody signed, so there is no disk yet: `cargo xtask sign {name} --keys DIR` makes it, on this machine or \
             where the keys are"
        ));
    }
    Ok(Built { plan, lock, out })
}

/// Who signs, held against the keys of the description before anything is fetched.
fn signers(plan: &Plan, keys: Option<&Keys>, args: &ImageArgs) -> Result<Option<Signers>> {
    let Some(keys) = keys else {
        if args.signers.are_given() {
            let message = format!("`{}` has no Secure Boot, and nothing that --keys could sign", plan.name);
            return Err(UsageError(message).into());
        }
        return Ok(None);
    };
    let signers = args.signers.signers()?;
    signers.iter().try_for_each(|signers| keys.fit(signers, SystemTime::now()))?;
    Ok(signers)
}
