//! What there is to tell of an image: the facts of a page of `inspect`, and the
//! whole of its JSON.

use anyhow::{Result, anyhow};
use bedplate_core::Architecture;
use bedplate_core::plan::guid;
use bedplate_formats::gpt::SECTOR;
use bedplate_formats::verity;
use serde::Serialize;
use uuid::Uuid;

use super::{Disk, FileType, Files, Holds, Uki};
use crate::key::digest;

/// The facts of an image.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// The file's name.
    pub name: String,
    /// What it is: `disk`, `uki`, or the type of a file system.
    pub kind: String,
    /// How long it is, in bytes.
    pub size: u64,
    /// The size of a disk's sector, in bytes.
    pub sector_size: Option<u64>,
    /// The disk's id.
    pub guid: Option<Uuid>,
    /// What it is for, from the type of its root or the machine of its kernel image.
    pub architecture: Option<String>,
    /// The partition table.
    pub partitions: Vec<PartitionFacts>,
    /// What the root says of itself; unknown where two can be read.
    pub system: Option<System>,
    /// The slots of a device that can be updated.
    pub slots: Vec<SlotFacts>,
    /// The files of an ESP.
    pub esp: Vec<EspFile>,
    /// The unified kernel image; unknown where there is not exactly one.
    pub uki: Option<UkiFacts>,
}

/// An entry of the partition table.
#[derive(Debug, Clone, Serialize)]
pub struct PartitionFacts {
    /// Its place in the table.
    pub number: u32,
    /// Its label.
    pub label: String,
    /// Its first sector.
    pub start: u64,
    /// Its last sector, still part of it.
    pub end: u64,
    /// How many sectors it has.
    pub sectors: u64,
    /// Its type, in `fdisk`'s words.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The type's GUID.
    pub type_guid: Uuid,
    /// Its id.
    pub guid: Uuid,
    /// The type of its file system.
    pub filesystem: Option<&'static str>,
    /// Whether a hash tree on the disk is its own.
    pub verity: bool,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// Whether its file system grows to its size.
    pub grows: bool,
    /// Whether it is left alone by who mounts what is discovered.
    pub no_auto: bool,
}

/// What a root says of itself.
#[derive(Debug, Clone, Serialize)]
pub struct System {
    /// The type of its file system.
    pub filesystem: &'static str,
    /// The host name; a root without one gets one from the network, or `localhost`.
    pub hostname: Option<String>,
    /// Where the host name will be, when each device makes its own.
    pub hostname_from: Option<String>,
    /// The machine id; empty when each device makes its own at its first boot.
    pub machine_id: Option<String>,
    /// The lines of `os-release`, without quotes.
    pub os_release: Vec<(String, String)>,
}

/// A slot of a device that can be updated.
#[derive(Debug, Clone, Serialize)]
pub struct SlotFacts {
    /// `a` or `b`.
    pub slot: String,
    /// The version of its root.
    pub version: Option<String>,
    /// Why its root cannot be read.
    pub unreadable: Option<String>,
    /// The kernel images on the ESP that start it.
    pub kernel_images: Vec<String>,
    /// Whether its hash tree is the one of their root hash; unknown where there is no tree or no kernel image.
    pub root_hash_fits: Option<bool>,
}

/// A file of an ESP.
#[derive(Debug, Clone, Serialize)]
pub struct EspFile {
    /// Its path, without a slash before.
    pub path: String,
    /// Its size, in bytes.
    pub size: u64,
}

/// What a unified kernel image holds.
#[derive(Debug, Clone, Serialize)]
pub struct UkiFacts {
    /// Where it lies.
    pub path: String,
    /// How long it is, in bytes.
    pub size: u64,
    /// Whom its signatures name, and whether they hold.
    pub signatures: Vec<SignatureFacts>,
    /// The sections, in the order of the table.
    pub sections: Vec<SectionFacts>,
    /// The version of the kernel.
    pub uname: Option<String>,
    /// The kernel's command line.
    pub command_line: Option<String>,
    /// The lines of its `os-release`, without quotes.
    pub os_release: Vec<(String, String)>,
    /// The root hash of the command line.
    pub root_hash: Option<String>,
    /// Whether root and hash tree have the ids that the root hash asks for; unknown
    /// where there is no hash or no disk.
    pub root_hash_fits: Option<bool>,
}

/// A signature of an EFI program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignatureFacts {
    /// The subject of the signer's certificate: `CN=db`.
    pub signer: String,
    /// Whether it is of this file and by the certificate's key. Whether a device believes the certificate is for its
    /// firmware to say.
    pub holds: bool,
}

/// A section of a unified kernel image.
#[derive(Debug, Clone, Serialize)]
pub struct SectionFacts {
    /// Its name.
    pub name: String,
    /// The length of its content, in bytes.
    pub size: u32,
    /// Where it lies in memory.
    pub vma: u64,
    /// Where it lies in the file, in bytes.
    pub offset: u32,
}

