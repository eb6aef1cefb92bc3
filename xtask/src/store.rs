//! The store: everything that came from outside, by its sha256, and the layers made from it.
//!
//! ```text
//! blobs/ab/abcd…          a file whose sha256 is abcd…
//! partial/abcd…           the same file while it is fetched; locked by who fetches it, kept for resuming
//! kept/ab…                what an archive said of itself the last time, under the sha256 of its address
//! layers/KIND-KEY/        a directory made from what KEY is the digest of
//! temporary/PID-N/        scratch space of one running process
//! locks/KIND-KEY          held while a layer is made; later its size in bytes
//! locks/                  held while entries are marked as used, and alone while one is removed
//! ```
//!
//! Invariant: nothing is in `blobs` that was not hashed on its way in, and nothing in `layers` that is not
//! finished: both are renamed into place.
//! A blob's modification time is its size in seconds after 1970. Whoever truncates, extends or rewrites a blob
//! breaks that equation, and such a blob is hashed again before it is used.
//! All of one user's builds share the store. A blob or a layer is marked as it is handed out ([`usage`]); a build that
//! added something removes in the end what was not used for long, and what is more than fits ([`Store::trim`]).

mod limit;
mod trim;
mod usage;

use std::env;
use std::fs::{File, FileTimes, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use bedplate_core::value::Sha256;
use bedplate_formats::digest::{self, hex};
use fs_err as fs;
use rustix::fs::{FlockOperation, flock};
use sha2::Digest;
use thiserror::Error;

pub use self::trim::{Freed, entries};
use self::usage::{Gate, Mark};
use crate::error::LocatedError;
use crate::paths::path;

/// The store of one user, open for this process. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    opened: Arc<Opened>,
    exchange: Option<Arc<dyn Exchange>>,
}

/// Where layers come from that another machine has made, and where this one's go.
pub trait Exchange: std::fmt::Debug + Send + Sync {
    /// Makes in an empty directory the layer of this name (`system-KEY`); whether it did. If not, the directory may be
    /// half filled.
    fn take(&self, name: &str, directory: &Path) -> bool;
    /// Hears of a layer that was made here.
    fn made(&self, name: &str, layer: &Path);
}

#[derive(Debug)]
struct Opened {
    root: PathBuf,
    scratch: PathBuf,
    next: AtomicU32,
    gate: Gate,
    /// Bytes that [`Store::trim`] leaves.
    limit: u64,
    /// Whether this process has added a blob or a layer.
    grown: AtomicBool,
    /// Held as long as this process uses `scratch`; who finds it unlocked may remove the directory.
    _lock: File,
}

/// What is in the store's directory.
const DIRECTORIES: [&str; 6] = ["blobs", "partial", "kept", "layers", "temporary", "locks"];

/// What [`Store::claim`] found.
#[derive(Debug)]
pub enum Claim {
    /// The blob is in the store already, here.
    Stored(PathBuf),
    /// It is not, and nobody else fetches it while this lives.
    Partial(Partial),
}

/// The right to fetch one blob, and the file to fetch it into.
///
/// What was written stays for the next attempt unless [`Partial::discard`] is called.
#[derive(Debug)]
pub struct Partial {
    store: Store,
    sha256: Sha256,
    path: PathBuf,
    file: File,
}

impl Store {
    /// Opens `$BEDPLATE_CACHE`, else `$XDG_CACHE_HOME/bedplate`, else `~/.cache/bedplate`, and makes it where
    /// it does not exist. It may hold `$BEDPLATE_CACHE_SIZE`.
    pub fn open() -> Result<Self> {
        let limit = limit::of_environment()?;
        let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let root = absolute("BEDPLATE_CACHE")
            .or_else(|| absolute("XDG_CACHE_HOME").map(|cache| cache.join("bedplate")))
            .or_else(|| absolute("HOME").map(|home| home.join(".cache/bedplate")));
        let Some(root) = root else {
            bail!("none of `BEDPLATE_CACHE`, `XDG_CACHE_HOME` and `HOME` names a directory for the store")
        };
        Self::limited(&root, limit)
    }

    /// Opens the store at `root` and makes it where it does not exist.
    pub fn at(root: &Path) -> Result<Self> {
        Self::limited(root, limit::DEFAULT)
    }

