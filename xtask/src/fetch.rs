//! Downloads into the store: parallel, resumed, and verified by sha256 before anything enters it.
//!
//! What is wanted is said by digest and size, so where it comes from does not matter: a mirror, a half-finished
//! file of the last attempt, a proxy. A file that is not what was asked for is refused, never kept.
//!
//! Deliberately absent: conditional requests (a digest says more than an `ETag`) and unpacking on the way.

pub mod carried;
pub mod error;
mod forward;
mod http;
pub mod login;
pub mod mirror;
mod names;
pub mod remote;
mod transfer;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bedplate_core::lock::LockedPackage;
use bedplate_core::secret::Secret;
use bedplate_core::value::Sha256;
use rayon::prelude::*;

use self::carried::Carried;
pub use self::error::FetchError;
use self::login::Logins;
use self::mirror::{Candidate, Mirrors};
use self::remote::RemoteCache;
use crate::store::Store;

/// Hears how far the downloads are. Called from several threads.
pub trait Progress: Sync {
    /// So many files with so many bytes in all are about to be fetched.
    fn start(&self, files: usize, bytes: u64);
    /// So many more bytes have arrived. What a retry fetches again is not told twice.
    fn advance(&self, bytes: u64);
    /// All of them are in the store.
    fn done(&self);
    /// Something did not go as it should, and was had in another way.
    fn notice(&self, _text: &str) {}
}

/// Reports nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is, for messages.
    pub subject: Subject,
    /// Its canonical URL; the mirrors say where it is taken from.
    pub url: String,
    /// What follows the URL behind a question mark, and is in no message.
    pub query: Option<Secret>,
    /// Its digest.
    pub sha256: Sha256,
    /// In bytes.
    pub size: u64,
}

/// What a file is to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A package of an archive.
    Package {
        /// `docker.io`
        name: String,
        /// `26.1.5+dfsg1-9`
        version: String,
    },
    /// A package that a vendor has at an address of its own.
    Vendor {
        /// `amazon-ssm-agent`
        name: Box<str>,
        /// `3.3.987.0-1`
        version: Box<str>,
    },
    /// An index of an archive: `Packages` of `trixie main`.
    Index(String),
}

/// How patient the fetcher is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection to be made.
    pub connect: Duration,
    /// For the next bytes to arrive.
    pub progress: Duration,
    /// Before the second attempt; doubled before each further one.
    pub backoff: Duration,
    /// Attempts that bring nothing before one gives up.
    pub attempts: u32,
}

/// Fetches files into a store.
#[derive(Debug, Clone)]
pub struct Fetcher {
    store: Store,
    mirrors: Mirrors,
    logins: Arc<Logins>,
    patience: Patience,
    connections: usize,
    offline: bool,
    carried: Option<Arc<Carried>>,
    remote: Option<Arc<RemoteCache>>,
    client: http::Client,
    /// Bases that did not answer: the others are asked before them.
    silent: Arc<Mutex<BTreeSet<String>>>,
}

impl Item {
    /// A package of a lock.
    pub fn package(locked: &LockedPackage) -> Self {
        let (name, version) = (locked.name.to_string(), locked.version.clone());
        let subject = match locked.is_vendors() {
            true => Subject::Vendor { name: name.into(), version: version.into() },
            false => Subject::Package { name, version },
        };
        Self {
            subject,
            url: locked.url.to_string(),
            query: None,
            sha256: locked.sha256.clone(),
            size: locked.size,
        }
    }

    fn is_index(&self) -> bool {
        matches!(self.subject, Subject::Index(_))
    }
}

impl Fetcher {
    /// A fetcher for this store that takes everything from its canonical URL.
    pub fn new(store: &Store) -> Self {
        let patience = Patience::default();
        Self {
            store: store.clone(),
            mirrors: Mirrors::default(),
            logins: Arc::default(),
            patience,
            connections: 8,
            offline: false,
            carried: None,
            remote: None,
            client: http::Client::new(patience),
            silent: Arc::default(),
        }
    }

    /// Takes files from these mirrors.
    #[must_use]
    pub fn mirrors(mut self, mirrors: Mirrors) -> Self {
        self.mirrors = mirrors;
        self
    }

    /// Has these logins for servers that want one.
    #[must_use]
    pub fn logins(mut self, logins: Logins) -> Self {
        self.logins = Arc::new(logins);
        self
    }

