//! `Lock`: every byte that comes from outside, by version and sha256.
//!
//! A TOML file beside the description, made by `lock`, read by every build,
//! kept in git. It is written to be read in a diff: one block a package,
//! sorted by name, keys in one order, nothing that changes without a reason.
//! URLs name the distribution's own archive; which mirror they were fetched
//! from is not recorded.

use serde::{Deserialize, Serialize};

mod diff;
mod error;
mod render;

pub use diff::Change;
pub use error::LockError;

/// The version of the format this program writes and reads.
pub const VERSION: u32 = 1;

/// The pocket of packages that come from a vendor's address and from no archive.
///
/// The signature of such a package was verified when the lock was made, and is
/// not looked at again: from then on its sha256 in the lock is the trust.
pub const VENDOR: &str = "vendor";

/// What an image is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The format's version: [`VERSION`].
    pub version: u32,
    /// The newest `Date` of all Release files, in seconds since 1970: the
    /// image's `SOURCE_DATE_EPOCH`.
    pub epoch: i64,
    /// The Release files the packages were resolved from.
    #[serde(default, rename = "archive")]
    pub archives: Vec<LockedArchive>,
    /// The keys that the description names by their address.
    #[serde(default, rename = "key")]
    pub keys: Vec<LockedKey>,
    /// Every package of the image, dependencies included.
    #[serde(default, rename = "package")]
    pub packages: Vec<LockedPackage>,
    /// Every package of the tools tree.
    #[serde(default, rename = "tool")]
    pub tools: Vec<LockedPackage>,
}

/// A Release file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedArchive {
    /// The archive's canonical address, without a slash at its end.
    pub base: String,
    /// The suite: `trixie-security`.
    pub suite: String,
    /// The pocket: `release`, `updates`, `security`, or a third party's name.
    pub pocket: String,
    /// Its `Date`, in seconds since 1970.
    pub date: i64,
    /// The sha256 of its `InRelease`, in hexadecimal.
    pub sha256: String,
}

/// A key that was fetched, to the byte: nothing of it is asked for again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedKey {
    /// Its fingerprint, in upper case: the description pins it, so that the rest is not believed but held against it.
    pub fingerprint: String,
    /// Where it was fetched from.
    pub url: String,
    /// The key as OpenPGP packets, in base64.
    pub base64: String,
}

/// A package, to the byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version, epoch and revision included.
    pub version: String,
    /// Its architecture: `amd64`, `arm64` or `all`.
    pub architecture: String,
    /// The pocket it comes from; [`VENDOR`] when it comes from no archive.
    pub pocket: String,
    /// The size of the file in bytes.
    pub size: u64,
    /// The sha256 of the file, in hexadecimal.
    pub sha256: String,
    /// Its canonical address.
    pub url: String,
}

impl LockedPackage {
    /// True when it comes from a vendor's address and from no archive.
    #[must_use]
    pub fn is_vendors(&self) -> bool {
        self.pocket == VENDOR
    }
}

impl Lock {
    /// Reads a lock.
    ///
    /// # Errors
    /// What is wrong with the text and in which line: it is no TOML, a key is
    /// missing or unknown, a hash is none, or a newer program wrote it.
    pub fn parse(text: &str) -> Result<Lock, LockError> {
        error::version(text)?;
        let lock: Lock = toml::from_str(text).map_err(|cause| LockError::malformed(text, &cause))?;
        error::values(text, &lock)?;
        Ok(lock)
    }

    /// Writes the lock: the same text for the same lock, in whatever order
    /// its packages are.
    #[must_use]
    pub fn render(&self) -> String {
        render::lock(self)
    }

