//! What stands where once every package is in place: decided in memory, package
//! by package, by dpkg's rules (`tarobject` in its `archives.c`).
//!
//! A path is *listed* as its package spells it and *placed* where the links
//! above it lead: `/lib/x` at `usr/lib/x`. Two packages meet in a placed path;
//! dpkg compares listed ones and lets the last win unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::stage::StagedEntry;
use super::{Conffiles, Diversions, Filter, Staged, UnpackError, relations};
use crate::deb::{Control, Entry, EntryKind};

/// How many links a path may go through, as in Linux.
const MAX_LINKS: usize = 40;

/// The packages of a root and what stands in it.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Every package added, in the order of adding.
    pub packages: Vec<Listed>,
    /// By placed path, which is relative and goes through no link.
    nodes: BTreeMap<Vec<u8>, Standing>,
    /// What is left out.
    pub filter: Filter,
    /// Listed directories met before, and where they lead: most entries share
    /// theirs with the one before.
    above: Option<(Vec<u8>, Vec<u8>)>,
}

/// A package with what it owns.
#[derive(Debug)]
pub(super) struct Listed {
    pub control: Control,
    /// Listed paths in the order of the package; `None` is what was taken over.
    pub paths: Vec<Option<Vec<u8>>>,
    /// The conffiles as absolute paths, with dpkg's flag for them, if any.
    pub conffiles: Vec<(String, Option<String>)>,
}

#[derive(Debug)]
struct Standing {
    kind: Stands,
    /// Which package put it there, and which of its paths it is; `None` for
    /// directories that no package lists.
    owner: Option<(usize, usize)>,
}

#[derive(Debug)]
enum Stands {
    Directory,
    Symlink(Vec<u8>),
    /// With the staged file, to compare what two architectures share.
    File(PathBuf),
}

/// What to make on the disk.
#[derive(Debug)]
pub(super) enum Placement {
    Directory(Entry),
    Symlink(Entry, Vec<u8>),
    /// A staged file to be moved, whether it is a conffile, and its time.
    File(PathBuf, Option<Conffiles>, i64),
}

/// What to make, by placed path: directories before what is in them.
pub(super) type Placements = BTreeMap<Vec<u8>, Placement>;

impl Layout {
    /// Lays packages out in the order given, upon what stands already.
    pub fn add(
        &mut self,
        packages: Vec<Staged>,
        diversions: &Diversions,
        conffiles: Conffiles,
    ) -> Result<Placements, UnpackError> {
        let mut placements = Placements::new();
        let mut names: BTreeSet<(String, String)> =
            self.packages.iter().map(|p| name_and_architecture(&p.control)).collect();
        for package in packages {
            let name = name_and_architecture(&package.control);
            if !names.insert(name.clone()) {
                return Err(UnpackError::Twice { package: format!("{}:{}", name.0, name.1) });
            }
            let index = self.packages.len();
            let listed = conffiles_of(&package.control);
            let are_conffiles: BTreeSet<Vec<u8>> =
                listed.iter().map(|(path, _)| path.trim_start_matches('/').as_bytes().to_vec()).collect();
            self.packages.push(Listed { control: package.control, paths: Vec::new(), conffiles: listed });
            for StagedEntry { entry, file } in package.entries {
                let placement = match (&entry.kind, file) {
                    (EntryKind::Symlink(target), _) => {
                        let target = target.clone();
                        Placement::Symlink(entry.clone(), target)
                    }
                    (_, Some(file)) => {
                        let conffile = are_conffiles.contains(&entry.path).then_some(conffiles);
                        Placement::File(package.directory.join(file), conffile, entry.mtime)
                    }
                    _ => Placement::Directory(entry.clone()),
                };
                self.entry(index, entry.path, placement, diversions, &mut placements)?;
            }
        }
        Ok(placements)
    }

