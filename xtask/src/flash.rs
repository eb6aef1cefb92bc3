//! Writing an image to a disk, so that the disk is either this image or does not start.
//!
//! ```text
//! both ends are wiped ─► all between them ─► read back, compared ─► backup table ─► first mebibyte ─► compared
//! ```
//!
//! The first mebibyte has the partition table, and the last one its backup, which firmware takes when the first is not
//! there. Without both a disk does not start. They are wiped before anything else is written, and are written again when
//! all between them was read back; so an interrupted write, whenever it ends, leaves no half of an image that starts.
//!
//! An image reads as zeros where its file has holes, and file systems count on it: free clusters in a FAT's table, the
//! blocks of a hash tree, the journal of an ext4 are zeros. So holes are zeroed, and what a disk had there before does
//! not matter. Only what a block map leaves out stays as it is: no file system uses it.

pub mod credential;
pub mod ends;
pub mod host;
pub mod image;
pub mod refusal;
pub mod target;

use anyhow::Result;
use bedplate_formats::gpt::END;

use self::ends::Ends;
use self::image::{Content, Image};
use self::target::{Target, Written};
use crate::error::AdvisedError;
use crate::report::{self, Report, Transfer, bytes};

/// How much is written before it has to be on the disk, in bytes: what is cached is no progress.
const SYNCED: u64 = 64 << 20;

/// The length of a partition table's backup: a header and 128 entries of 128 bytes.
fn backup_length(sector_size: u64) -> u64 {
    sector_size + (128_u64 * 128).next_multiple_of(sector_size)
}

/// Writes an image to a disk whose name is shown as `name`, and reads it back.
///
/// # Errors
/// The image or the disk fails. The disk is then as before, where the error does not say that it is not bootable.
pub fn write(image: &Image, target: &Target, name: &str, report: &Report) -> Result<()> {
    let ends = image.ends.moved(&image.table, target.size)?;
    let backup = backup_length(image.table.sector_size);
    report::leave("the disk is not bootable; write it again");
    write_between(image, backup, target, report).and_then(|()| write_ends(&ends, backup, target)).map_err(|cause| {
        AdvisedError {
            message: format!("cannot write the image to `{name}`, which is not bootable now"),
            cause,
            help: "build or fetch the image anew where it is damaged, and write it again; a disk that fails twice is broken".to_owned(),
        }
    })?;
    report::leave("the disk has the image");
    if target.show_partitions().is_err() {
        report.warn(format_args!(
            "the kernel does not see the new partitions of `{name}` until it is taken out and in again"
        ));
    }
    Ok(())
}

/// Wipes both ends, and writes and compares everything between them.
fn write_between(image: &Image, backup: u64, target: &Target, report: &Report) -> Result<()> {
    let zeros = |offset: u64, end: u64| target.write(offset, Content::Zeros(end.saturating_sub(offset)));
    zeros(0, END.min(target.size))?;
    zeros(target.size.saturating_sub(END), target.size)?;
    // Where the image has its backup table, a larger disk has nothing.
    let end = image.size.saturating_sub(backup);
    zeros(end, image.size)?;
    target.sync()?;

    let mut transfer = Transfer::start(report, "Writing", image.wanted());
    let (mut written, mut data, mut cached) = (Vec::<Written>::new(), 0, 0);
    image.read(&mut |offset, content| {
        let between = offset.max(END)..end.min(offset + content.length()).max(offset.max(END));
        transfer.advance(content.length() - (between.end - between.start).min(content.length()));
        let mut at = between.start;
        while at < between.end {
            // Zeros come in any length.
            let next = between.end.min(at + SYNCED);
            let piece = content.part(at - offset..next - offset);
            target.write(at, piece)?;
            let piece_written = Written::of(at, piece);
            if !written.last_mut().is_some_and(|last| last.takes(&piece_written)) {
                written.push(piece_written);
            }
            if let Content::Data(bytes) = piece {
                data += bytes.len() as u64;
                cached += bytes.len() as u64;
            }
            if cached >= SYNCED {
                target.sync()?;
                cached = 0;
            }
            transfer.advance(next - at);
            at = next;
        }
        Ok(())
    })?;
    target.sync()?;
    let what = format!("{} of data, {}", bytes(data), transfer.speed(data));
    transfer.done("Written", &what);

    let total = written.iter().map(Written::length).sum();
    let mut transfer = Transfer::start(report, "Comparing", total);
    target.compare(&written, |count| transfer.advance(count))?;
    let what = format!("{} read back, {}", bytes(total), transfer.speed(total));
    transfer.done("Compared", &what);
    Ok(())
}

/// Writes the partition table's backup and the first mebibyte, and compares them.
fn write_ends(ends: &Ends, backup: u64, target: &Target) -> Result<()> {
    let backup = usize::try_from(backup).unwrap_or(usize::MAX).min(ends.tail.len());
    let backup = &ends.tail[ends.tail.len() - backup..];
    let parts = [(target.size - backup.len() as u64, Content::Data(backup)), (0, Content::Data(&ends.head))];
    for (offset, content) in parts {
        target.write(offset, content)?;
        target.sync()?;
    }
    target.compare(&parts.map(|(offset, content)| Written::of(offset, content)), |_| ())
}

#[cfg(test)]
mod tests;
