//! `image.manifest`: every package in the image, in the form of mkosi's JSON
//! manifest, read from the image's own dpkg database.
//!
//! <https://github.com/systemd/mkosi/blob/main/mkosi/resources/man/mkosi.1.md>

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use bedplate_core::{Lock, Plan};
use bedplate_formats::control;
use bedplate_formats::tree::{Kind, Tree, TreePath};
use camino::Utf8Path;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::origin::landed;

/// The manifest of one image.
#[derive(Debug, Serialize)]
pub struct Manifest {
    manifest_version: u32,
    config: Config,
    packages: Vec<Package>,
}

#[derive(Debug, Serialize)]
struct Config {
    name: String,
    /// The image's own; mkosi writes it, too, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    distribution: String,
    release: String,
    architecture: String,
}

/// One installed package.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    #[serde(skip_deserializing)]
    r#type: &'static str,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture: `amd64` or `all`.
    pub architecture: String,
    /// The address it was taken from, when it is in no archive; mkosi has no such key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The bytes of its files in the image; mkosi has no such key, and manifests of older programs have not.
    #[serde(default)]
    pub size: u64,
}

/// The packages that the text of a manifest names.
///
/// # Errors
/// It is none.
pub fn parse(text: &str) -> Result<Vec<Package>> {
    #[derive(Deserialize)]
    struct Packages {
        packages: Vec<Package>,
    }
    let Packages { packages } = serde_json::from_str(text)?;
    Ok(packages)
}

/// Writes the manifest of a tree.
///
/// # Errors
/// The tree has no dpkg database, or the file cannot be written.
pub fn write(plan: &Plan, lock: &Lock, tree: &Tree, file: &Utf8Path) -> Result<()> {
    let status =
        tree.content(&"var/lib/dpkg/status".into()).context("the image has no dpkg database")?.read()?;
    let status = String::from_utf8(status).context("the dpkg database is not UTF-8")?;
    let manifest = Manifest {
        manifest_version: 1,
        config: Config {
            name: plan.name.clone(),
            version: plan.version.clone(),
            distribution: plan.distribution.to_string(),
            release: plan.release.clone(),
            architecture: plan.architecture.systemd().to_owned(),
        },
        packages: packages(&status, lock, &sizes(tree)?),
    };
    let mut text = serde_json::to_string_pretty(&manifest)?;
    text.push('\n');
    fs::write(file, text)?;
    Ok(())
}

/// The bytes of each package's files in a tree. A file that two packages bring counts for one of them.
fn sizes(tree: &Tree) -> Result<BTreeMap<String, u64>> {
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    let mut counted = BTreeSet::new();
    for (path, _) in tree.below(&TreePath::new("var/lib/dpkg/info")) {
        let name = path.name().map(String::from_utf8_lossy).unwrap_or_default();
        let Some(package) = name.strip_suffix(".list") else { continue };
        let list = tree.content(path).context("a list of dpkg's is no file")?.read()?;
        for path in String::from_utf8_lossy(&list).lines() {
            let path = landed(tree, &TreePath::new(path));
            let Some(Kind::File(content)) = tree.get(&path).map(|node| &node.kind) else { continue };
            if counted.insert(path) {
                let package = package.split(':').next().unwrap_or_default();
                *sizes.entry(package.to_owned()).or_default() += content.len();
            }
        }
    }
    Ok(sizes)
}

fn packages(status: &str, lock: &Lock, sizes: &BTreeMap<String, u64>) -> Vec<Package> {
    let origin = |name: &str| {
        let locked = lock
            .packages
            .iter()
            .find(|package| package.name == name && (package.is_vendors() || package.is_projects()));
        locked.map(|package| package.url.to_string())
    };
    let mut packages: Vec<Package> = control::stanzas(status)
        .filter(|stanza| stanza.field("Status").is_some_and(|status| status.ends_with(" installed")))
        .map(|stanza| {
            let field = |name| stanza.field(name).unwrap_or_default().to_owned();
            Package {
                r#type: "deb",
                name: field("Package"),
                version: field("Version"),
                architecture: field("Architecture"),
                origin: origin(&field("Package")),
                size: sizes.get(&field("Package")).copied().unwrap_or_default(),
            }
        })
        .collect();
    packages.sort();
    packages
}

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_core::lock::{LockedPackage, VENDOR};
    use bedplate_core::value::Sha256;
    use bedplate_formats::tree::Node;

    const STATUS: &str = "Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:1.3\n\n\
                          Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n\n\
                          Package: apt\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0\n";

    fn lock(pocket: &str) -> Lock {
        let package = LockedPackage {
            name: "apt".parse().unwrap(),
            version: "3.0".to_owned(),
            architecture: "amd64".to_owned(),
            pocket: pocket.to_owned(),
            size: 1,
            sha256: Sha256::of([0; 32]),
            url: "https://vendor.example/apt.deb".parse().unwrap(),
        };
        Lock { packages: vec![package], ..Lock::default() }
    }

    #[test]
    fn only_what_is_installed_is_listed_and_sorted() {
        let packages = packages(STATUS, &lock("release"), &BTreeMap::new());
        let names: Vec<String> = packages.into_iter().map(|p| p.name + " " + &p.version).collect();
        assert_eq!(names, ["apt 3.0", "zlib1g 1:1.3"]);
    }

    #[test]
    fn a_package_has_the_size_of_its_files_wherever_they_landed() {
        let mut tree = Tree::new();
        let mut put = |path: &str, node| tree.insert(TreePath::new(path), node);
        put("bin", Node::symlink("usr/bin"));
        put("usr/bin/ls", Node::file("12345", 0o755));
        put("usr/share/doc", Node::directory(0o755));
        put(
            "var/lib/dpkg/info/ls:amd64.list",
            Node::file("/.\n/bin\n/bin/ls\n/usr/share/doc\n/gone\n", 0o644),
        );
        put("var/lib/dpkg/info/ls:amd64.md5sums", Node::file("/usr/bin/ls", 0o644));
        assert_eq!(sizes(&tree).unwrap(), BTreeMap::from([("ls".to_owned(), 5)]));
    }

    #[test]
    fn what_is_in_no_archive_says_where_it_is_from() {
        let origins = |pocket| {
            packages(STATUS, &lock(pocket), &BTreeMap::new())
                .into_iter()
                .map(|p| p.origin)
                .collect::<Vec<_>>()
        };
        assert_eq!(origins(VENDOR), [Some("https://vendor.example/apt.deb".to_owned()), None]);
        assert_eq!(origins("release"), [None, None]);
    }
}
