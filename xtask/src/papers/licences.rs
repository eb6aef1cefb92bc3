//! The licences of all packages, collected once for the same packages.
//!
//! Copyright files are read where the packages were installed, before a description removes them; of what its filters
//! left out, they are read out of the packages themselves.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;

use anyhow::{Context as _, Result};
use bedplate_core::lock::LockedPackage;
use bedplate_formats::control::stanzas;
use bedplate_formats::deb::{self, EntryKind};
use bedplate_formats::tree::{Content, Node, Tree, TreePath};
use fs_err as fs;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};

use super::copyright::{self, Licences};
use super::{EFI_PROGRAMS, Inputs};
use crate::key::Key;
use crate::store::Store;

/// What is found once for the same packages.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Found {
    /// The licences of the packages that have machine-readable ones, by name.
    pub packages: BTreeMap<String, Licences>,
    /// Those of the package with the EFI programs among the tools.
    pub efi_programs: Option<Licences>,
    /// The control file of that package; empty where it is not among the tools.
    pub efi_control: String,
    /// The package that the kernel's image is of.
    pub kernel: Option<String>,
}

/// Collects from the system and the tools of a build, or from the cache.
///
/// # Errors
/// A package or a file cannot be read.
pub fn collect(inputs: Inputs<'_>, status: &str) -> Result<Found> {
    let mut key = Key::new("licences");
    key.add(inputs.system.0);
    inputs.lock.tools.iter().for_each(|tool| key.add(&tool.sha256));
    let layer = inputs.store.layer_or_make("licences", &key.finish(), |directory| {
        let found = find(inputs, status)?;
        Ok(fs::write(directory.join("licences.json"), serde_json::to_vec(&found)?)?)
    })?;
    serde_json::from_slice(&fs::read(layer.join("licences.json"))?).context("reading the packages' licences")
}

fn find(inputs: Inputs<'_>, status: &str) -> Result<Found> {
    let Inputs { store, lock, plan, system: (_, system), .. } = inputs;
    let names: Vec<&str> = stanzas(status).filter_map(|stanza| stanza.field("Package")).collect();
    let has_none = |package: &&LockedPackage| system.content(&path(&package.name)).is_none();
    // Without filters, what has none has none in its package either.
    let without: Vec<&LockedPackage> = match plan.contents.filters.is_empty() {
        true => Vec::new(),
        false => lock.packages.iter().filter(has_none).collect(),
    };
    let efi = lock.tools.iter().find(|package| package.name == EFI_PROGRAMS);
    if efi.is_some() || !without.is_empty() {
        (inputs.fetch)()?;
    }
    let left_out = documents(store, &without)?;
    let read = |name: &&str| -> Result<Option<(String, Licences)>> {
        let Some(content) = system.content(&path(name)).or_else(|| left_out.content(&path(name))) else {
            return Ok(None);
        };
        let bytes = content.read().with_context(|| format!("reading the copyright file of `{name}`"))?;
        Ok(copyright::read(&bytes).map(|licences| ((*name).to_owned(), licences)))
    };
    let packages: Vec<Option<(String, Licences)>> = names.par_iter().map(read).collect::<Result<_>>()?;
    let tools = Tree::scan(inputs.tools).context("reading the tools")?;
    let of_tool = tools.content(&path(EFI_PROGRAMS)).map(Content::read).transpose()?;
    Ok(Found {
        packages: packages.into_iter().flatten().collect(),
        efi_control: efi.map(|package| control(store, package)).transpose()?.unwrap_or_default(),
        efi_programs: of_tool.and_then(|bytes| copyright::read(&bytes)),
        kernel: owner(system, &inputs.kernel.image)?,
    })
}

/// The control file of a package.
fn control(store: &Store, package: &LockedPackage) -> Result<String> {
    let file = store
        .path(&package.sha256)
        .with_context(|| format!("package `{}` is not in the store", package.name))?;
    let control = deb::read_control(File::open(file)?)
        .with_context(|| format!("reading package `{}`", package.name))?;
    Ok(String::from_utf8(control.file("control").map(|file| file.bytes.clone()).unwrap_or_default())?)
}

