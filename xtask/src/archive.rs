//! A Debian archive as a verified set of indexes: signature → `InRelease` → `Packages`.
//!
//! <https://wiki.debian.org/DebianRepository/Format>, apt-secure(8).
//!
//! Invariant: an [`Opened`] archive's indexes are in the store, uncompressed, and their digests were vouched for by
//! a pinned key. When `InRelease` has not changed, they are there already and only `InRelease` is fetched.
//! An archive without `InRelease` has `Release` and `Release.gpg`. A flat one (`deb URL ./`) has no `dists` directory and
//! no components: its suite ends in a slash, and is the directory of `Release` and of the one `Packages`.
//! Deliberately absent: source packages, translations, `Contents`, pdiffs.

pub mod date;
pub mod index;
pub mod mirror;
pub mod openpgp;
pub mod release;

use std::io::Read;
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result, bail};
use bedplate_core::value::{DebLocation, Sha256, Url};
use bedplate_core::{Distribution, SourceLocation};
use fs_err as fs;
use sha2::Digest;

use self::index::Index;
use self::openpgp::{Keyring, SignatureError};
use self::release::{Release, ReleaseError, Signed, Sum};
use crate::error::LocatedError;
use crate::fetch::mirror::Candidate;
use crate::fetch::{FetchError, Fetcher, Item, Progress, Subject};

/// One suite of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The canonical base, without a slash at the end: `http://ftp.debian.org/debian`.
    pub base: Url,
    /// `trixie-updates`; of a flat archive its directory, with a slash at the end: `./`.
    pub suite: String,
    /// `release`, `updates`, `security`, or a third party's name; goes into the lock.
    pub pocket: String,
    /// `main`, …; none of a flat archive.
    pub components: Vec<String>,
    /// The distribution whose own archive it is; none of a third party's.
    pub distribution: Option<Distribution>,
    /// Whose signature counts.
    pub keys: Keys,
    /// The bases of a snapshot, asked one after the other in place of the canonical one and of its mirrors.
    pub snapshots: Vec<Url>,
    /// The date of the `InRelease` that the lock was made from, in seconds after 1970: none before it is believed.
    pub not_before: Option<i64>,
    /// The line of the description that asked for it; none of the distribution's own.
    pub at: Option<SourceLocation>,
    /// The line of the description that names its key; none of the distribution's own.
    pub key_at: Option<SourceLocation>,
}

/// Whose signature counts for an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// Those of Debian's package `debian-archive-keyring`.
    Debian,
    /// Those of the package `ubuntu-keyring`.
    Ubuntu,
    /// Those in a file's content, binary or armoured.
    Pinned {
        /// The file.
        content: Vec<u8>,
        /// The only one of them that counts: 40 or 64 hexadecimal digits.
        fingerprint: Option<String>,
    },
}

const DEBIAN_KEYS: &[u8] = include_bytes!("../keys/debian.pgp");
const UBUNTU_KEYS: &[u8] = include_bytes!("../keys/ubuntu.pgp");

/// An archive whose signature held and whose indexes are in the store.
#[derive(Debug)]
pub struct Opened {
    /// What was asked for.
    pub archive: Archive,
    /// What it says of itself.
    pub release: Release,
    /// The sha256 of its `InRelease`, or of its `Release`.
    pub sha256: Sha256,
    /// Its `Packages`.
    pub packages: Vec<Packages>,
}

/// A verified, uncompressed `Packages` in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packages {
    /// `main`; empty of a flat archive.
    pub component: String,
    /// `amd64` or `all`
    pub architecture: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Opens archives: fetches what is not in the store, believes nothing that is not signed.
