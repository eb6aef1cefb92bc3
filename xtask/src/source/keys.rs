//! The keys of third parties: files of the project, and those that a description names by their address.
//!
//! Invariant: a key counts by its fingerprint. Where it comes from is not believed, the lock as little as an address.

use anyhow::{Context as _, Result};
use base64ct::{Base64, Encoding as _};
use bedplate_core::location::SourceLocation;
use bedplate_core::lock::{Lock, LockedKey};
use bedplate_core::plan::{Keyring, Plan};
use bedplate_core::secret::Secret;
use bedplate_core::value::Url;
use camino::{Utf8Path, Utf8PathBuf};

use crate::archive::Keys;
use crate::archive::openpgp::{self, SignatureError};
use crate::error::LocatedError;
use crate::fetch::{FetchError, Fetcher, Silent};

/// The largest file with a key, in bytes.
const LARGEST: u64 = 1 << 20;

/// Every key that a plan's archives and packages are signed with.
#[derive(Debug)]
pub struct Keychain {
    project: Utf8PathBuf,
    fetched: Vec<LockedKey>,
}

impl Keychain {
    /// Those of the project's files alone: what is at an address is none of them.
    pub fn of_files(project: &Utf8Path) -> Self {
        Self { project: project.to_owned(), fetched: Vec::new() }
    }

    /// With those that the plan's archives and packages name by their address: as they are in `old`, else fetched now.
    ///
    /// # Errors
    /// A key that cannot be had, or is another one, at its line.
    pub fn complete(plan: &Plan, old: Option<&Lock>, fetcher: &Fetcher, project: &Utf8Path) -> Result<Self> {
        let mut keychain = Self::of_archives(plan, old, fetcher, project)?;
        for deb in &plan.debs {
            if let Some(keyring) = &deb.keyring {
                keychain.add(keyring, deb.at.as_ref(), old, fetcher)?;
            }
        }
        Ok(keychain)
    }

    /// As [`Keychain::complete`], with those of the archives alone: programs to run come from nowhere else.
    ///
    /// # Errors
    /// As [`Keychain::complete`].
    pub fn of_archives(
        plan: &Plan,
        old: Option<&Lock>,
        fetcher: &Fetcher,
        project: &Utf8Path,
    ) -> Result<Self> {
        let mut keychain = Self::of_files(project);
        for archive in &plan.archives {
            keychain.add(&archive.keyring, archive.key_place(), old, fetcher)?;
        }
        Ok(keychain)
    }

    fn add(
        &mut self,
        keyring: &Keyring,
        at: Option<&SourceLocation>,
        old: Option<&Lock>,
        fetcher: &Fetcher,
    ) -> Result<()> {
        let Some((url, fingerprint)) = address(keyring) else { return Ok(()) };
        let query = match keyring {
            Keyring::Key { query, .. } => query.as_ref(),
            _ => None,
        };
        if find(&self.fetched, fingerprint).is_some() {
            return Ok(());
        }
        self.fetched.push(match old.and_then(|lock| find(&lock.keys, fingerprint)) {
            Some(locked) => LockedKey { url: url.clone(), ..locked.clone() },
            None => fetched((url, query), fingerprint, at, fetcher)?,
        });
        Ok(())
    }

