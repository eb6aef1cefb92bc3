//! `check`: the mistakes in every description of a project.

use std::process::ExitCode;

use crate::Architecture;
use crate::project::Project;
use crate::report::Report;

/// Plans every image; 1 where any has a mistake.
pub fn run(project: Project<'_>, report: &Report) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for entry in project.images {
        match project.plan(entry, Architecture::default(), report) {
            Ok(_) => report.did("Checked", &entry.name),
            Err(wrong) => code = wrong,
        }
    }
    code
}
