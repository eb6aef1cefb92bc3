//! From package names to exact files: what goes into the lock.
//!
//! apt is the resolver, the image's own distribution's apt, in the sandbox, on indexes we have verified and with no
//! network. We never write our own. What we do ourselves is to find the few packages apt itself consists of
//! ([`bootstrap`]), to say which name is unknown before apt does, with the nearest known ones, and to read apt's
//! answer back against the index it was given.

mod apt;
mod bootstrap;
mod recommended;
pub mod why;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result};
pub use bedplate_core::lock::{LockedPackage, Recommended};
use bedplate_core::spelling;
use bedplate_core::value::{PackageName, Url};
use bedplate_formats::control::{Stanza, stanzas};
use bedplate_formats::deb::compare_versions;
use thiserror::Error;

use self::apt::{Apt, Constraints};
use self::recommended::{Followed, Installed};
use crate::archive::index::{Index, Package};
use crate::archive::{self, Archive, Opened};
use crate::fetch::{Fetcher, Progress};
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
    /// The archive it is to be taken from has it not.
    #[error("`{name}` is not in `{suite}`{}", elsewhere(others))]
    NotThere {
        /// As asked for.
        name: PackageName,
        /// Of the archive.
        suite: String,
        /// The versions in other suites.
        others: Vec<String>,
    },
    /// It has no such version.
    #[error("`{name}` has no version `{version}`{}", elsewhere(others))]
    NoVersion {
        /// As asked for.
        name: PackageName,
        /// As asked for.
        version: String,
        /// Those it has, with their suites.
        others: Vec<String>,
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

/// A package that is to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its name.
    pub name: PackageName,
    /// Base and suite of the archive it is taken from; the best one where there is none.
    pub from: Option<(Url, String)>,
    /// Its version, or the start of it and a star.
    pub version: Option<String>,
    /// Whether what it recommends is installed too.
    pub recommends: bool,
}

impl From<PackageName> for Request {
    fn from(name: PackageName) -> Self {
        Self { name, from: None, version: None, recommends: false }
    }
}

/// What a set of requests means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solution {
    /// Every package, by name.
    pub packages: Vec<LockedPackage>,
    /// What they recommend.
    pub recommended: Vec<Recommended>,
}

/// A vendor's package in the store, believed.
#[derive(Debug)]
pub struct VendorDeb {
    /// As the lock will have it.
    pub locked: LockedPackage,
    /// The paragraph of its control file.
    pub control: String,
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
    pub fn system(&self, requests: &[Request], without: &[PackageName]) -> Result<Solution> {
        let essential: BTreeSet<String> = self
            .indexes
            .iter()
            .flatten()
            .flat_map(Index::essential)
            .filter(|name| !without.iter().any(|out| *out == **name))
            .collect();
        let mut wanted: BTreeMap<String, String> =
            essential.iter().map(|name| (name.clone(), name.clone())).collect();
        for request in requests {
            self.check_known(&request.name)?;
            wanted.insert(request.name.to_string(), self.argument(request)?);
        }
        let vendors = self.vendors.iter().map(|package| package.name.clone()).collect();
        let constraints = Constraints { without: without.to_owned(), vendors: Some(vendors) };
        let asked: Vec<PackageName> = requests.iter().map(|request| request.name.clone()).collect();
        let choose = |name: &str| self.choose(name, without);

        let mut packages = self.resolve(&wanted, &constraints)?;
        let mut followed: BTreeMap<PackageName, Followed> = BTreeMap::new();
        for request in requests.iter().filter(|request| request.recommends) {
            let Followed { installed, refused } = followed.entry(request.name.clone()).or_default();
            // What comes recommended recommends in turn.
            let missing = |packages: &[LockedPackage],
                           installed: &BTreeSet<String>,
                           choose: &dyn Fn(&str) -> Option<String>| {
                let roots: Vec<&str> =
                    std::iter::once(&*request.name).chain(installed.iter().map(String::as_str)).collect();
                let others: Vec<&str> =
                    asked.iter().map(PackageName::as_str).filter(|name| !roots.contains(name)).collect();
                let asked: Vec<&str> = roots.into_iter().chain(others).collect();
                let left_out = self.installed(packages).left_out(&essential, &asked, choose);
                let of_own = left_out.into_iter().take(installed.len() + 1);
                of_own.flat_map(|(_, names)| names).collect::<BTreeSet<String>>()
            };
            loop {
                let mut new = missing(&packages, installed, &choose);
                new.retain(|name| !refused.contains_key(name));
                if new.is_empty() {
                    break;
                }
                packages = self.with_recommended(&mut wanted, &new, &constraints, packages, refused)?;
                installed.extend(new.into_iter().filter(|name| !refused.contains_key(name)));
            }
            let unknown = |name: &str| self.is_unknown(name).then(|| name.to_owned());
            let unknown = missing(&packages, installed, &unknown).into_iter();
            refused.extend(unknown.map(|name| (name, recommended::UNKNOWN.to_owned())));
        }
        let left_out = self.installed(&packages).left_out(&essential, &asked, &choose);
        Ok(Solution { packages, recommended: recommended::locked(left_out, &followed) })
    }

