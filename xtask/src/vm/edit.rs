//! The disk of a machine that is off, in the hands of a test.
//!
//! The image itself is never touched: what the machine wrote so far is
//! flattened into a sparse disk of its own, and that is edited.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use bedplate_core::plan::guid;
use bedplate_formats::digest::{hex, sha256_range};
use bedplate_formats::{gpt, sparse};

use super::Vm;

/// A disk that no machine runs from.
#[derive(Debug)]
pub struct MachineDisk {
    file: File,
    table: gpt::Table,
}

impl Vm {
    /// Lets `change` at the machine's disk: before its first start, after a
    /// [power off](super::guest::Guest::power_off), or after a
    /// [power cut](super::guest::Guest::kill).
    ///
    /// # Errors
    ///
    /// When the disk cannot be flattened or has no partition table, and those of `change`.
    pub fn edit(mut self, change: impl FnOnce(&MachineDisk) -> Result<()>) -> Result<Self> {
        self.flatten()?;
        let path = self.flat_disk()?;
        let mut file = fs_err::OpenOptions::new().read(true).write(true).open(path)?.into_parts().0;
        let table = gpt::read(&mut file).context("could not read the disk's partition table")?;
        let disk = MachineDisk { file, table };
        change(&disk)?;
        disk.file.sync_all().context("could not write the disk")?;
        Ok(self)
    }
}

impl MachineDisk {
    /// The disk's partition table, as it was before any change.
    #[must_use]
    pub fn table(&self) -> &gpt::Table {
        &self.table
    }

    /// Reads `length` bytes of the partition `label`, from `offset`.
    ///
    /// # Errors
    ///
    /// No such partition, or nothing there.
    pub fn read(&self, label: &str, offset: u64, length: usize) -> Result<Vec<u8>> {
        let range = self.within(label, offset, length as u64)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, range.start).context("could not read the disk")?;
        Ok(bytes)
    }

    /// Writes into the partition `label`, at `offset`.
    ///
    /// # Errors
    ///
    /// No such partition, or no room in it.
    pub fn write(&self, label: &str, offset: u64, bytes: &[u8]) -> Result<()> {
        let range = self.within(label, offset, bytes.len() as u64)?;
        self.file.write_all_at(bytes, range.start).context("could not write the disk")
    }

    /// Fills the partition with zeros: what a new disk has.
    ///
    /// # Errors
    ///
    /// No such partition.
    pub fn zero(&self, label: &str) -> Result<()> {
        let range = self.range(label)?;
        sparse::punch(&self.file, range).context("could not empty the partition")
    }

    /// Puts the content of a file in the partition's place: of an artifact
    /// from another build, or any other file system. The rest becomes zeros.
    ///
    /// # Errors
    ///
    /// No such partition or file, or no room.
    pub fn replace(&self, label: &str, from: &Path) -> Result<()> {
        let from = fs_err::File::open(from)?.into_parts().0;
        let length = from.metadata()?.len();
        let range = self.within(label, 0, length)?;
        self.zero(label)?;
        sparse::copy(&from, 0..length, &self.file, range.start).context("could not copy into the partition")
    }

    /// Installs another build of the same image, as an update does: every partition but those with data becomes the
    /// one of the disk `image.raw` in the directory `out`, and gets its id, since the root's is cut from its content.
    ///
    /// The disk, the data partitions and their ids stay as they are.
    ///
    /// # Errors
    ///
    /// No such build, one whose partitions lie elsewhere, or a disk that cannot be written.
    pub fn update(&self, out: &Path) -> Result<()> {
        let mut new = fs_err::File::open(out.join("image.raw"))?.into_parts().0;
        let other = gpt::read(&mut new).context("could not read the partition table of the other build")?;
        let mut table = self.table.clone();
        for partition in table.partitions.iter_mut().filter(|one| one.type_guid != guid::LINUX_GENERIC) {
            let same = |one: &&gpt::Partition| one.number == partition.number;
            let Some(from) = other.partitions.iter().find(same) else {
                bail!("the other build has no partition `{}`", partition.name);
            };
            ensure!(
                (&from.name, from.first_lba, from.last_lba)
                    == (&partition.name, partition.first_lba, partition.last_lba),
                "the partition `{}` lies elsewhere in the other build",
                partition.name
            );
            self.zero(&partition.name)?;
            let range = from.offset()..from.offset() + from.size();
            sparse::copy(&new, range, &self.file, partition.offset())
                .with_context(|| format!("could not copy the partition `{}`", partition.name))?;
            // The boot loader tells by it which disk it was started from, and it is the device's own.
            if partition.type_guid != guid::ESP {
                partition.guid = from.guid;
            }
        }
        gpt::write(&table, &mut &self.file).context("could not write the disk's partition table")
    }

    /// The SHA-256 of all of the partition, in hexadecimal.
    ///
    /// # Errors
    ///
    /// No such partition.
    pub fn digest(&self, label: &str) -> Result<String> {
        let range = self.range(label)?;
        Ok(hex(&sha256_range(&self.file, range).context("could not read the disk")?))
    }

    fn range(&self, label: &str) -> Result<Range<u64>> {
        let partition = self.table.partitions.iter().find(|partition| partition.name == label);
        let partition = partition.with_context(|| format!("the disk has no partition `{label}`"))?;
        Ok(partition.offset()..partition.offset() + partition.size())
    }

    fn within(&self, label: &str, offset: u64, length: u64) -> Result<Range<u64>> {
        let range = self.range(label)?;
        let size = range.end - range.start;
        ensure!(
            offset.checked_add(length).is_some_and(|end| end <= size),
            "{length} bytes at {offset} do not fit into the partition `{label}` of {size} bytes"
        );
        Ok(range.start + offset..range.start + offset + length)
    }
}
