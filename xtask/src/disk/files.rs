//! The files on a partition, by their paths.

use anyhow::{Context as _, Result};
use bedplate_formats::filesystem::{Filesystem, FilesystemError, Metadata};
use bedplate_formats::region::Region;
use bedplate_formats::tree::Tree;

/// The files on a partition. Paths begin at its root, with or without a slash;
/// links are followed inside of it. FAT does not tell capitals from small letters.
#[derive(Debug)]
pub struct Files {
    /// Which partition of which disk.
    what: String,
    filesystem: Filesystem,
}

impl Files {
    pub(super) fn open(what: String, region: &Region) -> Result<Self> {
        let filesystem = Filesystem::open(region).with_context(|| format!("reading {what}"))?;
        Ok(Self { what, filesystem })
    }

    /// Which partition of which disk they are on, in a sentence.
    pub(super) fn what(&self) -> &str {
        &self.what
    }

    /// The file system itself.
    pub(crate) fn into_filesystem(self) -> Filesystem {
        self.filesystem
    }

    /// The type of the file system: `erofs`, `squashfs`, `ext4` or `vfat`.
    pub fn filesystem(&self) -> &'static str {
        self.filesystem.name()
    }

    /// All of a file.
    ///
    /// # Errors
    /// There is no file; says how much of the path there is.
    pub fn file(&self, path: &str) -> Result<Vec<u8>> {
        self.filesystem.file(path).with_context(|| format!("reading a file on {}", self.what))
    }

    /// The same, where there is one: neither nothing, nor a link to nowhere.
    pub(super) fn file_if_there(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match self.filesystem.file(path) {
            Ok(content) => Ok(Some(content)),
            Err(FilesystemError::Missing { .. }) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading a file on {}", self.what)),
        }
    }

    /// The same as text.
    ///
    /// # Errors
    /// There is no file, or it is no UTF-8.
    pub fn text(&self, path: &str) -> Result<String> {
        self.filesystem.text(path).with_context(|| format!("reading a file on {}", self.what))
    }

    /// The names in a directory, sorted by their bytes.
    ///
    /// # Errors
    /// There is no directory.
    pub fn read_dir(&self, path: &str) -> Result<Vec<String>> {
        self.filesystem.read_dir(path).with_context(|| format!("reading a directory on {}", self.what))
    }

    /// What a file is, whose, and how large; of a link, what it leads to.
    ///
    /// # Errors
    /// There is nothing at the path.
    pub fn metadata(&self, path: &str) -> Result<Metadata> {
        self.filesystem.metadata(path).with_context(|| format!("looking for a file on {}", self.what))
    }

    /// The same, of a link itself.
    ///
    /// # Errors
    /// There is nothing at the path.
    pub fn symlink_metadata(&self, path: &str) -> Result<Metadata> {
        self.filesystem.symlink_metadata(path).with_context(|| format!("looking for a file on {}", self.what))
    }

    /// The target of a symbolic link, as it is written.
    ///
    /// # Errors
    /// There is no link at the path.
    pub fn read_link(&self, path: &str) -> Result<String> {
        self.filesystem.read_link(path).with_context(|| format!("looking for a link on {}", self.what))
    }

    /// Whether there is something at a path, a link that leads nowhere included.
    ///
    /// # Errors
    /// The file system is damaged on the way there.
    pub fn exists(&self, path: &str) -> Result<bool> {
        self.filesystem.exists(path).with_context(|| format!("looking for a file on {}", self.what))
    }

    /// Every path with what is known of it, directories before what is in them,
    /// without following links.
    ///
    /// # Errors
    /// The file system is damaged.
    pub fn walk(&self) -> Result<Vec<(String, Metadata)>> {
        let found = self.filesystem.walk().with_context(|| format!("reading {}", self.what))?;
        let shown = |path: Vec<u8>| format!("/{}", String::from_utf8_lossy(&path));
        Ok(found.into_iter().map(|(path, metadata)| (shown(path), metadata)).collect())
    }

    /// All of them in memory.
    ///
    /// # Errors
    /// The file system is damaged.
    pub fn tree(&self) -> Result<Tree> {
        self.filesystem.tree().with_context(|| format!("reading {}", self.what))
    }
}