///
/// `architecture` is Debian's name of it; `now` in seconds after 1970.
pub fn open(
    fetcher: &Fetcher,
    archives: &[Archive],
    architecture: &str,
    now: i64,
    progress: &dyn Progress,
) -> Result<Vec<Opened>> {
    let released = in_parallel(archives, |archive| {
        archive.fetch_release(fetcher, now, progress).map_err(|error| archive.at_its_line(error))
    })?;
    let mut wanted = Vec::new();
    for (number, (archive, (_, release))) in archives.iter().zip(&released).enumerate() {
        let add = |wanted: &mut Vec<_>| {
            for (component, architecture) in archive.wanted(release, architecture)? {
                let compressed = Compressed::choose(archive, release, &component, &architecture)?;
                wanted.push((number, component, architecture, compressed));
            }
            Ok(())
        };
        add(&mut wanted).map_err(|error| archive.at_its_line(error))?;
    }
    let items: Vec<Item> = wanted
        .iter()
        .filter(|(_, _, _, compressed)| !compressed.is_unpacked_in(fetcher))
        .map(|(number, component, _, compressed)| {
            compressed.item(&archives[*number], &released[*number].1, component)
        })
        .collect();
    fetcher.fetch(&items, progress).map_err(|error| {
        let text = error.to_string();
        let is_of = |archive: &&Archive| text.contains(&archive.named());
        match archives.iter().find(is_of) {
            Some(archive) => archive.at_its_line(error.into()),
            None => error.into(),
        }
    })?;
    let paths = in_parallel(&wanted, |(number, component, _, compressed)| {
        let archive = &archives[*number];
        let unpacked = compressed.unpack(fetcher);
        let unpacked = unpacked.with_context(|| format!("{} cannot be read", archive.index_named(component)));
        unpacked.map_err(|error| archive.at_its_line(error))
    })?;

    let mut opened: Vec<Opened> = archives
        .iter()
        .zip(released)
        .map(|(archive, (signed, release))| Opened {
            archive: archive.clone(),
            sha256: Sha256::of(sha2::Sha256::digest(&signed.text).into()),
            release,
            packages: Vec::new(),
        })
        .collect();
    for ((number, component, architecture, _), path) in wanted.into_iter().zip(paths) {
        opened[number].packages.push(Packages { component, architecture, path });
    }
    Ok(opened)
}

impl Packages {
    /// Reads it.
    pub fn index(&self) -> Result<Index> {
        Index::parse(fs::read(&self.path)?).with_context(|| format!("in `{}`", self.path.display()))
    }
}

impl Keys {
    /// One of the keys that ship with the program, which then is the only one that counts.
    pub fn shipped(fingerprint: &str) -> Option<Self> {
        [DEBIAN_KEYS, UBUNTU_KEYS].into_iter().find_map(|content| {
            Keyring::parse(content).ok()?.only(fingerprint).ok()?;
            Some(Self::Pinned { content: content.to_owned(), fingerprint: Some(fingerprint.to_owned()) })
        })
    }

    /// The keyring.
    pub fn keyring(&self) -> Result<Keyring, SignatureError> {
        match self {
            Self::Debian => Keyring::parse(DEBIAN_KEYS),
            Self::Ubuntu => Keyring::parse(UBUNTU_KEYS),
            Self::Pinned { content, fingerprint: None } => Keyring::parse(content),
            Self::Pinned { content, fingerprint: Some(fingerprint) } => {
                Keyring::parse(content)?.only(fingerprint)
            }
        }
    }
}

impl Archive {
    /// For messages: its base and its suite.
    pub fn named(&self) -> String {
        format!("`{} {}`", self.base, self.suite)
    }

    /// The URL of a package below the base.
    pub fn package(&self, path: &str) -> Result<DebLocation> {
        let url = self.base.below(path);
        Ok(url.with_context(|| format!("invalid address of a package in {}", self.named()))?.into())
    }

