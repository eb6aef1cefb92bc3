use std::fs::File;
use std::io::Cursor;
use std::os::unix::fs::MetadataExt;

use expect_test::expect;

use super::*;
use crate::digest::{hex, sha256};

/// Numbers with gaps and out of order, a name of 36 units, every attribute in use.
fn table() -> Table {
    let partition = |number, first_lba, last_lba, attributes, name: &str| Partition {
        number,
        type_guid: Uuid::from_u128(0x4f68bce3_e8cd_4db1_96e7_fbcaf984b709),
        guid: Uuid::from_u128(0x10000000_0000_4000_8000_000000000000 + u128::from(number)),
        first_lba,
        last_lba,
        attributes,
        name: name.to_owned(),
    };
    let mut table = Table {
        guid: Uuid::from_u128(0x6a5e1f3c_0b3d_4b57_8a0e_2f7d9c4e1b60),
        sector_size: SECTOR,
        partitions: vec![
            partition(14, 8192, 20479, 1 << 60 | 1 << 63, "root-x86-64"),
            partition(1, 2048, 8191, 0, "esp"),
            partition(128, 20480, 131_038, 1 << 59, "dåtå-𝕩-2345678901234567890123456789"),
        ],
    };
    table.partitions[1].type_guid = Uuid::from_u128(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b);
    table
}

#[test]
fn a_kernel_takes_the_copy_that_is_whole() {
    use std::os::unix::fs::FileExt as _;
    let mut disk = disk();
    let end = disk.metadata().unwrap().len();
    for damaged in [end - 512, 512] {
        let before = {
            let mut bytes = [0; 512];
            disk.read_exact_at(&mut bytes, damaged).unwrap();
            bytes
        };
        disk.write_all_at(&[0; 512], damaged).unwrap();
        assert!(read(&mut disk).is_err());
        assert_eq!(read_either(&mut disk).unwrap(), read_either(&mut self::disk()).unwrap());
        disk.write_all_at(&before, damaged).unwrap();
    }
    disk.write_all_at(&[0; 512], 512).unwrap();
    disk.write_all_at(&[0; 512], end - 512).unwrap();
    assert!(matches!(read_either(&mut disk), Err(GptError::Signature(512))));
}

fn disk() -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.set_len(64 << 20).unwrap();
    write(&table(), &mut file).unwrap();
    file
}

/// The file's bytes, so that a test can break them.
fn bytes() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut file = disk();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_table_is_read_back_with_its_numbers() {
    let mut expected = table();
    expected.partitions.sort_by_key(|partition| partition.number);
    assert_eq!(read(&mut disk()).unwrap(), expected);
}

/// The disk this is the digest of passed `sfdisk --verify` and `sgdisk --verify`
/// (util-linux 2.38.1, gdisk 1.0.9), and `sfdisk --json` named every field as
/// `table` does.
#[test]
fn the_bytes_of_a_table_are_those_the_tools_agreed_with() {
    expect!["cb1310d0ca4e562f33aa6b9a1547b9c0e0674468eb24e821a5ce5ebcfd5a5479"]
        .assert_eq(&hex(&sha256(&disk()).unwrap()));
}

#[test]
fn a_table_takes_no_room_but_its_own() {
    assert!(disk().metadata().unwrap().blocks() * 512 <= 128 << 10);
}

#[test]
fn nothing_of_an_older_table_stays() {
    let mut file = disk();
    let mut smaller = table();
    smaller.partitions.truncate(1);
    write(&smaller, &mut file).unwrap();
    assert_eq!(read(&mut file).unwrap(), smaller);
}

