//! Firmware of the modules that the description asks for.
//!
//! The modules of the table (`drivers`) bring none: disks and buses they are for
//! start without, and a dump of all firmware is larger than the rest of an
//! initrd. Files are unpacked, whatever the kernel could read: the initrd is
//! compressed itself.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use bedplate_formats::modules::{Modules, info};
use bedplate_formats::tree::{Tree, TreePath};

use super::Kernel;
use super::kernel::plain_module;

/// Endings of compressed firmware, as the kernel looks for them.
const COMPRESSED: [&str; 3] = ["", ".xz", ".zst"];

/// What one module asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Firmware {
    /// The module's name.
    pub(super) module: String,
    /// The names it asks for, as it spells them.
    pub(super) asked: Vec<String>,
    /// The file of the system, by the path it has uncompressed.
    pub(super) found: BTreeMap<TreePath, TreePath>,
}

/// The firmware of some modules and of what they need; modules that ask for none are left out.
pub(super) fn of<'n>(
    system: &Tree,
    kernel: &Kernel,
    modules: &Modules,
    names: impl IntoIterator<Item = &'n str>,
) -> anyhow::Result<Vec<Firmware>> {
    let mut all = Vec::new();
    for name in modules.closure(names)? {
        let Some(module) = modules.get(&name) else { continue };
        let path = kernel.modules.join(&module.path);
        let content = system.content(&path).with_context(|| format!("`{path}` is not in the system"))?;
        let bytes = plain_module(&path, content.read().with_context(|| format!("cannot read `{path}`"))?)?;
        let asked = info::values(&bytes, "firmware");
        if !asked.is_empty() {
            let found = asked.iter().flat_map(|pattern| files(system, kernel, pattern)).collect();
            all.push(Firmware { module: name, asked, found });
        }
    }
    Ok(all)
}

/// The files that fit a pattern, by their uncompressed path; the first of the
/// directories that has one wins, as for the kernel.
fn files(system: &Tree, kernel: &Kernel, pattern: &str) -> BTreeMap<TreePath, TreePath> {
    let root = TreePath::new("/usr/lib/firmware");
    let updates = root.join("updates");
    let directories = [updates.join(&kernel.release), updates, root.join(&kernel.release), root];
    for directory in directories {
        let found = below(system, &directory, pattern);
        if !found.is_empty() {
            return found;
        }
    }
    BTreeMap::new()
}

fn below(system: &Tree, directory: &TreePath, pattern: &str) -> BTreeMap<TreePath, TreePath> {
    let (parent, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let parents: BTreeSet<TreePath> = if parent.contains(['*', '?']) {
        let fits = |path: &TreePath| {
            let below = path.to_bytes().get(directory.to_bytes().len() + 1..).map(<[u8]>::to_vec);
            below.is_some_and(|below| info::fits(parent.as_bytes(), &below))
        };
        system.below(directory).map(|(path, _)| path.clone()).filter(fits).collect()
    } else {
        BTreeSet::from([parent
            .split('/')
            .filter(|part| !part.is_empty())
            .fold(directory.clone(), |path, part| path.join(part))])
    };
    let mut found = BTreeMap::new();
    for parent in parents {
        if !name.contains(['*', '?']) {
            let candidates = COMPRESSED.iter().map(|ending| parent.join(format!("{name}{ending}")));
            let file = candidates.into_iter().find(|path| system.content(path).is_some());
            found.extend(file.map(|file| (parent.join(name), file)));
            continue;
        }
        // A directory of the firmware may be a link to another one.
        let Some((real, _)) = system.resolve(&parent) else { continue };
        for (file, _) in system.children(&real) {
            let (Some(file_name), true) = (file.name(), system.content(file).is_some()) else { continue };
            let plain = COMPRESSED[1..].iter().find_map(|ending| file_name.strip_suffix(ending.as_bytes()));
            let plain = plain.unwrap_or(file_name);
            if info::fits(name.as_bytes(), plain) {
                found.insert(parent.join(plain), file.clone());
            }
        }
    }
    found
}

/// Debian's packages with firmware, by how the files' names start.
const PACKAGES: &[(&str, &str)] = &[
    ("amdgpu/", "firmware-amd-graphics"),
    ("ath10k/", "firmware-atheros"),
    ("ath11k/", "firmware-atheros"),
    ("ath12k/", "firmware-atheros"),
    ("bnx2/", "firmware-bnx2"),
    ("bnx2x", "firmware-bnx2x"),
    ("brcm/", "firmware-brcm80211"),
    ("cxgb", "firmware-misc-nonfree"),
    ("i915/", "firmware-intel-graphics"),
    ("iwlwifi-", "firmware-iwlwifi"),
    ("liquidio/", "firmware-cavium"),
    ("mediatek/", "firmware-mediatek"),
    ("mrvl/", "firmware-libertas"),
    ("netronome/", "firmware-netronome"),
    ("ql2", "firmware-qlogic"),
    ("qed/", "firmware-qlogic"),
    ("radeon/", "firmware-amd-graphics"),
    ("rtl_", "firmware-realtek"),
    ("rtlwifi/", "firmware-realtek"),
    ("rtw8", "firmware-realtek"),
    ("tigon/", "firmware-misc-nonfree"),
];

/// The package that has a file, where it is known.
pub(super) fn package(file: &str, ubuntu: bool) -> Option<&'static str> {
    if ubuntu {
        return Some("linux-firmware");
    }
    PACKAGES.iter().find(|(start, _)| file.starts_with(start)).map(|(_, package)| *package)
}
