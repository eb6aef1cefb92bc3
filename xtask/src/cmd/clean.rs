//! `clean`: empties the cache.

use std::process::ExitCode;

use anyhow::Result;

use crate::report::Report;
use crate::store::Store;

/// Removes the layers; with `all` what was fetched, too.
///
/// # Errors
/// The cache cannot be removed.
pub fn run(all: bool, report: &Report) -> Result<ExitCode> {
    let store = Store::open()?;
    store.clean(all)?;
    report.did(
        "Removed",
        format_args!("{} in {}", if all { "everything" } else { "the layers" }, store.root().display()),
    );
    Ok(ExitCode::SUCCESS)
}