#[test]
fn a_table_that_breaks_a_rule_is_not_written() {
    let mut messages = Vec::new();
    let mut refused = |change: fn(&mut Table)| {
        let mut table = table();
        change(&mut table);
        let mut disk = Cursor::new(vec![0; 64 << 20]);
        messages.push(write(&table, &mut disk).unwrap_err().to_string());
        assert!(crate::sparse::is_zero(disk.get_ref()));
    };
    refused(|table| table.partitions[0].number = 0);
    refused(|table| table.partitions[0].number = 129);
    refused(|table| table.partitions[1].number = 14);
    refused(|table| table.partitions[1].guid = table.partitions[0].guid);
    refused(|table| table.partitions[0].type_guid = Uuid::nil());
    refused(|table| table.partitions[2].name.push('x'));
    refused(|table| table.partitions[2].name = "a\0".to_owned());
    refused(|table| table.partitions[1].first_lba = 33);
    refused(|table| table.partitions[1].last_lba = 2047);
    refused(|table| table.partitions[2].last_lba = 131_039);
    refused(|table| table.partitions[1].last_lba = 8192);
    expect![[r#"
        partition 0 `root-x86-64`: the number is not between 1 and 128
        partition 129 `root-x86-64`: the number is not between 1 and 128
        partition 14 `esp`: the number is taken
        partition 1 `esp`: the guid `10000000-0000-4000-8000-00000000000e` is taken
        partition 14 `root-x86-64`: the type is the one of an unused entry
        partition 128 `dåtå-𝕩-2345678901234567890123456789x`: the name has `37` UTF-16 units, and a partition table has room for 36
        partition 128 `a\0`: the name holds a NUL
        partition 1 `esp`: sectors `33` to `8191` do not lie inside `34` to `131038`
        partition 1 `esp`: sectors `2048` to `2047` do not lie inside `34` to `131038`
        partition 128 `dåtå-𝕩-2345678901234567890123456789`: sectors `20480` to `131039` do not lie inside `34` to `131038`
        partition 1 `esp`: shares sectors with partition 14"#]].assert_eq(&messages.join("\n"));
}

#[test]
fn a_disk_without_room_for_a_table_is_refused() {
    let table = Table { guid: Uuid::nil(), sector_size: SECTOR, partitions: vec![] };
    for length in [0, 511, 512, 67 * 512, 68 * 512 + 1] {
        assert!(matches!(write(&table, &mut Cursor::new(vec![0; length])), Err(WriteError::Disk { .. })));
    }
    let mut smallest = Cursor::new(vec![0; 68 * 512]);
    write(&table, &mut smallest).unwrap();
    assert_eq!(read(&mut smallest).unwrap(), table);
}

#[test]
fn a_disk_of_more_than_2_tib_has_a_table() {
    let mut file = tempfile::tempfile().unwrap();
    file.set_len(3 << 40).unwrap();
    let mut table = table();
    table.partitions.sort_by_key(|partition| partition.number);
    table.partitions[2].last_lba = (3 << 40) / 512 - 34;
    write(&table, &mut file).unwrap();
    assert_eq!(read(&mut file).unwrap(), table);
}

#[test]
fn a_disk_may_be_longer_than_its_table_says() {
    let mut longer = bytes();
    longer.resize(longer.len() * 2, 0);
    assert_eq!(read(&mut Cursor::new(longer)).unwrap(), read(&mut Cursor::new(bytes())).unwrap());
}

#[test]
fn damage_is_named_with_its_place() {
    let mut messages = Vec::new();
    let mut damaged = |change: fn(&mut Vec<u8>)| {
        let mut bytes = bytes();
        change(&mut bytes);
        messages.push(read(&mut Cursor::new(bytes)).unwrap_err().to_string());
    };
    damaged(|bytes| bytes[450] = 0x83);
    damaged(|bytes| bytes[512] = b'e');
    damaged(|bytes| bytes[512 + 60] ^= 1);
    damaged(|bytes| bytes[512 + 12] = 91);
    damaged(|bytes| bytes[1024 + 5] ^= 1);
    damaged(|bytes| bytes.truncate((64 << 20) - 512));
    damaged(|bytes| *bytes.last_chunk_mut::<512>().unwrap().first_mut().unwrap() = 0);
    damaged(|bytes| *bytes.last_chunk_mut::<1024>().unwrap().first_mut().unwrap() = 1);
    damaged(|bytes| bytes.truncate(700));
    expect![[r#"
        no protective master boot record at offset `0`
        no partition table header at offset `512`
        the checksum of the partition table header at offset `512` is wrong
        the size in the partition table header at offset `512` is `91`
        the checksum of the partition entries at offset `1024` is wrong
        no partition table header at offset `67107840`
        no partition table header at offset `67108352`
        the checksum of the partition entries at offset `67091968` is wrong
        reading the partition table failed at offset `512`"#]]
    .assert_eq(&messages.join("\n"));
}

/// Gives a changed disk valid checksums, so that the fields themselves are met.
fn reseal(bytes: &mut [u8]) {
    for (header, entries) in [(512, 1024), (bytes.len() - 512, bytes.len() - 33 * 512)] {
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[entries..entries + 128 * 128]);
        bytes[header + 88..header + 92].copy_from_slice(&crc.sum().to_le_bytes());
        bytes[header + 16..header + 20].fill(0);
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[header..header + 92]);
        bytes[header + 16..header + 20].copy_from_slice(&crc.sum().to_le_bytes());
    }
}

#[test]
fn a_disk_that_lies_with_valid_checksums_is_refused() {
    let mut messages = Vec::new();
    let mut lying = |at: usize, value: &[u8]| {
        let mut bytes = bytes();
        let backup = bytes.len() - 512;
        let entries = bytes.len() - 33 * 512;
        let twin = if at < 1024 { backup + at - 512 } else { entries + at - 1024 };
        for at in [at, twin] {
            bytes[at..at + value.len()].copy_from_slice(value);
        }
        reseal(&mut bytes);
        messages.push(read(&mut Cursor::new(bytes)).unwrap_err().to_string());
    };
    lying(512 + 24, &[7]);
    lying(512 + 48, &[0xff; 8]);
    lying(512 + 72, &[0xff; 8]);
    lying(512 + 80, &[0xff; 4]);
    lying(512 + 84, &[0xff; 4]);
    lying(512 + 84, &[0; 4]);
    lying(1024 + 40, &[0xff; 8]);
    lying(1024 + 40, &[0, 0x20]);
    lying(1024 + 56, &[0x00, 0xd8]);
    expect![[r#"
        the own sector in the partition table header at offset `512` is `7`
        the last usable sector in the partition table header at offset `512` is `18446744073709551615`
        the sector of the entries in the partition table header at offset `512` is `18446744073709551615`
        the number of entries in the partition table header at offset `512` is `4294967295`
        the size of an entry in the partition table header at offset `512` is `4294967295`
        the size of an entry in the partition table header at offset `512` is `0`
        partition 1 at offset `1024`: sectors `2048` to `18446744073709551615` do not lie inside `34` to `131038`
        partition 14 at offset `2688`: shares sectors with partition 1
        partition 1 at offset `1024`: the name is not UTF-16"#]].assert_eq(&messages.join("\n"));
}

#[test]
fn no_change_to_a_table_makes_the_reader_panic() {
    let mut small = table();
    small.partitions.truncate(1);
    small.partitions[0].first_lba = 40;
    small.partitions[0].last_lba = 50;
    let mut disk = Cursor::new(vec![0; 100 * 512]);
    write(&small, &mut disk).unwrap();
    let original = disk.into_inner();
    for at in (440..1024 + 14 * 128).chain(original.len() - 512..original.len() - 420) {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = original.clone();
            changed[at] = byte;
            let _ = read(&mut Cursor::new(&changed));
            // With valid checksums, or little behind them is ever reached.
            reseal(&mut changed);
            let _ = read(&mut Cursor::new(&changed));
        }
    }
}

/// Case 28.
#[test]
fn a_disk_of_large_sectors_has_its_table_in_them() {
    let mut table = table();
    table.partitions.sort_by_key(|partition| partition.number);
    table.sector_size = LARGE_SECTOR;
    let mut disk = Cursor::new(vec![0xff; 64 << 20]);
    for partition in &mut table.partitions {
        partition.first_lba = partition.first_lba.next_multiple_of(8);
        partition.last_lba = ((partition.last_lba + 1) / 8 * 8 - 1).min((64 << 20) / 512 - 5 * 8 - 1);
    }
    write(&table, &mut disk).unwrap();
    let bytes = disk.get_ref();
    assert_eq!((&bytes[510..512], &bytes[4096..4104]), (&b"\x55\xaa"[..], &b"EFI PART"[..]));
    assert_eq!(bytes[bytes.len() - 4096..][..8], *b"EFI PART");
    // First and last usable sectors: 6, and all but five.
    assert_eq!((bytes[4096 + 40], bytes[4096 + 48..4096 + 50].to_vec()), (6, vec![0xfa, 0x3f]));
    assert_eq!(read(&mut disk).unwrap(), table);
    // On a longer disk, too.
    disk.get_mut().extend(vec![0; 1 << 20]);
    assert_eq!(read(&mut disk).unwrap(), table);
    table.partitions[0].first_lba += 1;
    let error = write(&table, &mut disk).unwrap_err().to_string();
    assert!(error.ends_with("it does not begin and end with a sector of `4096` bytes"), "{error}");
}
