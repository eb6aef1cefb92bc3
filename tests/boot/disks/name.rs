//! A disk gets ids of its own, and whenever the power goes, one copy of its partition table is whole.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bedplate::plan::{Plan, guid};
use bedplate_formats::gpt;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::product;

const SECTOR: usize = 512;
/// Header and entries.
const COPY: usize = 33;

/// The disk of a plan, empty but for its table, which was made for a disk of `made` bytes.
fn disk(path: &Path, made: u64, size: u64) -> gpt::Table {
    let partition = |number: u32, name: &str, first_lba: u64| gpt::Partition {
        number,
        type_guid: guid::LINUX_GENERIC,
        guid: uuid::Uuid::from_u128(number.into()),
        first_lba,
        last_lba: first_lba + 2047,
        attributes: u64::from(number) << 59,
        name: name.to_owned(),
    };
    let names = ["root-x86-64", "root-x86-64-verity", "esp", "persistent"];
    let partitions = (1..).zip(names).map(|(number, name)| partition(number, name, u64::from(number) * 2048));
    let table =
        gpt::Table { guid: uuid::Uuid::from_u128(9), sector_size: 512, partitions: partitions.collect() };
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap();
    file.set_len(made).unwrap();
    gpt::write(&table, &mut file).unwrap();
    file.set_len(size).unwrap();
    table
}

/// Both ends of the disk, where its table lies.
fn ends(path: &Path) -> [Vec<u8>; 2] {
    let file = File::open(path).unwrap();
    let end = file.metadata().unwrap().len() - (COPY * SECTOR) as u64;
    [(0, (COPY + 1) * SECTOR), (end, COPY * SECTOR)].map(|(at, length)| {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, at).unwrap();
        bytes
    })
}

/// The script, on a file in place of a disk.
fn name(directory: &Path) {
    let plan = super::plan();
    let unit = plan.text("/usr/lib/systemd/system/bedplate-name-disk.service").unwrap();
    assert!(unit.contains("ExecStart=/usr/lib/bedplate/name-disk 3 4\n"), "{unit}");
    let script = plan.text("/usr/lib/bedplate/name-disk").unwrap();
    let writes: Vec<&str> = script.lines().filter(|line| line.contains("of=\"$disk\"")).collect();
    assert!(writes.len() == 2 && writes.iter().all(|line| line.contains("fsync")), "{writes:?}");
    assert!(
        writes[0].contains("seek=$end") && !writes[1].contains("seek"),
        "the second copy is not the first written"
    );
    let size = fs::metadata(directory.join("disk.raw")).unwrap().len() / SECTOR as u64;
    fs::create_dir_all(directory.join("sys/queue")).unwrap();
    fs::write(directory.join("sys/size"), format!("{size}\n")).unwrap();
    fs::write(directory.join("sys/queue/logical_block_size"), "512\n").unwrap();
    let script = script
        .replace("$(readlink -f /dev/bedplate/disk)", "disk.raw")
        .replace("/sys/class/block/${disk##*/}", "sys")
        .replace("$RUNTIME_DIRECTORY", ".")
        .replace("systemd-id128 --uuid new", "cat /proc/sys/kernel/random/uuid");
    fs::write(directory.join("name.sh"), script).unwrap();
    let packages = ["base-files", "coreutils", "dash", plan_package(&plan)];
    product::agrees(directory, &packages, &["sh", "name.sh", "3", "4"]);
}

/// The package that the plan implies for it.
fn plan_package(plan: &Plan) -> &'static str {
    assert!(plan.packages.iter().any(|package| package.name == "fdisk"));
    "fdisk"
}

#[test]
fn a_disk_that_gets_ids_of_its_own_is_whole_whenever_the_power_goes() {
    let directory = tempfile::tempdir_in(product::scratch("disks")).unwrap();
    let path = directory.path().join("disk.raw");
    let mib = 1 << 20;
    // As large as the image, and larger: then the second copy does not lie at the end yet.
    for (made, size) in [(8 * mib, 8 * mib), (8 * mib, 24 * mib)] {
        let old = disk(&path, made, size);
        let before = ends(&path);
        name(directory.path());
        let after = ends(&path);
        let new = gpt::read(&mut File::open(&path).unwrap()).unwrap();
        assert_ne!(new.guid, old.guid);
        for (one, other) in new.partitions.iter().zip(&old.partitions) {
            assert_eq!(one.guid == other.guid, matches!(one.number, 1 | 2), "{}", one.name);
            assert_eq!(gpt::Partition { guid: other.guid, ..one.clone() }, *other);
        }
        cut(&before, &after, &[old.guid, new.guid]);
    }
}

/// Any sectors of the end are written before any of the beginning: a copy is whole, and an old one or the new one.
fn cut(before: &[Vec<u8>; 2], after: &[Vec<u8>; 2], ids: &[uuid::Uuid; 2]) {
    let mut random = StdRng::seed_from_u64(23);
    for round in 0..2000 {
        // In their order, and, as a disk with a cache may, in any.
        let mixed = |part: usize, random: &mut StdRng| {
            let sectors = before[part].len() / SECTOR;
            let upto = random.gen_range(0..=sectors);
            let mut bytes = before[part].clone();
            for sector in 0..sectors {
                if if round % 2 == 0 { sector < upto } else { random.gen_bool(0.5) } {
                    let range = sector * SECTOR..(sector + 1) * SECTOR;
                    bytes[range.clone()].copy_from_slice(&after[part][range]);
                }
            }
            bytes
        };
        let [first, second] = if round % 3 == 0 {
            [before[0].clone(), mixed(1, &mut random)]
        } else {
            [mixed(0, &mut random), after[1].clone()]
        };
        let (entries, header) = second.split_at((COPY - 1) * SECTOR);
        let whole = [whole(&first[SECTOR..2 * SECTOR], &first[2 * SECTOR..]), whole(header, entries)];
        let found = whole.iter().flatten().next();
        assert!(found.is_some_and(|id| ids.contains(id)), "round {round}: {whole:?}");
    }
}

/// The id of a table whose checksums hold.
fn whole(header: &[u8], entries: &[u8]) -> Option<uuid::Uuid> {
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let sum = |bytes: &[u8]| {
        let mut sum = flate2::Crc::new();
        sum.update(bytes);
        sum.sum()
    };
    let mut bare = header[..92].to_vec();
    bare[16..20].fill(0);
    let holds = header.starts_with(b"EFI PART") && number(16) == sum(&bare) && number(88) == sum(entries);
    holds.then(|| uuid::Uuid::from_bytes_le(header[56..72].try_into().unwrap()))
}
