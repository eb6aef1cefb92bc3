//! Where an image's packages come from: the plan's archives, the mirrors they
//! are reached by, and the store that keeps what was fetched.

pub mod asked;
pub mod dkms;
pub mod files;
pub mod kernels;
pub mod keys;
pub mod vendor;

use std::borrow::Borrow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use bedplate_core::Architecture;
use bedplate_core::lock::{Lock, LockedArchive, LockedPackage};
use bedplate_core::plan::{ArchivePlan, PackagePlan, Plan};
use bedplate_core::value::{DebLocation, PackageName};
use camino::{Utf8Path, Utf8PathBuf};

use crate::archive::mirror::{HostSources, Mirrors};
use crate::archive::{Archive, date};
use crate::error::{LocatedError, UsageError};
use crate::fetch::carried::Carried;
use crate::fetch::login::Logins;
use crate::fetch::remote::{Amount, PATIENCE, RemoteCache, Settings};
use crate::fetch::{FetchError, Fetcher, Item};
use crate::host::{self, Way};
use crate::report::{Downloads, Report, bytes};
use crate::resolve::{Request, ResolveError, Resolver, Solution, VendorDeb};
use crate::store::Store;
use keys::Keychain;
use vendor::Vendors;

/// How a run reaches what it fetches.
#[derive(Clone, Copy, Default)]
pub struct Access<'a> {
    /// Pairs `FROM=TO` of addresses: what is below the one is fetched from below the other.
    pub mirrors: &'a [String],
    /// True to use what the store has, and no network.
    pub offline: bool,
    /// A directory of packages that are not fetched.
    pub carried: Option<&'a Path>,
    /// Hears of the shared cache of the environment, which is not asked where nobody hears.
    pub report: Option<&'a Report>,
}

/// How the packages of one plan are had, and what was fetched.
pub struct Source {
    /// What was fetched.
    pub store: Store,
    fetcher: Fetcher,
    remote: Option<Arc<RemoteCache>>,
    project: Utf8PathBuf,
}

impl Source {
    /// Makes ready what a plan's packages are fetched with; fetches nothing.
    ///
    /// # Errors
    /// A mirror that is no pair of addresses, a key that is not there, no store; a shared cache that is named wrongly.
    pub fn open(plan: &Plan, project: &Utf8Path, access: Access<'_>) -> Result<Self> {
        let mut store = Store::open()?;
        let keychain = Keychain::of_files(project);
        let mut archives = archives(&plan.archives, plan, &keychain)?;
        // Tools come from those of the machine that builds.
        archives.extend(self::archives(&plan.own_archives(plan.architecture.other()), plan, &keychain)?);
        let explicit = access.mirrors.iter().map(|pair| mirror(pair)).collect::<Result<Vec<_>>>()?;
        let host = HostSources::read(Path::new("/"));
        let mut mirrors = Mirrors::choose(&archives, &explicit, &plan.mirrors, &host);
        let mut logins = Logins::read(Path::new("/"));
        mirrors.keep_logins(&mut logins);
        let remote = remote(&store, &logins, access)?;
        let fetcher = Fetcher::new(&store).mirrors(mirrors).logins(logins).offline(access.offline);
        let carried = access.carried.map(Carried::open).transpose()?;
        let fetcher = fetcher.carried(carried).remote(remote.clone());
        if let Some(remote) = &remote {
            store = store.exchanging(remote.clone());
        }
        Ok(Self { store, fetcher, remote, project: project.to_owned() })
    }

    /// Puts into the shared cache what this run has made and it has not, and says what was had from there. Nothing that
    /// goes wrong is an error: it is told.
    pub fn share(&self, report: &Report) {
        let Some(remote) = &self.remote else { return };
        let amount = |amount: Amount| {
            let plural = if amount.files == 1 { "" } else { "s" };
            format!("{} file{plural}, {}", amount.files, bytes(amount.bytes))
        };
        let taken = remote.taken();
        if taken.files > 0 {
            report.did("Shared", format_args!("{}, from `{}`", amount(taken), remote.address()));
        }
        let started = Instant::now();
        let sent = remote.upload();
        if sent.files > 0 {
            let what = format_args!("{}, to `{}`", amount(sent), remote.address());
            report.timed("Uploaded", what, started);
        }
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
        files::keep(&self.project, plan, &packages, &self.store)?;
        let fetched = packages.iter().filter(|package| !package.is_projects());
        let items: Vec<Item> = fetched.map(|package| vendor::item(plan, package)).collect();
        let fetched = self.fetcher.fetch(&items, &Downloads::new(report));
        fetched.map_err(|error| {
            let error = vendor::replaced(error, &self.fetcher, plan, packages.iter().copied());
            at_its_archive(error, plan, &packages)
        })
    }

