//! Lines of environment files that systemd does not read.

use bedplate_core::Diagnostic;
use bedplate_formats::tree::TreePath;

use super::super::unit::{Setting, Unit};
use super::super::{Findings, Subject};
use super::LINE_OF_NO_VARIABLE;

/// Tells lines of the description's environment files that are no assignments.
/// <https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#EnvironmentFile=>
pub(super) fn check(
    subject: &Subject<'_>,
    unit: &Unit,
    own: &dyn Fn(&Setting) -> bool,
    found: &mut Findings,
) {
    for setting in unit.all("EnvironmentFile") {
        let Some(path) = unit.expand(setting.value.trim_start_matches('-')) else { continue };
        let Some((path, _)) = subject.tree.resolve(&TreePath::new(path)) else { continue };
        if subject.origins.of(&path).is_none() {
            continue;
        }
        let text = subject.text(&path);
        let mut lines = (1..).zip(text.lines());
        while let Some((number, line)) = lines.next() {
            if let Some(help) = fault(line) {
                let message = format!("`{}` reads `{path}`, but not its line {number}", unit.name);
                let mistake = Diagnostic::new(LINE_OF_NO_VARIABLE.code, message).help(help);
                let mistake = subject.blame(mistake, &path, number);
                // What a package's unit reads may be for its scripts as well.
                if own(setting) { &mut found.mistakes } else { &mut found.cautions }.push(mistake);
            }
            // A value in quotes, or a line with a backslash at its end, goes on in the next.
            if let Some(end) = opened(line) {
                let ends = |next: &str| if end == '\\' { !next.ends_with(end) } else { next.contains(end) };
                let _ = lines.find(|(_, next)| ends(next));
            }
        }
    }
}

/// What to do about a line that is no assignment.
fn fault(line: &str) -> Option<String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with(['#', ';']) {
        return None;
    }
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match line.split_once('=') {
        Some((name, _)) if is_name(name.trim_end()) => None,
        Some((name, value)) if name.trim_start().starts_with("export ") => {
            let name = name.trim_start().trim_start_matches("export ").trim();
            Some(format!("write `{name}={value}`: it is no script"))
        }
        _ => Some("write `NAME=value`".to_owned()),
    }
}

/// The quote that a value is still in at the end of its line, or the backslash there.
fn opened(line: &str) -> Option<char> {
    let (_, value) = line.split_once('=').filter(|_| !line.trim_start().starts_with(['#', ';']))?;
    let mut value = value.trim().chars();
    match value.next().filter(|first| matches!(first, '"' | '\'')) {
        Some(quote) => (!value.any(|c| c == quote)).then_some(quote),
        None => line.ends_with('\\').then_some('\\'),
    }
}