impl Inspection {
    pub(super) fn of(disk: &Disk) -> Result<Self> {
        let name = disk.path.file_name().unwrap_or(disk.path.as_os_str()).to_string_lossy().into_owned();
        let mut facts = Self {
            name,
            kind: match disk.holds {
                Holds::Partitions { .. } => "disk",
                Holds::Filesystem(name) => name,
                Holds::Executable => "uki",
            }
            .to_owned(),
            size: disk.size(),
            sector_size: None,
            guid: disk.guid(),
            architecture: None,
            partitions: Vec::new(),
            system: None,
            slots: Vec::new(),
            esp: Vec::new(),
            uki: None,
        };
        match disk.holds {
            Holds::Partitions { .. } => facts.disk(disk)?,
            Holds::Executable => {
                let uki = disk.uki()?;
                facts.architecture =
                    machine(uki.image().machine).map(|architecture| architecture.to_string());
                facts.uki = Some(UkiFacts::of(&uki, &facts.name)?);
            }
            Holds::Filesystem("vfat") => {
                facts.esp = listing(&disk.esp()?)?;
                facts.uki = held(disk, &kernel_images(disk)?)?;
            }
            // A hash tree is all that its name says.
            Holds::Filesystem("DM_verity_hash") => {}
            Holds::Filesystem(_) => {
                // The file system of a data partition says nothing of a system.
                facts.system =
                    Some(System::of(&disk.root()?)?).filter(|system| !system.os_release.is_empty());
            }
        }
        Ok(facts)
    }

    fn disk(&mut self, disk: &Disk) -> Result<()> {
        let sector = disk.sector_size().unwrap_or(SECTOR);
        self.sector_size = Some(sector);
        let root = disk.partitions().iter().find(|partition| partition.is_root());
        let architecture = |architecture: &Architecture| {
            root.is_some_and(|root| root.type_guid == guid::root(*architecture))
        };
        self.architecture = super::architectures().find(architecture).map(|found| found.to_string());
        let has_esp = disk.partitions().iter().any(|partition| partition.type_guid == guid::ESP);
        let images = if has_esp { kernel_images(disk)? } else { Vec::new() };
        self.uki = held(disk, &images)?;
        let slots = disk.partitions().iter().filter_map(|partition| {
            let slot = partition.label.strip_prefix("root-").filter(|slot| ["a", "b"].contains(slot))?;
            partition.is_root().then_some((slot, partition))
        });
        let slots: Vec<_> = slots.collect();
        match (&slots[..], root) {
            ([], Some(root)) => self.system = Some(System::of(&root.filesystem()?)?),
            _ => self.slots(disk, &slots, &images),
        }
        let hash = self.uki.as_ref().and_then(|uki| uki.root_hash.as_deref());
        let hash = hash.and_then(|hash| digest(hash).ok());
        // The specification's link between a root, its hash tree and the command line.
        let half = |from: usize| {
            let hash = hash.as_ref()?;
            Uuid::from_slice(&hash[from..from + 16]).ok()
        };
        let verified = disk.partitions().iter().any(super::Partition::is_root_verity);
        for partition in disk.partitions() {
            self.partitions.push(PartitionFacts {
                number: partition.number,
                label: partition.label.clone(),
                start: partition.offset / sector,
                end: (partition.offset + partition.size) / sector - 1,
                sectors: partition.size / sector,
                type_name: partition.type_name(),
                type_guid: partition.type_guid,
                guid: partition.guid,
                filesystem: partition.filesystem_name()?,
                verity: partition.is_root() && verified,
                read_only: partition.is_read_only(),
                grows: partition.grows(),
                no_auto: partition.attributes & guid::NO_AUTO != 0,
            });
        }
        if let (Some(uki), Some(_)) = (&mut self.uki, hash) {
            let has = |id: Option<Uuid>, is_it: fn(&super::Partition) -> bool| {
                disk.partitions().iter().any(|partition| is_it(partition) && Some(partition.guid) == id)
            };
            // The ids of slots stay while their content changes.
            let fits = match &self.slots[..] {
                [] => Some(
                    has(half(0), super::Partition::is_root)
                        && has(half(16), super::Partition::is_root_verity),
                ),
                slots => slots.iter().find_map(|slot| slot.root_hash_fits),
            };
            uki.root_hash_fits = fits;
        }
        Ok(())
    }