    /// Returns the path of a package of the project that is another one than the lock's.
    ///
    /// # Errors
    /// A package that is not there, at its line.
    pub fn changed_file(&self, plan: &Plan, lock: &Lock) -> Result<Option<DebLocation>> {
        files::changed(&self.project, plan, lock)
    }

    /// Resolves a plan's packages into a lock, from what the archives have now, which is no older than what `old` was
    /// made from, and what vendors have; of theirs, what is in `old` and still asked for is kept as it is there, unless
    /// all is to be had `anew`.
    ///
    /// # Errors
    /// An archive that cannot be reached or trusted, or a package that no
    /// archive has, at its line.
    pub fn lock(&self, plan: &Plan, old: Option<&Lock>, anew: bool, report: &Report) -> Result<Lock> {
        settled(plan, now())?;
        let progress = Downloads::new(report);
        let before = old;
        let old = old.filter(|_| !anew);
        let keychain = Keychain::complete(plan, old, &self.fetcher, &self.project)?;
        let vendors = Vendors {
            fetcher: &self.fetcher,
            keychain: &keychain,
            project: &self.project,
            now: now(),
            progress: &progress,
        };
        let debs = vendors.packages(plan, old)?;
        let lines: Vec<(PackageName, DebLocation)> =
            debs.iter().map(|deb| (deb.locked.name.clone(), deb.locked.url.clone())).collect();
        let vendors = lines.iter().map(|(name, url)| Request {
            recommends: plan.recommends(name, url),
            ..Request::from(name.clone())
        });
        let requests: Vec<Request> = plan.packages.iter().map(request).chain(vendors).collect();
        let resolver = self.resolver((plan, plan.architecture), &keychain, before, debs, report)?;
        let _activity =
            report.activity("Resolving", format_args!("what {} packages depend on", requests.len()));
        let system = || -> Result<Solution> {
            let solution = resolver
                .system(&requests, &plan.without)
                .map_err(|error| at_its_line(error, plan, &lines))?;
            kernels::check(plan, &solution.packages, || resolver.dependencies(&solution.packages))?;
            dkms::check(plan, &solution.packages, || resolver.dependencies(&solution.packages))?;
            Ok(solution)
        };
        let tools = || resolver.tools(&plan.tools).context("resolving the packages of the tools");
        // Under `chroot`, apt's tree has room for one sandbox at a time.
        let (system, tools) = match host::entered() {
            Some(Way::Chroot) => (system(), tools()),
            _ => rayon::join(system, tools),
        };
        let (Solution { packages, recommended }, tools) = (system?, tools?);
        let archive = |opened: &crate::archive::Opened| LockedArchive {
            base: opened.archive.base.clone(),
            suite: opened.archive.suite.clone(),
            pocket: opened.archive.pocket.clone(),
            origin: opened.release.origin.clone().unwrap_or_default(),
            date: opened.release.date,
            signed_by: opened.release.signed_by.clone(),
            sha256: opened.sha256.clone(),
        };
        let archives = resolver.archives().iter().map(archive).collect();
        let (epoch, keys) = (resolver.epoch(), keychain.into_locked());
        let asked = Some(asked::words(plan));
        Ok(Lock { epoch, asked, archives, keys, recommended, packages, tools, cross_tools: Vec::new() })
    }

