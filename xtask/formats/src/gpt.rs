//! GUID partition tables: written through the `gpt` crate, read by our own reader.
//!
//! UEFI specification, chapter 5: <https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html>.
//! Sectors are 512 or 4096 bytes and a table has 128 entries of 128 bytes, as every
//! tool writes them. In memory, places are in units of 512 bytes on either.
//!
//! The crate renumbers partitions, accepts overlaps and cuts names, and its reader
//! asserts what a foreign disk may break. So everything is checked here before a
//! byte is written, entries are written by number, and the crate only lays out
//! entries, headers, their checksums and the protective MBR.
//!
//! Invariant: the bytes are a function of the table and the length of the disk.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};

use ::gpt::disk::LogicalBlockSize;
use ::gpt::header::{HeaderBuilder, HeaderError};
use ::gpt::mbr::{MBRError, ProtectiveMBR};
use uuid::Uuid;

pub use self::read::{GptError, read, read_either};

mod read;
#[cfg(test)]
mod tests;

/// The size of a usual sector, and the unit of places in a [`Table`], in bytes.
pub const SECTOR: u64 = 512;
/// The size of a large sector: that of 4Kn disks and of universal flash storage, in bytes.
pub const LARGE_SECTOR: u64 = 4096;
/// The two ends of a disk, in bytes, where the table and its backup lie: no partition of ours begins in the first or ends in
/// the last.
pub const END: u64 = 1 << 20;
/// The longest name of a partition, in UTF-16 units.
pub const NAME_UNITS: usize = 36;

const ENTRIES: u32 = 128;
const ENTRY: u32 = 128;

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The GUID of the disk.
    pub guid: Uuid,
    /// The size of the disk's sectors, in bytes: 512 or 4096.
    pub sector_size: u64,
    /// The partitions; read back, they are sorted by number.
    pub partitions: Vec<Partition>,
}

/// An entry of a partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its place in the table, from 1 to 128.
    pub number: u32,
    /// What it is for, as the Discoverable Partitions Specification lists them.
    pub type_guid: Uuid,
    /// Which one it is.
    pub guid: Uuid,
    /// Where it begins, in units of 512 bytes.
    pub first_lba: u64,
    /// Its last unit of 512 bytes, still part of it.
    pub last_lba: u64,
    /// Attribute bits; 60 is read-only, 63 no automatic mount, 59 grows its file system.
    pub attributes: u64,
    /// Its label.
    pub name: String,
}

impl Partition {
    /// Where it begins on the disk, in bytes.
    pub fn offset(&self) -> u64 {
        self.first_lba.saturating_mul(SECTOR)
    }

    /// How long it is, in bytes.
    pub fn size(&self) -> u64 {
        self.last_lba.saturating_sub(self.first_lba).saturating_add(1).saturating_mul(SECTOR)
    }
}

/// Why a table cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk is no whole number of sectors, or has no room for a table.
    #[error(
        "a disk of `{length}` bytes cannot hold a partition table: it takes whole sectors of `{sector_size}` bytes, \
         {} at least", Places::of(*sector_size).least()
    )]
    Disk {
        /// Its length, in bytes.
        length: u64,
        /// The size of its sectors, in bytes.
        sector_size: u64,
    },
    /// A partition breaks a rule.
    #[error("partition {number} `{}`: {fault}", name.escape_debug())]
    Partition {
        /// Its number.
        number: u32,
        /// Its name.
        name: String,
        /// The rule.
        fault: Fault,
    },
    /// The effect failed.
    #[error("writing the partition table failed")]
    Io(#[from] io::Error),
}

/// What is wrong with a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The number is not 1 to 128.
    Number,
    /// Another partition has the number.
    NumberTaken,
    /// Another partition has the GUID.
    GuidTaken(Uuid),
    /// The type is the one of an unused entry.
    Unused,
    /// The name is longer than 36 UTF-16 units, or holds a NUL.
    Name(usize),
    /// It ends before it begins, or lies where no partition may.
    Range {
        /// Its first unit of 512 bytes.
        first_lba: u64,
        /// Its last one.
        last_lba: u64,
        /// The first one that a partition of this disk may use.
        first_usable: u64,
        /// The last one.
        last_usable: u64,
    },
    /// It does not begin and end with a sector of so many bytes.
    Unaligned(u64),
    /// It shares sectors with another partition, named by its number.
    Overlaps(u32),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number => write!(f, "the number is not between 1 and {ENTRIES}"),
            Self::NumberTaken => write!(f, "the number is taken"),
            Self::GuidTaken(guid) => write!(f, "the guid `{guid}` is taken"),
            Self::Unused => write!(f, "the type is the one of an unused entry"),
            Self::Name(units) if *units <= NAME_UNITS => write!(f, "the name holds a NUL"),
            Self::Name(units) => {
                write!(
                    f,
                    "the name has `{units}` UTF-16 units, and a partition table has room for {NAME_UNITS}"
                )
            }
            Self::Range { first_lba, last_lba, first_usable, last_usable } => write!(
                f,
                "sectors `{first_lba}` to `{last_lba}` do not lie inside `{first_usable}` to `{last_usable}`"
            ),
            Self::Unaligned(size) => write!(f, "it does not begin and end with a sector of `{size}` bytes"),
            Self::Overlaps(other) => write!(f, "shares sectors with partition {other}"),
        }
    }
}

