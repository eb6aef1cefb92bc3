//! File systems, as types: what one cannot do is not there to be called.

use std::fmt;

use serde::Serialize;

use super::compression::Compression;

/// A read-only file system made for whole images; compressed, fast to mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erofs;

/// A read-only file system that compresses best and reads slowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Squashfs;

/// The writable file system of Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ext4;

/// A file system by name, in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Filesystem {
    /// Read-only, compressed, fast to mount: [`Erofs`].
    Erofs,
    /// Read-only, compressed best, slowest to read: [`Squashfs`].
    Squashfs,
    /// Written to: [`Ext4`].
    Ext4,
}

impl Filesystem {
    /// The name as the kernel and `mount -t` know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Filesystem::Erofs => "erofs",
            Filesystem::Squashfs => "squashfs",
            Filesystem::Ext4 => "ext4",
        }
    }

    /// True when it is never written after it was made.
    #[must_use]
    pub fn is_read_only(self) -> bool {
        matches!(self, Filesystem::Erofs | Filesystem::Squashfs)
    }
}

impl fmt::Display for Filesystem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// A file system an operating system can live on.
pub trait RootFilesystem {
    /// Its name.
    const FILESYSTEM: Filesystem;
    /// How it compresses when the description does not say.
    const COMPRESSION: Compression;
}

/// A file system that is never written once it was made.
#[diagnostic::on_unimplemented(
    message = "a root with verity is read-only, and `{Self}` is written when it is mounted",
    label = "verity needs `Erofs` or `Squashfs`",
    note = "ext4 replays its journal and updates its superblock, and each write would break the hash tree"
)]
pub trait ReadOnly: RootFilesystem {}

/// A file system a device can keep its data on.
#[diagnostic::on_unimplemented(
    message = "a data partition is written to, and `{Self}` is read-only",
    label = "use `Ext4`"
)]
pub trait DataFilesystem {
    /// Its name.
    const FILESYSTEM: Filesystem;
}

impl RootFilesystem for Erofs {
    const FILESYSTEM: Filesystem = Filesystem::Erofs;
    const COMPRESSION: Compression = Compression::Lz4hc;
}

impl RootFilesystem for Squashfs {
    const FILESYSTEM: Filesystem = Filesystem::Squashfs;
    const COMPRESSION: Compression = Compression::Zstd;
}

impl RootFilesystem for Ext4 {
    const FILESYSTEM: Filesystem = Filesystem::Ext4;
    const COMPRESSION: Compression = Compression::None;
}

impl ReadOnly for Erofs {}
impl ReadOnly for Squashfs {}

impl DataFilesystem for Ext4 {
    const FILESYSTEM: Filesystem = Filesystem::Ext4;
}
