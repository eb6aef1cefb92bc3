//! Bedplate builds immutable Ubuntu and Debian disk images from a Rust description.
//!
//! ```text
//!  Image ──plan──► Plan ──lock──► Lock ──build──► Artifacts ──verify──► same as the Plan?
//!  (said)        (decided)      (pinned)         (bytes)
//! ```
//!
//! A project is a binary that names its images: see [`main`]. What a
//! description is made of, from [`Image`] on, is re-exported from
//! [`bedplate_core`]; everything else here is the engine behind the verbs.

use std::process::ExitCode;

use clap::Parser as _;

pub use bedplate_core::*;

pub mod archive;
pub mod artifacts;
pub mod build;
pub mod cli;
pub mod cmd;
pub mod disk;
pub mod fetch;
pub mod host;
pub mod key;
pub mod problem;
pub mod project;
pub mod report;
pub mod resolve;
pub mod sandbox;
pub mod source;
pub mod step;
pub mod store;
pub mod tools;
pub mod verify;
pub mod vm;

use cli::{Cli, Verb};
use project::Project;
use report::Report;

/// Runs the program over a project's images, the first of which is the default.
///
/// ```no_run
/// use bedplate::*;
///
/// fn main() -> std::process::ExitCode {
///     bedplate::main(&[image!(edge)])
/// }
///
/// fn edge(_: &Target) -> Image {
///     Image::debian("trixie").package("linux-image-amd64")
/// }
/// ```
///
/// The exit code is 0 when all is done, 1 when the description or the command
/// line is wrong, 2 when something failed.
#[must_use]
pub fn main(images: &[Entry]) -> ExitCode {
    // A process of the sandbox: before any thread, and before anything is read.
    if let Some(code) = sandbox::dispatch() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(help) => {
            // Help goes to stdout with 0. A closed pipe is nobody's mistake.
            let _ = help.print();
            return if help.use_stderr() { ExitCode::from(1) } else { ExitCode::SUCCESS };
        }
    };
    let report = Report::default();
    let root = project::root(images);
    let project = Project { images, root: &root };
    run(&cli.verb, project, &report).unwrap_or_else(|error| {
        report.failure(&error, &|file| project.source(file));
        ExitCode::from(if error.is::<problem::Misuse>() { 1 } else { 2 })
    })
}

fn run(verb: &Verb, project: Project<'_>, report: &Report) -> anyhow::Result<ExitCode> {
    if verb.works_on_trees() {
        host::enter()?;
        report::watch_for_interrupts()?;
    }
    match verb {
        Verb::Image(args) => cmd::image::run(project, args, report),
        Verb::Plan(args) => cmd::plan::run(project, args, report),
        Verb::Lock(args) => cmd::lock::run(project, args, report),
        Verb::Boot(args) => cmd::boot::run(project, args, report),
        Verb::Check => Ok(cmd::check::run(project, report)),
        Verb::Explain { code } => Ok(cmd::explain::run(code.as_deref(), report)),
        Verb::Verify(args) => cmd::verify::run(project, args, report),
        Verb::Inspect(args) => cmd::inspect::run(args, report),
        Verb::Tools(args) => cmd::tools::run(project, args, report),
        Verb::Clean { all } => cmd::clean::run(*all, report),
    }
}
