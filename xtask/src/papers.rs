//! What an image is made of, for who has to account for it: `image.spdx.json` (SPDX 2.3) and `image.cdx.json`
//! (CycloneDX 1.6) name every package with its licences, and `image.provenance.json` (SLSA v1) tells what the build was
//! given.
//!
//! What `image.manifest` is for programs of this project, these are for everybody else's. What stands where is in
//! `docs/src/reference/papers.md`. They are the same bytes for the same inputs: their time is the image's, their ids are digests.
//!
//! Deliberately absent: a claim beyond what the packages say. A licence that no machine-readable file names is
//! `NOASSERTION`, and no licence is concluded.

mod commit;
mod copyright;
mod cyclonedx;
mod licence;
mod licences;
mod package;
pub mod provenance;
mod purl;
mod spdx;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use bedplate_core::lock::LockedPackage;
use bedplate_core::plan::ArtifactNames;
use bedplate_core::{Lock, Plan};
use bedplate_formats::control::stanzas;
use bedplate_formats::digest::hex;
use bedplate_formats::tree::{Kind, Tree, TreePath};
use camino::Utf8Path;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::commit::{commit, git};
use self::package::{Origin, Package};
use crate::archive::date;
use crate::artifacts::{Digests, Named};
use crate::step::initrd::Kernel;
use crate::step::origin::Origins;
use crate::store::Store;

/// The package of the tools that holds systemd-boot and the EFI stub.
const EFI_PROGRAMS: &str = "systemd-boot-efi";

/// What a bill of materials is made of, beside the plan and the artifacts.
#[derive(Debug, Serialize, Deserialize)]
pub struct Image {
    epoch: i64,
    /// `debian` and `13`, as the image's os-release says.
    system: (String, String),
    packages: Vec<Package>,
    /// The names of the packages that the description asks for.
    asked: BTreeSet<String>,
    /// The package of the kernel.
    kernel: Option<String>,
    /// The package with systemd-boot and the EFI stub, where it is not one of the image's.
    efi_programs: Option<Package>,
    files: Vec<OwnFile>,
}

/// A file that no package brought as it is.
#[derive(Debug, Serialize, Deserialize)]
struct OwnFile {
    /// `/etc/motd`
    path: String,
    sha1: String,
    sha256: String,
    /// Where it comes from, in words.
    origin: String,
    /// Not everybody on the device may read it: its digest would tell a short secret to who tries them all.
    private: bool,
}

/// What the papers are made from, beside the plan.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The cache.
    pub store: &'a Store,
    /// Brings the packages into it.
    pub fetch: &'a (dyn Fn() -> Result<()> + Sync),
    /// The directory that paths in the description start from.
    pub project: &'a Utf8Path,
    /// What was decided.
    pub plan: &'a Plan,
    /// What was pinned.
    pub lock: &'a Lock,
    /// The packages as they were installed, and the key of that entry of the cache.
    pub system: (&'a str, &'a Tree),
    /// The kernel in it.
    pub kernel: &'a Kernel,
    /// The directory of the tools.
    pub tools: &'a Path,
}

impl Image {
    /// Collects what is in the image: the packages as they were installed, and of the finished `tree` the files
    /// `brought` by the description.
    ///
    /// # Errors
    /// There is no dpkg database, or a file cannot be read.
    pub fn of(inputs: Inputs<'_>, tree: &Tree, brought: &BTreeSet<TreePath>) -> Result<Self> {
        let Inputs { plan, lock, system: (_, packages), .. } = inputs;
        let text = |path: &str| -> Result<String> {
            let content =
                packages.content(&path.into()).with_context(|| format!("the image has no /{path}"))?;
            String::from_utf8(content.read()?).with_context(|| format!("/{path} is not UTF-8"))
        };
        let (status, release) = (text("var/lib/dpkg/status")?, text("etc/os-release")?);
        let field = |name: &str| {
            let value = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().trim_matches('"').to_owned()
        };
        let system = (field("ID"), field("VERSION_ID"));
        let distro = format!("{}-{}", system.0, system.1);
        let found = licences::collect(inputs, &status)?;
        let origin = Origin { plan, lock, distro: &distro };
        let tool = lock.tools.iter().find(|package| package.name == EFI_PROGRAMS);
        let is_installed =
            |tool: &LockedPackage| lock.packages.iter().any(|other| other.sha256 == tool.sha256);
        let efi_programs = tool.filter(|tool| !is_installed(tool)).map(|tool| {
            let control = stanzas(&found.efi_control).next().unwrap_or_default();
            origin.package(tool, &control, found.efi_programs.as_ref())
        });
        let vendors =
            lock.packages.iter().filter(|package| plan.debs.iter().any(|deb| deb.url == package.url));
        Ok(Self {
            epoch: lock.epoch,
            packages: origin.installed(&status, &found.packages),
            asked: plan
                .packages
                .iter()
                .map(|package| package.name.to_string())
                .chain(vendors.map(|package| package.name.to_string()))
                .collect(),
            kernel: found.kernel,
            efi_programs,
            files: own_files(inputs, tree, brought)?,
            system,
        })
    }

