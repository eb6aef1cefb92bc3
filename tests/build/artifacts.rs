//! The built disk, held against the tools that everybody else uses.

use std::collections::BTreeMap;
use std::path::Path;

use crate::product::{self, agrees, edge_debian, success, xtask};
use bedplate::disk::Disk;
use bedplate_formats::tree::Tree;

const DPKG: &[&str] = &["dpkg"];

fn manifest() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(edge_debian().join("image.manifest")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let field = |package: &serde_json::Value, name: &str| package[name].as_str().unwrap().to_owned();
    manifest["packages"].as_array().unwrap().iter().map(|p| (field(p, "name"), field(p, "version"))).collect()
}

/// The root file system, unpacked by erofs' own tool.
fn root() -> std::path::PathBuf {
    static ONCE: std::sync::Once = std::sync::Once::new();
    let directory = product::scratch("root");
    let into = directory.join("root");
    ONCE.call_once(|| {
        let _ = std::fs::remove_dir_all(&into);
        link(&edge_debian().join("image.root-x86-64.raw"), &directory.join("root.raw"));
        agrees(&directory, &["erofs-utils"], &["fsck.erofs", "--extract=root", "--overwrite", "root.raw"]);
    });
    into
}

fn link(from: &Path, to: &Path) {
    let _ = std::fs::remove_file(to);
    std::fs::hard_link(from, to).unwrap();
}

#[test]
fn every_artifact_has_its_seeds_name_and_its_checksum() {
    let names = "image.raw image.efi image.esp.raw image.initrd initrd.cpio.zst image.vmlinuz \
                 image.root-x86-64.raw image.root-x86-64-verity.raw image.uki.raw image.linux-generic.raw \
                 image.manifest image.spdx.json image.cdx.json image.provenance.json";
    for name in names.split_whitespace() {
        assert!(edge_debian().join(name).is_file(), "{name} is missing");
    }
    assert_eq!(std::fs::read_link(edge_debian().join("image")).unwrap(), Path::new("image.raw"));
    assert_eq!(std::fs::read_link(edge_debian().join("initrd")).unwrap(), Path::new("initrd.cpio.zst"));
    let checked = agrees(edge_debian(), &["coreutils"], &["sha256sum", "-c", "image.SHA256SUMS"]);
    for name in names.split_whitespace() {
        assert!(checked.contains(&format!("{name}: OK")), "{name} is not in image.SHA256SUMS");
    }
}

#[test]
fn sfdisk_finds_no_fault_with_the_table() {
    let said = agrees(edge_debian(), &["fdisk"], &["sfdisk", "--verify", "image.raw"]);
    assert!(said.contains("No errors detected"), "{said}");
    let table = agrees(edge_debian(), &["fdisk"], &["sfdisk", "--json", "image.raw"]);
    let table: serde_json::Value = serde_json::from_str(&table).unwrap();
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap();
    let names: Vec<&str> = partitions.iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["root-a", "verity-a", "uki-a", "esp", "persistent"]);
    assert!(partitions.iter().all(|p| p["start"].as_u64().unwrap() % 2048 == 0), "aligned to 1 MiB");
}

#[test]
fn one_slot_is_shipped_and_its_kernel_image_is_for_its_root() {
    let found = Disk::open(edge_debian().join("image.raw")).unwrap().inspect().unwrap();
    let [slot] = &found.slots[..] else { panic!("{:?}", found.slots) };
    assert_eq!((slot.slot.as_str(), slot.version.as_deref()), ("a", Some(env!("CARGO_PKG_VERSION"))));
    assert_eq!(slot.kernel_images, ["EFI/Linux/bedplate_1-a.efi"]);
    assert_eq!(slot.root_hash_fits, Some(true));
    assert!(found.uki.is_some_and(|uki| uki.root_hash_fits == Some(true)));
    // As an update writes it: what is on the ESP, behind a block that says so.
    let [slot, uki] =
        ["image.uki.raw", "image.efi"].map(|name| std::fs::read(edge_debian().join(name)).unwrap());
    assert!(slot.starts_with(format!("size={}\nsha256=", uki.len()).as_bytes()));
    assert!(slot[4096..].starts_with(&uki), "the slot has another kernel image");
}