    /// What changes from `old` to `new`, packages first, by name.
    #[must_use]
    pub fn diff(old: &Lock, new: &Lock) -> Vec<Change> {
        diff::locks(old, new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    pub(super) fn package(name: &str, version: &str) -> LockedPackage {
        LockedPackage {
            name: name.to_string(),
            version: version.to_string(),
            architecture: "amd64".to_string(),
            pocket: "release".to_string(),
            size: 1234,
            sha256: "ab".repeat(32),
            url: format!("http://ftp.debian.org/debian/pool/main/{name}_{version}_amd64.deb"),
        }
    }

    pub(super) fn lock() -> Lock {
        Lock {
            version: VERSION,
            epoch: 1_757_000_000,
            archives: vec![LockedArchive {
                base: "http://ftp.debian.org/debian".to_string(),
                suite: "trixie".to_string(),
                pocket: "release".to_string(),
                date: 1_757_000_000,
                sha256: "cd".repeat(32),
            }],
            keys: vec![LockedKey {
                fingerprint: "9376".repeat(10),
                url: "https://vendor.example/vendor.gpg".to_string(),
                base64: "mQINBA==".to_string(),
            }],
            packages: vec![package("udev", "257.8-1"), package("jq", "1.7.1-6")],
            tools: vec![package("erofs-utils", "1.8.6-1")],
        }
    }

    #[test]
    fn a_lock_reads_as_it_was_written() {
        let mut sorted = lock();
        sorted.packages.sort();
        assert_eq!(Lock::parse(&lock().render()).unwrap(), sorted);
    }

    #[test]
    fn a_lock_is_made_to_be_read_in_a_diff() {
        expect![[r##"
            # Made by `cargo xtask lock`. It pins every byte of the image: keep it in git.
            version = 1
            epoch = 1757000000

            [[archive]]
            base = "http://ftp.debian.org/debian"
            suite = "trixie"
            pocket = "release"
            date = 1757000000
            sha256 = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"

            [[key]]
            fingerprint = "9376937693769376937693769376937693769376"
            url = "https://vendor.example/vendor.gpg"
            base64 = "mQINBA=="

            [[package]]
            name = "jq"
            version = "1.7.1-6"
            architecture = "amd64"
            pocket = "release"
            size = 1234
            sha256 = "abababababababababababababababababababababababababababababababab"
            url = "http://ftp.debian.org/debian/pool/main/jq_1.7.1-6_amd64.deb"

            [[package]]
            name = "udev"
            version = "257.8-1"
            architecture = "amd64"
            pocket = "release"
            size = 1234
            sha256 = "abababababababababababababababababababababababababababababababab"
            url = "http://ftp.debian.org/debian/pool/main/udev_257.8-1_amd64.deb"

            [[tool]]
            name = "erofs-utils"
            version = "1.8.6-1"
            architecture = "amd64"
            pocket = "release"
            size = 1234
            sha256 = "abababababababababababababababababababababababababababababababab"
            url = "http://ftp.debian.org/debian/pool/main/erofs-utils_1.8.6-1_amd64.deb"
        "##]]
        .assert_eq(&lock().render());
    }

    #[test]
    fn the_order_of_packages_changes_no_byte() {
        let mut turned = lock();
        turned.packages.reverse();
        assert_eq!(turned.render(), lock().render());
    }

    #[test]
    fn text_with_quotes_and_backslashes_survives() {
        let mut odd = lock();
        odd.packages = vec![package("a\"b\\c", "1")];
        assert_eq!(Lock::parse(&odd.render()).unwrap(), Lock { ..odd });
    }

    #[test]
    fn a_lock_from_before_keys_were_kept_is_read() {
        let text = lock().render();
        let (before, after) = text.split_once("[[key]]").unwrap();
        let (_, after) = after.split_once("\n\n").unwrap();
        let older = Lock::parse(&format!("{before}{after}")).unwrap();
        assert_eq!(older.keys, []);
        assert_eq!(older.packages.len(), 2);
    }

    fn refusal(text: &str) -> String {
        Lock::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_with_a_lock_is_said_with_its_line() {
        let text = lock().render();
        expect![[r#"
            line 19: invalid float, expected nothing
            line 17: missing field `size`
            it has version 9, and this program reads version 1
            line 10: `cd` is no sha256
            line 1: key with no value, expected `=`
            it does not start with `version = 1`, as every lock does
            line 8: unknown field `pockt`, expected one of `base`, `suite`, `pocket`, `date`, `sha256`"#]]
        .assert_eq(
            &[
                refusal(&text.replace("version = \"1.7.1-6\"", "version = 1.7.1-6")),
                refusal(&text.replace("size = 1234\n", "")),
                refusal(&text.replacen("version = 1\n", "version = 9\n", 1)),
                refusal(&text.replace(&"cd".repeat(32), "cd")),
                refusal("nonsense"),
                refusal(""),
                refusal(&text.replace("pocket =", "pockt =")),
            ]
            .join("\n"),
        );
    }
}
