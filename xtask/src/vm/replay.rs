//! A disk as it is when the power is cut at any write.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use bedplate::vm::Vm;
//!
//! let mut guest = Vm::new("build/edge/image.raw".as_ref()).log_writes().start()?;
//! guest.check("sync")?;
//! let before = guest.logged()?;
//! guest.check("echo new >/local/setting.new && sync /local/setting.new && mv /local/setting.new /local/setting")?;
//! guest.check("sync")?;
//! let mut replay = guest.kill()?.replay()?;
//! let mut number = 0_u32;
//! for at in before..=replay.entries().len() {
//!     let cut = replay.cut(at, || {
//!         number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
//!         number >> 16
//!     });
//!     cut.write("cut.raw".as_ref())?;
//!     assert!(!Vm::boot("cut.raw")?.check("cat /local/setting")?.is_empty());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! QEMU's `blklogwrites` logs beneath the guest's disk, in the format of Linux's `dm-log-writes`, in numbers of little
//! endian:
//!
//! ```text
//! sector 0     magic, version, number of entries, bytes of a sector
//! then, each   first sector, number of sectors, flags, 0; the next sectors: what was written
//! ```
//!
//! A disk has a cache: of what was written after the last flush, any sectors may be on it when the power goes, in any
//! order. One sector is whole or not at all. What a discard leaves is undefined in general; here it is zeros.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bedplate_formats::region::sought;
use bedplate_formats::sparse;

use super::work::Work;
use super::{Vm, WORK};

/// The log in the work directory, and the overlay that the guest writes to meanwhile.
pub(super) const LOG: &str = "writes.log";
const OVERLAY: &str = "logged.qcow2";
/// The smallest part of a write that a power cut leaves, in bytes.
const SECTOR: u64 = 512;
/// How the log begins: `jsfwshr`, in ASCII from the last byte on.
const MAGIC: u64 = 0x006a_7366_7773_6872;
/// Bits of an entry's flags; every other is no concern of a disk's content.
const FLUSH: u64 = 1;
const THROUGH: u64 = 2;
const DISCARD: u64 = 4;
/// How much is copied at a time, in bytes.
const CHUNK: u64 = 1 << 20;

/// What a guest did to its disk, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it was.
    pub action: Action,
    /// Where on the disk, in bytes; empty for a flush.
    pub range: Range<u64>,
    /// Where in the log the bytes are.
    data: u64,
}

/// The kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Bytes went to the disk's cache.
    Write,
    /// Bytes went to the disk itself ("force unit access").
    WriteThrough,
    /// A range is not needed any more.
    Discard,
    /// Everything before it went to the disk itself.
    Flush,
}

/// The log of a machine that is off, and its disk as it was when the log was begun.
#[derive(Debug)]
pub struct Replay {
    base: Arc<File>,
    log: Arc<File>,
    size: u64,
    entries: Vec<Entry>,
    /// How many entries are on the disk itself in `durable`.
    flushed: usize,
    durable: Extents,
    /// Flushes that do nothing.
    unheeded: Range<usize>,
    /// Both files are in it.
    _work: Work,
}

/// A disk whose power was cut: read like a file, or [written](Cut::write) to one.
#[derive(Debug, Clone)]
pub struct Cut {
    base: Arc<File>,
    log: Arc<File>,
    size: u64,
    extents: Extents,
    position: u64,
}

/// Where the bytes of a range come from. Two cuts of one replay have the same bytes where their origins are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(Vec<(Range<u64>, Source)>);

/// Where bytes come from that do not come from the disk as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// From the log, at this offset.
    Log(u64),
    Zeros,
}

/// Ranges of the disk by their start: their end, and where they come from. They do not overlap.
#[derive(Debug, Clone, Default)]
struct Extents(BTreeMap<u64, (u64, Source)>);

impl Vm {
    /// What the guest wrote since [`Vm::log_writes`], to be cut anywhere.
    ///
    /// # Errors
    ///
    /// When nothing was logged, or the log is damaged.
    pub fn replay(mut self) -> Result<Replay> {
        ensure!(
            self.logged && self.work.is_some(),
            "no writes were logged: call `.log_writes()` before the start"
        );
        let log = fs_err::File::open(self.log()?)?.into_parts().0;
        let entries = entries(&log).context("could not read the log of writes")?;
        let base = fs_err::File::open(self.flat_disk()?)?.into_parts().0;
        let size = base.metadata()?.len();
        let beyond = entries.iter().position(|entry| entry.range.end > size);
        if let Some(number) = beyond {
            bail!("entry {number} of the log of writes lies beyond the disk's end");
        }
        let work = self.work.take().context("the machine was not prepared")?;
        let (base, log) = (Arc::new(base), Arc::new(log));
        Ok(Replay {
            base,
            log,
            size,
            entries,
            flushed: 0,
            durable: Extents::default(),
            unheeded: 0..0,
            _work: work,
        })
    }

