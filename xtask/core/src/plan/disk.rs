//! The disk of a plan, to the byte.

use std::iter;

use serde::Serialize;
use uuid::Uuid;

use crate::image::compression::Compression;
use crate::image::filesystem::Filesystem;
use crate::location::SourceLocation;
use crate::value::DevicePath;

/// The disk: one EFI system partition, one root, and what the device keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskPlan {
    /// The GPT's own id.
    pub guid: Uuid,
    /// The whole disk in bytes.
    pub size: u64,
    /// The size of its sectors in bytes: 512 or 4096.
    pub sector_size: u64,
    /// The EFI system partition.
    pub esp: EspPlan,
    /// The operating system; of a device that can be updated, that of its first slot.
    pub root: RootPlan,
    /// What a device that can be updated has beside it.
    pub slots: Option<SlotsPlan>,
    /// The data partitions, in the order of the disk.
    pub data: Vec<DataPlan>,
}

impl DiskPlan {
    /// The partitions of the image, in the order of the disk.
    pub fn partitions(&self) -> impl Iterator<Item = &PartitionPlan> {
        let verity = self.root.verity.iter().map(|verity| &verity.partition);
        let uki = self.slots.iter().map(|slots| &slots.uki);
        let esp = iter::once(&self.esp.partition);
        let data = self.data.iter().filter(|data| !data.encrypted).map(|data| &data.partition);
        iter::once(&self.root.partition).chain(verity).chain(uki).chain(esp).chain(data)
    }

    /// The data partition that each device makes at its first start.
    #[must_use]
    pub fn encrypted(&self) -> Option<&DataPlan> {
        self.data.iter().find(|data| data.encrypted)
    }

    /// How large a device's disk has to be, in bytes: for the image, and for what the device makes at its first start.
    #[must_use]
    pub fn needs(&self) -> u64 {
        let second = self.slots.iter().flat_map(|slots| slots.first(self)).map(|partition| partition.size);
        let encrypted = self.encrypted().map(|data| data.partition.size);
        self.size + second.chain(encrypted).sum::<u64>()
    }

    /// The partition of the image with this label.
    #[must_use]
    pub fn partition(&self, label: &str) -> Option<&PartitionPlan> {
        self.partitions().find(|partition| partition.label == label)
    }
}

/// An entry of the partition table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionPlan {
    /// Its number in the GPT, from 1.
    pub number: u32,
    /// Its name in the GPT, at most 36 UTF-16 units.
    pub label: String,
    /// What it is for, by the Discoverable Partitions Specification.
    pub type_guid: Uuid,
    /// Its own id.
    pub guid: PartitionGuid,
    /// Where it starts, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// The GPT's attribute bits.
    pub attributes: u64,
    /// The line that asked for it.
    pub at: Option<SourceLocation>,
}

/// A partition's id, or how the build finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionGuid {
    /// Known now.
    Fixed(Uuid),
    /// The first 128 bits of the root hash: the verified partition.
    RootHashFirst,
    /// The last 128 bits of the root hash: its hash tree.
    RootHashLast,
}

/// The EFI system partition: FAT32 with systemd-boot and the kernel image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EspPlan {
    /// Its entry in the table.
    #[serde(flatten)]
    pub partition: PartitionPlan,
    /// FAT's volume id.
    pub volume_id: u32,
    /// FAT's volume label.
    pub volume_label: String,
}

/// The root partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RootPlan {
    /// Its entry in the table.
    #[serde(flatten)]
    pub partition: PartitionPlan,
    /// Its file system.
    pub filesystem: Filesystem,
    /// How it is compressed.
    pub compression: Compression,
    /// The file system's id.
    pub uuid: Uuid,
    /// Its hash tree, where it is verified.
    pub verity: Option<VerityPlan>,
}

/// The hash tree of the root: superblock, then the tree; SHA-256, blocks of 4096 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerityPlan {
    /// The entry in the table of the partition it lies on.
    #[serde(flatten)]
    pub partition: PartitionPlan,
    /// What every hash begins with. JSON has it in hexadecimal.
    #[serde(serialize_with = "crate::bytes::serialize_hex")]
    pub salt: [u8; 32],
    /// The superblock's id.
    pub uuid: Uuid,
}

/// Two slots: what a device that can be updated has beside its first root.
///
/// A slot is three partitions of the same sizes in both: root, hash tree, kernel image. The second one is not in the
/// image: each device makes it at its first start, behind the data partition, or before it where the device makes that, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotsPlan {
    /// The kernel image of the first slot, as an update writes it.
    pub uki: PartitionPlan,
    /// The partitions of the second slot, in the order of [`SlotsPlan::PARTS`]: the number in the names of systemd-repart's
    /// definitions, and the label.
    pub second: [(u32, String); 3],
}

impl SlotsPlan {
    /// What a slot is made of, by the names of RAUC's slot classes.
    pub const PARTS: [&str; 3] = ["root", "verity", "uki"];
    /// What RAUC is told to be the digest of a slot that nothing was written into.
    pub const EMPTY: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    /// The partitions of the first slot, in the order of [`SlotsPlan::PARTS`]. A root with slots is verified: that is a
    /// rule of the description.
    #[must_use]
    pub fn first<'a>(&'a self, disk: &'a DiskPlan) -> [&'a PartitionPlan; 3] {
        let root = &disk.root;
        let verity = root.verity.as_ref().map_or(&root.partition, |verity| &verity.partition);
        [&root.partition, verity, &self.uki]
    }
}

/// A data partition: what the device keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DataPlan {
    /// Its entry in the table. Its label is the file system's, too: at most 16 bytes for ext4.
    #[serde(flatten)]
    pub partition: PartitionPlan,
    /// Its file system.
    pub filesystem: Filesystem,
    /// Where it is mounted.
    pub mount: Option<DevicePath>,
    /// The file system's id.
    pub uuid: Uuid,
    /// The seed of ext4's directory hashes.
    pub hash_seed: Uuid,
    /// True when the first boot grows it to the end of the disk.
    pub grow: bool,
    /// True when a device formats it where it has no known file system.
    pub makefs: bool,
    /// True when it is encrypted. It is not in the image then: each device makes it at its first start, as large as
    /// this or larger.
    pub encrypted: bool,
}
