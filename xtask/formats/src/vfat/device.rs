//! The file a file system is written to, as fast and as sparse as it can be.
//!
//! `fatfs` changes four bytes of a FAT per cluster, twice, and reads them back
//! each time: the front of the disk, which holds both FATs, is kept in memory
//! until the end. What lies behind goes to the file in long pieces.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use crate::region::sought;
use crate::sparse::write_nonzero;

/// How many bytes are gathered before they are written.
const PIECE: usize = 1 << 20;
/// How many bytes are read at a time: `fatfs` asks for one to eleven.
const PAGE: usize = 4096;

/// An empty file of a fixed size.
#[derive(Debug)]
pub(super) struct Device<'a> {
    file: &'a File,
    size: u64,
    position: u64,
    /// The front of the disk.
    front: Vec<u8>,
    /// What is to be written, and where.
    piece: Vec<u8>,
    piece_at: u64,
    /// What was last read behind the front, and where.
    page: Vec<u8>,
    page_at: u64,
}

impl<'a> Device<'a> {
    /// Empties the file, gives it its size and keeps so many bytes in memory.
    pub(super) fn new(file: &'a File, size: u64, front: usize) -> io::Result<Self> {
        file.set_len(0)?;
        file.set_len(size)?;
        let front = vec![0; front];
        let (piece, page) = (Vec::new(), Vec::new());
        Ok(Self { file, size, position: 0, front, piece, piece_at: 0, page, page_at: 0 })
    }

    /// Writes everything that is still in memory.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.write_piece()?;
        write_nonzero(self.file, &self.front, 0)
    }

    fn write_piece(&mut self) -> io::Result<()> {
        // Whole blocks of zeros are only ever written where nothing was before:
        // into a cluster that is taken for the first time.
        write_nonzero(self.file, &self.piece, self.piece_at)?;
        self.piece.clear();
        Ok(())
    }

    fn read_page(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let inside = |at: u64, page: &[u8]| (at..at + page.len() as u64).contains(&self.position);
        if !inside(self.page_at, &self.page) {
            self.write_piece()?;
            self.page.resize(PAGE, 0);
            self.page_at = self.position;
            let count = self.file.read_at(&mut self.page, self.position)?;
            self.page.truncate(count);
        }
        let at = usize::try_from(self.position - self.page_at).unwrap_or_default();
        (&self.page[at..]).read(buffer)
    }

    /// The position in the front, if it is there.
    fn in_front(&self) -> Option<usize> {
        usize::try_from(self.position).ok().filter(|&at| at < self.front.len())
    }
}

impl Read for Device<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = if let Some(at) = self.in_front() {
            (&self.front[at..]).read(buffer)?
        } else {
            self.read_page(buffer)?
        };
        self.position += count as u64;
        Ok(count)
    }
}

impl Write for Device<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let bytes = &bytes[..bytes.len().min(left)];
        let count = if let Some(at) = self.in_front() {
            (&mut self.front[at..]).write(bytes)?
        } else {
            self.page.clear();
            let follows = self.piece_at + self.piece.len() as u64 == self.position;
            if !follows || self.piece.len() >= PIECE {
                self.write_piece()?;
            }
            if self.piece.is_empty() {
                self.piece_at = self.position;
            }
            self.piece.extend_from_slice(bytes);
            bytes.len()
        };
        self.position += count as u64;
        Ok(count)
    }

    /// Does nothing: `fatfs` flushes for every file, and `finish` is what counts.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Device<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = sought(to, self.position, self.size)?;
        Ok(self.position)
    }
}
