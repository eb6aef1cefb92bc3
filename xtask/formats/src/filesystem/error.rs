//! Why something on a file system is not told.

use std::io;

use super::{FileType, Source};

/// What went wrong, with the path that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum FilesystemError {
    /// The region has no magic number of a file system that is known.
    #[error("no file system that can be read: neither erofs, squashfs, ext4 nor vfat")]
    Unknown,
    /// The region cannot be read.
    #[error("reading the file system failed")]
    Io(#[source] io::Error),
    /// The file system cannot be opened.
    #[error("the {name} file system cannot be read")]
    Open {
        /// Its type.
        name: &'static str,
        /// Why.
        source: Source,
    },
    /// There is nothing at the path.
    #[error("there is no `{path}`{}; what there is of it is `{nearest}`, {kind}", leads(place.as_deref()))]
    Missing {
        /// The path as it was asked for.
        path: String,
        /// Where links on it lead to.
        place: Option<String>,
        /// The part of it that there is, without links.
        nearest: String,
        /// What that is.
        kind: FileType,
    },
    /// There is something else at the path.
    #[error("`{path}` is {kind} and not {asked}")]
    IsA {
        /// The path as it was asked for.
        path: String,
        /// What it is.
        kind: FileType,
        /// What was asked for.
        asked: &'static str,
    },
    /// Links lead to each other.
    #[error("`{path}` leads through more than {} symbolic links", super::walk::MOST_LINKS)]
    Loop {
        /// The path as it was asked for.
        path: String,
    },
    /// A directory lies in itself, or deeper than any path can be long.
    #[error("`{path}` lies deeper than a path can be")]
    Deep {
        /// Where.
        path: String,
    },
    /// There are more names than can be.
    #[error("up to `{path}` there are more than `{most}` names, and the file system has no room for them")]
    Many {
        /// Where the last of them are.
        path: String,
        /// How many can be.
        most: u64,
    },
    /// Reading failed on the way there, or there.
    #[error("reading `{path}` failed")]
    Read {
        /// The path as it was asked for.
        path: String,
        /// Why.
        source: Source,
    },
}

fn leads(place: Option<&str>) -> String {
    place.map(|place| format!(", which leads to `{place}`")).unwrap_or_default()
}
