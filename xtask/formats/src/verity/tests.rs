use expect_test::expect;

use super::*;
use crate::digest::hex;

fn parameters() -> Parameters {
    let mut salt = [0; 32];
    for (number, byte) in (0..).zip(&mut salt) {
        *byte = number;
    }
    Parameters { salt, uuid: Uuid::from_u128(0x6a5e1f3c_0b3d_4b57_8a0e_2f7d9c4e1b60) }
}

/// Every third block is zeros, as a hole; the others are their number plus one.
fn data(blocks: usize) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len((blocks * BLOCK) as u64).unwrap();
    for number in (0..blocks).filter(|number| number % 3 != 2) {
        let byte = u8::try_from((number + 1) & 0xff).unwrap();
        file.write_all_at(&[byte; BLOCK], (number * BLOCK) as u64).unwrap();
    }
    file
}

fn of(blocks: usize) -> Verity {
    format(&data(blocks), 0..(blocks * BLOCK) as u64, &parameters()).unwrap()
}

/// What `veritysetup format --uuid … --salt …` 2.6.1 gave for the same data: the
/// root hash it printed, and `sha256sum` of the hash device it wrote.
#[test]
fn root_hashes_and_trees_are_those_of_veritysetup() {
    let golden = [
        (
            1,
            "345c7d5833a1abdf7aca1d2330bdb6fb35f7fbec4f4154159460c83979f297f6",
            "95738ab7c2272c64e4836586813e8895ba53291b7fc6ae8dd7337e7afc94453e",
        ),
        (
            2,
            "09aeb2518f362e8cb2ef7ce722b24064977ac042daf788aef3640b02ef022d69",
            "6ba99f70185fc21becc7a3ba57c80ca8d22ceaf537768cc7a1bb3568688f94d6",
        ),
        (
            127,
            "f443aeee32aede4354d5bf3fc568e2d10435c5a97a5103fb9e697d69d997b24a",
            "4798f9daf20b6caa3e722bd670018b7e9ffd01fa2c67c63069c14982134f9a54",
        ),
        (
            128,
            "a2fe5030d17aecd71ff73c5f792d73f282d02d176b099ffec683cf9b784785a9",
            "c7973aa8878dba60ac8be2449fa5c07b596de4e529ba9ce81fb7a31a54e6593d",
        ),
        (
            129,
            "a5319e28803d133a9c0a74e356f5d9a670cb064891668accc939b7e8c626bc50",
            "488f4d01178b3706c84840201a878eac4cd6eb558ddc0b1636975d44bc5fb44b",
        ),
        (
            16384,
            "30cde510cfd6ae3ac8f8622686eb1165da769dc51819b0b029e79c6005a81f68",
            "952222dd4fce292e701c54589b58e105aa80bbd6cb7bc6dccff86c84d0a5af86",
        ),
        (
            16385,
            "141bb5a3a1c40eb3fb8fd1f10ae9788937f4662bb6eb84c16c18a4d65fa7f85c",
            "b20927e568a3313494a61075c40d7472d5c4a1beb37a57d13409129049cc40c0",
        ),
    ];
    for (blocks, root_hash, device) in golden {
        let verity = of(blocks);
        assert_eq!(hex(&verity.root_hash), root_hash, "{blocks} blocks");
        assert_eq!(hex(&Sha256::of(&verity.device)), device, "{blocks} blocks");
        assert_eq!(verity.device.len() as u64, device_size((blocks * BLOCK) as u64), "{blocks} blocks");
    }
}

#[test]
fn holes_and_written_zeros_hash_the_same() {
    let file = data(600);
    let written = tempfile::tempfile().unwrap();
    std::io::copy(&mut &file, &mut &written).unwrap();
    assert_eq!(format(&written, 0..600 * BLOCK_U64, &parameters()).unwrap(), of(600));
}

#[test]
fn what_lies_beyond_the_files_end_is_zeros() {
    let (file, longer) = (data(2), data(2));
    longer.set_len(300 * BLOCK_U64).unwrap();
    file.set_len(5000).unwrap();
    longer.set_len(5000).unwrap();
    longer.set_len(300 * BLOCK_U64).unwrap();
    let size = 300 * BLOCK_U64;
    assert_eq!(
        format(&file, 0..size, &parameters()).unwrap(),
        format(&longer, 0..size, &parameters()).unwrap()
    );
}

#[test]
fn a_superblock_is_read_back() {
    let superblock = read_superblock(&mut &of(129).device[..]).unwrap();
    assert_eq!(superblock, Superblock { parameters: parameters(), data_blocks: 129 });
}

/// A hash device as a file.
fn file(device: &[u8]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(device, 0).unwrap();
    file
}