    fn entry(
        &mut self,
        index: usize,
        path: Vec<u8>,
        placement: Placement,
        diversions: &Diversions,
        placements: &mut Placements,
    ) -> Result<(), UnpackError> {
        if self.filter.leaves_out(&path, !matches!(placement, Placement::File(..))) {
            self.packages[index].paths.push(Some(path));
            return Ok(());
        }
        let package = self.packages[index].control.package();
        let used = match &placement {
            // dpkg diverts files and links only.
            Placement::Directory(_) => None,
            _ => diversions.of(&path, package),
        };
        let at = self.place(index, used.unwrap_or(&path), placements)?;
        let listed = self.packages[index].paths.len();
        let standing = self.nodes.get(&at);
        let there_already = match (&placement, standing.map(|s| &s.kind)) {
            (_, None) => false,
            (Placement::Directory(_) | Placement::Symlink(..), Some(Stands::Directory)) => true,
            // A directory may be listed through a link to it.
            (Placement::Directory(_), Some(Stands::Symlink(_))) => {
                let target = self.follow(&at).map_err(|e| self.explain(index, &path, e))?;
                matches!(self.nodes.get(&target).map(|s| &s.kind), Some(Stands::Directory))
            }
            (Placement::Symlink(_, new), Some(Stands::Symlink(old))) => {
                new == old && self.leads_to_directory(&at)
            }
            _ => false,
        };
        if !there_already {
            if let Some(Standing { owner: Some((other, theirs)), kind }) = standing
                && *other != index
            {
                let (other, theirs) = (*other, *theirs);
                match self.settle(index, other, &placement, kind, &path)? {
                    Settled::Ours => self.packages[other].paths[theirs] = None,
                    Settled::Theirs => return Ok(()),
                    Settled::Shared => {
                        self.packages[index].paths.push(Some(path));
                        return Ok(());
                    }
                }
            }
            let kind = match &placement {
                Placement::Directory(_) => Stands::Directory,
                Placement::Symlink(_, target) => Stands::Symlink(target.clone()),
                Placement::File(staged, ..) => Stands::File(staged.clone()),
            };
            self.above = None;
            self.nodes.insert(at.clone(), Standing { kind, owner: Some((index, listed)) });
            placements.insert(at, placement);
        }
        self.packages[index].paths.push(Some(path));
        Ok(())
    }

    /// Which of two packages has a path that both want.
    fn settle(
        &self,
        index: usize,
        other: usize,
        placement: &Placement,
        standing: &Stands,
        path: &[u8],
    ) -> Result<Settled, UnpackError> {
        let (ours, theirs) = (&self.packages[index].control, &self.packages[other].control);
        let same = |c: &Control| c.field("Multi-Arch") == "same";
        if ours.package() == theirs.package() && same(ours) && same(theirs) {
            let equal = match (placement, standing) {
                (Placement::File(a, ..), Stands::File(b)) => equal(a, b).map_err(UnpackError::at(a))?,
                (Placement::Symlink(_, a), Stands::Symlink(b)) => a == b,
                _ => false,
            };
            if equal {
                return Ok(Settled::Shared);
            }
        } else if relations::replaces(ours, theirs) && !matches!(standing, Stands::Directory) {
            return Ok(Settled::Ours);
        } else if relations::replaces(theirs, ours) {
            return Ok(Settled::Theirs);
        }
        Err(UnpackError::Conflict {
            first: theirs.package().to_owned(),
            second: ours.package().to_owned(),
            path: shown(path),
        })
    }

    /// Where a listed path is placed: through the links above it, not its own.
    /// Directories above it that nothing lists are made.
    fn place(
        &mut self,
        index: usize,
        path: &[u8],
        placements: &mut Placements,
    ) -> Result<Vec<u8>, UnpackError> {
        let Some(slash) = path.iter().rposition(|&b| b == b'/') else { return Ok(path.to_vec()) };
        let (above, name) = (&path[..slash], &path[slash + 1..]);
        if self.above.as_ref().is_none_or(|(known, _)| known != above) {
            let placed = self.follow(above).map_err(|e| self.explain(index, path, e))?;
            self.make_directories(&placed, placements).map_err(|e| self.explain(index, path, e))?;
            self.above = Some((above.to_vec(), placed));
        }
        let (_, placed) =
            self.above.as_ref().ok_or_else(|| self.explain(index, path, Lost::Above(above.to_vec())))?;
        Ok(joined(placed, name))
    }