    /// Waits as long as this.
    #[must_use]
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self.client = http::Client::new(patience);
        self
    }

    /// Uses the store alone and no network.
    #[must_use]
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// Takes from a directory what it has, before anything is fetched.
    #[must_use]
    pub fn carried(mut self, carried: Option<Carried>) -> Self {
        self.carried = carried.map(Arc::new);
        self
    }

    /// Asks a shared cache for packages, before anybody else.
    #[must_use]
    pub fn remote(mut self, remote: Option<Arc<RemoteCache>>) -> Self {
        self.remote = remote;
        self
    }

    /// The store it fetches into.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Sees to it that every item is in the store. Those that are cost one `stat` each.
    ///
    /// The first failure ends the others; what they had fetched is kept for resuming.
    pub fn fetch(&self, items: &[Item], progress: &dyn Progress) -> Result<(), FetchError> {
        let mut seen = BTreeSet::new();
        let mut missing: Vec<&Item> = items
            .iter()
            .filter(|item| seen.insert(item.sha256.as_str()))
            .filter(|item| self.store.path(&item.sha256).is_none())
            .collect();
        if let Some(carried) = &self.carried {
            let taken = missing.par_iter().map(|item| carried.take(&item.sha256, &self.store));
            let taken = taken.collect::<Result<Vec<bool>, _>>().map_err(FetchError::Store)?;
            let mut taken = taken.into_iter();
            missing.retain(|_| taken.next() != Some(true));
        }
        let Some(first) = missing.first() else { return Ok(()) };
        if self.offline {
            return Err(FetchError::Offline { subject: first.subject.clone(), missing: missing.len() });
        }
        let bytes = missing.iter().map(|item| item.size).sum();
        self.check_room(bytes)?;

        progress.start(missing.len(), bytes);
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let failure = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..self.connections.min(missing.len()) {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let Some(item) = missing.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                        // What is in an index is of today alone, and not worth keeping for others.
                        let remote = self.remote.as_deref().filter(|_| !item.is_index());
                        if remote.is_some_and(|remote| remote.package(item, progress)) {
                            continue;
                        }
                        match transfer::run(self, item, &stop, progress) {
                            Ok(()) => {}
                            Err(error) => {
                                // Only the first failure is told; after it the others end as `Stopped`.
                                if !stop.swap(true, Ordering::Relaxed)
                                    && let Ok(mut failure) = failure.lock()
                                {
                                    *failure = Some(error);
                                }
                                break;
                            }
                        }
                    }
                });
            }
        });
        match failure.into_inner() {
            Ok(None) => {
                progress.done();
                Ok(())
            }
            Ok(Some(error)) => Err(error),
            Err(_) => Err(FetchError::Store(anyhow::anyhow!("a download thread panicked"))),
        }
    }

    /// Fetches a small file nothing is known of yet, such as a key, of at most `limit` bytes.
    ///
    /// The bytes are unverified and do not enter the store.
    pub fn document(
        &self,
        url: &str,
        query: Option<&Secret>,
        what: &str,
        limit: u64,
        progress: &dyn Progress,
    ) -> Result<Vec<u8>, FetchError> {
        self.first(url, progress, |candidate| self.document_from(candidate, query, what, limit))
    }

    /// The same from one of the addresses it may be at.
    pub(crate) fn document_from(
        &self,
        candidate: &Candidate,
        query: Option<&Secret>,
        what: &str,
        limit: u64,
    ) -> Result<Vec<u8>, FetchError> {
        if self.offline {
            return Err(FetchError::Offline { subject: Subject::Index(what.to_owned()), missing: 1 });
        }
        transfer::document(self, &candidate.url, query, what, limit)
    }

    /// What the first address gives that has it; where none has, why not.
    pub(crate) fn first<T>(
        &self,
        url: &str,
        progress: &dyn Progress,
        mut ask: impl FnMut(&Candidate) -> Result<T, FetchError>,
    ) -> Result<T, FetchError> {
        let candidates = self.candidates(url);
        let mut failure: Option<FetchError> = None;
        for (number, candidate) in candidates.iter().enumerate() {
            let error = match ask(candidate) {
                Ok(found) => return Ok(found),
                Err(error) if !error.may_be_had_elsewhere() => return Err(error),
                Err(error) => error,
            };
            // Files are fetched side by side, and all of them may find the same server silent.
            let is_news = !error.is_silence() || self.note_silence(candidate);
            if let Some(next) = candidates.get(number + 1).filter(|_| is_news) {
                progress.notice(&format!("{error}; asking `{}`", next.base));
            }
            // That somebody has no such file says more than that somebody else does not answer.
            if failure.as_ref().is_none_or(|before| before.is_silence() && !error.is_silence()) {
                failure = Some(error);
            }
        }
        Err(failure.unwrap_or(FetchError::Stopped))
    }

    /// Where to ask for what is at a canonical address: who has not answered before comes last.
    fn candidates(&self, url: &str) -> Vec<Candidate> {
        let mut candidates = self.mirrors.candidates(url);
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        candidates.sort_by_key(|candidate| silent.contains(&candidate.base));
        candidates
    }

    /// Notes that a base did not answer; false when that was known.
    fn note_silence(&self, candidate: &Candidate) -> bool {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.insert(candidate.base.clone())
    }

    fn check_room(&self, bytes: u64) -> Result<(), FetchError> {
        // A file system that cannot say is asked by writing to it.
        let Ok(room) = rustix::fs::statvfs(self.store.root()) else { return Ok(()) };
        let available = room.f_bavail.saturating_mul(room.f_frsize);
        if available < bytes {
            return Err(FetchError::Full {
                directory: self.store.root().to_owned(),
                wanted: Some((bytes, available)),
            });
        }
        Ok(())
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            progress: Duration::from_secs(30),
            backoff: Duration::from_millis(500),
            attempts: 4,
        }
    }
}

impl Progress for Silent {
    fn start(&self, _files: usize, _bytes: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn done(&self) {}
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package { name, version } => write!(formatter, "`{name}` version `{version}`"),
            Self::Vendor { name, version } => write!(formatter, "`{name}` version `{version}`"),
            Self::Index(name) => formatter.write_str(name),
        }
    }
}
