//! Settings of the description as the image's own programs read them.
//!
//! A program with a way to test its settings runs in the sandbox, on the finished tree, when the description has a
//! file among them. Its words are mapped to the file and line. What it finds fault with elsewhere is the packages'.
//! The answer is cached by system and files, so that an edit of another file starts nothing.

mod answer;
mod order;
mod read;
mod run;
mod table;

use std::io::Read as _;

use bedplate_core::{Diagnostic, Rule, Unit, example};
use bedplate_formats::tree::{Content, Kind, TreePath};

use self::answer::{Named, Reading};
pub(super) use self::order::ORDERING_CYCLE;
#[cfg(test)]
pub(super) use self::order::VERIFY;
pub(super) use self::run::Answer;
pub use self::run::Sandboxed;
use self::table::Counts;
pub(super) use self::table::Program;
use super::{Findings, Subject};

pub(super) static REFUSED_BY_PROGRAM: Rule = Rule {
    code: "refused-by-program",
    title: "settings are what their program takes",
    why: "A word that sshd does not know keeps it from starting, and nobody comes in to mend it; one that sudo does \
          not know makes nobody root. Programs of the image that can test their settings do so in the build, when \
          the description has a file among them: sshd, sudo, nft, netplan, dockerd, systemd-analyze for units, \
          systemd-networkd, udevadm for rules, nginx, mosquitto, chronyd, and many others.",
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
    for program in table::programs() {
        let there = || program.needs.iter().any(|path| subject.tree.resolve(&TreePath::new(path)).is_some());
        let touched = touched(subject, program);
        if touched.is_empty() || !there() {
            continue;
        }
        let answer = ask.ask(subject, program, &touched)?;
        found.add(subject, program, &touched, &answer);
    }
    order::check(subject, ask, found)
}

/// Who runs the programs: the sandbox, or a test.
pub(super) trait Ask {
    /// Has a program of the finished tree test its settings; the description's files among them are `touched`.
    fn ask(&self, subject: &Subject<'_>, program: &Program, touched: &[TreePath]) -> anyhow::Result<Answer>;
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
    let starts = |start: &[u8]| {
        program.starts.is_empty() || program.starts.iter().any(|line| start.starts_with(line.as_bytes()))
    };
    let is_setting = |path: &TreePath| {
        fits(path) && subject.tree.content(path).is_some_and(|content| starts(&first(content)))
    };
    below.filter(is_setting).collect()
}

/// The first bytes of a file.
fn first(content: &Content) -> Vec<u8> {
    let mut start = Vec::new();
    // One that cannot be read is told by the step that writes the root.
    let _ = content.open().and_then(|content| content.take(64).read_to_end(&mut start));
    start
}

/// These files by the names that a program may use: Debian's are often links from a second directory.
fn named(subject: &Subject<'_>, program: &Program, touched: &[TreePath]) -> Vec<Named> {
    let mut named: Vec<Named> = Vec::new();
    let mut add = |name: &TreePath| {
        let Some((real, _)) = subject.tree.resolve(name) else { return };
        let path = if subject.origins.of(&real).is_some() { real } else { name.clone() };
        named.push(Named { name: name.to_string(), text: subject.text(&path), path });
    };
    touched.iter().for_each(&mut add);
    if !program.starts.is_empty() {
        return named;
    }
    let directories: Vec<TreePath> = program.reads.iter().map(TreePath::new).collect();
    for (link, node) in directories.iter().flat_map(|directory| subject.tree.below(directory)) {
        let leads = || subject.tree.resolve(link).is_some_and(|(real, _)| touched.contains(&real));
        if matches!(node.kind, Kind::Symlink(_)) && !touched.contains(link) && leads() {
            add(link);
        }
    }
    named
}

impl Findings {
    fn add(&mut self, subject: &Subject<'_>, program: &Program, touched: &[TreePath], answer: &Answer) {
        let files = named(subject, program, touched);
        let later = |path: &str| {
            path.starts_with('/')
                && subject.tree.resolve(&TreePath::new(path)).is_none()
                && subject.comes_later(path)
        };
        let complaints = Reading { program, files: &files, later: &later }.complaints(answer);
        let failed = !answer.success && program.counts == Counts::Failure;
        if failed && complaints.found.is_empty() && !complaints.left_out {
            self.cautions.push(unexplained(subject, program, touched, answer));
        }
        for complaint in complaints.found {
            let rule = if complaint.refused { &REFUSED_BY_PROGRAM } else { &LINE_NOT_READ };
            let message = format!("`{}` of `{}`: {}", program.name, complaint.path, complaint.message);
            let diagnostic = Diagnostic::new(rule.code, message).help(program.help);
            let diagnostic = subject.blame(diagnostic, &complaint.path, complaint.line.unwrap_or(1));
            if complaint.refused { &mut self.mistakes } else { &mut self.cautions }.push(diagnostic);
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
