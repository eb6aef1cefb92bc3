//! Mends the directories `fatfs` 0.3.6 leaves, and gives every entry its time.
//!
//! Its `create_dir` writes long names before `.` and `..`, which every checker
//! refuses, and lets `..` of a top-level directory point at the root's cluster,
//! where the format wants 0.

use std::io::{Read, Seek, SeekFrom, Write};

use super::device::Device;
use super::entry::{DELETED, ENTRY, Slot, first_cluster, set_first_cluster, set_times, slot};
use super::read::{ReadError, Volume};
use crate::tree::TreePath;

/// Mends every directory of a file system that was just written.
///
/// # Errors
/// Fails as reading and writing do, or when the file system is broken.
pub(super) fn mend(device: &mut Device<'_>, epoch: i64, sector: u64) -> Result<(), ReadError> {
    let mut volume = Volume::open(&mut *device, 0)?;
    let cluster_size = usize::try_from(volume.cluster_size).unwrap_or_default();
    let mut mended: Vec<(u64, Vec<u8>)> = Vec::new();
    // A directory's own cluster and its parent's; 0 stands for the root.
    let mut pending = vec![(volume.root, None)];
    while let Some((first, parent)) = pending.pop() {
        let (mut bytes, chain) = volume.directory(&TreePath::root(), first)?;
        if let Some(parent) = parent {
            mend_dots(&mut bytes, first, parent);
        }
        for entry in bytes.chunks_exact_mut(ENTRY) {
            match slot(entry) {
                Slot::End => break,
                Slot::Deleted | Slot::Long => {}
                Slot::Directory => {
                    set_times(entry, epoch);
                    let own = if first == volume.root { 0 } else { first };
                    pending.push((first_cluster(entry), Some(own)));
                }
                Slot::Label | Slot::Dots | Slot::File => set_times(entry, epoch),
            }
        }
        for (cluster, bytes) in chain.into_iter().zip(bytes.chunks(cluster_size)) {
            mended.push((volume.cluster_offset(cluster), bytes.to_vec()));
        }
    }
    for (offset, bytes) in mended {
        let write = device.seek(SeekFrom::Start(offset)).and_then(|_| device.write_all(&bytes));
        write.map_err(|source| ReadError::Io { offset, source })?;
    }
    copy_information(device, sector).map_err(|source| ReadError::Io { offset: sector, source })
}

/// Puts `.` and `..` where they belong: into the first two of the four slots
/// `fatfs` used for them.
fn mend_dots(bytes: &mut [u8], own: u32, parent: u32) {
    let mut dot = [b' '; ENTRY];
    dot[0] = b'.';
    dot[11] = 0x10;
    dot[12..].fill(0);
    let mut dots = dot;
    dots[1] = b'.';
    set_first_cluster(&mut dot, own);
    set_first_cluster(&mut dots, parent);
    bytes[..ENTRY].copy_from_slice(&dot);
    bytes[ENTRY..2 * ENTRY].copy_from_slice(&dots);
    for slot in bytes[2 * ENTRY..4 * ENTRY].chunks_exact_mut(ENTRY) {
        slot.fill(0);
        slot[0] = DELETED;
    }
}

/// Copies the sector with the count of free clusters beside the backup of the
/// boot sector, as `mkfs.vfat` does.
fn copy_information(device: &mut Device<'_>, sector: u64) -> std::io::Result<()> {
    let mut information = [0; 512];
    device.seek(SeekFrom::Start(sector))?;
    device.read_exact(&mut information)?;
    device.seek(SeekFrom::Start(7 * sector))?;
    device.write_all(&information)
}
