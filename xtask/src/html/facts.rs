//! What a page tells: read from the artifacts of a build, beside the plan.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use bedplate_core::Plan;
use bedplate_core::plan::Why;
use bedplate_formats::filesystem::FileType;
use camino::Utf8Path;
use fs_err as fs;
use serde_json::Value;

use crate::diff::{Comparison, Side, system};
use crate::disk::{Disk, Inspection};
use crate::step::{self, manifest};

/// All that a page is made of.
#[derive(Debug)]
pub struct Facts<'a> {
    /// What the description says now.
    pub plan: &'a Plan,
    /// Whether the image is signed by keys that everybody may have.
    pub development_keys: bool,
    /// The disk, and the kernel image on it.
    pub disk: Inspection,
    /// What is on it.
    pub built: Side,
    /// The bytes in use on partitions, by label, where that is known.
    pub used: BTreeMap<String, u64>,
    /// The bytes of each package's files; those that no package brings are under the empty name.
    pub sizes: BTreeMap<String, u64>,
    /// Every package.
    pub packages: Vec<Package>,
    /// What the description says now, against what is built; or another image against this one.
    pub changes: Comparison,
    /// What the image is compared with, where that is another image.
    pub since: Option<&'a str>,
}

/// A package of the image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture: `amd64` or `all`.
    pub architecture: String,
    /// Where it comes from, when it is in no archive.
    pub origin: Option<String>,
    /// Its licences as the bill of materials has them; none where the package declares none that can be read.
    pub licence: Option<String>,
    /// The bytes of its files.
    pub size: Option<u64>,
    /// Whether the description asks for it by name.
    pub asked: bool,
    /// What needs it, where the description does by something else that it says.
    pub implied: Option<String>,
}

/// What the page is about, beside the artifacts.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What the description says now.
    pub plan: &'a Plan,
    /// Whether the image is signed by keys that everybody may have.
    pub development_keys: bool,
    /// The directory of the artifacts.
    pub directory: &'a Utf8Path,
}

impl<'a> Facts<'a> {
    /// Reads the artifacts. `built` is what a comparison has read of them already.
    ///
    /// # Errors
    /// An artifact is missing or damaged.
    pub fn read(
        subject: Subject<'a>,
        built: Side,
        changes: Comparison,
        since: Option<&'a str>,
    ) -> Result<Self> {
        let Subject { plan, development_keys, directory } = subject;
        let names = &plan.artifacts;
        let text = |name: &str| fs::read_to_string(directory.join(name));
        let spdx: Value = serde_json::from_str(&text(&names.spdx)?)
            .with_context(|| format!("invalid JSON in `{}`", names.spdx))?;
        let sizes = match built.files.get("root") {
            Some(root) => system::sizes(root, &built.owners),
            None => BTreeMap::new(),
        };
        let mut packages = packages(&text(&names.manifest)?, &licences(&spdx))
            .with_context(|| format!("invalid manifest `{}`", names.manifest))?;
        for package in &mut packages {
            package.size = sizes.get(&package.name).copied();
            let why = plan.package(&package.name).map(|planned| &planned.why);
            package.asked = why == Some(&Why::Asked) || package.origin.is_some();
            package.implied = match why {
                Some(Why::Implied(why)) => Some(why.clone()),
                Some(Why::Asked) | None => None,
            };
        }
        Ok(Self {
            plan,
            development_keys,
            disk: Disk::open(directory.join(&names.disk))?.inspect()?,
            used: used(plan, directory, &built),
            sizes,
            packages,
            built,
            changes,
            since,
        })
    }

    /// The names of the packages that the description asks for.
    pub fn asked(&self) -> BTreeSet<&str> {
        self.packages.iter().filter(|package| package.asked).map(|package| package.name.as_str()).collect()
    }
}

/// How much of each partition its artifact fills. A data partition is empty, and its own size on each device.
fn used(plan: &Plan, directory: &Utf8Path, built: &Side) -> BTreeMap<String, u64> {
    let mut used = BTreeMap::new();
    let whole =
        [Some(&plan.artifacts.root), plan.artifacts.verity.as_ref(), plan.artifacts.uki_slot.as_ref()];
    for (partition, name) in step::disk::artifacts(&plan.disk, &plan.artifacts) {
        let is_whole = whole.iter().flatten().any(|whole| *whole == name);
        if let Some(meta) = fs::metadata(directory.join(name)).ok().filter(|_| is_whole) {
            used.insert(partition.label.clone(), meta.len());
        }
    }
    if let Some(esp) = built.files.get("esp") {
        let files = esp.paths().filter_map(|path| esp.metadata(path));
        let files = files.filter(|file| file.kind == FileType::Regular).map(|file| file.size);
        used.insert(plan.disk.esp.partition.label.clone(), files.sum());
    }
    used
}

/// The packages of a manifest, with their licences by name.
fn packages(manifest: &str, licences: &BTreeMap<&str, &str>) -> Result<Vec<Package>> {
    let package = |package: manifest::Package| {
        let licence = licences.get(package.name.as_str()).filter(|licence| **licence != "NOASSERTION");
        Package {
            licence: licence.map(|licence| (*licence).to_owned()),
            name: package.name,
            version: package.version,
            architecture: package.architecture,
            origin: package.origin,
            ..Package::default()
        }
    };
    Ok(manifest::parse(manifest)?.into_iter().map(package).collect())
}

/// What each package of a bill of materials declares, by name.
fn licences(spdx: &Value) -> BTreeMap<&str, &str> {
    let packages = spdx["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let declared = packages.iter().filter_map(|package| {
        let of_package = package["SPDXID"].as_str()?.starts_with("SPDXRef-Package-");
        package["name"].as_str().zip(package["licenseDeclared"].as_str()).filter(|_| of_package)
    });
    declared.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_package_has_what_manifest_and_bill_of_materials_tell() {
        let manifest = json!({"packages": [
            {"name": "bash", "version": "5.2", "architecture": "amd64"},
            {"name": "agent", "version": "1", "architecture": "all", "origin": "https://vendor.example/agent.deb"},
        ]});
        let spdx = json!({"packages": [
            {"SPDXID": "SPDXRef-Artifact-bash", "name": "bash"},
            {"SPDXID": "SPDXRef-Package-bash", "name": "bash", "licenseDeclared": "GPL-3.0-or-later"},
            {"SPDXID": "SPDXRef-Package-agent", "name": "agent", "licenseDeclared": "NOASSERTION"},
        ]});
        let packages = packages(&manifest.to_string(), &licences(&spdx)).unwrap();
        assert_eq!(packages[0].licence.as_deref(), Some("GPL-3.0-or-later"));
        assert_eq!(packages[1].licence, None);
        assert!(packages[1].origin.is_some());
        assert!(super::packages("{}", &BTreeMap::new()).is_err());
    }
}
