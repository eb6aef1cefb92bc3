//! Settings of the description as the image's own programs read them.
//!
//! A program with a way to test its settings runs in the sandbox, on the finished tree, when the description has a
//! file among them. Its words are mapped to the file and line. What it finds fault with elsewhere is the packages'.
//! The answer is cached by system and files, so that an edit of another file starts nothing.

mod answer;
mod run;
mod table;

use std::collections::BTreeMap;

use bedplate_core::{Diagnostic, Rule, Unit, example};
use bedplate_formats::tree::TreePath;

use self::answer::Complaint;
pub(super) use self::run::Answer;
pub use self::run::Sandboxed;
use self::table::{Counts, PROGRAMS, Program};
use super::{Findings, Subject};

pub(super) static REFUSED_BY_PROGRAM: Rule = Rule {
    code: "refused-by-program",
    title: "settings are what their program takes",
    why: "A word that sshd does not know keeps it from starting, and nobody comes in to mend it; one that sudo does \
          not know makes nobody root. Programs of the image that can test their settings do so in the build, when \
          the description has a file among them: sshd, sudo, nft, netplan, dockerd, systemd-analyze for units, \
          udevadm for rules, and others.",
    wrong: example!(|device| device.file("/etc/ssh/sshd_config.d/10-ours.conf", "PermitRotLogin no\n")),
    right: example!(|device| device.file("/etc/ssh/sshd_config.d/10-ours.conf", "PermitRootLogin no\n")),
};

pub(super) static LINE_NOT_READ: Rule = Rule {
    code: "line-not-read",
    title: "a program has no objection to a line of its settings",
    why: "The program goes on, without the line or with another meaning of it. This is a warning where the program \
          itself only warns.",
    wrong: example!(|device| device.enable("hello.service").unit(Unit::new(
        "units/hello.service",
        "[Service]\nKillMode=none\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
    ))),
    right: example!(|device| device.enable("hello.service").unit(Unit::new(
        "units/hello.service",
        "[Service]\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
    ))),
};

/// Asks each program that is there and whose settings the description touches.
///
/// # Errors
/// The sandbox cannot be set up.
pub(super) fn check(subject: &Subject<'_>, ask: &dyn Ask, found: &mut Findings) -> anyhow::Result<()> {
    for program in PROGRAMS {
        let touched = touched(subject, program);
        let there = program.needs.iter().any(|path| subject.tree.resolve(&TreePath::new(path)).is_some());
        if touched.is_empty() || !there {
            continue;
        }
        let argv = program.argv(&touched);
        let answer = ask.ask(subject, program.name, &argv, &touched)?;
        found.add(subject, program, &touched, &answer);
    }
    Ok(())
}

/// Who runs the programs: the sandbox, or a test.
pub(super) trait Ask {
    /// Runs a command on the finished tree; its answer depends on the `touched` files and the packages alone.
    fn ask(
        &self,
        subject: &Subject<'_>,
        name: &str,
        argv: &[String],
        touched: &[TreePath],
    ) -> anyhow::Result<Answer>;
}

/// The description's files among a program's settings.
fn touched(subject: &Subject<'_>, program: &Program) -> Vec<TreePath> {
    let below = program.reads.iter().flat_map(|directory| {
        let directory = TreePath::new(directory);
        subject.origins.below(&directory).map(|(path, _)| path.clone()).collect::<Vec<_>>()
    });
    let fits = |path: &TreePath| {
        let name = path.name().unwrap_or_default();
        program.endings.is_empty() || program.endings.iter().any(|ending| name.ends_with(ending.as_bytes()))
    };
    below.filter(|path| fits(path) && subject.tree.content(path).is_some()).collect()
}

impl Findings {
    fn add(&mut self, subject: &Subject<'_>, program: &Program, touched: &[TreePath], answer: &Answer) {
        let names: BTreeMap<String, &TreePath> =
            touched.iter().map(|path| (path.to_string(), path)).collect();
        let complaints = answer::complaints(&answer.text, names.keys().map(String::as_str), program);
        let failed = !answer.success;
        if complaints.is_empty() && failed && program.counts == Counts::Failure {
            self.cautions.push(unexplained(subject, program, touched, answer));
        }
        for Complaint { file, line, message } in complaints {
            let Some(path) = names.get(&file) else { continue };
            let is_mistake = match program.counts {
                Counts::Failure => failed,
                Counts::Words(words) => words.iter().any(|word| message.contains(word)),
            };
            let rule = if is_mistake { &REFUSED_BY_PROGRAM } else { &LINE_NOT_READ };
            let said = format!("`{}` of `{file}`: {message}", program.name);
            let diagnostic = Diagnostic::new(rule.code, said).help(program.help);
            let diagnostic = subject.blame(diagnostic, path, line.unwrap_or(1));
            if is_mistake { &mut self.mistakes } else { &mut self.cautions }.push(diagnostic);
        }
    }
}

/// A failure that names no file of the description: told, since the build does not know whose it is.
fn unexplained(
    subject: &Subject<'_>,
    program: &Program,
    touched: &[TreePath],
    answer: &Answer,
) -> Diagnostic {
    let last = answer.text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    let message = format!("`{}` could not be tested: {}", program.name, last.trim());
    let caution = Diagnostic::new(LINE_NOT_READ.code, message);
    let caution = caution.help("test it on a device before you ship the image");
    match touched.first().and_then(|path| subject.origins.of(path)) {
        Some(origin) => caution.at(&origin.at),
        None => caution,
    }
}

#[cfg(test)]
mod tests;
