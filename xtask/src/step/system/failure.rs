//! From dpkg's output to the one error that counts: which package, which
//! script, how it ended, what it last said.

use std::process::Output;

use anyhow::Error;
use bedplate_core::plan::AnswerPlan;
use bedplate_formats::deb::Control;

use super::Asked;
use super::debconf::{self, Template};
use crate::error::LocatedError;
use crate::resolve::why::Dependencies;
use crate::sandbox;

/// How many questions without an answer a help names.
const ANSWERS: usize = 3;
/// How many lines of a script's output an error keeps.
const LINES: usize = 20;

/// What a failure is explained by: the packages, and what the description says of them.
#[derive(Clone, Copy)]
pub(super) struct Explainer<'a> {
    pub controls: &'a [Control],
    pub asked: &'a [Asked],
    pub answers: &'a [AnswerPlan],
}

impl Explainer<'_> {
    /// Explains a failed `dpkg --configure`, whose two outputs are one. `more` is put behind what the script printed.
    pub fn configure(&self, argv: &[String], output: &Output, more: &str) -> Error {
        let text = String::from_utf8_lossy(&output.stdout);
        match script(&text) {
            Some(Failed { package, headline, printed }) => {
                self.package(&package, &headline, &format!("{printed}{more}"))
            }
            None => {
                let error = sandbox::failed(argv, output.status, &output.stdout);
                match last_set_up(&text) {
                    Some(package) => {
                        error.context(format!("dpkg ended while it set up the package `{package}`"))
                    }
                    None => error,
                }
            }
        }
    }

    /// An error about a package, at the line of the description that brought it.
    pub fn package(&self, package: &str, headline: &str, printed: &str) -> Error {
        let name = package.split(':').next().unwrap_or(package);
        let origin = self.origin(name);
        let brought = match origin {
            Some(asked) if asked.name != name => format!(", which `{}` depends on,", asked.name),
            _ => String::new(),
        };
        let subject = format!("the package `{package}`");
        let headline = headline.replacen(&subject, &format!("{subject}{brought}"), 1);
        LocatedError {
            message: format!("{headline}{printed}"),
            at: origin.and_then(|asked| asked.at.clone()),
            word: origin.map(|asked| asked.word.clone()),
            help: self.help(name, printed),
        }
        .into()
    }

    /// The request that brought a package, one of the description's before one that is implied.
    fn origin(&self, package: &str) -> Option<&Asked> {
        let dependencies = Dependencies::of(self.controls.iter().map(Control::stanza));
        let (named, implied): (Vec<&Asked>, Vec<&Asked>) =
            self.asked.iter().partition(|asked| asked.at.is_some());
        let brought = |requests: &[&Asked]| {
            dependencies
                .brought_by(package, requests.iter().map(|asked| asked.name.as_str()))
                .map(str::to_owned)
        };
        let name = brought(&named).or_else(|| brought(&implied))?;
        self.asked.iter().find(|asked| asked.name == name)
    }

    fn help(&self, package: &str, printed: &str) -> String {
        let answered = |template: &Template| self.answers.iter().any(|answer| answer.name == template.name);
        let control = self.controls.iter().find(|control| control.package() == package);
        let open = control.into_iter().flat_map(debconf::templates);
        let open: Vec<String> =
            open.filter(|template| template.is_question() && !answered(template)).map(|t| t.call()).collect();
        let more = match emulator_failed(printed) {
            true => {
                "the emulator gave up in it, which a build on the image's own architecture does without; \
                 `cargo xtask image -v` shows everything that was printed"
            }
            false => "`cargo xtask image -v` shows everything that was printed",
        };
        match open.as_slice() {
            [] => more.to_owned(),
            [call] => format!("the package asks a question that has no answer: add {call}; {more}"),
            calls => {
                let calls = calls[..calls.len().min(ANSWERS)].join(", ");
                format!("the package asks questions that have no answer: add {calls}; {more}")
            }
        }
    }
}

