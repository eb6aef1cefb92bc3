//! A built disk, compressed and written to files that stand for disks, as those judge it who read disks.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use bedplate::disk::Disk;
use bedplate_formats::sparse;

use crate::product::{self, agrees, kept, scratch, success};

/// The artifacts of `guarded`, the compressed disk among them.
fn guarded() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let out = scratch("images").join("guarded-compressed");
        success(&mut build(&out));
        out
    })
}

fn build(out: &Path) -> Command {
    let lock = kept("locks").join("guarded.lock");
    let mut command = product::small();
    command.args(["image", "guarded", "--compress", "--lock"]).arg(lock).arg("--out").arg(out);
    command
}

const MIB: u64 = 1 << 20;

fn noise() -> Vec<u8> {
    (0..=255_u8).rev().cycle().take(1 << 20).collect()
}

/// A file that stands for a disk which is larger than the image by so many MiB, and was used before: where file systems
/// count on zeros, it has noise.
fn used_disk(name: &str, larger: u64) -> PathBuf {
    let path = scratch("flash").join(name);
    let file = File::create(&path).unwrap();
    let image = Disk::open(guarded().join("image.raw")).unwrap();
    file.set_len(image.size() + larger * MIB).unwrap();
    let noise = noise();
    for label in ["esp", "persistent"] {
        let partition = image.partition(label).unwrap();
        let all = partition.offset / MIB - 1..(partition.offset + partition.size) / MIB;
        all.for_each(|at| file.write_all_at(&noise, at * MIB).unwrap());
    }
    path
}

fn flash(arguments: &[&Path]) -> Command {
    let mut command = product::small();
    command.arg("flash").args(arguments);
    command
}

/// Holds a disk against everybody who reads one: its table, its file systems, and the root's hashes.
#[track_caller]
fn is_whole(disk: &Path) {
    let directory = scratch("flash");
    let name = disk.file_name().unwrap().to_str().unwrap();
    let verified = agrees(&directory, &["fdisk"], &["sfdisk", "--verify", name]);
    assert!(verified.contains("No errors detected"), "{verified}");
    let verified = agrees(&directory, &["gdisk"], &["sgdisk", "--verify", name]);
    assert!(verified.contains("No problems found"), "{verified}");
    let file = File::open(disk).unwrap();
    for partition in Disk::open(disk).unwrap().partitions() {
        let part = format!("{name}.part");
        let to = File::create(directory.join(&part)).unwrap();
        let end = partition.offset + partition.size;
        sparse::copy(&file, partition.offset..end, &to, 0).unwrap();
        match partition.label.as_str() {
            "esp" => drop(agrees(&directory, &["dosfstools"], &["fsck.vfat", "-n", &part])),
            "persistent" => drop(agrees(&directory, &["e2fsprogs"], &["e2fsck", "-fn", &part])),
            _ => {}
        }
        fs::remove_file(directory.join(part)).unwrap();
    }
    let (found, expected) = (Disk::open(disk).unwrap(), Disk::open(guarded().join("image.raw")).unwrap());
    let files = |disk: &Disk| disk.esp().unwrap().walk().unwrap().len();
    assert_eq!(files(&found), files(&expected));
    assert!(found.uki().unwrap().image() == expected.uki().unwrap().image());
    for label in ["root-x86-64", "root-x86-64-verity"] {
        let artifact = File::open(guarded().join(format!("image.{label}.raw"))).unwrap();
        let (length, at) = (artifact.metadata().unwrap().len(), found.partition(label).unwrap().offset);
        assert!(sparse::same(&artifact, 0..length, &file, at).unwrap(), "{label}");
    }
}

#[test]
fn a_compressed_disk_is_summed_and_made_once() {
    success(
        Command::new("sha256sum").args(["--quiet", "--check", "image.SHA256SUMS"]).current_dir(guarded()),
    );
    let sums = product::sums(guarded());
    assert!(sums.contains_key("image.raw.zst") && sums.contains_key("image.raw.bmap"), "{sums:?}");
    let output = build(guarded()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("Fresh").count(), 2, "{said}");
}

/// Whether the free end of the ESP is what it was before.
fn keeps_noise(disk: &Path) -> bool {
    let esp = Disk::open(disk).unwrap().partition("esp").unwrap().clone();
    let mut end = vec![0; 1 << 20];
    File::open(disk).unwrap().read_exact_at(&mut end, esp.offset + esp.size - MIB).unwrap();
    end == noise()
}

#[test]
fn bmaptool_and_flash_write_a_disk_that_is_whole() {
    let directory = scratch("flash");
    for name in ["image.raw.zst", "image.raw.bmap"] {
        fs::copy(guarded().join(name), directory.join(name)).unwrap();
    }
    let disk = used_disk("bmaptool.raw", 0);
    let copy = ["bmaptool", "copy", "--bmap", "image.raw.bmap", "image.raw.zst", "bmaptool.raw"];
    agrees(&directory, &["bmap-tools", "coreutils", "dash", "zstd"], &copy);
    is_whole(&disk);
    fs::remove_file(disk).unwrap();

    let disk = used_disk("flashed.raw", 100);
    success(&mut flash(&[&directory.join("image.raw.zst"), &disk]));
    is_whole(&disk);
    assert!(keeps_noise(&disk), "what no file system uses was written");
    fs::remove_file(disk).unwrap();
}

#[test]
fn a_credential_is_on_the_data_partition_before_the_first_start() {
    let directory = scratch("flash");
    let key = "ssh-ed25519 AAAA visitor\n";
    fs::write(directory.join("id.pub"), key).unwrap();
    let pair = |name: &str| format!("{name}={}", directory.join("id.pub").display());
    for image in ["image.raw", "image.raw.zst"] {
        let disk = used_disk("credential.raw", 8);
        let mut command = flash(&[&guarded().join(image), &disk]);
        for name in ["ssh.authorized_keys.visitor", "ssh.authorized_keys.caller"] {
            command.arg("--credential").arg(pair(name));
        }
        success(&mut command);
        is_whole(&disk);
        let data = Disk::open(&disk).unwrap().partition("persistent").unwrap().filesystem().unwrap();
        let of = |path: &str| {
            let found = data.metadata(path).unwrap();
            (found.mode, found.uid, found.gid)
        };
        for name in ["visitor", "caller"] {
            let path = format!("/persistent/etc/credstore/ssh.authorized_keys.{name}");
            assert_eq!(data.text(&path).unwrap(), key);
            assert_eq!(of(&path), (0o600, 0, 0));
        }
        assert_eq!(of("/persistent/etc/credstore"), (0o700, 0, 0));
        assert_eq!(of("/persistent/etc"), (0o755, 0, 0));
        fs::remove_file(disk).unwrap();
    }
    // The image is as it was.
    success(
        Command::new("sha256sum").args(["--quiet", "--check", "image.SHA256SUMS"]).current_dir(guarded()),
    );
}