    /// Returns the keys accepted for packages from `address`.
    ///
    /// # Errors
    /// A file that is not there, at the line `at`.
    pub fn keys(&self, keyring: &Keyring, address: &str, at: Option<&SourceLocation>) -> Result<Keys> {
        Ok(match keyring {
            Keyring::Debian => Keys::Debian,
            Keyring::Ubuntu => Keys::Ubuntu,
            Keyring::Key { url: Some(_), fingerprint, .. } => {
                let key = fingerprint.as_ref().and_then(|print| find(&self.fetched, print));
                // Nobody's signature is good by a key that was not fetched yet.
                let content = key.map_or(Ok(Vec::new()), content)?;
                Keys::Pinned { content, fingerprint: fingerprint.clone() }
            }
            Keyring::Key { file: Some(file), url: None, fingerprint, .. } => {
                let content = std::fs::read(self.project.join(file)).map_err(|error| LocatedError {
                    message: format!("cannot read the key `{file}` of `{address}`: {error}"),
                    at: at.cloned(),
                    word: None,
                    help: "put the public key there; its path starts beside the file that names it"
                        .to_owned(),
                })?;
                Keys::Pinned { content, fingerprint: fingerprint.clone() }
            }
            Keyring::Key { file: None, url: None, fingerprint, .. } => {
                let fingerprint =
                    fingerprint.as_deref().context("a key without file, address and fingerprint")?;
                Keys::shipped(fingerprint).with_context(|| {
                    format!("the key `{fingerprint}` of `{address}` does not ship with Bedplate")
                })?
            }
        })
    }

    /// The fetched ones, for the lock.
    pub fn into_locked(self) -> Vec<LockedKey> {
        self.fetched
    }
}

/// The address of a plan's key that its lock has not.
pub fn missing<'a>(plan: &'a Plan, lock: &Lock) -> Option<&'a Url> {
    let archives = plan.archives.iter().map(|archive| &archive.keyring);
    let keyrings = archives.chain(plan.debs.iter().filter_map(|deb| deb.keyring.as_ref()));
    let mut addresses = keyrings.filter_map(address);
    addresses.find(|(_, fingerprint)| find(&lock.keys, fingerprint).is_none()).map(|(url, _)| url)
}

fn address(keyring: &Keyring) -> Option<(&Url, &str)> {
    match keyring {
        Keyring::Key { url: Some(url), fingerprint: Some(fingerprint), .. } => Some((url, fingerprint)),
        _ => None,
    }
}

fn find<'a>(keys: &'a [LockedKey], fingerprint: &str) -> Option<&'a LockedKey> {
    keys.iter().find(|key| key.fingerprint == fingerprint)
}

fn content(key: &LockedKey) -> Result<Vec<u8>> {
    let damaged = || format!("the key `{}` in the lock is damaged", key.fingerprint);
    Base64::decode_vec(&key.base64).map_err(anyhow::Error::from).with_context(damaged)
}

/// Asks for a key, and takes of the answer the pinned one alone.
fn fetched(
    (url, query): (&Url, Option<&Secret>),
    fingerprint: &str,
    at: Option<&SourceLocation>,
    fetcher: &Fetcher,
) -> Result<LockedKey> {
    let problem = |message: String, help: String| LocatedError {
        message,
        at: at.cloned(),
        word: Some(url.to_string()),
        help,
    };
    let failed = |error: FetchError| match error {
        FetchError::Gone { url: asked, status, .. } => problem(
            format!("there is no key at `{url}`: `{asked}` answers {status}"),
            "check the address; a key that is nowhere else goes into a file, with `Key::file`".to_owned(),
        ),
        FetchError::Offline { .. } => problem(
            format!("the key `{url}` is not in the lock, and no network may be used"),
            "run once without `--offline`".to_owned(),
        ),
        other => problem(other.to_string(), other.advice().unwrap_or_default()),
    };
    let answer =
        fetcher.document(url, query, &format!("the key `{url}`"), LARGEST, &Silent).map_err(failed)?;
    let pinned = openpgp::Keyring::parse(&answer).and_then(|keyring| keyring.only(fingerprint));
    let refused = |error: SignatureError| {
        let help = match &error {
            SignatureError::NotInKeyring { .. } => error.help(),
            _ => "check the address",
        };
        problem(format!("`{url}` is not the key that is pinned: {error}"), help.to_owned())
    };
    let packets = pinned.map(|keyring| keyring.to_bytes()).map_err(refused)?;
    Ok(LockedKey {
        fingerprint: fingerprint.to_owned(),
        url: url.clone(),
        base64: Base64::encode_string(&packets),
    })
}
