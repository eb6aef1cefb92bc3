use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};

use expect_test::expect;

use super::*;
use crate::digest::{hex, sha256};
use crate::tree::{Content, Kind, Node, Tree};

fn options() -> Options {
    Options {
        size: 64 << 20,
        volume_id: 0x1234_abcd,
        label: "ESP".to_owned(),
        epoch: 1_700_000_001,
        sector_size: SECTOR,
    }
}

/// Names of every kind, an empty file, one over several clusters, one with holes,
/// and a directory that is longer than a cluster.
fn tree() -> Tree {
    let mut tree = Tree::new();
    let mut file = |path: &str, content: Vec<u8>| tree.insert(path.into(), Node::file(content, 0o644));
    file("EFI/BOOT/BOOTX64.EFI", (0..=255).cycle().take(100_000).collect());
    file("EFI/systemd/systemd-bootx64.efi", b"systemd-boot".to_vec());
    file("EFI/Linux/edge_1.0.efi", [vec![1; 5000], vec![0; 1 << 20], vec![2; 77]].concat());
    file("loader/loader.conf", b"timeout 3\n".to_vec());
    file("loader/entries.srel", vec![]);
    file("Ünïcode näme", b"u".to_vec());
    for number in 0..40 {
        file(&format!("many/a name of more than twenty-six units {number}"), vec![number]);
    }
    tree.insert("empty directory".into(), Node::directory(0o755));
    let again = Kind::Hardlink("EFI/systemd/systemd-bootx64.efi".into());
    tree.insert("again.efi".into(), Node { kind: again, ..Node::file("", 0o644) });
    tree
}

fn disk() -> File {
    let file = tempfile::tempfile().unwrap();
    write(&tree(), &file, &options()).unwrap();
    file
}

/// Paths with the content of files, as text that can be compared.
fn listing(tree: &Tree) -> Vec<(String, Option<Vec<u8>>)> {
    let content =
        |path, node: &Node| (!node.is_directory()).then(|| tree.content(path).unwrap().read().unwrap());
    tree.iter().map(|(path, node)| (path.to_string(), content(path, node))).collect()
}

#[test]
fn a_tree_is_read_back() {
    let mut disk = disk();
    let back = read(&mut disk, 0).unwrap();
    assert_eq!(listing(&back), listing(&tree()));
    let times = back.iter().filter(|(path, _)| path.name().is_some()).map(|(_, node)| node.mtime);
    assert!(times.into_iter().all(|time| time == 1_700_000_000));
    let volume = Volume::open(&mut disk, 0).unwrap();
    assert_eq!((volume.volume_id, volume.label.as_str()), (0x1234_abcd, "ESP"));
}

#[test]
fn a_tree_is_read_back_from_inside_a_disk() {
    let mut whole = tempfile::tempfile().unwrap();
    crate::sparse::copy(&disk(), 0..64 << 20, &whole, 1 << 20).unwrap();
    assert_eq!(listing(&read(&mut whole, 1 << 20).unwrap()), listing(&tree()));
}

/// `fsck.vfat -n` 4.2 found nothing in the file system this is the digest of, and
/// `mcopy -s` of mtools 4.0.32 copied every file out of it as it went in.
#[test]
fn the_bytes_are_those_the_tools_agreed_with() {
    expect!["c04caddba8cda05662dc5d7a153ede1d9c3d846b8619d8f2b97ff5b636b07862"]
        .assert_eq(&hex(&sha256(&disk()).unwrap()));
}

#[test]
fn an_old_content_of_the_file_is_gone() {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&vec![0xff; 65 << 20], 0).unwrap();
    write(&tree(), &file, &options()).unwrap();
    assert_eq!(sha256(&file).unwrap(), sha256(&disk()).unwrap());
}

#[test]
fn what_is_nothing_takes_no_room() {
    // 1 MiB of both FATs' beginnings and of files; the zeros inside a file are not
    // among them.
    assert!(disk().metadata().unwrap().blocks() * 512 < 1 << 20);
}

