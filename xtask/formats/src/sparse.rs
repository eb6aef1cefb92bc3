//! Files with holes: where their data is, and copying them without filling the holes.
//!
//! A disk image is mostly nothing. What is never written takes neither room nor
//! time, so a hole in a source stays a hole in its copy, and blocks of zeros
//! become holes where they are written. A hole and a run of zeros read the same:
//! nothing here decides the bytes of an image, only what they cost.
//!
//! Everything works at given offsets; the files' own positions are of no meaning
//! afterwards.

use std::fs::File;
use std::io::{self, IoSliceMut, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rayon::prelude::*;
use rustix::fs::{FallocateFlags, SeekFrom, copy_file_range, fallocate, ioctl_ficlone, seek};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// The unit in which zeros become holes, in bytes: a page, and a block of every
/// file system an image is likely to lie on.
pub const BLOCK: usize = 4096;

/// How much is read, compared or written at a time, in bytes. For more, the kernel takes memory in the pieces that a
/// virtual machine gives back to its host as soon as they are free, and has to wait for: 400 MB in 1.7 s, not 0.15.
pub const CHUNK: usize = 1 << 20;

/// Where a file holds data inside a range, in order; everything else reads as
/// zeros. The range is cut at the end of the file.
///
/// # Errors
/// Fails as seeking does. A file system that knows no holes is no error: there
/// all is data.
pub fn extents(file: &File, range: Range<u64>) -> io::Result<Vec<Range<u64>>> {
    let end = range.end.min(file.metadata()?.len());
    let mut found = Vec::new();
    let mut at = range.start;
    while at < end {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                found.push(at..end);
                break;
            }
            Err(e) => return Err(e.into()),
        };
        if start >= end {
            break;
        }
        // The file may be cut while it is looked at: always go forward.
        let stop = seek(file, SeekFrom::Hole(start))?.clamp(start + 1, end);
        found.push(start..stop);
        at = stop;
    }
    Ok(found)
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// It has data, which may be zeros.
    Data(Range<u64>),
    /// It reads as zeros, and need not be read.
    Hole(Range<u64>),
}

/// A range of a file in order: where it holds data, in parts of at most `most` bytes, and what lies between. What lies
/// beyond its end is a hole.
///
/// # Errors
/// As [`extents`].
pub fn spans(file: &File, range: Range<u64>, most: usize) -> io::Result<Vec<Span>> {
    let mut found = Vec::new();
    let mut done = range.start;
    for extent in extents(file, range.clone())? {
        if done < extent.start {
            found.push(Span::Hole(done..extent.start));
        }
        let parts = extent.clone().step_by(most);
        found.extend(parts.map(|start| Span::Data(start..extent.end.min(start + most as u64))));
        done = extent.end;
    }
    if done < range.end {
        found.push(Span::Hole(done..range.end));
    }
    Ok(found)
}

/// Reads a span of at most as many bytes as the buffer has.
///
/// # Errors
/// Fails as reading does.
pub fn read<'a>(file: &File, span: Range<u64>, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let length = usize::try_from(span.end - span.start).map_err(io::Error::other)?;
    let part = buffer.get_mut(..length).ok_or(io::ErrorKind::InvalidInput)?;
    file.read_exact_at(part, span.start)?;
    Ok(part)
}

/// Makes an empty file a copy of another. They share blocks where the file system can do that (btrfs, XFS, bcachefs)
/// until one of them is written to; elsewhere the data is copied, and holes stay holes.
///
/// # Errors
/// Fails as reading and writing do.
pub fn copy_file(from: &File, to: &File) -> io::Result<()> {
    if ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    copy(from, 0..from.metadata()?.len(), to, 0)
}

/// Copies a range of one file to an offset of another and keeps its holes. What
/// lies beyond the source's end is a hole. The target reads exactly like the
/// source afterwards, whatever was there before, and is at least as long as the
/// copy needs. What it has already, as far as that is in memory, is not written.
///
/// # Errors
/// Fails as reading and writing do.
pub fn copy(from: &File, range: Range<u64>, to: &File, at: u64) -> io::Result<()> {
    let mut before = Before::new(to, at..at + (range.end - range.start))?;
    if !before.is_known() {
        return copy_anew(from, range, to, at);
    }
    let mut buffer = vec![0; CHUNK];
    for span in spans(from, range.clone(), CHUNK)? {
        let place = |offset: u64| at + (offset - range.start);
        let (part, is_there) = match span {
            Span::Data(data) if before.is_known() => {
                let bytes = read(from, data.clone(), &mut buffer)?;
                let is_there = before.holds(bytes, place(data.start));
                (data, is_there)
            }
            Span::Data(part) | Span::Hole(part) => (part, false),
        };
        if !is_there {
            copy_anew(from, part.clone(), to, place(part.start))?;
        }
    }
    Ok(())
}

