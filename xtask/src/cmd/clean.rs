//! `clean`: empties the cache.

use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::report::Report;
use crate::store::{Store, entries};

/// Removes the layers; with `all` what was fetched, too. What another run uses stays.
///
/// # Errors
/// The cache cannot be removed.
pub fn run(all: bool, report: &Report) -> Result<ExitCode> {
    let store = Store::open()?;
    let freed = store.clean(all)?;
    report.did("Removed", format_args!("{freed}, in {}", store.root().display()));
    if freed.in_use > 0 {
        report.warn(format_args!("another run uses {}, which stays", entries(freed.in_use)));
    }
    ensure!(freed.refused == 0, "cannot remove {} of another user", entries(freed.refused));
    Ok(ExitCode::SUCCESS)
}