    /// Tells of each slot what is in it, damaged ones among them.
    fn slots(&mut self, disk: &Disk, slots: &[(&str, &super::Partition)], images: &[String]) {
        let mut systems = Vec::new();
        for (slot, root) in slots {
            let system = match root.filesystem_name() {
                Ok(None) => Err(anyhow!("no file system")),
                _ => root.filesystem().and_then(|files| System::of(&files)),
            };
            let starts = |path: &&String| {
                let name = path.trim_end_matches(".efi");
                name.split('+').next().is_some_and(|name| name.ends_with(&format!("-{slot}")))
            };
            let images: Vec<String> = images.iter().filter(starts).cloned().collect();
            let tree = disk.partitions().iter().find(|partition| partition.label == format!("verity-{slot}"));
            let hash = match images.first() {
                Some(path) => disk.uki_at(path).ok().and_then(|uki| digest(&uki.root_hash()?).ok()),
                None => None,
            };
            let fits = |(tree, hash): (&super::Partition, [u8; 32])| {
                verity::root_hash(&mut tree.region.reader()).is_ok_and(|top| top == Some(hash))
            };
            let named = |system: &System| {
                system
                    .os_release
                    .iter()
                    .find(|(name, _)| name == "IMAGE_VERSION")
                    .map(|(_, value)| value.clone())
            };
            self.slots.push(SlotFacts {
                slot: (*slot).to_owned(),
                version: system.as_ref().ok().and_then(named),
                unreadable: system.as_ref().err().map(|error| error.root_cause().to_string()),
                kernel_images: images,
                root_hash_fits: tree.zip(hash).map(fits),
            });
            systems.extend(system);
        }
        self.system = systems.pop().filter(|_| systems.is_empty());
    }
}

/// The one kernel image of an ESP; none, where there is not exactly one: a page
/// tells what there is.
fn held(disk: &Disk, images: &[String]) -> Result<Option<UkiFacts>> {
    match images {
        [image] => Ok(Some(UkiFacts::of(&disk.uki_at(image)?, image)?)),
        _ => Ok(None),
    }
}

/// The paths of all kernel images of the ESP.
fn kernel_images(disk: &Disk) -> Result<Vec<String>> {
    let paths = listing(&disk.esp()?)?.into_iter().map(|file| file.path);
    let is_image = |path: &String| {
        let path = path.to_ascii_lowercase();
        path.starts_with("efi/linux/") && path.ends_with(".efi")
    };
    Ok(paths.filter(is_image).collect())
}

fn listing(esp: &Files) -> Result<Vec<EspFile>> {
    let files = esp.walk()?.into_iter().filter(|(_, metadata)| metadata.kind == FileType::Regular);
    let file = |(path, metadata): (String, super::Metadata)| EspFile {
        path: path.trim_start_matches('/').to_owned(),
        size: metadata.size,
    };
    let mut files: Vec<EspFile> = files.map(file).collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

impl System {
    fn of(root: &Files) -> Result<Self> {
        let line = |path: &str| -> Result<Option<String>> {
            let content = root.file_if_there(path)?;
            Ok(content.map(|content| String::from_utf8_lossy(&content).trim_end().to_owned()))
        };
        let os_release = line("/usr/lib/os-release")?.unwrap_or_default();
        let hostname = line("/etc/hostname")?;
        let leads = hostname.is_none() && root.exists("/etc/hostname")?;
        Ok(Self {
            filesystem: root.filesystem(),
            hostname_from: if leads { Some(root.read_link("/etc/hostname")?) } else { None },
            hostname,
            machine_id: line("/etc/machine-id")?,
            os_release: assignments(&os_release),
        })
    }
}

impl UkiFacts {
    fn of(uki: &Uki, path: &str) -> Result<Self> {
        let text = |name: &str| -> Result<Option<String>> {
            uki.image().section(name).map(|_| uki.text(name)).transpose()
        };
        let section = |section: &bedplate_formats::pe::Section| SectionFacts {
            name: section.name.clone(),
            size: section.size(),
            vma: uki.image().image_base + u64::from(section.virtual_address),
            offset: section.offset,
        };
        Ok(Self {
            path: path.to_owned(),
            size: uki.size(),
            signatures: uki.signatures()?,
            sections: uki.sections().iter().map(section).collect(),
            uname: text(".uname")?,
            command_line: text(".cmdline")?,
            os_release: assignments(&text(".osrel")?.unwrap_or_default()),
            root_hash: uki.root_hash(),
            root_hash_fits: None,
        })
    }
}

fn machine(machine: u16) -> Option<Architecture> {
    match machine {
        0x8664 => Some(Architecture::X86_64),
        0xaa64 => Some(Architecture::Aarch64),
        _ => None,
    }
}

/// The lines of an `os-release`: names and values, without the shell's quotes.
pub(crate) fn assignments(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), unquoted(value))).collect()
}

fn unquoted(value: &str) -> String {
    let inside = |quote: char| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote));
    match (inside('"'), inside('\'')) {
        (Some(value), _) => {
            let mut out = String::new();
            let mut characters = value.chars();
            while let Some(character) = characters.next() {
                out.extend(if character == '\\' { characters.next() } else { Some(character) });
            }
            out
        }
        (None, Some(value)) => value.to_owned(),
        (None, None) => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_of_the_shell_are_no_part_of_a_value() {
        let text = "# a comment\nPRETTY_NAME=\"Debian \\\"13\\\"\"\nID=debian\nNAME='De bian'\n\nBROKEN\n";
        let expected = [("PRETTY_NAME", "Debian \"13\""), ("ID", "debian"), ("NAME", "De bian")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(assignments(text), expected);
    }
}
