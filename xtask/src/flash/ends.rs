//! The first and the last mebibyte of a disk, in memory: where its partition table and the backup of it lie.
//!
//! A disk is started by what is in these two, so they are written last, and apart from each other.

use std::io::{self, Read, Seek, SeekFrom, Write};

use anyhow::{Context as _, Result};
use bedplate_formats::gpt::{self, END};

/// Both ends of a disk; what lies between them cannot be read.
#[derive(Debug, Clone)]
pub struct Ends {
    length: u64,
    position: u64,
    /// The first mebibyte.
    pub head: Vec<u8>,
    /// The last mebibyte, or what there is of it behind the first one.
    pub tail: Vec<u8>,
}

impl Ends {
    /// The ends of a disk of so many bytes that begins with `head`, its end being empty.
    pub fn new(length: u64, head: Vec<u8>) -> Self {
        let tail = length.saturating_sub(head.len() as u64).min(END);
        Self { length, position: 0, head, tail: vec![0; usize::try_from(tail).unwrap_or_default()] }
    }

    /// The table at the beginning.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub fn table(&mut self) -> Result<gpt::Table, gpt::GptError> {
        gpt::read_either(self)
    }

    /// The ends of a disk of another length with this table: the backup at its end, and the first sector for its
    /// length. What else is at the beginning stays.
    ///
    /// # Errors
    /// The disk cannot hold the table.
    pub fn moved(&self, table: &gpt::Table, length: u64) -> Result<Self> {
        let mut moved = Self::new(length, self.head.clone());
        gpt::write(table, &mut moved).context("cannot lay out the partition table for this disk")?;
        Ok(moved)
    }

    /// Where the last end begins.
    pub fn tail_start(&self) -> u64 {
        self.length - self.tail.len() as u64
    }

    /// The bytes from the position to the end of their end.
    fn here(&mut self) -> io::Result<&mut [u8]> {
        let (start, head) = (self.tail_start(), self.head.len() as u64);
        let (end, from) = match self.position {
            at if at < head => (&mut self.head, at),
            at if at >= start => (&mut self.tail, at - start),
            at => return Err(io::Error::other(format!("offset `{at}` is at neither end of the disk"))),
        };
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(end.len());
        Ok(&mut end[from..])
    }
}

impl Read for Ends {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&*self.here()?).read(buffer)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Write for Ends {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.here()?.write(bytes)?;
        self.position += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Ends {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_moves_to_the_end_of_a_larger_disk() {
        let image = 4 * END;
        let partition = gpt::Partition {
            number: 1,
            type_guid: uuid::Uuid::from_u128(1),
            guid: uuid::Uuid::from_u128(2),
            first_lba: 2048,
            last_lba: 4095,
            attributes: 0,
            name: "root".to_owned(),
        };
        let table =
            gpt::Table { guid: uuid::Uuid::from_u128(3), sector_size: 512, partitions: vec![partition] };
        let mut disk = io::Cursor::new(vec![0; usize::try_from(image).unwrap()]);
        gpt::write(&table, &mut disk).unwrap();
        let head = disk.get_ref()[..1 << 20].to_vec();
        let mut ends = Ends::new(image, head);
        assert_eq!(ends.table().unwrap(), table);

        let moved = ends.moved(&table, 9 * END + 512).unwrap();
        let mut larger = vec![0; 9 << 20 | 512];
        larger[..1 << 20].copy_from_slice(&moved.head);
        larger[8 << 20 | 512..].copy_from_slice(&moved.tail);
        let mut expected = io::Cursor::new(vec![0; 9 << 20 | 512]);
        gpt::write(&table, &mut expected).unwrap();
        assert!(larger == expected.into_inner());
        assert_eq!(gpt::read(&mut io::Cursor::new(larger)).unwrap(), table);
    }

    #[test]
    fn a_table_that_has_no_room_is_refused() {
        let mut ends = Ends::new(4 * END, vec![0; 1 << 20]);
        assert!(ends.table().is_err());
        let table = gpt::Table { guid: uuid::Uuid::from_u128(3), sector_size: 512, partitions: Vec::new() };
        assert!(ends.moved(&table, 4 * END + 1).is_err());
    }
}