#[test]
fn dots_point_at_the_directory_and_its_parent() {
    let disk = disk();
    let mut volume = Volume::open(&disk, 0).unwrap();
    let mut clusters = Vec::new();
    let mut directory = volume.root;
    for name in ["EFI", "BOOT"] {
        let (bytes, _) = volume.directory(&TreePath::root(), directory).unwrap();
        let child = entry::entries(&bytes).into_iter().find(|entry| entry.name.as_deref() == Some(name));
        directory = child.unwrap().first_cluster;
        clusters.push(directory);
    }
    let mut volume = Volume::open(&disk, 0).unwrap();
    for (own, parent) in [(clusters[0], 0), (clusters[1], clusters[0])] {
        let (bytes, _) = volume.directory(&TreePath::root(), own).unwrap();
        assert_eq!((&bytes[..12], &bytes[32..44]), (&b".          \x10"[..], &b"..         \x10"[..]));
        assert_eq!((entry::first_cluster(&bytes), entry::first_cluster(&bytes[32..])), (own, parent));
        assert_eq!(
            (entry::slot(&bytes[64..]), entry::slot(&bytes[96..])),
            (entry::Slot::Deleted, entry::Slot::Deleted)
        );
    }
}

#[test]
fn every_size_of_a_partition_gives_a_fat32() {
    for size in
        [33 << 20, 34 << 20, 64 << 20, 260 << 20, 261 << 20, 512 << 20, 1 << 30, 9 << 30, 17 << 30, 33 << 30]
    {
        let mut file = tempfile::tempfile().unwrap();
        write(&tree(), &file, &Options { size, ..options() }).unwrap();
        assert_eq!(file.metadata().unwrap().len(), size);
        assert_eq!(listing(&read(&mut file, 0).unwrap()), listing(&tree()), "{size}");
    }
}

#[test]
fn the_last_cluster_can_be_used_and_not_one_more() {
    let options = Options { size: MINIMUM, ..options() };
    let with = |size: u64| {
        let mut tree = Tree::new();
        let content = Content::File { path: std::path::Path::new("/dev/zero").into(), len: size };
        tree.insert("small".into(), Node::file("x", 0o644));
        tree.insert("big".into(), Node { kind: Kind::File(content), ..Node::file("", 0o644) });
        tree
    };
    let file = tempfile::tempfile().unwrap();
    let Err(WriteError::Full { needed, available, .. }) = write(&with(MINIMUM), &file, &options) else {
        panic!("33 MiB fit into 33 MiB");
    };
    let most = MINIMUM - (needed - available);
    let error = write(&with(most + 1), &file, &options).unwrap_err();
    expect!["`34066944` bytes do not fit into a FAT file system with room for `34066432`; the largest files: `/big` with `34065409`, `/small` with `1`"].assert_eq(&error.to_string());
    assert_eq!(file.metadata().unwrap().len(), 0);

    // `/dev/zero` is longer than it says; a file is not.
    let zeros = tempfile::NamedTempFile::new().unwrap();
    zeros.as_file().set_len(most).unwrap();
    let mut tree = with(most);
    let content = Content::File { path: zeros.path().into(), len: most };
    tree.get_mut(&"big".into()).unwrap().kind = Kind::File(content);
    write(&tree, &file, &options).unwrap();
    assert_eq!(listing(&read(&mut &file, 0).unwrap()), listing(&tree));
}

