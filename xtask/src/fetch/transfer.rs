//! One download: attempts, resuming, hashing on the way.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bedplate_core::secret::Secret;
use bedplate_core::value::Sha256;
use bedplate_formats::digest;
use ureq::Body;
use ureq::http::{HeaderName, Response, header};

use super::login::Login;
use super::{FetchError, Fetcher, Item, Progress, Subject};
use crate::store::{Claim, Partial, disk_is_full};

const UNKNOWN_HOST: &str = "the name of the host cannot be looked up";

/// An attempt that brings this much counts as a new first one: the line is bad, but it is a line.
const WORTHWHILE: u64 = 64 * 1024;

/// Fetches `item` into the store.
pub(super) fn run(
    fetcher: &Fetcher,
    item: &Item,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<(), FetchError> {
    let partial = match fetcher.store.claim(&item.sha256).map_err(FetchError::Store)? {
        Claim::Stored(_) => {
            progress.advance(item.size);
            return Ok(());
        }
        Claim::Partial(partial) => partial,
    };
    let mut transfer = Transfer {
        url: String::new(),
        fetcher,
        item,
        stop,
        progress,
        partial,
        received: 0,
        hasher: digest::Sha256::default(),
        told: 0,
    };
    let fetched = fetcher.first(&item.url, progress, |candidate| {
        transfer.url.clone_from(&candidate.url);
        transfer.attempts()
    });
    match fetched {
        Ok(()) => transfer.partial.finish().map(drop).map_err(FetchError::Store),
        Err(error) => {
            // Bytes of the right file are worth keeping; bytes of a wrong one, or on a full disk, are not.
            if matches!(error, FetchError::Hash { .. } | FetchError::Size { .. } | FetchError::Full { .. }) {
                transfer.partial.discard();
            }
            Err(error)
        }
    }
}

/// Fetches a document of unknown size and digest into memory, from this very address.
pub(super) fn document(
    fetcher: &Fetcher,
    url: &str,
    query: Option<&Secret>,
    what: &str,
    limit: u64,
) -> Result<Vec<u8>, FetchError> {
    let subject = Subject::Index(what.to_owned());
    let mut attempt = 1;
    loop {
        let failure = match document_once(fetcher, url, query, limit) {
            Ok(bytes) => return Ok(bytes),
            Err(failure) => failure,
        };
        let (again, error) = failure.into_error(subject.clone(), url, attempt, fetcher);
        if !again || attempt >= fetcher.patience.attempts {
            return Err(error);
        }
        thread::sleep(backoff(fetcher, attempt));
        attempt += 1;
    }
}

fn document_once(
    fetcher: &Fetcher,
    url: &str,
    query: Option<&Secret>,
    limit: u64,
) -> Result<Vec<u8>, Failure> {
    // No digest says which one it has to be, so a proxy that has an older one is to look again.
    let response = ask(fetcher, url, query, (header::CACHE_CONTROL, "max-age=0"))?;
    if response.status() != 200 {
        return Err(Failure::Status(response.status().as_u16()));
    }
    let announced = response.body().content_length();
    let too_large = |found: String| Failure::OtherSize { expected: format!("at most {limit}"), found };
    if let Some(length) = announced
        && length > limit
    {
        return Err(too_large(length.to_string()));
    }
    let mut bytes = Vec::new();
    response.into_body().into_reader().take(limit + 1).read_to_end(&mut bytes).map_err(Failure::reading)?;
    let length = bytes.len() as u64;
    if length > limit {
        return Err(too_large("more".to_owned()));
    }
    match announced {
        Some(size) if length < size => Err(Failure::Truncated { received: length, size }),
        _ => Ok(bytes),
    }
}

/// One request, with the login for the server where there is one.
fn ask(
    fetcher: &Fetcher,
    url: &str,
    query: Option<&Secret>,
    (name, value): (HeaderName, &str),
) -> Result<Response<Body>, Failure> {
    let address = query.map_or_else(|| url.to_owned(), |query| format!("{url}?{}", query.reveal()));
    let send = |login: Option<&Login>| {
        let mut request = fetcher.client.get(&address);
        if !value.is_empty() {
            request = request.header(&name, value);
        }
        if let Some(login) = login {
            request = request.header(header::AUTHORIZATION, login.header.reveal());
        }
        request.call().map_err(|error| Failure::from(error).without(query))
    };
    let own = fetcher.logins.of(url);
    let response = send(own)?;
    match fetcher.logins.fallback(url) {
        Some(login) if own.is_none() && response.status() == 401 => send(Some(login)),
        _ => Ok(response),
    }
}

struct Transfer<'a> {
    fetcher: &'a Fetcher,
    item: &'a Item,
    stop: &'a AtomicBool,
    progress: &'a dyn Progress,
    url: String,
    partial: Partial,
    /// Bytes in the partial file, all of them in `hasher`.
    received: u64,
    hasher: digest::Sha256,
    /// Bytes the progress was told of.
    told: u64,
}

