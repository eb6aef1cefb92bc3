//! The commit that a description is of.

use std::path::Path;
use std::process::Command;

use camino::Utf8Path;

use crate::report::Report;

/// What would make git look at another repository than that of its directory.
const ELSEWHERE: [&str; 4] = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"];

/// Returns the commit that the project is a checkout of, when nothing in it differs from that: what is not committed is
/// not what the commit names. git alone knows what it ignores, so git is asked; where it cannot answer, `report` tells.
pub fn commit(project: &Utf8Path, report: &Report) -> Option<String> {
    if !project.ancestors().any(|directory| directory.join(".git").exists()) {
        return None;
    }
    let status = ["status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", "."];
    let why = match git(project).args(status).output() {
        Ok(output) if output.status.success() => {
            // A directory that git ignores has no changes either, and is in no commit.
            let is_in_commit = git(project).args(["rev-parse", "--quiet", "--verify", "HEAD:./"]).output();
            let is_in_commit = is_in_commit.is_ok_and(|output| output.status.success());
            return clean(&String::from_utf8_lossy(&output.stdout)).filter(|_| is_in_commit);
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned(),
        Err(error) => error.to_string(),
    };
    report.warn(format_args!("the provenance names no commit: cannot run `git status`: {why}"));
    None
}

/// git in a directory, for the repository that this is in.
pub fn git(directory: impl AsRef<Path>) -> Command {
    let mut git = Command::new("git");
    git.arg("--no-optional-locks").current_dir(directory).env("LC_ALL", "C");
    for name in ELSEWHERE {
        git.env_remove(name);
    }
    git
}

/// The commit in what `git status` printed, when that is all of it.
fn clean(status: &str) -> Option<String> {
    let commit = status.lines().find_map(|line| line.strip_prefix("# branch.oid "))?;
    let is_commit = commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_commit && status.lines().all(|line| line.starts_with('#'))).then(|| commit.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_named_when_all_is_committed() {
        let oid = "10740b3c".repeat(5);
        let branch = format!("# branch.oid {oid}\n# branch.head main\n");
        assert_eq!(clean(&branch), Some(oid));
        assert_eq!(clean(&(branch.clone() + "? image/new.rs\n")), None);
        assert_eq!(clean(&(branch + "1 .M N... 100644 100644 100644 a b image/main.rs\n")), None);
        assert_eq!(clean("# branch.oid (initial)\n# branch.head main\n"), None);
        assert_eq!(clean(""), None);
    }

    #[test]
    fn a_directory_without_a_repository_has_no_commit() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(commit(directory.path().try_into().unwrap(), &Report::default()), None);
    }
}
