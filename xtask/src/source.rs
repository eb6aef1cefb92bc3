//! Where an image's packages come from: the plan's archives, the mirrors they
//! are reached by, and the store that keeps what was fetched.

pub mod keys;
pub mod vendor;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use bedplate_core::lock::{self, Lock, LockedArchive, LockedPackage};
use bedplate_core::plan::{ArchivePlan, Plan};

use crate::archive::Archive;
use crate::archive::mirror::{HostSources, Mirrors};
use crate::cli::SourceArgs;
use crate::fetch::{Fetcher, Item};
use crate::problem::{Misuse, Problem};
use crate::report::{Downloads, Report};
use crate::resolve::{ResolveError, Resolver};
use crate::store::Store;
use keys::Keychain;
use vendor::{VendorDeb, Vendors};

/// How the packages of one plan are had, and what was fetched.
pub struct Source {
    /// What was fetched.
    pub store: Store,
    fetcher: Fetcher,
    architecture: &'static str,
    project: PathBuf,
}

impl Source {
    /// Makes ready what a plan's packages are fetched with; fetches nothing.
    ///
    /// # Errors
    /// A mirror that is no pair of addresses, a key that is not there, no store.
    pub fn open(plan: &Plan, args: &SourceArgs, project: &Path) -> Result<Self> {
        let store = Store::open()?;
        let archives = archives(plan, &Keychain::of_files(project))?;
        let explicit = args.mirror.iter().map(|pair| mirror(pair)).collect::<Result<Vec<_>>>()?;
        let host = HostSources::read(Path::new("/"));
        let mirrors = Mirrors::choose(&archives, &explicit, plan.mirror.as_deref(), &host);
        let fetcher = Fetcher::new(&store).mirrors(mirrors).offline(args.offline);
        let (architecture, project) = (plan.architecture.deb(), project.to_owned());
        Ok(Self { store, fetcher, architecture, project })
    }

    /// Brings packages of a lock into the store; those of vendors are the plan's.
    ///
    /// # Errors
    /// The first package that cannot be had, and why.
    pub fn fetch<'a>(
        &self,
        plan: &Plan,
        packages: impl IntoIterator<Item = &'a LockedPackage>,
        report: &Report,
    ) -> Result<()> {
        let packages: Vec<&LockedPackage> = packages.into_iter().collect();
        let items: Vec<Item> = packages.iter().map(|package| Item::package(package)).collect();
        let fetched = self.fetcher.fetch(&items, &Downloads::new(report));
        fetched.map_err(|error| vendor::replaced(error, &self.fetcher, plan, packages))
    }

    /// Resolves a plan's packages into a lock, from what the archives have now, and what vendors have; of theirs,
    /// what is in `old` and still asked for is kept as it is there.
    ///
    /// # Errors
    /// An archive that cannot be reached or trusted, or a package that no
    /// archive has, at its line.
    pub fn lock(&self, plan: &Plan, old: Option<&Lock>, report: &Report) -> Result<Lock> {
        let progress = Downloads::new(report);
        let keychain = Keychain::complete(plan, old, &self.fetcher, &self.project)?;
        let vendors =
            Vendors { fetcher: &self.fetcher, keychain: &keychain, now: now(), progress: &progress };
        let debs = vendors.packages(plan, old)?;
        let lines: Vec<(String, String)> =
            debs.iter().map(|deb| (deb.locked.name.clone(), deb.locked.url.clone())).collect();
        let names = plan.packages.iter().map(|package| package.name.clone());
        let names: Vec<String> = names.chain(lines.iter().map(|(name, _)| name.clone())).collect();
        let resolver = self.resolver(plan, &keychain, debs, report)?;
        let packages =
            resolver.system(&names, &plan.without).map_err(|error| at_its_line(error, plan, &lines))?;
        let tools = resolver.tools(&plan.tools).context("resolving the packages of the tools")?;
        let archive = |opened: &crate::archive::Opened| LockedArchive {
            base: opened.archive.base.clone(),
            suite: opened.archive.suite.clone(),
            pocket: opened.archive.pocket.clone(),
            date: opened.release.date,
            sha256: opened.sha256.clone(),
        };
        let archives = resolver.archives().iter().map(archive).collect();
        let (epoch, keys) = (resolver.epoch(), keychain.into_locked());
        Ok(Lock { version: lock::VERSION, epoch, archives, keys, packages, tools })
    }

    /// Resolves packages to run programs from, beside any image.
    ///
    /// # Errors
    /// As [`Source::lock`].
    pub fn tools(&self, plan: &Plan, names: &[String], report: &Report) -> Result<Vec<LockedPackage>> {
        let keychain = Keychain::of_archives(plan, None, &self.fetcher, &self.project)?;
        self.resolver(plan, &keychain, Vec::new(), report)?.tools(names)
    }

    fn resolver(
        &self,
        plan: &Plan,
        keychain: &Keychain,
        debs: Vec<VendorDeb>,
        report: &Report,
    ) -> Result<Resolver> {
        let (archives, progress) = (archives(plan, keychain)?, Downloads::new(report));
        Resolver::open(&self.fetcher, &archives, debs, self.architecture, now(), &progress)
    }
}

/// Seconds after 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    i64::try_from(now).unwrap_or(i64::MAX)
}

fn mirror(pair: &str) -> Result<(String, String)> {
    Mirrors::parse_pair(pair).map_err(|error| Misuse(error.to_string()).into())
}

fn archives(plan: &Plan, keychain: &Keychain) -> Result<Vec<Archive>> {
    let archive = |plan: &ArchivePlan| {
        Ok(Archive {
            base: plan.base.clone(),
            suite: plan.suite.clone(),
            pocket: plan.pocket.clone(),
            components: plan.components.clone(),
            keys: keychain.keys(&plan.keyring, &plan.base)?,
            snapshot: plan.snapshot_base.clone(),
        })
    };
    plan.archives.iter().map(archive).collect()
}

/// Points a package that cannot be had at the call that asked for it. `vendors` are the names and addresses of
/// vendors' packages.
fn at_its_line(error: anyhow::Error, plan: &Plan, vendors: &[(String, String)]) -> anyhow::Error {
    if let Some(ResolveError::Unsatisfiable { packages, .. }) = error.downcast_ref::<ResolveError>() {
        let mut asked = packages.iter().filter_map(|name| vendors.iter().find(|(known, _)| known == name));
        let Some((_, url)) = asked.next() else { return error };
        return Problem {
            message: error.to_string(),
            at: plan.debs.iter().find(|deb| deb.url == *url).and_then(|deb| deb.at.clone()),
            word: None,
            help: "what a vendor's package needs comes from the archives, or is named with `.deb` too"
                .to_owned(),
        }
        .into();
    }
    let (name, help) = match error.downcast_ref::<ResolveError>() {
        Some(ResolveError::UnknownPackage { name, nearest }) => (
            name,
            match nearest.first() {
                Some(near) => format!("did you mean `{near}`?"),
                None => "look for it on the distribution's package pages, or add its archive".to_owned(),
            },
        ),
        Some(ResolveError::VirtualPackage { name, providers }) => {
            (name, format!("name one of `{}`", providers.join("`, `")))
        }
        _ => return error,
    };
    let at = plan.package(name).and_then(|package| package.at.clone());
    let suites = plan.archives.iter().map(|a| a.suite.as_str()).collect::<Vec<_>>().join("`, `");
    let message = format!("no package `{name}` can be installed from `{suites}`");
    Problem { message, at, word: Some(name.clone()), help }.into()
}
