//! The directory of artifacts: made beside the last good one, and put in its
//! place whole, so that a build that fails or is interrupted leaves it as it was.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use bedplate_core::plan::ArtifactNames;
use bedplate_formats::digest::{self, hex};
use bedplate_formats::sparse;
use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use rustix::fs::{AtFlags, CWD, FlockOperation, RenameFlags, StatxAttributes, StatxFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::report::{self, Report};

mod spare;

pub use self::spare::{Kind as SpareKind, Spare};

/// What says that a directory is ours, and of which inputs its files were made.
const STAMP: &str = ".bedplate.json";

/// What a run leaves behind that is interrupted behind its build.
const PUBLISHED: &str = "the new artifacts, the lock and the cache are whole";

/// A directory of artifacts that one build at a time works on.
pub struct Output {
    directory: Utf8PathBuf,
    /// Held until the build is over.
    _lock: File,
}

/// What the last build left behind.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Stamp {
    key: String,
    files: Vec<StampedFile>,
    /// The plan that they were made of, as JSON; none of a build by an older program.
    #[serde(default)]
    plan: serde_json::Value,
}

/// A file as the last build left it.
#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct StampedFile {
    name: String,
    size: u64,
    /// Seconds and nanoseconds.
    mtime: (i64, i64),
}

impl Output {
    /// Opens it, waiting for another build in the same directory.
    ///
    /// # Errors
    /// A directory that holds files that are not a build's; what is no directory.
    pub fn open(directory: &Utf8Path, report: &Report) -> Result<Self> {
        // The directory is replaced, and not a link to it. A slash behind a name would follow the link, too.
        let named: Utf8PathBuf = directory.components().collect();
        let followed = match named.is_symlink() {
            true => named.canonicalize_utf8().with_context(|| format!("following `{named}`"))?,
            false => named,
        };
        let directory = followed.as_path();
        ensure!(directory.file_name().is_some(), "the output directory has no name");
        let above = directory.parent().unwrap_or(Utf8Path::new("."));
        if directory.exists() && !directory.is_dir() {
            bail!("`{}` is no directory; choose another for the artifacts", report::path(directory));
        }
        fs::create_dir_all(above)?;
        if is_mount_point(directory) {
            bail!("`{}` is a mount point; choose a directory in it", report::path(directory));
        }
        let lock = fs::File::create(hidden(directory, "lock"))?.into_parts().0;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            report.did("Waiting", format_args!("for another build in {}", report::path(directory)));
            rustix::fs::flock(&lock, FlockOperation::LockExclusive).context("waiting for the other build")?;
        }
        let occupied = fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some());
        if occupied && !directory.join(STAMP).exists() {
            bail!("`{}` holds files that no build made; choose another directory", report::path(directory));
        }
        // What an interrupted build left.
        let _ = fs::remove_dir_all(hidden(directory, "new"));
        Ok(Self { directory: followed, _lock: lock })
    }

    /// Whether its files are of these inputs, wherever they were made.
    pub fn is_of(&self, key: &str) -> bool {
        self.stamp().is_some_and(|stamp| stamp.key == key)
    }

    /// Whether the last build has a file of this name, as it was added to it.
    pub fn has(&self, name: &str) -> bool {
        let now = files(&self.directory).unwrap_or_default();
        let mut stamped = self.stamp().into_iter().flat_map(|stamp| stamp.files);
        stamped.any(|file| file.name == name && now.contains(&file))
    }

    fn stamp(&self) -> Option<Stamp> {
        stamp(&self.directory).ok()
    }

    /// Whether the files of these inputs are already there, untouched.
    pub fn is_current(&self, key: &str) -> bool {
        self.stamp().is_some_and(|stamp| {
            stamp.key == key && files(&self.directory).is_ok_and(|now| now == stamp.files)
        })
    }

    /// An empty directory to build in, on the same file system.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn staging(&self) -> Result<Utf8PathBuf> {
        let staging = hidden(&self.directory, "new");
        fs::create_dir_all(&staging)?;
        Ok(staging)
    }

    /// The largest of the artifacts before the last ones.
    pub fn spare(&self) -> Spare {
        Spare::of(&self.directory)
    }

    /// Puts the staged files, which were made of a plan, in the place of the last ones.
    ///
    /// # Errors
    /// The file system refuses it; the last ones are then still there.
    pub fn publish(&self, staging: &Utf8Path, key: &str, plan: serde_json::Value) -> Result<()> {
        let last = self.stamp();
        let stamp = Stamp { key: key.to_owned(), files: files(staging)?, plan };
        fs::write(staging.join(STAMP), serde_json::to_vec_pretty(&stamp)?)?;
        let to = self.directory.as_str();
        if self.directory.exists() {
            let exchange =
                || rustix::fs::renameat_with(CWD, staging.as_str(), CWD, to, RenameFlags::EXCHANGE);
            report::leave_by(PUBLISHED, exchange)
                .with_context(|| format!("putting `{}` in its place", report::path(to)))?;
            let last = last.map(|stamp| stamp.plan).unwrap_or_default();
            for kind in SpareKind::ALL {
                let name =
                    last["artifacts"][kind.name()].as_str().and_then(|name| Utf8Path::new(name).file_name());
                if let Some(name) = name {
                    // Without it, the next build writes all of its own.
                    let _ = self.spare().keep(kind, &staging.join(name));
                }
            }
            fs::remove_dir_all(staging)?;
        } else {
            report::leave_by(PUBLISHED, || fs::rename(staging, &self.directory))?;
        }
        Ok(())
    }

    /// Adds a file to those of the last build, and to their checksums. `make` writes it.
    ///
    /// # Errors
    /// What `make` fails with; the files are then as they were.
    pub fn add(&self, name: &str, checksums: &str, make: impl FnOnce(&File) -> Result<()>) -> Result<()> {
        let stamp = self.directory.join(STAMP);
        let mut stamped: Stamp =
            serde_json::from_slice(&fs::read(&stamp)?).context("reading the last build's stamp")?;
        let new = tempfile::Builder::new().prefix(".").suffix(".new").tempfile_in(&self.directory)?;
        make(new.as_file())?;
        let digest = digest::sha256_files(&[new.path().to_owned()]).context("hashing the artifact")?;
        let sums = fs::read_to_string(self.directory.join(checksums))?;
        let line = |name: &str, digest: &str| format!("{digest} *{name}\n");
        let others = sums.lines().filter(|line| line.split_once(" *").is_none_or(|(_, other)| other != name));
        let mut sums: Vec<String> = others.map(|line| format!("{line}\n")).collect();
        sums.extend(digest.first().map(|digest| line(name, &hex(digest))));
        sums.sort_by(|left, right| left.split(" *").nth(1).cmp(&right.split(" *").nth(1)));
        let listed = tempfile::Builder::new().prefix(".").suffix(".new").tempfile_in(&self.directory)?;
        fs::write(listed.path(), sums.concat())?;
        for (file, name) in [(new, name), (listed, checksums)] {
            let file = file.persist(self.directory.join(name))?;
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        }
        stamped.files = files(&self.directory)?;
        fs::write(&stamp, serde_json::to_vec_pretty(&stamped)?)?;
        Ok(())
    }
}

