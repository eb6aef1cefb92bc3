//! `new`: a project of one's own.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::NewArgs;
use crate::new::dependency::Dependency;
use crate::new::{self, Settings};
use crate::project::Project;
use crate::report::Report;

/// Makes a project, and prints the two next commands.
///
/// # Errors
/// A name or a release that there is not; a directory with something in it.
pub fn run(project: Project<'_>, args: &NewArgs, report: &Report) -> Result<ExitCode> {
    let directory = args.directory.as_std_path();
    new::refuse_occupied(directory)?;
    let name = new::name(directory, args.name.as_deref())?;
    let release = new::release(args.release.as_deref().unwrap_or("noble"))?;
    let dependency = match &args.bedplate {
        Some(text) => Dependency::parse(text, directory),
        None => {
            let lock = std::fs::read_to_string(project.root.join("Cargo.lock")).unwrap_or_default();
            Dependency::own(directory, &lock)?
        }
    };
    let settings = Settings { name, release, dependency };
    new::write(directory, &settings.files()?)?;
    let repository = if new::make_repository(directory) { ", a git repository" } else { "" };
    let (distribution, release) = (release.distribution, release.name);
    report.did(
        "Made",
        format_args!("{}  for {distribution} {release}, in {}{repository}", settings.name, args.directory),
    );
    report.did("Next", format_args!("cd {} && cargo xtask plan", args.directory));
    report.did("Then", "cargo xtask image");
    Ok(ExitCode::SUCCESS)
}
