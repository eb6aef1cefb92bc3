//! What can go wrong when a file is fetched, and what to do about it.

use std::path::PathBuf;
use std::time::Duration;

use bedplate_core::bytes::bytes;
use bedplate_core::value::Sha256;
use thiserror::Error;

use super::Subject;

/// Why a file did not enter the store.
#[derive(Debug, Error)]
pub enum FetchError {
    /// 404 or 410.
    #[error("{}", gone(subject, url, *status))]
    Gone {
        /// What was asked for.
        subject: Subject,
        /// Where, after the mirrors.
        url: Box<str>,
        /// 404 or 410.
        status: u16,
    },
    /// 401 or 403.
    #[error("cannot fetch {subject}: `{url}` answers {status}")]
    Login {
        /// What was asked for.
        subject: Subject,
        /// Where, after the mirrors.
        url: Box<str>,
        /// Of HTTP.
        status: u16,
        /// What to do about it.
        advice: Box<str>,
    },
    /// Any other answer that is not the file.
    #[error("cannot fetch {subject}: `{url}` answers {status}{}", after(*attempts))]
    Status {
        /// What was asked for.
        subject: Subject,
        /// Where, after the mirrors.
        url: Box<str>,
        /// Of HTTP.
        status: u16,
        /// How often it was tried.
        attempts: u32,
    },
    /// No connection, or one that broke.
    #[error("cannot fetch {subject} from `{url}`: {cause}{}", after(*attempts))]
    Transport {
        /// What was asked for.
        subject: Subject,
        /// Where, after the mirrors.
        url: Box<str>,
        /// What the network said.
        cause: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// Nothing came for too long.
    #[error("cannot fetch {subject} from `{url}`: no answer within {} s{}", seconds(*waited), after(*attempts))]
    Timeout {
        /// What was asked for.
        subject: Subject,
        /// Where, after the mirrors.
        url: Box<str>,
        /// Between two bytes, or for the connection.
        waited: Duration,
        /// How often it was tried.
        attempts: u32,
    },
    /// The body ended early, in every attempt.
    #[error("cannot fetch {subject} from `{url}`: the body ends at byte {received} of {size}{}", after(*attempts))]
    Truncated {
        /// What was asked for.
        subject: Subject,
        /// Where, after the mirrors.
        url: Box<str>,
        /// Bytes there are.
        received: u64,
        /// Bytes there should be.
        size: u64,
        /// How often it was tried.
        attempts: u32,
    },
    /// The server has another file under this name.
    #[error("`{url}` is not {subject}: it has {found} bytes instead of {expected}")]
    Size {
        /// What was asked for.
        subject: Subject,
        /// Where, after the mirrors.
        url: Box<str>,
        /// How many bytes it should have.
        expected: String,
        /// How many the server announces, or sent.
        found: String,
    },
    /// The content is not what was asked for.
    #[error("`{url}` is not {subject}: its sha256 is `{found}` instead of `{expected}`")]
    Hash {
        /// What was asked for.
        subject: Subject,
        /// Where, after the mirrors.
        url: Box<str>,
        /// Of the lock or of the verified index.
        expected: Sha256,
        /// Of what came.
        found: Sha256,
    },
    /// An archive's own description of itself goes back in time.
    #[error(
        "the {what} at `{url}` cannot be trusted: `{signed_by}` signed it for {date}, and one for {newest} was seen before"
    )]
    Older {
        /// What was asked for.
        what: Box<str>,
        /// Where, after the mirrors.
        url: Box<str>,
        /// Fingerprint of the key.
        signed_by: Box<str>,
        /// Its date.
        date: Box<str>,
        /// That of the newest one seen, or of the one in the lock.
        newest: Box<str>,
    },
    /// It is needed, not in the store, and no network may be used.
    #[error("{subject} is not in the store, and no network may be used{}", others(*missing))]
    Offline {
        /// The first that is missing.
        subject: Subject,
        /// How many are.
        missing: usize,
    },
    /// The disk is full, or would be.
    #[error("no room for the downloads in `{}`{}", directory.display(), room(*wanted))]
    Full {
        /// The store.
        directory: PathBuf,
        /// Bytes needed and bytes free, where they are known.
        wanted: Option<(u64, u64)>,
    },
    /// The store failed.
    #[error("{0:#}")]
    Store(anyhow::Error),
    /// Another download failed first.
    #[error("the download was stopped because another one failed")]
    Stopped,
}

impl FetchError {
    /// Whether another mirror may have what this one did not give.
    pub fn may_be_had_elsewhere(&self) -> bool {
        !matches!(self, Self::Offline { .. } | Self::Full { .. } | Self::Store(_) | Self::Stopped)
    }

