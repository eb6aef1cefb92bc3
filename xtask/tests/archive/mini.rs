//! A small signed archive on loopback, and an empty store.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::Error;
use bedplate::archive::mirror::{HostSources, Mirrors};
use bedplate::archive::{self, Archive, Keys, Opened};
use bedplate::fetch::{FetchError, Fetcher, Item, Patience, Silent, Subject};
use bedplate::store::{self, Store};
use expect_test::Expect;
use tempfile::TempDir;

use crate::server::Server;
pub use crate::signer::now;
use crate::signer::{Signer, rfc5322};

pub const CANONICAL: &str = "http://archive.example/debian";
pub const IN_RELEASE: &str = "/dists/trixie/InRelease";
pub const JQ: &str = "/pool/main/j/jq/jq_1.7-1_amd64.deb";

/// A small signed archive on loopback and an empty store.
pub struct Mini {
    pub server: Server,
    pub signer: Signer,
    pub keys: Keys,
    pub store: Store,
    _directory: TempDir,
}

/// What its `Release` says, but for the sums.
pub struct Says {
    pub suite: &'static str,
    pub codename: &'static str,
    /// Seconds from now.
    pub date: i64,
    pub valid_until: Option<i64>,
    pub architectures: &'static str,
}

impl Default for Says {
    fn default() -> Self {
        Self {
            suite: "stable",
            codename: "trixie",
            date: -3600,
            valid_until: Some(7 * 86_400),
            architectures: "amd64 arm64",
        }
    }
}

impl Mini {
    pub fn new() -> Self {
        Self::signed_by(Signer::new())
    }

    pub fn signed_by(signer: Signer) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::at(directory.path()).unwrap();
        let server = Server::start(BTreeMap::from([(JQ.to_owned(), jq())]));
        let mini = Self { server, keys: signer.keys(), signer, store, _directory: directory };
        mini.server.put(&packages_path(), &compressed_packages());
        mini.server.put("/dists/trixie/main/binary-amd64/Packages.xz", &compressed_packages());
        mini.publish(&mini.signer.sign(&release(&Says::default())));
        mini
    }

    pub fn says(says: &Says) -> Self {
        let mini = Self::new();
        mini.publish(&mini.signer.sign(&release(says)));
        mini
    }

    pub fn publish(&self, in_release: &[u8]) {
        self.server.put(IN_RELEASE, in_release);
    }

    pub fn archive(&self) -> Archive {
        Archive {
            base: CANONICAL.to_owned(),
            suite: "trixie".to_owned(),
            pocket: "release".to_owned(),
            components: vec!["main".to_owned()],
            keys: self.keys.clone(),
            distribution: None,
            snapshots: Vec::new(),
            not_before: None,
            key_at: None,
            at: None,
        }
    }

    pub fn fetcher(&self) -> Fetcher {
        let pair = (CANONICAL.to_owned(), self.server.base());
        let mirrors = Mirrors::choose(&[], &[pair], &[], &HostSources::default());
        Fetcher::new(&self.store).mirrors(mirrors).patience(IMPATIENT)
    }

    pub fn open(&self) -> Result<Opened, Error> {
        let mut opened = archive::open(&self.fetcher(), &[self.archive()], "amd64", now(), &Silent)?;
        Ok(opened.remove(0))
    }

    pub fn fetch(&self) -> Result<(), FetchError> {
        self.fetcher().fetch(&[item()], &Silent)
    }

    /// The error of opening the archive; nothing may have entered the store.
    pub fn refuses_to_open(&self, expected: &Expect) {
        let error = self.open().unwrap_err();
        assert_eq!(self.blobs(), 0, "something entered the store");
        expected.assert_eq(&self.text(&format!("{error:#}")));
    }

    /// The error of fetching the package; nothing may have entered the store.
    pub fn refuses_to_fetch(&self, expected: &Expect) {
        let error = self.fetch().unwrap_err();
        assert_eq!(self.blobs(), 0, "something entered the store");
        let advice = error.advice().map(|advice| format!("\nhelp: {advice}")).unwrap_or_default();
        expected.assert_eq(&self.text(&format!("{error}{advice}")));
    }

    /// A text without what differs from run to run.
    pub fn text(&self, text: &str) -> String {
        text.replace(&self.server.base(), "http://SERVER").replace(&self.signer.fingerprint(), "FINGERPRINT")
    }

    /// How many blobs there are, each of which is what its name says.
    pub fn blobs(&self) -> usize {
        let mut count = 0;
        for shard in fs::read_dir(self.store.root().join("blobs")).unwrap() {
            for blob in fs::read_dir(shard.unwrap().path()).unwrap() {
                let blob = blob.unwrap();
                let sha256 = store::hash(&mut fs::File::open(blob.path()).unwrap()).unwrap();
                assert_eq!(blob.file_name().to_str().unwrap(), sha256);
                count += 1;
            }
        }
        count
    }

    pub fn partials(&self) -> usize {
        fs::read_dir(self.store.root().join("partial")).unwrap().count()
    }

    pub fn requests_for(&self, path: &str) -> Vec<String> {
        self.server.requests().into_iter().filter(|request| request.starts_with(path)).collect()
    }
}

pub const IMPATIENT: Patience = Patience {
    connect: Duration::from_secs(2),
    progress: Duration::from_millis(300),
    backoff: Duration::from_millis(1),
    attempts: 3,
};

/// A package of 300 kB that compresses badly.
pub fn jq() -> Vec<u8> {
    let mut state = 1_u32;
    (0..300_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect()
}

pub fn item() -> Item {
    Item {
        subject: Subject::Package { name: "jq".to_owned(), version: "1.7-1".to_owned() },
        url: format!("{CANONICAL}{JQ}"),
        query: None,
        sha256: digest(&jq()),
        size: jq().len() as u64,
    }
}

pub fn packages() -> String {
    let path = JQ.trim_start_matches('/');
    format!(
        "Package: jq\nVersion: 1.7-1\nArchitecture: amd64\nFilename: {path}\nSize: {}\nSHA256: {}\n",
        jq().len(),
        digest(&jq())
    )
}

pub fn compressed_packages() -> Vec<u8> {
    liblzma::encode_all(packages().as_bytes(), 6).unwrap()
}

pub fn packages_path() -> String {
    format!("/dists/trixie/main/binary-amd64/by-hash/SHA256/{}", digest(&compressed_packages()))
}

pub fn release(says: &Says) -> String {
    let valid_until = says.valid_until.map(|until| format!("Valid-Until: {}\n", rfc5322(now() + until)));
    let sum = |bytes: &[u8]| format!("{} {}", digest(bytes), bytes.len());
    format!(
        "Origin: Example\nSuite: {}\nCodename: {}\nDate: {}\n{}Acquire-By-Hash: yes\nArchitectures: {}\n\
         Components: main\nSHA256:\n {} main/binary-amd64/Packages\n {} main/binary-amd64/Packages.xz\n",
        says.suite,
        says.codename,
        rfc5322(now() + says.date),
        valid_until.unwrap_or_default(),
        says.architectures,
        sum(packages().as_bytes()),
        sum(&compressed_packages()),
    )
}

pub fn digest(bytes: &[u8]) -> String {
    store::hash(&mut &bytes[..]).unwrap()
}