    fn limited(root: &Path, limit: u64) -> Result<Self> {
        if root.exists() {
            check_owner(root)?;
        }
        for directory in DIRECTORIES {
            fs::create_dir_all(root.join(directory)).context("cannot make the store")?;
            check_owner(&root.join(directory))?;
        }
        let root = fs::canonicalize(root)?;
        let (scratch, lock) =
            open_scratch(&root.join("temporary")).context("cannot make the store's scratch directory")?;
        let gate = Gate::open(&root.join("locks"));
        let (next, grown) = (AtomicU32::new(0), AtomicBool::new(false));
        let opened = Arc::new(Opened { root, scratch, next, gate, limit, grown, _lock: lock });
        Ok(Self { opened, exchange: None })
    }

    /// The same store, which exchanges layers.
    #[must_use]
    pub fn exchanging(mut self, exchange: Arc<dyn Exchange>) -> Self {
        self.exchange = Some(exchange);
        self
    }

    /// Whether layers may come from another machine.
    pub fn exchanges(&self) -> bool {
        self.exchange.is_some()
    }

    /// The store's directory.
    pub fn root(&self) -> &Path {
        &self.opened.root
    }

    /// The blob with this sha256, if the store has it whole.
    ///
    /// Costs one `stat` unless the file was touched; then it is hashed, and removed when it is not what it was.
    pub fn path(&self, sha256: &Sha256) -> Option<PathBuf> {
        let path = self.blob(sha256);
        self.opened.gate.mark(&path, Mark::Accessed);
        let metadata = path.symlink_metadata().ok()?;
        if metadata.is_file() && stamped(&metadata) {
            return Some(path);
        }
        self.verified(sha256)
    }

