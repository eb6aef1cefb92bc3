//! The content of a file of a tree, read at offsets.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::WriteError;
use crate::tree::{Content, TreePath};

/// An open content.
pub(super) struct Source<'a> {
    path: &'a TreePath,
    len: u64,
    from: From<'a>,
}

enum From<'a> {
    Bytes(&'a [u8]),
    File(File, &'a Path, Metadata),
}

impl<'a> Source<'a> {
    /// Opens the content of the file at a path.
    ///
    /// # Errors
    /// Fails when the host's file cannot be opened, or has another length than the tree says.
    pub(super) fn open(path: &'a TreePath, content: &'a Content) -> Result<Self, WriteError> {
        let len = content.len();
        let from = match content {
            Content::Bytes(bytes) => From::Bytes(bytes),
            Content::File { path: host, .. } => {
                let unread = |source| WriteError::Content { path: path.clone(), source };
                let file = File::open(host).map_err(unread)?;
                let metadata = file.metadata().map_err(unread)?;
                if metadata.len() != len {
                    return Err(WriteError::Changed { path: path.clone(), len });
                }
                From::File(file, host, metadata)
            }
        };
        Ok(Self { path, len, from })
    }

    /// The host's file, where it is one.
    pub(super) fn host(&self) -> Option<(&Path, &Metadata)> {
        match &self.from {
            From::Bytes(_) => None,
            From::File(_, path, metadata) => Some((path, metadata)),
        }
    }

    /// Fills a buffer from an offset on.
    ///
    /// # Errors
    /// Fails when the content ends before, or reading does.
    pub(super) fn read_at(&self, at: u64, into: &mut [u8]) -> Result<(), WriteError> {
        let changed = || WriteError::Changed { path: self.path.clone(), len: self.len };
        match &self.from {
            From::Bytes(bytes) => {
                let start = usize::try_from(at).map_err(|_| changed())?;
                let end = start.saturating_add(into.len());
                into.copy_from_slice(bytes.get(start..end).ok_or_else(changed)?);
                Ok(())
            }
            From::File(file, ..) => file.read_exact_at(into, at).map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => changed(),
                _ => WriteError::Content { path: self.path.clone(), source },
            }),
        }
    }

    /// Reads a range into memory.
    ///
    /// # Errors
    /// Fails as [`read_at`](Self::read_at) does.
    pub(super) fn read(&self, at: u64, length: usize) -> Result<Vec<u8>, WriteError> {
        let mut bytes = vec![0; length];
        self.read_at(at, &mut bytes)?;
        Ok(bytes)
    }
}