/// As [`copy`], and looks at nothing that the target has.
///
/// # Errors
/// Fails as reading and writing do.
pub(crate) fn copy_anew(from: &File, range: Range<u64>, to: &File, at: u64) -> io::Result<()> {
    let before = to.metadata()?.len();
    let needed = at + (range.end - range.start);
    if before < needed {
        to.set_len(needed)?;
    }
    let mut done = range.start;
    let place = |offset: u64| at + (offset - range.start);
    for extent in extents(from, range.clone())? {
        // What lay beyond the target's old end is a hole already.
        punch(to, place(done)..place(extent.start).min(before))?;
        done = extent.end;
        copy_data(from, extent.clone(), to, place(extent.start))?;
    }
    punch(to, place(done)..place(range.end).min(before))
}

/// Whether a range of one file reads as the range of another that begins at an
/// offset. What neither has data for is not read; the rest is compared on all
/// cores. What lies beyond an end counts as zeros.
///
/// # Errors
/// Fails as reading does.
pub fn same(one: &File, range: Range<u64>, other: &File, at: u64) -> io::Result<bool> {
    let ends = (one.metadata()?.len(), other.metadata()?.len());
    let length = range.end - range.start;
    let from_start = |extents: Vec<Range<u64>>, start: u64| {
        extents.into_iter().map(move |extent| extent.start - start..extent.end - start)
    };
    let mut data: Vec<Range<u64>> = from_start(extents(one, range.clone())?, range.start)
        .chain(from_start(extents(other, at..at + length)?, at))
        .flat_map(pieces)
        .collect();
    data.sort_by_key(|piece| piece.start);
    data.dedup();
    let read = |file: &File, offset: u64, end: u64, bytes: &mut [u8]| -> io::Result<()> {
        let inside = usize::try_from(end.saturating_sub(offset)).unwrap_or(bytes.len()).min(bytes.len());
        let (inside, behind) = bytes.split_at_mut(inside);
        behind.fill(0);
        file.read_exact_at(inside, offset)
    };
    let equal = |(mine, theirs): &mut (Vec<u8>, Vec<u8>), piece: Range<u64>| -> io::Result<bool> {
        let count = usize::try_from(piece.end.min(length) - piece.start).unwrap_or(CHUNK);
        mine.resize(count, 0);
        theirs.resize(count, 0);
        read(one, range.start + piece.start, ends.0, mine)?;
        read(other, at + piece.start, ends.1, theirs)?;
        Ok(mine == theirs)
    };
    data.into_par_iter().map_init(Default::default, equal).try_reduce(|| true, |one, other| Ok(one && other))
}

/// The pieces of `CHUNK` bytes that a range touches.
fn pieces(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let size = CHUNK as u64;
    (range.start / size..range.end.div_ceil(size)).map(move |number| number * size..(number + 1) * size)
}

/// Copies bytes inside the kernel where it can, and by hand where not.
fn copy_data(from: &File, range: Range<u64>, to: &File, at: u64) -> io::Result<()> {
    let (mut source, mut target) = (range.start, at);
    while source < range.end {
        let rest = usize::try_from(range.end - source).unwrap_or(usize::MAX).min(1 << 30);
        match copy_file_range(from, Some(&mut source), to, Some(&mut target), rest) {
            Ok(1..) | Err(Errno::INTR) => {}
            // Some file systems answer 0 for what they cannot do.
            Ok(0) | Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                return copy_by_hand(from, source..range.end, to, target);
            }
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

fn copy_by_hand(from: &File, range: Range<u64>, to: &File, mut at: u64) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut source = range.start;
    while source < range.end {
        let rest = usize::try_from(range.end - source).unwrap_or(CHUNK).min(CHUNK);
        from.read_exact_at(&mut buffer[..rest], source)?;
        to.write_all_at(&buffer[..rest], at)?;
        source += rest as u64;
        at += rest as u64;
    }
    Ok(())
}

/// Writes all of a stream at an offset, leaving out whole blocks of zeros, and
/// returns its length in bytes. The range of the file must read as zeros before;
/// the file grows where it is too short.
///
/// # Errors
/// Fails as reading and writing do.
pub fn write(source: &mut impl Read, to: &File, at: u64) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut length = 0;
    loop {
        let filled = fill(source, &mut buffer)?;
        write_nonzero(to, &buffer[..filled], at + length)?;
        length += filled as u64;
        if filled < buffer.len() {
            break;
        }
    }
    if to.metadata()?.len() < at + length {
        to.set_len(at + length)?;
    }
    Ok(length)
}

