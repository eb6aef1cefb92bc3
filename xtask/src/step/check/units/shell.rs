//! Command lines that are written for a shell.

use bedplate_core::Diagnostic;

use super::super::unit::{Setting, Unit};
use super::super::{Findings, Subject};
use super::NO_SHELL;

/// Words that mean something to a shell, and are arguments to anybody else.
const WORDS: [&str; 9] = ["|", "||", "&&", "&", ">", ">>", "<", "2>&1", "2>/dev/null"];

/// Tells words of a shell in the commands of a unit of the description.
pub(super) fn check(
    subject: &Subject<'_>,
    unit: &Unit,
    own: &dyn Fn(&Setting) -> bool,
    found: &mut Findings,
) {
    for key in ["ExecStartPre", "ExecStart", "ExecStartPost", "ExecStop", "ExecReload"] {
        for setting in unit.all(key).filter(|setting| own(setting)) {
            let mut quoted = false;
            let word = setting.value.split_whitespace().find(|word| {
                let outside = !quoted;
                quoted ^= word.matches(['"', '\'']).count() % 2 == 1;
                outside && WORDS.contains(word)
            });
            let Some(word) = word else { continue };
            let message =
                format!("`{key}=` of `{}` has the argument `{word}`: systemd starts no shell", unit.name);
            let help = "write the line into a script, or start it with `/bin/sh -c '…'`";
            let caution = Diagnostic::new(NO_SHELL.code, message).help(help);
            found.cautions.push(subject.blame_setting(caution, unit, setting));
        }
    }
}
