//! A vendor on loopback: packages with detached signatures, and the key that
//! made them.
//!
//! A test names three modules beside this one: `forge`, `server` and `signer`.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::server::Server;
use crate::signer::Signer;

/// Serves what it is given until it is dropped.
pub struct Vendor {
    /// What is asked of it, and how it misbehaves.
    pub server: Server,
    /// The key it signs with.
    pub signer: Signer,
    /// Where a description says that it is: `https://vendor.example`.
    from: String,
}

impl Vendor {
    /// A vendor with nothing to offer yet, in the place of the address `from`.
    pub fn start(from: &str) -> Self {
        Self::signing_with(from, Signer::new())
    }

    /// The same with a key of the test's own.
    pub fn signing_with(from: &str, signer: Signer) -> Self {
        Self { server: Server::start(BTreeMap::new()), signer, from: from.to_owned() }
    }

    /// Offers a package at a path with a slash before, and its signature at the path with `.sig`.
    pub fn offer(&self, path: &str, deb: &[u8]) {
        self.server.put(path, deb);
        self.server.put(&format!("{path}.sig"), &self.signer.detached(deb));
    }

    /// The value of `--mirror` that leads here.
    pub fn mirror(&self) -> String {
        format!("{}={}", self.from, self.server.base())
    }

    /// Writes the public key, armoured, as a description's key file.
    pub fn publish_key(&self, directory: &Path) -> PathBuf {
        let file = directory.join("vendor.asc");
        std::fs::write(&file, self.signer.armoured_key()).unwrap();
        file
    }
}
