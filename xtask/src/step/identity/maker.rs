//! Which package's scripts made a file.

use std::collections::BTreeSet;

use bedplate_formats::tree::{Content, Tree, TreePath};

use super::unowned::Packaged;

/// The scripts that may have made it.
const SCRIPTS: [&str; 3] = ["postinst", "preinst", "config"];
/// How many packages an error may name.
const MOST: usize = 3;

/// Returns the packages whose scripts name the path, else the directory it is
/// in or one above, else those that own that directory.
pub(super) fn packages(system: &Tree, packaged: &Packaged, path: &TreePath) -> Vec<String> {
    let owners: BTreeSet<String> = packaged.owners(path).map(str::to_owned).collect();
    let mut at = Some(path.clone());
    while let Some(place) = at.filter(|place| place.components().count() > 1) {
        let naming = naming(system, place.to_string().as_bytes());
        if (1..=MOST).contains(&naming.len()) {
            return naming.into_iter().collect();
        }
        let owning: BTreeSet<String> = packaged.owners(&place).map(str::to_owned).collect();
        if (1..=MOST).contains(&owning.len()) {
            return owning.into_iter().collect();
        }
        at = place.parent();
    }
    owners.into_iter().take(MOST).collect()
}

/// The packages one of whose scripts has the text.
fn naming(system: &Tree, text: &[u8]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (script, _) in system.children(&TreePath::new("var/lib/dpkg/info")) {
        let name = String::from_utf8_lossy(script.name().unwrap_or_default()).into_owned();
        let Some((package, kind)) = name.rsplit_once('.') else { continue };
        if !SCRIPTS.contains(&kind) {
            continue;
        }
        let bytes =
            system.content(script).and_then(|content: &Content| content.read().ok()).unwrap_or_default();
        if memchr::memmem::find(&bytes, text).is_some() {
            found.insert(package.split(':').next().unwrap_or(package).to_owned());
        }
    }
    found
}