    /// As [`Store::path`], with the content hashed in any case.
    pub fn verified(&self, sha256: &Sha256) -> Option<PathBuf> {
        let path = self.blob(sha256);
        self.opened.gate.mark(&path, Mark::Accessed);
        let intact = File::open(&path).and_then(|mut file| {
            let found = hash(&mut file)?;
            if found == *sha256 {
                stamp(&file)?;
            }
            Ok(found == *sha256)
        });
        match intact {
            Ok(true) => Some(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // What cannot be read or is not what its name says is fetched again. When it cannot be removed
            // either, the rename of the new one will say why.
            Ok(false) | Err(_) => {
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// Claims the right to fetch a blob. Waits while another process or thread fetches the same.
    pub fn claim(&self, sha256: &Sha256) -> Result<Claim> {
        let path = self.opened.root.join("partial").join(sha256.as_str());
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .with_context(|| format!("cannot open `{}`", path.display()))?;
            flock(&file, FlockOperation::LockExclusive)
                .with_context(|| format!("cannot lock `{}`", path.display()))?;
            self.opened.gate.mark(&path, Mark::Modified);
            // Who held the lock before may have renamed this very file into `blobs`: then it is not ours to write.
            let ours = is_at(&file, &path);
            if let Some(stored) = self.path(sha256) {
                if ours {
                    fs::remove_file(&path)?;
                }
                return Ok(Claim::Stored(stored));
            }
            if ours {
                return Ok(Claim::Partial(Partial {
                    store: self.clone(),
                    sha256: sha256.clone(),
                    path,
                    file,
                }));
            }
        }
    }

    /// Puts bytes into the store; returns their sha256.
    pub fn insert(&self, bytes: &[u8]) -> Result<Sha256> {
        let sha256 = Sha256::of(sha2::Sha256::digest(bytes).into());
        if let Claim::Partial(mut partial) = self.claim(&sha256)? {
            let written = partial.restart().and_then(|()| partial.file.write_all(bytes));
            if let Err(error) = written {
                partial.discard();
                return Err(error)
                    .with_context(|| format!("cannot write to the store at `{}`", self.root().display()));
            }
            partial.finish()?;
        }
        Ok(sha256)
    }

    /// What was kept under this name with [`Store::keep`], a file from outside that has no digest known before.
    pub fn kept(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.note(name)).ok()
    }

    /// Keeps a file under a name, in the place of what was kept under it before.
    pub fn keep(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let temporary = self.temporary()?;
        let file = temporary.join("kept");
        fs::write(&file, bytes)?;
        fs::rename(file, self.note(name))?;
        fs::remove_dir(temporary)?;
        Ok(())
    }

    fn note(&self, name: &str) -> PathBuf {
        self.root().join("kept").join(hex(&sha2::Sha256::digest(name)))
    }

    /// Removes a blob nothing needs any more. It is no error when there is none.
    pub fn remove(&self, sha256: &Sha256) {
        // What stays takes space and is found again; that is all.
        let _ = fs::remove_file(self.blob(sha256));
    }

    /// A new empty directory for scratch files, on the store's file system. It is gone when the process is.
    pub fn temporary(&self) -> Result<PathBuf> {
        let number = self.opened.next.fetch_add(1, Ordering::Relaxed);
        let path = self.opened.scratch.join(number.to_string());
        fs::create_dir(&path)?;
        Ok(path)
    }

    /// Where the layer of this kind (`system`, `tools`, …) with this key is, or would be. When it is there, it stays
    /// for as long as this process lives.
    pub fn layer(&self, kind: &str, key: &str) -> PathBuf {
        let path = self.opened.root.join("layers").join(format!("{kind}-{key}"));
        self.opened.gate.mark(&path, Mark::Modified);
        path
    }

    /// The keys of the layers of a kind, with where they are, in the order of their keys. None is marked as used.
    pub fn keys(&self, kind: &str) -> Result<Vec<(String, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.opened.root.join("layers"))? {
            let entry = entry?;
            let name = entry.file_name();
            let key = name.to_str().and_then(|name| name.strip_prefix(kind)?.strip_prefix('-'));
            found.extend(key.map(|key| (key.to_owned(), entry.path())));
        }
        found.sort();
        Ok(found)
    }

    /// The same store, which exchanges nothing.
    #[must_use]
    pub fn alone(&self) -> Self {
        Self { opened: Arc::clone(&self.opened), exchange: None }
    }

    /// Whether this process has added a blob or a layer.
    pub fn has_grown(&self) -> bool {
        self.opened.grown.load(Ordering::Relaxed)
    }

    /// Takes the layer of this kind with this key from another machine, where it is to be had, so that it is there when it
    /// is asked for.
    pub fn take_ahead(&self, kind: &str, key: &str) {
        if self.exchanges() {
            // Whatever is wrong is told by who asks for it.
            let _ = self.layer_or_make(kind, key, |_| bail!("it is made when it is asked for"));
        }
    }

    /// The layer of this kind with this key, made by `make` in an empty directory when the store does not have
    /// it. Two processes that want the same one make it once.
    pub fn layer_or_make(
        &self,
        kind: &str,
        key: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let layer = self.layer(kind, key);
        if layer.is_dir() {
            return Ok(layer);
        }
        let _lock = lock(&self.opened.root.join("locks").join(format!("{kind}-{key}")))?;
        // Who held the lock may have made it, and it is not this process's before it is marked by it.
        if self.layer(kind, key).is_dir() {
            return Ok(layer);
        }
        let name = format!("{kind}-{key}");
        if let Some(exchange) = &self.exchange {
            let temporary = self.temporary()?;
            if exchange.take(&name, &temporary) {
                self.add(&temporary, &layer, Mark::Modified)?;
                return Ok(layer);
            }
            fs::remove_dir_all(temporary)?;
        }
        let temporary = self.temporary()?;
        if let Err(error) = make(&temporary) {
            let error = or_full(error, self.root());
            // The error that matters is the one of `make`; what cannot be removed now goes with the process.
            let _ = fs::remove_dir_all(&temporary);
            return Err(error);
        }
        self.add(&temporary, &layer, Mark::Modified)?;
        if let Some(exchange) = &self.exchange {
            exchange.made(&name, &layer);
        }
        Ok(layer)
    }

    /// Renames a finished entry into its place, marked as used.
    fn add(&self, made: &Path, entry: &Path, mark: Mark) -> Result<()> {
        self.opened.grown.store(true, Ordering::Relaxed);
        self.opened.gate.shared(|| {
            fs::rename(made, entry)?;
            // A tree of packages has the time that they give its root.
            usage::write(entry, mark);
            Ok(())
        })
    }

    fn blob(&self, sha256: &Sha256) -> PathBuf {
        self.opened.root.join("blobs").join(&sha256[..2]).join(sha256.as_str())
    }
}

impl Partial {
    /// Bytes that are there already.
    pub fn len(&self) -> Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Whether nothing is there yet.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The file to write to. Its position is wherever the last reader or writer left it.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Empties the file.
    pub fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()
    }

    /// Moves the file into the store. The caller has hashed what it wrote.
    pub fn finish(self) -> Result<PathBuf> {
        let blob = self.store.blob(&self.sha256);
        if let Some(parent) = blob.parent() {
            fs::create_dir_all(parent)?;
        }
        self.file.set_permissions(Permissions::from_mode(0o444))?;
        stamp(&self.file)?;
        self.store.add(&self.path, &blob, Mark::Accessed)?;
        Ok(blob)
    }

