use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use bedplate_formats::tree::{Node, Tree};
use bedplate_formats::{sparse, squashfs, verity, vfat};
use expect_test::expect;

use super::*;

const MIB: u64 = 1 << 20;

/// A disk as a device has it after an update, and each slot's root hash.
struct Updated {
    path: PathBuf,
    hashes: [[u8; 32]; 2],
    _directory: tempfile::TempDir,
}

/// A root that says which version it is.
fn root(version: &str) -> File {
    let mut tree = Tree::new();
    let release = format!("ID=debian\nIMAGE_VERSION=\"{version}\"\n");
    tree.insert("usr/lib/os-release".into(), Node::file(release.into_bytes(), 0o644));
    tree.insert("etc/machine-id".into(), Node::file("", 0o444));
    // More than one block, so that there is a hash tree.
    tree.insert("usr/lib/large".into(), Node::file(vec![5; 1 << 17], 0o644));
    let mut file = tempfile::tempfile().unwrap();
    squashfs::write(&tree, &squashfs::Options { epoch: 1 << 30, block_size: 4096 }, &mut file).unwrap();
    file
}

fn updated() -> Updated {
    let entries = [
        ("esp", guid::ESP, 40),
        ("root-a", guid::root(Architecture::X86_64), 1),
        ("verity-a", guid::root_verity(Architecture::X86_64), 1),
        ("persistent", guid::LINUX_GENERIC, 1),
        ("root-b", guid::root(Architecture::X86_64), 1),
        ("verity-b", guid::root_verity(Architecture::X86_64), 1),
    ];
    let mut at = 1;
    let partitions = (1..).zip(entries).map(|(number, (name, type_guid, size))| {
        let first_lba = at * MIB / 512;
        at += size;
        gpt::Partition {
            number,
            type_guid,
            guid: Uuid::from_u128(number.into()),
            first_lba,
            last_lba: at * MIB / 512 - 1,
            attributes: 0,
            name: name.to_owned(),
        }
    });
    let table = gpt::Table { guid: Uuid::from_u128(9), sector_size: 512, partitions: partitions.collect() };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("device.raw");
    let mut disk = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    disk.set_len((at + 1) * MIB).unwrap();
    gpt::write(&table, &mut disk).unwrap();
    let offset = |label: &str| table.partitions.iter().find(|one| one.name == label).unwrap().offset();

    let hashes = [("a", "1.4.0"), ("b", "1.5.0")].map(|(slot, version)| {
        let root = root(version);
        root.set_len(MIB).unwrap();
        sparse::copy(&root, 0..MIB, &disk, offset(&format!("root-{slot}"))).unwrap();
        let parameters = verity::Parameters { salt: [3; 32], uuid: Uuid::from_u128(4) };
        let made = verity::format(&root, 0..MIB, &parameters).unwrap();
        let mut tree = Vec::new();
        made.write(&mut tree).unwrap();
        disk.write_all_at(&tree, offset(&format!("verity-{slot}"))).unwrap();
        made.root_hash
    });
    let mut files = Tree::new();
    for name in ["bedplate_1-a.efi", "bedplate_2-b+2-1.efi"] {
        files.insert(format!("EFI/Linux/{name}").as_str().into(), Node::file("no kernel image", 0o644));
    }
    files.insert("EFI/Linux/bedplate.new".into(), Node::file("half of one", 0o644));
    let esp = tempfile::tempfile().unwrap();
    let options =
        vfat::Options { size: 40 * MIB, volume_id: 1, label: "ESP".into(), epoch: 1 << 30, sector_size: 512 };
    vfat::write(&files, &esp, &options).unwrap();
    sparse::copy(&esp, 0..40 * MIB, &disk, offset("esp")).unwrap();
    Updated { path, hashes, _directory: directory }
}

fn said<T: std::fmt::Debug>(of: &Updated, result: Result<T>) -> String {
    format!("{:#}", result.unwrap_err()).replace(of.path.to_str().unwrap(), "device.raw")
}

#[test]
fn of_two_slots_one_has_to_be_asked_for() {
    let device = updated();
    let disk = Disk::open(&device.path).unwrap();
    expect![[r#"`device.raw` has more than one root partition: `root-a`, `root-b`; ask for one of them, such as `partition("root-a")?.filesystem()`"#]]
        .assert_eq(&said(&device, disk.root()));
    expect![[r#"partition 1 `esp` of `device.raw` has 2 unified kernel images: `bedplate_1-a.efi`, `bedplate_2-b+2-1.efi`; ask for one of them, such as `uki_at("EFI/Linux/bedplate_1-a.efi")`"#]]
        .assert_eq(&said(&device, disk.uki()));
    let second = disk.partition("root-b").unwrap().filesystem().unwrap();
    assert!(second.text("/usr/lib/os-release").unwrap().contains("1.5.0"));
    let missing = said(&device, disk.uki_at("EFI/Linux/bedplate_3-a.efi"));
    assert!(missing.contains("there is no `EFI/Linux/bedplate_3-a.efi`"), "{missing}");
}

#[test]
fn both_slots_are_shown_and_damage_in_one_is_told() {
    let device = updated();
    let slots = |page: &str| page[page.find("\nslots\n").unwrap()..].to_owned();
    let page = Disk::open(&device.path).unwrap().inspect().unwrap().page(100);
    expect![[r#"

        slots
             version  kernel image                    hash tree
          a  1.4.0    EFI/Linux/bedplate_1-a.efi      -
          b  1.5.0    EFI/Linux/bedplate_2-b+2-1.efi  -
    "#]]
    .assert_eq(&slots(&page));

    // As an installation leaves it that was interrupted.
    let disk = Disk::open(&device.path).unwrap();
    let offset = disk.partition("root-b").unwrap().offset;
    File::options().write(true).open(&device.path).unwrap().write_all_at(&[0; 4096], offset).unwrap();
    let page = Disk::open(&device.path).unwrap().inspect().unwrap().page(100);
    expect![[r#"

        slots
             version         kernel image                    hash tree
          a  1.4.0           EFI/Linux/bedplate_1-a.efi      -
          b  no file system  EFI/Linux/bedplate_2-b+2-1.efi  -
    "#]]
    .assert_eq(&slots(&page));
}

#[test]
fn a_disk_that_starts_nothing_is_shown() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(4 * MIB).unwrap();
    let data = gpt::Partition {
        number: 1,
        type_guid: guid::LINUX_GENERIC,
        guid: Uuid::from_u128(1),
        first_lba: 2048,
        last_lba: 4095,
        attributes: 0,
        name: "data".into(),
    };
    let table = gpt::Table { guid: Uuid::from_u128(9), sector_size: 512, partitions: vec![data] };
    gpt::write(&table, &mut file.as_file()).unwrap();
    let found = Disk::open(file.path()).unwrap().inspect().unwrap();
    assert!(found.system.is_none() && found.slots.is_empty() && found.uki.is_none());
    assert_eq!(found.partitions.len(), 1);
}

#[test]
fn a_hash_tree_is_told_from_that_of_the_other_slot() {
    let device = updated();
    let disk = Disk::open(&device.path).unwrap();
    for (label, fits) in [("verity-a", [true, false]), ("verity-b", [false, true])] {
        let tree = disk.partition(label).unwrap();
        let found = verity::root_hash(&mut tree.region.reader()).unwrap();
        assert_eq!(device.hashes.map(|hash| found == Some(hash)), fits, "{label}");
    }
    let root = disk.partition("root-a").unwrap();
    assert!(verity::root_hash(&mut root.region.reader()).is_err(), "it is no hash tree");
}
