//! The image that is written: a raw disk or one compressed with zstd, and which of its bytes a device has to have.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use bedplate_formats::bmap::{self, Bmap};
use bedplate_formats::digest::Sha256;
use bedplate_formats::gpt::{END, Table};
use bedplate_formats::sparse::{self, Span, is_zero};
use fs_err as fs;
use zstd::zstd_safe::get_frame_content_size;

use super::ends::Ends;
use crate::error::LocatedError;
use crate::report;

/// How much is read and written at a time, in bytes.
pub const CHUNK: usize = 1 << 20;
/// The unit in which zeros are told from data in what is read, in bytes.
const GRAIN: usize = 64 << 10;
/// How a frame of zstd begins.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// An image, and which of its bytes matter.
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
    file: File,
    is_compressed: bool,
    /// Its size when it is not compressed, in bytes.
    pub size: u64,
    /// Its first mebibyte, and how far away its end is.
    pub ends: Ends,
    /// Its partition table.
    pub table: Table,
    bmap: Option<Bmap>,
    /// A part that is taken from another file.
    replaced: Option<(Range<u64>, File)>,
}

/// What comes next in an image.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// These bytes.
    Data(&'a [u8]),
    /// So many zeros.
    Zeros(u64),
}

impl Content<'_> {
    /// Its length in bytes.
    pub fn length(self) -> u64 {
        match self {
            Self::Data(bytes) => bytes.len() as u64,
            Self::Zeros(length) => length,
        }
    }

    /// A part of it, from its own beginning on.
    #[must_use]
    pub fn part(self, part: Range<u64>) -> Self {
        match self {
            Self::Data(bytes) => {
                let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Self::Data(&bytes[at(part.start)..at(part.end)])
            }
            Self::Zeros(_) => Self::Zeros(part.end - part.start),
        }
    }
}

impl Image {
    /// Opens `image.raw` or `image.raw.zst`, with `image.raw.bmap` where that lies beside it.
    ///
    /// # Errors
    /// It cannot be read, or is no disk.
    pub fn open(path: &Path) -> Result<Self> {
        let file = fs::File::open(path)?.into_parts().0;
        let mut start = vec![0; 64];
        let read =
            file.read_at(&mut start, 0).with_context(|| format!("cannot read `{}`", report::path(path)))?;
        start.truncate(read);
        let is_compressed = start.starts_with(&ZSTD);
        let bmap = bmap_of(path, is_compressed);
        let bmap = match bmap.exists() {
            true => Some(
                Bmap::parse(&fs::read_to_string(&bmap)?)
                    .with_context(|| format!("cannot read the block map `{}`", report::path(&bmap)))?,
            ),
            false => None,
        };
        let size = match is_compressed {
            false => file.metadata()?.len(),
            true => {
                match get_frame_content_size(&start).ok().flatten().or(bmap.as_ref().map(|bmap| bmap.size)) {
                    Some(size) => size,
                    None => {
                        let path = report::path(path);
                        let message = format!("`{path}` does not say how large the image in it is");
                        let help = format!("decompress it first: `zstd -d {path}`");
                        return Err(LocatedError::without_line(message, help).into());
                    }
                }
            }
        };
        if let Some(bmap) = bmap.as_ref().filter(|bmap| bmap.size != size) {
            let map = bmap_of(path, is_compressed);
            let (map, path) = (report::path(&map), report::path(path));
            let message = format!("`{map}` is of an image of {} bytes, and `{path}` has {size}", bmap.size);
            let help = "remove the block map of another build, or fetch the one of this build".to_owned();
            return Err(LocatedError::without_line(message, help).into());
        }
        let mut head = Vec::new();
        let length = size.min(END);
        reader(&file, is_compressed)?
            .take(length)
            .read_to_end(&mut head)
            .with_context(|| format!("cannot read `{}`", report::path(path)))?;
        head.resize(usize::try_from(length).unwrap_or_default(), 0);
        let mut ends = Ends::new(size, head);
        let table =
            ends.table().with_context(|| format!("`{}` is no image of a disk", report::path(path)))?;
        Ok(Self { path: path.to_owned(), file, is_compressed, size, ends, table, bmap, replaced: None })
    }

