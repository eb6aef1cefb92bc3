//! A cache that the machines of a team share: packages, and entries of the store that one of them has made.
//!
//! ```text
//! ADDRESS/cas/SHA256        bytes with this sha256: a package, or an entry packed (`bedplate_formats::tarball`)
//! ADDRESS/ac/SHA256         the signed statement of an entry, under the sha256 of its name: see `statement`
//! ```
//!
//! The addresses are those of Bazel's HTTP caches, so that their servers serve this one, too.
//!
//! Invariant: what comes from it is a package whose sha256 the lock has, or an entry that one of the team's keys has
//! signed under its own name. Nothing is unpacked before that is checked. So whoever can write to the cache can make a
//! build slower, and no more.
//!
//! Nothing that the cache does fails a build. What is down, slow or damaged is told once, and from then on the run does
//! without it. What was missing or damaged is put there in the end by who may.

mod address;
#[cfg(feature = "s3")]
mod s3;
mod settings;
mod statement;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bedplate_core::value::Sha256;
use bedplate_formats::{digest, tarball};
use fs_err as fs;
use rayon::prelude::*;
use ureq::Body;
use ureq::http::{Response, header};

use self::address::Request;
pub use self::settings::Settings;
use self::statement::Statement;
use super::http::Client;
use super::login::Logins;
use super::transfer::Failure;
use super::{Item, Patience, Progress};
use crate::store::{Claim, Exchange, Store};

/// How long the cache may take: less than a build without it would.
pub const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(5),
    progress: Duration::from_secs(10),
    backoff: Duration::ZERO,
    attempts: 1,
};

/// In bytes a second. A slower line is left alone.
const SLOWEST: u64 = 1 << 20;

/// Bytes. A statement has some five hundred.
const LARGEST_STATEMENT: u64 = 16 << 10;

/// Says something that the run should hear.
pub type Notice = Box<dyn Fn(&str) + Send + Sync>;

/// The shared cache, for one run.
pub struct RemoteCache {
    settings: Settings,
    patience: Patience,
    client: Client,
    logins: Logins,
    /// Where things from it go. It exchanges nothing itself.
    store: Store,
    notice: Notice,
    /// Whether it is still asked.
    reads: AtomicBool,
    /// Whether it is still given anything.
    writes: AtomicBool,
    waiting: Mutex<Waiting>,
    taken: Count,
}

/// What the cache has not.
#[derive(Default)]
struct Waiting {
    /// The names of entries.
    missing: BTreeSet<String>,
    /// Those of them that were made meanwhile, and where.
    entries: Vec<(String, PathBuf)>,
    packages: BTreeSet<Sha256>,
}

/// Files, and their bytes on the way.
#[derive(Debug, Default)]
struct Count {
    files: AtomicUsize,
    bytes: AtomicU64,
}

/// Files, and their bytes on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub files: usize,
    /// Packed.
    pub bytes: u64,
}

/// Why something was not had from the cache, or not put there.
enum Trouble {
    /// It does not answer as it should: nothing more is asked of it.
    Server(String),
    /// This entry is not what it should be: it is made anew, and put there in its place.
    Entry(String),
}

impl fmt::Debug for RemoteCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteCache").field("address", &self.settings.shown).finish_non_exhaustive()
    }
}

impl RemoteCache {
    /// A cache as the settings say it. Things from it go into `store`.
    pub fn new(
        settings: Settings,
        store: &Store,
        logins: Logins,
        patience: Patience,
        notice: Notice,
    ) -> Self {
        let client = match settings.address.is_plain() {
            // It is on the own network: nobody asks a proxy for the way to it.
            true => Client::direct(patience),
            false => Client::new(patience),
        };
        Self {
            patience,
            client,
            logins,
            store: store.clone(),
            notice,
            reads: AtomicBool::new(true),
            writes: AtomicBool::new(!settings.read_only),
            waiting: Mutex::default(),
            taken: Count::default(),
            settings,
        }
    }

    /// The same that is neither asked nor given anything.
    #[must_use]
    pub fn offline(mut self) -> Self {
        (self.reads, self.writes) = (AtomicBool::new(false), AtomicBool::new(false));
        self
    }

    /// Its address, without logins.
    pub fn address(&self) -> &str {
        &self.settings.shown
    }

