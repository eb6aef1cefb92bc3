//! `check`: the mistakes in every description of a project.

use std::process::ExitCode;

use crate::Architecture;
use crate::project::Project;
use crate::report::Report;
use crate::step::overlay;

/// Plans every image; 1 where any has a mistake.
pub fn run(project: Project<'_>, report: &Report) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for entry in project.images {
        match project.plan(entry, Architecture::default(), report) {
            Ok(plan) => match overlay::check(&plan, project.root, report, &|file| project.source(file)) {
                Ok(()) => report.did("Checked", &entry.name),
                Err(problem) => {
                    report.failure(&problem.into(), &|file| project.source(file));
                    code = ExitCode::from(1);
                }
            },
            Err(wrong) => code = wrong,
        }
    }
    code
}