#[test]
fn fsck_finds_no_fault_with_the_esp() {
    agrees(edge_debian(), &["dosfstools"], &["fsck.vfat", "-n", "image.esp.raw"]);
}

#[test]
fn fsck_finds_no_fault_with_the_root() {
    agrees(edge_debian(), &["erofs-utils"], &["fsck.erofs", "image.root-x86-64.raw"]);
}

#[test]
fn fsck_finds_no_fault_with_the_data_partition() {
    agrees(edge_debian(), &["e2fsprogs"], &["fsck.ext4", "-fn", "image.linux-generic.raw"]);
}

#[test]
fn veritysetup_accepts_the_root_hash_the_kernel_is_given() {
    let said = agrees(
        edge_debian(),
        &["binutils"],
        &["objcopy", "-O", "binary", "--only-section=.cmdline", "image.efi", "/dev/stdout"],
    );
    let hash = said
        .split_whitespace()
        .find_map(|word| word.strip_prefix("roothash="))
        .unwrap()
        .trim_end_matches('\0');
    let argv = ["veritysetup", "verify", "image.root-x86-64.raw", "image.root-x86-64-verity.raw", hash];
    agrees(edge_debian(), &["cryptsetup-bin"], &argv);
    let dump =
        agrees(edge_debian(), &["cryptsetup-bin"], &["veritysetup", "dump", "image.root-x86-64-verity.raw"]);
    let field = |name: &str| {
        let line = dump.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once(':').unwrap().1.trim().to_owned()
    };
    // The same tree comes out of veritysetup itself.
    let directory = product::scratch("verity");
    link(&edge_debian().join("image.root-x86-64.raw"), &directory.join("root.raw"));
    let _ = std::fs::remove_file(directory.join("verity.raw"));
    let (salt, uuid) = (format!("--salt={}", field("Salt")), format!("--uuid={}", field("UUID")));
    let format = agrees(
        &directory,
        &["cryptsetup-bin"],
        &["veritysetup", "format", &salt, &uuid, "root.raw", "verity.raw"],
    );
    assert!(format.contains(hash), "{format}");
    let ours = std::fs::read(edge_debian().join("image.root-x86-64-verity.raw")).unwrap();
    assert!(ours == std::fs::read(directory.join("verity.raw")).unwrap(), "the hash trees differ");
}

#[test]
fn the_kernel_image_is_ukifys_to_the_byte() {
    let directory = product::scratch("ukify");
    for name in ["image.vmlinuz", "image.initrd", "image.efi"] {
        link(&edge_debian().join(name), &directory.join(name));
    }
    let section = |name: &str| {
        let only = format!("--only-section={name}");
        agrees(&directory, &["binutils"], &["objcopy", "-O", "binary", &only, "image.efi", "section"]);
        let bytes = std::fs::read(directory.join("section")).unwrap();
        String::from_utf8(bytes).unwrap().trim_end_matches('\0').to_owned()
    };
    std::fs::write(directory.join("cmdline"), section(".cmdline")).unwrap();
    std::fs::write(directory.join("osrel"), section(".osrel")).unwrap();
    let uname = format!("--uname={}", section(".uname"));
    let argv = [
        "ukify",
        "build",
        "--linux=image.vmlinuz",
        "--initrd=image.initrd",
        "--cmdline=@cmdline",
        "--os-release=@osrel",
        &uname,
        "--stub=/usr/lib/systemd/boot/efi/linuxx64.efi.stub",
        "--output=ukify.efi",
    ];
    agrees(&directory, &["systemd-ukify", "systemd-boot-efi", "coreutils"], &argv);
    let ours = std::fs::read(edge_debian().join("image.efi")).unwrap();
    assert!(ours == std::fs::read(directory.join("ukify.efi")).unwrap(), "ukify makes another file");
    assert!(ours.len() < 60_000_000, "the kernel image has {} bytes", ours.len());
    let initrd = std::fs::metadata(edge_debian().join("image.initrd")).unwrap().len();
    assert!(initrd < 40_000_000, "the initrd has {initrd} bytes");
}

