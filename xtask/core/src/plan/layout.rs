//! The disk: which partition where, how large, with which ids.
//!
//! Order: root, its verity tree, the first slot's kernel image where there are slots, ESP, data. Each is made of those
//! before it, so that the disk's digest begins when the root does. Every partition starts and ends on a whole mebibyte;
//! the first mebibyte holds the protective MBR and the GPT, the last one the GPT's copy (33 sectors, or 5 of 4096 bytes).

use super::guid::{self, Stream};
use super::{DataPlan, DiskPlan, EspPlan, PartitionGuid, PartitionPlan, RootPlan, SlotsPlan, VerityPlan};
use crate::image::Image;
use crate::image::esp::Esp;
use crate::image::root::RootSlot;
use crate::image::target::Architecture;
use crate::location::SourceLocation;
use crate::value::Size;
use uuid::Uuid;

const MIB: u64 = 1024 * 1024;

pub(super) fn disk(
    image: &Image,
    esp: &Esp,
    root: &RootSlot,
    architecture: Architecture,
    ids: &Stream,
) -> DiskPlan {
    let mut table = Table { number: 0, end: MIB };
    // The content of a slot changes, and its ids stay.
    let slots = image.updates.is_some();
    let [label, verity_label] = if slots {
        ["root-a".to_string(), "verity-a".to_string()]
    } else {
        let label = format!("root-{}", architecture.systemd());
        [label.clone(), format!("{label}-verity")]
    };
    let by_hash = root.verity && !slots;
    let id = if by_hash { PartitionGuid::RootHashFirst } else { fixed(ids, "root") };
    let mut root_plan = RootPlan {
        partition: table.add(&label, guid::root(architecture), id, root.size, &root.at),
        filesystem: root.filesystem,
        compression: root.compression,
        uuid: ids.id("file-system", "root"),
        verity: None,
    };
    if root.filesystem.is_read_only() {
        root_plan.partition.attributes = guid::READ_ONLY;
    }
    if root.verity {
        let size = Size::mib(verity_size(root.size.bytes()) / MIB);
        let kind = guid::root_verity(architecture);
        let id = if by_hash { PartitionGuid::RootHashLast } else { fixed(ids, "verity") };
        let mut partition = table.add(&verity_label, kind, id, size, &root.at);
        partition.attributes = guid::READ_ONLY;
        root_plan.verity =
            Some(VerityPlan { partition, salt: ids.salt("root"), uuid: ids.id("verity", "root") });
    }

    let first_uki = image.updates.as_ref().map(|updates| {
        // The ESP holds one of each slot, and half of it stays free for what else there may be.
        let size = Size::mib(esp.size.bytes() / 4 / MIB);
        table.add("uki-a", guid::KERNEL_IMAGE, fixed(ids, "uki"), size, &updates.at)
    });
    let esp = EspPlan {
        partition: table.add("esp", guid::ESP, fixed(ids, "esp"), esp.size, &esp.at),
        volume_id: ids.word("volume", "esp"),
        volume_label: "ESP".to_string(),
    };

    let slot = first_uki.as_ref().map(|uki| {
        let verity = root_plan.verity.as_ref().map_or(0, |verity| verity.partition.size);
        root_plan.partition.size + verity + uki.size
    });
    let mut second = None;
    let data = image.data.iter().filter_map(|data| {
        let label = data.label.as_ref()?.value.as_str();
        let which = format!("data {label}");
        let id = fixed(ids, &which);
        let end = table.end;
        if let (Some(_), Some(size)) = (&data.encryption, slot) {
            // The device makes both, and what is last can grow when the disk does.
            second = Some(table.second_slot());
            table.end += size;
        }
        let mut partition = table.add(label, guid::LINUX_GENERIC, id, data.size, &data.at);
        if data.encryption.is_some() {
            table.end = end;
        }
        if data.grow {
            partition.attributes = guid::GROW_FILE_SYSTEM;
        }
        Some(DataPlan {
            partition,
            filesystem: data.filesystem,
            mount: data.mount.as_ref().map(|mount| mount.value.clone()),
            uuid: ids.id("file-system", &which),
            hash_seed: ids.id("hash-seed", &which),
            grow: data.grow,
            makefs: data.makefs.is_some(),
            encrypted: data.encryption.is_some(),
        })
    });
    let data = data.collect();
    let slots = first_uki.map(|uki| SlotsPlan { uki, second: second.unwrap_or_else(|| table.second_slot()) });
    DiskPlan {
        guid: ids.id("disk", ""),
        size: table.end + MIB,
        sector_size: image.sector_size.as_ref().map_or(512, |size| size.value.into()),
        esp,
        root: root_plan,
        slots,
        data,
    }
}

/// The table in the making: how many partitions it has, and where the last one ends.
struct Table {
    number: u32,
    end: u64,
}

impl Table {
    /// The next numbers, for the partitions of the second slot.
    fn second_slot(&mut self) -> [(u32, String); 3] {
        ["root-b", "verity-b", "uki-b"].map(|label| {
            self.number += 1;
            (self.number, label.to_string())
        })
    }

    /// Puts a partition behind the last one.
    fn add(
        &mut self,
        label: &str,
        type_guid: Uuid,
        guid: PartitionGuid,
        size: Size,
        at: &SourceLocation,
    ) -> PartitionPlan {
        self.number += 1;
        let offset = self.end;
        self.end += size.bytes();
        PartitionPlan {
            number: self.number,
            label: label.to_string(),
            type_guid,
            guid,
            offset,
            size: size.bytes(),
            attributes: 0,
            at: Some(at.clone()),
        }
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
        for partition in disk.partitions() {
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
        for partition in before.disk.partitions() {
            assert_eq!(after.disk.partition(&partition.label).unwrap().guid, partition.guid);
        }
        assert_eq!(before.disk.guid, after.disk.guid);
    }

    #[test]
    fn an_arm_device_has_the_types_of_its_processor() {
        let target = Target { architecture: Architecture::Aarch64 };
        let plan = device().plan_for("edge", &target).unwrap();
        let root = plan.disk.partition("root-arm64").unwrap();
        assert_eq!(root.type_guid, guid::root(Architecture::Aarch64));
        assert_eq!(plan.artifacts.root, "image.root-arm64.raw");
    }

    #[test]
    fn a_larger_data_partition_moves_nothing_before_it() {
        let small = device().plan().unwrap();
        let mut image = device();
        image.data.clear();
        let large = Data::new("persistent", Ext4).mount("/local").size(GiB(9));
        let large = image.partition(large).plan().unwrap();
        assert_eq!(small.disk.root.partition.offset, large.disk.root.partition.offset);
        let [before, after] = [small, large].map(|plan| plan.disk.size - plan.disk.data[0].partition.size);
        assert_eq!(before, after);
    }
}