/// Why an attempt ended.
pub(super) enum Failure {
    Status(u16),
    Transport(String),
    /// The server hung up in the middle.
    Closed,
    Timeout(Waiting),
    Truncated {
        received: u64,
        size: u64,
    },
    OtherSize {
        expected: String,
        found: String,
    },
    Hash {
        expected: Sha256,
        found: Sha256,
        resumed: bool,
    },
    Disk(io::Error),
    Stopped,
}

pub(super) enum Waiting {
    Connection,
    Bytes,
}

impl Transfer<'_> {
    /// From one address, on top of what the partial file holds: of an earlier run, or of another address.
    fn attempts(&mut self) -> Result<(), FetchError> {
        if self.received == 0 {
            self.pick_up().map_err(|error| self.disk(error))?;
        }
        let mut resumed = self.received > 0;
        let mut attempt = 1;
        loop {
            let before = self.received;
            let failure = match self.attempt().and_then(|()| self.check(resumed)) {
                Ok(()) => return Ok(()),
                // What an earlier run left was not the beginning of this file.
                Err(Failure::Hash { resumed: true, .. }) => {
                    self.restart().map_err(|error| self.disk(error))?;
                    resumed = false;
                    continue;
                }
                Err(failure) => failure,
            };
            if matches!(failure, Failure::Hash { .. } | Failure::OtherSize { .. }) {
                // Nothing of it may be taken for the beginning of the right file.
                self.restart().map_err(|error| self.disk(error))?;
            }
            if self.received > before + WORTHWHILE {
                attempt = 1;
            }
            // Bytes kept over a broken connection may be of another file than those that follow.
            resumed = self.received > 0;
            let (again, error) =
                failure.into_error(self.item.subject.clone(), &self.url, attempt, self.fetcher);
            if !again || attempt >= self.fetcher.patience.attempts {
                return Err(error);
            }
            thread::sleep(backoff(self.fetcher, attempt));
            attempt += 1;
        }
    }

    /// Takes over what an earlier run left in the partial file.
    fn pick_up(&mut self) -> io::Result<()> {
        let file = self.partial.file();
        file.rewind()?;
        if file.metadata()?.len() > self.item.size {
            self.partial.restart()?;
            return Ok(());
        }
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            self.hasher.update(&buffer[..read]);
            self.received += read as u64;
        }
        self.tell();
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        self.partial.restart()?;
        self.received = 0;
        self.hasher = digest::Sha256::default();
        Ok(())
    }

    /// One request, for what is not there yet.
    fn attempt(&mut self) -> Result<(), Failure> {
        if self.received == self.item.size && self.item.size > 0 {
            return Ok(());
        }
        let range = if self.received > 0 { format!("bytes={}-", self.received) } else { String::new() };
        let response = ask(self.fetcher, &self.url, self.item.query.as_ref(), (header::RANGE, &range))?;
        match response.status().as_u16() {
            206 if self.received > 0 && continues(&response, self.received, self.item.size) => {}
            // A server that does not resume, or has a file of another length: from the beginning, then.
            200 => self.restart().map_err(Failure::Disk)?,
            206 | 416 if self.received > 0 => {
                self.restart().map_err(Failure::Disk)?;
                return self.attempt();
            }
            status => return Err(Failure::Status(status)),
        }
        let rest = self.item.size - self.received;
        if let Some(announced) = response.body().content_length()
            && announced != rest
        {
            return Err(Failure::OtherSize {
                expected: self.item.size.to_string(),
                found: (self.received + announced).to_string(),
            });
        }
        self.receive(response)
    }

    fn receive(&mut self, response: Response<Body>) -> Result<(), Failure> {
        self.partial.file().seek(SeekFrom::Start(self.received)).map_err(Failure::Disk)?;
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 128 * 1024];
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Failure::Stopped);
            }
            let read = match body.read(&mut buffer).map_err(Failure::reading) {
                Err(Failure::Closed) => break,
                read => read?,
            };
            if read == 0 {
                break;
            }
            if self.received + read as u64 > self.item.size {
                return Err(Failure::OtherSize {
                    expected: self.item.size.to_string(),
                    found: "more".to_owned(),
                });
            }
            self.partial.file().write_all(&buffer[..read]).map_err(Failure::Disk)?;
            self.hasher.update(&buffer[..read]);
            self.received += read as u64;
            self.tell();
        }
        if self.received < self.item.size {
            return Err(Failure::Truncated { received: self.received, size: self.item.size });
        }
        Ok(())
    }

    fn check(&self, resumed: bool) -> Result<(), Failure> {
        let found = Sha256::of(self.hasher.clone().finish());
        if found == self.item.sha256 {
            return Ok(());
        }
        Err(Failure::Hash { expected: self.item.sha256.clone(), found, resumed })
    }

    fn tell(&mut self) {
        if self.received > self.told {
            self.progress.advance(self.received - self.told);
            self.told = self.received;
        }
    }

    fn disk(&self, error: io::Error) -> FetchError {
        Failure::Disk(error).into_error(self.item.subject.clone(), &self.url, 1, self.fetcher).1
    }
}