#[test]
fn dpkg_would_call_the_system_its_own() {
    let root = root();
    let admin = ["--root=root"];
    let dpkg = |verb: &str| agrees(root.parent().unwrap(), DPKG, &["dpkg", admin[0], verb]);
    assert_eq!(dpkg("--audit"), "");
    let list = dpkg("--list");
    let packages: Vec<&str> = list.lines().skip_while(|line| !line.starts_with("+++")).skip(1).collect();
    assert_eq!(packages.len(), manifest().len());
    for package in packages {
        assert!(package.starts_with("ii "), "{package}");
    }
}

#[test]
fn the_manifest_is_what_the_lock_pinned() {
    let lock = std::fs::read_to_string(product::lock()).unwrap();
    let manifest = manifest();
    assert!(manifest.len() > 200, "{} packages", manifest.len());
    for (name, version) in &manifest {
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"")), "{name} {version}");
    }
    for name in ["docker.io", "rauc", "systemd-sysv", "linux-image-amd64"] {
        assert!(manifest.contains_key(name), "{name} is not in the image");
    }
}

#[test]
fn nothing_of_a_particular_machine_is_in_the_image() {
    let root = root();
    // Empty places: the device's own are mounted over them.
    for path in ["etc/machine-id", "var/lib/systemd/random-seed"] {
        assert_eq!(std::fs::read(root.join(path)).unwrap(), b"", "/{path}");
    }
    for path in ["var/lib/dbus/machine-id", "etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_rsa_key"] {
        assert!(std::fs::symlink_metadata(root.join(path)).is_err(), "/{path} is in the image");
    }
    for directory in ["var/log", "var/cache/apt", "var/lib/apt/lists", "tmp", "run"] {
        let tree = Tree::scan(&root.join(directory)).unwrap();
        let files = tree.iter().filter(|(_, node)| !node.is_directory());
        let files: Vec<String> = files.map(|(path, _)| path.to_string()).collect();
        assert!(files.is_empty(), "/{directory} holds {files:?}");
    }
}

#[test]
fn systemd_finds_no_fault_with_the_generated_units() {
    // Verified inside the image, where everything they name exists.
    let root = root();
    let plan = success(xtask().args(["plan", "edge-debian", "--json"]));
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let paths = plan["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap());
    let units: Vec<&str> = paths
        .filter_map(|path| path.strip_prefix("/usr/lib/systemd/system/"))
        .filter(|name| !name.contains('/'))
        .collect();
    assert!(units.contains(&"local.mount") && units.contains(&"var-lib-docker.mount"), "{units:?}");
    let mut argv = vec!["systemd-analyze", "verify", "--root=root", "--man=no"];
    argv.extend(&units);
    let output = product::tool(root.parent().unwrap(), &["systemd"], &argv);
    let said = String::from_utf8_lossy(&output.stderr);
    for unit in &units {
        assert!(!said.contains(unit), "{said}");
    }
}

#[test]
fn a_second_build_of_the_same_inputs_does_nothing() {
    let before = std::fs::metadata(edge_debian().join("image.raw")).unwrap().modified().unwrap();
    success(
        xtask()
            .args(["image", "edge-debian", "--locked", "--offline", "--lock"])
            .arg(product::lock())
            .arg("--out")
            .arg(edge_debian()),
    );
    assert_eq!(std::fs::metadata(edge_debian().join("image.raw")).unwrap().modified().unwrap(), before);
}
