//! A program's words, mapped to files and lines.

use super::table::Program;

/// What a program has against a line of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// The file, as the program names it.
    pub file: String,
    /// The line, from 1, where it is told.
    pub line: Option<u32>,
    /// What is wrong.
    pub message: String,
}

/// The complaints of `text` about one of `files`. Programs name a file and a line in many forms (`x:3:7: …`, `x: line
/// 3: …`, `line 3 of x`, `[x:3]`), but all of them name both in one line of text.
pub(super) fn complaints<'a>(
    text: &str,
    files: impl Iterator<Item = &'a str> + Clone,
    program: &Program,
) -> Vec<Complaint> {
    let mut found: Vec<Complaint> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        // The longest of the names that fit: one may be the start of another.
        let file = files.clone().filter(|file| names(line, file)).max_by_key(|file| file.len());
        let Some(file) = file else { continue };
        if program.ignored.iter().any(|words| line.contains(words)) {
            continue;
        }
        let mut message = without(line, file);
        // The reason stands in the next line.
        if message.is_empty() || message.ends_with(':') {
            message = lines.peek().map_or(String::new(), |next| next.trim().to_owned());
        }
        let complaint = Complaint { file: file.to_owned(), line: number(line, file), message };
        let known = found.iter().any(|other| other.file == complaint.file && other.line == complaint.line);
        // A summary of what was said before has no line.
        if !known && (complaint.line.is_some() || !found.iter().any(|other| other.file == complaint.file)) {
            found.push(complaint);
        }
    }
    found
}

/// Whether a line names a file, and not one whose name begins with the same letters.
fn names(line: &str, file: &str) -> bool {
    line.match_indices(file).any(|(at, _)| {
        let next = line[at + file.len()..].chars().next();
        next.is_none_or(|next| {
            !(next.is_alphanumeric() || matches!(next, '-' | '_' | '~' | '/' | '.')) || next == '.'
        }) && line[at + file.len()..]
            .strip_prefix('.')
            .is_none_or(|rest| !rest.starts_with(char::is_alphanumeric))
    })
}

/// The line's number: directly behind the file, or behind the word `line`.
fn number(line: &str, file: &str) -> Option<u32> {
    let digits = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse().ok()
    };
    let (_, behind) = line.split_once(file)?;
    behind.strip_prefix(':').and_then(digits).or_else(|| line.split("line ").skip(1).find_map(digits))
}

/// The message without the place, which is shown beside it.
fn without(line: &str, file: &str) -> String {
    let (before, behind) = line.split_once(file).unwrap_or((line, ""));
    let behind =
        behind.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ':' | '-' | ' ' | ']'));
    let behind = match behind.strip_prefix("line ") {
        Some(rest) => rest.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ':' | ' ')),
        None => behind,
    };
    let text = if behind.trim().is_empty() || behind.trim() == "\"" { before } else { behind };
    let text = text.trim().trim_end_matches([':', '[', '"']).trim();
    let text = text.strip_suffix(" in").or_else(|| text.strip_suffix(" of")).unwrap_or(text);
    let text = text.strip_prefix("Error: ").or_else(|| text.strip_prefix("error: ")).unwrap_or(text);
    text.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::check::programs::table::PROGRAMS;

    fn said(text: &str) -> Vec<(Option<u32>, String)> {
        let files = ["/etc/x.conf", "/etc/x.conf.d/a.conf"];
        let found = complaints(text, files.into_iter(), &PROGRAMS[0]);
        found.into_iter().map(|complaint| (complaint.line, complaint.message)).collect()
    }

    #[test]
    fn every_form_of_a_place_is_read() {
        for (text, line, message) in [
            ("/etc/x.conf: line 3: Bad configuration option: x", Some(3), "Bad configuration option: x"),
            ("/etc/x.conf line 3: Deprecated option x", Some(3), "Deprecated option x"),
            ("/etc/x.conf:3:7: syntax error", Some(3), "syntax error"),
            ("/etc/x.conf:3:5-9: Error: syntax error, unexpected x", Some(3), "syntax error, unexpected x"),
            ("/etc/x.conf:3 Invalid key 'x'.", Some(3), "Invalid key 'x'"),
            (
                "nginx: [emerg] unknown directive \"x\" in /etc/x.conf:3",
                Some(3),
                "nginx: [emerg] unknown directive \"x\"",
            ),
            ("dnsmasq: bad option at line 3 of /etc/x.conf", Some(3), "dnsmasq: bad option at line 3"),
            (
                "Syntax error on line 3 of /etc/x.conf:\nInvalid command 'x'",
                Some(3),
                "Syntax error on line 3",
            ),
            ("unable to configure with file /etc/x.conf: invalid character", None, "invalid character"),
        ] {
            assert_eq!(said(text), [(line, message.to_owned())], "{text}");
        }
    }

    #[test]
    fn a_file_is_not_taken_for_another_and_a_summary_is_no_second_complaint() {
        assert_eq!(said("/etc/x.config: line 3: no\n/etc/x.conf.d/b: line 3: no\n/etc/other:1: no\n"), []);
        let text = "/etc/x.conf: line 3: Bad option\n/etc/x.conf: terminating, 1 bad configuration options\n";
        assert_eq!(said(text), [(Some(3), "Bad option".to_owned())]);
    }
}