    /// What was taken from it.
    pub fn taken(&self) -> Amount {
        self.taken.amount()
    }

    /// Brings a package into the store; whether the cache has it.
    pub fn package(&self, item: &Item, progress: &dyn Progress) -> bool {
        if !self.reads() {
            return false;
        }
        let found = self.blob(&item.sha256, item.size, &mut |bytes| progress.advance(bytes));
        let found = found.map(|path| path.map(|_| item.size));
        self.took(&item.subject.to_string(), found, |waiting| {
            waiting.packages.insert(item.sha256.clone());
        })
    }

    /// Puts into it what was missing, and tells why what was made is not put there; what was.
    ///
    /// Each file is sent whole, and an entry's statement after its content: whoever is interrupted leaves nothing half.
    pub fn upload(&self) -> Amount {
        let sent = Count::default();
        let Waiting { entries, packages, .. } = std::mem::take(&mut *self.waiting());
        let keyless = |variable: &str| {
            (self.notice)(&format!(
                "packages alone are shared over `{}`: `{variable}` is not set",
                self.address()
            ));
        };
        if self.settings.trusted.is_empty() && !entries.is_empty() && self.reads() {
            keyless(settings::PUBLIC_KEY);
        }
        if !self.writes.load(Ordering::Relaxed) {
            return sent.amount();
        }
        packages.par_iter().for_each(|sha256| {
            if let Some(path) = self.store.path(sha256)
                && let Some(bytes) = self.send(&cas(sha256), &path)
            {
                sent.add(bytes);
            }
        });
        if self.settings.signer.is_none() {
            if !self.settings.trusted.is_empty() && !entries.is_empty() {
                keyless(settings::KEY);
            }
            return sent.amount();
        }
        for (name, layer) in &entries {
            if !self.writes.load(Ordering::Relaxed) {
                break;
            }
            let why = match self.send_entry(name, layer) {
                Ok(bytes) => {
                    bytes.into_iter().for_each(|bytes| sent.add(bytes));
                    continue;
                }
                Err(Trouble::Entry(why)) => why,
                // It signs the next one no sooner, and each may take its time.
                Err(Trouble::Server(why)) => {
                    self.writes.store(false, Ordering::Relaxed);
                    why
                }
            };
            (self.notice)(&format!("`{}` is not put into the shared cache: {why}", short(name)));
        }
        sent.amount()
    }

    /// Packs an entry, and sends it with its signed statement; its bytes, if they arrived.
    fn send_entry(&self, name: &str, layer: &Path) -> Result<Option<u64>, Trouble> {
        let Some((signer, key)) = &self.settings.signer else { return Ok(None) };
        let failed = |error: anyhow::Error| Trouble::Entry(format!("{error:#}"));
        let directory = self.store.temporary().map_err(failed)?;
        let (packed, signed) = (directory.join("packed"), directory.join("statement"));
        let statement = pack(layer, &packed).map_err(|error| failed(error.into()))?;
        let text =
            statement.sign(name, signer, key).map_err(|error| Trouble::Server(format!("{error:#}")))?;
        fs::write(&signed, text).map_err(|error| failed(error.into()))?;
        let sent = self.send(&cas(&statement.sha256), &packed);
        let sent = sent.and_then(|bytes| Some(bytes + self.send(&ac(name), &signed)?));
        fs::remove_dir_all(directory).map_err(|error| failed(error.into()))?;
        Ok(sent)
    }

    /// Sends a file; its length, if it has arrived.
    fn send(&self, name: &str, path: &Path) -> Option<u64> {
        if !self.writes.load(Ordering::Relaxed) {
            return None;
        }
        match self.put(name, path) {
            Ok(length) => Some(length),
            Err(why) => {
                if self.writes.swap(false, Ordering::Relaxed) {
                    (self.notice)(&format!(
                        "cannot put anything into the shared cache `{}`: {why}; the build is not affected",
                        self.address()
                    ));
                }
                None
            }
        }
    }

