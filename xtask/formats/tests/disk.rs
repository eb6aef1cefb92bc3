//! A whole disk made of the formats, and read back out of its one file.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use bedplate_formats::gpt::{self, Partition, Table};
use bedplate_formats::tree::{Node, Tree};
use bedplate_formats::verity::{self, Parameters};
use bedplate_formats::{digest, sparse, vfat};
use uuid::Uuid;

const MIB: u64 = 1 << 20;
const ESP: u64 = 64 * MIB;
const ROOT: u64 = 128 * MIB;
const DISK: u64 = 256 * MIB;

fn files() -> Tree {
    let mut tree = Tree::new();
    tree.insert("EFI/BOOT/BOOTX64.EFI".into(), Node::file(vec![7; 12345], 0o644));
    tree.insert("EFI/Linux/edge.efi".into(), Node::file(vec![9; 3 << 20], 0o644));
    tree
}

/// A root file system of 3 MiB in a slot of 128.
fn root() -> File {
    let root = tempfile::tempfile().unwrap();
    root.write_all_at(&[5; 3 << 20], 0).unwrap();
    root.set_len(ROOT).unwrap();
    root
}

fn partition(number: u32, offset: u64, size: u64, name: &str) -> Partition {
    Partition {
        number,
        type_guid: Uuid::from_u128(0x4f68bce3_e8cd_4db1_96e7_fbcaf984b709),
        guid: Uuid::from_u128(number.into()),
        first_lba: offset / gpt::SECTOR,
        last_lba: (offset + size) / gpt::SECTOR - 1,
        attributes: 0,
        name: name.to_owned(),
    }
}

/// The disk and the root hash of its root.
fn disk() -> (File, [u8; 32]) {
    let mut disk = tempfile::tempfile().unwrap();
    disk.set_len(DISK).unwrap();
    let esp = tempfile::tempfile().unwrap();
    let options = vfat::Options {
        size: ESP,
        volume_id: 1,
        label: "ESP".to_owned(),
        epoch: 1_700_000_000,
        sector_size: 512,
    };
    vfat::write(&files(), &esp, &options).unwrap();
    let root = root();
    let parameters = Parameters { salt: [3; 32], uuid: Uuid::from_u128(4) };
    let hashes = verity::format(&root, 0..ROOT, &parameters).unwrap();
    let hash_size = verity::device_size(ROOT).next_multiple_of(MIB);
    let table = Table {
        guid: Uuid::from_u128(5),
        sector_size: 512,
        partitions: vec![
            partition(1, MIB, ESP, "esp"),
            partition(2, MIB + ESP, ROOT, "root"),
            partition(3, MIB + ESP + ROOT, hash_size, "root-verity"),
        ],
    };
    gpt::write(&table, &mut disk).unwrap();
    sparse::copy(&esp, 0..ESP, &disk, table.partitions[0].offset()).unwrap();
    sparse::copy(&root, 0..ROOT, &disk, table.partitions[1].offset()).unwrap();
    sparse::write(&mut &hashes.device[..], &disk, table.partitions[2].offset()).unwrap();
    (disk, hashes.root_hash)
}

#[test]
fn a_disk_is_read_back_out_of_its_one_file() {
    let (mut disk, root_hash) = disk();
    let table = gpt::read(&mut disk).unwrap();
    let [esp, root, hashes] = &table.partitions[..] else { panic!("{table:?}") };

    let tree = vfat::read(&mut disk, esp.offset()).unwrap();
    for (path, node) in files().iter().filter(|(_, node)| !node.is_directory()) {
        let found = tree.content(path).unwrap().read().unwrap();
        assert!(found == files().content(path).unwrap().read().unwrap(), "{path}: {node:?}");
    }
    let range = root.offset()..root.offset() + root.size();
    let superblock = verity::verify(&disk, range.clone(), &disk, hashes.offset(), &root_hash).unwrap();
    assert_eq!(superblock.data_blocks * verity::BLOCK as u64, ROOT);

    disk.write_all_at(&[1], range.end - 1).unwrap();
    assert!(verity::verify(&disk, range, &disk, hashes.offset(), &root_hash).is_err());
}

#[test]
fn the_same_disk_comes_out_twice_and_takes_little_room() {
    let (one, two) = (disk().0, disk().0);
    assert_eq!(digest::sha256(&one).unwrap(), digest::sha256(&two).unwrap());
    // 3 MiB of root, 3 of files, 1 of hashes, and what tables need.
    let room = one.metadata().unwrap().blocks() * 512;
    assert!(room < 10 * MIB, "{room} bytes");
}
