//! A part of a disk: a file or bytes, from here to there.
//!
//! What a reader asks for is checked against the part's end before anything is
//! allocated, so no number on a disk makes it read elsewhere or ask for memory
//! that its own length does not justify. Reads are at offsets; a region has no
//! position and is shared freely.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// A part of a file, or of bytes in memory.
#[derive(Debug, Clone)]
pub struct Region {
    source: Source,
    start: u64,
    len: u64,
}

#[derive(Debug, Clone)]
enum Source {
    File(Arc<File>),
    Bytes(Arc<[u8]>),
}

impl Region {
    /// All of a file.
    ///
    /// # Errors
    /// Fails when the length cannot be asked for.
    pub fn of(mut file: File) -> io::Result<Self> {
        // Also right for a block device, whose metadata says 0.
        let len = file.seek(SeekFrom::End(0))?;
        Ok(Self { source: Source::File(Arc::new(file)), start: 0, len })
    }

    /// A range of a file, which is not looked at before it is read. Parts of one file share it.
    pub fn of_range(file: Arc<File>, range: Range<u64>) -> Self {
        let len = range.end.saturating_sub(range.start);
        Self { source: Source::File(file), start: range.start, len }
    }

    /// How long it is, in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a length in bytes, not a collection")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// A part of it.
    ///
    /// # Errors
    /// Fails when it ends before the part does.
    pub fn part(&self, range: Range<u64>) -> io::Result<Self> {
        if range.start > range.end || range.end > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self {
            source: self.source.clone(),
            start: self.start + range.start,
            len: range.end - range.start,
        })
    }

    /// Fills a buffer from an offset on.
    ///
    /// # Errors
    /// Fails when it ends before the buffer does, or reading does.
    pub fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let part = self.part(offset..offset.saturating_add(into.len() as u64))?;
        match &self.source {
            Source::File(file) => file.read_exact_at(into, part.start),
            Source::Bytes(bytes) => {
                let start = usize::try_from(part.start).map_err(io::Error::other)?;
                into.copy_from_slice(&bytes[start..start + into.len()]);
                Ok(())
            }
        }
    }

    /// Reads so many bytes from an offset on.
    ///
    /// # Errors
    /// Fails when it ends before they do, or reading does.
    pub fn read(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        self.part(offset..offset.saturating_add(len))?;
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        self.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// The same, into an array.
    pub(crate) fn array<const N: usize>(&self, offset: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// A reader of it from its beginning.
    pub fn reader(&self) -> Reader {
        Reader { region: self.clone(), position: 0 }
    }
}

impl From<Vec<u8>> for Region {
    fn from(bytes: Vec<u8>) -> Self {
        Self { len: bytes.len() as u64, start: 0, source: Source::Bytes(bytes.into()) }
    }
}

/// A region with a position in it.
#[derive(Debug, Clone)]
pub struct Reader {
    region: Region,
    position: u64,
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = self.region.len.saturating_sub(self.position);
        let count = usize::try_from(rest).unwrap_or(usize::MAX).min(into.len());
        self.region.read_at(self.position.min(self.region.len), &mut into[..count])?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = sought(to, self.position, self.region.len)?;
        Ok(self.position)
    }
}

/// Where [`Seek::seek`] leads in what is so long, from a position.
///
/// # Errors
/// Before the beginning, or beyond every number.
pub fn sought(to: SeekFrom, position: u64, len: u64) -> io::Result<u64> {
    let place = match to {
        SeekFrom::Start(offset) => Some(offset),
        SeekFrom::End(by) => len.checked_add_signed(by),
        SeekFrom::Current(by) => position.checked_add_signed(by),
    };
    place.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// A little-endian number of `N` bytes, at most eight, where there is one.
pub(crate) fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(N)?)?;
    Some(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_beyond_a_part_is_read() {
        let region = Region::from(b"0123456789".to_vec());
        let part = region.part(2..6).unwrap();
        assert_eq!(part.read(1, 3).unwrap(), b"345");
        assert!(part.read(1, 4).is_err());
        assert!(part.read(u64::MAX, 2).is_err());
        assert!(part.part(0..5).is_err() && region.part(7..11).is_err());
        let mut all = Vec::new();
        part.reader().read_to_end(&mut all).unwrap();
        assert_eq!(all, b"2345");
        let mut reader = part.reader();
        reader.seek(SeekFrom::End(-1)).unwrap();
        assert_eq!(reader.read(&mut [0; 8]).unwrap(), 1);
        reader.seek(SeekFrom::Start(99)).unwrap();
        assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn a_range_of_a_file_is_read_where_it_lies() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "0123456789").unwrap();
        let file = Arc::new(File::open(path).unwrap());
        let region = Region::of_range(Arc::clone(&file), 3..7);
        assert_eq!(region.read(1, 3).unwrap(), b"456");
        assert!(region.read(1, 4).is_err());
        assert!(Region::of_range(file, 8..12).read(0, 4).is_err());
    }

    #[test]
    fn a_number_is_inside_its_bytes() {
        assert_eq!(number::<2>(&[1, 2, 3], 1), Some(0x0302));
        assert_eq!(number::<2>(&[1, 2, 3], 2), None);
        assert_eq!(number::<2>(&[1, 2, 3], usize::MAX), None);
    }
}
