//! `new`: a project of one's own.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::NewArgs;
use crate::new::dependency::Dependency;
use crate::new::mkosi::{Left, Mkosi};
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
    let mkosi = args.from_mkosi.as_ref().map(|project| Mkosi::read(project.as_std_path())).transpose()?;
    let release = match (&args.release, &mkosi) {
        (Some(release), _) => new::release(release)?,
        (None, Some(mkosi)) => mkosi.release()?,
        (None, None) => new::release("noble")?,
    };
    let dependency = match &args.bedplate {
        Some(text) => Dependency::parse(text, directory),
        None => {
            let lock = std::fs::read_to_string(project.root.join("Cargo.lock")).unwrap_or_default();
            Dependency::own(directory, &lock)?
        }
    };
    let settings = Settings { name, release, dependency };
    let (files, left) = match &mkosi {
        Some(mkosi) => mkosi.describe(&settings)?,
        None => (settings.files()?, Vec::new()),
    };
    new::write(directory, &files)?;
    let repository = if new::make_repository(directory) { ", a git repository" } else { "" };
    let (distribution, release) = (release.distribution, release.name);
    report.did(
        "Made",
        format_args!("{}  for {distribution} {release}, in {}{repository}", settings.name, args.directory),
    );
    for Left { what, why } in &left {
        report.did("Left out", format_args!("{what}: {why}"));
    }
    // What was described for another program is checked first.
    let [next, then] = if mkosi.is_some() { ["check", "plan"] } else { ["plan", "image"] };
    report.did("Next", format_args!("cd {} && cargo xtask {next}", args.directory));
    report.did("Then", format_args!("cargo xtask {then}"));
    Ok(ExitCode::SUCCESS)
}
