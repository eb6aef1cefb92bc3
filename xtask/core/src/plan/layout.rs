//! The disk: which partition where, how large, with which ids.
//!
//! Order: ESP, root, its verity tree, data. Every partition starts and ends on
//! a whole mebibyte; the first mebibyte holds the protective MBR and the GPT,
//! the last one the GPT's copy (33 sectors, or 5 of 4096 bytes).

use super::guid::{self, Stream};
use super::{DiskPlan, PartitionContent, PartitionGuid, PartitionPlan};
use crate::image::Image;
use crate::image::data::Data;
use crate::image::root::RootSlot;
use crate::image::target::Architecture;
use crate::place::Place;
use uuid::Uuid;

const MIB: u64 = 1024 * 1024;

pub(super) fn disk(image: &Image, root: &RootSlot, architecture: Architecture, ids: &Stream) -> DiskPlan {
    let mut disk = Layout { partitions: Vec::new(), end: MIB };

    for esp in &image.esps {
        let content =
            PartitionContent::Esp { volume_id: ids.word("volume", "esp"), label: "ESP".to_string() };
        disk.add("esp", guid::ESP, fixed(ids, "esp"), esp.size.bytes(), 0, content, &esp.at);
    }

    let label = format!("root-{}", architecture.systemd());
    let content = PartitionContent::Root {
        filesystem: root.filesystem,
        compression: root.compression,
        verity: root.verity,
        uuid: ids.id("file-system", "root"),
    };
    let attributes = if root.filesystem.is_read_only() { guid::READ_ONLY } else { 0 };
    let id = if root.verity { PartitionGuid::RootHashFirst } else { fixed(ids, "root") };
    disk.add(&label, guid::root(architecture), id, root.size.bytes(), attributes, content, &root.at);

    if root.verity {
        let content = PartitionContent::Verity { salt: ids.salt("root"), uuid: ids.id("verity", "root") };
        let kind = guid::root_verity(architecture);
        let size = verity_size(root.size.bytes());
        let id = PartitionGuid::RootHashLast;
        disk.add(&format!("{label}-verity"), kind, id, size, guid::READ_ONLY, content, &root.at);
    }

    for data in &image.data {
        disk.data(data, ids);
    }
    DiskPlan {
        guid: ids.id("disk", ""),
        size: disk.end + MIB,
        sector_size: image.sector_size.as_ref().map_or(512, |size| size.value.into()),
        partitions: disk.partitions,
    }
}

struct Layout {
    partitions: Vec<PartitionPlan>,
    end: u64,
}

impl Layout {
    #[expect(clippy::too_many_arguments, reason = "the columns of a partition table")]
    fn add(
        &mut self,
        label: &str,
        type_guid: Uuid,
        guid: PartitionGuid,
        size: u64,
        attributes: u64,
        content: PartitionContent,
        at: &Place,
    ) {
        let number = u32::try_from(self.partitions.len() + 1).unwrap_or(u32::MAX);
        let (label, offset) = (label.to_string(), self.end);
        self.end += size;
        self.partitions.push(PartitionPlan {
            number,
            label,
            type_guid,
            guid,
            offset,
            size,
            attributes,
            content,
            at: Some(at.clone()),
        });
    }

    fn data(&mut self, data: &Data, ids: &Stream) {
        let Some(label) = data.label.as_ref().map(|label| label.value.as_str()) else { return };
        let content = PartitionContent::Data {
            filesystem: data.filesystem,
            mount: data.mount.as_ref().map(|mount| mount.value.to_string()),
            uuid: ids.id("file-system", &format!("data {label}")),
            hash_seed: ids.id("hash-seed", &format!("data {label}")),
            label: label.to_string(),
            grow: data.grow,
            makefs: data.makefs.is_some(),
        };
        let attributes = if data.grow { guid::GROW_FILE_SYSTEM } else { 0 };
        let id = fixed(ids, &format!("data {label}"));
        self.add(label, guid::LINUX_GENERIC, id, data.size.bytes(), attributes, content, &data.at);
    }
}

fn fixed(ids: &Stream, which: &str) -> PartitionGuid {
    PartitionGuid::Fixed(ids.id("partition", which))
}

/// The room for the hash tree of `data` bytes: a superblock and one hash of 32
/// bytes for every block of 4096 on each level, in whole mebibytes.
pub(super) fn verity_size(data: u64) -> u64 {
    const BLOCK: u64 = 4096;
    const HASHES: u64 = BLOCK / 32;
    let mut blocks = data.div_ceil(BLOCK);
    let mut total = 1;
    while blocks > 1 {
        blocks = blocks.div_ceil(HASHES);
        total += blocks;
    }
    (total * BLOCK).next_multiple_of(MIB)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::target::Target;
    use crate::rule::device;
    use crate::{Data, Ext4, GiB, MiB};

    #[test]
    fn a_verity_tree_has_room_for_every_level() {
        // 2 GiB: 524288 blocks, hashes in 4096 + 32 + 1 blocks, one superblock.
        assert_eq!(verity_size(2048 * MIB), (4130 * 4096_u64).next_multiple_of(MIB));
        assert_eq!(verity_size(4096), MIB);
        assert_eq!(verity_size(MIB), MIB);
    }

    #[test]
    fn partitions_are_aligned_and_follow_one_another() {
        let disk = device().plan().unwrap().disk;
        let mut end = MIB;
        for partition in &disk.partitions {
            assert_eq!(partition.offset, end);
            assert_eq!(partition.offset % MIB, 0);
            end += partition.size;
        }
        assert_eq!(disk.size, end + MIB);
    }

    #[test]
    fn a_further_partition_changes_no_other_ones_id() {
        let before = device().plan().unwrap();
        let more = device().partition(Data::new("spool", Ext4).mount("/spool").size(MiB(64)).fixed());
        // The growing one must be the last: rebuild in that order.
        let mut more = more;
        more.data.reverse();
        let after = more.plan().unwrap();
        for partition in &before.disk.partitions {
            assert_eq!(after.partition(&partition.label).unwrap().guid, partition.guid);
        }
        assert_eq!(before.disk.guid, after.disk.guid);
    }

    #[test]
    fn an_arm_device_has_the_types_of_its_processor() {
        let target = Target { architecture: Architecture::Aarch64 };
        let plan = device().plan_for("edge", &target).unwrap();
        let root = plan.partition("root-arm64").unwrap();
        assert_eq!(root.type_guid, guid::root(Architecture::Aarch64));
        assert_eq!(plan.artifacts.root, "image.root-arm64.raw");
    }

    #[test]
    fn a_larger_data_partition_moves_nothing_before_it() {
        let small = device().plan().unwrap();
        let mut image = device();
        image.data.clear();
        let large =
            image.partition(Data::new("persistent", Ext4).mount("/local").size(GiB(9))).plan().unwrap();
        assert_eq!(small.root().unwrap().offset, large.root().unwrap().offset);
        assert_eq!(large.disk.size - small.disk.size, 8 * 1024 * MIB);
    }
}
