//! Packages that are files of the project: believed as the description is, and pinned by the lock like any other.
//!
//! Invariant: what is built from is the file as it was locked. One that has changed since is locked again, or refused.

use anyhow::Result;
use bedplate_core::lock::{Lock, LockedPackage};
use bedplate_core::plan::{DebPlan, Plan};
use bedplate_core::value::DebLocation;
use camino::Utf8Path;
use fs_err as fs;

use crate::error::LocatedError;
use crate::store::{self, Store};

/// Reads a package of the project.
///
/// # Errors
/// It is not there or no file, at its line.
pub fn read(project: &Utf8Path, deb: &DebPlan) -> Result<Vec<u8>> {
    let path = project.join(deb.url.as_str());
    let reason = match fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => match std::fs::read(&path) {
            Ok(bytes) => return Ok(bytes),
            Err(error) => error.to_string(),
        },
        Ok(_) => "it is no file".to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(LocatedError {
        message: format!("cannot read the package `{}`: {reason}", deb.url),
        at: deb.at.clone(),
        word: None,
        help: "put the `.deb` there; its path starts beside the file with this line".to_owned(),
    }
    .into())
}

/// Returns the path of a package of the project that is another one than the lock's.
///
/// # Errors
/// As [`read`].
pub fn changed(project: &Utf8Path, plan: &Plan, lock: &Lock) -> Result<Option<DebLocation>> {
    for deb in plan.debs.iter().filter(|deb| deb.is_file()) {
        let sha256 = store::hash(&mut &read(project, deb)?[..])?;
        let is_same = |locked: &&LockedPackage| locked.url == deb.url && locked.sha256 == sha256;
        if !lock.packages.iter().any(|locked| is_same(&locked)) {
            return Ok(Some(deb.url.clone()));
        }
    }
    Ok(None)
}

/// Puts the project's packages of a lock into the store.
///
/// # Errors
/// As [`read`], or one that is not the locked one any more.
pub fn keep(project: &Utf8Path, plan: &Plan, locked: &[&LockedPackage], store: &Store) -> Result<()> {
    for package in locked.iter().filter(|package| package.is_projects()) {
        let Some(deb) = plan.debs.iter().find(|deb| deb.url == package.url) else { continue };
        if store.path(&package.sha256).is_some() {
            continue;
        }
        let found = store.insert(&read(project, deb)?)?;
        if found != package.sha256 {
            return Err(LocatedError {
                message: format!("`{}` is not the package that is locked: its sha256 is `{found}`", deb.url),
                at: deb.at.clone(),
                word: None,
                help: format!("run `cargo xtask lock {}`", plan.name),
            }
            .into());
        }
    }
    Ok(())
}
