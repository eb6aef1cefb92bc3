//! Files of an image by their paths, whichever file system they lie on: EROFS,
//! Squashfs, ext4 and FAT32, read without mounting, without root, and changed by
//! nobody.
//!
//! A path is walked as a kernel would with the image as its root: symbolic links
//! are followed, absolute ones from the image's own root, and `..` never leads
//! out of it.
//!
//! ```no_run
//! use bedplate_formats::{filesystem::Filesystem, region::Region};
//!
//! let root = Filesystem::open(&Region::of(std::fs::File::open("root.raw")?)?)?;
//! println!("{} on {}", root.text("/etc/hostname")?, root.name());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! EROFS and Squashfs are read by our own readers, ext4 through the `ext4-view`
//! crate, FAT32 by [`crate::vfat`].

use std::io;

use crate::erofs::Erofs;
pub use crate::metadata::{FileType, Metadata};
use crate::region::Region;
use crate::squashfs::Squashfs;
use crate::tree::Tree;

use self::walk::Place;

pub use self::error::FilesystemError;
pub use self::found::{Found, same_content};

mod error;
mod ext4;
mod fat;
mod found;
#[cfg(test)]
mod tests;
mod walk;

/// The most content that a tree takes into memory, in bytes.
const MOST_TREE: u64 = 16 << 30;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A file system, open for reading.
#[derive(Debug)]
pub struct Filesystem {
    format: Format,
    /// How long it is, in bytes.
    len: u64,
}

#[derive(Debug)]
enum Format {
    Erofs(Erofs),
    Squashfs(Squashfs),
    Ext4(ext4::Ext4),
    Fat(Tree),
}

impl Filesystem {
    /// Opens the file system that a region holds, told by its magic number.
    ///
    /// # Errors
    /// Fails when it holds none that is known here, or a damaged one.
    pub fn open(region: &Region) -> Result<Self, FilesystemError> {
        let broken = |name: &'static str| move |source: Source| FilesystemError::Open { name, source };
        let format = match name(region).map_err(FilesystemError::Io)? {
            Some("erofs") => {
                Format::Erofs(Erofs::open(region.clone()).map_err(|e| broken("erofs")(e.into()))?)
            }
            Some("squashfs") => {
                Format::Squashfs(Squashfs::open(region.clone()).map_err(|e| broken("squashfs")(e.into()))?)
            }
            Some("ext4") => Format::Ext4(ext4::Ext4::open(region.clone()).map_err(broken("ext4"))?),
            Some("vfat") => {
                Format::Fat(crate::vfat::read(&mut region.reader(), 0).map_err(|e| broken("vfat")(e.into()))?)
            }
            _ => return Err(FilesystemError::Unknown),
        };
        Ok(Self { format, len: region.len() })
    }

