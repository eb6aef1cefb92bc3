//! A cache, a lock and last artifacts of their own, for a test that tries to
//! break them.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::product::{self, small, success};

/// What the locks say of Debian's main archive.
pub const MAIN: &str = "http://ftp.debian.org/debian";
/// The package that the tests withhold, or fetch from a server of theirs.
pub const VICTIM: &str = "dmsetup";

/// The image `small` was built here once; the next build has something to do.
pub struct Workshop {
    directory: TempDir,
    /// The package of [`VICTIM`].
    pub victim: Victim,
    /// The artifacts as the last build left them.
    pub before: Vec<String>,
}

/// A package as the lock has it.
#[derive(Clone)]
pub struct Victim {
    /// Below the base of the archive, with a slash before.
    pub path: String,
    pub sha256: String,
    pub version: String,
    pub bytes: Vec<u8>,
}

impl Workshop {
    /// With every package in the store, and every layer.
    pub fn new(name: &str) -> Self {
        let base = base();
        let directory =
            tempfile::Builder::new().prefix(name).tempdir_in(product::scratch("failures")).unwrap();
        let cache = directory.path().join("cache");
        link(&base.join("cache/blobs"), &cache.join("blobs"));
        symlink(base.join("cache/layers"), cache.join("layers")).unwrap();
        link(&base.join("out"), &directory.path().join("out"));
        let lock = fs::read_to_string(base.join("small.lock")).unwrap();
        let victim = victim(&lock, &cache);
        // The same packages from an archive a second younger: no layer has to
        // be made, but the artifacts have.
        let (head, rest) = lock.split_once("\ndate = ").unwrap();
        let (date, rest) = rest.split_once('\n').unwrap();
        let date: i64 = date.parse().unwrap();
        fs::write(directory.path().join("small.lock"), format!("{head}\ndate = {}\n{rest}", date + 1))
            .unwrap();
        let mut workshop = Self { directory, victim, before: Vec::new() };
        workshop.before = workshop.artifacts();
        workshop
    }

    /// With one package still to be fetched.
    pub fn without_the_victim(name: &str) -> Self {
        let workshop = Self::new(name);
        fs::remove_file(workshop.blob(&workshop.victim.sha256)).unwrap();
        workshop
    }

    /// With no layers.
    pub fn without_layers(name: &str) -> Self {
        let workshop = Self::new(name);
        fs::remove_file(workshop.path("cache/layers")).unwrap();
        workshop
    }

    /// Lets what is made or removed among the layers be this test's alone.
    pub fn own_layers(&self) {
        let layers = self.path("cache/layers");
        if layers.is_symlink() {
            fs::remove_file(&layers).unwrap();
            fs::create_dir(&layers).unwrap();
            for layer in fs::read_dir(base().join("cache/layers")).unwrap().map(Result::unwrap) {
                symlink(layer.path(), layers.join(layer.file_name())).unwrap();
            }
        }
    }

    /// Lets the lock be so many seconds later, so that the system has to be
    /// made again. What is made is not kept for other tests.
    pub fn make_later(&self, later: i64) {
        self.own_layers();
        let lock = fs::read_to_string(self.lock()).unwrap();
        let (head, rest) = lock.split_once("\nepoch = ").unwrap();
        let (epoch, rest) = rest.split_once('\n').unwrap();
        let epoch: i64 = epoch.parse().unwrap();
        fs::write(self.lock(), format!("{head}\nepoch = {}\n{rest}", epoch + later)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn lock(&self) -> PathBuf {
        self.path("small.lock")
    }

    /// The file of a package in the store.
    pub fn blob(&self, sha256: &str) -> PathBuf {
        self.path("cache/blobs").join(&sha256[..2]).join(sha256)
    }

    /// A verb on `small` here.
    pub fn small(&self, arguments: &[&str]) -> Command {
        let mut command = small();
        command.args(arguments).env("BEDPLATE_CACHE", self.path("cache"));
        command
    }

    pub fn image(&self) -> Command {
        let mut command = self.small(&["image", "small", "--lock"]);
        command.arg(self.lock()).arg("--out").arg(self.path("out"));
        command
    }

    /// The same with this mirror in the place of Debian's main archive.
    pub fn image_from(&self, mirror: &str) -> Command {
        let mut command = self.image();
        command.arg("--mirror").arg(format!("{MAIN}={mirror}"));
        command
    }

    pub fn verify(&self) -> Command {
        let mut command = self.small(&["verify", "small", "--out"]);
        command.arg(self.path("out"));
        command
    }

    /// What a failure must not change: artifacts, lock, and the store's packages.
    pub fn state(&self) -> Vec<String> {
        let mut state = self.artifacts();
        state.extend(listing(&self.path("cache/blobs")));
        state.push(fs::read_to_string(self.lock()).unwrap_or_default());
        state
    }

    /// Every file among the artifacts, and whether it is the same as ever.
    pub fn artifacts(&self) -> Vec<String> {
        listing(&self.path("out"))
    }

    /// What was printed, without what differs from run to run.
    pub fn said(&self, stderr: &[u8]) -> String {
        let scratch = self.directory.path();
        let below = scratch.strip_prefix(product::root()).unwrap_or(scratch);
        let text = String::from_utf8(stderr.to_vec()).unwrap();
        let text =
            text.replace(scratch.to_str().unwrap(), "[here]").replace(below.to_str().unwrap(), "[here]");
        let text = text.replace(&self.victim.path, "/[victim]").replace(&self.victim.sha256, "[sha256]");
        let text = text.replace(&self.victim.version, "[version]");
        let text = text.replace(&self.victim.bytes.len().to_string(), "[size]");
        let words =
            text.split_inclusive([' ', '/', '`', '\n']).map(|word| match word.split_once("127.0.0.1:") {
                Some((before, port)) => {
                    format!("{before}[mirror]{}", port.trim_start_matches(|c: char| c.is_ascii_digit()))
                }
                None => word.to_owned(),
            });
        words.collect()
    }
}

/// `small`, built once for all tests and kept between runs.
fn base() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let base = product::scratch("failures").join("base");
        let mut command = small();
        command.env("BEDPLATE_CACHE", base.join("cache")).args(["image", "small", "--lock"]);
        fs::create_dir_all(&base).unwrap();
        success(command.arg(base.join("small.lock")).arg("--out").arg(base.join("out")));
        base
    })
}

fn victim(lock: &str, cache: &Path) -> Victim {
    let block = lock.split("\n\n").find(|block| block.contains(&format!("name = \"{VICTIM}\""))).unwrap();
    let field = |name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(&format!("{name} = \""))).unwrap();
        line.trim_end_matches('"').to_owned()
    };
    let sha256 = field("sha256");
    let bytes = fs::read(cache.join("blobs").join(&sha256[..2]).join(&sha256)).unwrap();
    Victim {
        path: field("url").strip_prefix(MAIN).unwrap().to_owned(),
        sha256,
        version: field("version"),
        bytes,
    }
}

/// Links a directory's files, with all that is below it.
fn link(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            link(&from, &to);
        } else {
            fs::hard_link(from, to).unwrap();
        }
    }
}

/// Name, size and time of everything below a directory, sorted.
fn listing(directory: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            lines.extend(listing(&entry.path()));
        } else {
            let (path, inode) = (entry.path(), meta.ino());
            lines.push(format!(
                "{} {inode} {} {}.{}",
                path.display(),
                meta.len(),
                meta.mtime(),
                meta.mtime_nsec()
            ));
        }
    }
    lines.sort();
    lines
}
