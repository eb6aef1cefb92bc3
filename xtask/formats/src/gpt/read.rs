//! Reads a partition table of any origin back, and believes none of it.
//!
//! Both headers and both arrays of entries are read, checked against their
//! checksums and against each other; a disk with one good copy is an error here,
//! because a finished image has two. A disk whose power was cut may have one, and
//! a kernel takes it: so does `read_either`.

use std::io::{self, Read, Seek, SeekFrom};

use uuid::Uuid;

use super::{Fault, LARGE_SECTOR, NAME_UNITS, Partition, SECTOR, Table, check};

/// The most bytes of entries that are read: 32 times what any tool writes.
const MOST_ENTRY_BYTES: u64 = 512 * 1024;
const HEADER: usize = 92;

/// What is wrong with a partition table on a disk.
#[derive(Debug, thiserror::Error)]
pub enum GptError {
    /// The disk cannot be read, or is too short for a table.
    #[error("reading the partition table failed at offset `{offset}`")]
    Io {
        /// Where, in bytes.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// No protective MBR in the first sector.
    #[error("no protective master boot record at offset `0`")]
    ProtectiveMbr,
    /// No header where one has to be.
    #[error("no partition table header at offset `{0}`")]
    Signature(u64),
    /// A header's checksum is wrong.
    #[error("the checksum of the partition table header at offset `{0}` is wrong")]
    HeaderChecksum(u64),
    /// A header's field has a value that cannot be.
    #[error("the {field} in the partition table header at offset `{offset}` is `{value}`")]
    Field {
        /// Which field.
        field: &'static str,
        /// Where the header lies, in bytes.
        offset: u64,
        /// What it holds.
        value: u64,
    },
    /// The checksum of an array of entries is wrong.
    #[error("the checksum of the partition entries at offset `{0}` is wrong")]
    EntriesChecksum(u64),
    /// The two copies are different tables.
    #[error("the partition table and its backup at offset `{0}` differ")]
    Differ(u64),
    /// An entry breaks a rule.
    #[error("partition {number} at offset `{offset}`: {fault}")]
    Partition {
        /// Its number.
        number: u32,
        /// Where its entry lies, in bytes.
        offset: u64,
        /// The rule.
        fault: Fault,
    },
    /// A name is no UTF-16.
    #[error("partition {number} at offset `{offset}`: the name is not UTF-16")]
    Name {
        /// Its number.
        number: u32,
        /// Where its entry lies, in bytes.
        offset: u64,
    },
}

/// One of the two headers, its checksum verified.
struct Header {
    offset: u64,
    backup_lba: u64,
    first_usable: u64,
    last_usable: u64,
    guid: Uuid,
    entries_lba: u64,
    count: u32,
    entry_size: u32,
    entries_checksum: u32,
    sector: u64,
}

/// Reads the table of a disk, which may be longer than the table says: an image
/// that was written to a larger device has its backup where the image ended.
///
/// # Errors
/// Fails with the first thing that is wrong with it.
pub fn read<D: Read + Seek>(disk: &mut D) -> Result<Table, GptError> {
    let length = disk.seek(SeekFrom::End(0)).map_err(|source| GptError::Io { offset: 0, source })?;
    let sector = sector_size(disk);
    let end = (length / sector).saturating_sub(1);

    let mbr = read_at(disk, 0, 512)?;
    // Any of the four records may be the protective one.
    let protective = (0..4).any(|record| mbr[446 + record * 16 + 4] == 0xee);
    if mbr[510..] != [0x55, 0xaa] || !protective {
        return Err(GptError::ProtectiveMbr);
    }
    let primary = Header::read(disk, 1, end, sector)?;
    let last_sector = primary.backup_lba.min(end);
    let backup = Header::read(disk, last_sector, last_sector, sector)?;
    let entries = primary.entries(disk)?;
    let same = primary.guid == backup.guid
        && (primary.first_usable, primary.last_usable) == (backup.first_usable, backup.last_usable)
        && (primary.count, primary.entry_size) == (backup.count, backup.entry_size)
        && (primary.backup_lba, backup.backup_lba) == (last_sector, 1)
        && entries == backup.entries(disk)?;
    if !same {
        return Err(GptError::Differ(backup.offset));
    }

    primary.table(&entries)
}

/// Reads the table as a kernel does: the copy at the beginning if it is whole, else the one in the disk's last sector.
///
/// # Errors
/// Fails with what is wrong with the first copy when neither is whole.
pub fn read_either<D: Read + Seek>(disk: &mut D) -> Result<Table, GptError> {
    let length = disk.seek(SeekFrom::End(0)).map_err(|source| GptError::Io { offset: 0, source })?;
    let sector = sector_size(disk);
    let end = (length / sector).saturating_sub(1);
    let mut copy = |lba| {
        let header = Header::read(disk, lba, end, sector)?;
        header.table(&header.entries(disk)?)
    };
    copy(1).or_else(|first| copy(end).map_err(|_| first))
}

/// The size of a disk's sectors: the header lies in the second one.
fn sector_size<D: Read + Seek>(disk: &mut D) -> u64 {
    let mut begins = |offset| read_at(disk, offset, 8).is_ok_and(|bytes| bytes == *b"EFI PART");
    if !begins(SECTOR) && begins(LARGE_SECTOR) { LARGE_SECTOR } else { SECTOR }
}

/// The last unit of a sector.
fn last_unit(lba: u64, units: u64) -> u64 {
    lba.saturating_mul(units).saturating_add(units - 1)
}

impl Header {
    fn read<D: Read + Seek>(disk: &mut D, lba: u64, last_sector: u64, sector: u64) -> Result<Self, GptError> {
        let offset = lba * sector;
        let mut bytes = read_at(disk, offset, 512)?;
        if bytes[..8] != *b"EFI PART" {
            return Err(GptError::Signature(offset));
        }
        let field = |field, value| GptError::Field { field, offset, value };
        let size = u32_at(&bytes, 12);
        if !(HEADER..=512).contains(&(size as usize)) {
            return Err(field("size", size.into()));
        }
        let checksum = u32_at(&bytes, 16);
        bytes[16..20].fill(0);
        if crc32(&bytes[..size as usize]) != checksum {
            return Err(GptError::HeaderChecksum(offset));
        }
        let header = Self {
            offset,
            backup_lba: u64_at(&bytes, 32),
            first_usable: u64_at(&bytes, 40),
            last_usable: u64_at(&bytes, 48),
            guid: guid(&bytes[56..72]),
            entries_lba: u64_at(&bytes, 72),
            count: u32_at(&bytes, 80),
            entry_size: u32_at(&bytes, 84),
            entries_checksum: u32_at(&bytes, 88),
            sector,
        };
        let own_lba = u64_at(&bytes, 24);
        if own_lba != lba {
            return Err(field("own sector", own_lba));
        }
        // 128 times a power of two, says the specification.
        if header.entry_size < 128 || !header.entry_size.is_power_of_two() || header.entry_size > 4096 {
            return Err(field("size of an entry", header.entry_size.into()));
        }
        if header.count == 0 || header.entries_size() > MOST_ENTRY_BYTES {
            return Err(field("number of entries", header.count.into()));
        }
        let entries_end = header.entries_lba.checked_add(header.entries_size().div_ceil(sector));
        if header.entries_lba < 2 || entries_end.is_none_or(|end| end > last_sector + 1) {
            return Err(field("sector of the entries", header.entries_lba));
        }
        if header.last_usable > last_sector {
            return Err(field("last usable sector", header.last_usable));
        }
        Ok(header)
    }

