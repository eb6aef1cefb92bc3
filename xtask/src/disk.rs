//! Asking a finished image: what is on a disk, without root, mounts or a loop
//! device, so that a project's own `cargo test` can hold it against promises.
//!
//! ```no_run
//! use bedplate::disk::Disk;
//!
//! let disk = Disk::open("build/edge/image.raw")?;
//! let root = disk.root()?;
//! assert!(root.text("/etc/os-release")?.contains("ID=ubuntu\n"));
//! assert!(root.file("/etc/machine-id")?.is_empty());
//! assert!(!root.exists("/etc/ssh/ssh_host_ed25519_key")?);
//! assert_eq!(root.metadata("/etc/shadow")?.mode, 0o640);
//! assert!(disk.uki()?.command_line()?.contains("lockdown=integrity"));
//! assert!(disk.partition("persistent")?.grows());
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! What is read is any disk with a GUID partition table, or one of the other
//! artifacts: a file system, an ESP, a unified kernel image. The verb `inspect`
//! prints from the same code. Nothing is ever written.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use bedplate_core::Architecture;
use bedplate_core::plan::guid;
use bedplate_formats::region::Region;
use bedplate_formats::{filesystem, gpt};
use uuid::Uuid;

pub use bedplate_formats::filesystem::{FileType, Metadata};

pub use self::files::Files;
pub use self::inspection::Inspection;
pub(crate) use self::inspection::{PartitionFacts, assignments};
pub(crate) use self::page::size;
pub use self::uki::Uki;

mod files;
mod inspection;
mod page;
mod uki;

/// A disk, or one of the artifacts it is made of, open for reading.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    region: Region,
    holds: Holds,
}

#[derive(Debug)]
enum Holds {
    Partitions { guid: Uuid, sector_size: u64, partitions: Vec<Partition> },
    Filesystem(&'static str),
    Executable,
}

/// An entry of a disk's partition table.
#[derive(Debug, Clone)]
pub struct Partition {
    /// Its place in the table, from 1 on.
    pub number: u32,
    /// Its label.
    pub label: String,
    /// What it is for, as the Discoverable Partitions Specification lists them.
    pub type_guid: Uuid,
    /// Which one it is.
    pub guid: Uuid,
    /// Where it begins on the disk, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub size: u64,
    /// Attribute bits; see [`guid::READ_ONLY`] and its neighbours.
    pub attributes: u64,
    region: Region,
    disk: PathBuf,
}

impl Disk {
    /// Opens a disk, or another artifact of an image.
    ///
    /// # Errors
    /// There is no such file, its partition table is damaged, or it is nothing that
    /// can be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).with_context(|| format!("opening `{}`", path.display()))?;
        let region = Region::of(file).with_context(|| format!("opening `{}`", path.display()))?;
        let holds = holds(path, &region).with_context(|| format!("reading `{}`", path.display()))?;
        Ok(Self { path: path.to_owned(), region, holds })
    }

    /// How long it is, in bytes.
    pub fn size(&self) -> u64 {
        self.region.len()
    }

    /// Whether it is a kernel image, and no disk or file system.
    pub(crate) fn is_uki(&self) -> bool {
        matches!(self.holds, Holds::Executable)
    }

    /// The file system of what is no disk.
    pub(crate) fn only_filesystem(&self) -> Result<Option<Files>> {
        match self.holds {
            Holds::Filesystem(name) if name != "DM_verity_hash" => self.whole().map(Some),
            _ => Ok(None),
        }
    }

    /// The disk's id; what is no disk has none.
    pub fn guid(&self) -> Option<Uuid> {
        match self.holds {
            Holds::Partitions { guid, .. } => Some(guid),
            Holds::Filesystem(_) | Holds::Executable => None,
        }
    }

    /// The architecture of a disk's root; of a disk with none, and of what is no disk, it is not known.
    pub fn architecture(&self) -> Option<Architecture> {
        self.partitions().iter().find_map(Partition::architecture)
    }

    /// The size of a disk's sectors, in bytes; what is no disk has none.
    pub fn sector_size(&self) -> Option<u64> {
        match self.holds {
            Holds::Partitions { sector_size, .. } => Some(sector_size),
            Holds::Filesystem(_) | Holds::Executable => None,
        }
    }

    /// The partitions, by number. What is no disk has none.
    pub fn partitions(&self) -> &[Partition] {
        match &self.holds {
            Holds::Partitions { partitions, .. } => partitions,
            Holds::Filesystem(_) | Holds::Executable => &[],
        }
    }