#[test]
fn what_fat_cannot_hold_is_refused_by_name() {
    let mut messages = Vec::new();
    let mut refused = |path: &[u8], node: Node| {
        let mut tree = tree();
        tree.insert(path.into(), node);
        messages.push(write(&tree, &tempfile::tempfile().unwrap(), &options()).unwrap_err().to_string());
    };
    let file = || Node::file("x", 0o644);
    refused(b"what?", file());
    refused(b"not \xff utf-8", file());
    refused(b"dot.", file());
    refused(b"blank ", file());
    refused("\u{1d569}".as_bytes(), file());
    refused("n".repeat(256).as_bytes(), file());
    refused(b"efi", file());
    refused(b"EFI/boot", Node::directory(0o755));
    refused(b"EFI/Linux/edge_1~1.efi", file());
    refused(b"link", Node::symlink("EFI"));
    refused(b"fifo", Node { kind: Kind::Fifo, ..file() });
    refused(b"nothing", Node { kind: Kind::Hardlink("gone".into()), ..file() });
    let huge = Content::File { path: std::path::Path::new("/dev/zero").into(), len: 4 << 30 };
    refused(b"huge", Node { kind: Kind::File(huge), ..file() });
    let gone = Content::File { path: std::path::Path::new("/nonexistent").into(), len: 1 };
    refused(b"unreadable", Node { kind: Kind::File(gone), ..file() });
    let longer = Content::File { path: std::path::Path::new("/dev/zero").into(), len: 5 };
    refused(b"longer", Node { kind: Kind::File(longer), ..file() });
    expect![[r#"
        `/what?` cannot be on a FAT file system: its name has a character that is not allowed
        `/not � utf-8` cannot be on a FAT file system: its name is not UTF-8
        `/dot.` cannot be on a FAT file system: its name begins or ends with a blank, or ends with a dot
        `/blank ` cannot be on a FAT file system: its name begins or ends with a blank, or ends with a dot
        `/𝕩` cannot be on a FAT file system: its name has a character that is not allowed
        `/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn` cannot be on a FAT file system: its name is longer than 255 bytes
        `/efi` cannot be on a FAT file system: another name differs from it in nothing but case
        `/EFI/boot` cannot be on a FAT file system: another name differs from it in nothing but case
        `/EFI/Linux/edge_1~1.efi` cannot be on a FAT file system: its name is the short name of another file
        `/link` cannot be on a FAT file system: it is neither a file nor a directory
        `/fifo` cannot be on a FAT file system: it is neither a file nor a directory
        `/nothing` cannot be on a FAT file system: it is a hard link to nothing
        `/huge` cannot be on a FAT file system: it has 4 GiB or more
        writing `/unreadable` to the FAT file system failed
        writing `/longer` to the FAT file system failed"#]].assert_eq(&messages.join("\n"));
}

#[test]
fn a_file_is_read_whatever_else_is_damaged() {
    let disk = disk();
    fn whole<R: Read + Seek>(volume: &mut Volume<R>) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        volume.files(&"EFI/Linux".into(), |name| name.ends_with(".efi"))
    }
    let files = whole(&mut Volume::open(&disk, 0).unwrap()).unwrap();
    assert_eq!(
        files.iter().map(|(name, content)| (name.as_str(), content.len())).collect::<Vec<_>>(),
        [("edge_1.0.efi", 5000 + (1 << 20) + 77)]
    );
    let mut reserved = [0; 2];
    disk.read_exact_at(&mut reserved, 14).unwrap();
    let table = u64::from(u16::from_le_bytes(reserved)) * 512;
    // Clusters that lead nowhere.
    let broken = (2..200).filter(|cluster| {
        let changed = Changed { disk: &disk, position: 0, at: table + cluster * 4, bytes: &[0; 4] };
        let mut volume = Volume::open(changed, 0).unwrap();
        volume.tree().is_err() && whole(&mut volume).is_ok_and(|read| read == files)
    });
    assert!(broken.count() > 50, "damage of one file keeps others from being read");
    let mut volume = Volume::open(&disk, 0).unwrap();
    assert!(matches!(volume.files(&"EFI/None".into(), |_| true), Err(ReadError::Missing(_))));
}

#[test]
fn options_that_give_no_file_system_are_refused() {
    let mut messages = Vec::new();
    let mut refused = |options: Options| {
        messages.push(write(&tree(), &tempfile::tempfile().unwrap(), &options).unwrap_err().to_string());
    };
    refused(Options { size: MINIMUM - 512, ..options() });
    refused(Options { size: MINIMUM + 1, ..options() });
    refused(Options { size: 1 << 42, ..options() });
    refused(Options { label: String::new(), ..options() });
    refused(Options { label: "twelve chars".to_owned(), ..options() });
    refused(Options { label: "esp".to_owned(), ..options() });
    expect![[r#"
        a FAT32 file system cannot have `34602496` bytes: it takes whole sectors of 512 bytes, 34603008 to 2 TiB
        a FAT32 file system cannot have `34603009` bytes: it takes whole sectors of 512 bytes, 34603008 to 2 TiB
        a FAT32 file system cannot have `4398046511104` bytes: it takes whole sectors of 512 bytes, 34603008 to 2 TiB
        `` cannot be the label of a FAT file system: up to eleven of A-Z, 0-9, blank and _ - $ % @ # & ! ~
        `twelve chars` cannot be the label of a FAT file system: up to eleven of A-Z, 0-9, blank and _ - $ % @ # & ! ~
        `esp` cannot be the label of a FAT file system: up to eleven of A-Z, 0-9, blank and _ - $ % @ # & ! ~"#]].assert_eq(&messages.join("\n"));
}

/// A disk with a few bytes changed, without copying the disk.
struct Changed<'a> {
    disk: &'a File,
    position: u64,
    at: u64,
    bytes: &'a [u8],
}

impl Read for Changed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.disk.read_at(buffer, self.position)?;
        for (place, byte) in (self.position..).zip(&mut buffer[..count]) {
            let changed =
                place.checked_sub(self.at).and_then(|at| self.bytes.get(usize::try_from(at).unwrap()));
            *byte = *changed.unwrap_or(byte);
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Changed<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(by) => self.disk.metadata()?.len().checked_add_signed(by).unwrap(),
            SeekFrom::Current(by) => self.position.checked_add_signed(by).unwrap(),
        };
        Ok(self.position)
    }
}