fn path(package: &str) -> TreePath {
    TreePath::new(format!("usr/share/doc/{package}/copyright"))
}

/// The copyright files of packages, and the links between the directories that they lie in.
fn documents(store: &Store, packages: &[&LockedPackage]) -> Result<Tree> {
    let read = |package: &&LockedPackage| -> Result<Vec<(TreePath, Node)>> {
        let file = store
            .path(&package.sha256)
            .with_context(|| format!("package `{}` is not in the store", package.name))?;
        let mut found = Vec::new();
        deb::read(
            BufReader::new(File::open(file)?),
            |_| Ok(()),
            |entry, content| {
                let path = TreePath::new(&entry.path);
                if !entry.path.starts_with(b"usr/share/doc/") {
                    return Ok(());
                }
                match entry.kind {
                    EntryKind::Symlink(target) => found.push((path, Node::symlink(target))),
                    EntryKind::File { .. } if entry.path.ends_with(b"/copyright") => {
                        let mut bytes = Vec::new();
                        content.read_to_end(&mut bytes)?;
                        found.push((path, Node::file(bytes, 0o644)));
                    }
                    _ => {}
                }
                Ok::<_, anyhow::Error>(())
            },
        )
        .with_context(|| format!("reading package `{}`", package.name))?;
        Ok(found)
    };
    let found: Vec<Vec<(TreePath, Node)>> = packages.par_iter().map(read).collect::<Result<_>>()?;
    let mut tree = Tree::new();
    found.into_iter().flatten().for_each(|(path, node)| tree.insert(path, node));
    Ok(tree)
}

/// The package whose list of files has this one.
fn owner(system: &Tree, file: &TreePath) -> Result<Option<String>> {
    let line = [b"/", &file.to_bytes()[..]].concat();
    for (path, _) in system.children(&TreePath::new("var/lib/dpkg/info")) {
        let name = path.name().and_then(|name| name.strip_suffix(b".list"));
        let Some(content) = name.and_then(|_| system.content(path)) else { continue };
        if content.read()?.split(|&byte| byte == b'\n').any(|listed| listed == line) {
            let name = String::from_utf8_lossy(name.unwrap_or_default()).into_owned();
            return Ok(Some(name.split(':').next().unwrap_or_default().to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_fixtures::deb::DebBuilder;

    #[test]
    fn what_filters_left_out_is_read_out_of_the_package() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::at(directory.path()).unwrap();
        let text = "Format: dep5\n\nFiles: *\nLicense: Expat\n";
        let deb = DebBuilder::new("agent", "1")
            .file("/usr/share/doc/agent/copyright", 0o644, text)
            .file("/usr/share/doc/agent/README", 0o644, "long")
            .file("/usr/bin/agent", 0o755, "code");
        let sha256 = store.insert(&deb.build()).unwrap();
        let package = LockedPackage {
            name: "agent".parse().unwrap(),
            version: "1".to_owned(),
            architecture: "all".to_owned(),
            pocket: "release".to_owned(),
            size: 1,
            sha256,
            url: "http://ftp.debian.org/debian/pool/agent.deb".parse().unwrap(),
        };
        let tree = documents(&store, &[&package]).unwrap();
        assert_eq!(tree.content(&path("agent")).unwrap().read().unwrap(), text.as_bytes());
        assert_eq!(tree.iter().filter(|(_, node)| !node.is_directory()).count(), 1);
    }

    #[test]
    fn the_owner_of_a_file_is_the_package_that_lists_it() {
        let mut system = Tree::new();
        for (package, list) in
            [("base:amd64", "/.\n/boot\n"), ("linux-image-6:amd64", "/boot\n/boot/vmlinuz-6\n")]
        {
            system
                .insert(TreePath::new(format!("var/lib/dpkg/info/{package}.list")), Node::file(list, 0o644));
        }
        let owner = |path: &str| owner(&system, &path.into()).unwrap();
        assert_eq!(owner("boot/vmlinuz-6").as_deref(), Some("linux-image-6"));
        assert_eq!(owner("boot/vmlinuz-7"), None);
    }
}
