//! What a timer, path or socket starts when its time comes is in the image.

use bedplate_core::Diagnostic;

use super::super::unit::{self, Setting, Unit};
use super::super::{Findings, Subject, started};
use super::{NO_SUCH_UNIT, neighbour};

/// Checks a unit of the description. systemd refuses to start one that activates nothing.
pub(super) fn check(
    subject: &Subject<'_>,
    unit: &Unit,
    names: &[String],
    own: &dyn Fn(&Setting) -> bool,
    found: &mut Findings,
) {
    let Some(name) = started::later(unit).filter(|name| !name.ends_with(".mount")) else { return };
    // An instance of a template is started for each connection.
    let of_template = name.replace("@.", "@x.");
    if subject.origins.of(&unit.path).is_none() || unit::exists(subject.tree, &of_template) {
        return;
    }
    let message = format!("`{}` starts `{name}`, which is not in the image", unit.name);
    let key = if unit.name.ends_with(".socket") { "Service" } else { "Unit" };
    let help = match neighbour(&name, names) {
        Some(near) => format!("write `{key}={near}`, or call this unit alike"),
        None => format!("add the unit with `.unit(unit!(…))`, or name another with `{key}=`"),
    };
    let mistake = Diagnostic::new(NO_SUCH_UNIT.code, message).help(help);
    found.mistake(match unit.last(key).filter(|setting| own(setting)) {
        Some(setting) => subject.blame_setting(mistake, unit, setting),
        None => subject.blame(mistake, &unit.path, 1),
    });
}
