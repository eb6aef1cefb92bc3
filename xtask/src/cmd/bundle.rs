//! `bundle`: builds an image and makes of it the signed bundle that updates devices.

use std::env;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Result;

use crate::build;
use crate::certificate::{Certificate, Chain};
use crate::cli::BundleArgs;
use crate::cmd::{image, planned};
use crate::error::{LocatedError, UsageError};
use crate::keys::given;
use crate::project::Project;
use crate::report::Report;
use crate::sign::{Signer, TIMEOUT};

/// Checks who signs, builds what is not built, and writes the bundle beside it.
///
/// # Errors
/// An image that cannot be updated; nobody who signs, or somebody whom the devices do not believe; what fails in a build.
pub fn run(project: Project<'_>, args: &BundleArgs, report: &Report) -> Result<ExitCode> {
    let (_, plan) = planned(&project, &args.build.image)?;
    let Some(updates) = &plan.updates else {
        let message =
            format!("`{}` cannot be updated: its devices have one slot, and no certificate", plan.name);
        let help = "add `.updates(Updates::rauc(…, certificate!(\"keys/update.pem\")))` to it";
        return Err(LocatedError::without_line(message, help).into());
    };
    let signer = signer(args)?;
    let certificates =
        given(args.certificate.as_deref(), "BEDPLATE_UPDATE_CERTIFICATE").ok_or_else(|| {
            UsageError(
                "who signs is not said: give --certificate FILE, or set BEDPLATE_UPDATE_CERTIFICATE".into(),
            )
        })?;
    let keyring = plan.text(build::KEYRING).unwrap_or_default();
    let keyring = Certificate::parse(keyring.as_bytes(), &updates.certificates.join("`, `"))?;
    let chain = Chain::new(Certificate::read(certificates.as_std_path())?, &keyring, SystemTime::now())?;

    let old = args.from.iter().map(|bundle| build::fits(updates, bundle.as_std_path()));
    let old = old.collect::<Result<Vec<_>>>()?;

    let built = image::build(&project, &args.build, report)?;
    if !built.out.join(&built.plan.artifacts.disk).exists() {
        let message = format!("nobody signed `{}`, and devices start what is signed", built.plan.name);
        return Err(
            LocatedError::without_line(message, "give --keys DIR, or run `cargo xtask sign` first").into()
        );
    }
    let options = build::BundleOptions { signer: &signer, chain: &chain, older: args.older, old: &old };
    build::bundle(report, &built.plan, &built.lock, &built.out, &options)?;
    Ok(ExitCode::SUCCESS)
}

/// The key or the command of the command line, or of the environment.
fn signer(args: &BundleArgs) -> Result<Signer> {
    let command = args.sign_command.clone().or_else(|| env::var("BEDPLATE_UPDATE_SIGN_COMMAND").ok());
    match (given(args.key.as_deref(), "BEDPLATE_UPDATE_KEY"), command) {
        (Some(key), None) => Signer::key(key.as_std_path()),
        (None, Some(command)) => Signer::command(&command, TIMEOUT),
        (Some(_), Some(_)) => Err(UsageError("give a key or a command that signs, not both".into()).into()),
        (None, None) => {
            let message = "nobody signs: give --key FILE or --sign-command COMMAND, or set BEDPLATE_UPDATE_KEY or \
                           BEDPLATE_UPDATE_SIGN_COMMAND";
            Err(UsageError(message.into()).into())
        }
    }
}