    /// Resolves packages to run programs from on a machine of an architecture, beside any image.
    ///
    /// # Errors
    /// As [`Source::lock`].
    pub fn tools(
        &self,
        plan: &Plan,
        architecture: Architecture,
        names: &[impl Borrow<str>],
        report: &Report,
    ) -> Result<Vec<LockedPackage>> {
        let keychain = Keychain::of_archives(plan, None, &self.fetcher, &self.project)?;
        self.resolver((plan, architecture), &keychain, None, Vec::new(), report)?.tools(names)
    }

    /// What is had of a plan's archives for an architecture; for another one than the image's, of the distribution's own.
    fn resolver(
        &self,
        (plan, architecture): (&Plan, Architecture),
        keychain: &Keychain,
        before: Option<&Lock>,
        debs: Vec<VendorDeb>,
        report: &Report,
    ) -> Result<Resolver> {
        let own = plan.own_archives(architecture);
        let plans = if architecture == plan.architecture { &plan.archives } else { &own };
        if plans.is_empty() {
            bail!("{} {} is not for {architecture}", plan.distribution, plan.release);
        }
        let (mut archives, progress) = (archives(plans, plan, keychain)?, Downloads::new(report));
        let locked = |archive: &Archive| {
            let mut locked = before.into_iter().flat_map(|lock| &lock.archives);
            let is_same =
                |locked: &&LockedArchive| (&locked.base, &locked.suite) == (&archive.base, &archive.suite);
            locked.find(is_same).map(|locked| locked.date)
        };
        for archive in archives.iter_mut().filter(|archive| archive.snapshots.is_empty()) {
            archive.not_before = locked(archive);
        }
        let runner = runner((plan, architecture), keychain)?;
        Resolver::open(&self.fetcher, &archives, debs, architecture.deb(), runner, now(), &progress)
    }
}

/// This machine's architecture.
///
/// # Errors
/// It is none that there are images of.
pub fn host_architecture() -> Result<Architecture> {
    match std::env::consts::ARCH {
        "x86_64" => Ok(Architecture::X86_64),
        "aarch64" => Ok(Architecture::Aarch64),
        other => bail!("this machine is `{other}`, and Bedplate runs on x86-64 and arm64"),
    }
}

/// Where this machine's apt comes from, when that is not where packages of the architecture come from.
fn runner(
    (plan, architecture): (&Plan, Architecture),
    keychain: &Keychain,
) -> Result<Option<(Archive, &'static str)>> {
    let host = host_architecture()?;
    if host == architecture {
        return Ok(None);
    }
    let own = plan.own_archives(host);
    let own = own.first().context("the release is for other machines than this one")?;
    let own = archives(std::slice::from_ref(own), plan, keychain)?.pop();
    Ok(own.map(|own| (own, host.deb())))
}

/// The shared cache of the environment.
fn remote(store: &Store, logins: &Logins, access: Access<'_>) -> Result<Option<Arc<RemoteCache>>> {
    let Some(report) = access.report else { return Ok(None) };
    let Some(settings) = Settings::of_environment()? else { return Ok(None) };
    let report = report.clone();
    let notice = Box::new(move |text: &str| report.warn(text));
    let remote = RemoteCache::new(settings, store, logins.clone(), PATIENCE, notice);
    // What was taken from it before is there without the packages that it was made of.
    Ok(Some(Arc::new(if access.offline { remote.offline() } else { remote })))
}

/// Refuses a snapshot that may still change: one that is younger than a day, or of the future.
fn settled(plan: &Plan, now: i64) -> Result<()> {
    const DAY: i64 = 86_400;
    let Some(snapshot) = &plan.snapshot else { return Ok(()) };
    let moment = date::parse_moment(&snapshot.moment).context("the snapshot is no moment")?;
    if moment <= now - DAY {
        return Ok(());
    }
    let age = if moment > now { "in the future" } else { "less than 24 hours ago" };
    Err(LocatedError {
        message: format!("the snapshot `{}` is {age}, and can still change", snapshot.moment),
        at: Some(snapshot.at.clone()),
        word: Some(snapshot.moment.clone()),
        help: format!("take one before {}", date::format(now - DAY)),
    }
    .into())
}

/// Seconds after 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    i64::try_from(now).unwrap_or(i64::MAX)
}

fn mirror(pair: &str) -> Result<(String, String)> {
    Mirrors::parse_pair(pair).map_err(|error| UsageError(error.to_string()).into())
}

