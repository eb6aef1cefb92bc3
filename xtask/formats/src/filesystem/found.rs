//! Files that a walk met, read without looking for their paths again; and whether two of them hold the same.

use super::walk::Place;
use super::{FileType, Filesystem, FilesystemError, Format, Metadata, Source};
use crate::squashfs::Block;

/// A file that a walk met.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its path, without a slash before; that of the root is empty.
    pub path: Vec<u8>,
    /// What is known of it.
    pub metadata: Metadata,
    place: Place,
}

impl Found {
    fn failed(&self) -> impl Fn(Source) -> FilesystemError {
        let path = format!("/{}", String::from_utf8_lossy(&self.path));
        move |source| FilesystemError::Read { path: path.clone(), source }
    }
}

impl Filesystem {
    /// Every file, the root directory first, each with what reads it.
    ///
    /// # Errors
    /// As [`Filesystem::walk`].
    pub fn find_all(&self) -> Result<Vec<Found>, FilesystemError> {
        let mut all = Vec::new();
        self.walk_with(&mut |path, metadata, place| {
            all.push(Found { path: path.to_vec(), metadata: metadata.clone(), place: place.clone() });
            Ok(())
        })?;
        Ok(all)
    }

    /// All of a file of this file system, or the target of a symbolic link.
    ///
    /// # Errors
    /// Fails when it is damaged.
    pub fn read(&self, found: &Found) -> Result<Vec<u8>, FilesystemError> {
        self.content(&found.place).map_err(found.failed())
    }

    /// A digest of a file's content, a piece of which is in memory at a time where the file system allows it.
    fn digest(&self, place: &Place) -> Result<blake3::Hash, Source> {
        let mut hasher = blake3::Hasher::new();
        match (&self.format, place) {
            (Format::Erofs(erofs), Place::Number(nid)) => {
                erofs.each_piece(&erofs.inode(*nid)?, |piece| _ = hasher.update(piece))?;
            }
            (Format::Squashfs(squashfs), Place::Number(inode)) => {
                squashfs.each_block(&squashfs.inode(*inode)?, |block| {
                    match block {
                        Block::Data(bytes) => _ = hasher.update(bytes),
                        Block::Hole(mut length) => {
                            const ZEROS: [u8; 4096] = [0; 4096];
                            while length > 0 {
                                let some = length.min(ZEROS.len() as u64);
                                hasher.update(&ZEROS[..usize::try_from(some).unwrap_or_default()]);
                                length -= some;
                            }
                        }
                    }
                    Ok(())
                })?;
            }
            _ => _ = hasher.update(&self.content(place)?),
        }
        Ok(hasher.finalize())
    }
}

/// Whether two files, of two file systems, have the same content. What is stored in the same bytes is not decompressed.
///
/// # Errors
/// Fails when one of them is damaged.
pub fn same_content(
    (one, ours): (&Filesystem, &Found),
    (other, theirs): (&Filesystem, &Found),
) -> Result<bool, FilesystemError> {
    if ours.metadata.size != theirs.metadata.size {
        return Ok(false);
    }
    if ours.metadata.size == 0 {
        return Ok(true);
    }
    let both = [ours.metadata.kind, theirs.metadata.kind];
    if both != [FileType::Regular; 2] {
        return Ok(one.read(ours)? == other.read(theirs)?);
    }
    if let (Format::Erofs(one), Format::Erofs(other), Place::Number(nid), Place::Number(their_nid)) =
        (&one.format, &other.format, &ours.place, &theirs.place)
    {
        let inode = one.inode(*nid).map_err(|e| ours.failed()(e.into()))?;
        let their_inode = other.inode(*their_nid).map_err(|e| theirs.failed()(e.into()))?;
        if one.same_stored(&inode, other, &their_inode).map_err(|e| ours.failed()(e.into()))? {
            return Ok(true);
        }
    }
    let digest = one.digest(&ours.place).map_err(ours.failed())?;
    Ok(digest == other.digest(&theirs.place).map_err(theirs.failed())?)
}