    fn make_directories(&mut self, placed: &[u8], placements: &mut Placements) -> Result<(), Lost> {
        let ends = placed.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(i, _)| i);
        for end in ends.chain([placed.len()]) {
            let directory = &placed[..end];
            match self.nodes.get(directory).map(|s| &s.kind) {
                Some(Stands::Directory) => {}
                Some(_) => return Err(Lost::Above(directory.to_vec())),
                None if directory.is_empty() => {}
                None => {
                    let standing = Standing { kind: Stands::Directory, owner: None };
                    self.nodes.insert(directory.to_vec(), standing);
                    let entry = Entry {
                        path: directory.to_vec(),
                        kind: EntryKind::Directory,
                        mode: 0o755,
                        uid: 0,
                        gid: 0,
                        mtime: 0,
                        xattrs: BTreeMap::new(),
                    };
                    placements.insert(directory.to_vec(), Placement::Directory(entry));
                }
            }
        }
        Ok(())
    }

    fn leads_to_directory(&self, at: &[u8]) -> bool {
        let target = self.follow(at).ok().and_then(|target| self.nodes.get(&target));
        target.is_some_and(|s| matches!(s.kind, Stands::Directory))
    }

    /// Follows every link of a path, its last component's too. What is not
    /// there is no link.
    fn follow(&self, path: &[u8]) -> Result<Vec<u8>, Lost> {
        let mut pending: Vec<&[u8]> = path.split(|&b| b == b'/').rev().collect();
        let mut at: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(name) = pending.pop() {
            match name {
                b"" | b"." => continue,
                b".." => {
                    if at.is_empty() {
                        return Err(Lost::Climbed);
                    }
                    at.truncate(at.iter().rposition(|&b| b == b'/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let next = joined(&at, name);
            let Some(Standing { kind: Stands::Symlink(target), .. }) = self.nodes.get(&next) else {
                at = next;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(Lost::Above(next));
            }
            if target.starts_with(b"/") {
                at.clear();
            }
            pending.extend(target.split(|&b| b == b'/').rev());
        }
        Ok(at)
    }

    fn explain(&self, index: usize, path: &[u8], lost: Lost) -> UnpackError {
        let package = self.packages[index].control.package().to_owned();
        let path = shown(path);
        match lost {
            Lost::Climbed => UnpackError::ClimbsOut { package, path },
            Lost::Above(above) => UnpackError::NotADirectory { package, path, above: shown(&above) },
        }
    }
}

/// Why a path leads nowhere.
enum Lost {
    /// It climbs above the root.
    Climbed,
    /// This part of it is no directory, or one link too many.
    Above(Vec<u8>),
}

/// Who has a contested path.
enum Settled {
    Ours,
    Theirs,
    Shared,
}

fn name_and_architecture(control: &Control) -> (String, String) {
    (control.package().to_owned(), control.architecture().to_owned())
}

/// The lines of the `conffiles` file: `[flag ]/path`.
fn conffiles_of(control: &Control) -> Vec<(String, Option<String>)> {
    let Some(file) = control.file("conffiles") else { return Vec::new() };
    let text = String::from_utf8_lossy(&file.bytes);
    let lines = text.lines().map(str::trim_end).filter(|l| !l.is_empty());
    lines
        .map(|line| match line.split_once(' ') {
            Some((flag, path)) if !line.starts_with('/') => (path.trim().to_owned(), Some(flag.to_owned())),
            _ => (line.to_owned(), None),
        })
        .collect()
}

fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

fn shown(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

/// Whether two files hold the same. What was moved away since is not equal.
fn equal(a: &Path, b: &Path) -> io::Result<bool> {
    let Ok(other) = File::open(b) else { return Ok(false) };
    let (mut a, mut b) = (BufReader::new(File::open(a)?).bytes(), BufReader::new(other).bytes());
    loop {
        match (a.next().transpose()?, b.next().transpose()?) {
            (None, None) => return Ok(true),
            (a, b) if a != b => return Ok(false),
            _ => {}
        }
    }
}
