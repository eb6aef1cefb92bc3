//! A built image, asked as a project's own tests ask theirs, and held against what
//! everybody else's tools say of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::product::{self, agrees, kept, scratch, success};
use bedplate::disk::{Disk, FileType};
use bedplate_formats::tree::{Kind, Tree, TreePath};
use serde_json::Value;

/// The artifacts of `small`.
fn small() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built(product::small(), "small"))
}

fn built(mut program: Command, name: &str) -> PathBuf {
    let out = scratch("images").join(name);
    let lock = kept("locks").join(format!("{name}.lock"));
    success(program.args(["image", name, "--lock"]).arg(lock).arg("--out").arg(&out));
    out
}

fn disk() -> Disk {
    Disk::open(small().join("image.raw")).unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_root_is_the_description_and_nobodys_in_particular() {
    let disk = disk();
    let root = disk.root().unwrap();
    assert_eq!(root.filesystem(), "erofs");
    assert!(root.text("/etc/os-release").unwrap().contains("VERSION_CODENAME=trixie\n"));
    assert_eq!(root.text("/etc/machine-id").unwrap(), "");
    assert_eq!(
        root.text("/etc/motd").unwrap(),
        std::fs::read_to_string("tests/images/small/overlay/etc/motd").unwrap()
    );
    // Kept on the data partition, and mounted over this.
    assert_eq!(root.file("/var/lib/systemd/random-seed").unwrap(), b"");
    let (shadow, su) = (root.metadata("/etc/shadow").unwrap(), root.metadata("/bin/su").unwrap());
    assert_eq!((shadow.kind, shadow.mode, shadow.uid, shadow.gid), (FileType::Regular, 0o640, 0, 42));
    assert_eq!((su.mode, su.uid), (0o4755, 0));
    assert_eq!(root.read_link("/bin").unwrap(), "usr/bin");
    let wanted = root.read_dir("/etc/systemd/system/multi-user.target.wants").unwrap();
    assert!(wanted.contains(&"needs-kept.service".to_owned()), "{wanted:?}");
    let keys = root.walk().unwrap().into_iter().filter(|(path, _)| path.contains("ssh_host_"));
    assert_eq!(keys.count(), 0);
}

#[test]
fn dpkg_and_the_manifest_name_the_same_packages() {
    let status = disk().root().unwrap().text("/var/lib/dpkg/status").unwrap();
    let field = |package: &str, name: &str| {
        package.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
    };
    let installed: BTreeMap<String, String> = status
        .split("\n\n")
        .filter(|package| field(package, "Status: ") == "install ok installed")
        .map(|package| (field(package, "Package: "), field(package, "Version: ")))
        .collect();
    let manifest = json(&std::fs::read_to_string(small().join("image.manifest")).unwrap());
    let text = |package: &Value, name: &str| package[name].as_str().unwrap().to_owned();
    let packages = manifest["packages"].as_array().unwrap();
    let manifest: BTreeMap<String, String> =
        packages.iter().map(|package| (text(package, "name"), text(package, "version"))).collect();
    assert!(installed.len() > 50, "{} packages", installed.len());
    assert_eq!(installed, manifest);
}

#[test]
fn the_data_partition_is_empty_and_grows() {
    let disk = disk();
    let data = disk.partition("persistent").unwrap();
    assert!(data.grows() && !data.is_read_only());
    assert_eq!(data.filesystem_name().unwrap(), Some("ext4"));
    let files = data.filesystem().unwrap().read_dir("/").unwrap();
    assert!(files.is_empty() || files == ["lost+found"], "{files:?}");
    // Small as it is, it is made as a large one would be.
    let header = agrees(small(), &["e2fsprogs"], &["dumpe2fs", "-h", "image.linux-generic.raw"]);
    product::holds(&header, &["Block size: 4096", "Reserved GDT blocks: 127", "Total journal size: 32M"]);
    product::holds(&header, &["Block count: 65536", "Inode count: 16384"]);
}

#[test]
fn the_kernel_image_is_the_one_beside_the_disk() {
    let disk = disk();
    let uki = disk.uki().unwrap();
    let beside = Disk::open(small().join("image.efi")).unwrap().uki().unwrap();
    assert_eq!(uki.image(), beside.image());
    for section in [".osrel", ".cmdline", ".uname", ".linux", ".initrd"] {
        assert!(uki.section(section).unwrap() == beside.section(section).unwrap(), "{section}");
    }
    assert!(uki.command_line().unwrap().contains("console=ttyS0,115200"));
    let [first, last] = [0, 32].map(|from| uki.root_hash().unwrap()[from..from + 32].to_owned());
    let ids = ["root-x86-64", "root-x86-64-verity"].map(|label| disk.partition(label).unwrap().guid);
    assert_eq!(ids.map(|id| id.simple().to_string()), [first, last]);
    let said = uki.section(".profile").unwrap_err().to_string();
    assert!(said.contains("has no section `.profile`; there are `.text`"), "{said}");
}

#[test]
fn an_error_says_what_was_asked_on_which_partition() {
    let disk = disk();
    let said = format!("{:#}", disk.root().unwrap().file("/usr/lib/nothing/here").unwrap_err());
    let said = said.replace(small().to_str().unwrap(), "[small]");
    assert_eq!(
        said,
        "reading a file on partition 1 `root-x86-64` of `[small]/image.raw`: there is no \
         `/usr/lib/nothing/here`; what there is of it is `/usr/lib`, a directory"
    );
    let said = disk.partition("persistant").unwrap_err().to_string();
    assert!(
        said.ends_with(
            "no partition `persistant`; there are `root-x86-64`, `root-x86-64-verity`, `esp`, `persistent`"
        ),
        "{said}"
    );
    let said = format!("{:#}", disk.partition("root-x86-64-verity").unwrap().filesystem().unwrap_err());
    assert!(
        said.ends_with("no file system that can be read: neither erofs, squashfs, ext4 nor vfat"),
        "{said}"
    );
}

#[test]
fn inspect_says_of_the_table_what_sfdisk_does() {
    let ours = json(&success(product::xtask().args(["inspect", "--json"]).arg(small().join("image.raw"))));
    let table = json(&agrees(small(), &["fdisk"], &["sfdisk", "--json", "image.raw"]));
    let table = &table["partitiontable"];
    let lower = |value: &Value| value.as_str().unwrap().to_lowercase();
    assert_eq!(lower(&ours["guid"]), lower(&table["id"]));
    let theirs = table["partitions"].as_array().unwrap();
    assert_eq!(ours["partitions"].as_array().unwrap().len(), theirs.len());
    for (ours, theirs) in ours["partitions"].as_array().unwrap().iter().zip(theirs) {
        assert_eq!((&ours["start"], &ours["sectors"]), (&theirs["start"], &theirs["size"]));
        assert_eq!(ours["label"], theirs["name"]);
        assert_eq!(lower(&ours["guid"]), lower(&theirs["uuid"]));
        assert_eq!(lower(&ours["type_guid"]), lower(&theirs["type"]));
    }
    // And in the words of `fdisk -l`.
    let said = agrees(small(), &["fdisk"], &["sfdisk", "--list", "image.raw"]);
    for partition in ours["partitions"].as_array().unwrap() {
        let name = format!("image.raw{}", partition["number"]);
        let line = said.lines().find(|line| line.starts_with(&name)).unwrap();
        assert!(line.ends_with(partition["type"].as_str().unwrap()), "{line}");
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[1..4], ["start", "end", "sectors"].map(|field| partition[field].to_string()));
    }
    assert_eq!(ours["uki"]["root_hash_fits"], true);
}

