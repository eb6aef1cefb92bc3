//! A root as it was between two rounds of its installation, kept for one that begins with the same packages.
//!
//! Files of packages are not kept: they are unpacked again, and moved to where they stood. A file is its package's for
//! as long as nothing has happened to it since it was put in place. Its `ctime` tells that, which nobody can set; where
//! the clock was set back, its time of modification does. Everything else is kept as it is, and what was made meanwhile
//! is as new as if it were made when it is brought back: later than every package.
//!
//! Deliberately absent: devices. A root that has some is not kept.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::{Placement, Placements};
use super::{Conffiles, Diversions, Root, Staged, UnpackError};
use crate::tarball;
use crate::tree::{Tree, TreePath};

/// What is no package's: an archive.
const CHANGED: &str = "changed.tar.zst";
/// What is: a line of when and how the packages were laid out, and one for each file, the staged file and the path.
const UNCHANGED: &str = "unchanged.zst";

/// What tells whether a file was changed since it was put in place.
#[derive(Debug)]
pub(super) struct Placed {
    staged: PathBuf,
    mtime: i64,
    /// A `ctime` that is later than the file's own was then.
    before: (i64, i64),
}

/// A call of [`Root::add`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Round {
    /// The names of the packages' staging directories, in the order in which they were laid out.
    packages: Vec<String>,
    diversions: Vec<u8>,
    conffiles: Conffiles,
}

impl Round {
    pub fn of(packages: &[Staged], diversions: &Diversions, conffiles: Conffiles) -> Self {
        let packages = packages.iter().map(|package| name(&package.directory)).collect();
        Self { packages, diversions: diversions.text().to_vec(), conffiles }
    }
}

/// The files among what was placed. A configuration file is dpkg's: it was or will be renamed.
pub(super) fn record(placed: &mut BTreeMap<Vec<u8>, Placed>, placements: Placements, before: (i64, i64)) {
    for (path, placement) in placements {
        match placement {
            Placement::File(staged, None, mtime) => {
                placed.insert(path, Placed { staged, mtime, before });
            }
            _ => drop(placed.remove(&path)),
        }
    }
}

/// A `ctime` of now, by the clock of a directory's file system.
pub(super) fn now(directory: &Path) -> Result<(i64, i64), UnpackError> {
    let path = directory.join("now");
    let metadata = File::create(&path).and_then(|file| file.metadata()).map_err(UnpackError::at(&path))?;
    Ok((metadata.ctime(), metadata.ctime_nsec()))
}

/// A root that was kept.
#[derive(Debug)]
pub struct Kept {
    begun: i64,
    rounds: Vec<Round>,
    /// Pairs of a staged file, as `DIRECTORY/NUMBER`, and where it stood.
    pub(super) unchanged: Vec<(String, TreePath)>,
    changed: PathBuf,
}

impl Kept {
    /// Opens what [`Root::keep`] wrote into a directory.
    ///
    /// # Errors
    /// It is damaged, or not there.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let mut text = Vec::new();
        zstd::Decoder::new(File::open(directory.join(UNCHANGED))?)?.read_to_end(&mut text)?;
        let mut lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let (begun, rounds) = serde_json::from_slice(lines.next().unwrap_or_default())?;
        let pair = |line: &[u8]| {
            let space = line.iter().position(|&byte| byte == b' ')?;
            let staged = String::from_utf8(line[..space].to_vec()).ok()?;
            Some((staged, TreePath::new(&line[space + 1..])))
        };
        let unchanged = lines.map(pair).collect::<Option<_>>().ok_or(io::ErrorKind::InvalidData)?;
        let changed = directory.join(CHANGED);
        // Its checksum is at its end: what is damaged is to be known before anything is made of it.
        io::copy(&mut zstd::Decoder::new(File::open(&changed)?)?, &mut io::sink())?;
        Ok(Self { begun, rounds, unchanged, changed })
    }
}