    /// The bills of materials.
    fn bills(&self, plan: &Plan, artifacts: &Digests) -> Result<Named> {
        let names = &plan.artifacts;
        Ok(vec![
            (names.spdx.clone(), rendered(&spdx::document(plan, self, artifacts))),
            (names.cyclonedx.clone(), rendered(&cyclonedx::document(plan, self, artifacts))),
        ])
    }

    /// What is made of which packages: an artifact, the package, and what of it.
    fn parts<'a>(&'a self, names: &'a ArtifactNames) -> Vec<(&'a str, &'a str, &'static str)> {
        let kernel = self.kernel.iter().flat_map(|kernel| {
            [(names.kernel.as_str(), kernel.as_str(), "the kernel"), (&names.uki, kernel, "the kernel")]
        });
        let efi =
            [(names.uki.as_str(), EFI_PROGRAMS, "the EFI stub"), (&names.esp, EFI_PROGRAMS, "systemd-boot")];
        let is_there =
            |(_, name, _): &(&str, &str, &str)| self.every_package().any(|other| other.name == *name);
        kernel.chain(efi).filter(is_there).collect()
    }

    /// The packages that are installed, then the one of the EFI programs where it is another.
    fn every_package(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().chain(&self.efi_programs)
    }

    /// The time of the image: `2026-11-21T00:53:03Z`.
    fn timestamp(&self) -> String {
        let text = date::format(self.epoch);
        text.trim_end_matches(" UTC").replacen(' ', "T", 1) + "Z"
    }
}

/// Returns every paper by its name, for artifacts of these digests. The bills of materials are subjects of the
/// provenance.
///
/// # Errors
/// None that a well-formed plan has.
pub fn all(image: &Image, given: provenance::Given<'_>, artifacts: &Digests) -> Result<Named> {
    let mut papers = image.bills(given.plan, artifacts)?;
    let of_bills = papers.iter().map(|(name, bytes)| (name.clone(), hex(digest(&SHA256, bytes).as_ref())));
    let mut subjects: Digests = artifacts.iter().cloned().chain(of_bills).collect();
    subjects.sort();
    papers.push((given.plan.artifacts.provenance.clone(), provenance::statement(given, &subjects)?));
    Ok(papers)
}

/// The files of the description, with their digests.
fn own_files(inputs: Inputs<'_>, tree: &Tree, brought: &BTreeSet<TreePath>) -> Result<Vec<OwnFile>> {
    let origins = Origins::new(inputs.plan, inputs.project, tree);
    let mut files = Vec::new();
    for path in brought {
        let Some(node) = tree.get(path).filter(|node| matches!(node.kind, Kind::File(_) | Kind::Hardlink(_)))
        else {
            continue;
        };
        let Some(content) = tree.content(path) else { continue };
        let bytes = content.read().with_context(|| format!("reading {path}"))?;
        let origin = match origins.of(path).and_then(|origin| origin.file.as_ref()) {
            Some(file) => format!("copied from {file} of the project"),
            None => "generated from the description".to_owned(),
        };
        files.push(OwnFile {
            path: path.to_string(),
            sha1: hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, &bytes).as_ref()),
            sha256: hex(digest(&SHA256, &bytes).as_ref()),
            origin,
            private: node.mode & 0o004 == 0,
        });
    }
    Ok(files)
}

/// A document as a file, a field a line.
fn rendered(document: &serde_json::Value) -> Vec<u8> {
    format!("{document:#}\n").into_bytes()
}

/// The id of a document, which is that of its content.
fn id(document: &serde_json::Value) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, digest(&SHA256, document.to_string().as_bytes()).as_ref())
}