    /// Removes what was fetched so far.
    pub fn discard(self) {
        // A leftover would be hashed and refused by the next attempt; nothing depends on its being gone.
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // The next process to open the store removes what is left.
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

/// The sha256 of what is left to read.
pub fn hash(reader: &mut impl Read) -> io::Result<Sha256> {
    let mut hasher = digest::Sha256::default();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(Sha256::of(hasher.finish())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Whether an error means that the disk, or the user's share of it, is full.
pub fn disk_is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// There is no space left where something had to be written.
#[derive(Debug, Error)]
#[error("no space is left in `{}`", path(.0))]
pub struct Full(pub PathBuf);

/// Says of a failure that came while writing to `directory` that it is for want of space, where none is left:
/// not every program says so itself.
pub fn or_full(error: anyhow::Error, directory: &Path) -> anyhow::Error {
    /// Bytes. A failed write leaves less than it wanted to write.
    const NOTHING: u64 = 1 << 20;
    match rustix::fs::statvfs(directory) {
        Ok(room) if room.f_bavail.saturating_mul(room.f_frsize) < NOTHING => {
            error.context(Full(directory.to_owned()))
        }
        _ => error,
    }
}

fn stamp(file: &File) -> io::Result<()> {
    let size = file.metadata()?.len();
    file.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(size)))
}

fn stamped(metadata: &Metadata) -> bool {
    u64::try_from(metadata.mtime()) == Ok(metadata.len()) && metadata.mtime_nsec() == 0
}

/// Refuses a directory of another user's: half of what is written there could neither be used nor removed by the one,
/// and the other half not by the other.
fn check_owner(directory: &Path) -> Result<()> {
    /// Who has no number in a user namespace.
    const NOBODY: u32 = 65534;
    let (owner, own) = (fs::metadata(directory)?.uid(), rustix::process::geteuid().as_raw());
    if owner == own {
        return Ok(());
    }
    let whose = match owner {
        NOBODY => "another user".to_owned(),
        number => format!("the user with the number {number}"),
    };
    let message = format!("the cache directory `{}` belongs to {whose}", path(directory));
    let help = "name a directory of your own in `BEDPLATE_CACHE`, run as that user, or give it to this one with \
                `chown -R`";
    Err(LocatedError::without_line(message, help).into())
}

/// Makes a scratch directory of our own and removes those of processes that are gone.
fn open_scratch(temporary: &Path) -> Result<(PathBuf, File)> {
    let _guard = lock(&temporary.join(".lock"))?;
    for entry in fs::read_dir(temporary)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_abandoned(&entry.path(), &entry.path().join(".lock"));
        }
    }
    let pid = std::process::id();
    for number in 0_u32.. {
        let path = temporary.join(format!("{pid}-{number}"));
        match fs::create_dir(&path) {
            Ok(()) => {
                let held = lock(&path.join(".lock"))?;
                return Ok((path, held));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!("no free name in `{}`", temporary.display())
}

/// Removes the directory of a process that is gone: while it lived, it held the lock.
pub(crate) fn remove_abandoned(directory: &Path, lock: &Path) {
    let Ok(lock) = File::open(lock) else { return };
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
        // Files of other uids, made in a user namespace, may refuse; they only take space.
        let _ = fs::remove_dir_all(directory);
    }
}

/// Opens or makes `path` and waits until nobody else holds it.
fn lock(path: &Path) -> Result<File> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(|| format!("cannot open `{}`", path.display()))?;
        flock(&file, FlockOperation::LockExclusive)
            .with_context(|| format!("cannot lock `{}`", path.display()))?;
        // Who held it may have removed it: then it keeps nobody out.
        if is_at(&file, path) {
            return Ok(file);
        }
    }
}

/// Locks a file that is there, if nobody holds it.
fn lock_if_free(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    (flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() && is_at(&file, path)).then_some(file)
}