fn small_disk() -> File {
    let mut tree = Tree::new();
    tree.insert("directory/a file with a long name".into(), Node::file(vec![1; 1300], 0o644));
    tree.insert("second".into(), Node::file(vec![2; 600], 0o644));
    let file = tempfile::tempfile().unwrap();
    write(&tree, &file, &Options { size: MINIMUM, ..options() }).unwrap();
    file
}

/// In the small disk: the FAT, and where clusters begin; they have 512 bytes.
const FAT: u64 = 8 * 512;

#[test]
fn damage_is_named_and_never_followed() {
    let disk = small_disk();
    let volume = Volume::open(&disk, 0).unwrap();
    // 2 is the root, 3 the directory, 4 to 6 the file in it, 7 and 8 the second.
    let (root, directory) = (volume.cluster_offset(2), volume.cluster_offset(3));
    let mut messages = Vec::new();
    let mut damaged = |at: u64, bytes: &[u8]| {
        let mut changed = Changed { disk: &disk, position: 0, at, bytes };
        messages.push(read(&mut changed, 0).unwrap_err().to_string());
    };
    let fat = |cluster: u64| FAT + cluster * 4;
    damaged(fat(6), &[4, 0, 0, 0]);
    damaged(fat(4), &[4, 0, 0, 0]);
    damaged(fat(3), &[3, 0, 0, 0]);
    damaged(fat(2), &[7, 0, 0, 0]);
    damaged(fat(5), &[0, 0, 0, 0]);
    damaged(fat(5), &[0, 0, 0xff, 0x0f]);
    damaged(fat(5), &[0xff, 0xff, 0xff, 0x0f]);
    damaged(fat(6), &[9, 0, 0, 0]);
    // After the label: a long name of one slot, then the short entry.
    damaged(root + 2 * 32 + 26, &[2]);
    damaged(root + 4 * 32 + 28, &[0xff; 4]);
    damaged(directory + 4 * 32 + 1, &[0x00, 0xd8]);
    damaged(root + 32 + 1, b".\0.\0\0\0");
    let mut twice = [0; 64];
    disk.read_exact_at(&mut twice[..32], root + 32).unwrap();
    disk.read_exact_at(&mut twice[32..], root + 3 * 32).unwrap();
    twice[13] = twice[32 + 13];
    damaged(root + 3 * 32, &twice[..32]);
    damaged(0, &[0; 512]);
    damaged(11, &[0, 0x08]);
    damaged(13, &[3]);
    damaged(14, &[0, 0]);
    damaged(16, &[7]);
    damaged(22, &[1]);
    damaged(32, &[0xff; 4]);
    damaged(36, &[0xff; 4]);
    damaged(36, &[1, 0, 0, 0]);
    damaged(44, &[0, 0, 0, 0]);
    expect![[r#"
        `/directory/a file with a long name` and another file, or itself, share cluster `4`
        `/directory/a file with a long name` and another file, or itself, share cluster `4`
        `/directory` and another file, or itself, share cluster `3`
        `/second` and another file, or itself, share cluster `7`
        `/directory/a file with a long name` goes on in cluster `0`, and there is none
        `/directory/a file with a long name` goes on in cluster `268369920`, and there is none
        `/directory/a file with a long name` says to have `1300` bytes, and its clusters hold `1024`
        `/directory/a file with a long name` says to have `1300` bytes, and its clusters hold `2048`
        `/directory` and another file, or itself, share cluster `2`
        `/second` goes beyond what is read: directories 64 deep and 2 MiB long, and 2 GiB of files
        an entry at offset `192` of directory `/directory` has a name that is none
        an entry at offset `64` of directory `/` has a name that is none
        `/directory` is listed twice
        no FAT32 file system: the signature at offset `510` is `0`
        no FAT32 file system: the size of a sector at offset `11` is `2048`
        no FAT32 file system: the sectors of a cluster at offset `13` is `3`
        no FAT32 file system: the number of reserved sectors at offset `14` is `0`
        no FAT32 file system: the number of tables at offset `16` is `7`
        no FAT32 file system: the short field for sectors of a table at offset `22` is `1`
        no FAT32 file system: the number of sectors at offset `32` is `4294967295`
        no FAT32 file system: the number of sectors at offset `32` is `67584`
        no FAT32 file system: the sectors of a table at offset `36` is `1`
        `/` goes on in cluster `0`, and there is none"#]]
    .assert_eq(&messages.join("\n"));
}

#[test]
fn a_disk_that_ends_too_early_is_an_error() {
    let disk = small_disk();
    for length in [0, 511, 512, MINIMUM - 512] {
        disk.set_len(length).unwrap();
        assert!(read(&mut &disk, 0).is_err(), "{length}");
    }
    assert!(read(&mut &disk, u64::MAX / 2).is_err());
}

#[test]
fn no_change_to_a_file_system_makes_the_reader_panic() {
    let disk = small_disk();
    let volume = Volume::open(&disk, 0).unwrap();
    let (root, directory) = (volume.cluster_offset(2), volume.cluster_offset(3));
    let places = (0..90).chain(FAT..FAT + 40).chain(root..root + 200).chain(directory..directory + 260);
    for at in places {
        for byte in [0, 1, 2, 0x0f, 0x10, 0x7f, 0x80, 0xe5, 0xff] {
            let mut changed = Changed { disk: &disk, position: 0, at, bytes: &[byte] };
            let _ = read(&mut changed, 0);
        }
    }
}

/// Case 28.
#[test]
fn a_file_system_of_large_sectors_is_a_fat32_from_its_minimum_on() {
    for size in [LARGE_MINIMUM, 512 << 20, 9 << 30] {
        let mut file = tempfile::tempfile().unwrap();
        write(&tree(), &file, &Options { size, sector_size: 4096, ..options() }).unwrap();
        assert_eq!(file.metadata().unwrap().len(), size);
        assert_eq!(listing(&read(&mut file, 0).unwrap()), listing(&tree()), "{size}");
    }
    let file = tempfile::tempfile().unwrap();
    let small = Options { size: LARGE_MINIMUM - (1 << 20), sector_size: 4096, ..options() };
    assert!(matches!(write(&tree(), &file, &small), Err(WriteError::Size { sector_size: 4096, .. })));
}
