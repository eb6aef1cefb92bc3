//! `inspect`: prints what a disk, an ESP, a root or a kernel image holds.

use std::io;
use std::process::ExitCode;

use anyhow::Result;

use crate::cli::InspectArgs;
use crate::disk::Disk;
use crate::error::UsageError;
use crate::report::Report;

/// Prints the facts for people, or as JSON.
///
/// # Errors
/// A file that is not there is the command line's mistake; one that is damaged is
/// a failure.
pub fn run(args: &InspectArgs, report: &Report) -> Result<ExitCode> {
    let disk = Disk::open(&args.file).map_err(|error| {
        let cause = error.downcast_ref::<io::Error>().map(io::Error::kind);
        match cause {
            Some(io::ErrorKind::NotFound) => UsageError(format!("there is no file `{}`", args.file)).into(),
            _ => error,
        }
    })?;
    let facts = disk.inspect()?;
    if args.json {
        report.data(format_args!("{}\n", serde_json::to_string_pretty(&facts)?));
    } else {
        report.data(facts.page(report.width()));
    }
    Ok(ExitCode::SUCCESS)
}