/// Where things lie on a disk, by the size of its sectors.
#[derive(Debug, Clone, Copy)]
struct Places {
    /// The size of a sector, in bytes.
    sector: u64,
    /// How many units of 512 bytes a sector has.
    units: u64,
    /// The sectors of one array of entries.
    entries: u64,
}

impl Places {
    fn of(sector: u64) -> Self {
        let sector = if sector == LARGE_SECTOR { LARGE_SECTOR } else { SECTOR };
        Self { sector, units: sector / SECTOR, entries: (u64::from(ENTRIES * ENTRY)).div_ceil(sector) }
    }

    /// The first unit a partition may use: after MBR, header and entries.
    fn first_usable(self) -> u64 {
        (2 + self.entries) * self.units
    }

    /// The last unit a partition may use on a disk of so many sectors.
    fn last_usable(self, sectors: u64) -> u64 {
        (sectors - self.entries - 1) * self.units - 1
    }

    /// The fewest sectors a disk has.
    fn least(self) -> u64 {
        2 + 2 * self.entries + 1 + 1
    }
}

/// Writes a table to a disk: protective MBR, primary and backup. The disk has the
/// length it shall have; what lies in partitions is not touched.
///
/// # Errors
/// Fails when the table breaks a rule, before anything is written, or when
/// writing does.
pub fn write<D: Read + Write + Seek + fmt::Debug>(table: &Table, disk: &mut D) -> Result<(), WriteError> {
    let length = disk.seek(SeekFrom::End(0))?;
    let places = Places::of(table.sector_size);
    let (sector, block) = match places.sector {
        LARGE_SECTOR => (LARGE_SECTOR, LogicalBlockSize::Lb4096),
        _ => (SECTOR, LogicalBlockSize::Lb512),
    };
    if table.sector_size != sector || !length.is_multiple_of(sector) || length / sector < places.least() {
        return Err(WriteError::Disk { length, sector_size: table.sector_size });
    }
    let sectors = length / sector;
    check(table, places.last_usable(sectors)).map_err(|(at, fault)| {
        let Partition { number, name, .. } = &table.partitions[at];
        WriteError::Partition { number: *number, name: name.clone(), fault }
    })?;

    let mut headers = HeaderBuilder::new();
    headers.disk_guid(table.guid).backup_lba(sectors - 1).num_parts(ENTRIES).part_size(ENTRY);
    let mut primary = headers.primary(true).build(block).map_err(header_error)?;
    let mut backup = headers.primary(false).build(block).map_err(header_error)?;
    for start in [primary.part_start, backup.part_start] {
        // The crate writes used entries only; what was there before must go.
        disk.seek(SeekFrom::Start(start * sector))?;
        disk.write_all(&[0; (ENTRIES * ENTRY) as usize])?;
        for partition in &table.partitions {
            let entry = ::gpt::partition::Partition {
                part_type_guid: partition.type_guid.into(),
                part_guid: partition.guid,
                first_lba: partition.first_lba / places.units,
                last_lba: (partition.last_lba + 1) / places.units - 1,
                flags: partition.attributes,
                name: partition.name.clone(),
            };
            let index = u64::from(partition.number - 1);
            entry.write_to_device(disk, index, start, block, ENTRY)?;
        }
    }
    // Both checksums are computed from the entries as they lie on the disk now.
    backup.write_backup(disk, block).map_err(header_error)?;
    primary.write_primary(disk, block).map_err(header_error)?;
    let protected = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    ProtectiveMBR::with_lb_size(protected).overwrite_lba0(disk).map_err(|e| match e {
        MBRError::Io(e) => e,
        other => io::Error::other(other),
    })?;
    disk.flush()?;
    Ok(())
}

/// The rules of a table, with the index of the partition that breaks one.
fn check(table: &Table, last_usable: u64) -> Result<(), (usize, Fault)> {
    let places = Places::of(table.sector_size);
    let first_usable = places.first_usable();
    let aligned = |unit: u64| unit.is_multiple_of(places.units);
    for (at, partition) in table.partitions.iter().enumerate() {
        let Partition { number, type_guid, guid, first_lba, last_lba, ref name, .. } = *partition;
        let units = name.encode_utf16().count();
        let fault = if !(1..=ENTRIES).contains(&number) {
            Fault::Number
        } else if type_guid.is_nil() {
            Fault::Unused
        } else if units > NAME_UNITS || name.contains('\0') {
            Fault::Name(units)
        } else if first_lba < first_usable || last_lba < first_lba || last_lba > last_usable {
            Fault::Range { first_lba, last_lba, first_usable, last_usable }
        } else if !aligned(first_lba) || !aligned(last_lba + 1) {
            Fault::Unaligned(places.sector)
        } else {
            let shared = table.partitions[..at].iter().find_map(|other| {
                if other.number == number {
                    Some(Fault::NumberTaken)
                } else if other.guid == guid {
                    Some(Fault::GuidTaken(guid))
                } else if first_lba <= other.last_lba && other.first_lba <= last_lba {
                    Some(Fault::Overlaps(other.number))
                } else {
                    None
                }
            });
            let Some(fault) = shared else { continue };
            fault
        };
        return Err((at, fault));
    }
    Ok(())
}

fn header_error(error: HeaderError) -> io::Error {
    match error {
        HeaderError::Io(e) => e,
        other => io::Error::other(other),
    }
}