    /// The URL of a file below the base.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base.trim_end_matches('/'))
    }

    /// Whether it has no `dists` directory and no components.
    pub fn is_flat(&self) -> bool {
        self.suite.ends_with('/')
    }

    /// Where `Release` and what it lists lies, below the base and with a slash at the end where it is not empty.
    fn directory(&self) -> String {
        match self.is_flat() {
            true => self.suite.trim_start_matches("./").trim_start_matches('/').to_owned(),
            false => format!("dists/{}/", self.suite),
        }
    }

    /// For messages: the index of a component.
    fn index_named(&self, component: &str) -> String {
        match component {
            "" => format!("the index of {}", self.named()),
            component => format!("the index of `{component}` of {}", self.named()),
        }
    }

    /// Its `InRelease`, verified, from the first address that has one no older than what was seen before; of a
    /// snapshot, which never changes, the one that was seen before, when the first address does not answer.
    fn fetch_release(
        &self,
        fetcher: &Fetcher,
        now: i64,
        progress: &dyn Progress,
    ) -> Result<(Signed, Release)> {
        let what = format!("`InRelease` of {}", self.named());
        let keyring = self.keys.keyring().with_context(|| format!("the {what} cannot be trusted"))?;
        let refused = || format!("the {what} cannot be trusted; {} is to sign it", keyring.named());
        let frozen = !self.snapshots.is_empty();
        let verify = |signed: &Signed, frozen| Release::verify(signed, &keyring, now, frozen);

        let name = format!("{} {}", self.snapshots.first().unwrap_or(&self.base), self.suite);
        let seen = kept(fetcher, &name).and_then(|signed| Some((verify(&signed, true).ok()?, signed)));
        let newest = seen.as_ref().map(|(release, _)| release.date).max(self.not_before);
        let url = self.url(&format!("{}InRelease", self.directory()));
        let found = fetcher.first(&url, progress, |candidate| {
            let signed = match (signed_from(fetcher, candidate, &what), &seen) {
                (Err(error), Some((release, signed))) if frozen && error.is_silence() => {
                    progress.notice(&format!("{error}; taking what it answered before"));
                    return Ok(Ok((signed.clone(), release.clone())));
                }
                (Err(FetchError::Offline { .. }), Some((release, signed))) if frozen => {
                    return Ok(Ok((signed.clone(), release.clone())));
                }
                (answer, _) => answer?,
            };
            match (verify(&signed, frozen), newest) {
                (Ok(release), Some(newest)) if release.date < newest => Err(FetchError::Older {
                    what: what.as_str().into(),
                    url: candidate.url.as_str().into(),
                    signed_by: release.signed_by.into(),
                    date: date::format(release.date).into(),
                    newest: date::format(newest).into(),
                }),
                (verified, _) => Ok(verified.map(|release| (signed, release))),
            }
        })?;
        let (signed, release) = found.with_context(refused)?;
        self.check_suite(&release, progress).with_context(refused)?;
        keep(fetcher, &name, &signed)?;
        Ok((signed, release))
    }

    /// A distribution's own archive names its suites as they are asked for, and a mirror that has another one there is
    /// wrong. A third party's may not; whoever has its key can name them all, so this is only told.
    fn check_suite(&self, release: &Release, progress: &dyn Progress) -> Result<(), ReleaseError> {
        let is_third_partys = self.distribution.is_none() && matches!(self.keys, Keys::Pinned { .. });
        match release.check_suite(&self.suite) {
            Err(_) if self.is_flat() => Ok(()),
            Err(ReleaseError::Suite { found, .. }) if is_third_partys => {
                let what =
                    format!("the archive {} is of suite `{found}`, as its `Release` has it", self.named());
                progress.notice(&format!("{what}; accepted, because its key is pinned"));
                Ok(())
            }
            checked => checked,
        }
    }

    /// Points an error at the line that asked for the archive.
    fn at_its_line(&self, error: anyhow::Error) -> anyhow::Error {
        let signature = error.chain().find_map(|cause| match cause.downcast_ref::<ReleaseError>() {
            Some(ReleaseError::Signature(error)) => Some(error),
            _ => cause.downcast_ref::<SignatureError>(),
        });
        let at = signature.and(self.key_at.as_ref()).or(self.at.as_ref());
        if at.is_none() || error.is::<LocatedError>() {
            return error;
        }
        let help = match (error.downcast_ref::<FetchError>(), signature) {
            (Some(FetchError::Gone { subject: Subject::Index(_), .. }), _) => "check the address and the suite: \
                 `deb URL SUITE COMPONENT` of apt is `Repository::signed`, and `deb URL ./` is `Repository::flat`"
                .to_owned(),
            (Some(error), _) => error.advice().unwrap_or_default(),
            (None, Some(error)) => error.help().to_owned(),
            (None, None) => "compare the line with what the archive's owner documents for apt".to_owned(),
        };
        LocatedError { message: format!("{error:#}"), at: at.cloned(), word: None, help }.into()
    }

    /// Which indexes to read: component and architecture.
    fn wanted(&self, release: &Release, architecture: &str) -> Result<Vec<(String, String)>> {
        let has = |name: &str| release.architectures.iter().any(|known| known == name);
        let listed = !release.architectures.is_empty();
        if listed && !has(architecture) && !has("all") {
            bail!(
                "the archive {} has no architecture `{architecture}`, only `{}`",
                self.named(),
                release.architectures.join("`, `")
            );
        }
        if self.is_flat() {
            return Ok(vec![(String::new(), architecture.to_owned())]);
        }
        let mut wanted = Vec::new();
        for component in &self.components {
            if !listed || has(architecture) {
                wanted.push((component.clone(), architecture.to_owned()));
            }
            if release.all_apart {
                wanted.push((component.clone(), "all".to_owned()));
            }
        }
        Ok(wanted)
    }
}

