//! The text of a lock file, in each version there was.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::error;
use super::{Lock, LockError, LockFile, LockedArchive, LockedKey, LockedPackage};
use crate::image::target::Architecture;

/// Version 2 differs in what a [`Lock`] need not have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Latest {
    #[serde(rename = "version")]
    _version: u32,
    amd64: Option<Lock>,
    arm64: Option<Lock>,
}

/// One lock, for the architecture that its packages are of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Version1 {
    #[serde(rename = "version")]
    _version: u32,
    epoch: i64,
    #[serde(default, rename = "archive")]
    archives: Vec<LockedArchive>,
    #[serde(default, rename = "key")]
    keys: Vec<LockedKey>,
    #[serde(default, rename = "package")]
    packages: Vec<LockedPackage>,
    #[serde(default, rename = "tool")]
    tools: Vec<LockedPackage>,
}

pub(super) fn file(text: &str) -> Result<LockFile, LockError> {
    let malformed = |cause| LockError::malformed(text, &cause);
    let locks = match error::version(text)? {
        1 => toml::from_str::<Version1>(text).map_err(malformed)?.into_locks(),
        _ => {
            let Latest { amd64, arm64, .. } = toml::from_str(text).map_err(malformed)?;
            let locks = [(Architecture::X86_64, amd64), (Architecture::Aarch64, arm64)];
            locks.into_iter().filter_map(|(architecture, lock)| Some((architecture, lock?))).collect()
        }
    };
    Ok(LockFile { locks })
}

impl Version1 {
    fn into_locks(self) -> BTreeMap<Architecture, Lock> {
        let Version1 { epoch, archives, keys, packages, tools, .. } = self;
        let arm64 = packages.iter().any(|package| package.architecture == Architecture::Aarch64.deb());
        let architecture = if arm64 { Architecture::Aarch64 } else { Architecture::X86_64 };
        BTreeMap::from([(architecture, Lock { epoch, archives, keys, packages, tools, ..Lock::default() })])
    }
}
