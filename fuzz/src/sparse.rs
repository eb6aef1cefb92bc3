//! A disk of many sectors, most of them empty, in few bytes.
//!
//! A FAT32 has 33 MiB at least and a partition table lies at both ends of a disk. So
//! an input names the sectors that hold something: four bytes of a number, least
//! first, and the 512 bytes of the sector, one after another.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use bedplate_formats::region::sought;

/// The size of a sector, in bytes.
const SECTOR: usize = 512;

/// The disk, to be read.
#[derive(Debug)]
pub struct Sparse<'a> {
    sectors: BTreeMap<u64, &'a [u8]>,
    length: u64,
    position: u64,
}

impl<'a> Sparse<'a> {
    /// A disk of so many sectors from an input. Numbers beyond the end begin anew, and
    /// a sector that is cut off ends in zeros.
    pub fn new(bytes: &'a [u8], sectors: u64) -> Self {
        let found = bytes.chunks(4 + SECTOR).filter_map(|record| {
            let (number, sector) = record.split_first_chunk::<4>()?;
            Some((u64::from(u32::from_le_bytes(*number)) % sectors, sector))
        });
        Self { sectors: found.collect(), length: sectors * SECTOR as u64, position: 0 }
    }

    /// What `new` reads, from a disk's bytes.
    pub fn encode(disk: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, sector) in (0_u32..).zip(disk.chunks(SECTOR)) {
            if sector.iter().any(|&byte| byte != 0) {
                bytes.extend(number.to_le_bytes());
                bytes.extend(sector);
            }
        }
        bytes
    }
}

impl Read for Sparse<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let within = usize::try_from(self.position % SECTOR as u64).unwrap_or_default();
        let rest = usize::try_from(self.length.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let count = into.len().min(SECTOR - within).min(rest);
        let into = &mut into[..count];
        into.fill(0);
        let sector = self.sectors.get(&(self.position / SECTOR as u64)).and_then(|bytes| bytes.get(within..));
        if let Some(bytes) = sector {
            let known = bytes.len().min(count);
            into[..known].copy_from_slice(&bytes[..known]);
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Sparse<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = sought(to, self.position, self.length)?;
        Ok(self.position)
    }
}
