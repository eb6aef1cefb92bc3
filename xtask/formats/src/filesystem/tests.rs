//! Paths: through links, and to nowhere.

use expect_test::expect;

use super::*;
use crate::tree::Node;
use crate::vfat;

fn sample() -> Filesystem {
    let mut tree = Tree::new();
    let mut link = |path: &str, target: &str| tree.insert(path.into(), Node::symlink(target));
    link("etc/os-release", "../usr/lib/os-release");
    link("bin", "usr/bin");
    link("etc/absolute", "/usr/lib/os-release");
    link("etc/out", "../../../../../usr/lib/os-release");
    link("etc/nowhere", "/run/nothing");
    link("etc/one", "other");
    link("etc/other", "one");
    link("etc/through", "/bin/../lib/os-release");
    tree.insert("usr/bin/sh".into(), Node::file("#!", 0o755));
    tree.insert("usr/lib/os-release".into(), Node::file("ID=debian\n", 0o644));
    Filesystem::open(&Region::from(crate::erofs::tests::image(&tree))).unwrap()
}

#[test]
fn links_are_followed_inside_the_image() {
    let root = sample();
    for path in
        ["/etc/os-release", "etc/absolute", "/etc/out", "/etc/through", "//usr/./lib/../lib/os-release"]
    {
        assert_eq!(root.text(path).unwrap(), "ID=debian\n", "{path}");
    }
    assert_eq!(root.file("/bin/sh").unwrap(), b"#!");
    assert_eq!(root.read_dir("/bin").unwrap(), ["sh"]);
    assert_eq!(root.read_link("/etc/os-release").unwrap(), "../usr/lib/os-release");
    assert_eq!(root.symlink_metadata("/bin").unwrap().kind, FileType::Symlink);
    assert_eq!(root.metadata("/bin").unwrap().kind, FileType::Directory);
    assert_eq!(root.metadata("/").unwrap().kind, FileType::Directory);
}

#[test]
fn a_link_is_there_though_it_leads_nowhere() {
    let root = sample();
    assert!(root.exists("/etc/nowhere").unwrap());
    assert!(!root.exists("/etc/nowhere/below").unwrap());
    assert!(!root.exists("/etc/hostname").unwrap());
}

#[test]
fn an_error_says_what_was_asked_for_and_what_there_is() {
    let root = sample();
    let all = [
        root.file("/usr/lib/systemd/system/kept.mount").unwrap_err(),
        root.file("/usr/bin/sh/-c").unwrap_err(),
        root.file("/etc/nowhere").unwrap_err(),
        root.file("/usr/lib").unwrap_err(),
        root.read_dir("/etc/os-release").unwrap_err(),
        root.read_link("/usr").unwrap_err(),
        root.file("/etc/one").unwrap_err(),
        Filesystem::open(&Region::from(vec![0; 4096])).unwrap_err(),
    ];
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    expect![[r#"
        there is no `/usr/lib/systemd/system/kept.mount`; what there is of it is `/usr/lib`, a directory
        there is no `/usr/bin/sh/-c`; what there is of it is `/usr/bin/sh`, a file
        there is no `/etc/nowhere`, which leads to `/run/nothing`; what there is of it is `/`, a directory
        `/usr/lib` is a directory and not a file
        `/etc/os-release` is a file and not a directory
        `/usr` is a directory and not a symbolic link
        `/etc/one` leads through more than 40 symbolic links
        no file system that can be read: neither erofs, squashfs, ext4 nor vfat"#]]
    .assert_eq(&all.join("\n"));
}

#[test]
fn a_tree_comes_back() {
    let tree = sample().tree().unwrap();
    let paths: Vec<String> = tree.iter().map(|(path, _)| path.to_string()).collect();
    assert_eq!(paths.len(), 15);
    assert_eq!(tree.content(&"usr/bin/sh".into()).unwrap().read().unwrap(), b"#!");
}

#[test]
fn fat_does_not_tell_capitals_from_small_letters() {
    let mut tree = Tree::new();
    tree.insert("EFI/Linux/small.efi".into(), Node::file("MZ", 0o644));
    let options = vfat::Options {
        size: vfat::MINIMUM + (8 << 20),
        volume_id: 1,
        label: "ESP".into(),
        epoch: 1 << 30,
        sector_size: 512,
    };
    let file = tempfile::tempfile().unwrap();
    vfat::write(&tree, &file, &options).unwrap();
    let esp = Filesystem::open(&Region::of(file).unwrap()).unwrap();
    assert_eq!(esp.name(), "vfat");
    assert_eq!(esp.file("/efi/LINUX/small.EFI").unwrap(), b"MZ");
    assert_eq!(esp.read_dir("EFI").unwrap(), ["Linux"]);
}

#[test]
fn a_file_that_a_walk_met_is_read_without_its_path() {
    let root = sample();
    let all = root.find_all().unwrap();
    let of = |path: &str| all.iter().find(|found| found.path == path.as_bytes()).unwrap();
    assert_eq!(root.read(of("usr/lib/os-release")).unwrap(), b"ID=debian\n");
    assert_eq!(root.read(of("bin")).unwrap(), b"usr/bin");
    assert_eq!(all.len(), root.walk().unwrap().len());
}

#[test]
fn the_same_content_is_found_wherever_it_lies() {
    use crate::erofs::write::{Compressor, Options, write};
    let filesystem = |content: &[u8], compressor| {
        let mut tree = Tree::new();
        tree.insert("before".into(), Node::file(vec![7; 5000], 0o644));
        tree.insert("file".into(), Node::file(content.to_vec(), 0o644));
        let options = Options { uuid: uuid::Uuid::from_u128(1), epoch: 0, compressor };
        let mut bytes = Vec::new();
        write(&tree, &options, &mut bytes).unwrap();
        Filesystem::open(&Region::from(bytes)).unwrap()
    };
    // Several extents, and several pieces.
    let content: Vec<u8> = (0..6_000_000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
    let mut other = content.clone();
    other[20_000_000] ^= 1;
    let one = filesystem(&content, Compressor::Lz4);
    let same = |filesystem: &Filesystem| {
        let found = |filesystem: &Filesystem| {
            filesystem.find_all().unwrap().into_iter().find(|found| found.path == b"file").unwrap()
        };
        same_content((&one, &found(&one)), (filesystem, &found(filesystem))).unwrap()
    };
    for compressor in [Compressor::Lz4, Compressor::Zstd { level: 1 }, Compressor::None] {
        assert!(same(&filesystem(&content, compressor)), "{compressor:?}");
        assert!(!same(&filesystem(&other, compressor)), "{compressor:?}");
    }
    assert!(!same(&filesystem(&content[1..], Compressor::Lz4)));
}