fn archives(archives: &[ArchivePlan], plan: &Plan, keychain: &Keychain) -> Result<Vec<Archive>> {
    let archive = |archive: &ArchivePlan| {
        Ok(Archive {
            base: archive.base.clone(),
            suite: archive.suite.clone(),
            pocket: archive.pocket.clone(),
            components: archive.components.clone(),
            keys: keychain.keys(&archive.keyring, &archive.base, archive.key_place())?,
            distribution: archive.own.then_some(plan.distribution),
            snapshots: archive.snapshots.clone(),
            not_before: None,
            at: archive.at.clone(),
            key_at: archive.key_place().cloned(),
        })
    };
    archives.iter().map(archive).collect()
}

/// Points a package that could not be fetched at the line of its archive; every release has its own archives without
/// a line.
fn at_its_archive(error: anyhow::Error, plan: &Plan, packages: &[&LockedPackage]) -> anyhow::Error {
    let Some((fetch, (name, version))) =
        error.downcast_ref::<FetchError>().and_then(|error| Some((error, error.package()?)))
    else {
        return error;
    };
    let mut locked = packages.iter().filter(|package| package.name == name && package.version == version);
    let is_of = |archive: &&ArchivePlan, package: &LockedPackage| {
        let path = package.url.strip_prefix(archive.base.as_str());
        archive.pocket == package.pocket && path.is_some_and(|path| path.starts_with('/'))
    };
    let archive = locked.find_map(|package| plan.archives.iter().find(|archive| is_of(archive, package)));
    let Some(at) = archive.and_then(|archive| archive.at.clone()) else { return error };
    let at = plan.package(name).and_then(|package| package.at.clone()).unwrap_or(at);
    LocatedError {
        message: error.to_string(),
        at: Some(at),
        word: None,
        help: fetch.advice().unwrap_or_default(),
    }
    .into()
}

/// What the resolver is asked for.
fn request(package: &PackagePlan) -> Request {
    let from = package.from.as_ref().map(|origin| (origin.base.clone(), origin.suite.clone()));
    let (version, recommends) = (package.version.clone(), package.recommends);
    Request { name: package.name.clone(), from, version, recommends }
}

/// Points a package that cannot be had at the call that asked for it. `vendors` are the names and addresses of
/// vendors' packages.
fn at_its_line(error: anyhow::Error, plan: &Plan, vendors: &[(PackageName, DebLocation)]) -> anyhow::Error {
    if let Some(ResolveError::Unsatisfiable { packages, .. }) = error.downcast_ref::<ResolveError>() {
        let mut asked = packages.iter().filter_map(|name| vendors.iter().find(|(known, _)| known == name));
        let Some((_, url)) = asked.next() else {
            let mut named = packages.iter().filter_map(|name| plan.package(name)?.at.clone());
            let Some(at) = named.next() else { return error };
            let help =
                "what apt names is in no suite of the image, kept out with `.without`, or held by `.version`";
            return LocatedError {
                message: error.to_string(),
                at: Some(at),
                word: None,
                help: help.to_owned(),
            }
            .into();
        };
        return LocatedError {
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
        Some(ResolveError::NotThere { name, suite, .. }) => {
            let at = plan.package(name).and_then(|package| package.at.clone());
            let help = "leave `.from` out, or name a suite that has it".to_owned();
            return LocatedError { message: error.to_string(), at, word: Some(suite.clone()), help }.into();
        }
        Some(ResolveError::NoVersion { name, version, .. }) => {
            let at = plan.package(name).and_then(|package| package.at.clone());
            let help = "name one of them, or the start of one and `*`".to_owned();
            return LocatedError { message: error.to_string(), at, word: Some(version.clone()), help }.into();
        }
        _ => return error,
    };
    let at = plan.package(name).and_then(|package| package.at.clone());
    let suites = plan.archives.iter().map(|a| a.suite.as_str()).collect::<Vec<_>>().join("`, `");
    let message = format!("no package `{name}` can be installed from `{suites}`");
    LocatedError { message, at, word: Some(name.clone()), help }.into()
}