    /// Makes what QEMU needs to log, unless an earlier start has: the disk stays as it is, under a new overlay.
    pub(super) fn prepare_log(&mut self) -> Result<()> {
        if self.log()?.exists() {
            return Ok(());
        }
        self.flatten()?;
        self.make_overlay(&format!("{WORK}/{}.raw", self.name()?), OVERLAY, None)?;
        fs_err::File::create(self.log()?)?;
        Ok(())
    }

    /// QEMU's description of a disk whose writes are logged.
    pub(super) fn logged_drive(&self) -> String {
        // A log that goes on has its sectors already.
        let begun = self.log().and_then(|log| Ok(fs_err::metadata(log)?.len() > 0)).unwrap_or_default();
        let log = if begun { "log-append=on".to_owned() } else { format!("log-sector-size={SECTOR}") };
        // The number of entries is right after each, wherever the machine is killed.
        format!(
            "driver=blklogwrites,file.driver=qcow2,file.file.driver=file,file.file.filename={WORK}/{OVERLAY},\
             log.driver=file,log.filename={WORK}/{LOG},log-super-update-interval=1,{log}"
        )
    }

    /// Where the log is.
    pub(super) fn log(&self) -> Result<PathBuf> {
        Ok(self.work()?.join(LOG))
    }
}

impl Replay {
    /// What the guest did, in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The disk when the power is cut before entry `at`: all that was flushed, and of what was written since then what
    /// chance leaves. `random` gives evenly distributed numbers: of a write, all sectors are there, or none, or each
    /// with the chance of a coin. Many cuts are made fastest in the order of `at`.
    #[must_use]
    pub fn cut(&mut self, at: usize, mut random: impl FnMut() -> u32) -> Cut {
        let at = at.min(self.entries.len());
        let before = &self.entries[..at];
        let heeded = |at: &usize| before[*at].action == Action::Flush && !self.unheeded.contains(at);
        let flush = (0..at).rev().find(heeded).map_or(0, |flush| flush + 1);
        if flush < self.flushed {
            (self.flushed, self.durable) = (0, Extents::default());
        }
        for entry in &self.entries[self.flushed..flush] {
            self.durable.apply(entry);
        }
        self.flushed = flush;
        let mut extents = self.durable.clone();
        for entry in &before[flush..] {
            match (entry.action, random() % 3) {
                (Action::Flush, _) | (Action::Write | Action::Discard, 0) => {}
                (Action::Write, 1) => {
                    let sectors = (entry.range.end - entry.range.start) / SECTOR;
                    for sector in (0..sectors).filter(|_| random().is_multiple_of(2)) {
                        let start = entry.range.start + sector * SECTOR;
                        extents.put(start..start + SECTOR, Source::Log(entry.data + sector * SECTOR));
                    }
                }
                _ => extents.apply(entry),
            }
        }
        Cut { base: self.base.clone(), log: self.log.clone(), size: self.size, extents, position: 0 }
    }

    /// Lets the disk take no notice of the flushes among these entries, as if the guest had left them out: a test that
    /// finds no fault then does not look.
    #[must_use]
    pub fn without_flushes(self, among: Range<usize>) -> Self {
        Self { unheeded: among, flushed: 0, durable: Extents::default(), ..self }
    }
}

impl Cut {
    /// Where the bytes of a range come from.
    #[must_use]
    pub fn origin(&self, range: Range<u64>) -> Origin {
        Origin(self.extents.within(range).collect())
    }

    /// Writes the disk to a sparse file, which a machine can be started from.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let file = fs_err::File::create(path)?.into_parts().0;
        file.set_len(self.size)?;
        sparse::copy(&self.base, 0..self.size, &file, 0).context("could not copy the disk")?;
        for (range, source) in self.extents.within(0..self.size) {
            match source {
                Source::Zeros => sparse::punch(&file, range)?,
                Source::Log(from) => {
                    let mut at = range.start;
                    while at < range.end {
                        let count = (range.end - at).min(CHUNK);
                        let mut bytes = vec![0; usize::try_from(count)?];
                        self.log.read_exact_at(&mut bytes, from + at - range.start)?;
                        file.write_all_at(&bytes, at)?;
                        at += count;
                    }
                }
            }
        }
        Ok(())
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        self.base.read_exact_at(into, at)?;
        for (range, source) in self.extents.within(at..at + into.len() as u64) {
            let place = |offset: u64| usize::try_from(offset - at).map_err(io::Error::other);
            let part = &mut into[place(range.start)?..place(range.end)?];
            match source {
                Source::Log(from) => self.log.read_exact_at(part, from)?,
                Source::Zeros => part.fill(0),
            }
        }
        Ok(())
    }
}

