//! Units that a unit asks for, and starts without.

use bedplate_core::Diagnostic;

use super::super::unit::{Setting, Unit};
use super::super::{Findings, Subject};
use super::{WISH_FOR_NO_UNIT, absent, neighbour};

/// Tells what a unit of the description asks for in vain.
pub(super) fn check(
    subject: &Subject<'_>,
    unit: &Unit,
    names: &[String],
    own: &dyn Fn(&Setting) -> bool,
    found: &mut Findings,
) {
    for (key, is_order) in [
        ("Wants", false),
        ("Upholds", false),
        ("OnFailure", false),
        ("OnSuccess", false),
        ("After", true),
        ("Before", true),
    ] {
        for (name, setting) in absent(subject, unit, key).filter(|(_, setting)| own(setting)) {
            // The instance of a template that is looked at without one.
            if name.starts_with('.') {
                continue;
            }
            let near = neighbour(&name, names);
            if is_order && near.is_none() {
                continue;
            }
            let message = format!("`{key}={name}` of `{}` does nothing: there is no such unit", unit.name);
            let help = match near {
                Some(near) => format!("write `{key}={near}`"),
                None => "add the package that brings it, or remove the word".to_owned(),
            };
            let caution = Diagnostic::new(WISH_FOR_NO_UNIT.code, message).help(help);
            found.cautions.push(subject.blame_setting(caution, unit, setting));
        }
    }
}
