//! `Lock`: every byte that comes from outside, by version and sha256.
//!
//! A TOML file beside the description, made by `lock`, read by every build,
//! kept in git. It is written to be read in a diff: one block a package,
//! sorted by name, keys in one order, nothing that changes without a reason.
//! URLs name the distribution's own archive; which mirror they were fetched
//! from is not recorded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::image::target::Architecture;
use crate::value::{DebLocation, PackageName, Sha256, Url};

mod diff;
mod error;
mod parse;
mod render;

pub use diff::Change;
pub use error::LockError;

/// The version of the format this program writes. It reads the older ones, too: version 1 held one architecture, and
/// version 2 did not say what was asked for.
pub const VERSION: u32 = 3;

/// The pocket of packages that come from a vendor's address and from no archive.
///
/// The signature of such a package was verified when the lock was made, and is
/// not looked at again: from then on its sha256 in the lock is the trust.
pub const VENDOR: &str = "vendor";

/// The pocket of packages that are files of the project; their URL is a path in it.
pub const PROJECT: &str = "project";

/// A lock file: what an image is made of, for each architecture it was locked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockFile {
    locks: BTreeMap<Architecture, Lock>,
}

/// What an image is made of on one architecture.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The newest `Date` of all Release files, in seconds since 1970: the
    /// image's `SOURCE_DATE_EPOCH`.
    pub epoch: i64,
    /// What the description asked for, in apt's notation: `htop`, `podman=5.4*`, `jq/trixie-backports`, and `nano-` for
    /// what is left out. None in a lock of an older version.
    #[serde(default)]
    pub asked: Option<Vec<String>>,
    /// The Release files the packages were resolved from.
    #[serde(default, rename = "archive")]
    pub archives: Vec<LockedArchive>,
    /// The keys that the description names by their address.
    #[serde(default, rename = "key")]
    pub keys: Vec<LockedKey>,
    /// What packages recommend beyond what they depend on.
    #[serde(default, rename = "recommended")]
    pub recommended: Vec<Recommended>,
    /// Every package of the image, dependencies included.
    #[serde(default, rename = "package")]
    pub packages: Vec<LockedPackage>,
    /// Every package of the tools tree.
    #[serde(default, rename = "tool")]
    pub tools: Vec<LockedPackage>,
    /// Every package of the tools tree on a machine of the other architecture; none until the image is locked on one.
    #[serde(default, rename = "cross-tool")]
    pub cross_tools: Vec<LockedPackage>,
}

/// A Release file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedArchive {
    /// The archive's canonical address, without a slash at its end.
    pub base: Url,
    /// The suite: `trixie-security`.
    pub suite: String,
    /// The pocket: `release`, `updates`, `security`, or a third party's name.
    pub pocket: String,
    /// Its `Origin`: `Ubuntu`. Empty where it says none.
    #[serde(default)]
    pub origin: String,
    /// Its `Date`, in seconds since 1970.
    pub date: i64,
    /// The fingerprint of the key that signed it; empty in a lock of version 1.
    #[serde(default)]
    pub signed_by: String,
    /// The sha256 of its `InRelease`.
    pub sha256: Sha256,
}

/// A key that was fetched, to the byte: nothing of it is asked for again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedKey {
    /// Its fingerprint, in upper case: the description pins it, so that the rest is not believed but held against it.
    pub fingerprint: String,
    /// Where it was fetched from.
    pub url: Url,
    /// The key as OpenPGP packets, in base64.
    pub base64: String,
}

/// What a package, or one that came with it, recommends and the image has not, or has for this reason alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recommended {
    /// The package, as the description or the plan names it.
    pub by: PackageName,
    /// True when the description asks for them, with `Package::recommends` or `Deb::recommends`, and they are there.
    pub installed: bool,
    /// Their names as the archive writes them, sorted.
    pub names: Vec<String>,
    /// Why they cannot be installed, where the description asks for them; empty when it does not.
    #[serde(default)]
    pub why: String,
}

