//! `InRelease`, or `Release` and `Release.gpg`: what an archive says of itself and of its indexes.
//!
//! <https://wiki.debian.org/DebianRepository/Format>. Only SHA256 sums are read; MD5 and SHA-1 are passed over.

use std::collections::BTreeMap;

use bedplate_core::value::{Sha256, Value as _};
use bedplate_formats::control;
use thiserror::Error;

use super::date;
use super::openpgp::{CLOCK_SKEW, Keyring, SignatureError};

/// A `Release` as it comes, with nothing verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// `InRelease`, or `Release`.
    pub text: Vec<u8>,
    /// `Release.gpg`, where the text is a `Release`.
    pub signature: Option<Vec<u8>>,
}

/// A `Release` file whose signature held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `Debian`, `Ubuntu`
    pub origin: Option<String>,
    /// `stable`, `noble-updates`
    pub suite: Option<String>,
    /// `trixie`
    pub codename: Option<String>,
    /// When it was made, in seconds after 1970.
    pub date: i64,
    /// When one should no longer believe it, in seconds after 1970.
    pub valid_until: Option<i64>,
    /// Whether indexes can be fetched by their digest, so that an update under way does no harm.
    pub by_hash: bool,
    /// `amd64`, …
    pub architectures: Vec<String>,
    /// Whether packages for all architectures have an index of their own.
    pub all_apart: bool,
    /// Whether its packages are installed only where they are asked for: backports.
    pub not_automatic: bool,
    /// Whether packages that are installed from it are kept up to date from it all the same.
    pub automatic_upgrades: bool,
    /// The files it vouches for, by their path below the suite.
    pub files: BTreeMap<String, Sum>,
    /// Fingerprint of the key that signed it.
    pub signed_by: String,
}

/// Digest and size of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// Its digest.
    pub sha256: Sha256,
    /// In bytes.
    pub size: u64,
}

/// Why an archive's `InRelease` is not believed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ReleaseError {
    /// The signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// A field that must be there is not, or cannot be read.
    #[error("its field `{field}` is {}", found.as_ref().map_or("missing".to_owned(), |found| format!("`{found}`")))]
    Field {
        /// Its name.
        field: &'static str,
        /// Its value.
        found: Option<String>,
    },
    /// It describes another suite than the one asked for.
    #[error("it is of suite `{found}`, not of `{asked}`")]
    Suite {
        /// What the description wants.
        asked: String,
        /// What it says it is.
        found: String,
    },
    /// It was made after now.
    #[error("it was made on {date}, which is in the future: this machine's clock says {now}")]
    Future {
        /// Its date.
        date: String,
        /// Ours.
        now: String,
    },
    /// It has outlived itself.
    #[error("it expired on {until}: this machine's clock says {now}")]
    Expired {
        /// Its end.
        until: String,
        /// Our date.
        now: String,
    },
}

impl Release {
    /// Verifies and reads a `Release`; [`Release::check_suite`] says whether it is the one that was meant.
    ///
    /// A snapshot is old by intention: for it (`frozen`) its end is not looked at, and its key must have been good
    /// when it signed, not today.
    pub fn verify(signed: &Signed, keyring: &Keyring, now: i64, frozen: bool) -> Result<Self, ReleaseError> {
        let verified = match &signed.signature {
            None => keyring.verify(&signed.text, now, frozen)?,
            Some(signature) => keyring.verify_apart(&signed.text, signature, now, frozen)?,
        };
        let release = Self::parse(&verified.text, verified.fingerprint)?;
        if release.date > now + CLOCK_SKEW {
            return Err(ReleaseError::Future { date: date::format(release.date), now: date::format(now) });
        }
        match release.valid_until {
            Some(until) if until < now && !frozen => {
                Err(ReleaseError::Expired { until: date::format(until), now: date::format(now) })
            }
            _ => Ok(release),
        }
    }