#[test]
fn inspect_says_of_the_kernel_image_what_objdump_does() {
    let ours = json(&success(product::xtask().args(["inspect", "--json"]).arg(small().join("image.efi"))));
    let said = agrees(small(), &["binutils"], &["objdump", "-h", "image.efi"]);
    let rows = said.lines().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()));
    let theirs: Vec<[String; 4]> = rows
        .map(|row| {
            let words: Vec<&str> = row.split_whitespace().collect();
            [1, 2, 3, 5].map(|column| words[column].to_owned())
        })
        .collect();
    let number = |value: &Value| value.as_u64().unwrap();
    let sections = ours["uki"]["sections"].as_array().unwrap();
    let ours: Vec<[String; 4]> = sections
        .iter()
        .map(|section| {
            let name = section["name"].as_str().unwrap().to_owned();
            let [size, offset] = ["size", "offset"].map(|field| format!("{:08x}", number(&section[field])));
            [name, size, format!("{:016x}", number(&section["vma"])), offset]
        })
        .collect();
    assert_eq!(ours, theirs);
}

/// Everything in the root, as its own tool unpacks it.
fn same_files(out: &Path, packages: &[&str], argv: &[&str]) {
    let directory = scratch("disk").join(out.file_name().unwrap());
    std::fs::create_dir_all(&directory).unwrap();
    let _ = std::fs::remove_dir_all(directory.join("root"));
    let _ = std::fs::remove_file(directory.join("root.raw"));
    std::fs::hard_link(out.join("image.root-x86-64.raw"), directory.join("root.raw")).unwrap();
    if argv[0] == "debugfs" {
        std::fs::create_dir(directory.join("root")).unwrap();
    }
    agrees(&directory, packages, argv);
    let theirs = Tree::scan(&directory.join("root")).unwrap();
    let disk = Disk::open(out.join("image.raw")).unwrap();
    let ours = disk.root().unwrap().tree().unwrap();
    let content = |tree: &Tree, path: &TreePath| match &tree.get(path).unwrap().kind {
        Kind::File(_) | Kind::Hardlink(_) => tree.content(path).map(|content| content.read().unwrap()),
        Kind::Symlink(target) => Some(target.clone()),
        _ => None,
    };
    let paths = |tree: &Tree| tree.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>();
    assert_eq!(paths(&ours), paths(&theirs));
    for (path, node) in theirs.iter() {
        let found = ours.get(path).unwrap();
        if !matches!(node.kind, Kind::Symlink(_)) {
            // debugfs leaves set-id and sticky out; `filesystems.rs` asks it for those.
            let kept = if argv[0] == "debugfs" { 0o777 } else { 0o7777 };
            let found = (found.mode & kept, found.uid, found.gid);
            assert_eq!(found, (node.mode & kept, node.uid, node.gid), "{path}");
        }
        assert!(content(&ours, path) == content(&theirs, path), "{path} has another content");
    }
    std::fs::remove_dir_all(directory.join("root")).unwrap();
}

#[test]
fn every_file_of_an_erofs_is_what_its_own_tool_extracts() {
    let argv = ["fsck.erofs", "--extract=root", "--overwrite", "--preserve", "root.raw"];
    same_files(small(), &["erofs-utils"], &argv);
}

#[test]
fn every_file_of_a_squashfs_is_what_its_own_tool_extracts() {
    if product::all() {
        let argv = ["unsquashfs", "-quiet", "-no-progress", "-d", "root", "root.raw"];
        same_files(&built(Command::new(product::example("roots")), "squashfs"), &["squashfs-tools"], &argv);
    }
}

#[test]
fn every_file_of_an_ext4_is_what_its_own_tool_extracts() {
    if product::all() {
        let argv = ["debugfs", "-R", "rdump / root", "root.raw"];
        same_files(&built(Command::new(product::example("roots")), "ext4"), &["e2fsprogs"], &argv);
    }
}
