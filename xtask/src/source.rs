//! Where an image's packages come from: the plan's archives, the mirrors they
//! are reached by, and the store that keeps what was fetched.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use bedplate_core::lock::{self, Lock, LockedArchive, LockedPackage};
use bedplate_core::plan::{ArchivePlan, Keyring, Plan};
use fs_err as fs;

use crate::archive::mirror::{HostSources, Mirrors};
use crate::archive::{Archive, Keys};
use crate::cli::SourceArgs;
use crate::fetch::{Fetcher, Item, Subject};
use crate::problem::{Misuse, Problem};
use crate::report::{Downloads, Report};
use crate::resolve::{ResolveError, Resolver};
use crate::store::Store;

/// The archives of one plan, and what was fetched from them.
pub struct Source {
    /// What was fetched.
    pub store: Store,
    fetcher: Fetcher,
    archives: Vec<Archive>,
    architecture: &'static str,
}

impl Source {
    /// Makes ready what a plan's packages are fetched with; fetches nothing.
    ///
    /// # Errors
    /// A mirror that is no pair of addresses, a key that is not there, no store.
    pub fn open(plan: &Plan, args: &SourceArgs, project: &Path) -> Result<Self> {
        let store = Store::open()?;
        let archives = plan.archives.iter().map(|a| archive(a, project)).collect::<Result<Vec<_>>>()?;
        let explicit = args.mirror.iter().map(|pair| mirror(pair)).collect::<Result<Vec<_>>>()?;
        let host = HostSources::read(Path::new("/"));
        let mirrors = Mirrors::choose(&archives, &explicit, plan.mirror.as_deref(), &host);
        let fetcher = Fetcher::new(&store).mirrors(mirrors).offline(args.offline);
        Ok(Self { store, fetcher, archives, architecture: plan.architecture.deb() })
    }

    /// Brings packages of a lock into the store.
    ///
    /// # Errors
    /// The first package that cannot be had, and why.
    pub fn fetch<'a>(
        &self,
        packages: impl IntoIterator<Item = &'a LockedPackage>,
        report: &Report,
    ) -> Result<()> {
        let item = |package: &LockedPackage| Item {
            subject: Subject::Package { name: package.name.clone(), version: package.version.clone() },
            url: package.url.clone(),
            sha256: package.sha256.clone(),
            size: package.size,
        };
        let items: Vec<Item> = packages.into_iter().map(item).collect();
        Ok(self.fetcher.fetch(&items, &Downloads::new(report))?)
    }

    /// Resolves a plan's packages into a lock, from what the archives have now.
    ///
    /// # Errors
    /// An archive that cannot be reached or trusted, or a package that no
    /// archive has, at its line.
    pub fn lock(&self, plan: &Plan, report: &Report) -> Result<Lock> {
        let resolver = self.resolver(report)?;
        let names: Vec<String> = plan.packages.iter().map(|package| package.name.clone()).collect();
        let packages = resolver.system(&names, &plan.without).map_err(|error| at_its_line(error, plan))?;
        let tools = resolver.tools(&plan.tools).context("resolving the packages of the tools")?;
        let archive = |opened: &crate::archive::Opened| LockedArchive {
            base: opened.archive.base.clone(),
            suite: opened.archive.suite.clone(),
            pocket: opened.archive.pocket.clone(),
            date: opened.release.date,
            sha256: opened.sha256.clone(),
        };
        let archives = resolver.archives().iter().map(archive).collect();
        Ok(Lock { version: lock::VERSION, epoch: resolver.epoch(), archives, packages, tools })
    }

    /// Resolves packages to run programs from, beside any image.
    ///
    /// # Errors
    /// As [`Source::lock`].
    pub fn tools(&self, names: &[String], report: &Report) -> Result<Vec<LockedPackage>> {
        self.resolver(report)?.tools(names)
    }

    fn resolver(&self, report: &Report) -> Result<Resolver> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        Resolver::open(&self.fetcher, &self.archives, self.architecture, now, &Downloads::new(report))
    }
}

fn mirror(pair: &str) -> Result<(String, String)> {
    Mirrors::parse_pair(pair).map_err(|error| Misuse(error.to_string()).into())
}

fn archive(plan: &ArchivePlan, project: &Path) -> Result<Archive> {
    let keys = match &plan.keyring {
        Keyring::Debian => Keys::Debian,
        Keyring::Ubuntu => Keys::Ubuntu,
        Keyring::Key { file, fingerprint } => {
            let file = file.as_ref().with_context(|| {
                format!("the key of `{}` is named by its fingerprint alone; give its file too", plan.base)
            })?;
            Keys::Pinned { content: fs::read(project.join(file))?, fingerprint: fingerprint.clone() }
        }
    };
    Ok(Archive {
        base: plan.base.clone(),
        suite: plan.suite.clone(),
        pocket: plan.pocket.clone(),
        components: plan.components.clone(),
        keys,
        snapshot: plan.snapshot_base.clone(),
    })
}

/// Points a package that cannot be had at the call that asked for it.
fn at_its_line(error: anyhow::Error, plan: &Plan) -> anyhow::Error {
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