/// What belongs to a directory of artifacts and lies beside it.
fn hidden(directory: &Utf8Path, what: &str) -> Utf8PathBuf {
    directory.with_file_name(format!(".{}.{what}", directory.file_name().unwrap_or_default()))
}

/// Whether a path is where something is mounted, as far as the kernel says it (Linux 5.8).
fn is_mount_point(path: &Utf8Path) -> bool {
    let found = rustix::fs::statx(CWD, path.as_std_path(), AtFlags::empty(), StatxFlags::TYPE);
    found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Whether a directory is one of artifacts.
pub fn is_build(directory: &Utf8Path) -> bool {
    directory.join(STAMP).is_file()
}

/// The key of the inputs that a directory's artifacts were made of, and the plan as JSON: null where an older program
/// made them.
///
/// # Errors
/// It is no directory of artifacts.
pub fn made_of(directory: &Utf8Path) -> Result<(String, serde_json::Value)> {
    let stamp = stamp(directory)
        .with_context(|| format!("`{}` is no directory of artifacts", report::path(directory)))?;
    Ok((stamp.key, stamp.plan))
}

fn stamp(directory: &Utf8Path) -> Result<Stamp> {
    Ok(serde_json::from_slice(&fs::read(directory.join(STAMP))?)?)
}

/// The regular files of a directory but the stamp, by name.
fn files(directory: &Utf8Path) -> Result<Vec<StampedFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let meta = entry.metadata()?;
        if meta.is_file() && name != STAMP {
            files.push(StampedFile { name, size: meta.len(), mtime: (meta.mtime(), meta.mtime_nsec()) });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Copies a file to a new one, which shares its blocks where the file system can do that. It is never another name of
/// the same file: whoever writes into an artifact would change the cache, or another artifact.
///
/// # Errors
/// The file cannot be read or written.
pub fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let (source, target) = (fs::File::open(from)?, fs::File::create_new(to)?);
    sparse::copy_file(source.file(), target.file())
        .with_context(|| format!("cannot copy `{}` to `{}`", report::path(from), report::path(to)))
}

/// Files by their names.
pub type Named = Vec<(String, Vec<u8>)>;

/// The digests of files by their names, in hexadecimal.
pub type Digests = Vec<(String, String)>;

/// Adds the seed's second names of the initrd, what `papers` makes of all digests, and the checksums of everything but
/// the log. What is `known` is not hashed again; those of the files named with `later` are asked for when all others
/// are hashed.
///
/// # Errors
/// A file cannot be read or written; what `papers` and `later` fail with.
pub fn finish(
    names: &ArtifactNames,
    directory: &Utf8Path,
    known: Digests,
    (named, later): (&[&str], impl FnOnce() -> Result<Digests>),
    papers: impl FnOnce(&Digests) -> Result<Named>,
) -> Result<()> {
    copy(directory.join(&names.initrd), directory.join(&names.initrd_cpio))?;
    fs_err::os::unix::fs::symlink(&names.initrd_cpio, directory.join(&names.initrd_link))?;
    let mut files: Vec<String> = files(directory)?.into_iter().map(|file| file.name).collect();
    // Maintainer scripts may print a time: the log need not be the same in two builds.
    let is_known = |name: &String| known.iter().any(|(known, _)| known == name);
    files.retain(|name| *name != names.log && !named.contains(&name.as_str()) && !is_known(name));
    let paths: Vec<Utf8PathBuf> = files.iter().map(|name| directory.join(name)).collect();
    let digests = digest::sha256_files(&paths).context("hashing the artifacts")?;
    let mut sums: Digests = files.into_iter().zip(digests.iter().map(|digest| hex(digest))).collect();
    sums.extend(known);
    sums.extend(later()?);
    sums.sort();
    for (name, bytes) in papers(&sums)? {
        fs::write(directory.join(&name), &bytes)?;
        sums.push((name, hex(&Sha256::digest(&bytes))));
    }
    sums.sort();
    let lines = sums.iter().map(|(name, digest)| format!("{digest} *{name}\n"));
    fs::write(directory.join(&names.checksums), lines.collect::<String>())?;
    Ok(())
}

/// Reads the checksums of a finished build.
///
/// # Errors
/// The file cannot be read.
pub fn checksums(names: &ArtifactNames, directory: &Utf8Path) -> Result<Digests> {
    let text = fs::read_to_string(directory.join(&names.checksums))?;
    let pairs = text.lines().filter_map(|line| line.split_once(" *"));
    Ok(pairs.map(|(digest, name)| (name.to_owned(), digest.to_owned())).collect())
}

/// Holds the files of a finished build against their checksums.
///
/// # Errors
/// One cannot be read, or is another than was made.
pub fn check(names: &ArtifactNames, directory: &Utf8Path) -> Result<()> {
    let sums = checksums(names, directory)?;
    let paths: Vec<Utf8PathBuf> = sums.iter().map(|(name, _)| directory.join(name)).collect();
    let digests = digest::sha256_files(&paths).context("hashing the artifacts")?;
    for ((name, sum), found) in sums.iter().zip(digests) {
        if *sum != hex(&found) {
            bail!("`{}` is not the file that was built", report::path(&directory.join(name)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(directory: &Utf8Path) -> Output {
        Output::open(directory, &Report::default()).unwrap()
    }

    fn build(output: &Output, content: &str) {
        let staging = output.staging().unwrap();
        std::fs::write(staging.join("image.raw"), content).unwrap();
        output.publish(&staging, content, serde_json::Value::Null).unwrap();
    }

    #[test]
    fn a_build_takes_the_place_of_the_last_one_whole() {
        let directory = tempfile::tempdir().unwrap();
        let out = Utf8Path::from_path(directory.path()).unwrap().join("edge");
        build(&output(&out), "one");
        assert!(output(&out).is_current("one"));
        build(&output(&out), "two");
        assert_eq!(std::fs::read_to_string(out.join("image.raw")).unwrap(), "two");
        assert!(!output(&out).is_current("one"));
    }

    #[test]
    fn an_interrupted_build_leaves_the_last_one() {
        let directory = tempfile::tempdir().unwrap();
        let out = Utf8Path::from_path(directory.path()).unwrap().join("edge");
        build(&output(&out), "one");
        let staging = output(&out).staging().unwrap();
        std::fs::write(staging.join("image.raw"), "half").unwrap();
        assert!(output(&out).is_current("one"));
        assert!(!staging.exists(), "what it left is gone once the next build begins");
    }

    #[test]
    fn a_changed_artifact_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let out = Utf8Path::from_path(directory.path()).unwrap().join("edge");
        build(&output(&out), "one");
        std::fs::write(out.join("image.raw"), "edited").unwrap();
        assert!(!output(&out).is_current("one"));
    }

    #[test]
    fn a_directory_of_somebody_elses_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("thesis.txt"), "years").unwrap();
        assert!(Output::open(directory.path().try_into().unwrap(), &Report::default()).is_err());
        assert!(directory.path().join("thesis.txt").exists());
        for name in ["thesis.txt", "thesis.txt/"] {
            let file = directory.path().join(name);
            assert!(Output::open(file.as_path().try_into().unwrap(), &Report::default()).is_err());
        }
        assert!(directory.path().join("thesis.txt").is_file());
    }

    #[test]
    fn a_link_to_a_directory_stays_one() {
        let directory = tempfile::tempdir().unwrap();
        let above = Utf8Path::from_path(directory.path()).unwrap();
        let link = above.join("edge");
        std::fs::create_dir(above.join("large")).unwrap();
        std::os::unix::fs::symlink("large", &link).unwrap();
        for (content, link) in [("one", link.clone()), ("two", above.join("edge/"))] {
            build(&output(&link), content);
            assert_eq!(std::fs::read_to_string(above.join("large/image.raw")).unwrap(), content);
            assert!(output(&link).is_current(content));
        }
        assert!(link.is_symlink());
        std::fs::remove_dir_all(above.join("large")).unwrap();
        assert!(Output::open(&link, &Report::default()).is_err(), "it leads to nothing");
    }
}
