//! The disk as a smaller file to fetch, and what of it a device has to have.

use std::fs::File;
use std::io::{Read as _, Write};
use std::ops::Range;

use anyhow::{Context as _, Result};
use bedplate_core::plan::{ArtifactNames, DiskPlan};
use bedplate_formats::bmap::{BLOCK, Bmap};
use bedplate_formats::gpt::END;
use bedplate_formats::region::Region;
use bedplate_formats::sparse::{self, Span};
use bedplate_formats::{digest, used};
use camino::Utf8Path;
use fs_err as fs;
use rayon::prelude::*;

use crate::report::path;
use crate::step::disk;

/// How hard zstd tries. At 9 it takes four times as long, and the file is a fortieth smaller: what is large in an image is
/// compressed already.
const LEVEL: i32 = 3;

/// Which blocks of a built disk a device has to have: first and last of each range, in order.
///
/// The holes of the file are no answer: free clusters in a FAT's table and the zeros of a journal are holes, and have to
/// be zeros on the device. What may be anything is what a file system does not use, and what a partition has behind its
/// file system.
///
/// # Errors
/// An artifact cannot be read.
pub fn needed(planned: &DiskPlan, names: &ArtifactNames, out: &Utf8Path) -> Result<Vec<(u64, u64)>> {
    let size = fs::metadata(out.join(&names.disk))?.len();
    let mut ranges: Vec<Range<u64>> = vec![0..END.min(size), size.saturating_sub(END)..size];
    for (partition, artifact) in disk::artifacts(planned, names) {
        let content = Region::of(fs::File::open(out.join(artifact))?.into_parts().0)?;
        let used =
            used::used(&content).with_context(|| format!("cannot read `{}`", path(&out.join(artifact))))?;
        let used = used.unwrap_or_else(|| std::iter::once(0..content.len()).collect());
        ranges
            .extend(used.into_iter().map(|used| partition.offset + used.start..partition.offset + used.end));
    }
    ranges.sort_by_key(|range| range.start);
    let mut blocks: Vec<(u64, u64)> = Vec::new();
    for range in ranges.into_iter().filter(|range| range.start < range.end) {
        let (first, last) = (range.start / BLOCK, range.end.div_ceil(BLOCK) - 1);
        match blocks.last_mut() {
            Some((_, before)) if first <= *before + 1 => *before = last.max(*before),
            _ => blocks.push((first, last)),
        }
    }
    Ok(blocks)
}

/// The map of these blocks, with their checksums.
///
/// # Errors
/// An artifact cannot be read.
pub fn map(planned: &DiskPlan, names: &ArtifactNames, out: &Utf8Path) -> Result<Bmap> {
    let disk = fs::File::open(out.join(&names.disk))?;
    let (size, blocks) = (disk.metadata()?.len(), needed(planned, names, out)?);
    // Long ranges in parts: one is hashed by one core, and of a damaged download less is in doubt.
    let part = (64 << 20) / BLOCK;
    let parts = blocks.into_iter().flat_map(|(first, last)| {
        (first..=last)
            .step_by(usize::try_from(part).unwrap_or(1))
            .map(move |at| (at, last.min(at + part - 1)))
    });
    let parts: Vec<(u64, u64)> = parts.collect();
    let hashed = |(first, last): (u64, u64)| {
        let range = first * BLOCK..size.min((last + 1) * BLOCK);
        Ok((first, last, Some(digest::sha256_range(disk.file(), range)?)))
    };
    let blocks =
        parts.into_par_iter().map(hashed).collect::<std::io::Result<_>>().context("hashing the disk")?;
    Ok(Bmap { size, block_size: BLOCK, blocks })
}

/// Writes a disk compressed with zstd, whose holes are not read. The bytes are the same on any number of processors.
///
/// # Errors
/// It cannot be read, or the other file written.
pub fn write(disk: &Utf8Path, to: &File) -> Result<()> {
    let from = fs::File::open(disk)?;
    let size = from.metadata()?.len();
    let mut encoder = zstd::Encoder::new(to, LEVEL)?;
    encoder.set_pledged_src_size(Some(size))?;
    encoder.include_contentsize(true)?;
    encoder.include_checksum(true)?;
    // Without workers the bytes are others than with one; two make the same as sixteen.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    encoder.multithread(u32::try_from(processors).unwrap_or(1))?;
    let failed = || format!("cannot compress `{}`", path(disk));
    let mut buffer = vec![0; 1 << 20];
    for span in sparse::spans(from.file(), 0..size, buffer.len()).with_context(failed)? {
        match span {
            Span::Hole(hole) => zeros(&mut encoder, hole.end - hole.start),
            Span::Data(data) => {
                sparse::read(from.file(), data, &mut buffer).and_then(|part| encoder.write_all(part))
            }
        }
        .with_context(failed)?;
    }
    encoder.finish().with_context(failed)?;
    Ok(())
}

fn zeros(to: &mut impl Write, count: u64) -> std::io::Result<()> {
    std::io::copy(&mut std::io::repeat(0).take(count), to).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn a_disk_comes_back_and_its_holes_cost_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Utf8Path::from_path(directory.path()).unwrap().join("image.raw");
        let file = File::create(&disk).unwrap();
        file.set_len(256 << 20).unwrap();
        file.write_all_at(&[7; 9000], 5 << 20).unwrap();
        let to = directory.path().join("image.raw.zst");
        write(&disk, &File::create(&to).unwrap()).unwrap();
        let compressed = std::fs::read(&to).unwrap();
        assert!(compressed.len() < 64 << 10, "{}", compressed.len());
        assert!(zstd::decode_all(&compressed[..]).unwrap() == std::fs::read(&disk).unwrap());
        write(&disk, &File::create(&to).unwrap()).unwrap();
        assert!(std::fs::read(&to).unwrap() == compressed);
    }
}
