//! Why a tree cannot be written as an EROFS.

use std::io;

use crate::tree::TreePath;

/// Why a tree cannot be written as an EROFS.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Something that the format has no room for.
    #[error("`{path}` cannot be written to an EROFS: {why}")]
    Path {
        /// Which one.
        path: TreePath,
        /// Why.
        why: &'static str,
    },
    /// An extended attribute that the format has no room for.
    #[error("the extended attribute `{name}` of `{path}` cannot be written to an EROFS: {why}")]
    Attribute {
        /// Whose.
        path: TreePath,
        /// Its full name.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// A file changed while it was read.
    #[error("`{path}` has not `{len}` bytes any more: it changed during the build")]
    Changed {
        /// Which one.
        path: TreePath,
        /// The length it had when the tree was made, in bytes.
        len: u64,
    },
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Content {
        /// Which one.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be compressed.
    #[error("cannot compress `{path}`")]
    Compress {
        /// Which one.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
    /// The cache of compressed files cannot be used.
    #[error("cannot use the cache of compressed files")]
    Cache(#[source] io::Error),
    /// The file system cannot be written.
    #[error("cannot write the EROFS file system")]
    Io(#[from] io::Error),
    /// Block addresses have 32 bits.
    #[error("too much for an EROFS file system of 4 KiB blocks: it has more than 16 TiB")]
    Size,
}
