//! ext4 through the `ext4-view` crate, which knows extents, hashed
//! directories and checksums, has no unsafe code, and bounds what it reads.
//!
//! Its handle cannot be shared between threads, and reads little to open; so each
//! question opens it anew, and a file system here is `Send` and `Sync`.

use ext4_view::{Ext4 as View, Ext4Read, Path};

use super::{FileType, Metadata, Source};
use crate::region::Region;

/// The most content of a file that is taken into memory, in bytes.
const MOST_CONTENT: u64 = 2 << 30;
/// The longest target of a symbolic link, in bytes: no path of Linux is longer.
const MOST_TARGET: u64 = 4096;

#[derive(Debug)]
pub(super) struct Ext4 {
    region: Region,
}

impl Ext4Read for Region {
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), Source> {
        Ok(self.read_at(offset, into)?)
    }
}

impl Ext4 {
    pub(super) fn open(region: Region) -> Result<Self, Source> {
        let ext4 = Self { region };
        ext4.view()?;
        Ok(ext4)
    }

    fn view(&self) -> Result<View, Source> {
        Ok(View::load(Box::new(self.region.clone()))?)
    }

    pub(super) fn stat(&self, path: &[u8]) -> Result<Metadata, Source> {
        let found = self.view()?.symlink_metadata(absolute(path)?)?;
        let kind = match found.file_type() {
            ext4_view::FileType::Regular => FileType::Regular,
            ext4_view::FileType::Directory => FileType::Directory,
            ext4_view::FileType::Symlink => FileType::Symlink,
            ext4_view::FileType::CharacterDevice => FileType::CharDevice,
            ext4_view::FileType::BlockDevice => FileType::BlockDevice,
            ext4_view::FileType::Fifo => FileType::Fifo,
            ext4_view::FileType::Socket => FileType::Socket,
        };
        Ok(Metadata {
            kind,
            mode: u32::from(found.mode()) & 0o7777,
            uid: found.uid(),
            gid: found.gid(),
            size: found.len(),
            mtime: found.modified().seconds(),
        })
    }

    pub(super) fn names(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, Source> {
        let mut names = Vec::new();
        for entry in self.view()?.read_dir(absolute(path)?)? {
            let entry = entry?;
            let name = entry.file_name().as_ref().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    pub(super) fn content(&self, path: &[u8]) -> Result<Vec<u8>, Source> {
        let (view, path) = (self.view()?, absolute(path)?);
        let metadata = view.symlink_metadata(path)?;
        // The crate makes room for all that a file says to have, before it looks for it.
        let most = if metadata.is_symlink() { MOST_TARGET } else { MOST_CONTENT };
        if metadata.len() > most {
            return Err(
                format!("it has `{}` bytes, and `{most}` are the most that is read", metadata.len()).into()
            );
        }
        match metadata.is_symlink() {
            true => Ok(view.read_link(path)?.as_ref().to_vec()),
            false => Ok(view.read(path)?),
        }
    }
}

fn absolute(path: &[u8]) -> Result<Path<'_>, Source> {
    Ok(Path::try_from(if path.is_empty() { b"/" } else { path })?)
}
