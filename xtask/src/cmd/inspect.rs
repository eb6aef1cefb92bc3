//! `inspect`: prints what a disk, an ESP, a root, a kernel image or an update bundle holds.

use std::io;
use std::process::ExitCode;

use anyhow::{Error, Result};
use serde::Serialize;

use crate::bundle::Bundle;
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
    if Bundle::is(args.file.as_std_path()) {
        let facts = Bundle::open(args.file.as_std_path()).map_err(|error| missing(error, args))?.facts();
        return print(
            &facts,
            |width| facts.page(args.file.file_name().unwrap_or_default(), width),
            args,
            report,
        );
    }
    let disk = Disk::open(&args.file).map_err(|error| missing(error, args))?;
    let facts = disk.inspect()?;
    print(&facts, |width| facts.page(width), args, report)
}

fn print(
    facts: &impl Serialize,
    page: impl Fn(usize) -> String,
    args: &InspectArgs,
    report: &Report,
) -> Result<ExitCode> {
    if args.json {
        report.data(format_args!("{}\n", serde_json::to_string_pretty(facts)?));
    } else {
        report.data(page(report.width()));
    }
    Ok(ExitCode::SUCCESS)
}

/// A file that is not there is the command line's mistake.
fn missing(error: Error, args: &InspectArgs) -> Error {
    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::NotFound) => UsageError(format!("there is no file `{}`", args.file)).into(),
        _ => error,
    }
}