impl Root {
    /// Writes what there is now into an empty directory.
    ///
    /// # Errors
    /// A device in the root; what reading it or the disk says.
    pub fn keep(&self, directory: &Path) -> io::Result<()> {
        let mut tree = Tree::scan(&self.directory)?;
        let mut lines = zstd::Encoder::new(File::create(directory.join(UNCHANGED))?, 1)?;
        lines.include_checksum(true)?;
        serde_json::to_writer(&mut lines, &(self.begun.unwrap_or_default(), &self.rounds))?;
        lines.write_all(b"\n")?;
        for (path, staged) in self.unchanged(&tree) {
            let from = staged.parent().map(name).unwrap_or_default();
            lines.write_all(format!("{from}/{} ", name(staged)).as_bytes())?;
            lines.write_all(&path.to_bytes())?;
            lines.write_all(b"\n")?;
            tree.remove(&path);
        }
        lines.finish()?;
        tarball::write(&tree, File::create(directory.join(CHANGED))?)
    }

    /// The files that are their packages', with the staged file of each: all names of a file, or none.
    fn unchanged(&self, tree: &Tree) -> Vec<(TreePath, &Path)> {
        let mut names: BTreeMap<u64, Vec<(TreePath, &Path)>> = BTreeMap::new();
        let mut links = HashMap::new();
        for (path, placed) in &self.placed {
            let path = TreePath::new(path);
            let Ok(metadata) = path.below(&self.directory).symlink_metadata() else { continue };
            let is_as_placed = (metadata.ctime(), metadata.ctime_nsec()) < placed.before
                && (metadata.mtime(), metadata.mtime_nsec()) == (placed.mtime, 0);
            // Not through a link that a script has put above it.
            if is_as_placed && tree.contains(&path) {
                names.entry(metadata.ino()).or_default().push((path, &placed.staged));
                links.insert(metadata.ino(), metadata.nlink());
            }
        }
        names.retain(|inode, names| links.get(inode) == Some(&(names.len() as u64)));
        names.into_values().flatten().collect()
    }

    /// Makes of an empty root the one that was kept. `packages` are those that had been added to it, staged anew.
    ///
    /// # Errors
    /// The packages are others; what the disk says. The root is then half filled.
    pub fn bring_back(&mut self, kept: Kept, packages: Vec<Staged>) -> Result<(), UnpackError> {
        let root = self.directory.clone();
        let failed = |what: &'static str| UnpackError::at(&root)(io::Error::other(what));
        let directories: HashMap<String, PathBuf> =
            packages.iter().map(|package| (name(&package.directory), package.directory.clone())).collect();
        let clock = packages.first().map(|package| package.directory.clone());
        let clock = clock.ok_or_else(|| failed("no package is in what was kept"))?;
        let mut packages: HashMap<String, Staged> =
            packages.into_iter().map(|package| (name(&package.directory), package)).collect();
        let mut laid_out = BTreeMap::new();
        for Round { packages: names, diversions, conffiles } in &kept.rounds {
            let of_round: Option<Vec<Staged>> = names.iter().map(|name| packages.remove(name)).collect();
            let of_round = of_round.ok_or_else(|| failed("another package is in what was kept"))?;
            let placements = self.layout.add(of_round, &Diversions::parse(diversions), *conffiles)?;
            record(&mut laid_out, placements, (0, 0));
        }
        self.rounds = kept.rounds;
        let staged = |file: &str| {
            let (directory, number) = file.rsplit_once('/')?;
            Some(directories.get(directory)?.join(number))
        };
        let moved: Option<Vec<(TreePath, PathBuf)>> =
            kept.unchanged.into_iter().map(|(file, path)| Some((path, staged(&file)?))).collect();
        let moved = moved.ok_or_else(|| failed("a file of another package is in what was kept"))?;
        let changed = File::open(&kept.changed).map_err(UnpackError::at(&kept.changed))?;
        self.begun = Some(now(&clock)?.0);
        tarball::unpack_around(BufReader::new(changed), &root, &moved, kept.begun)
            .map_err(UnpackError::at(&root))?;
        let before = now(&clock)?;
        for (path, _) in moved {
            let path = path.to_bytes();
            let placed =
                laid_out.remove(&path).ok_or_else(|| failed("a file is not where packages put it"))?;
            self.placed.insert(path, Placed { before, ..placed });
        }
        Ok(())
    }
}

/// The last part of a path.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
