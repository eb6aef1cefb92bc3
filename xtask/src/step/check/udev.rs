//! Programs that udev's rules start are in the image.

use bedplate_core::Diagnostic;
use bedplate_formats::tree::TreePath;

use super::units::NO_SUCH_PROGRAM;
use super::{Findings, Subject};

/// Keys whose value is a command, each without the operator behind it.
const KEYS: [&str; 4] = ["RUN", "RUN{program}", "PROGRAM", "IMPORT{program}"];

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    for directory in ["etc/udev/rules.d", "usr/lib/udev/rules.d"].map(TreePath::new) {
        for (path, _) in subject.origins.below(&directory) {
            for (number, line) in (1..).zip(subject.text(path).lines()) {
                for program in programs(line).filter(|program| is_missing(subject, program)) {
                    let message = format!("`{path}` starts `{program}`, which is not in the image");
                    let help = "add the package that brings it, or put it there with an overlay";
                    let mistake = Diagnostic::new(NO_SUCH_PROGRAM.code, message).help(help);
                    found.mistakes.push(subject.blame(mistake, path, number));
                }
            }
        }
    }
}

/// The programs that a line of rules starts.
fn programs(line: &str) -> impl Iterator<Item = &str> {
    let line = if line.trim_start().starts_with('#') { "" } else { line };
    line.split(',').filter_map(|part| {
        let (key, value) = part.trim().split_once('=')?;
        let key = key.trim_end_matches(['+', ':', '-', '!', ' ']);
        let value = value.trim_start_matches(['=', ' ']).strip_prefix('"')?;
        let program = value.split([' ', '"']).next()?;
        KEYS.contains(&key).then_some(program)
    })
}

/// Whether a program is neither in the image nor made on the device. Names without a slash are udev's own.
fn is_missing(subject: &Subject<'_>, program: &str) -> bool {
    let path = match program.starts_with('/') {
        true => TreePath::new(program),
        false => TreePath::new("usr/lib/udev").join(program),
    };
    let is_known = !program.is_empty() && !program.contains(['$', '%']);
    is_known && subject.tree.resolve(&path).is_none() && !subject.comes_later(program)
}

#[cfg(test)]
mod tests {
    use crate::step::check::tests::refused;

    #[test]
    fn a_program_of_a_rule_that_is_not_there_is_refused_at_its_line() {
        let rule = |rule: &'static str| refused(|image| image.file("/etc/udev/rules.d/90-ours.rules", rule));
        let found = rule("# RUN+=\"/usr/bin/no\"\nKERNEL==\"sda\", RUN+=\"/usr/bin/nothing %k\"\n");
        assert!(found.contains("no-such-program") && found.contains("line 2"), "{found}");
        for right in [
            "RUN+=\"/usr/bin/true\"\n",
            "RUN{builtin}+=\"kmod load x\"\n",
            "PROGRAM==\"/local/bin/x %k\", ENV{A}=\"b\"\n",
            "RUN+=\"$env{X}\"\n",
        ] {
            assert_eq!(rule(right), "", "{right}");
        }
    }
}