/// A package, to the byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// Its name.
    pub name: PackageName,
    /// Its version, epoch and revision included.
    pub version: String,
    /// Its architecture: `amd64`, `arm64` or `all`.
    pub architecture: String,
    /// The pocket it comes from; [`VENDOR`] when it comes from no archive.
    pub pocket: String,
    /// The size of the file in bytes.
    pub size: u64,
    /// The sha256 of the file.
    pub sha256: Sha256,
    /// Its canonical address; of a file of the project, its path in it.
    pub url: DebLocation,
}

impl LockedPackage {
    /// True when it comes from a vendor's address and from no archive.
    #[must_use]
    pub fn is_vendors(&self) -> bool {
        self.pocket == VENDOR
    }

    /// True when it is a file of the project.
    #[must_use]
    pub fn is_projects(&self) -> bool {
        self.pocket == PROJECT
    }
}

impl Lock {
    /// Every package that is named in it, for the image and for the builds of it on all machines.
    pub fn all_packages(&self) -> impl Iterator<Item = &LockedPackage> {
        self.packages.iter().chain(&self.tools).chain(&self.cross_tools)
    }

    /// What changes from `old` to `new`, packages first, by name.
    #[must_use]
    pub fn diff(old: &Lock, new: &Lock) -> Vec<Change> {
        diff::locks(old, new)
    }
}

impl LockFile {
    /// Reads a lock file.
    ///
    /// # Errors
    /// What is wrong with the text and in which line: it is no TOML, a key is
    /// missing or unknown, a hash is none, something has two entries, or a newer
    /// program wrote it.
    pub fn parse(text: &str) -> Result<LockFile, LockError> {
        let file = parse::file(text)?;
        for lock in file.locks.values() {
            error::values(lock)?;
        }
        Ok(file)
    }

    /// The lock of an architecture.
    #[must_use]
    pub fn of(&self, architecture: Architecture) -> Option<&Lock> {
        self.locks.get(&architecture)
    }

    /// The same with this lock of an architecture; those of the others stay.
    #[must_use]
    pub fn with(mut self, architecture: Architecture, lock: Lock) -> LockFile {
        self.locks.insert(architecture, lock);
        self
    }

