//! Drop-ins change units that are there.

use bedplate_core::Diagnostic;
use bedplate_formats::tree::TreePath;

use super::super::unit::{self, DIRECTORIES};
use super::super::{Findings, Subject};
use super::{DROP_IN_OF_NO_UNIT, made_at_boot, neighbour};

/// How drop-ins of the plan are called, which are for what an image may have.
const OF_THE_PLAN: [&str; 2] = ["-bedplate", "50-kept-"];

/// Tells drop-ins of the description for units that are not in the image: misspelt ones are mistakes.
pub(super) fn check(subject: &Subject<'_>, names: &[String], found: &mut Findings) {
    for directory in DIRECTORIES.map(TreePath::new) {
        for (path, _) in subject.origins.below(&directory) {
            let Some(name) = changed(&directory, path) else { continue };
            if is_known(subject, &name, names) {
                continue;
            }
            let near = neighbour(&name, names);
            let message = format!("`{path}` changes `{name}`, which is not in the image");
            let help = match &near {
                Some(near) => format!("call its directory `{near}.d`"),
                None => "add the package that brings the unit, or remove the file".to_owned(),
            };
            let diagnostic =
                subject.blame(Diagnostic::new(DROP_IN_OF_NO_UNIT.code, message).help(help), path, 1);
            if near.is_some() { &mut found.mistakes } else { &mut found.cautions }.push(diagnostic);
        }
    }
}

/// The unit that a drop-in is for.
fn changed(directory: &TreePath, path: &TreePath) -> Option<String> {
    let above = path.parent().filter(|above| above.depth() == directory.depth() + 1)?;
    let name = String::from_utf8_lossy(above.name()?).into_owned();
    let file = String::from_utf8_lossy(path.name()?).into_owned();
    let counts = file.ends_with(".conf") && !OF_THE_PLAN.iter().any(|part| file.contains(part));
    counts.then(|| name.strip_suffix(".d").map(str::to_owned)).flatten()
}

/// Whether there is such a unit, or there are units for which drop-ins of this name count: those of a type, and those
/// whose names begin so.
fn is_known(subject: &Subject<'_>, name: &str, names: &[String]) -> bool {
    let Some((stem, kind)) = name.rsplit_once('.') else { return true };
    let begins = |other: &String| other.starts_with(stem) && other.ends_with(&format!(".{kind}"));
    made_at_boot(name)
        || unit::exists(subject.tree, name)
        || stem.ends_with('-') && names.iter().any(begins)
        || stem.ends_with('@') && names.iter().any(begins)
}