    /// The table whose entries these are.
    fn table(&self, entries: &[u8]) -> Result<Table, GptError> {
        let (sector, units) = (self.sector, self.sector / SECTOR);
        let mut table = Table { guid: self.guid, sector_size: sector, partitions: Vec::new() };
        let entry_size = self.entry_size as usize;
        let place =
            |number: u32| self.entries_lba * sector + u64::from(number - 1) * u64::from(self.entry_size);
        for (number, entry) in (1..).zip(entries.chunks_exact(entry_size)) {
            if guid(&entry[..16]).is_nil() {
                continue;
            }
            let name = name(&entry[56..56 + NAME_UNITS * 2])
                .ok_or_else(|| GptError::Name { number, offset: place(number) })?;
            table.partitions.push(Partition {
                number,
                type_guid: guid(&entry[..16]),
                guid: guid(&entry[16..32]),
                // What no disk has ends as a range that lies outside of it.
                first_lba: u64_at(entry, 32).saturating_mul(units),
                last_lba: last_unit(u64_at(entry, 40), units),
                attributes: u64_at(entry, 48),
                name,
            });
        }
        let last_usable = last_unit(self.last_usable, units);
        check(&table, last_usable).map_err(|(at, fault)| {
            let number = table.partitions[at].number;
            GptError::Partition { number, offset: place(number), fault }
        })?;
        Ok(table)
    }

    fn entries_size(&self) -> u64 {
        u64::from(self.count) * u64::from(self.entry_size)
    }

    fn entries<D: Read + Seek>(&self, disk: &mut D) -> Result<Vec<u8>, GptError> {
        let offset = self.entries_lba * self.sector;
        let size = usize::try_from(self.entries_size()).unwrap_or_default();
        let entries = read_at(disk, offset, size)?;
        if crc32(&entries) != self.entries_checksum {
            return Err(GptError::EntriesChecksum(offset));
        }
        Ok(entries)
    }
}

fn read_at<D: Read + Seek>(disk: &mut D, offset: u64, size: usize) -> Result<Vec<u8>, GptError> {
    let mut bytes = vec![0; size];
    disk.seek(SeekFrom::Start(offset))
        .and_then(|_| disk.read_exact(&mut bytes))
        .map_err(|source| GptError::Io { offset, source })?;
    Ok(bytes)
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn guid(bytes: &[u8]) -> Uuid {
    let mut guid = [0; 16];
    guid.copy_from_slice(&bytes[..16]);
    Uuid::from_bytes_le(guid)
}

fn name(bytes: &[u8]) -> Option<String> {
    let units = bytes.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    let units: Vec<u16> = units.take_while(|&unit| unit != 0).collect();
    String::from_utf16(&units).ok()
}