    /// Where the image lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says which blocks a device has to have, where no block map says it.
    pub fn needs(&mut self, blocks: Vec<(u64, u64)>) {
        let blocks = blocks.into_iter().map(|(first, last)| (first, last, None)).collect();
        self.bmap.get_or_insert(Bmap { size: self.size, block_size: bmap::BLOCK, blocks });
    }

    /// Where the image lies as it is, if it is not compressed.
    pub fn raw(&self) -> Option<&Path> {
        (!self.is_compressed).then_some(self.path.as_path())
    }

    /// Takes a part from a file of its length, which is wanted whole.
    pub fn replace(&mut self, part: Range<u64>, file: File) {
        self.replaced = Some((part, file));
    }

    /// How many bytes a device has to have as the image has them.
    pub fn wanted(&self) -> u64 {
        let length = |range: Range<u64>| range.end - range.start;
        let of_image =
            self.ranges().into_iter().flat_map(|(range, _)| self.kept(range)).map(length).sum::<u64>();
        of_image + self.replaced.iter().map(|(part, _)| length(part.clone())).sum::<u64>()
    }

    /// The ranges that are wanted of the image as it is, with their checksums.
    fn ranges(&self) -> Vec<(Range<u64>, Option<[u8; 32]>)> {
        match &self.bmap {
            Some(bmap) => bmap.ranges().collect(),
            None => vec![(0..self.size, None)],
        }
    }

    /// What is left of a range without the part that is replaced.
    fn kept(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let part = self.replaced.as_ref().map_or(range.end..range.end, |(part, _)| part.clone());
        let before = range.start..range.end.min(part.start);
        let after = range.start.max(part.end)..range.end;
        [before, after].into_iter().filter(|range| range.start < range.end)
    }

