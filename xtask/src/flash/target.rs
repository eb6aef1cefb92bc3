//! What an image is written to: a block device that is this program's alone, or a file that stands for a disk.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use bedplate_formats::sparse::is_zero;
use fs_err as fs;
use rustix::fs::{Advice, FallocateFlags, OFlags, fadvise, fallocate};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::host::{Disk, FILE, Host, Use, number_of};
use super::image::{CHUNK, Content};
use crate::error::{AdvisedError, UsageError};
use crate::report;
use crate::syscall;

/// What reads and writes beside the cache is aligned to, in bytes.
const ALIGNED: usize = 4096;

/// An open disk.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    file: File,
    /// Its size in bytes.
    pub size: u64,
    is_device: bool,
}

/// What was written to a range: the digest of the data, or zeros.
#[derive(Debug)]
pub struct Written {
    range: Range<u64>,
    digest: Option<[u8; 32]>,
}

impl Written {
    /// Of what comes next in an image.
    pub fn of(offset: u64, content: Content<'_>) -> Self {
        let digest = match content {
            Content::Data(bytes) => Some(Sha256::digest(bytes).into()),
            Content::Zeros(_) => None,
        };
        Self { range: offset..offset + content.length(), digest }
    }

    /// How many bytes.
    pub fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Takes what follows into this, where both are zeros.
    pub fn takes(&mut self, next: &Self) -> bool {
        let follows = self.digest.is_none() && next.digest.is_none() && self.range.end == next.range.start;
        if follows {
            self.range.end = next.range.end;
        }
        follows
    }
}

/// What is known of the disk or file at a path.
///
/// # Errors
/// There is none.
pub fn disk(host: &Host, path: &Path, sector_size: u64) -> Result<Disk> {
    let shown = report::path(path);
    let metadata = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // In /dev, a file that a typing error made would be in memory.
            return Err(UsageError(match path.starts_with("/dev") {
                true => format!("there is no disk `{shown}`; `cargo xtask flash` lists them"),
                false => {
                    format!("there is no `{shown}`; `truncate --size=8G {shown}` makes a file that stands for a disk")
                }
            })
            .into());
        }
        metadata => metadata.with_context(|| format!("cannot read `{shown}`"))?,
    };
    if metadata.file_type().is_block_device() {
        return host.disk(number_of(&std::path::absolute(path)?).context("the device has no number")?);
    }
    if !metadata.is_file() {
        let message = format!("`{shown}` is neither a disk nor a file; `cargo xtask flash` lists the disks");
        return Err(UsageError(message).into());
    }
    let whole = fs::canonicalize(path)?;
    let disks = host.disks().unwrap_or_default();
    let behind = |disk: &&Disk| disk.model.as_deref().map(Path::new) == Some(&whole);
    let uses = disks
        .iter()
        .filter(behind)
        .map(|holder| Use::Holder { device: path.to_owned(), holder: holder.path.clone() });
    Ok(Disk {
        path: path.to_owned(),
        size: metadata.len(),
        sector_size,
        model: None,
        transport: Some(FILE),
        removable: true,
        read_only: metadata.permissions().readonly(),
        partition_of: None,
        uses: uses.collect(),
    })
}

impl Target {
    /// Opens a disk for this program alone: nobody mounts it meanwhile.
    ///
    /// # Errors
    /// It is used for something that the kernel told nobody, or may not be written to.
    pub fn open(disk: &Disk) -> Result<Self> {
        let is_device = disk.transport != Some(FILE);
        let exclusive = if is_device { OFlags::EXCL } else { OFlags::empty() };
        let path = report::path(&disk.path);
        let flags = i32::try_from(exclusive.bits()).unwrap_or_default();
        let mut file =
            File::options().read(true).write(true).custom_flags(flags).open(&disk.path).map_err(|error| {
                let (message, help) = match error.kind() {
                    io::ErrorKind::ResourceBusy => (
                        format!("`{path}` is in use by another program"),
                        "end what uses it, and take it out and in again".to_owned(),
                    ),
                    io::ErrorKind::PermissionDenied => {
                        (format!("cannot open `{path}` for writing"), as_root())
                    }
                    _ => return anyhow!(error).context(format!("cannot open `{path}` for writing")),
                };
                AdvisedError { message, cause: error.into(), help }.into()
            })?;
        let size =
            file.seek(SeekFrom::End(0)).with_context(|| format!("cannot read the size of `{path}`"))?;
        Ok(Self { path: disk.path.clone(), file, size, is_device })
    }

    /// Whether it is this very file.
    pub fn is(&self, other: &Path) -> bool {
        let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let other = std::fs::metadata(other).map(id).ok();
        !self.is_device && other.is_some() && self.file.metadata().map(id).ok() == other
    }