    /// Resolves with these packages too, and without those of them that cannot be had, which are `refused` with the
    /// reason: a recommendation is none that must be followed.
    fn with_recommended(
        &self,
        wanted: &mut BTreeMap<String, String>,
        new: &BTreeSet<String>,
        constraints: &Constraints,
        before: Vec<LockedPackage>,
        refused: &mut BTreeMap<String, String>,
    ) -> Result<Vec<LockedPackage>> {
        let mut all = wanted.clone();
        all.extend(new.iter().map(|name| (name.clone(), name.clone())));
        match self.resolve(&all, constraints) {
            Ok(packages) => {
                *wanted = all;
                Ok(packages)
            }
            Err(error) if !error.is::<ResolveError>() => Err(error),
            Err(error) if new.len() == 1 => {
                let why = recommended::reason(&error);
                refused.extend(new.iter().map(|name| (name.clone(), why.clone())));
                Ok(before)
            }
            Err(_) => new.iter().try_fold(before, |before, name| {
                let one = BTreeSet::from([name.clone()]);
                self.with_recommended(wanted, &one, constraints, before, refused)
            }),
        }
    }

    /// What the indexes say of the packages of a solution.
    fn installed(&self, packages: &[LockedPackage]) -> Installed<'_> {
        Installed::new(packages.iter().filter_map(|package| {
            let sha256 = Some(package.sha256.as_str());
            let mut indexes = self.indexes.iter().flatten();
            indexes
                .find_map(|index| index.find(&package.name).find(|stanza| stanza.field("SHA256") == sha256))
        }))
    }

    /// The package that a name stands for which somebody recommends: itself, or the first that provides it.
    fn choose(&self, name: &str, without: &[PackageName]) -> Option<String> {
        let kept_out = |name: &str| without.iter().any(|out| out == name);
        if self.find(name).next().is_some() {
            return (!kept_out(name)).then(|| name.to_owned());
        }
        let provided = self.indexes.iter().flatten().filter_map(|index| index.provided().remove(name));
        provided.flatten().find(|name| !kept_out(name)).map(str::to_owned)
    }

    /// Whether no archive has a package of this name, or one that provides it.
    fn is_unknown(&self, name: &str) -> bool {
        let provided = |index: &Index| index.provided().contains_key(name);
        self.find(name).next().is_none() && !self.indexes.iter().flatten().any(provided)
    }

    /// What apt is told of a request: `NAME`, `NAME=VERSION` or `NAME/SUITE`.
    fn argument(&self, request: &Request) -> Result<String> {
        let Request { name, from, version, .. } = request;
        if from.is_none() && version.is_none() {
            return Ok(name.to_string());
        }
        let is_asked = |archive: &Archive| {
            from.as_ref().is_none_or(|(base, suite)| (&archive.base, &archive.suite) == (base, suite))
        };
        // Each version with the number of its archive, the newest first.
        let mut versions: Vec<(&str, usize)> = Vec::new();
        for (number, indexes) in self.indexes.iter().enumerate() {
            let stanzas = indexes.iter().flat_map(|index| index.find(name));
            versions.extend(stanzas.filter_map(|stanza| Some((stanza.field("Version")?, number))));
        }
        versions.sort_by(|(left, _), (right, _)| compare_versions(right, left));
        let others = || -> Vec<String> {
            let suite =
                |number: usize| self.opened.get(number).map_or("a vendor", |o| o.archive.suite.as_str());
            versions
                .iter()
                .take(8)
                .map(|(version, number)| format!("`{version}` in `{}`", suite(*number)))
                .collect()
        };
        let there: Vec<&(&str, usize)> = versions
            .iter()
            .filter(|(_, number)| self.opened.get(*number).is_some_and(|opened| is_asked(&opened.archive)))
            .collect();
        let Some((newest, number)) = there.first() else {
            let suite = from.as_ref().map(|(_, suite)| suite.clone()).unwrap_or_default();
            return Err(ResolveError::NotThere { name: name.clone(), suite, others: others() }.into());
        };
        let fits = |found: &str, asked: &str| match asked.strip_suffix('*') {
            Some(start) => found.starts_with(start),
            None => found == asked,
        };
        let chosen = match version {
            None => newest,
            Some(asked) => match there.iter().find(|(found, _)| fits(found, asked)) {
                Some((found, _)) => found,
                None => {
                    let (name, version) = (name.clone(), asked.clone());
                    return Err(ResolveError::NoVersion { name, version, others: others() }.into());
                }
            },
        };
        // By its suite, apt takes what it needs from there too, as backports need it.
        Ok(match from.is_some() && chosen == newest {
            true => format!("{name}/{}", apt::suite(*number)),
            false => format!("{name}={chosen}"),
        })
    }

    /// The packages of a tree of tools: these and what they depend on. Nothing essential is added, and nothing
    /// is to be configured in it.
    pub fn tools(&self, packages: &[impl Borrow<str>]) -> Result<Vec<LockedPackage>> {
        let names = packages.iter().map(|name| name.borrow().to_owned());
        let wanted = names.map(|name| (name.clone(), name)).collect();
        self.resolve(&wanted, &Constraints { without: Vec::new(), vendors: None })
    }

    /// What apt chooses for these names, each with what apt is told of it.
    fn resolve(
        &self,
        wanted: &BTreeMap<String, String>,
        constraints: &Constraints,
    ) -> Result<Vec<LockedPackage>> {
        let without = constraints.without.iter().map(PackageName::as_str);
        for name in wanted.keys().map(String::as_str).chain(without) {
            self.check_known(name)?;
        }
        let arguments: BTreeSet<&str> = wanted.values().map(String::as_str).collect();
        let chosen = self.apt.install(&arguments, constraints)?;
        let mut locked: Vec<_> = chosen.iter().map(|chosen| self.locked(chosen)).collect::<Result<_>>()?;
        locked
            .sort_by(|left, right| (&left.name, &left.architecture).cmp(&(&right.name, &right.architecture)));
        Ok(locked)
    }

    /// What these packages depend on, as the indexes have it.
    pub fn dependencies(&self, packages: &[LockedPackage]) -> Dependencies {
        let is_locked = |package: &LockedPackage, stanza: &Stanza<'_>| {
            stanza.field("SHA256").is_some_and(|sha256| package.sha256 == sha256)
        };
        Dependencies::of(
            packages.iter().flat_map(|package| {
                self.find(&package.name).filter(move |stanza| is_locked(package, stanza))
            }),
        )
    }

    /// What the verified index says of a file apt chose.
    fn locked(&self, chosen: &apt::Solved) -> Result<LockedPackage> {
        let package = self.indexes[chosen.archive]
            .iter()
            .flat_map(|index| index.find(&chosen.name))
            .find(|stanza| stanza.field("SHA256") == Some(&*chosen.sha256))
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
        let (pocket, url) = (archive.pocket.clone(), archive.package(&path)?);
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

fn elsewhere(others: &[String]) -> String {
    if others.is_empty() { String::new() } else { format!("; there is {}", others.join(", ")) }
}

fn suggestion(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!("; near to it are {}", quoted(nearest)) }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
