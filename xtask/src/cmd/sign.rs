//! `sign`: signs a build that nobody has signed yet.

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use bedplate_core::lock::LockFile;
use fs_err as fs;

use crate::build::{self, Built, Trust};
use crate::cli::SignArgs;
use crate::cmd::planned;
use crate::error::{LocatedError, UsageError};
use crate::keys::Keys;
use crate::project::Project;
use crate::report::{Report, path};

/// Signs the build in `build/NAME`, and makes the disk of it. It takes no package and no network: the checkout of the
/// description, its lock and the directory.
///
/// # Errors
/// An image without Secure Boot; nobody who signs; a build of something else.
pub fn run(project: Project<'_>, args: &SignArgs, report: &Report) -> Result<ExitCode> {
    let (entry, plan) = planned(&project, &args.image)?;
    let Some(secure_boot) = &plan.secure_boot else {
        let message = format!("`{}` has no Secure Boot: there is nothing to sign", plan.name);
        let help = "add `.secure_boot(SecureBoot::keys(\"keys\"))` to it";
        return Err(LocatedError::without_line(message, help).into());
    };
    let Some(signers) = args.signers.signers()? else {
        let message = "nobody signs: give --keys DIR, or for each of db and pcr a key or a command (--help)";
        return Err(UsageError(message.into()).into());
    };
    let keys = Keys::read(secure_boot, project.root)?;
    keys.fit(&signers, SystemTime::now())?;
    let file = project.lock(entry, args.lock.as_ref());
    let text = fs::read_to_string(&file).context("reading the lock that it was built from")?;
    let Some(lock) = LockFile::parse(&text)?.of(plan.architecture).cloned() else {
        bail!("`{}` has nothing for {}", path(&file), plan.architecture)
    };
    let out = project.out(entry, args.image.out.as_ref());
    let built = Built { plan: &plan, lock: &lock, project: project.root, out: &out };
    build::sign(report, built, Trust { keys: Some(&keys), signers: Some(&signers) })?;
    Ok(ExitCode::SUCCESS)
}