/// Writes bytes at an offset in as few calls as runs of blocks that are not zero.
/// Where a whole block is zero, the file must read as zeros before.
///
/// # Errors
/// Fails as writing does.
pub(crate) fn write_nonzero(to: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    let mut run = 0..0;
    for start in (0..bytes.len()).step_by(BLOCK) {
        let end = bytes.len().min(start + BLOCK);
        if end - start == BLOCK && is_zero(&bytes[start..end]) {
            to.write_all_at(&bytes[run.clone()], at + run.start as u64)?;
            run = end..end;
        } else {
            run.end = end;
        }
    }
    to.write_all_at(&bytes[run.clone()], at + run.start as u64)
}

/// A file that may hold already what is to be written to it.
#[derive(Debug)]
pub(crate) struct Before<'a> {
    file: &'a File,
    /// How often in a row it was not in memory.
    misses: u32,
}

impl<'a> Before<'a> {
    /// So often in a row, and nobody looks any more.
    const MISSES: u32 = 8;

    /// A range of a file.
    ///
    /// # Errors
    /// As [`extents`].
    pub(crate) fn new(file: &'a File, range: Range<u64>) -> io::Result<Self> {
        let is_empty = extents(file, range)?.is_empty();
        Ok(Self { file, misses: if is_empty { Self::MISSES } else { 0 } })
    }

    /// Whether it is worth looking.
    fn is_known(&self) -> bool {
        self.misses < Self::MISSES
    }

    /// Whether the file reads as these bytes at an offset; false where it is not in memory: to write is faster than to
    /// look on a disk, and looking has the kernel read ahead.
    pub(crate) fn holds(&mut self, bytes: &[u8], at: u64) -> bool {
        let mut buffer = [0; 1 << 16];
        let mut parts = bytes.chunks(buffer.len()).zip((at..).step_by(buffer.len()));
        self.is_known()
            && parts.all(|(part, at)| {
                let read = &mut buffer[..part.len()];
                let found = preadv2(self.file, &mut [IoSliceMut::new(read)], at, ReadWriteFlags::NOWAIT);
                self.misses = if found.is_ok() { 0 } else { self.misses + 1 };
                found == Ok(part.len()) && read == part
            })
    }
}

/// Makes a range of a file read as zeros, giving its room back where the file
/// system can. The file keeps its length.
///
/// # Errors
/// Fails as writing does.
pub fn punch(file: &File, range: Range<u64>) -> io::Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    match fallocate(file, flags, range.start, range.end - range.start) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let end = range.end.min(file.metadata()?.len());
            let zeros = vec![0; CHUNK];
            let mut at = range.start;
            while at < end {
                let rest = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
                file.write_all_at(&zeros[..rest], at)?;
                at += rest as u64;
            }
            Ok(())
        }
        Err(e) => Err(e.into()),
    }
}

/// Whether all bytes are zero.
pub fn is_zero(bytes: &[u8]) -> bool {
    // Compared with itself, one byte further: `memcmp` is the fastest there is.
    bytes.first().is_none_or(|&first| first == 0)
        && (bytes.len() < 2 || bytes[1..] == bytes[..bytes.len() - 1])
}