    /// Hands all that a device has to have to `each`. What the block map has a checksum of is held against it.
    ///
    /// # Errors
    /// It cannot be read, or is not what the block map is of; those of `each`.
    pub fn read(&self, each: &mut dyn FnMut(u64, Content<'_>) -> Result<()>) -> Result<()> {
        let (mut wanted, ranges) = (Wanted { image: self, at: 0, hash: Sha256::default() }, self.ranges());
        self.contents(&mut |offset, content| {
            wanted.take(&ranges, offset, content, &mut |offset, content| {
                self.kept(offset..offset + content.length()).try_for_each(|kept| {
                    each(kept.start, content.part(kept.start - offset..kept.end - offset))
                })
            })
        })?;
        let Some((part, file)) = &self.replaced else { return Ok(()) };
        raw(file, part.end - part.start, &self.path, &mut |offset, content| {
            each(part.start + offset, content)
        })
    }

    /// Hands everything in the image to `each`, in order.
    fn contents(&self, each: &mut dyn FnMut(u64, Content<'_>) -> Result<()>) -> Result<()> {
        if !self.is_compressed {
            return raw(&self.file, self.size, &self.path, each);
        }
        let failed = || format!("cannot decompress `{}`", report::path(&self.path));
        let mut reader = reader(&self.file, true)?;
        let mut buffer = vec![0; CHUNK];
        let mut offset = 0;
        while offset < self.size {
            let length = usize::try_from(self.size - offset).unwrap_or(CHUNK).min(CHUNK);
            reader.read_exact(&mut buffer[..length]).with_context(failed)?;
            told_apart(offset, &buffer[..length], each)?;
            offset += length as u64;
        }
        // To the end, where the checksum is.
        ensure!(
            reader.read(&mut buffer).with_context(failed)? == 0,
            "`{}` is longer than it says",
            report::path(&self.path)
        );
        Ok(())
    }

    /// A part of the image, as a file of its own: its holes stay holes.
    ///
    /// # Errors
    /// It cannot be read, or the other file written.
    pub fn extract(&self, part: Range<u64>, to: &File) -> Result<()> {
        to.set_len(part.end - part.start)?;
        self.contents(&mut |offset, content| {
            let common = part.start.max(offset)..part.end.min(offset + content.length());
            if common.start < common.end
                && let Content::Data(bytes) = content.part(common.start - offset..common.end - offset)
            {
                to.write_all_at(bytes, common.start - part.start)?;
            }
            Ok(())
        })
    }
}

/// `image.raw.bmap` for `image.raw` and for `image.raw.zst`.
fn bmap_of(path: &Path, is_compressed: bool) -> PathBuf {
    let raw = if is_compressed { path.with_extension("") } else { path.to_owned() };
    let mut name = raw.into_os_string();
    name.push(".bmap");
    name.into()
}

fn reader(file: &File, is_compressed: bool) -> Result<Box<dyn Read + '_>> {
    let start = At { file, offset: 0 };
    Ok(if is_compressed { Box::new(zstd::Decoder::new(start)?) } else { Box::new(start) })
}

/// Reads a file from an offset on, whoever else reads it.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// Hands a file with holes to `each`; holes are not read.
fn raw(
    file: &File,
    size: u64,
    path: &Path,
    each: &mut dyn FnMut(u64, Content<'_>) -> Result<()>,
) -> Result<()> {
    let failed = || format!("cannot read `{}`", report::path(path));
    let mut buffer = vec![0; CHUNK];
    for span in sparse::spans(file, 0..size, CHUNK).with_context(failed)? {
        match span {
            Span::Hole(hole) => each(hole.start, Content::Zeros(hole.end - hole.start))?,
            Span::Data(data) => {
                let start = data.start;
                told_apart(start, sparse::read(file, data, &mut buffer).with_context(failed)?, each)?;
            }
        }
    }
    Ok(())
}

/// Hands bytes to `each`, longer runs of zeros as such.
fn told_apart(offset: u64, bytes: &[u8], each: &mut dyn FnMut(u64, Content<'_>) -> Result<()>) -> Result<()> {
    let (mut at, mut rest) = (offset, bytes);
    while let Some(first) = rest.chunks(GRAIN).next() {
        let zeros = is_zero(first);
        let length = rest.chunks(GRAIN).take_while(|grain| is_zero(grain) == zeros).map(<[u8]>::len).sum();
        let (run, after) = rest.split_at(length);
        each(at, if zeros { Content::Zeros(length as u64) } else { Content::Data(run) })?;
        (at, rest) = (at + length as u64, after);
    }
    Ok(())
}

/// What is wanted of an image, cut out of what comes along.
struct Wanted<'a> {
    image: &'a Image,
    at: usize,
    hash: Sha256,
}

impl Wanted<'_> {
    fn take(
        &mut self,
        ranges: &[(Range<u64>, Option<[u8; 32]>)],
        offset: u64,
        content: Content<'_>,
        each: &mut dyn FnMut(u64, Content<'_>) -> Result<()>,
    ) -> Result<()> {
        let end = offset + content.length();
        while let Some((range, checksum)) = ranges.get(self.at) {
            let common = range.start.max(offset)..range.end.min(end);
            if common.start < common.end {
                let part = content.part(common.start - offset..common.end - offset);
                match part {
                    _ if checksum.is_none() => {}
                    Content::Data(bytes) => self.hash.update(bytes),
                    Content::Zeros(length) => self.hash.zeros(length),
                }
                each(common.start, part)?;
            }
            if range.end > end {
                break;
            }
            self.at += 1;
            let found: [u8; 32] = std::mem::take(&mut self.hash).finish();
            ensure!(
                checksum.is_none_or(|checksum| checksum == found),
                "`{}` is damaged, or not what its block map is of: bytes {} to {} have another checksum",
                report::path(&self.image.path),
                range.start,
                range.end
            );
        }
        Ok(())
    }
}
