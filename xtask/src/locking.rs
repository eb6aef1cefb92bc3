//! Where a build gets its lock: the file as it is, or made from what the archives have.

use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use bedplate_core::Architecture;
use bedplate_core::lock::{Lock, LockFile, LockedArchive, LockedPackage, Recommended};
use bedplate_core::plan::{ArchivePlan, NATIVE, PackagePlan, Plan};
use bedplate_core::value::PackageName;
use camino::Utf8Path;
use fs_err as fs;

use crate::report::{self, Report, bytes};
use crate::resolve::why::Dependencies;
use crate::source::{Source, asked, dkms, host_architecture, kernels, keys, vendor};

/// What may become of a lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// It is taken as it is; where it is missing or the description has
    /// outgrown it, it is made.
    Keep,
    /// It is there and fits, or the build ends.
    Frozen,
    /// It is made from what the archives have now.
    Update,
}

/// The lock to build from, made or moved as the policy allows.
///
/// # Errors
/// A lock that cannot be read, is missing where it may not be made, or cannot
/// be resolved. The file is then as it was.
pub fn settle(
    source: &Source,
    plan: &Plan,
    path: &Utf8Path,
    policy: Policy,
    report: &Report,
) -> Result<Lock> {
    let file = match fs::read_to_string(path) {
        Ok(text) => LockFile::parse(&text).with_context(|| {
            format!("`{}` cannot be read; mend it, or remove it to have it made again", report::path(path))
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => LockFile::default(),
        Err(error) => return Err(error.into()),
    };
    let old = file.of(plan.architecture).cloned();
    let why = match &old {
        Some(lock) => {
            let changed =
                source.changed_file(plan, lock)?.map(|path| format!("package `{path}` has changed"));
            outgrown(plan, lock).or(changed)
        }
        None => None,
    };
    let crossed = old.as_ref().is_some_and(|lock| !lock.cross_tools.is_empty());
    let machine = plan.architecture.other();
    let cross_tools = |lock: Lock| -> Result<Lock> {
        let cross_tools = source
            .tools(plan, machine, &plan.cross_tools(), report)
            .with_context(|| format!("resolving the packages of the tools for {machine}"))?;
        Ok(Lock { cross_tools, ..lock })
    };
    match (policy, old, why) {
        (Policy::Keep | Policy::Frozen, Some(mut lock), None) => {
            if lock.asked.is_none() {
                let (path, name) = (report::path(path), &plan.name);
                report.warn(format_args!(
                    "`{path}` was made by an older program and does not say what was asked for: what is taken out of \
                     the description stays in the image until `cargo xtask lock {name} --update`"
                ));
            }
            kernels::check(plan, &lock.packages, Dependencies::default)?;
            dkms::check(plan, &lock.packages, Dependencies::default)?;
            // Without what could stand in for a program, that is emulated.
            let needed = |name: &PackageName| !NATIVE.contains(&name.as_str());
            let missing =
                plan.cross_tools().into_iter().filter(needed).find(|name| !has(&lock.cross_tools, name));
            if let Some(tool) = missing.filter(|_| host_architecture().ok() == Some(machine)) {
                if policy == Policy::Frozen {
                    bail!(
                        "`{}` has no tool `{tool}` to build for {} on {machine}; run `cargo xtask lock {} --arch {}` \
                         on such a machine",
                        report::path(path),
                        plan.architecture,
                        plan.name,
                        plan.architecture
                    );
                }
                let started = Instant::now();
                lock = cross_tools(lock)?;
                write(path, &file.with(plan.architecture, lock.clone()))?;
                let count = lock.cross_tools.len();
                let summary = format!("{count} packages of tools for {machine}, in {}", report::path(path));
                report.timed("Locked", summary, started);
            }
            Ok(lock)
        }
        (Policy::Frozen, None, _) => bail!("{}", missing(plan, path)),
        (Policy::Frozen, _, Some(why)) => {
            bail!(
                "`{}` does not fit the description: {why}; run `cargo xtask lock {}`",
                report::path(path),
                plan.name
            )
        }
        (_, old, _) => {
            let started = Instant::now();
            let mut new = source.lock(plan, old.as_ref(), policy == Policy::Update, report)?;
            if crossed || host_architecture()? == machine {
                new = cross_tools(new)?;
            }
            write(path, &file.with(plan.architecture, new.clone()))?;
            let size = new.packages.iter().map(|package| package.size).sum();
            let summary =
                format!("{} packages, {}, in {}", new.packages.len(), bytes(size), report::path(path));
            report.timed("Locked", summary, started);
            left_out(old.as_ref(), &new, report);
            for change in old.iter().flat_map(|old| Lock::diff(old, &new)) {
                report.data(format_args!("{change}\n"));
            }
            Ok(new)
        }
    }
}

/// Tells what is recommended and not installed, as far as the old lock did not have it so.
fn left_out(old: Option<&Lock>, new: &Lock, report: &Report) {
    let is_news =
        |one: &&Recommended| !one.installed && !old.is_some_and(|old| old.recommended.contains(one));
    let news: Vec<&Recommended> = new.recommended.iter().filter(is_news).collect();
    for one in &news {
        report.did("Left out", recommendation(one));
    }
    if let Some(Recommended { by, .. }) = news.iter().find(|one| one.why.is_empty()) {
        let is_archives = new
            .packages
            .iter()
            .any(|package| package.name == *by && !package.is_vendors() && !package.is_projects());
        let call = match is_archives {
            true => format!("`.package(Package::new(\"{by}\").recommends())`"),
            false => format!("`.recommends()` on the `Deb` of `{by}`"),
        };
        report.did("", format_args!("{call} installs what it recommends"));
    }
}

/// What is left out, who recommends it, and why it cannot be had where it is asked for.
pub fn recommendation(one: &Recommended) -> String {
    let Recommended { by, names, why, .. } = one;
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    format!("{}, recommended by `{by}`{why}", listed(names))
}

/// The names, or of many the first ones and how many more there are.
fn listed(names: &[String]) -> String {
    const MOST: usize = 8;
    let shown: Vec<String> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(MOST) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What to do where there is no lock: not even a file, or one of other architectures.
fn missing(plan: &Plan, path: &Utf8Path) -> String {
    let (path, name) = (report::path(path), &plan.name);
    match plan.architecture {
        Architecture::X86_64 => {
            format!("there is no lock `{path}`; make it with `cargo xtask lock {name}`")
        }
        architecture => format!(
            "there is no lock for {architecture} in `{path}`; make it with `cargo xtask lock {name} --arch {architecture}`"
        ),
    }
}

/// Why a lock is not this plan's any more, if it is not.
fn outgrown(plan: &Plan, lock: &Lock) -> Option<String> {
    if let Some(package) = plan.packages.iter().find(|package| !has(&lock.packages, &package.name)) {
        return Some(format!("package `{}` is not in it", package.name));
    }
    if let Some(package) = plan.packages.iter().find(|package| !is_as_asked(plan, package, lock)) {
        return Some(format!("package `{}` is asked for in another way", package.name));
    }
    if let Some(url) = keys::missing(plan, lock) {
        return Some(format!("the key `{url}` is not in it"));
    }
    for deb in &plan.debs {
        let Some(locked) = vendor::kept(lock, deb) else {
            return Some(format!("package `{}` is not in it", deb.url));
        };
        if has_recommended(lock, &locked.name) != plan.recommends(&locked.name, &locked.url) {
            return Some(format!("package `{}` is asked for in another way", deb.url));
        }
    }
    let asked = |locked: &LockedPackage| plan.debs.iter().any(|deb| deb.url == locked.url);
    if let Some(locked) = lock
        .packages
        .iter()
        .find(|package| (package.is_vendors() || package.is_projects()) && !asked(package))
    {
        return Some(format!("package `{}` of a vendor is not asked for", locked.name));
    }
    if let Some(name) = plan.tools.iter().find(|name| !has(&lock.tools, name)) {
        return Some(format!("tool `{name}` is not in it"));
    }
    if let Some(name) = plan.without.iter().find(|name| has(&lock.packages, name)) {
        return Some(format!("package `{name}` is to be left out"));
    }
    let is_of = |locked: &LockedArchive, archive: &ArchivePlan| {
        (&locked.base, &locked.suite) == (&archive.base, &archive.suite)
    };
    let is_locked = |archive: &&ArchivePlan| lock.archives.iter().any(|locked| is_of(locked, archive));
    if let Some(new) = plan.archives.iter().find(|archive| !is_locked(archive)) {
        return Some(format!("archive `{} {}` is not in it", new.base, new.suite));
    }
    let is_planned = |locked: &&LockedArchive| plan.archives.iter().any(|archive| is_of(locked, archive));
    if let Some(old) = lock.archives.iter().find(|locked| !is_planned(locked)) {
        return Some(format!("archive `{} {}` is not asked for any more", old.base, old.suite));
    }
    asked::given_up(plan, lock)
}

fn has(locked: &[LockedPackage], name: &PackageName) -> bool {
    locked.iter().any(|package| package.name == *name)
}

/// Whether a package is locked from the suite, in the version and with the recommendations that the plan says.
fn is_as_asked(plan: &Plan, package: &PackagePlan, lock: &Lock) -> bool {
    let locked = lock.packages.iter().find(|locked| locked.name == package.name);
    let from = package.from.as_ref().is_none_or(|origin| {
        locked.is_some_and(|locked| {
            locked.pocket == origin.pocket && locked.url.starts_with(origin.base.as_str())
        })
    });
    let version = package.version.as_ref().is_none_or(|version| {
        locked.is_some_and(|locked| match version.strip_suffix('*') {
            Some(start) => locked.version.starts_with(start),
            None => locked.version == *version,
        })
    });
    let url = locked.map_or("", |locked| locked.url.as_str());
    from && version && has_recommended(lock, &package.name) == plan.recommends(&package.name, url)
}

/// Whether the lock has been asked for what a package recommends.
fn has_recommended(lock: &Lock, by: &str) -> bool {
    lock.recommended.iter().any(|one| one.installed && one.by == by)
}

/// Replaces the file whole.
fn write(path: &Utf8Path, lock: &LockFile) -> Result<()> {
    let directory = path.parent().context("the lock's path has no directory")?;
    let mut file = tempfile::Builder::new().permissions(readable()).tempfile_in(directory)?;
    std::io::Write::write_all(&mut file, lock.render().as_bytes())?;
    file.persist(path).with_context(|| format!("writing `{}`", report::path(path)))?;
    Ok(())
}

fn readable() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}
