//! The bills of materials and the provenance of a build, held against the image and against readers of others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::product::{self, edge_debian, success};
use crate::python::Python;
use bedplate::disk::Disk;
use bedplate_formats::tree::{Kind, Tree, TreePath};
use serde_json::Value;

/// The readers; each brings the schemas or the message types that it reads by.
const READERS: [&str; 3] =
    ["spdx-tools==0.8.5", "cyclonedx-python-lib[json-validation]==11.12.0", "in-toto-attestation==0.9.3"];

fn paper(out: &Path, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(out.join(name)).unwrap()).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The packages of an SPDX document that are installed, by name.
pub fn debs(out: &Path) -> BTreeMap<String, Value> {
    let document = paper(out, "image.spdx.json");
    let debs = list(&document, "packages").iter().filter(|package| package.get("supplier").is_some());
    debs.map(|package| (text(package, "name").to_owned(), package.clone())).collect()
}

#[test]
fn every_package_of_the_manifest_is_in_both_bills_of_materials() {
    let out = edge_debian();
    let manifest = paper(out, "image.manifest");
    let manifest: BTreeSet<(&str, &str)> = list(&manifest, "packages")
        .iter()
        .map(|package| (text(package, "name"), text(package, "version")))
        .collect();
    let spdx = debs(out);
    let of_spdx = |name: &str| (text(&spdx[name], "name"), text(&spdx[name], "versionInfo"));
    for (name, version) in &manifest {
        assert_eq!(of_spdx(name), (*name, *version));
    }
    let cyclonedx = paper(out, "image.cdx.json");
    let libraries =
        list(&cyclonedx, "components").iter().filter(|component| text(component, "type") == "library");
    let libraries: BTreeSet<(&str, &str)> =
        libraries.map(|component| (text(component, "name"), text(component, "version"))).collect();
    assert!(manifest.is_subset(&libraries));

    // As the lock has them.
    let lock = product::locked(&product::lock());
    for package in &lock.packages {
        let found = &spdx[package.name.as_str()];
        assert_eq!(text(found, "downloadLocation"), package.url.as_str());
        assert_eq!(found["checksums"][0]["checksumValue"], package.sha256.as_str());
    }
    // Nearly all of Debian's copyright files can be read by a machine.
    let declared = spdx.values().filter(|package| text(package, "licenseDeclared") != "NOASSERTION").count();
    assert!(declared * 10 > spdx.len() * 7, "{declared} of {} packages have licences", spdx.len());
    let systemd = text(&spdx["systemd"], "licenseDeclared");
    assert!(systemd.contains("LGPL-2.1-or-later"), "{systemd}");
    // libc6 is needed by what links it, the package of the kernel by what is made of it.
    let document = paper(out, "image.spdx.json");
    let has = |from: &str, kind: &str, to: &str| {
        list(&document, "relationships").iter().any(|relation| {
            text(relation, "spdxElementId") == from
                && text(relation, "relationshipType") == kind
                && text(relation, "relatedSpdxElement").starts_with(to)
        })
    };
    assert!(has("SPDXRef-Package-systemd", "DEPENDS_ON", "SPDXRef-Package-libc6"));
    assert!(has("SPDXRef-Artifact-image.efi", "GENERATED_FROM", "SPDXRef-Package-linux-image-"));
    assert!(has("SPDXRef-Artifact-image.efi", "GENERATED_FROM", "SPDXRef-Package-systemd-boot-efi"));
    assert!(has("SPDXRef-Artifact-image.esp.raw", "GENERATED_FROM", "SPDXRef-Package-systemd-boot-efi"));
    assert!(has("SPDXRef-Package-libc6", "GENERATED_FROM", "SPDXRef-Source-glibc-"));
}

#[test]
fn every_program_is_of_a_package_or_a_file_of_the_description_in_the_bill_of_materials() {
    let out = edge_debian();
    let tree = Disk::open(out.join("image.raw")).unwrap().root().unwrap().tree().unwrap();
    let packages = debs(out);
    let document = paper(out, "image.spdx.json");
    let files = list(&document, "files");
    let of = |name: &str| files.iter().find(|file| text(file, "fileName") == name).unwrap();
    let comment = text(of("./etc/docker/daemon.json"), "comment");
    assert!(comment.ends_with("overlay/etc/docker/daemon.json of the project"), "{comment}");
    let mut known: BTreeSet<TreePath> =
        files.iter().map(|file| TreePath::new(text(file, "fileName"))).collect();
    for package in packages.keys() {
        known.extend(listed(&tree, package));
    }
    let (mut programs, mut lost) = (0, Vec::new());
    for (path, node) in tree.below(&TreePath::new("/usr/bin")) {
        // A link is as good as what it leads to: those of alternatives are of no package.
        let file = match node.kind {
            Kind::File(_) | Kind::Hardlink(_) => path.clone(),
            Kind::Symlink(_) => match tree.resolve(path) {
                Some((target, _)) => target,
                None => continue,
            },
            _ => continue,
        };
        programs += 1;
        if !known.contains(&file) {
            lost.push(format!("{path} ({file})"));
        }
    }
    assert!(programs > 300, "{programs} programs");
    assert!(lost.is_empty(), "of no package and no overlay: {lost:?}");
}

/// What dpkg's database of the image says is a package's, where it is in the tree.
fn listed(tree: &Tree, package: &str) -> Vec<TreePath> {
    let info = TreePath::new("/var/lib/dpkg/info");
    let names = [format!("{package}.list"), format!("{package}:amd64.list")];
    // That of the EFI programs is not installed.
    let content = names.iter().find_map(|name| tree.content(&info.join(name)));
    let content = content.map(|content| content.read().unwrap()).unwrap_or_default();
    let lines = content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let place = |line: &[u8]| {
        let path = TreePath::new(line);
        let (above, _) = tree.resolve(&path.parent()?)?;
        Some(above.join(path.name()?))
    };
    lines.filter_map(place).collect()
}

#[test]
fn the_provenance_is_about_every_artifact() {
    let out = edge_debian();
    let sums = std::fs::read_to_string(out.join("image.SHA256SUMS")).unwrap();
    let sums: BTreeMap<&str, &str> =
        sums.lines().filter_map(|line| line.split_once(" *")).map(|(digest, name)| (name, digest)).collect();
    let provenance = paper(out, "image.provenance.json");
    let subjects: BTreeMap<&str, &str> = list(&provenance, "subject")
        .iter()
        .map(|subject| (text(subject, "name"), text(&subject["digest"], "sha256")))
        .collect();
    let others =
        sums.into_iter().filter(|(name, _)| !["image.provenance.json", "image.raucb"].contains(name));
    assert_eq!(subjects, others.collect());
    assert!(subjects.contains_key("image.spdx.json") && subjects.contains_key("image.raw"));
    let definition = &provenance["predicate"]["buildDefinition"];
    assert_eq!(text(&definition["externalParameters"], "image"), "edge-debian");
    let lock = product::locked(&product::lock());
    let given: BTreeSet<&str> = list(definition, "resolvedDependencies")
        .iter()
        .map(|input| text(&input["digest"], "sha256"))
        .collect();
    assert!(lock.packages.iter().chain(&lock.tools).all(|package| given.contains(package.sha256.as_str())));
}

#[test]
fn readers_of_others_find_no_fault_with_the_papers() {
    if !product::all() {
        return;
    }
    let python = Python::with("papers", &READERS);
    let said = success(python.command(&["tests/build/papers/judge.py"]).arg(edge_debian()));
    assert!(said.contains("package URLs"), "{said}");
}