/// An archive's `Release` from one address: in one file with its signature, else in two.
fn signed_from(fetcher: &Fetcher, candidate: &Candidate, what: &str) -> Result<Signed, FetchError> {
    const LIMIT: u64 = 16 << 20;
    let missing = match fetcher.document_from(candidate, None, what, LIMIT) {
        Ok(text) => return Ok(Signed { text, signature: None }),
        Err(error @ FetchError::Gone { .. }) => error,
        Err(error) => return Err(error),
    };
    let directory = candidate.url.strip_suffix("InRelease").unwrap_or(&candidate.url);
    let beside = |name: &str| Candidate { url: format!("{directory}{name}"), base: candidate.base.clone() };
    match fetcher.document_from(
        &beside("Release.gpg"),
        None,
        &what.replace("InRelease", "Release.gpg"),
        LIMIT,
    ) {
        Ok(signature) => {
            let what = what.replace("InRelease", "Release");
            let text = fetcher.document_from(&beside("Release"), None, &what, LIMIT)?;
            Ok(Signed { text, signature: Some(signature) })
        }
        // An archive that has neither lacks what every one should have.
        Err(FetchError::Gone { .. }) => Err(missing),
        Err(error) => Err(error),
    }
}

/// The `Release` that was seen last under this name.
fn kept(fetcher: &Fetcher, name: &str) -> Option<Signed> {
    let signature = fetcher.store().kept(&apart(name)).filter(|bytes| !bytes.is_empty());
    Some(Signed { text: fetcher.store().kept(name)?, signature })
}

fn keep(fetcher: &Fetcher, name: &str, signed: &Signed) -> Result<()> {
    let store = fetcher.store();
    let signature = signed.signature.as_deref();
    if signature.is_some() || store.kept(&apart(name)).is_some() {
        store.keep(&apart(name), signature.unwrap_or_default())?;
    }
    store.keep(name, &signed.text)
}

fn apart(name: &str) -> String {
    format!("{name} Release.gpg")
}

/// The form in which an index is fetched.
struct Compressed {
    /// Below the suite, with its ending.
    path: String,
    sum: Sum,
    /// Digest and size of what is in it, where the archive says.
    unpacked: Option<Sum>,
    compression: Compression,
}

#[derive(Clone, Copy)]
enum Compression {
    Xz,
    Zstd,
    Gzip,
    None,
}