impl Read for Cut {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.size.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let count = rest.min(into.len());
        self.read_at(&mut into[..count], self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Cut {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = sought(to, self.position, self.size)?;
        Ok(self.position)
    }
}

impl Source {
    fn after(self, bytes: u64) -> Self {
        match self {
            Self::Log(at) => Self::Log(at + bytes),
            Self::Zeros => Self::Zeros,
        }
    }
}

impl Extents {
    fn apply(&mut self, entry: &Entry) {
        match entry.action {
            Action::Write | Action::WriteThrough => self.put(entry.range.clone(), Source::Log(entry.data)),
            Action::Discard => self.put(entry.range.clone(), Source::Zeros),
            Action::Flush => {}
        }
    }

    fn put(&mut self, range: Range<u64>, source: Source) {
        if range.is_empty() {
            return;
        }
        let overlapping: Vec<_> = self.overlapping(range.clone()).collect();
        for (old, from) in overlapping {
            self.0.remove(&old.start);
            if old.start < range.start {
                self.0.insert(old.start, (range.start, from));
            }
            if old.end > range.end {
                self.0.insert(range.end, (old.end, from.after(range.end - old.start)));
            }
        }
        self.0.insert(range.start, (range.end, source));
    }

    /// The parts of a range that are not as they were.
    fn within(&self, range: Range<u64>) -> impl Iterator<Item = (Range<u64>, Source)> {
        self.overlapping(range.clone()).map(move |(part, source)| {
            let start = part.start.max(range.start);
            (start..part.end.min(range.end), source.after(start - part.start))
        })
    }

    fn overlapping(&self, range: Range<u64>) -> impl Iterator<Item = (Range<u64>, Source)> {
        let before = self.0.range(..range.start).next_back().filter(|(_, (end, _))| *end > range.start);
        let whole = |(start, (end, source)): (&u64, &(u64, Source))| (*start..*end, *source);
        before.into_iter().chain(self.0.range(range)).map(whole)
    }
}

/// The number of entries that a log has now.
pub(super) fn count(log: &Path) -> Result<usize> {
    let log = fs_err::File::open(log)?.into_parts().0;
    if log.metadata()?.len() == 0 {
        return Ok(0);
    }
    Ok(header(&log)?.0)
}

/// The number of entries, and the size of a sector in bytes.
fn header(log: &File) -> Result<(usize, u64)> {
    let [magic, version, count, sector] = numbers(log, 0)?;
    ensure!(magic == MAGIC && version == 1, "it is no log of writes");
    let sector = sector & u64::from(u32::MAX);
    ensure!(sector >= SECTOR && sector.is_power_of_two(), "its sectors have {sector} bytes");
    Ok((usize::try_from(count)?, sector))
}

fn entries(log: &File) -> Result<Vec<Entry>> {
    let (count, sector) = header(log)?;
    let (mut found, mut at) = (Vec::new(), sector);
    for number in 0..count {
        let [first, sectors, flags, _] =
            numbers(log, at).with_context(|| format!("it ends in entry {number}"))?;
        let bytes = |sectors: u64| sectors.checked_mul(sector);
        let end = first.checked_add(sectors).and_then(bytes);
        let (Some(start), Some(end)) = (bytes(first), end) else { bail!("entry {number} lies on no disk") };
        let data = at + sector;
        at = data;
        if flags & DISCARD != 0 {
            found.push(Entry { action: Action::Discard, range: start..end, data });
            continue;
        }
        // A flush that comes with a write goes before it.
        if flags & FLUSH != 0 {
            found.push(Entry { action: Action::Flush, range: 0..0, data });
        }
        if start < end {
            let action = if flags & THROUGH != 0 { Action::WriteThrough } else { Action::Write };
            found.push(Entry { action, range: start..end, data });
            at = data.checked_add(end - start).context("an entry has no end")?;
        }
    }
    ensure!(at <= log.metadata()?.len().next_multiple_of(sector), "it ends in what was written last");
    Ok(found)
}

fn numbers(log: &File, at: u64) -> io::Result<[u64; 4]> {
    let mut bytes = [0; 32];
    log.read_exact_at(&mut bytes, at)?;
    let (numbers, _) = bytes.as_chunks::<8>();
    let number = |index: usize| numbers.get(index).map_or(0, |bytes| u64::from_le_bytes(*bytes));
    Ok([number(0), number(1), number(2), number(3)])
}

#[cfg(test)]
mod tests;
