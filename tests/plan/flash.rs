//! Writing a disk of a few mebibytes to files that stand for disks, and to loop devices where there are some.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bedplate::plan::guid;
use bedplate_formats::bmap::{BLOCK, Bmap};
use bedplate_formats::digest::sha256_range;
use bedplate_formats::gpt;
use expect_test::{Expect, expect};
use tempfile::TempDir;

use crate::product::small;

const MIB: u64 = 1 << 20;
/// The size of the image.
const SIZE: u64 = 16 * MIB;

/// A directory with an image: two partitions with some data and many holes.
struct Scene(TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(TempDir::new().unwrap());
        let mut file =
            File::options().read(true).write(true).create_new(true).open(scene.path("image.raw")).unwrap();
        file.set_len(SIZE).unwrap();
        let partition = |number: u32, type_guid, from: u64, to: u64| gpt::Partition {
            number,
            type_guid,
            guid: uuid::Uuid::from_u128(number.into()),
            first_lba: from * 2048,
            last_lba: to * 2048 - 1,
            attributes: 0,
            name: format!("part-{number}"),
        };
        let partitions = vec![partition(1, guid::ESP, 1, 8), partition(2, guid::KERNEL_IMAGE, 8, 15)];
        let table = gpt::Table { guid: uuid::Uuid::from_u128(9), sector_size: 512, partitions };
        gpt::write(&table, &mut file).unwrap();
        file.write_all_at(&[1; 300_000], MIB).unwrap();
        file.write_all_at(&[2; 5000], 9 * MIB + 512).unwrap();
        file.write_all_at(&[3; 4096], 15 * MIB - 4096).unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file that stands for a disk which was used before.
    fn disk(&self, name: &str, size: u64) -> PathBuf {
        fs::write(self.path(name), vec![0xa5; usize::try_from(size).unwrap()]).unwrap();
        self.path(name)
    }

    fn flash(&self, arguments: &[&str]) -> Command {
        let mut command = small();
        command.current_dir(self.0.path()).arg("flash").args(arguments);
        command
    }

    /// What comes of it: the exit code and standard error, times and speeds left out.
    #[track_caller]
    fn says(&self, arguments: &[&str], expected: &Expect) {
        let output = self.flash(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let said = said.replace(self.0.path().to_str().unwrap(), "[here]");
        let lines = said.lines().map(|line| match line.trim_start().split_once(' ') {
            Some(("Written" | "Compared", _)) => line.rsplit_once(", ").unwrap().0,
            Some(("Finished" | "Credentials", _)) => line.rsplit_once("  ").unwrap().0,
            _ => line,
        });
        let said = lines.map(|line| format!("{line}\n")).collect::<String>();
        expected.assert_eq(&format!("exit {}\n{said}", output.status.code().unwrap()));
    }

    /// Whether the disk has the image, and nothing of what was there before where the image has it to say.
    #[track_caller]
    fn has_the_image(&self, disk: &Path) {
        let (image, found) = (fs::read(self.path("image.raw")).unwrap(), fs::read(disk).unwrap());
        let between = usize::try_from(MIB).unwrap()..usize::try_from(SIZE - 33 * 512).unwrap();
        assert!(found[between.clone()] == image[between], "other bytes");
        let table = |bytes| gpt::read(&mut std::io::Cursor::new(bytes)).unwrap();
        let length = found.len() as u64;
        assert_eq!(table(image), table(found.clone()));
        // The backup is in the last sector, and nowhere else.
        let last = usize::try_from(length - 512).unwrap();
        assert_eq!(&found[last..last + 8], b"EFI PART");
        let headers = found.chunks(512).filter(|sector| sector.starts_with(b"EFI PART")).count();
        assert_eq!(headers, 2);
    }
}

/// Whether a disk is one that nothing starts from.
fn starts_nothing(disk: &Path) -> bool {
    let bytes = fs::read(disk).unwrap();
    let mib = usize::try_from(MIB).unwrap();
    bytes[..mib].iter().chain(&bytes[bytes.len() - mib..]).all(|&byte| byte == 0)
}

#[test]
fn an_image_takes_the_place_of_all_that_was_on_a_larger_disk() {
    let scene = Scene::new();
    let disk = scene.disk("disk.raw", 20 * MIB);
    scene.says(
        &["image.raw", "disk.raw"],
        &expect![[r#"
            exit 0
                Flashing image.raw to disk.raw, 21.0 MB, file
                 Written 319 kB of data
                Compared 15.7 MB read back
                Finished disk.raw
        "#]],
    );
    scene.has_the_image(&disk);
    let disk = scene.disk("same.raw", SIZE);
    assert!(scene.flash(&["image.raw", "same.raw"]).status().unwrap().success());
    assert!(fs::read(disk).unwrap() == fs::read(scene.path("image.raw")).unwrap());
}

#[test]
fn a_compressed_image_is_the_same_image() {
    let scene = Scene::new();
    let image = fs::read(scene.path("image.raw")).unwrap();
    fs::create_dir(scene.path("fetched")).unwrap();
    let compressed = zstd::bulk::compress(&image, 3).unwrap();
    fs::write(scene.path("fetched/image.raw.zst"), &compressed).unwrap();
    let disk = scene.disk("disk.raw", 20 * MIB);
    assert!(scene.flash(&["fetched/image.raw.zst", "disk.raw"]).status().unwrap().success());
    scene.has_the_image(&disk);

    fs::write(scene.path("fetched/image.raw.zst"), &compressed[..compressed.len() - 9]).unwrap();
    scene.says(
        &["fetched/image.raw.zst", "disk.raw"],
        &expect![[r#"
            exit 2
                Flashing fetched/image.raw.zst to disk.raw, 21.0 MB, file
            error: cannot write the image to `disk.raw`, which is not bootable now
              caused by: cannot decompress `fetched/image.raw.zst`
              caused by: incomplete frame
            help: build or fetch the image anew where it is damaged, and write it again; a disk that fails twice is broken
        "#]],
    );
    assert!(starts_nothing(&disk));
}

#[test]
fn what_a_block_map_leaves_out_is_not_written() {
    let scene = Scene::new();
    let image = File::open(scene.path("image.raw")).unwrap();
    let block = |at: u64| at / BLOCK;
    let ranges = [(0, MIB + 300_000), (9 * MIB, 10 * MIB), (15 * MIB - 4096, SIZE)];
    let blocks = ranges.map(|(start, end)| {
        let (first, last) = (block(start), block(end - 1));
        (first, last, Some(sha256_range(&image, first * BLOCK..(last + 1) * BLOCK).unwrap()))
    });
    let map = Bmap { size: SIZE, block_size: BLOCK, blocks: blocks.to_vec() };
    fs::write(scene.path("image.raw.bmap"), map.render()).unwrap();
    let disk = scene.disk("disk.raw", 20 * MIB);
    assert!(scene.flash(&["image.raw", "disk.raw"]).status().unwrap().success());
    let found = fs::read(&disk).unwrap();
    let byte = |at: u64| found[usize::try_from(at).unwrap()];
    // Of the image, zeros that it has to have, and what was there before.
    assert_eq!([byte(MIB), byte(10 * MIB - 1), byte(12 * MIB), byte(15 * MIB - 1)], [1, 0, 0xa5, 3]);

    // The download is damaged, which the map tells.
    File::options()
        .write(true)
        .open(scene.path("image.raw"))
        .unwrap()
        .write_all_at(&[9], 9 * MIB + 600)
        .unwrap();
    scene.says(
        &["image.raw", "disk.raw"],
        &expect![[r#"
            exit 2
                Flashing image.raw to disk.raw, 21.0 MB, file
            error: cannot write the image to `disk.raw`, which is not bootable now
              caused by: `image.raw` is damaged, or not what its block map is of: bytes 9437184 to 10485760 have another checksum
            help: build or fetch the image anew where it is damaged, and write it again; a disk that fails twice is broken
        "#]],
    );
    assert!(starts_nothing(&disk));
}

#[test]
fn an_interrupted_write_leaves_a_disk_that_starts_nothing() {
    let scene = Scene::new();
    // Large enough to be still on its way.
    let large = scene.path("large.raw");
    fs::copy(scene.path("image.raw"), &large).unwrap();
    let file = File::options().read(true).write(true).open(&large).unwrap();
    let mut table = gpt::read(&mut &file).unwrap();
    file.set_len(400 * MIB).unwrap();
    table.partitions[1].last_lba = 390 * 2048;
    gpt::write(&table, &mut &file).unwrap();
    for at in 16..390 {
        file.write_all_at(&vec![u8::try_from(at % 250 + 1).unwrap(); 1 << 20], at * MIB).unwrap();
    }
    let disk = scene.path("disk.raw");
    fs::copy(&large, &disk).unwrap();

    let mut flash = scene.flash(&["large.raw", "disk.raw"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(flash.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.next().unwrap().contains("Flashing large.raw to disk.raw"));
    // The ends go first.
    let open = File::open(&disk).unwrap();
    let mut header = *b"EFI PART";
    while header == *b"EFI PART" {
        std::thread::sleep(std::time::Duration::from_millis(1));
        open.read_exact_at(&mut header, 512).unwrap();
    }
    let id = rustix::process::Pid::from_child(&flash);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    assert_eq!(flash.wait().unwrap().code(), Some(2));
    assert_eq!(said.last().unwrap(), " interrupted: the disk is not bootable; write it again");
    let file = File::open(&disk).unwrap();
    assert!(gpt::read_either(&mut &file).is_err());
}

#[test]
fn refusals_say_why_and_what_helps() {
    let scene = Scene::new();
    let before = scene.disk("disk.raw", MIB);
    scene.disk("large.raw", 20 * MIB);
    fs::write(scene.path("text"), "text\n".repeat(2000)).unwrap();
    scene.says(
        &["image.raw", "disk.raw"],
        &expect![[r#"
        exit 2
        error: `disk.raw` is too small: it has 1.0 MB, and the image 16.8 MB
          = help: make it larger: `truncate --size=16777216 disk.raw`
    "#]],
    );
    assert!(fs::read(before).unwrap().iter().all(|&byte| byte == 0xa5));
    scene.says(
        &["image.raw", "image.raw"],
        &expect![[r#"
        exit 1
        error: `image.raw` is the image itself
    "#]],
    );
    scene.says(
        &["image.raw", "/dev/bedplate-none"],
        &expect![[r#"
            exit 1
            error: there is no disk `/dev/bedplate-none`; `cargo xtask flash` lists them
        "#]],
    );
    scene.says(
        &["image.raw", "none.raw"],
        &expect![[r#"
            exit 1
            error: there is no `none.raw`; `truncate --size=8G none.raw` makes a file that stands for a disk
        "#]],
    );
    scene.says(
        &["image.raw", "/dev/null"],
        &expect![[r#"
            exit 1
            error: `/dev/null` is neither a disk nor a file; `cargo xtask flash` lists the disks
        "#]],
    );
    scene.says(
        &["text", "large.raw"],
        &expect![[r#"
        exit 2
        error: `text` is no image of a disk
          caused by: no partition table header at offset `512`
    "#]],
    );
    scene.says(&["smal", "large.raw"], &expect![[r#"
        exit 1
        error: no image is named `smal`; did you mean `small`? there are `small`, `writable`, `guarded`, `typo`, `mistaken`
    "#]]);
    scene.says(
        &["./none", "large.raw"],
        &expect![[r#"
            exit 1
            error: there is no file `./none`
        "#]],
    );
}

#[test]
fn a_credential_needs_a_data_partition() {
    let scene = Scene::new();
    let disk = scene.disk("disk.raw", 20 * MIB);
    fs::write(scene.path("id.pub"), "ssh-ed25519 AAAA\n").unwrap();
    fs::write(scene.path("empty"), "").unwrap();
    scene.says(
        &["image.raw", "disk.raw", "--credential", "ssh.authorized_keys.operator=id.pub"],
        &expect![[r#"
        exit 2
        error: `image.raw` has no data partition to put credentials on: one that is encrypted is made by
               each device
          = help: hand them in by the firmware, with QEMU's `-smbios
                  type=11,value=io.systemd.credential.binary:NAME=…`, or on the EFI partition as
                  `loader/credentials/NAME.cred`; the README says how, at Provisioning
    "#]],
    );
    scene.says(
        &["image.raw", "disk.raw", "--credential", "id.pub"],
        &expect![[r#"
        exit 1
        error: invalid credential `id.pub`: it is `NAME=FILE`
    "#]],
    );
    scene.says(
        &["image.raw", "disk.raw", "--credential", "../name=id.pub"],
        &expect![[r#"
        exit 1
        error: invalid name `../name` of a credential: it has letters, digits and `._-@+`
    "#]],
    );
    scene.says(
        &["image.raw", "disk.raw", "--credential", "name=empty"],
        &expect![[r#"
        exit 1
        error: `empty` has 0 bytes, and a credential has 1 to 1048576
    "#]],
    );
    assert!(fs::read(disk).unwrap().iter().all(|&byte| byte == 0xa5));
}

/// A loop device, gone with the value; none where that is not allowed.
struct Loop(String);

impl Loop {
    fn of(file: &Path, options: &[&str]) -> Option<Self> {
        let output = Command::new("losetup").args(["--find", "--show"]).args(options).arg(file).output();
        match output {
            Ok(output) if output.status.success() => {
                Some(Self(String::from_utf8(output.stdout).unwrap().trim().to_owned()))
            }
            // What is asked of devices is asked of files alone.
            _ => None,
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.0).status();
    }
}

#[test]
fn a_device_is_written_compared_and_has_its_partitions() {
    let scene = Scene::new();
    let disk = scene.disk("disk.raw", 20 * MIB);
    let Some(device) = Loop::of(&disk, &["--partscan"]) else { return };
    let output = scene.flash(&["image.raw", &device.0]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let name = device.0.trim_start_matches("/dev/");
    let partitions = fs::read_dir(Path::new("/sys/block").join(name)).unwrap();
    let partitions =
        partitions.filter(|entry| entry.as_ref().unwrap().path().join("partition").exists()).count();
    // A kernel without partitions on loop devices has none of them.
    assert!(partitions == 2 || partitions == 0, "{partitions}");

    let listed = scene.flash(&["image.raw"]).output().unwrap();
    assert_eq!(listed.status.code(), Some(1));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let row = listed.lines().find(|line| line.contains(&device.0)).unwrap();
    assert!(row.contains("21.0 MB") && row.contains("loop") && row.contains("yes"), "{listed}");
    let held = scene.flash(&["image.raw", "disk.raw"]).output().unwrap();
    assert!(String::from_utf8(held.stderr).unwrap().contains(&format!("`{}` is made of it", device.0)));
    drop(device);
    scene.has_the_image(&disk);
}

#[test]
fn a_read_only_device_is_refused() {
    let scene = Scene::new();
    let disk = scene.disk("disk.raw", 20 * MIB);
    let Some(device) = Loop::of(&disk, &["--read-only"]) else { return };
    let output = scene.flash(&["image.raw", &device.0, "--force"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with(&format!("error: `{}` is read-only\n", device.0)), "{said}");
}
