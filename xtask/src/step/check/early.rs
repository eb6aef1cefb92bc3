//! What packages tell before they are installed: whether they bring the time
//! zone and the locale. Installing them takes longer than reading two of them.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result};
use bedplate_core::lock::Lock;
use bedplate_core::plan::Plan;
use bedplate_core::{Diagnostic, Diagnostics};
use bedplate_formats::deb;

use super::{locale, time};
use crate::store::Store;

/// Checks what is known of packages that are fetched and not yet installed.
///
/// # Errors
/// All that is wrong, at its lines; a package that cannot be read.
pub fn packages(plan: &Plan, lock: &Lock, store: &Store) -> Result<()> {
    let mut mistakes: Vec<Diagnostic> = Vec::new();
    if let Some(at) = time::asked(plan) {
        let (names, links) = files(lock, store, &["tzdata", "tzdata-legacy"], time::LINKS)?;
        mistakes.extend(time::unknown(&plan.timezone, at, &names, &links));
    }
    if let Some(at) = locale::asked(plan) {
        let (_, supported) = files(lock, store, &["locales"], locale::SUPPORTED)?;
        mistakes.extend(locale::unknown(&plan.locale, at, &supported));
    }
    if mistakes.is_empty() { Ok(()) } else { Err(Diagnostics::new(mistakes).into()) }
}

/// The paths in the packages of these names, and the text of one of them.
fn files(lock: &Lock, store: &Store, names: &[&str], text: &str) -> Result<(Vec<String>, String)> {
    let (mut paths, mut found) = (Vec::new(), String::new());
    for package in lock.packages.iter().filter(|package| names.contains(&package.name.as_str())) {
        let Some(path) = store.path(&package.sha256) else { continue };
        read(&path, text, &mut paths, &mut found)
            .with_context(|| format!("reading package `{}`", package.name))?;
    }
    Ok((paths, found))
}

fn read(package: &Path, text: &str, paths: &mut Vec<String>, found: &mut String) -> Result<()> {
    let no_control = |_: &deb::Control| anyhow::Ok(());
    deb::read(File::open(package)?, no_control, |entry, content| {
        let path = String::from_utf8_lossy(&entry.path).into_owned();
        if path == text {
            content.read_to_string(found)?;
        }
        paths.push(path);
        anyhow::Ok(())
    })?;
    Ok(())
}
