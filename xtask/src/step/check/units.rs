//! What the description starts can be started: targets, programs, users and
//! files that its units name are in the image.
//!
//! A unit is the description's when a file of its own says something of it, or
//! when the description enables it. What is written by hand is checked line by
//! line; of a package's unit that is enabled, only its program.

mod activates;
mod binary;
mod drop_ins;
mod environment;
mod paths;
mod rules;
mod shell;
#[cfg(test)]
mod tests;
mod wishes;

use bedplate_core::spelling::nearest;
use bedplate_core::{Diagnostic, SourceLocation};
use bedplate_formats::tree::{Kind, TreePath};

pub(in crate::step) use self::rules::*;
use super::started::{self, Started};
use super::unit::{self, Setting, Unit};
use super::{Findings, Subject};
use crate::step::{units, users};

pub(super) fn check(subject: &Subject<'_>, started: &Started, found: &mut Findings) {
    let names = units::unit_names(subject.tree);
    targets(subject, &names, found);
    links(subject, &names, found);
    drop_ins::check(subject, &names, found);
    for unit in started.iter() {
        let enabled = subject.enabled_at(&unit.name);
        // Each assignment is checked where the description wrote it.
        let own = |setting: &Setting| subject.origins.of(&setting.path).is_some();
        dependencies(subject, unit, &names, &own, found);
        wishes::check(subject, unit, &names, &own, found);
        activates::check(subject, unit, &names, &own, found);
        shell::check(subject, unit, &own, found);
        paths::programs(subject, unit, &|setting| own(setting) || enabled.is_some(), found);
        paths::others(subject, unit, &own, found);
        environment::check(subject, unit, &own, found);
        accounts(subject, unit, &own, found);
    }
}

impl Subject<'_> {
    /// The line that enables a unit, if one does.
    fn enabled_at(&self, name: &str) -> Option<&SourceLocation> {
        let same = |enabled: &str| enabled == name || unit::template(name).is_some_and(|of| of == enabled);
        self.plan.units.enable.iter().find(|unit| same(&unit.name)).and_then(|unit| unit.at.as_ref())
    }

    /// Points a mistake at the line that an assignment came from, or else at
    /// the one that enables its unit.
    fn blame_setting(&self, mistake: Diagnostic, unit: &Unit, setting: &Setting) -> Diagnostic {
        if self.origins.of(&setting.path).is_some() {
            return self.blame(mistake, &setting.path, setting.line);
        }
        match self.enabled_at(&unit.name) {
            Some(at) => mistake.at(at).word(&unit.name),
            None => mistake,
        }
    }
}

/// The units that a key names and that are not in the image, each with the assignment it stands in.
fn absent<'a>(
    subject: &'a Subject<'_>,
    unit: &'a Unit,
    key: &'a str,
) -> impl Iterator<Item = (String, &'a Setting)> {
    let expanded = unit.words(key).filter_map(|(word, setting)| Some((unit.expand(word)?, setting)));
    expanded.filter(|(name, _)| !made_at_boot(name) && !unit::exists(subject.tree, name))
}

/// `[Install]` of what the description enables names units of the image.
fn targets(subject: &Subject<'_>, names: &[String], found: &mut Findings) {
    for enabled in &subject.plan.units.enable {
        let unit::Found::Unit(unit) = unit::load(subject.tree, &enabled.name) else { continue };
        for key in ["WantedBy", "RequiredBy", "UpheldBy"] {
            let absent = absent(subject, &unit, key);
            for (target, setting) in absent.filter(|(_, setting)| setting.section == "Install") {
                let message =
                    format!("`{}` is to be started by `{target}`, which is not in the image", enabled.name);
                let help = match neighbour(&target, names) {
                    Some(near) => format!("write `{key}={near}`"),
                    None => format!("write `{key}=multi-user.target`, or add the package that brings it"),
                };
                let mistake = Diagnostic::new(NO_SUCH_TARGET.code, message).help(help);
                let mistake = subject.blame_setting(mistake, &unit, setting);
                found.mistake(match (&mistake.at, &enabled.at) {
                    (None, Some(at)) => mistake.at(at),
                    _ => mistake,
                });
            }
        }
    }
}

/// Units that systemd makes of devices, mounts and sessions at boot.
fn made_at_boot(name: &str) -> bool {
    [".device", ".mount", ".swap", ".slice", ".scope", ".automount"].iter().any(|kind| name.ends_with(kind))
}

