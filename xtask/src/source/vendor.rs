//! Packages from vendors' addresses: address → signature → control file, in this order; and those of the project.
//!
//! Invariant: nothing in a file is read before its signature, its digest or the
//! lock has vouched for all of its bytes. What the lock has is not fetched
//! anew, and its signature is not looked at again.

use std::fmt::Display;

use anyhow::{Context as _, Result};
use bedplate_core::lock::{Lock, LockedPackage, PROJECT, VENDOR};
use bedplate_core::plan::{DebPlan, Keyring, Plan};
use bedplate_core::secret::Secret;
use bedplate_core::value::{PackageName, Sha256, Value as _};
use bedplate_formats::deb;
use camino::Utf8Path;
use fs_err as fs;

use crate::archive::openpgp::SignatureError;
use crate::error::LocatedError;
use crate::fetch::{FetchError, Fetcher, Item, Progress, Silent, Subject};
use crate::resolve::VendorDeb;
use crate::source::files;
use crate::source::keys::Keychain;
use crate::store;

/// The largest package a vendor may have, in bytes.
const LARGEST: u64 = 1 << 30;
/// The largest detached signature, in bytes.
const LARGEST_SIGNATURE: u64 = 64 << 10;

/// How vendors' packages are had.
pub struct Vendors<'a> {
    /// What fetches them, and the store they go to.
    pub fetcher: &'a Fetcher,
    /// Whose signature counts.
    pub keychain: &'a Keychain,
    /// The directory of the project, for packages that are in it.
    pub project: &'a Utf8Path,
    /// Seconds after 1970.
    pub now: i64,
    /// Hears of what is fetched by digest.
    pub progress: &'a dyn Progress,
}

impl Vendors<'_> {
    /// All of a plan's, those of `old` that are still asked for as they are in it.
    ///
    /// # Errors
    /// A package that cannot be had, believed, read or used, at its line.
    pub fn packages(&self, plan: &Plan, old: Option<&Lock>) -> Result<Vec<VendorDeb>> {
        let mut debs: Vec<VendorDeb> = Vec::new();
        for deb in &plan.debs {
            let kept = old.filter(|_| !deb.is_file()).and_then(|lock| kept(lock, deb));
            let found = match kept {
                Some(locked) => self.locked(plan, locked)?,
                None => self.offered(deb)?,
            };
            usable(plan, deb, &found, &debs)?;
            debs.push(found);
        }
        Ok(debs)
    }

    fn locked(&self, plan: &Plan, locked: &LockedPackage) -> Result<VendorDeb> {
        self.fetcher
            .fetch(&[item(plan, locked)], self.progress)
            .map_err(|error| replaced(error, self.fetcher, plan, std::iter::once(locked)))?;
        let path = self.fetcher.store().path(&locked.sha256).context("the package has left the store")?;
        let control = deb::read_control(fs::File::open(path)?)
            .with_context(|| format!("reading the package `{}`", locked.name))?;
        Ok(VendorDeb { locked: locked.clone(), control: control.stanza().text().to_owned() })
    }

    fn offered(&self, deb: &DebPlan) -> Result<VendorDeb> {
        if deb.is_file() {
            return self.believed(deb, &files::read(self.project, deb)?);
        }
        let bytes = match deb.sha256.as_ref().and_then(|sha256| self.fetcher.store().path(sha256)) {
            Some(path) => fs::read(path)?,
            None => self.document(deb, &deb.url, deb.query.as_ref(), "the package", LARGEST)?,
        };
        match (&deb.sha256, &deb.signature, &deb.keyring) {
            (Some(sha256), ..) => has_digest(deb, &bytes, sha256)?,
            (None, Some(signature), Some(keyring)) => {
                let query = deb.signature_query.as_ref();
                let signature = self.document(deb, signature, query, "the signature", LARGEST_SIGNATURE)?;
                self.is_signed(deb, &bytes, &signature, keyring)?;
            }
            _ => anyhow::bail!("the plan gives no reason to believe `{}`", deb.url),
        }
        self.believed(deb, &bytes)
    }

    /// Reads a package whose bytes are believed, and puts it into the store.
    fn believed(&self, deb: &DebPlan, bytes: &[u8]) -> Result<VendorDeb> {
        let control = deb::read_control(bytes).map_err(|error| unreadable(deb, &error))?;
        let field = |name| control.field(name).to_owned();
        let name = PackageName::parse(control.field("Package"))
            .map_err(|wrong| unreadable(deb, &format!("the name {wrong}")))?;
        let locked = LockedPackage {
            name,
            version: field("Version"),
            architecture: field("Architecture"),
            pocket: if deb.is_file() { PROJECT } else { VENDOR }.to_owned(),
            size: bytes.len() as u64,
            sha256: self.fetcher.store().insert(bytes)?,
            url: deb.url.clone(),
        };
        Ok(VendorDeb { locked, control: control.stanza().text().to_owned() })
    }

    /// A file of unknown content, in memory.
    fn document(
        &self,
        deb: &DebPlan,
        url: &str,
        query: Option<&Secret>,
        what: &str,
        limit: u64,
    ) -> Result<Vec<u8>> {
        let failed = |error: FetchError| {
            let message = match &error {
                FetchError::Gone { url: asked, status, .. } => {
                    format!("the vendor has not {what} `{url}`: `{asked}` answers {status}")
                }
                FetchError::Offline { .. } => {
                    format!("{what} `{url}` is not in the lock, and no network may be used")
                }
                other => other.to_string(),
            };
            let help = match &error {
                FetchError::Gone { .. } if deb.url == url => "check the address".to_owned(),
                FetchError::Gone { .. } => "say where the signature is with `.signature(\"…\")`; a package \
                     without one is taken by its digest alone, with `Deb::dangerous_unsigned`"
                    .to_owned(),
                other => other.advice().unwrap_or_default(),
            };
            LocatedError { message, at: deb.at.clone(), word: None, help }
        };
        Ok(self.fetcher.document(url, query, what, limit, self.progress).map_err(failed)?)
    }

    fn is_signed(&self, deb: &DebPlan, bytes: &[u8], signature: &[u8], keyring: &Keyring) -> Result<()> {
        let keys = self.keychain.keys(keyring, &deb.url, deb.at.as_ref())?;
        let verified = keys.keyring().and_then(|keyring| keyring.verify_detached(bytes, signature, self.now));
        verified.map(drop).map_err(|error| {
            let help = match &error {
                SignatureError::NoSignature(_) => {
                    "say where the detached signature is with `.signature(\"…\")`"
                }
                other => other.help(),
            };
            let message = format!("`{}` cannot be trusted: {error}", deb.url);
            LocatedError { message, at: deb.at.clone(), word: None, help: help.to_owned() }.into()
        })
    }
}

