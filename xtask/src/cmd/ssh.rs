//! `ssh`: comes in to a machine that `boot --ssh` started.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::cli::SshArgs;
use crate::project::Project;
use crate::report::Report;
use crate::ssh;

/// Waits until the machine answers, and becomes `ssh`, whose exit code is the command's.
///
/// # Errors
/// No such machine runs, or `ssh` is missing.
pub fn run(project: Project<'_>, args: &SshArgs, report: &Report) -> Result<ExitCode> {
    let entry = project.entry(args.name.as_deref())?;
    let waiting = report.activity("Waiting", format_args!("for {} to answer", entry.name));
    let config = ssh::reach(&entry.name, &project.out(entry, args.out.as_ref()))?;
    drop(waiting);
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(config);
    if let Some(user) = &args.user {
        ssh.args(["-l", user]);
    }
    Err(ssh::missing("ssh", ssh.args(["--", &entry.name]).args(&args.command).exec()))
}
