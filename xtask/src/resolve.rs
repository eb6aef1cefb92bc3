//! From package names to exact files: what goes into the lock.
//!
//! apt is the resolver, the image's own distribution's apt, in the sandbox, on indexes we have verified and with no
//! network. We never write our own. What we do ourselves is to find the few packages apt itself consists of
//! ([`bootstrap`]), to say which name is unknown before apt does, with the nearest known ones, and to read apt's
//! answer back against the index it was given.

mod apt;
mod bootstrap;
pub mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result};
pub use bedplate_core::lock::LockedPackage;
use bedplate_core::spelling;
use bedplate_formats::control::{Stanza, stanzas};
use thiserror::Error;

use self::apt::{Apt, Wishes};
use crate::archive::index::{Index, Package};
use crate::archive::{self, Archive, Opened};
use crate::fetch::{Fetcher, Progress};
use crate::source::vendor::VendorDeb;
use why::Dependencies;

/// Why a set of packages has no solution. Everything else that goes wrong is not the description's fault.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum ResolveError {
    /// No archive has it.
    #[error("no archive has a package `{name}`{}", suggestion(nearest))]
    UnknownPackage {
        /// As asked for.
        name: String,
        /// Known names near to it, the nearest first.
        nearest: Vec<String>,
    },
    /// It is only a name others provide. A lock names packages, so the description does too.
    #[error("`{name}` is a virtual package; name the one you want: {}", quoted(providers))]
    VirtualPackage {
        /// As asked for.
        name: String,
        /// Who provides it, sorted.
        providers: Vec<String>,
    },
    /// The packages cannot be installed together.
    #[error("the packages cannot be installed together:\n{explanation}")]
    Unsatisfiable {
        /// Those apt complains about, in its order; not all of them were asked for by name.
        packages: Vec<String>,
        /// apt's words.
        explanation: String,
    },
}

/// Verified archives, ready to answer which files a set of package names means.
#[derive(Debug)]
pub struct Resolver {
    opened: Vec<Opened>,
    /// For each archive, its indexes; behind them that of the vendors' packages.
    indexes: Vec<Vec<Index>>,
    vendors: Vec<LockedPackage>,
    apt: Apt,
}

impl Resolver {
    /// Opens the archives and makes apt ready.
    ///
    /// `debs` are packages beside the archives' ones; each is the only one of its name that may be installed in a
    /// system, and none is a tool.
    /// `architecture` is Debian's name of it; where it is not the one of this machine, `runner` has the release of
    /// the same distribution for that, with its name. `now` in seconds after 1970.
    pub fn open(
        fetcher: &Fetcher,
        archives: &[Archive],
        debs: Vec<VendorDeb>,
        architecture: &str,
        runner: Option<(Archive, &str)>,
        now: i64,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let opened = archive::open(fetcher, archives, architecture, now, progress)?;
        let mut indexes = indexes(&opened)?;
        let tree = match runner {
            // apt runs on this machine, whatever it resolves for.
            Some((archive, architecture)) => {
                let opened = archive::open(fetcher, &[archive], architecture, now, progress)?;
                bootstrap::tree(fetcher, &opened, &self::indexes(&opened)?, progress)
            }
            None => bootstrap::tree(fetcher, &opened, &indexes, progress),
        };
        let tree = tree.context("cannot set up apt, the resolver")?;
        let index = vendor_index(&debs);
        let apt = Apt::new(fetcher.store(), tree, &opened, &index, architecture)?;
        indexes.push(vec![Index::parse(index.into_bytes())?]);
        Ok(Self { opened, indexes, vendors: debs.into_iter().map(|deb| deb.locked).collect(), apt })
    }

    /// The archives as they were verified.
    pub fn archives(&self) -> &[Opened] {
        &self.opened
    }

    /// The newest date of the archives, in seconds after 1970: the `SOURCE_DATE_EPOCH` of what is built from them.
    pub fn epoch(&self) -> i64 {
        self.opened.iter().map(|opened| opened.release.date).max().unwrap_or_default()
    }

    /// The packages of a system: these, the essential ones, and what they depend on; without recommendations.
    ///
    /// What is named in `without` is not installed, whatever else depends on it. Fails with [`ResolveError`] when
    /// there is no solution.
    pub fn system(&self, packages: &[String], without: &[String]) -> Result<Vec<LockedPackage>> {
        let essential: BTreeSet<String> = self
            .indexes
            .iter()
            .flatten()
            .flat_map(Index::essential)
            .filter(|name| !without.contains(name))
            .collect();
        let wanted: BTreeSet<&str> = essential.iter().chain(packages).map(String::as_str).collect();
        let vendors = self.vendors.iter().map(|package| package.name.clone()).collect();
        self.resolve(&wanted, Wishes { without: without.to_owned(), vendors: Some(vendors) })
    }

    /// The packages of a tree of tools: these and what they depend on. Nothing essential is added, and nothing
    /// is to be configured in it.
    pub fn tools(&self, packages: &[String]) -> Result<Vec<LockedPackage>> {
        let wanted = packages.iter().map(String::as_str).collect();
        self.resolve(&wanted, Wishes { without: Vec::new(), vendors: None })
    }