/// Reads until the buffer is full or the stream ends.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// Two islands of data in 16 MiB of nothing.
    fn islands() -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(16 * MIB).unwrap();
        file.write_all_at(&[1; 8192], MIB).unwrap();
        file.write_all_at(&[2; 100], 9 * MIB).unwrap();
        file
    }

    fn bytes(file: &File) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn holes_are_found_and_cut_to_the_range() {
        let file = islands();
        assert_eq!(extents(&file, 0..16 * MIB).unwrap(), [MIB..MIB + 8192, 9 * MIB..9 * MIB + 4096]);
        let inside = extents(&file, MIB + 4096..10 * MIB).unwrap();
        assert_eq!(inside, [MIB + 4096..MIB + 8192, 9 * MIB..9 * MIB + 4096]);
        assert_eq!(extents(&file, 10 * MIB..99 * MIB).unwrap(), []);
    }

    #[test]
    fn a_file_that_is_another_or_ends_before_holds_nothing_of_it() {
        let file = islands();
        let holds = |bytes: &[u8], at| Before::new(&file, at..16 * MIB).unwrap().holds(bytes, at);
        assert!(!holds(&[1; 8193], MIB));
        assert!(!holds(&[0; 100], 16 * MIB - 50));
        assert!(!holds(&[0; 100], 99 * MIB));
        let mut almost = vec![0; 200_000];
        almost[..8192].fill(1);
        almost[199_999] = 1;
        assert!(!holds(&almost, MIB));
    }

    #[test]
    fn a_copy_reads_the_same_and_takes_no_more_room() {
        let (from, to) = (islands(), tempfile::tempfile().unwrap());
        copy(&from, 0..16 * MIB, &to, 4 * MIB).unwrap();
        assert_eq!(to.metadata().unwrap().len(), 20 * MIB);
        assert_eq!(bytes(&to)[usize::try_from(4 * MIB).unwrap()..], bytes(&from));
        assert!(to.metadata().unwrap().blocks() * 512 < MIB);
    }

    #[test]
    fn a_copy_clears_what_lay_under_the_holes() {
        let (from, to) = (islands(), tempfile::tempfile().unwrap());
        to.write_all_at(&vec![9; 18 << 20], 0).unwrap();
        copy(&from, 0..17 * MIB, &to, MIB / 2).unwrap();
        let mut expected = vec![9; 18 << 20];
        expected[1 << 19..(17 << 20) + (1 << 19)].fill(0);
        expected[1 << 19..(16 << 20) + (1 << 19)].copy_from_slice(&bytes(&from));
        assert!(bytes(&to) == expected);
    }

    #[test]
    fn copying_by_hand_gives_what_the_kernel_gives() {
        let (from, to) = (islands(), tempfile::tempfile().unwrap());
        copy_by_hand(&from, 0..16 * MIB, &to, 0).unwrap();
        assert!(bytes(&to) == bytes(&from));
    }

    #[test]
    fn zeros_of_a_stream_become_holes() {
        let (from, to) = (islands(), tempfile::tempfile().unwrap());
        assert_eq!(write(&mut &bytes(&from)[..], &to, 0).unwrap(), 16 * MIB);
        assert_eq!(extents(&to, 0..16 * MIB).unwrap(), extents(&from, 0..16 * MIB).unwrap());
        assert!(bytes(&to) == bytes(&from));
    }

    #[test]
    fn files_are_the_same_when_they_read_the_same() {
        let (one, other) = (islands(), tempfile::tempfile().unwrap());
        copy(&one, 0..16 * MIB, &other, 3 * MIB + 512).unwrap();
        let same = |range| same(&one, range, &other, 3 * MIB + 512).unwrap();
        assert!(same(0..16 * MIB) && same(0..99 * MIB));
        for at in [0, MIB - 1, MIB, 9 * MIB + 99, 9 * MIB + 100, 16 * MIB - 1] {
            let mut was = [0];
            one.read_exact_at(&mut was, at).unwrap();
            other.write_all_at(&[was[0] ^ 1], 3 * MIB + 512 + at).unwrap();
            assert!(!same(0..16 * MIB), "{at}");
            other.write_all_at(&was, 3 * MIB + 512 + at).unwrap();
        }
        // Zeros that are written are still zeros.
        other.write_all_at(&[0; 9000], 5 * MIB).unwrap();
        assert!(same(0..16 * MIB));
    }

    #[test]
    fn zeros_are_told_from_everything_else() {
        assert!(is_zero(&[]) && is_zero(&[0]) && is_zero(&[0; 4096]));
        assert!(!is_zero(&[1]) && !is_zero(&[1; 9]));
        for at in 0..64 {
            let mut bytes = [0; 64];
            bytes[at] = 1;
            assert!(!is_zero(&bytes));
        }
    }
}
