//! The one text for a command that failed: the command, how it ended, what it last said.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use anyhow::{Error, anyhow};

use super::NOT_STARTED;

/// How many lines of standard error an error keeps: enough for apt's and dpkg's last words.
const LINES: usize = 20;
/// How the outer process introduces a sandbox that did not come to be.
pub(super) const NO_SANDBOX: &str = "could not set up the sandbox: ";
/// The longest command that is shown whole, in bytes.
const SHOWN: usize = 200;

/// The error for a command of [`Sandbox::command`](super::Sandbox::command) that ended in `status`, having
/// written `stderr`.
#[must_use]
pub fn failed(argv: &[String], status: ExitStatus, stderr: &[u8]) -> Error {
    let text = String::from_utf8_lossy(stderr);
    if status.code() == Some(NOT_STARTED.into())
        && let Some(line) = text.lines().rev().find(|line| line.starts_with(NO_SANDBOX))
    {
        return anyhow!("{line}").context(format!("{} was not run", quoted(argv)));
    }
    let ending = match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "failed".to_owned(),
    };
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    match last {
        [] => anyhow!("{} {ending} and wrote nothing to standard error", quoted(argv)),
        [line] => anyhow!("{} {ending}: {line}", quoted(argv)),
        lines => anyhow!("{} {ending}:\n  {}", quoted(argv), lines.join("\n  ")),
    }
}

/// The command in backticks, cut where it gets too long to read.
pub(super) fn quoted(argv: &[String]) -> String {
    let mut text = argv.join(" ").replace('\n', " ");
    if text.len() > SHOWN {
        let end = (0..=SHOWN).rev().find(|&index| text.is_char_boundary(index)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: i32, stderr: &str) -> String {
        let argv = ["false".to_owned(), "--very".to_owned()];
        format!("{:#}", failed(&argv, ExitStatus::from_raw(code), stderr.as_bytes()))
    }

    #[test]
    fn a_failure_names_command_code_and_last_words() {
        assert_eq!(error(2 << 8, "no space\n"), "`false --very` failed with exit code 2: no space");
    }

    #[test]
    fn a_failure_names_the_signal() {
        assert_eq!(error(9, ""), "`false --very` was ended by signal 9 and wrote nothing to standard error");
    }

    #[test]
    fn only_the_last_twenty_lines_are_kept() {
        let lines: String = (0..50).map(|number| format!("line {number}\n")).collect();
        let text = error(1 << 8, &lines);
        assert!(text.contains("line 30") && !text.contains("line 29"), "{text}");
    }

    #[test]
    fn a_sandbox_that_failed_is_told_apart_from_its_command() {
        let text = error(125 << 8, "could not set up the sandbox: no `/proc`\n");
        assert_eq!(text, "`false --very` was not run: could not set up the sandbox: no `/proc`");
        assert_eq!(error(125 << 8, "its own\n"), "`false --very` failed with exit code 125: its own");
    }

    #[test]
    fn a_long_command_is_cut() {
        let argv = ["dpkg".to_owned(), "ä".repeat(500)];
        assert!(quoted(&argv).len() < 210);
    }
}
