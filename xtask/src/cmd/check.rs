//! `check`: the mistakes in every description of a project.

use std::process::ExitCode;

use anyhow::Result;
use bedplate_core::{Architecture, Entry};

use crate::error::Exit;
use crate::project::{self, Project};
use crate::report::Report;
use crate::step::overlay;

/// Plans every image; 1 where any has a mistake.
pub fn run(project: Project<'_>, report: &Report) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for entry in project.images {
        match check(project, entry, report) {
            Ok(()) => report.did("Checked", &entry.name),
            Err(error) => {
                report.failure(&error, &|file| project.source(file));
                code = Exit::Wrong.into();
            }
        }
    }
    code
}

fn check(project: Project<'_>, entry: &Entry, report: &Report) -> Result<()> {
    let plan = project::plan(entry, Architecture::default())?;
    Ok(overlay::check(&plan, project.root, report, &|file| project.source(file))?)
}