/// A unit of the same type whose name is like this one.
pub(super) fn neighbour(name: &str, names: &[String]) -> Option<String> {
    let (stem, kind) = name.rsplit_once('.')?;
    let stems = names.iter().filter_map(|other| other.rsplit_once('.'));
    let alike = stems.filter(|(_, other)| *other == kind).map(|(stem, _)| stem);
    Some(format!("{}.{kind}", nearest(stem, alike)?))
}

/// Links of an overlay that start a unit lead to one.
fn links(subject: &Subject<'_>, names: &[String], found: &mut Findings) {
    for (directory, unit) in started::link_directories(subject.tree) {
        for (path, _) in subject.origins.below(&directory) {
            let Some(name) = path.name().map(|name| String::from_utf8_lossy(name).into_owned()) else {
                continue;
            };
            if made_at_boot(&name) || unit::exists(subject.tree, &name) {
                continue;
            }
            let message = format!("`{path}` starts `{name}` with `{unit}`, but there is no such unit");
            let help = match neighbour(&name, names) {
                Some(near) => format!("use `.enable(\"{near}\")` in place of the link"),
                None => "remove the link, or add the unit with `.unit(unit!(…))` or its package".to_owned(),
            };
            let mistake = Diagnostic::new(LINK_TO_NO_UNIT.code, message).help(help);
            found.mistake(subject.blame(mistake, path, 1));
        }
        if subject.origins.below(&directory).next().is_some()
            && !made_at_boot(&unit)
            && !unit::exists(subject.tree, &unit)
        {
            let Some((path, _)) = subject.origins.below(&directory).next() else { continue };
            let message = format!("`{path}` is to be started by `{unit}`, which is not in the image");
            let help = match neighbour(&unit, names) {
                Some(near) => format!("the unit is called `{near}`"),
                None => "add the package that brings it".to_owned(),
            };
            let mistake = Diagnostic::new(NO_SUCH_TARGET.code, message).help(help);
            found.mistake(subject.blame(mistake, path, 1));
        }
    }
}

/// What a unit cannot start without is there.
fn dependencies(
    subject: &Subject<'_>,
    unit: &Unit,
    names: &[String],
    own: &dyn Fn(&Setting) -> bool,
    found: &mut Findings,
) {
    for key in ["Requires", "Requisite", "BindsTo"] {
        for (needed, setting) in absent(subject, unit, key).filter(|(_, setting)| own(setting)) {
            let message = format!("`{}` needs `{needed}`, which is not in the image", unit.name);
            let help = match neighbour(&needed, names) {
                Some(near) => format!("write `{key}={near}`"),
                None => format!("add the package that brings it, or write `Wants={needed}`"),
            };
            let mistake = Diagnostic::new(NO_SUCH_UNIT.code, message).help(help);
            found.mistake(subject.blame_setting(mistake, unit, setting));
        }
    }
}

/// Whom a unit runs as is known.
fn accounts(subject: &Subject<'_>, unit: &Unit, own: &dyn Fn(&Setting) -> bool, found: &mut Findings) {
    if unit.is("DynamicUser") {
        return;
    }
    for (key, file, what) in [("User", "etc/passwd", "user"), ("Group", "etc/group", "group")] {
        let Some(setting) = unit.last(key).filter(|setting| own(setting)) else { continue };
        let Some(name) = unit.expand(&setting.value) else { continue };
        let names = users::names(subject.tree, file);
        if name.bytes().all(|b| b.is_ascii_digit()) || names.contains(&name) {
            continue;
        }
        let message = format!("`{}` runs as the {what} `{name}`, which is not in the image", unit.name);
        let help = match nearest(&name, names.iter().map(String::as_str)) {
            Some(near) => format!("write `{key}={near}`"),
            None => format!("add `.user(User::system(\"{name}\").uid(…))`, or write `DynamicUser=yes`"),
        };
        let mistake = Diagnostic::new(NO_SUCH_UNIT_USER.code, message).help(help);
        found.mistake(subject.blame_setting(mistake, unit, setting));
    }
}

/// Whether a node is a file that may be executed.
fn executable(subject: &Subject<'_>, path: &TreePath) -> Option<bool> {
    let (_, node) = subject.tree.resolve(path)?;
    Some(matches!(node.kind, Kind::File(_) | Kind::Hardlink(_)) && node.mode & 0o111 != 0)
}
