//! `keys`: makes the keys that images are signed with, and the firmware's variables.

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Result;

use crate::cli::{KeysArgs, KeysVerb};
use crate::keys::{development, enrol};
use crate::report::Report;

/// Makes keys, or variables of certificates.
///
/// # Errors
/// A directory that is there already, or lacks something; who signs fails.
pub fn run(args: &KeysArgs, report: &Report) -> Result<ExitCode> {
    match &args.verb {
        KeysVerb::New { directory } => {
            development::make(directory, SystemTime::now())?;
            report.did(
                "Made",
                format_args!("{directory}  for development: {directory}/README.txt says what is what"),
            );
        }
        KeysVerb::Enrol(args) => {
            let made = enrol(args, SystemTime::now())?;
            report.did("Made", format_args!("{} in {}", made.join(", "), args.directory));
        }
    }
    Ok(ExitCode::SUCCESS)
}