    /// Writes the file: the same text for the same locks, in whatever order
    /// their packages are.
    #[must_use]
    pub fn render(&self) -> String {
        render::file(&self.locks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    pub(super) fn package(name: &str, version: &str) -> LockedPackage {
        LockedPackage {
            name: PackageName::known(name),
            version: version.to_string(),
            architecture: "amd64".to_string(),
            pocket: "release".to_string(),
            size: 1234,
            sha256: Sha256::of([0xab; 32]),
            url: DebLocation::known(format!(
                "http://ftp.debian.org/debian/pool/main/{name}_{version}_amd64.deb"
            )),
        }
    }

    pub(super) fn lock() -> Lock {
        Lock {
            epoch: 1_757_000_000,
            asked: Some(vec!["udev".to_string(), "jq=1.7*".to_string()]),
            archives: vec![LockedArchive {
                base: Url::known("http://ftp.debian.org/debian"),
                suite: "trixie".to_string(),
                pocket: "release".to_string(),
                origin: "Debian".to_string(),
                date: 1_757_000_000,
                signed_by: "B8B8".repeat(10),
                sha256: Sha256::of([0xcd; 32]),
            }],
            keys: vec![LockedKey {
                fingerprint: "9376".repeat(10),
                url: Url::known("https://vendor.example/vendor.gpg"),
                base64: "mQINBA==".to_string(),
            }],
            recommended: vec![Recommended {
                by: PackageName::known("podman"),
                installed: false,
                names: vec!["passt".to_string(), "uidmap".to_string()],
                why: String::new(),
            }],
            packages: vec![package("udev", "257.8-1"), package("jq", "1.7.1-6")],
            tools: vec![package("erofs-utils", "1.8.6-1")],
            cross_tools: Vec::new(),
        }
    }

    fn file() -> LockFile {
        LockFile::default().with(Architecture::X86_64, lock())
    }

    fn read(text: &str) -> Lock {
        LockFile::parse(text).unwrap().of(Architecture::X86_64).unwrap().clone()
    }

    #[test]
    fn a_lock_reads_as_it_was_written() {
        let mut sorted = lock();
        sorted.packages.sort();
        sorted.asked.as_mut().unwrap().sort();
        assert_eq!(read(&file().render()), sorted);
    }

    #[test]
    fn a_lock_is_made_to_be_read_in_a_diff() {
        expect![[r##"
            # Made by `cargo xtask lock`. It pins every byte of the image: keep it in git.
            version = 3

            [amd64]
            epoch = 1757000000
            asked = [
                "jq=1.7*",
                "udev",
            ]

            [[amd64.archive]]
            base = "http://ftp.debian.org/debian"
            suite = "trixie"
            pocket = "release"
            origin = "Debian"
            date = 1757000000
            signed_by = "B8B8B8B8B8B8B8B8B8B8B8B8B8B8B8B8B8B8B8B8"
            sha256 = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"

            [[amd64.key]]
            fingerprint = "9376937693769376937693769376937693769376"
            url = "https://vendor.example/vendor.gpg"
            base64 = "mQINBA=="

            [[amd64.recommended]]
            by = "podman"
            installed = false
            names = ["passt", "uidmap"]

            [[amd64.package]]
            name = "jq"
            version = "1.7.1-6"
            architecture = "amd64"
            pocket = "release"
            size = 1234
            sha256 = "abababababababababababababababababababababababababababababababab"
            url = "http://ftp.debian.org/debian/pool/main/jq_1.7.1-6_amd64.deb"

            [[amd64.package]]
            name = "udev"
            version = "257.8-1"
            architecture = "amd64"
            pocket = "release"
            size = 1234
            sha256 = "abababababababababababababababababababababababababababababababab"
            url = "http://ftp.debian.org/debian/pool/main/udev_257.8-1_amd64.deb"

            [[amd64.tool]]
            name = "erofs-utils"
            version = "1.8.6-1"
            architecture = "amd64"
            pocket = "release"
            size = 1234
            sha256 = "abababababababababababababababababababababababababababababababab"
            url = "http://ftp.debian.org/debian/pool/main/erofs-utils_1.8.6-1_amd64.deb"
        "##]]
        .assert_eq(&file().render());
    }

    #[test]
    fn every_architecture_has_a_lock_of_its_own_in_one_file() {
        let arm = Lock { epoch: 1, packages: vec![package("jq", "1.8")], ..Lock::default() };
        let both = file().with(Architecture::Aarch64, arm.clone());
        let text = both.render();
        let again = LockFile::parse(&text).unwrap();
        assert_eq!(again.of(Architecture::Aarch64), Some(&arm));
        assert_eq!(again.render(), text);
        // Locking one of them leaves every line of the other as it was.
        let (_, amd64) =
            file().render().split_once("[amd64]").map(|(a, b)| (a.to_string(), b.to_string())).unwrap();
        assert!(text.contains(&amd64));
        assert_eq!(file().of(Architecture::Aarch64), None);
    }

    #[test]
    fn the_order_of_packages_changes_no_byte() {
        let mut turned = lock();
        turned.packages.reverse();
        turned.asked.as_mut().unwrap().reverse();
        assert_eq!(LockFile::default().with(Architecture::X86_64, turned).render(), file().render());
    }

    #[test]
    fn text_with_quotes_and_backslashes_survives() {
        let mut odd = lock();
        odd.archives[0].origin = "a\"b\\c".to_string();
        odd.packages = vec![package("jq", "1")];
        odd.asked = None;
        assert_eq!(read(&LockFile::default().with(Architecture::X86_64, odd.clone()).render()), odd);
    }

    /// As version 1 wrote it, before keys were kept and before there was more than one architecture.
    const VERSION_1: &str = r#"version = 1
epoch = 1757000000

[[archive]]
base = "http://ports.ubuntu.com/ubuntu-ports"
suite = "noble"
pocket = "release"
date = 1757000000
sha256 = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"

[[package]]
name = "base-files"
version = "13"
architecture = "all"
pocket = "release"
size = 1
sha256 = "abababababababababababababababababababababababababababababababab"
url = "http://ports.ubuntu.com/ubuntu-ports/pool/base-files.deb"

[[package]]
name = "jq"
version = "1.7.1"
architecture = "arm64"
pocket = "release"
size = 1
sha256 = "abababababababababababababababababababababababababababababababab"
url = "http://ports.ubuntu.com/ubuntu-ports/pool/jq.deb"
"#;

    #[test]
    fn a_lock_of_version_1_is_read_as_that_of_the_architecture_of_its_packages() {
        let older = LockFile::parse(VERSION_1).unwrap();
        assert_eq!(older.of(Architecture::X86_64), None);
        let lock = older.of(Architecture::Aarch64).unwrap();
        assert_eq!((lock.packages.len(), lock.keys.len(), lock.epoch), (2, 0, 1_757_000_000));
        assert_eq!(LockFile::parse(&older.render()).unwrap(), older, "written as the version of today");
        assert_eq!(
            LockFile::parse(&VERSION_1.replace("epoch", "epok")).unwrap_err().to_string(),
            "line 2: unknown field `epok`, expected one of `version`, `epoch`, `archive`, `key`, `package`, `tool`"
        );
    }

    fn refusal(text: &str) -> String {
        LockFile::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_with_a_lock_is_said_with_its_line() {
        let text = file().render();
        expect![[r#"
            line 32: invalid float, expected nothing
            line 30: missing field `size`
            it has version 9, and this program reads versions up to 3
            line 18: `cd` is not a sha256: it does not have 64 digits
            line 31: `Jq` is not a package name: `J` is not one of a-z 0-9 + - .
            line 22: `ftp://vendor.example/vendor.gpg` is not the address of an archive: `ftp` is neither `http` nor `https`
            line 1: key with no value, expected `=`
            it does not start with `version = 3`, as every lock does
            line 14: unknown field `pockt`, expected one of `base`, `suite`, `pocket`, `origin`, `date`, `signed_by`, `sha256`
            line 4: unknown field `riscv64`, expected one of `version`, `amd64`, `arm64`"#]].assert_eq(
            &[
                refusal(&text.replace("version = \"1.7.1-6\"", "version = 1.7.1-6")),
                refusal(&text.replace("size = 1234\n", "")),
                refusal(&text.replacen("version = 3\n", "version = 9\n", 1)),
                refusal(&text.replace(&"cd".repeat(32), "cd")),
                refusal(&text.replace("name = \"jq\"", "name = \"Jq\"")),
                refusal(&text.replace("\"https://vendor", "\"ftp://vendor")),
                refusal("nonsense"),
                refusal(""),
                refusal(&text.replace("pocket =", "pockt =")),
                refusal(&text.replace("amd64", "riscv64")),
            ]
            .join("\n"),
        );
    }

    #[test]
    fn what_a_merge_left_twice_is_refused() {
        let twice = |change: fn(&mut Lock)| {
            let mut lock = lock();
            change(&mut lock);
            refusal(&LockFile::default().with(Architecture::X86_64, lock).render())
        };
        assert_eq!(
            twice(|lock| lock.packages.push(package("udev", "1"))),
            "the package `udev` stands in it twice"
        );
        assert_eq!(
            twice(|lock| lock.tools.push(package("erofs-utils", "1"))),
            "the tool `erofs-utils` stands in it twice"
        );
        assert!(twice(|lock| lock.keys.extend_from_within(..)).starts_with("the key `9376"));
        let other = |lock: &mut Lock| {
            let archive = LockedArchive { sha256: Sha256::of([0xef; 32]), ..lock.archives[0].clone() };
            lock.archives.push(archive);
        };
        let text = "the archive `http://ftp.debian.org/debian trixie` stands in it twice";
        assert_eq!(twice(other), text);
    }
}
