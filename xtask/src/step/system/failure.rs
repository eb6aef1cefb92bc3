//! From dpkg's output to the one error that counts: which package, which
//! script, how it ended, what it last said.

use std::process::Output;

use anyhow::{Error, anyhow};

use crate::sandbox;

/// How many lines of a script's output an error keeps.
const LINES: usize = 20;

/// Explains a failed `dpkg --configure`, whose two outputs are one.
pub(super) fn explain(argv: &[String], output: &Output) -> Error {
    let text = String::from_utf8_lossy(&output.stdout);
    script(&text).unwrap_or_else(|| sandbox::failed(argv, output.status, &output.stdout))
}

/// The first package that dpkg names. Those that follow mostly depend on it.
fn script(text: &str) -> Option<Error> {
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.starts_with("dpkg: error processing package "))?;
    let package = lines[at].split_whitespace().nth(4)?;
    let reason = lines.get(at + 1).map_or("", |line| line.trim());
    let name = package.split(':').next().unwrap_or(package);
    let begin = lines[..at].iter().rposition(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("Setting") && words.nth(1).and_then(|w| w.split(':').next()) == Some(name)
            || line.starts_with(&format!("Processing triggers for {name} "))
            || line.starts_with("dpkg: dependency problems prevent") && line.contains(&format!(" {package}:"))
    });
    let said = &lines[begin.map_or(at, |begin| begin + 1)..at];
    let code = reason.rsplit_once("status ").map(|(_, code)| code);
    let headline = match (reason.contains("post-installation script"), code) {
        (true, Some(code)) => format!("`postinst` of the package `{package}` failed with exit code {code}"),
        _ => format!("the package `{package}` could not be configured: {reason}"),
    };
    Some(anyhow!("{headline}{}", last_lines(said.iter().copied())))
}

/// The last lines of a script's output, each indented under the error.
pub(super) fn last_lines<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    if last.is_empty() { " and said nothing".to_owned() } else { format!(":\n  {}", last.join("\n  ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_its_code_and_its_last_words_are_named() {
        let text = "Setting up a (1) ...\nfine\nSetting up lib:amd64 (2) ...\nno such user\n\nboom\n\
            dpkg: error processing package lib:amd64 (--configure):\n \
            installed lib:amd64 package post-installation script subprocess returned error exit status 7\n\
            dpkg: dependency problems prevent configuration of b:\n";
        let error = script(text).unwrap();
        let expected =
            "`postinst` of the package `lib:amd64` failed with exit code 7:\n  no such user\n  boom";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_missing_dependency_is_named() {
        let text =
            "dpkg: error processing package b (--configure):\n dependency problems - leaving unconfigured\n";
        let expected = "the package `b` could not be configured: \
            dependency problems - leaving unconfigured and said nothing";
        assert_eq!(script(text).unwrap().to_string(), expected);
    }

    #[test]
    fn output_without_a_package_is_left_to_the_command() {
        assert!(script("dpkg: error: unable to access the database\n").is_none());
    }
}
