//! A program's words, mapped to files and lines.

mod place;

use bedplate_formats::tree::TreePath;

use self::place::{line_of, message, names, number, reason, tokens, untimed};
use super::Answer;
use super::table::Program;

/// What a program has against a line of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// The file.
    pub path: TreePath,
    /// The line, from 1, where it is known.
    pub line: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// Whether the program does not take it.
    pub refused: bool,
}

/// A file of the description by a name that its program may use: its path, or that of a link to it.
#[derive(Debug)]
pub(super) struct Named {
    pub name: String,
    pub path: TreePath,
    pub text: String,
}

/// Reads a program's words.
pub(super) struct Reading<'a> {
    pub program: &'a Program,
    pub files: &'a [Named],
    /// Whether something may stand at a path on a device, though nothing does in the image.
    pub later: &'a dyn Fn(&str) -> bool,
}

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Complaints {
    pub found: Vec<Complaint>,
    /// Whether there were others, about what only a device has.
    pub left_out: bool,
}

impl Reading<'_> {
    /// Returns the complaints about the files. Programs name a file and a line in many forms (`x:3:7: …`, `x: line 3: …`,
    /// `line 3 of x`, `[x:3]`), but nearly all of them name both in one line of text. Of the others, a name or a path
    /// that the file has as well tells the line.
    pub(super) fn complaints(&self, answer: &Answer) -> Complaints {
        let mut complaints = Complaints::default();
        let mut lines = answer.text.lines().peekable();
        while let Some(line) = lines.next() {
            if self.program.ignores(line) || is_missing(line) && tokens(line).any(|path| (self.later)(path)) {
                complaints.left_out = true;
                continue;
            }
            let line = untimed(line);
            let next = lines.peek().copied().unwrap_or_default();
            let found = self.direct(line, next, answer).or_else(|| self.by_token(line, answer));
            complaints.found.extend(found);
        }
        sorted(&mut complaints.found);
        complaints
    }

    /// A complaint that names its file.
    fn direct(&self, line: &str, next: &str, answer: &Answer) -> Option<Complaint> {
        // The longest of the names that fit: one may be the start of another.
        let fit = self.files.iter().filter(|file| names(line, &file.name));
        let file = fit.max_by_key(|file| file.name.len())?;
        let mut message = message(line, &file.name, self.program.name);
        let mut number = number(line, &file.name);
        if let Some((of_next, text)) = reason(line, &message, next) {
            number = number.or(of_next);
            message = text;
        }
        let number = number.or_else(|| tokens(line).find_map(|token| line_of(token, &file.text)));
        let refused = self.program.refuses(line, !answer.success);
        Some(Complaint { path: file.path.clone(), line: number, message, refused })
    }

    /// A complaint that names something which stands in a file.
    fn by_token(&self, line: &str, answer: &Answer) -> Option<Complaint> {
        if !self.program.refuses(line, !answer.success) || !is_complaint(line) {
            return None;
        }
        let (path, number) = tokens(line).find_map(|token| {
            self.files.iter().find_map(|file| Some((file.path.clone(), line_of(token, &file.text)?)))
        })?;
        let message = message(line, "", self.program.name);
        Some(Complaint { path, line: Some(number), message, refused: true })
    }
}

/// Leaves one complaint a line. What has no line is a summary of those that have one.
fn sorted(found: &mut Vec<Complaint>) {
    let numbered: Vec<TreePath> = found
        .iter()
        .filter(|complaint| complaint.line.is_some())
        .map(|complaint| complaint.path.clone())
        .collect();
    let mut seen = Vec::new();
    found.retain(|complaint| {
        let place = (complaint.path.clone(), complaint.line);
        let is_summary = complaint.line.is_none() && numbered.contains(&complaint.path);
        let known = is_summary || seen.contains(&place);
        seen.push(place);
        !known
    });
}

/// Whether a line is about a path that does not exist.
fn is_missing(line: &str) -> bool {
    let words = [
        "o such file",
        "not exist",
        "not found",
        "existing file",
        "nable to stat",
        "nable to open",
        "nable to load",
        "annot open",
        "annot access",
        "annot load",
        "open()",
        "change directory",
        "could not be opened",
    ];
    words.iter().any(|word| line.contains(word))
}

/// Whether a line tells of a failure at all.
fn is_complaint(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let words = [
        "error",
        "fail",
        "cannot",
        "could not",
        "unable",
        "invalid",
        "unknown",
        "not found",
        "no such",
        "not exist",
        "existing file",
        "bad ",
        "missing",
        "fatal",
        "too ",
        "not boolean",
        "must ",
        "open()",
    ];
    words.iter().any(|word| line.contains(word))
}

#[cfg(test)]
mod tests;