    /// Its type, as `mount -t` has it: `erofs`, `squashfs`, `ext4` or `vfat`.
    pub fn name(&self) -> &'static str {
        match self.format {
            Format::Erofs(_) => "erofs",
            Format::Squashfs(_) => "squashfs",
            Format::Ext4(_) => "ext4",
            Format::Fat(_) => "vfat",
        }
    }

    /// All of a file.
    ///
    /// # Errors
    /// Fails when there is none, naming the nearest directory that there is.
    pub fn file(&self, path: &str) -> Result<Vec<u8>, FilesystemError> {
        let (place, metadata) = self.find(path, true)?;
        if metadata.kind != FileType::Regular {
            return Err(FilesystemError::IsA { path: path.into(), kind: metadata.kind, asked: "a file" });
        }
        self.content(&place).map_err(reading(path))
    }

    /// The same as text.
    ///
    /// # Errors
    /// Fails when there is none, or it is no UTF-8.
    pub fn text(&self, path: &str) -> Result<String, FilesystemError> {
        String::from_utf8(self.file(path)?).map_err(|e| reading(path)(e.into()))
    }

    /// The names in a directory, sorted by their bytes. What is no UTF-8 in a name
    /// is shown as `�`.
    ///
    /// # Errors
    /// Fails when there is no directory.
    pub fn read_dir(&self, path: &str) -> Result<Vec<String>, FilesystemError> {
        let (place, metadata) = self.find(path, true)?;
        if metadata.kind != FileType::Directory {
            return Err(FilesystemError::IsA {
                path: path.into(),
                kind: metadata.kind,
                asked: "a directory",
            });
        }
        let mut names: Vec<Vec<u8>> =
            self.entries(&place).map_err(reading(path))?.into_iter().map(|(name, _)| name).collect();
        names.sort();
        Ok(names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }

    /// What a file is, whose, and how large; of a link, what it leads to.
    ///
    /// # Errors
    /// Fails when there is nothing at the path.
    pub fn metadata(&self, path: &str) -> Result<Metadata, FilesystemError> {
        Ok(self.find(path, true)?.1)
    }

    /// The same, of a link itself.
    ///
    /// # Errors
    /// Fails when there is nothing at the path.
    pub fn symlink_metadata(&self, path: &str) -> Result<Metadata, FilesystemError> {
        Ok(self.find(path, false)?.1)
    }

    /// The target of a symbolic link, as it is written.
    ///
    /// # Errors
    /// Fails when there is no link at the path.
    pub fn read_link(&self, path: &str) -> Result<String, FilesystemError> {
        let (place, metadata) = self.find(path, false)?;
        if metadata.kind != FileType::Symlink {
            let (path, kind) = (path.into(), metadata.kind);
            return Err(FilesystemError::IsA { path, kind, asked: "a symbolic link" });
        }
        let target = self.content(&place).map_err(reading(path))?;
        Ok(String::from_utf8_lossy(&target).into_owned())
    }

    /// Whether there is something at a path, a link that leads nowhere included.
    ///
    /// # Errors
    /// Fails when the file system is damaged on the way there.
    pub fn exists(&self, path: &str) -> Result<bool, FilesystemError> {
        match self.find(path, false) {
            Ok(_) => Ok(true),
            Err(FilesystemError::Missing { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Every file below the root, with its path and what is known of it, directories
    /// before what is in them. Links are not followed.
    ///
    /// # Errors
    /// Fails when the file system is damaged, a directory that holds itself included.
    pub fn walk(&self) -> Result<Vec<(Vec<u8>, Metadata)>, FilesystemError> {
        let mut found = Vec::new();
        self.walk_with(&mut |path, metadata, _| {
            found.push((path.to_vec(), metadata.clone()));
            Ok(())
        })?;
        Ok(found)
    }

    /// All of it as a tree in memory, without attributes and links' sharing: a file
    /// with two names is there twice.
    ///
    /// # Errors
    /// Fails when the file system is damaged.
    pub fn tree(&self) -> Result<Tree, FilesystemError> {
        let mut tree = Tree::new();
        let mut total = 0;
        self.walk_with(&mut |path, metadata, place| {
            let content = match metadata.kind {
                FileType::Regular | FileType::Symlink => self.content(place)?,
                _ => Vec::new(),
            };
            // One large file under many names would fill any memory.
            total += content.len() as u64;
            if total > MOST_TREE {
                return Err(format!("all files together have more than `{MOST_TREE}` bytes").into());
            }
            tree.insert(crate::tree::TreePath::new(path), metadata.node(content));
            Ok(())
        })?;
        Ok(tree)
    }

    fn root(&self) -> Place {
        match &self.format {
            Format::Erofs(erofs) => Place::Number(erofs.root()),
            Format::Squashfs(squashfs) => Place::Number(squashfs.root()),
            Format::Ext4(_) | Format::Fat(_) => Place::Path(Vec::new()),
        }
    }

    fn stat(&self, place: &Place) -> Result<Metadata, Source> {
        match (&self.format, place) {
            (Format::Erofs(erofs), Place::Number(nid)) => Ok(erofs.inode(*nid)?.metadata),
            (Format::Squashfs(squashfs), Place::Number(inode)) => Ok(squashfs.inode(*inode)?.metadata),
            (Format::Ext4(ext4), Place::Path(path)) => ext4.stat(path),
            (Format::Fat(tree), Place::Path(path)) => fat::stat(tree, path),
            _ => Err(elsewhere()),
        }
    }

    fn entries(&self, place: &Place) -> Result<Vec<(Vec<u8>, Place)>, Source> {
        let numbered = |entries: Vec<(Vec<u8>, u64)>| {
            entries.into_iter().map(|(name, number)| (name, Place::Number(number))).collect()
        };
        let below = |path: &[u8], names: Vec<Vec<u8>>| {
            let place = |name: &[u8]| Place::Path([path, b"/", name].concat());
            names.into_iter().map(|name| (name.clone(), place(&name))).collect()
        };
        match (&self.format, place) {
            (Format::Erofs(erofs), Place::Number(nid)) => Ok(numbered(erofs.entries(&erofs.inode(*nid)?)?)),
            (Format::Squashfs(squashfs), Place::Number(inode)) => {
                Ok(numbered(squashfs.entries(&squashfs.inode(*inode)?)?))
            }
            (Format::Ext4(ext4), Place::Path(path)) => Ok(below(path, ext4.names(path)?)),
            (Format::Fat(tree), Place::Path(path)) => Ok(below(path, fat::names(tree, path))),
            _ => Err(elsewhere()),
        }
    }

    fn content(&self, place: &Place) -> Result<Vec<u8>, Source> {
        match (&self.format, place) {
            (Format::Erofs(erofs), Place::Number(nid)) => Ok(erofs.content(&erofs.inode(*nid)?)?),
            (Format::Squashfs(squashfs), Place::Number(inode)) => {
                Ok(squashfs.content(&squashfs.inode(*inode)?)?)
            }
            (Format::Ext4(ext4), Place::Path(path)) => ext4.content(path),
            (Format::Fat(tree), Place::Path(path)) => fat::content(tree, path),
            _ => Err(elsewhere()),
        }
    }
}

/// A place of another file system, which nobody outside can hand in.
fn elsewhere() -> Source {
    io::Error::from(io::ErrorKind::InvalidInput).into()
}

fn reading(path: &str) -> impl Fn(Source) -> FilesystemError {
    let path = path.to_owned();
    move |source| FilesystemError::Read { path: path.clone(), source }
}

/// The type of the file system that a region holds, as `mount -t` has it, where it
/// is one that can be opened here. `DM_verity_hash` for a hash tree.
///
/// # Errors
/// Fails as reading does.
pub fn name(region: &Region) -> io::Result<Option<&'static str>> {
    let holds = |offset: u64, magic: &[u8]| -> io::Result<bool> {
        let length = magic.len() as u64;
        Ok(region.len() >= offset + length && region.read(offset, length)? == magic)
    };
    let known: [(&'static str, u64, &[u8]); 5] = [
        ("erofs", 1024, &[0xe2, 0xe1, 0xf5, 0xe0]),
        ("squashfs", 0, b"hsqs"),
        ("ext4", 1080, &[0x53, 0xef]),
        ("vfat", 82, b"FAT32   "),
        ("DM_verity_hash", 0, b"verity\0\0"),
    ];
    for (name, offset, magic) in known {
        if holds(offset, magic)? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