impl Failure {
    /// What the network said, in words.
    pub(super) fn words(self) -> String {
        match self {
            Self::Transport(cause) => cause,
            Self::Closed => "the connection was closed early".to_owned(),
            Self::Timeout(_) => "no answer in time".to_owned(),
            _ => "the answer is not what was asked for".to_owned(),
        }
    }

    /// What reading a body says when it fails.
    pub(super) fn reading(error: io::Error) -> Self {
        match error.downcast::<ureq::Error>() {
            Ok(error) => error.into(),
            Err(error) => ureq::Error::Io(error).into(),
        }
    }

    /// The same, where what the network said has the query in it that is shown to nobody.
    fn without(self, query: Option<&Secret>) -> Self {
        match (self, query) {
            (Self::Transport(cause), Some(query)) if !query.reveal().is_empty() => {
                Self::Transport(cause.replace(query.reveal(), "…"))
            }
            (failure, _) => failure,
        }
    }

    /// The error this is when it is the last word, and whether another attempt may help.
    fn into_error(self, subject: Subject, url: &str, attempts: u32, fetcher: &Fetcher) -> (bool, FetchError) {
        let url: Box<str> = Box::from(url);
        match self {
            Self::Status(status @ (401 | 403)) => {
                let logins = &fetcher.logins;
                let sent = logins.of(&url).or_else(|| logins.fallback(&url));
                let advice = logins.advice(&url, sent).into();
                (false, FetchError::Login { subject, url, status, advice })
            }
            Self::Status(status @ (404 | 410)) => (false, FetchError::Gone { subject, url, status }),
            Self::Status(status) => {
                let again = status >= 500 || matches!(status, 408 | 425 | 429);
                (again, FetchError::Status { subject, url, status, attempts })
            }
            closed @ Self::Closed => {
                (true, FetchError::Transport { subject, url, cause: closed.words(), attempts })
            }
            Self::Transport(cause) => (true, FetchError::Transport { subject, url, cause, attempts }),
            Self::Timeout(waiting) => {
                let waited = match waiting {
                    Waiting::Connection => fetcher.patience.connect,
                    Waiting::Bytes => fetcher.patience.progress,
                };
                (true, FetchError::Timeout { subject, url, waited, attempts })
            }
            Self::Truncated { received, size } => {
                (true, FetchError::Truncated { subject, url, received, size, attempts })
            }
            Self::OtherSize { expected, found } => {
                (false, FetchError::Size { subject, url, expected, found })
            }
            Self::Hash { expected, found, .. } => (false, FetchError::Hash { subject, url, expected, found }),
            Self::Disk(error) if disk_is_full(&error) => {
                (false, FetchError::Full { directory: fetcher.store.root().to_owned(), wanted: None })
            }
            Self::Disk(error) => {
                let context = format!("cannot write to the store at `{}`", fetcher.store.root().display());
                (false, FetchError::Store(anyhow::Error::new(error).context(context)))
            }
            Self::Stopped => (false, FetchError::Stopped),
        }
    }
}

impl From<ureq::Error> for Failure {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
                Self::Timeout(Waiting::Connection)
            }
            ureq::Error::Timeout(_) => Self::Timeout(Waiting::Bytes),
            ureq::Error::HostNotFound => Self::Transport(UNKNOWN_HOST.to_owned()),
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                Self::Timeout(Waiting::Bytes)
            }
            ureq::Error::Io(error) => match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionAborted => Self::Closed,
                // In words, without the operating system's number.
                io::ErrorKind::ConnectionRefused => Self::Transport("connection refused".to_owned()),
                io::ErrorKind::ConnectionReset => Self::Transport("connection reset".to_owned()),
                // The resolver's kinds are not stable yet.
                _ if error.to_string().starts_with("failed to lookup address information") => {
                    Self::Transport(UNKNOWN_HOST.to_owned())
                }
                _ => Self::Transport(error.to_string()),
            },
            other => Self::Transport(other.to_string()),
        }
    }
}

/// Whether a partial answer goes on exactly where we are, in a file of the length we expect.
fn continues(response: &Response<Body>, from: u64, size: u64) -> bool {
    let expected = format!("bytes {from}-{}/{size}", size - 1);
    response.headers().get(header::CONTENT_RANGE).is_some_and(|range| range.as_bytes() == expected.as_bytes())
}

fn backoff(fetcher: &Fetcher, attempt: u32) -> Duration {
    fetcher.patience.backoff.saturating_mul(1 << (attempt - 1).min(6))
}