    /// Writes what comes next of an image.
    ///
    /// # Errors
    /// The disk fails.
    pub fn write(&self, offset: u64, content: Content<'_>) -> Result<()> {
        let end = offset + content.length();
        match content {
            Content::Data(bytes) => self.file.write_all_at(bytes, offset),
            Content::Zeros(_) => self.zero(offset..end),
        }
        .with_context(|| format!("cannot write bytes {offset} to {end}"))
    }

    /// Makes a range read as zeros. A device that can do that by itself writes nothing.
    ///
    /// `BLKDISCARD` would be faster on more devices, and promises nothing of what is read afterwards.
    fn zero(&self, range: Range<u64>) -> io::Result<()> {
        let length = range.end - range.start;
        if length == 0 {
            return Ok(());
        }
        for how in [FallocateFlags::PUNCH_HOLE, FallocateFlags::ZERO_RANGE] {
            match fallocate(&self.file, how | FallocateFlags::KEEP_SIZE, range.start, length) {
                Ok(()) => return Ok(()),
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let zeros = vec![0; CHUNK];
        let mut at = range.start;
        while at < range.end {
            let part = usize::try_from(range.end - at).unwrap_or(CHUNK).min(CHUNK);
            self.file.write_all_at(&zeros[..part], at)?;
            at += part as u64;
        }
        Ok(())
    }

    /// Waits until all that was written is on the disk.
    ///
    /// # Errors
    /// The disk fails.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().context("cannot write what was cached")
    }

    /// Reads what was written from the disk itself, and compares. `each` hears of the bytes.
    ///
    /// # Errors
    /// The disk fails, or has other bytes.
    pub fn compare(&self, written: &[Written], mut each: impl FnMut(u64)) -> Result<()> {
        let disk = Beside::open(self)?;
        let mut buffer = vec![0; CHUNK + 3 * ALIGNED];
        let aligned = buffer.as_ptr().align_offset(ALIGNED);
        let buffer = &mut buffer[aligned..];
        for Written { range, digest } in written {
            let mut at = range.start;
            while at < range.end {
                let length = usize::try_from(range.end - at).unwrap_or(CHUNK).min(CHUNK);
                let bytes = disk.read(at, length, buffer)?;
                let is_same = match digest {
                    Some(digest) => Sha256::digest(bytes)[..] == digest[..],
                    None => is_zero(bytes),
                };
                let end = at + length as u64;
                anyhow::ensure!(is_same, "bytes {at} to {end} are read back other than they were written");
                each(length as u64);
                at = end;
            }
        }
        Ok(())
    }

    /// Has the kernel see the new partitions. A device whose partitions it will not give up has them after it is taken
    /// out and in again.
    pub fn show_partitions(&self) -> io::Result<()> {
        match syscall::reread_partitions(self.file.as_fd()) {
            // A file, or a loop device that is told not to look for partitions.
            Err(error) if [libc::ENOTTY, libc::EINVAL].map(Some).contains(&error.raw_os_error()) => Ok(()),
            result => result,
        }
    }
}

/// A disk that is read past the kernel's cache, where that can be done.
struct Beside<'a> {
    target: &'a Target,
    direct: Option<File>,
}

impl<'a> Beside<'a> {
    fn open(target: &'a Target) -> Result<Self> {
        // What is read directly must not be older than what is in the cache: all of that was synced.
        let _ = fadvise(&target.file, 0, None, Advice::DontNeed);
        let flags = i32::try_from(OFlags::DIRECT.bits()).unwrap_or_default();
        let direct = File::options().read(true).custom_flags(flags).open(&target.path).ok();
        Ok(Self { target, direct })
    }

    /// Reads from any offset, by whole aligned blocks around what is asked for.
    fn read<'b>(&self, offset: u64, length: usize, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
        let failed = || format!("cannot read bytes {offset} to {}", offset + length as u64);
        let block = ALIGNED as u64;
        let start = offset / block * block;
        let end = (offset + length as u64).next_multiple_of(block).min(self.target.size);
        let around = usize::try_from(end - start).unwrap_or_default();
        let inside = usize::try_from(offset - start).unwrap_or_default();
        match self.direct.as_ref().map(|direct| direct.read_exact_at(&mut buffer[..around], start)) {
            Some(Ok(())) => {}
            // The file system of a file, or the sectors at its end.
            None | Some(Err(_)) => {
                self.target.file.read_exact_at(&mut buffer[..around], start).with_context(failed)?;
            }
        }
        Ok(&buffer[inside..inside + length])
    }
}

/// How to run the same as root.
fn as_root() -> String {
    let program = std::env::current_exe().map(|path| path.display().to_string());
    let words = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    format!("run it as root: `sudo {} {words}`", program.unwrap_or_else(|_| "xtask".to_owned()))
}