/// The entry of a lock for a package of the description, if it is still what the description says.
pub fn kept<'a>(lock: &'a Lock, deb: &DebPlan) -> Option<&'a LockedPackage> {
    let is_same_file =
        |locked: &&LockedPackage| deb.sha256.as_ref().is_none_or(|sha256| *sha256 == locked.sha256);
    let mut vendors = lock.packages.iter().filter(|package| package.is_vendors() || package.is_projects());
    vendors.find(|package| package.url == deb.url).filter(is_same_file)
}

/// A package of a lock, to be fetched from where the description says that it is.
pub fn item(plan: &Plan, locked: &LockedPackage) -> Item {
    let deb = plan.debs.iter().find(|deb| locked.is_vendors() && deb.url == locked.url);
    Item { query: deb.and_then(|deb| deb.query.clone()), ..Item::package(locked) }
}

/// Says of a locked package that could not be fetched because the vendor has another file what that file is, at
/// the line that asked for it.
pub fn replaced<'a>(
    error: FetchError,
    fetcher: &Fetcher,
    plan: &Plan,
    locked: impl IntoIterator<Item = &'a LockedPackage>,
) -> anyhow::Error {
    let Some((name, version)) = vendors(&error) else { return error.into() };
    let is_meant =
        |package: &&LockedPackage| package.is_vendors() && package.name == name && package.version == version;
    let Some(package) = locked.into_iter().find(is_meant) else { return error.into() };
    let deb = plan.debs.iter().find(|deb| deb.url == package.url);
    let found = match &error {
        FetchError::Hash { found, .. } => Some(found.clone()),
        // Of a file of another length only the length is known yet.
        FetchError::Size { .. } => fetcher
            .document(&package.url, deb.and_then(|deb| deb.query.as_ref()), "the package", LARGEST, &Silent)
            .ok()
            .and_then(|bytes| store::hash(&mut &bytes[..]).ok()),
        _ => None,
    };
    let message = match found {
        Some(found) => format!(
            "`{}` is not `{name}` version `{version}` any more: its sha256 is `{found}`, and `{}` is locked",
            package.url, package.sha256
        ),
        None => error.to_string(),
    };
    let at = deb.and_then(|deb| deb.at.clone());
    LocatedError { message, at, word: None, help: error.advice().unwrap_or_default() }.into()
}

/// Name and version of the vendor's package an error is about.
fn vendors(error: &FetchError) -> Option<(String, String)> {
    match error.subject()? {
        Subject::Vendor { name, version } => Some((name.to_string(), version.to_string())),
        Subject::Package { .. } | Subject::Index(_) => None,
    }
}

fn has_digest(deb: &DebPlan, bytes: &[u8], sha256: &Sha256) -> Result<()> {
    let found = store::hash(&mut &bytes[..])?;
    if found == *sha256 {
        return Ok(());
    }
    Err(LocatedError {
        message: format!(
            "`{}` is not the file it was: its sha256 is `{found}` instead of `{sha256}`",
            deb.url
        ),
        at: deb.at.clone(),
        word: Some(sha256.to_string()),
        help: "find out what changed before the new digest goes into the description".to_owned(),
    }
    .into())
}

fn unreadable(deb: &DebPlan, error: &dyn Display) -> anyhow::Error {
    LocatedError {
        message: format!("`{}` is no package that can be read: {error}", deb.url),
        at: deb.at.clone(),
        word: None,
        help: if deb.is_file() { "put the vendor's `.deb` there, whole" } else { "check the address" }
            .to_owned(),
    }
    .into()
}

/// Whether a package fits the image and the packages before it.
fn usable(plan: &Plan, deb: &DebPlan, found: &VendorDeb, before: &[VendorDeb]) -> Result<()> {
    let LockedPackage { name, architecture, .. } = &found.locked;
    let wanted = plan.architecture.deb();
    let problem = |message: String, help: String| {
        Err(LocatedError { message, at: deb.at.clone(), word: None, help }.into())
    };
    if architecture != wanted && architecture != "all" {
        let message =
            format!("`{}` is a package for `{architecture}`, and the image is for `{wanted}`", deb.url);
        let help = "name the vendor's package for each architecture, with `match target.architecture`";
        return problem(message, help.to_owned());
    }
    if plan.without.contains(name) {
        let message = format!("`{}` is the package `{name}`, which is kept out", deb.url);
        return problem(message, "remove one of the two lines".to_owned());
    }
    if let Some(other) = before.iter().find(|other| other.locked.name == *name) {
        let message = format!("`{}` and `{}` are both the package `{name}`", other.locked.url, deb.url);
        return problem(message, "remove one of the two: only one version can be installed".to_owned());
    }
    Ok(())
}