    /// The partition with a label.
    ///
    /// # Errors
    /// No partition, or more than one, has the label; says which there are.
    pub fn partition(&self, label: &str) -> Result<&Partition> {
        self.only(&format!("partition `{label}`"), |partition| partition.label == label)
    }

    /// The files of the EFI system partition.
    ///
    /// # Errors
    /// There is none, or its file system is damaged.
    pub fn esp(&self) -> Result<Files> {
        match self.holds {
            Holds::Filesystem("vfat") => self.whole(),
            _ => {
                self.only("EFI system partition", |partition| partition.type_guid == guid::ESP)?.filesystem()
            }
        }
    }

    /// The files of the root partition.
    ///
    /// # Errors
    /// There is none, or its file system cannot be read. A device that was started has a root in each of two slots:
    /// ask for one of them, `disk.partition("root-a")?.filesystem()`.
    pub fn root(&self) -> Result<Files> {
        match self.holds {
            Holds::Filesystem(name) if name != "vfat" => self.whole(),
            _ => self.only("root partition", Partition::is_root)?.filesystem(),
        }
    }

    /// The unified kernel image that the ESP holds below `EFI/Linux`.
    ///
    /// # Errors
    /// There is none, or more than one, as on a device that was updated: ask for one with [`Disk::uki_at`].
    pub fn uki(&self) -> Result<Uki> {
        if matches!(self.holds, Holds::Executable) {
            return Uki::read(self.path.display().to_string(), self.region.clone());
        }
        let esp = self.esp()?;
        let names = if esp.exists(KERNEL_IMAGES)? { esp.read_dir(KERNEL_IMAGES)? } else { Vec::new() };
        let is_image = |name: &&String| name.to_ascii_lowercase().ends_with(".efi");
        let images: Vec<&String> = names.iter().filter(is_image).collect();
        match images[..] {
            [name] => self.uki_at(&format!("{KERNEL_IMAGES}/{name}")),
            [] if names.is_empty() => {
                bail!("{} has no unified kernel image: no file below `{KERNEL_IMAGES}`", esp.what())
            }
            [] => bail!(
                "{} has no unified kernel image: `{KERNEL_IMAGES}` holds {}",
                esp.what(),
                list(names.iter())
            ),
            [first, ..] => bail!(
                "{} has {} unified kernel images: {}; ask for one of them, such as \
                 `uki_at(\"{KERNEL_IMAGES}/{first}\")`",
                esp.what(),
                images.len(),
                list(images.iter())
            ),
        }
    }

    /// The unified kernel image at a path of the ESP, such as `EFI/Linux/bedplate_1-a.efi`.
    ///
    /// # Errors
    /// There is no such file, or it is no kernel image.
    pub fn uki_at(&self, path: &str) -> Result<Uki> {
        let esp = self.esp()?;
        let bytes = esp.file(path)?;
        Uki::read(format!("`{path}` of {}", esp.what()), Region::from(bytes))
    }

    /// What a page of `inspect` tells.
    ///
    /// # Errors
    /// Fails with the first thing that is damaged.
    pub fn inspect(&self) -> Result<Inspection> {
        Inspection::of(self)
    }

    /// The one file system of what is no disk.
    fn whole(&self) -> Result<Files> {
        Files::open(format!("`{}`", self.path.display()), &self.region)
    }

    /// The one partition that there should be.
    fn only(&self, what: &str, is_it: impl Fn(&Partition) -> bool) -> Result<&Partition> {
        let found: Vec<&Partition> = self.partitions().iter().filter(|partition| is_it(partition)).collect();
        let disk = self.path.display();
        let labels = |partitions: &[&Partition]| list(partitions.iter().map(|partition| &partition.label));
        match found[..] {
            [partition] => Ok(partition),
            [] if self.partitions().is_empty() => {
                let is = match self.holds {
                    Holds::Filesystem(name) => format!("its file system is {name}"),
                    Holds::Executable => "it is a unified kernel image".to_owned(),
                    Holds::Partitions { .. } => "its partition table is empty".to_owned(),
                };
                Err(anyhow!("`{disk}` has no {what}: {is}"))
            }
            [] => {
                let all: Vec<&Partition> = self.partitions().iter().collect();
                Err(anyhow!("`{disk}` has no {what}; there are {}", labels(&all)))
            }
            [first, second, ..] if first.label != second.label => {
                let (found, first) = (labels(&found), &first.label);
                let how = format!("such as `partition(\"{first}\")?.filesystem()`");
                Err(anyhow!("`{disk}` has more than one {what}: {found}; ask for one of them, {how}"))
            }
            [..] => {
                Err(anyhow!("`{disk}` has more than one {what}; find the one you mean among `partitions()`"))
            }
        }
    }
}