#[test]
fn a_partition_hashes_as_its_image_does() {
    let disk = tempfile::tempfile().unwrap();
    crate::sparse::copy(&data(300), 0..300 * BLOCK_U64, &disk, 512 * 77).unwrap();
    disk.write_all_at(&[1; 9], 512 * 77 + 300 * BLOCK_U64).unwrap();
    let range = 512 * 77..512 * 77 + 300 * BLOCK_U64;
    assert_eq!(format(&disk, range, &parameters()).unwrap(), of(300));
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let (data, verity) = (data(300), of(300));
    let check = |hashes: &File| verify(&data, 0..400 * BLOCK_U64, hashes, 0, &verity.root_hash);
    assert_eq!(check(&file(&verity.device)).unwrap().data_blocks, 300);

    for at in [500, 5000, 9000, verity.device.len() - 1] {
        let mut broken = verity.device.clone();
        broken[at] ^= 1;
        let error = check(&file(&broken)).unwrap_err();
        let block = (at / BLOCK * BLOCK) as u64;
        assert!(matches!(error, VerityError::Tree { offset } if offset == block), "{at}");
    }
    data.write_all_at(&[1], 299 * BLOCK_U64).unwrap();
    let error = check(&file(&verity.device)).unwrap_err();
    assert!(matches!(error, VerityError::Data { offset } if offset == 299 * BLOCK_U64), "{error}");
    // With a tree of its own, the data is whole, and another.
    let other = format(&data, 0..300 * BLOCK_U64, &parameters()).unwrap();
    let error = check(&file(&other.device)).unwrap_err();
    assert!(matches!(error, VerityError::RootHash { .. }), "{error}");
}

/// What RAUC puts behind the payload of a bundle, in the same file.
#[test]
fn a_tree_without_a_superblock_lies_behind_its_data() {
    for blocks in [1, 2, 129, 16385] {
        let file = data(blocks);
        let end = (blocks * BLOCK) as u64;
        let tree = tree(&file, 0..end, &parameters().salt).unwrap();
        assert_eq!(tree.root_hash, of(blocks).root_hash);
        assert_eq!(tree.blocks, of(blocks).device[BLOCK..]);
        file.write_all_at(&tree.blocks, end).unwrap();
        let check = || verify_tree(&file, 0..end, &file, end, &parameters().salt, &tree.root_hash);
        check().unwrap();
        for at in [0, end / 2, end - 1] {
            let mut was = [0];
            file.read_exact_at(&mut was, at).unwrap();
            file.write_all_at(&[was[0] ^ 1], at).unwrap();
            match check().unwrap_err() {
                VerityError::Data { offset } => assert_eq!(offset, at / BLOCK_U64 * BLOCK_U64),
                // A single block has no tree that could tell.
                error => assert!(blocks == 1 && matches!(error, VerityError::RootHash { .. }), "{error}"),
            }
            file.write_all_at(&was, at).unwrap();
        }
    }
}

/// What is said about a hash device with one byte changed.
fn changed(at: usize, byte: u8) -> Result<Superblock, VerityError> {
    let mut verity = of(2);
    verity.device[at] = byte;
    verify(&data(2), 0..2 * BLOCK_U64, &file(&verity.device), 0, &verity.root_hash)
}

#[test]
fn a_superblock_that_lies_is_refused() {
    let broken = |at, byte| changed(at, byte).unwrap_err().to_string();
    let messages =
        [broken(0, b'V'), broken(8, 2), broken(32, b'x'), broken(66, 1), broken(80, 8), broken(79, 255)];
    expect![[r#"
        no verity superblock at offset 0
        the superblock's version at offset 8 is `2`, not `1`
        the superblock's algorithm at offset 32 is `xha256`, not `sha256`
        the superblock's data block size at offset 64 is `69632`, not `4096`
        the superblock's salt size at offset 80 is `8`, not `32`
        the superblock's count of data blocks at offset 72 is `18374686479671623682`, not `2 at most`"#]]
    .assert_eq(&messages.join("\n"));
}

#[test]
fn no_change_to_a_superblock_makes_the_reader_panic() {
    for at in 0..128 {
        for byte in [0, 1, 0x7f, 0xff] {
            let _ = changed(at, byte);
        }
    }
    for length in [0, 7, 119, 511] {
        assert!(read_superblock(&mut &of(2).device[..length]).is_err());
    }
}

#[test]
fn half_a_block_has_no_tree() {
    assert!(matches!(format(&data(1), 0..4095, &parameters()), Err(VerityError::Size(4095))));
    assert!(matches!(format(&data(1), 0..0, &parameters()), Err(VerityError::Size(0))));
}
