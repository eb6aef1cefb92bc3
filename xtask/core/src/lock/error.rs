//! What can be wrong with a lock's text.

use std::collections::BTreeSet;

use super::{Lock, VERSION};

/// A lock that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// The text is no TOML, or not a lock's.
    #[error("line {line}: {reason}")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// Something has two entries, most often after two versions of the file were merged.
    #[error("{0} stands in it twice")]
    Twice(String),
    /// The text does not say its version.
    #[error("it does not start with `version = {VERSION}`, as every lock does")]
    NoVersion,
    /// Another program wrote it.
    #[error("it has version {0}, and this program reads versions up to {VERSION}")]
    Version(i64),
}

impl LockError {
    pub(super) fn malformed(text: &str, cause: &toml::de::Error) -> Self {
        let at = cause.span().map_or(0, |span| span.start).min(text.len());
        let reason = cause.message().lines().collect::<Vec<_>>().join(", ");
        LockError::Malformed { line: line_at(text, at), reason }
    }
}

/// Looks at the version first: a newer format may have other keys, and "unknown
/// key" would be the wrong complaint.
pub(super) fn version(text: &str) -> Result<i64, LockError> {
    let table: toml::Table = text.parse().map_err(|cause| LockError::malformed(text, &cause))?;
    match table.get("version").and_then(toml::Value::as_integer) {
        None => Err(LockError::NoVersion),
        Some(version) if (1..=i64::from(VERSION)).contains(&version) => Ok(version),
        Some(version) => Err(LockError::Version(version)),
    }
}

/// Checks what TOML's types cannot say.
pub(super) fn values(lock: &Lock) -> Result<(), LockError> {
    let found = twice("the package", lock.packages.iter().map(|package| &package.name))
        .or_else(|| twice("the tool", lock.tools.iter().map(|tool| &tool.name)))
        .or_else(|| twice("the cross tool", lock.cross_tools.iter().map(|tool| &tool.name)))
        .or_else(|| twice("the key", lock.keys.iter().map(|key| &key.fingerprint)))
        .or_else(|| {
            // A suite that is named for several of its components has one `InRelease`.
            let suites = lock.archives.iter().map(|archive| (&archive.base, &archive.suite, &archive.sha256));
            let suites: BTreeSet<_> = suites.collect();
            twice("the archive", suites.into_iter().map(|(base, suite, _)| format!("{base} {suite}")))
        });
    found.map_or(Ok(()), |what| Err(LockError::Twice(what)))
}

/// What is named a second time.
fn twice<T: Ord + ToString>(what: &str, mut names: impl Iterator<Item = T>) -> Option<String> {
    let mut known = BTreeSet::new();
    let name = names.find_map(|name| known.replace(name))?.to_string();
    Some(format!("{what} `{}`", name.escape_debug()))
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