    fn parse(text: &str, signed_by: String) -> Result<Self, ReleaseError> {
        let stanza = control::stanzas(text).next().unwrap_or_default();
        let field = |name| stanza.field(name).map(str::to_owned);
        let dated = |name: &'static str| match stanza.field(name) {
            None => Ok(None),
            Some(value) => match date::parse(value) {
                Some(seconds) => Ok(Some(seconds)),
                None => Err(ReleaseError::Field { field: name, found: Some(value.to_owned()) }),
            },
        };
        let date = dated("Date")?.ok_or(ReleaseError::Field { field: "Date", found: None })?;
        let sums = stanza.field("SHA256").ok_or(ReleaseError::Field { field: "SHA256", found: None })?;
        let words = |name| -> Vec<String> {
            stanza.field(name).unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect()
        };
        let architectures = words("Architectures");
        let all_apart = architectures.iter().any(|name| name == "all")
            && !words("No-Support-for-Architecture-all").iter().any(|name| name == "Packages");
        Ok(Self {
            origin: field("Origin"),
            suite: field("Suite"),
            codename: field("Codename"),
            date,
            valid_until: dated("Valid-Until")?,
            by_hash: stanza.field("Acquire-By-Hash") == Some("yes"),
            architectures,
            all_apart,
            not_automatic: stanza.field("NotAutomatic") == Some("yes"),
            automatic_upgrades: stanza.field("ButAutomaticUpgrades") == Some("yes"),
            files: read_sums(sums)?,
            signed_by,
        })
    }

    /// Whether it is of the suite that was asked for.
    ///
    /// A release of `noble-updates` calls itself suite `noble-updates`, codename `noble`; one of `trixie-updates`
    /// suite `stable-updates`, codename `trixie-updates`; one of `trixie-proposed-updates` suite `proposed-updates`.
    /// So a codename alone may not stand for another pocket, unless it names the pocket itself.
    pub fn check_suite(&self, asked: &str) -> Result<(), ReleaseError> {
        let pocket = |name: &str| name.split_once('-').map(|(_, pocket)| pocket.to_owned());
        let fits = match (&self.suite, &self.codename) {
            (None, None) => true,
            (Some(suite), _) if suite == asked => true,
            (Some(suite), Some(codename)) => {
                codename == asked && (asked.contains('-') || pocket(suite) == pocket(asked))
            }
            (None, Some(codename)) => codename == asked,
            (Some(_), None) => false,
        };
        if fits {
            return Ok(());
        }
        let found =
            self.suite.iter().chain(&self.codename).cloned().collect::<Vec<_>>().join("`, codename `");
        Err(ReleaseError::Suite { asked: asked.to_owned(), found })
    }
}

fn read_sums(text: &str) -> Result<BTreeMap<String, Sum>, ReleaseError> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let malformed = || ReleaseError::Field { field: "SHA256", found: Some(line.trim().to_owned()) };
            let mut words = line.split_ascii_whitespace();
            let (Some(sha256), Some(size), Some(path)) = (words.next(), words.next(), words.next()) else {
                return Err(malformed());
            };
            let sha256 = Sha256::parse(sha256).map_err(|_| malformed())?;
            let size = size.parse().map_err(|_| malformed())?;
            let path = path.strip_prefix("./").unwrap_or(path).to_owned();
            Ok((path, Sum { sha256, size }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(suite: &str, codename: &str) -> Release {
        let text = format!(
            "Suite: {suite}\nCodename: {codename}\nDate: Sat, 21 Nov 2026 00:53:03 UTC\nSHA256:\n {} 7 main/x\n",
            "ab".repeat(32)
        );
        Release::parse(&text, String::new()).unwrap()
    }

    #[test]
    fn both_distributions_ways_of_naming_a_pocket_are_understood() {
        for (suite, codename, asked) in [
            ("stable", "trixie", "trixie"),
            ("stable", "trixie", "stable"),
            ("stable-updates", "trixie-updates", "trixie-updates"),
            ("stable-security", "trixie-security", "trixie-security"),
            ("stable-backports", "trixie-backports", "trixie-backports"),
            ("proposed-updates", "trixie-proposed-updates", "trixie-proposed-updates"),
            ("noble", "noble", "noble"),
            ("noble-security", "noble", "noble-security"),
            ("noble-backports", "noble", "noble-backports"),
        ] {
            assert_eq!(release(suite, codename).check_suite(asked), Ok(()), "{asked}");
        }
    }

    #[test]
    fn one_pocket_does_not_pass_for_another() {
        for (suite, codename, asked) in [
            ("noble-proposed", "noble", "noble"),
            ("noble", "noble", "noble-security"),
            ("oldstable", "bookworm", "trixie"),
            ("stable", "trixie", "trixie-updates"),
        ] {
            let refused = release(suite, codename).check_suite(asked).unwrap_err().to_string();
            assert_eq!(refused, format!("it is of suite `{suite}`, codename `{codename}`, not of `{asked}`"));
        }
    }

    #[test]
    fn a_malformed_sum_is_refused_and_not_passed_over() {
        for line in ["abc 1 main/x", "ABCD 1 x", ""] {
            let text = format!(
                "Date: Sat, 21 Nov 2026 00:53:03 UTC\nSHA256:\n {} x main/x\n {line}\n",
                "ab".repeat(32)
            );
            assert!(matches!(
                Release::parse(&text, String::new()),
                Err(ReleaseError::Field { field: "SHA256", .. })
            ));
        }
    }
}