    fn put(&self, name: &str, path: &Path) -> Result<u64, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        let Request { url, authorization } = self.settings.address.put(name, &self.logins)?;
        let mut request = self.client.put(url.reveal());
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization.reveal());
        }
        // Who follows one asks for the file, and takes the answer for success.
        let time = Some(self.time_for(length));
        let request = request.config().timeout_global(time).max_redirects(0).build();
        let response = request.send(&file).map_err(|error| self.words(error))?;
        match response.status().as_u16() {
            200..300 => {
                drain(response);
                Ok(length)
            }
            status => Err(self.refusal(status)),
        }
    }

    /// Brings bytes into the store; their path there. `None` where the cache has not got them.
    fn blob(
        &self,
        sha256: &Sha256,
        size: u64,
        advance: &mut dyn FnMut(u64),
    ) -> Result<Option<PathBuf>, Trouble> {
        let disk = |error: anyhow::Error| Trouble::Server(format!("{error:#}"));
        let mut partial = match self.store.claim(sha256).map_err(disk)? {
            Claim::Stored(path) => return Ok(Some(path)),
            Claim::Partial(partial) => partial,
        };
        partial.restart().map_err(|error| disk(error.into()))?;
        let mut output = Hashing { inner: partial.file(), hasher: digest::Sha256::default(), length: 0 };
        let fetched = self.get(&cas(sha256), size, &mut output, advance);
        let found = Sha256::of(output.hasher.finish());
        let (length, wrong) = (output.length, found != *sha256);
        match fetched {
            Ok(true) if length != size => {
                partial.discard();
                Err(Trouble::Entry(format!("it has {length} bytes instead of {size}")))
            }
            Ok(true) if wrong => {
                partial.discard();
                Err(Trouble::Entry(format!("its sha256 is `{found}` instead of `{sha256}`")))
            }
            Ok(true) => partial.finish().map(Some).map_err(disk),
            Ok(false) => {
                partial.discard();
                Ok(None)
            }
            Err(trouble) => {
                partial.discard();
                Err(trouble)
            }
        }
    }

    /// Writes what is under a name, of at most `limit` bytes; whether there is anything.
    fn get(
        &self,
        name: &str,
        limit: u64,
        output: &mut dyn Write,
        advance: &mut dyn FnMut(u64),
    ) -> Result<bool, Trouble> {
        let Request { url, authorization } =
            self.settings.address.get(name, &self.logins).map_err(Trouble::Server)?;
        let mut request = self.client.get(url.reveal());
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization.reveal());
        }
        let request = request.config().timeout_global(Some(self.time_for(limit))).build();
        let response = request.call().map_err(|error| Trouble::Server(self.words(error)))?;
        match response.status().as_u16() {
            200 => {}
            404 | 410 => {
                drain(response);
                return Ok(false);
            }
            status => return Err(Trouble::Server(self.refusal(status))),
        }
        let announced = response.body().content_length();
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 128 * 1024];
        let mut received = 0;
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => {
                    let why = match error.downcast::<ureq::Error>() {
                        Ok(error) => self.words(error),
                        Err(error) => Failure::reading(error).words(),
                    };
                    return Err(Trouble::Server(why));
                }
            };
            received += read as u64;
            if received > limit {
                return Err(Trouble::Entry(format!("it has more than {limit} bytes")));
            }
            let disk = |error: io::Error| Trouble::Server(format!("cannot keep what it sends: {error}"));
            output.write_all(&buffer[..read]).map_err(disk)?;
            advance(read as u64);
        }
        match announced {
            Some(size) if received < size => {
                Err(Trouble::Server(format!("the answer ends at byte {received} of {size}")))
            }
            _ => Ok(true),
        }
    }

    /// Unpacks an entry into an empty directory; its bytes on the way, and `None` where the cache has not got it.
    fn entry(&self, name: &str, directory: &Path) -> Result<Option<u64>, Trouble> {
        let mut statement = Vec::new();
        if !self.get(&ac(name), LARGEST_STATEMENT, &mut statement, &mut |_| {})? {
            return Ok(None);
        }
        let Statement { sha256, size } =
            Statement::verify(&statement, name, &self.settings.trusted).map_err(Trouble::Entry)?;
        // A server with little room may have kept the one and not the other.
        let Some(packed) = self.blob(&sha256, size, &mut |_| {})? else { return Ok(None) };
        let unpacked = File::open(&packed).and_then(|file| tarball::unpack(BufReader::new(file), directory));
        // It is in the store unpacked from now on.
        self.store.remove(&sha256);
        // It is what was signed, so it is not the cache's fault.
        unpacked.map_err(|error| Trouble::Server(format!("its entry cannot be unpacked: {error}")))?;
        Ok(Some(size))
    }

    /// Counts what was had from the cache, notes what is `missing` there, and tells what is wrong with it.
    fn took(
        &self,
        what: &str,
        found: Result<Option<u64>, Trouble>,
        missing: impl FnOnce(&mut Waiting),
    ) -> bool {
        let (why, is_server) = match found {
            Ok(Some(bytes)) => {
                self.taken.add(bytes);
                return true;
            }
            Ok(None) => {
                missing(&mut self.waiting());
                return false;
            }
            Err(Trouble::Entry(why)) => {
                missing(&mut self.waiting());
                (format!("what it has for {what} is damaged: {why}"), false)
            }
            Err(Trouble::Server(why)) => (why, true),
        };
        if is_server {
            self.writes.store(false, Ordering::Relaxed);
        }
        // Files are asked for side by side: only the first is told.
        if self.reads.swap(false, Ordering::Relaxed) {
            (self.notice)(&format!("the shared cache `{}` is left out of this run: {why}", self.address()));
        }
        false
    }

    fn words(&self, error: ureq::Error) -> String {
        match error {
            ureq::Error::Timeout(ureq::Timeout::Global) => {
                format!("it sends or takes less than {} a second", bedplate_core::bytes::bytes(SLOWEST))
            }
            // Its text may have the address in it, and that the signature of a request.
            ureq::Error::BadUri(_) => "its address is invalid".to_owned(),
            error => Failure::from(error).words(),
        }
    }

    /// How long a file of so many bytes may take, however it comes.
    fn time_for(&self, bytes: u64) -> Duration {
        2 * self.patience.progress + Duration::from_secs(bytes / SLOWEST)
    }

    /// What an answer means.
    fn refusal(&self, status: u16) -> String {
        let advice = match status {
            401 | 403 => self.settings.address.advice(&self.logins),
            409 => "its directories `ac` and `cas` have to be there".to_owned(),
            _ => return format!("it answers {status}"),
        };
        format!("it answers {status}; {advice}")
    }

    fn reads(&self) -> bool {
        self.reads.load(Ordering::Relaxed)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange for RemoteCache {
    fn take(&self, name: &str, directory: &Path) -> bool {
        // What is missing may have been asked for ahead of its time.
        let is_known = self.waiting().missing.contains(name);
        if self.settings.trusted.is_empty() || is_known || !self.reads() {
            return false;
        }
        let found = self.entry(name, directory);
        self.took(&format!("`{}`", short(name)), found, |waiting| {
            waiting.missing.insert(name.to_owned());
        })
    }

    fn made(&self, name: &str, layer: &Path) {
        let mut waiting = self.waiting();
        if self.settings.trusted.is_empty() || waiting.missing.remove(name) {
            waiting.entries.push((name.to_owned(), layer.to_owned()));
        }
    }
}

impl Count {
    fn add(&self, bytes: u64) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn amount(&self) -> Amount {
        Amount { files: self.files.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

/// Digests what goes through it.
struct Hashing<W> {
    inner: W,
    hasher: digest::Sha256,
    length: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn cas(sha256: &Sha256) -> String {
    format!("cas/{sha256}")
}

fn ac(name: &str) -> String {
    format!("ac/{}", Sha256::of(digest::Sha256::of(name.as_bytes())))
}

/// `system-0123456789abcdef` of an entry with all of its digits.
fn short(name: &str) -> &str {
    name.rfind('-').and_then(|dash| name.get(..dash + 17)).unwrap_or(name)
}

/// Packs a directory into a file, which the statement is about.
fn pack(layer: &Path, file: &Path) -> io::Result<Statement> {
    let output = BufWriter::new(File::create(file)?);
    let mut output = Hashing { inner: output, hasher: digest::Sha256::default(), length: 0 };
    tarball::pack(layer, &mut output)?;
    Ok(Statement { sha256: Sha256::of(output.hasher.finish()), size: output.length })
}

/// Reads what little an answer has to say, so that its connection serves the next request.
fn drain(response: Response<Body>) {
    // One that cannot be read only costs the connection.
    let _ = response.into_body().into_with_config().limit(LARGEST_STATEMENT).read_to_vec();
}