/// Where the boot loader looks for kernel images on an ESP.
const KERNEL_IMAGES: &str = "EFI/Linux";

/// Names, for a sentence.
fn list(names: impl Iterator<Item = impl std::fmt::Display>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// What a file is, by how it begins.
fn holds(path: &Path, region: &Region) -> Result<Holds> {
    let begins =
        |offset: u64, with: &[u8]| region.read(offset, with.len() as u64).is_ok_and(|bytes| bytes == with);
    if [gpt::SECTOR, gpt::LARGE_SECTOR].iter().any(|&offset| begins(offset, b"EFI PART")) {
        let table = gpt::read(&mut region.reader())?;
        let partition = |entry: gpt::Partition| -> Result<Partition> {
            let (offset, size) = (entry.offset(), entry.size());
            Ok(Partition {
                number: entry.number,
                label: entry.name,
                type_guid: entry.type_guid,
                guid: entry.guid,
                offset,
                size,
                attributes: entry.attributes,
                region: region.part(offset..offset + size)?,
                disk: path.to_owned(),
            })
        };
        let partitions = table.partitions.into_iter().map(partition).collect::<Result<_>>()?;
        return Ok(Holds::Partitions { guid: table.guid, sector_size: table.sector_size, partitions });
    }
    if let Some(name) = filesystem::name(region)? {
        return Ok(Holds::Filesystem(name));
    }
    if begins(0, b"MZ") {
        return Ok(Holds::Executable);
    }
    bail!(
        "it is neither a disk with a GUID partition table, nor a file system of erofs, squashfs, ext4 or \
         vfat, nor a unified kernel image"
    )
}

impl Partition {
    /// What it is, in `fdisk`'s words; the type's GUID where there are none.
    pub fn type_name(&self) -> String {
        type_name(self.type_guid)
    }

    /// Its files.
    ///
    /// # Errors
    /// It holds no file system that can be read, or a damaged one.
    pub fn filesystem(&self) -> Result<Files> {
        Files::open(self.what(), &self.region)
    }

    /// The type of what it holds, as `lsblk -f` has it: `erofs`, `squashfs`, `ext4`,
    /// `vfat` or `DM_verity_hash`.
    ///
    /// # Errors
    /// Fails as reading does.
    pub fn filesystem_name(&self) -> Result<Option<&'static str>> {
        filesystem::name(&self.region).with_context(|| format!("reading {}", self.what()))
    }

    /// Whether it is the root of some architecture.
    pub fn is_root(&self) -> bool {
        self.architecture().is_some()
    }

    /// The architecture that it is the root of.
    pub fn architecture(&self) -> Option<Architecture> {
        architectures().find(|architecture| guid::root(*architecture) == self.type_guid)
    }

    /// Whether it holds the hash tree of a root.
    pub fn is_root_verity(&self) -> bool {
        architectures().any(|architecture| guid::root_verity(architecture) == self.type_guid)
    }

    /// Whether it is to be mounted read-only.
    pub fn is_read_only(&self) -> bool {
        self.attributes & guid::READ_ONLY != 0
    }

    /// Whether its file system grows to its size when it is mounted.
    pub fn grows(&self) -> bool {
        self.attributes & guid::GROW_FILE_SYSTEM != 0
    }

    /// Its bytes.
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    /// Which one it is, in a sentence.
    fn what(&self) -> String {
        format!("partition {} `{}` of `{}`", self.number, self.label, self.disk.display())
    }
}

fn architectures() -> impl Iterator<Item = Architecture> {
    [Architecture::X86_64, Architecture::Aarch64].into_iter()
}

/// A type of partitions in `fdisk`'s words; its GUID where there are none.
pub(crate) fn type_name(type_guid: Uuid) -> String {
    let known = types().into_iter().find(|(guid, _)| *guid == type_guid);
    known.map_or_else(|| type_guid.to_string(), |(_, name)| name)
}

/// The types of partitions that have a name here.
fn types() -> Vec<(Uuid, String)> {
    let of = |architecture: Architecture| {
        // `fdisk` says ARM-64 where the specification says arm64.
        let name = if architecture == Architecture::Aarch64 { "ARM-64" } else { "x86-64" };
        [
            (guid::root(architecture), format!("Linux root ({name})")),
            (guid::root_verity(architecture), format!("Linux root verity ({name})")),
        ]
    };
    let fixed = [(guid::ESP, "EFI System"), (guid::LINUX_GENERIC, "Linux filesystem")];
    fixed
        .map(|(guid, name)| (guid, name.to_owned()))
        .into_iter()
        .chain(architectures().flat_map(of))
        .collect()
}

#[cfg(test)]
mod tests;
