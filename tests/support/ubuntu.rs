//! An archive as Ubuntu lays it out, made of Debian's packages: pockets and a security host, `main` and `universe`,
//! packages compressed with zstd, stanzas with nothing but SHA256, indexes by their hash, ports, and snapshots.
//!
//! A test names the modules `forge`, `server` and `signer` beside this one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use bedplate::lock::LockedPackage;
use bedplate::store::{self, Store};
use bedplate_formats::control::stanzas;

use self::repack::Package;
use crate::server::Server;
use crate::signer::{Signer, now, rfc5322};

#[path = "ubuntu/repack.rs"]
mod repack;

pub const ARCHIVE: &str = "http://archive.ubuntu.com/ubuntu";
pub const SECURITY: &str = "http://security.ubuntu.com/ubuntu";
pub const PORTS: &str = "http://ports.ubuntu.com/ubuntu-ports";
pub const SNAPSHOTS: &str = "https://snapshot.ubuntu.com/ubuntu";

/// The moment there is a snapshot of.
pub const MOMENT: &str = "20260901T000000Z";
const DAY: i64 = 86_400;

/// Ubuntu's servers.
pub struct Ubuntu {
    pub archive: Server,
    pub security: Server,
    pub ports: Server,
    pub snapshots: Server,
    pub signer: Signer,
    packages: Vec<Package>,
}

impl Ubuntu {
    /// Makes the archive of these packages of Debian's, which the store has.
    pub fn of(packages: &[LockedPackage]) -> Self {
        let store = Store::open().unwrap();
        let server = || Server::start(BTreeMap::new());
        let (archive, security, ports, snapshots) = (server(), server(), server(), server());
        let packages =
            repack::all(packages, |package| std::fs::read(store.path(&package.sha256).unwrap()).unwrap());
        let ubuntu = Self { archive, security, ports, snapshots, signer: Signer::new(), packages };
        ubuntu.publish(3 * DAY);
        ubuntu
    }

    /// The values of `--mirror` that lead to its servers.
    pub fn mirrors(&self) -> Vec<String> {
        [
            (ARCHIVE, &self.archive, "/ubuntu"),
            (SECURITY, &self.security, "/ubuntu"),
            (PORTS, &self.ports, "/ubuntu-ports"),
            (SNAPSHOTS, &self.snapshots, "/ubuntu"),
        ]
        .iter()
        .map(|(from, server, path)| format!("{from}={}{path}", server.base()))
        .collect()
    }

    /// Writes the file with the key that signs it.
    pub fn publish_key(&self, directory: &Path) -> std::path::PathBuf {
        let file = directory.join("ubuntu.asc");
        std::fs::write(&file, self.signer.armoured_key()).unwrap();
        file
    }

    /// Puts a security update of a package into the security pocket, and from there into `-updates`.
    pub fn fix(&mut self, name: &str, version: &str) {
        let fixed = self.packages.iter().find(|package| package.name == name).unwrap().with_version(version);
        let fixed = Package { pockets: &["-security", "-updates"], ..fixed };
        self.packages.push(fixed);
        self.publish(DAY);
    }

    /// Signs it all as it was so many seconds ago.
    fn publish(&self, age: i64) {
        for pocket in ["", "-security", "-updates"] {
            let here: Vec<&Package> =
                self.packages.iter().filter(|package| package.pockets.contains(&pocket)).collect();
            let suite = format!("noble{pocket}");
            let host = if pocket == "-security" { &self.security } else { &self.archive };
            self.publish_suite(host, "/ubuntu", &suite, "amd64", &here, age);
            self.publish_suite(&self.ports, "/ubuntu-ports", &suite, "arm64", &here, age);
            // All pockets are in one place, which never changes, and nothing is found by its hash.
            if age == 3 * DAY {
                self.publish_suite(
                    &self.snapshots,
                    &format!("/ubuntu/{MOMENT}"),
                    &suite,
                    "amd64",
                    &here,
                    age,
                );
            }
        }
    }

    fn publish_suite(
        &self,
        server: &Server,
        root: &str,
        suite: &str,
        architecture: &str,
        packages: &[&Package],
        age: i64,
    ) {
        let snapshot = root.ends_with(MOMENT);
        let mut sums = String::new();
        for component in ["main", "restricted", "universe", "multiverse"] {
            let mut index = String::new();
            for package in packages.iter().filter(|package| package.component == component) {
                let path = package.path(architecture);
                server.share(&format!("{root}/{path}"), &package.deb);
                let control = package
                    .control
                    .replace("\nArchitecture: amd64\n", &format!("\nArchitecture: {architecture}\n"));
                let (size, sha256) = (package.deb.len(), &package.sha256);
                writeln!(index, "{control}Filename: {path}\nSize: {size}\nSHA256: {sha256}\n").unwrap();
            }
            let directory = format!("{component}/binary-{architecture}");
            let compressed = liblzma_of(index.as_bytes());
            for (name, content) in [("Packages", index.as_bytes()), ("Packages.xz", &compressed)] {
                let sha256 = digest(content);
                writeln!(sums, " {sha256} {:>16} {directory}/{name}", content.len()).unwrap();
                let below = format!("{root}/dists/{suite}/{directory}");
                if snapshot {
                    server.put(&format!("{below}/{name}"), content);
                } else {
                    server.put(&format!("{below}/by-hash/SHA256/{sha256}"), content);
                }
            }
        }
        let release = format!(
            "Origin: Ubuntu\nLabel: Ubuntu\nSuite: {suite}\nVersion: 24.04\nCodename: noble\nDate: {}\n\
             Architectures: amd64 arm64 armhf i386 ppc64el riscv64 s390x\n\
             Components: main restricted universe multiverse\nDescription: Ubuntu Noble 24.04\n\
             Acquire-By-Hash: yes\nSHA256:\n{sums}",
            rfc5322(now() - age)
        );
        server.put(&format!("{root}/dists/{suite}/InRelease"), &self.signer.sign(&release));
    }
}

impl Package {
    /// Below the archive's base.
    fn path(&self, architecture: &str) -> String {
        let architecture = if self.architecture == "all" { "all" } else { architecture };
        // Epochs are not in the names of files.
        let version = self.version.split_once(':').map_or(self.version.as_str(), |(_, version)| version);
        let (component, name) = (self.component, &self.name);
        let letter = if name.starts_with("lib") { &name[..4] } else { &name[..1] };
        format!("pool/{component}/{letter}/{name}/{name}_{version}_{architecture}.deb")
    }
}

/// What the first stanza of a control file says.
fn field(control: &str, name: &str) -> String {
    stanzas(control).next().unwrap().field(name).unwrap_or_default().to_owned()
}

fn liblzma_of(bytes: &[u8]) -> Vec<u8> {
    liblzma::encode_all(bytes, 1).unwrap()
}

fn digest(mut bytes: &[u8]) -> String {
    store::hash(&mut bytes).unwrap()
}

type Shared = Arc<Vec<u8>>;
