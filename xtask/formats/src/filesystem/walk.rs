//! From a path to a file, through symbolic links; and through all files.

use std::collections::VecDeque;

use super::{FileType, Filesystem, FilesystemError, Metadata, Source, reading};
use crate::tree::{Kind, Node};

/// How many links a path may lead through, as Linux has it.
pub(super) const MOST_LINKS: usize = 40;
/// How many directories deep a walk goes: half of the longest path.
const MOST_DEPTH: usize = 2048;
/// How many files a walk visits, of a file system that is long enough for them.
const MOST_FILES: u64 = 20_000_000;

/// Where a file is, in the file system's own terms.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// The number of an inode.
    Number(u64),
    /// A path without links.
    Path(Vec<u8>),
}

/// What is done with each file of a walk.
type Visit<'a> = dyn FnMut(&[u8], &Metadata, &Place) -> Result<(), Source> + 'a;

impl Filesystem {
    /// Walks a path; a link at its end is followed where `follow` says so.
    pub(super) fn find(&self, path: &str, follow: bool) -> Result<(Place, Metadata), FilesystemError> {
        let failed = reading(path);
        let root = self.root();
        let metadata = self.stat(&root).map_err(&failed)?;
        // The directories that were entered, each with its name.
        let mut entered: Vec<(Vec<u8>, Place, Metadata)> = vec![(Vec::new(), root, metadata)];
        let mut ahead: VecDeque<Vec<u8>> = components(path.as_bytes()).collect();
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            if name == b".." {
                if entered.len() > 1 {
                    entered.pop();
                }
                continue;
            }
            let Some((_, place, here)) = entered.last() else { break };
            let missing = || {
                let names: Vec<&[u8]> = entered.iter().map(|(name, ..)| &name[..]).collect();
                let (nearest, rest) = (names.join(&b"/"[..]), ahead.iter().map(Vec::as_slice));
                let place: Vec<&[u8]> = [&nearest[..], &name].into_iter().chain(rest).collect();
                let shown = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
                FilesystemError::Missing {
                    path: path.into(),
                    place: (links > 0).then(|| shown(&place.join(&b"/"[..]))),
                    nearest: if nearest.is_empty() { "/".to_owned() } else { shown(&nearest) },
                    kind: here.kind,
                }
            };
            if here.kind != FileType::Directory {
                return Err(missing());
            }
            let (_, child) = self
                .entries(place)
                .map_err(&failed)?
                .into_iter()
                .find(|(entry, _)| self.same_name(entry, &name))
                .ok_or_else(missing)?;
            let metadata = self.stat(&child).map_err(&failed)?;
            if metadata.kind == FileType::Symlink && (follow || !ahead.is_empty()) {
                links += 1;
                if links > MOST_LINKS {
                    return Err(FilesystemError::Loop { path: path.into() });
                }
                let target = self.content(&child).map_err(&failed)?;
                if target.first() == Some(&b'/') {
                    entered.truncate(1);
                }
                for name in components(&target).collect::<Vec<_>>().into_iter().rev() {
                    ahead.push_front(name);
                }
                continue;
            }
            entered.push((name, child, metadata));
        }
        match entered.pop() {
            Some((_, place, metadata)) => Ok((place, metadata)),
            // The root is never popped above.
            None => Err(FilesystemError::Loop { path: path.into() }),
        }
    }

    /// Visits every file, a directory before what is in it.
    pub(super) fn walk_with(&self, visit: &mut Visit<'_>) -> Result<(), FilesystemError> {
        let root = self.root();
        let metadata = self.stat(&root).map_err(reading("/"))?;
        visit(b"", &metadata, &root).map_err(reading("/"))?;
        let mut ahead = vec![(Vec::new(), root, 0_usize)];
        // Every file has a name of its own somewhere, or directories that lie in many
        // places would be walked until the end of days.
        let most = MOST_FILES.min(self.len);
        let mut visited = 0_u64;
        while let Some((path, place, depth)) = ahead.pop() {
            let shown = || format!("/{}", String::from_utf8_lossy(&path));
            let failed = |source| FilesystemError::Read { path: shown(), source };
            if depth > MOST_DEPTH || path.len() > 2 * MOST_DEPTH {
                return Err(FilesystemError::Deep { path: shown() });
            }
            let mut entries = self.entries(&place).map_err(failed)?;
            entries.sort_by(|one, other| one.0.cmp(&other.0));
            visited += entries.len() as u64;
            if visited > most {
                return Err(FilesystemError::Many { path: shown(), most });
            }
            for (name, place) in entries {
                let below = if path.is_empty() { name } else { [&path[..], b"/", &name].concat() };
                let metadata = self.stat(&place).map_err(failed)?;
                visit(&below, &metadata, &place).map_err(failed)?;
                if metadata.kind == FileType::Directory {
                    ahead.push((below, place, depth + 1));
                }
            }
        }
        Ok(())
    }

    /// FAT does not tell capitals from small letters.
    fn same_name(&self, one: &[u8], other: &[u8]) -> bool {
        let folds = matches!(self.format, super::Format::Fat(_));
        one == other || folds && one.eq_ignore_ascii_case(other)
    }
}

/// The names of a path, without those that lead nowhere.
fn components(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".").map(<[u8]>::to_vec)
}

impl Metadata {
    /// A node of a tree with this content or target. Devices have no numbers here.
    pub(super) fn node(&self, content: Vec<u8>) -> Node {
        let kind = match self.kind {
            FileType::Regular => Kind::File(content.into()),
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink(content),
            FileType::CharDevice => Kind::CharDevice(0, 0),
            FileType::BlockDevice => Kind::BlockDevice(0, 0),
            FileType::Fifo | FileType::Socket => Kind::Fifo,
        };
        let Self { mode, uid, gid, mtime, .. } = *self;
        Node { kind, mode, uid, gid, mtime, xattrs: std::collections::BTreeMap::new() }
    }
}