impl Compressed {
    fn choose(archive: &Archive, release: &Release, component: &str, architecture: &str) -> Result<Self> {
        let plain = match archive.is_flat() {
            true => "Packages".to_owned(),
            false => format!("{component}/binary-{architecture}/Packages"),
        };
        for (ending, compression) in [
            (".xz", Compression::Xz),
            (".zst", Compression::Zstd),
            (".gz", Compression::Gzip),
            ("", Compression::None),
        ] {
            let path = format!("{plain}{ending}");
            if let Some(sum) = release.files.get(&path) {
                let unpacked = release.files.get(&plain).cloned();
                return Ok(Self { path, sum: sum.clone(), unpacked, compression });
            }
        }
        match archive.is_flat() {
            true => bail!("the archive {} has no index `Packages`", archive.named()),
            false => {
                bail!("the archive {} has no component `{component}` for `{architecture}`", archive.named())
            }
        }
    }

    fn is_unpacked_in(&self, fetcher: &Fetcher) -> bool {
        self.unpacked.as_ref().is_some_and(|sum| fetcher.store().path(&sum.sha256).is_some())
    }

    fn item(&self, archive: &Archive, release: &Release, component: &str) -> Item {
        // The snapshot services keep no files by digest, and need none.
        let directory = self.path.rfind('/').map_or("", |at| &self.path[..=at]);
        let path = match release.by_hash && archive.snapshots.is_empty() {
            true => format!("{directory}by-hash/SHA256/{}", self.sum.sha256),
            false => self.path.clone(),
        };
        Item {
            subject: Subject::Index(format!(
                "{}, signed by `{}`",
                archive.index_named(component),
                release.signed_by
            )),
            url: archive.url(&format!("{}{path}", archive.directory())),
            query: None,
            sha256: self.sum.sha256.clone(),
            size: self.sum.size,
        }
    }

    /// Puts the uncompressed index into the store, where it is not yet, and says where it is.
    fn unpack(&self, fetcher: &Fetcher) -> Result<PathBuf> {
        /// An index of unknown size that is larger is no index.
        const LIMIT: u64 = 1 << 30;
        let store = fetcher.store();
        let unpacked = || self.unpacked.as_ref().and_then(|sum| store.path(&sum.sha256));
        if let Some(path) = unpacked() {
            return Ok(path);
        }
        let compressed = store.path(&self.sum.sha256);
        if matches!(self.compression, Compression::None) {
            return compressed.context("it has left the store");
        }
        let Some(file) = compressed.and_then(|path| fs::File::open(path).ok()) else {
            // Pockets may have the same index, of which each is unpacked at the same time: another thread was faster.
            return unpacked().context("it has left the store");
        };
        let size = self.unpacked.as_ref().map_or(LIMIT, |sum| sum.size);
        let mut bytes =
            Vec::with_capacity(usize::try_from(self.unpacked.as_ref().map_or(0, |sum| sum.size))?);
        // One byte more than there may be, so that too many are noticed and a bomb does not go off.
        match self.compression {
            Compression::Xz => liblzma::read::XzDecoder::new(file).take(size + 1).read_to_end(&mut bytes),
            Compression::Zstd => zstd::Decoder::new(file)?.take(size + 1).read_to_end(&mut bytes),
            Compression::Gzip => {
                flate2::read::MultiGzDecoder::new(file).take(size + 1).read_to_end(&mut bytes)
            }
            Compression::None => Ok(0),
        }?;
        if bytes.len() as u64 > size {
            bail!("it is larger than the {size} bytes it should have");
        }
        let sha256 = store.insert(&bytes)?;
        if let Some(expected) = self.unpacked.as_ref().filter(|sum| sum.sha256 != sha256) {
            store.remove(&sha256);
            bail!("uncompressed, its sha256 is `{sha256}` instead of `{}`", expected.sha256);
        }
        if self.unpacked.is_some() {
            store.remove(&self.sum.sha256);
        }
        store.path(&sha256).context("it has left the store")
    }
}

/// Does the same with every item, each in a thread of its own; the first error in order is the result.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = items.iter().map(|item| scope.spawn(move || work(item))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect()
    })
}
