//! Which files differ: by what is known of them, and by their content where that says nothing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use bedplate_formats::filesystem::{FileType, Metadata};
use rayon::prelude::*;
use serde::Serialize;

use super::content::Content;
use super::holder::Holder;

/// The largest file whose content is described, in bytes: both are in memory for it.
const MOST_DESCRIBED: u64 = 64 << 20;

/// How the files of a file system, or of an initrd, differ.
#[derive(Debug, Clone, Serialize)]
pub struct FilesDifference {
    /// Whose files: `root`, `esp`, `initrd`, or the label of a partition.
    pub of: String,
    /// The bytes of all files, before.
    pub size_before: u64,
    /// The bytes of all files, after.
    pub size_after: u64,
    /// Each file that was added, removed or changed.
    pub files: Vec<FileDifference>,
    /// How many files have another time of modification, and nothing else.
    pub other_times: usize,
}

/// How a file differs.
#[derive(Debug, Clone, Serialize)]
pub struct FileDifference {
    /// Its path.
    pub path: String,
    /// The package that brings it.
    pub package: Option<String>,
    /// Whether that package is another one, too.
    pub explained: bool,
    /// What it was; none when it is new.
    pub before: Option<FileFacts>,
    /// What it is; none when it is gone.
    pub after: Option<FileFacts>,
    /// Whether the contents of two files, or the targets of two links, differ.
    pub other_content: bool,
    /// How they differ, where both are files that are not too large and that everybody may read.
    pub content: Option<Content>,
}

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileFacts {
    /// `file`, `directory`, `link`, `device`, `pipe` or `socket`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Permissions, in octal.
    pub mode: String,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The size of a file in bytes; 0 of what has none.
    pub size: u64,
    /// The target of a link.
    pub target: Option<String>,
}

impl FileFacts {
    fn of(holder: &Holder, path: &[u8], metadata: &Metadata) -> Result<Self> {
        let target = (metadata.kind == FileType::Symlink).then(|| holder.content(path)).transpose()?;
        Ok(Self {
            kind: kind(metadata.kind),
            mode: format!("{:04o}", metadata.mode),
            uid: metadata.uid,
            gid: metadata.gid,
            size: if metadata.kind == FileType::Regular { metadata.size } else { 0 },
            target: target.map(|target| String::from_utf8_lossy(&target).into_owned()),
        })
    }
}

fn kind(kind: FileType) -> &'static str {
    match kind {
        FileType::Regular => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "link",
        FileType::CharDevice | FileType::BlockDevice => "device",
        FileType::Fifo => "pipe",
        FileType::Socket => "socket",
    }
}

/// Which package brings a file, before and after.
pub struct Owners<'a> {
    /// By path, before.
    pub before: &'a BTreeMap<Vec<u8>, String>,
    /// By path, after.
    pub after: &'a BTreeMap<Vec<u8>, String>,
    /// The packages that are others themselves.
    pub changed: &'a BTreeSet<String>,
    /// Whether the contents of their files are described, too.
    pub all: bool,
}

impl Owners<'_> {
    fn of(&self, path: &[u8]) -> Option<&String> {
        self.after.get(path).or_else(|| self.before.get(path))
    }
}

impl FilesDifference {
    /// Compares all files, on all cores. Contents are read where the file is not stored in the same bytes.
    ///
    /// # Errors
    /// One of them is damaged.
    pub fn of(of: &str, before: &Holder, after: &Holder, owners: &Owners<'_>) -> Result<Self> {
        let mut paths: BTreeSet<&[u8]> = after.paths().collect();
        paths.extend(before.paths());
        // What is not known of one side is no difference.
        paths.retain(|path| {
            (before.complete || before.metadata(path).is_some())
                && (after.complete || after.metadata(path).is_some())
        });
        let paths: Vec<&[u8]> = paths.into_iter().collect();
        let compared = paths.par_iter().map(|path| file(path, before, after, owners));
        let compared = compared.collect::<Result<Vec<Compared>>>()?;
        let mut found = Self {
            of: of.to_owned(),
            size_before: total(before),
            size_after: total(after),
            files: Vec::new(),
            other_times: 0,
        };
        for one in compared {
            match one {
                Compared::Same => {}
                Compared::OtherTime => found.other_times += 1,
                Compared::Differs(difference) => found.files.push(*difference),
            }
        }
        Ok(found)
    }
}

/// The bytes of all regular files.
fn total(holder: &Holder) -> u64 {
    let files = holder.paths().filter_map(|path| holder.metadata(path));
    files.filter(|file| file.kind == FileType::Regular).map(|file| file.size).sum()
}

enum Compared {
    Same,
    OtherTime,
    Differs(Box<FileDifference>),
}

fn file(path: &[u8], before: &Holder, after: &Holder, owners: &Owners<'_>) -> Result<Compared> {
    let (old, new) = (before.metadata(path), after.metadata(path));
    let mut other_content = false;
    if let (Some(old), Some(new)) = (old, new) {
        other_content = match (old.kind, new.kind) {
            (FileType::Regular, FileType::Regular) if old.size != new.size => true,
            (FileType::Regular, FileType::Regular) | (FileType::Symlink, FileType::Symlink) => {
                !before.same_content(after, path)?
            }
            _ => false,
        };
        let whose = |file: &Metadata| (file.kind, file.mode, file.uid, file.gid);
        // A link has no permissions of its own, and an archive may give it any.
        let alike = whose(old) == whose(new)
            || old.kind == FileType::Symlink
                && new.kind == FileType::Symlink
                && (old.uid, old.gid) == (new.uid, new.gid);
        if alike && !other_content {
            let time = old.mtime != new.mtime && before.complete && after.complete;
            return Ok(if time { Compared::OtherTime } else { Compared::Same });
        }
    }
    let package = owners.of(path).cloned();
    let explained = package.as_ref().is_some_and(|package| owners.changed.contains(package));
    // What not everybody may read on the device is in no comment on a pull request.
    let told = |file: Option<&Metadata>| {
        file.is_some_and(|file| {
            file.kind == FileType::Regular && file.size <= MOST_DESCRIBED && file.mode & 0o004 != 0
        })
    };
    let content = match other_content && (owners.all || !explained) && told(old) && told(new) {
        true => Some(Content::of(&before.content(path)?, &after.content(path)?)),
        false => None,
    };
    let facts = |holder: &Holder, file: Option<&Metadata>| {
        file.map(|file| FileFacts::of(holder, path, file)).transpose()
    };
    Ok(Compared::Differs(Box::new(FileDifference {
        path: format!("/{}", String::from_utf8_lossy(path)),
        package,
        explained,
        before: facts(before, old)?,
        after: facts(after, new)?,
        other_content,
        content,
    })))
}