/// True for the output of a program of another architecture of which QEMU could not run an instruction or a call, or
/// which ended by a fault: `qemu: uncaught target signal 11 (Segmentation fault) - core dumped`.
fn emulator_failed(printed: &str) -> bool {
    printed.lines().any(|line| line.trim_start().starts_with("qemu: ") || line.contains(" qemu: "))
}

/// The package that dpkg was at when it ended without a word.
fn last_set_up(text: &str) -> Option<&str> {
    text.lines().rev().find_map(|line| line.strip_prefix("Setting up ")?.split_whitespace().next())
}

/// A package that dpkg could not configure.
struct Failed {
    package: String,
    headline: String,
    printed: String,
}

/// The first package that dpkg names. Those that follow mostly depend on it.
fn script(text: &str) -> Option<Failed> {
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
    let signal = reason.split_once("killed by signal ").map(|(_, signal)| signal);
    let headline = match (reason.contains("post-installation script"), code, signal) {
        (true, Some(code), _) => {
            format!("`postinst` of the package `{package}` failed with exit code {code}")
        }
        (true, None, Some(signal)) => {
            format!("`postinst` of the package `{package}` was ended by signal {signal}")
        }
        _ => format!("the package `{package}` could not be configured: {reason}"),
    };
    Some(Failed { package: package.to_owned(), headline, printed: last_lines(said.iter().copied()) })
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

    fn told(text: &str) -> Option<String> {
        script(text).map(|failed| format!("{}{}", failed.headline, failed.printed))
    }

    #[test]
    fn the_script_its_code_and_its_last_words_are_named() {
        let text = "Setting up a (1) ...\nfine\nSetting up lib:amd64 (2) ...\nno such user\n\nboom\n\
            dpkg: error processing package lib:amd64 (--configure):\n \
            installed lib:amd64 package post-installation script subprocess returned error exit status 7\n\
            dpkg: dependency problems prevent configuration of b:\n";
        let error = told(text).unwrap();
        let expected =
            "`postinst` of the package `lib:amd64` failed with exit code 7:\n  no such user\n  boom";
        assert_eq!(error, expected);
    }

    /// As an emulator says it of a program that it runs, and of the script itself.
    #[test]
    fn a_script_in_which_the_emulator_gave_up_is_named() {
        let text = "Setting up a (1) ...\nqemu: uncaught target signal 11 (Segmentation fault) - core dumped\n\
            dpkg: error processing package a (--configure):\n \
            installed a package post-installation script subprocess was killed by signal (Segmentation fault), core dumped\n";
        let error = told(text).unwrap();
        let expected = "`postinst` of the package `a` was ended by signal (Segmentation fault), core dumped:\n  \
            qemu: uncaught target signal 11 (Segmentation fault) - core dumped";
        assert_eq!(error, expected);
        let explainer = Explainer { controls: &[], asked: &[], answers: &[] };
        assert!(explainer.help("a", &error).starts_with("the emulator gave up in it"));
        assert!(explainer.help("a", "no such user").starts_with("`cargo xtask image -v`"));
    }

    #[test]
    fn dpkg_that_ended_itself_was_at_a_package() {
        let text = "Setting up a (1) ...\nfine\nSetting up lib:arm64 (2) ...\n";
        assert_eq!(last_set_up(text), Some("lib:arm64"));
        assert_eq!(last_set_up("no word of it"), None);
    }

    #[test]
    fn a_missing_dependency_is_named() {
        let text =
            "dpkg: error processing package b (--configure):\n dependency problems - leaving unconfigured\n";
        let expected = "the package `b` could not be configured: \
            dependency problems - leaving unconfigured and said nothing";
        assert_eq!(told(text).unwrap(), expected);
    }

    #[test]
    fn output_without_a_package_is_left_to_the_command() {
        assert!(script("dpkg: error: unable to access the database\n").is_none());
    }
}
