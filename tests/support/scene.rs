//! A project that installs what a vendor has, and the program over it.
//!
//! A test names the modules `forge`, `product`, `server`, `signer` and `vendor` beside this one.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use bedplate::lock::{Lock, LockedPackage};
use bedplate::value::Sha256;
use expect_test::Expect;
use tempfile::TempDir;

use crate::product;
use bedplate_fixtures::deb::DebBuilder;
use bedplate_fixtures::signer::Signer;
use bedplate_fixtures::vendor::Vendor;

/// Where the agent is.
pub const AGENT: &str = "/latest/agent.deb";

/// A vendor, and a project that installs what it has.
pub struct Scene {
    /// What it has, and the key it signs with.
    pub vendor: Vendor,
    /// The project's own.
    pub directory: TempDir,
    key: PathBuf,
    /// What the description says that the unsigned package's digest is.
    pub sha256: Sha256,
}

impl Scene {
    pub fn new() -> Self {
        Self::trusting(Signer::new())
    }

    /// With a vendor that signs with this key, which the project pins.
    pub fn trusting(signer: Signer) -> Self {
        let vendor = Vendor::signing_with("https://vendor.example", signer);
        let directory = tempfile::tempdir_in(product::scratch("vendor")).unwrap();
        let key = vendor.publish_key(directory.path());
        Self { vendor, directory, key, sha256: Sha256::of([0; 32]) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A verb on one of the images.
    pub fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(product::example("vendor"));
        command.current_dir(product::root()).env("NO_COLOR", "1").env_remove("COLUMNS");
        command.env("VENDOR_KEY", &self.key).env("VENDOR_SHA256", self.sha256.as_str());
        command.env("VENDOR_FINGERPRINT", self.vendor.signer.fingerprint());
        command.args(arguments).arg("--lock").arg(self.path("image.lock"));
        command.arg("--mirror").arg(self.vendor.mirror());
        command
    }

    pub fn lock(&self, image: &str) -> Command {
        self.xtask(&["lock", image])
    }

    pub fn image(&self, image: &str, out: &str) -> Command {
        let mut command = self.xtask(&["image", image, "--locked"]);
        command.arg("--out").arg(self.path(out));
        command
    }

    pub fn locked(&self) -> Lock {
        product::locked(&self.path("image.lock"))
    }

    pub fn package(&self, name: &str) -> LockedPackage {
        let mut packages = self.locked().packages;
        packages.retain(|package| package.name == name);
        assert_eq!(packages.len(), 1, "{name}");
        packages.remove(0)
    }

    /// The command must fail with 2, say this, and leave no other lock.
    #[track_caller]
    pub fn fails(&self, command: &mut Command, expected: &Expect) {
        let lock = fs::read(self.path("image.lock")).ok();
        let said = product::refused(command);
        assert_eq!(fs::read(self.path("image.lock")).ok(), lock, "the lock was changed");
        let said = said.replace(&self.vendor.server.base(), "http://[here]");
        let said = said
            .replace(&self.vendor.signer.fingerprint(), "[pinned]")
            .replace(self.sha256.as_str(), "[expected]");
        expected.assert_eq(&product::anonymous(&said));
    }
}

/// A vendor's package in the making.
pub fn agent(version: &str) -> DebBuilder {
    DebBuilder::of("agent", version, "amd64")
}