    fn resolve(&self, wanted: &BTreeSet<&str>, wishes: Wishes) -> Result<Vec<LockedPackage>> {
        for name in wanted.iter().copied().chain(wishes.without.iter().map(String::as_str)) {
            self.check_known(name)?;
        }
        let chosen = self.apt.install(wanted, &wishes)?;
        let mut locked: Vec<_> = chosen.iter().map(|chosen| self.locked(chosen)).collect::<Result<_>>()?;
        locked
            .sort_by(|left, right| (&left.name, &left.architecture).cmp(&(&right.name, &right.architecture)));
        Ok(locked)
    }

    /// What these packages depend on, as the indexes have it.
    pub fn dependencies(&self, packages: &[LockedPackage]) -> Dependencies {
        let is_locked = |package: &LockedPackage, stanza: &Stanza<'_>| {
            stanza.field("SHA256").is_some_and(|sha256| sha256 == package.sha256)
        };
        Dependencies::of(
            packages.iter().flat_map(|package| {
                self.find(&package.name).filter(move |stanza| is_locked(package, stanza))
            }),
        )
    }

    /// What the verified index says of a file apt chose.
    fn locked(&self, chosen: &apt::Chosen) -> Result<LockedPackage> {
        let package = self.indexes[chosen.archive]
            .iter()
            .flat_map(|index| index.find(&chosen.name))
            .find(|stanza| stanza.field("SHA256") == Some(&chosen.sha256))
            .with_context(|| format!("apt chose a file of `{}` that no index names", chosen.name))?;
        let Some(opened) = self.opened.get(chosen.archive) else {
            let mut vendors = self.vendors.iter();
            let package =
                vendors.find(|package| (&package.name, &package.sha256) == (&chosen.name, &chosen.sha256));
            return package
                .cloned()
                .with_context(|| format!("apt chose a file of `{}` that no vendor has", chosen.name));
        };
        let archive = &opened.archive;
        let Package { name, version, architecture, path, size, sha256 } = Package::from_stanza(package)?;
        let (pocket, url) = (archive.pocket.clone(), archive.url(&path));
        Ok(LockedPackage { name, version, architecture, pocket, size, sha256, url })
    }

    /// apt says it too, but without a suggestion, and for one name at a time.
    fn check_known(&self, name: &str) -> Result<(), ResolveError> {
        if self.find(name).next().is_some() {
            return Ok(());
        }
        let mut provided: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, providers) in self.indexes.iter().flatten().flat_map(Index::provided) {
            provided.entry(name).or_default().extend(providers);
        }
        match provided.get(name) {
            Some(providers) => Err(ResolveError::VirtualPackage {
                name: name.to_owned(),
                providers: providers.iter().map(|&name| name.to_owned()).collect(),
            }),
            None => {
                let names = self.indexes.iter().flatten().flat_map(Index::names);
                Err(ResolveError::UnknownPackage {
                    name: name.to_owned(),
                    nearest: spelling::near(name, names).into_iter().take(3).map(str::to_owned).collect(),
                })
            }
        }
    }

    fn find<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Stanza<'a>> {
        self.indexes.iter().flatten().flat_map(move |index| index.find(name))
    }
}

/// For each archive, its indexes.
fn indexes(opened: &[Opened]) -> Result<Vec<Vec<Index>>> {
    let of = |opened: &Opened| opened.packages.iter().map(archive::Packages::index).collect();
    opened.iter().map(of).collect()
}

/// The index an archive of these packages would have.
fn vendor_index(debs: &[VendorDeb]) -> String {
    /// What an index says of a file, and a control file has no business to say.
    const OF_THE_FILE: [&str; 6] = ["Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512"];
    let mut index = String::new();
    for VendorDeb { locked: LockedPackage { name, version, architecture, size, sha256, .. }, control } in debs
    {
        // The name stands first, as in every index.
        index.push_str(&format!(
            "Package: {name}\nFilename: pool/{name}_{version}_{architecture}.deb\nSize: {size}\nSHA256: {sha256}\n"
        ));
        let fields =
            stanzas(control).next().into_iter().flat_map(|stanza| stanza.fields().collect::<Vec<_>>());
        let is_said = |field: &str| OF_THE_FILE.iter().any(|said| field.eq_ignore_ascii_case(said));
        for (field, value) in
            fields.filter(|(field, _)| !field.eq_ignore_ascii_case("Package") && !is_said(field))
        {
            index.push_str(&format!("{field}: {value}\n"));
        }
        index.push('\n');
    }
    index
}

/// Where the files of a lock are in the store.
pub(crate) fn stored(fetcher: &Fetcher, packages: &[LockedPackage]) -> Result<Vec<PathBuf>> {
    packages
        .iter()
        .map(|package| {
            fetcher
                .store()
                .path(&package.sha256)
                .with_context(|| format!("`{}` has left the store", package.name))
        })
        .collect()
}

fn suggestion(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!("; near to it are {}", quoted(nearest)) }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
