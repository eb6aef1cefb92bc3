//! The verbs, one a file: what the command line says becomes calls of the engine.

pub mod boot;
pub mod bundle;
pub mod check;
pub mod clean;
pub mod completions;
pub mod diff;
pub mod explain;
pub mod flash;
pub mod image;
pub mod inspect;
pub mod keys;
pub mod lock;
pub mod new;
pub mod plan;
pub mod report;
pub mod sign;
pub mod ssh;
pub mod tools;
pub mod vendor;
pub mod verify;

use anyhow::Result;
use bedplate_core::{Entry, Plan};
use camino::Utf8Path;

use crate::cli::{NameArgs, SourceArgs};
use crate::project::Project;
use crate::report::Report;
use crate::source::Access;

/// The image that the command line names, with its plan.
fn planned<'a>(project: &'a Project<'_>, args: &NameArgs) -> Result<(&'a Entry, Plan)> {
    project.planned(args.name.as_deref(), args.architecture()?)
}

/// How packages are reached, as the command line says.
fn access<'a>(args: &'a SourceArgs, report: &'a Report) -> Access<'a> {
    let carried = args.store.as_deref().map(Utf8Path::as_std_path);
    Access { mirrors: &args.mirror, offline: args.offline, carried, report: Some(report) }
}