    /// Whether the server did not answer, or that it cannot for now: the next file will fare no better.
    pub fn is_silence(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status >= 500 || *status == 429,
            Self::Transport { .. } | Self::Timeout { .. } => true,
            _ => false,
        }
    }

    /// Name and version of the archive's package that it is about.
    pub fn package(&self) -> Option<(&str, &str)> {
        match self.subject()? {
            Subject::Package { name, version } => Some((name, version)),
            Subject::Vendor { .. } | Subject::Index(_) => None,
        }
    }

    /// What was asked for.
    pub fn subject(&self) -> Option<&Subject> {
        match self {
            Self::Gone { subject, .. }
            | Self::Login { subject, .. }
            | Self::Status { subject, .. }
            | Self::Transport { subject, .. }
            | Self::Timeout { subject, .. }
            | Self::Truncated { subject, .. }
            | Self::Size { subject, .. }
            | Self::Hash { subject, .. }
            | Self::Offline { subject, .. } => Some(subject),
            Self::Older { .. } | Self::Full { .. } | Self::Store(_) | Self::Stopped => None,
        }
    }

    /// What a person can do about it.
    pub fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Gone { subject: Subject::Package { .. }, .. } => {
                "the archive has a newer version: run `cargo xtask lock --update`, or name a snapshot in the \
                 description to keep this one"
            }
            Self::Gone { subject: Subject::Vendor { .. }, .. } => {
                "the vendor has moved it: run `cargo xtask lock --update` with its new address, or take the locked \
                 file from a mirror of your own with `--mirror FROM=TO`"
            }
            Self::Size { subject: Subject::Vendor { .. }, .. }
            | Self::Hash { subject: Subject::Vendor { .. }, .. } => {
                "the vendor has replaced it: `cargo xtask lock --update` takes the new one; to keep the locked one, \
                 keep its file in a mirror of your own and name that with `--mirror FROM=TO`"
            }
            Self::Login { status: 401, advice, .. } => return Some(advice.to_string()),
            Self::Login { advice, .. } => {
                return Some(format!(
                    "when it wants a login, {advice}; or take the archive from elsewhere with `--mirror FROM=TO`"
                ));
            }
            Self::Gone { .. } => {
                "check the release and the mirror: `--mirror FROM=TO` takes the archive from elsewhere"
            }
            Self::Status { .. } => {
                "try again later, or take the archive from elsewhere with `--mirror FROM=TO`"
            }
            Self::Transport { .. } | Self::Timeout { .. } | Self::Truncated { .. } => {
                "check the network; what has arrived is kept and the next run resumes it; `--mirror FROM=TO` takes \
                 the archive from elsewhere"
            }
            Self::Size { .. } | Self::Hash { .. } => {
                "the mirror is out of step or something on the way changes files: try another with `--mirror FROM=TO`"
            }
            Self::Older { .. } => {
                "the mirror is behind, or somebody hands out old packages: try another with `--mirror FROM=TO`, or the \
                 same later; when the archive itself went back, remove the lock, and what was seen with \
                 `cargo xtask clean --all`"
            }
            Self::Offline { subject: Subject::Index(_), .. } => "run once without `--offline`",
            Self::Offline { .. } => {
                "run once without `--offline`, or name a directory with all of it by `--store DIR`"
            }
            Self::Full { .. } => {
                "free some space, run `cargo xtask clean`, or name another place in `BEDPLATE_CACHE`"
            }
            Self::Store(_) | Self::Stopped => return None,
        };
        Some(advice.to_owned())
    }
}

fn gone(subject: &Subject, url: &str, status: u16) -> String {
    match subject {
        Subject::Package { .. } => {
            format!("the archive no longer carries {subject}: `{url}` answers {status}")
        }
        Subject::Vendor { .. } => {
            format!("the vendor no longer has {subject}: `{url}` answers {status}")
        }
        Subject::Index(_) => format!("the archive has no {subject}: `{url}` answers {status}"),
    }
}

fn after(attempts: u32) -> String {
    if attempts > 1 { format!(", after {attempts} attempts") } else { String::new() }
}

fn others(missing: usize) -> String {
    if missing > 1 { format!("; {} more are missing too", missing - 1) } else { String::new() }
}

fn room(wanted: Option<(u64, u64)>) -> String {
    let said = |(wanted, free)| format!(": {} are needed and {} are free", bytes(wanted), bytes(free));
    wanted.map_or_else(String::new, said)
}

fn seconds(duration: Duration) -> String {
    format!("{}", duration.as_secs_f64())
}