/// Whether an open file is the one that has this name now.
fn is_at(file: &File, path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|named| {
        file.metadata().is_ok_and(|opened| named.ino() == opened.ino() && named.dev() == opened.dev())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::at(directory.path()).unwrap();
        (directory, store)
    }

    fn make_writable(path: &Path) {
        fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    }

    #[test]
    fn what_goes_in_is_found_by_its_digest() {
        let (_directory, store) = store();
        let sha256 = store.insert(b"greengrass").unwrap();
        assert_eq!(fs::read(store.path(&sha256).unwrap()).unwrap(), b"greengrass");
        assert!(fs::read_dir(store.root().join("partial")).unwrap().next().is_none());
    }

    #[test]
    fn a_truncated_blob_is_not_served() {
        let (_directory, store) = store();
        let sha256 = store.insert(b"greengrass").unwrap();
        let path = store.path(&sha256).unwrap();
        make_writable(&path);
        OpenOptions::new().write(true).open(&path).unwrap().set_len(3).unwrap();
        assert_eq!(store.path(&sha256), None);
        assert!(!path.exists());
    }

    #[test]
    fn a_blob_rewritten_at_the_same_length_is_not_served() {
        let (_directory, store) = store();
        let sha256 = store.insert(b"greengrass").unwrap();
        let path = store.path(&sha256).unwrap();
        make_writable(&path);
        fs::write(&path, b"greengrasz").unwrap();
        assert_eq!(store.path(&sha256), None);
    }

    #[test]
    fn a_blob_that_was_only_touched_is_served_again() {
        let (_directory, store) = store();
        let sha256 = store.insert(b"greengrass").unwrap();
        let path = store.path(&sha256).unwrap();
        File::open(&path).unwrap().set_times(FileTimes::new().set_modified(SystemTime::now())).unwrap();
        assert_eq!(store.path(&sha256), Some(path.clone()));
        assert!(stamped(&path.metadata().unwrap()));
    }

    #[test]
    fn a_claim_waits_for_the_one_before_and_then_finds_the_blob() {
        let (_directory, store) = store();
        let sha256 = Sha256::of(sha2::Sha256::digest(b"docker").into());
        let Claim::Partial(mut partial) = store.claim(&sha256).unwrap() else { panic!("the store is empty") };
        let second = std::thread::spawn({
            let (store, sha256) = (store.clone(), sha256.clone());
            move || store.claim(&sha256).unwrap()
        });
        std::thread::sleep(Duration::from_millis(50));
        assert!(!second.is_finished());
        partial.file().write_all(b"docker").unwrap();
        let path = partial.finish().unwrap();
        let Claim::Stored(found) = second.join().unwrap() else { panic!("fetched twice") };
        assert_eq!(found, path);
        assert_eq!(fs::read(found).unwrap(), b"docker");
    }

    #[test]
    fn a_layer_is_made_once_and_a_failed_one_leaves_nothing() {
        let (_directory, store) = store();
        store.layer_or_make("tools", "1", |_| bail!("no")).unwrap_err();
        assert!(!store.layer("tools", "1").exists());
        for _ in 0..2 {
            let mut made = 0;
            let layer = store
                .layer_or_make("tools", "2", |path| {
                    made += 1;
                    Ok(fs::write(path.join("a"), "")?)
                })
                .unwrap();
            assert!(layer.join("a").exists());
            assert!(made <= 1);
        }
        let mut again = false;
        store
            .layer_or_make("tools", "2", |_| {
                again = true;
                Ok(())
            })
            .unwrap();
        assert!(!again);
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        // Nobody else can give one away.
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let refused =
            |path: &Path| Store::at(path).unwrap_err().to_string().replace(path.to_str().unwrap(), "[cache]");
        let (directory, _) = store();
        std::os::unix::fs::chown(directory.path().join("layers"), Some(1234), None).unwrap();
        let expected = "the cache directory `[cache]/layers` belongs to the user with the number 1234";
        assert_eq!(refused(directory.path()), expected);
        let volume = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(volume.path(), Some(65534), None).unwrap();
        assert_eq!(refused(volume.path()), "the cache directory `[cache]` belongs to another user");
        assert_eq!(fs::read_dir(volume.path()).unwrap().count(), 0);
    }

    #[test]
    fn scratch_files_of_a_dead_process_go_and_those_of_a_living_one_stay() {
        let (directory, store) = store();
        let living = store.temporary().unwrap();
        let dead = directory.path().join("temporary/1-0");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(".lock"), "").unwrap();
        fs::write(dead.join("half"), "written").unwrap();
        let second = Store::at(directory.path()).unwrap();
        assert!(!dead.exists());
        assert!(living.exists());
        let of_second = second.temporary().unwrap();
        drop(second);
        assert!(!of_second.exists());
    }
}
