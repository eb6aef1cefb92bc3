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

    /// Makes the disk `bytes` long, as when an image was written to a larger one: nothing is moved.
    ///
    /// # Errors
    ///
    /// It is longer already, or cannot be written.
    pub fn grow(&self, bytes: u64) -> Result<()> {
        let now = self.file.metadata()?.len();
        ensure!(bytes >= now, "the disk has {now} bytes already");
        self.file.set_len(bytes).context("could not make the disk longer")
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
    /// The disk, the data partitions and their ids stay as they are. Of two slots, the first becomes the other build,
    /// and the only one that is started; the second stays. [`Guest::install`](super::guest::Guest::install) does it as
    /// devices do.
    ///
    /// # Errors
    ///
    /// No such build, one whose partitions lie elsewhere, or a disk that cannot be written.
    pub fn update(&self, out: &Path) -> Result<()> {
        let mut new = fs_err::File::open(out.join("image.raw"))?.into_parts().0;
        let other = gpt::read(&mut new).context("could not read the partition table of the other build")?;
        let mut table = self.table.clone();
        let is_installed =
            |one: &&mut gpt::Partition| one.type_guid != guid::LINUX_GENERIC && !is_second_slot(one, &other);
        for partition in table.partitions.iter_mut().filter(is_installed) {
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

/// Whether a device made this partition itself, as the second of the one that its image has.
fn is_second_slot(partition: &gpt::Partition, image: &gpt::Table) -> bool {
    let Some(part) = partition.name.strip_suffix("-b") else { return false };
    let first = format!("{part}-a");
    image.partitions.iter().any(|one| one.name == first && one.type_guid == partition.type_guid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: u32, name: &str, type_guid: uuid::Uuid) -> gpt::Partition {
        let first_lba = u64::from(number) * 2048;
        gpt::Partition {
            number,
            type_guid,
            guid: uuid::Uuid::from_u128(number.into()),
            first_lba,
            last_lba: first_lba + 2047,
            attributes: 0,
            name: name.to_owned(),
        }
    }

    /// A disk of these partitions, each filled with `byte`.
    fn disk(file: File, partitions: Vec<gpt::Partition>, byte: u8) -> MachineDisk {
        let table = gpt::Table { guid: uuid::Uuid::from_u128(9), sector_size: 512, partitions };
        file.set_len(16 << 20).unwrap();
        for partition in &table.partitions {
            file.write_all_at(&[byte; 4096], partition.offset()).unwrap();
        }
        gpt::write(&table, &mut &file).unwrap();
        MachineDisk { file, table }
    }

    #[test]
    fn an_update_of_a_device_with_two_slots_changes_the_first() {
        let root = guid::root(bedplate_core::Architecture::X86_64);
        let image = || {
            let data = guid::LINUX_GENERIC;
            let entries =
                [("esp", guid::ESP), ("root-a", root), ("uki-a", guid::KERNEL_IMAGE), ("data", data)];
            let entries = (1..).zip(entries);
            entries.map(|(number, (name, kind))| partition(number, name, kind)).collect::<Vec<_>>()
        };
        let out = tempfile::tempdir().unwrap();
        disk(File::create_new(out.path().join("image.raw")).unwrap(), image(), 2);
        let second = [partition(5, "root-b", root), partition(6, "uki-b", guid::KERNEL_IMAGE)];
        let device = disk(tempfile::tempfile().unwrap(), image().into_iter().chain(second).collect(), 1);
        device.update(out.path()).unwrap();
        let bytes = ["esp", "root-a", "uki-a", "data", "root-b", "uki-b"]
            .map(|label| device.read(label, 0, 1).unwrap()[0]);
        assert_eq!(bytes, [2, 2, 2, 1, 1, 1]);
        assert_eq!(gpt::read(&mut &device.file).unwrap().partitions, device.table.partitions);

        let stranger = disk(tempfile::tempfile().unwrap(), vec![partition(1, "root-b", guid::ESP)], 1);
        let said = stranger.update(out.path()).unwrap_err().to_string();
        assert_eq!(said, "the partition `root-b` lies elsewhere in the other build");
    }
}
