//! What a device does next whose disk is as it is.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use bedplate::vm::replay::{Cut, Origin};
use bedplate_formats::gpt::{self, Table};
use bedplate_formats::vfat::Volume;

/// Both versions, and where they are.
pub struct Judge {
    old: Vec<u8>,
    new: Vec<u8>,
    /// The table of a new device: what the second slot is made beside.
    shipped: Table,
    /// The labels of the second slot's partitions, and what the update has for them.
    second: Vec<(&'static str, PathBuf)>,
    /// What the second slot was made of when it was looked at, and whether that was the update.
    known: Vec<(Vec<Origin>, bool)>,
}

/// What a device would start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The old version; the new one is not listed.
    Old,
    /// The new version, and the old one is listed behind it.
    New,
}

/// A kernel image on the ESP, by its name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Listed {
    /// systemd-boot puts those without tries last.
    has_tries: bool,
    generation: u64,
    slot: char,
}

impl Judge {
    /// Of the artifacts of the version that is updated, and of the update.
    pub fn new(old: &Path, new: &Path) -> Self {
        let image = |name: &str| new.join(name);
        let kernel = |out: &Path| fs::read(out.join("image.efi")).unwrap();
        Self {
            old: kernel(old),
            new: kernel(new),
            shipped: gpt::read(&mut File::open(old.join("image.raw")).unwrap()).unwrap(),
            second: vec![
                ("root-b", image("image.root-x86-64.raw")),
                ("verity-b", image("image.root-x86-64-verity.raw")),
                ("uki-b", image("image.uki.raw")),
            ],
            known: Vec::new(),
        }
    }

    /// Whether a write goes to what decides about the next start: the partition table, or the ESP.
    pub fn decides(&self, written: &Range<u64>) -> bool {
        let (table, esp) = (0..1 << 20, range(&self.shipped, "esp").unwrap());
        let meets = |one: &Range<u64>| written.start < one.end && one.start < written.end;
        !written.is_empty() && [table, esp].iter().any(meets)
    }

    /// Whether a write goes to the slot that the device was shipped with.
    pub fn is_running_slot(&self, written: &Range<u64>) -> bool {
        ["root-a", "verity-a", "uki-a"].iter().any(|label| {
            let slot = range(&self.shipped, label).unwrap();
            !written.is_empty() && written.start < slot.end && slot.start < written.end
        })
    }

    /// What a device starts next, or why that is not a whole version, or the one before is gone.
    pub fn judge(&mut self, cut: &mut Cut) -> Result<State> {
        let table = gpt::read_either(cut).context("neither copy of the partition table is whole")?;
        for partition in &self.shipped.partitions {
            let found = table.partitions.iter().find(|found| found.number == partition.number);
            // The ESP's id is the device's own, by which the boot loader knows the disk.
            let same = |found: &&gpt::Partition| {
                (&found.name, found.first_lba) == (&partition.name, partition.first_lba)
            };
            ensure!(found.as_ref().is_some_and(same), "`{}` is another partition: {found:?}", partition.name);
        }
        let esp = range(&table, "esp")?;
        let is_image = |name: &str| name.to_ascii_lowercase().ends_with(".efi");
        let mut files = Volume::open(&mut *cut, esp.start)?;
        let files = files.files(&"EFI/Linux".into(), is_image).context("the ESP cannot be read")?;
        let mut listed = Vec::new();
        for (name, content) in &files {
            let entry =
                parse(name).with_context(|| format!("`{name}` is listed, and no name of a slot's"))?;
            // vfat renames with an empty entry first, and systemd-boot passes over what is no executable.
            if entry.slot == 'b' && content.is_empty() {
                continue;
            }
            if entry.slot == 'a' {
                ensure!(*content == self.old, "`{name}` is listed, and is not version 1's kernel image");
            } else {
                let length = content.len();
                ensure!(
                    *content == self.new,
                    "`{name}` is listed, and is not version 2's kernel image: {length} bytes"
                );
                ensure!(self.is_installed(cut, &table)?, "`{name}` is listed, and slot b is not version 2");
            }
            listed.push(entry);
        }
        listed.sort();
        ensure!(
            listed.iter().filter(|entry| entry.slot == 'a').count() == 1,
            "the old version is gone: {listed:?}"
        );
        match listed.last() {
            Some(Listed { has_tries: true, slot: 'a', .. }) if listed.len() == 1 => Ok(State::Old),
            Some(Listed { has_tries: true, slot: 'b', .. }) if listed.len() == 2 => Ok(State::New),
            _ => bail!("what is started next is none that should be: {listed:?}"),
        }
    }

    /// Whether the second slot holds the update.
    fn is_installed(&mut self, cut: &mut Cut, table: &Table) -> Result<bool> {
        let mut places = Vec::new();
        for (label, image) in &self.second {
            let (start, length) = (range(table, label)?.start, fs::metadata(image)?.len());
            places.push((start..start + length, image));
        }
        let origins: Vec<Origin> = places.iter().map(|(range, _)| cut.origin(range.clone())).collect();
        if let Some((_, is)) = self.known.iter().find(|(known, _)| *known == origins) {
            return Ok(*is);
        }
        let mut is = true;
        for (range, image) in places {
            let mut image = File::open(image)?;
            cut.seek(SeekFrom::Start(range.start))?;
            let (mut one, mut other) = (vec![0; 1 << 20], vec![0; 1 << 20]);
            let mut left = range.end - range.start;
            while left > 0 {
                let count = usize::try_from(left.min(1 << 20))?;
                cut.read_exact(&mut one[..count])?;
                image.read_exact(&mut other[..count])?;
                is &= one[..count] == other[..count];
                left -= count as u64;
            }
        }
        self.known.push((origins, is));
        Ok(is)
    }
}

/// Where a partition is, in bytes.
fn range(table: &Table, label: &str) -> Result<Range<u64>> {
    let partition = table.partitions.iter().find(|partition| partition.name == label);
    let partition = partition.with_context(|| format!("there is no partition `{label}`"))?;
    Ok(partition.offset()..partition.offset() + partition.size())
}

/// `bedplate_GENERATION-SLOT[+LEFT-DONE].efi`.
fn parse(name: &str) -> Option<Listed> {
    let name = name.strip_prefix("bedplate_")?.strip_suffix(".efi")?;
    let (name, left) = name.split_once('+').map_or((name, None), |(name, counter)| (name, Some(counter)));
    let (generation, slot) = name.split_once('-')?;
    let slot = match slot {
        "a" => 'a',
        "b" => 'b',
        _ => return None,
    };
    let has_tries = match left {
        Some(counter) => counter.split('-').next()?.parse::<u32>().ok()? > 0,
        None => true,
    };
    Some(Listed { has_tries, generation: generation.parse().ok()?, slot })
}
