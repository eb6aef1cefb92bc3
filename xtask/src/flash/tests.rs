//! A machine as its kernel tells of it, and what speaks against each of its disks.

use std::os::unix::fs::symlink;
use std::path::Path;

use expect_test::{Expect, expect};
use fs_err as fs;
use tempfile::TempDir;

use super::host::Host;
use super::refusal::{Wanted, refusals};

/// A machine: a fixed disk with the system, a stick, a card, a USB disk with LVM and a RAID on it, and a loop device.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(TempDir::new().unwrap());
        for directory in ["sys/block", "sys/dev/block", "proc/self"] {
            fs::create_dir_all(machine.path(directory)).unwrap();
        }
        machine.mounts("");
        machine.disk("pci0/nvme/nvme0/nvme0n1", "259:0", 512, &[("device/model", "Fast 512")]);
        machine.part("pci0/nvme/nvme0/nvme0n1/nvme0n1p1", "259:1");
        let usb = "pci0/usb1/1-1/host0/block";
        machine.disk(&format!("{usb}/sdb"), "8:16", 32, &[("device/model", "Ultra"), ("removable", "1")]);
        machine.part(&format!("{usb}/sdb/sdb1"), "8:17");
        machine.part(&format!("{usb}/sdb/sdb2"), "8:18");
        machine.disk(
            "pci0/mmc_host/mmc0/mmc0:1/block/mmcblk0",
            "179:0",
            8,
            &[("device/type", "SD"), ("ro", "1")],
        );
        machine.disk("pci0/mmc_host/mmc1/mmc1:1/block/mmcblk1", "179:8", 8, &[("device/type", "MMC")]);
        machine.disk("pci0/ata1/host2/block/sdc", "8:32", 64, &[("queue/logical_block_size", "4096")]);
        machine.disk("virtual/block/dm-0", "253:0", 16, &[]);
        machine.disk("virtual/block/zram0", "252:0", 16, &[]);
        machine
    }

    fn path(&self, below: &str) -> std::path::PathBuf {
        self.0.path().join(below)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    /// A disk of so many GB.
    fn disk(&self, at: &str, number: &str, size: u64, more: &[(&str, &str)]) {
        let name = Path::new(at).file_name().unwrap().to_str().unwrap();
        self.write(&format!("sys/devices/{at}/size"), &(size * 1_000_000_000 / 512).to_string());
        self.write(&format!("sys/devices/{at}/dev"), number);
        for (file, text) in [("ro", "0"), ("removable", "0")].iter().chain(more) {
            self.write(&format!("sys/devices/{at}/{file}"), text);
        }
        for link in [format!("sys/block/{name}"), format!("sys/dev/block/{number}")] {
            symlink(self.path(&format!("sys/devices/{at}")), self.path(&link)).unwrap();
        }
    }

    fn part(&self, at: &str, number: &str) {
        for (file, text) in [("partition", "1"), ("dev", number), ("size", "1000"), ("ro", "0")] {
            self.write(&format!("sys/devices/{at}/{file}"), text);
        }
        symlink(self.path(&format!("sys/devices/{at}")), self.path(&format!("sys/dev/block/{number}")))
            .unwrap();
    }

    /// Devices by number with where each is mounted.
    fn mounts(&self, mounts: &str) {
        let lines = mounts.split_whitespace().map(|mount| {
            let (number, at) = mount.split_once('@').unwrap();
            format!("22 1 {number} / {at} rw,relatime shared:1 - ext4 none rw\n")
        });
        fs::write(self.path("proc/self/mountinfo"), lines.collect::<String>()).unwrap();
    }

    fn holds(&self, part: &str, holder: &str) {
        let holders = self.path(&format!("sys/devices/{part}/holders"));
        fs::create_dir_all(&holders).unwrap();
        symlink(self.path(&format!("sys/devices/virtual/block/{holder}")), holders.join(holder)).unwrap();
    }

    #[track_caller]
    fn says(&self, number: (u32, u32), wanted: Wanted, expected: &Expect) {
        let disk = Host::at(self.0.path()).disk(number).unwrap();
        let said = refusals(&disk, Some(wanted)).into_iter().map(|refusal| {
            let forced = if refusal.can_be_forced { " (unless forced)" } else { "" };
            format!("{}: {}{forced}\n  help: {}\n", refusal.short, refusal.message, refusal.help)
        });
        expected.assert_eq(&said.collect::<String>());
    }
}

const IMAGE: Wanted = Wanted { size: 4_000_000_000, needs: 0, sector_size: 512 };
const STICK: (u32, u32) = (8, 16);
const FIRST: &str = "pci0/usb1/1-1/host0/block/sdb/sdb1";

#[test]
fn disks_are_told_apart() {
    let disks = Host::at(Machine::new().0.path()).disks().unwrap();
    let told = disks.iter().map(|disk| {
        let model = disk.model.as_deref().unwrap_or("-");
        let transport = disk.transport.unwrap_or("-");
        format!(
            "{} {} {transport} {} {model}\n",
            disk.path.display(),
            disk.size / 1_000_000_000,
            disk.removable
        )
    });
    expect![[r#"
        /dev/sdb 32 usb true Ultra
        /dev/sdc 64 sata false -
        /dev/mmcblk0 8 mmc true -
        /dev/mmcblk1 8 mmc false -
        /dev/nvme0n1 512 nvme false Fast 512
    "#]]
    .assert_eq(&told.collect::<String>());
}

#[test]
fn an_unused_stick_is_written_to() {
    Machine::new().says(STICK, IMAGE, &expect![""]);
}

#[test]
fn the_running_system_is_never_overwritten() {
    let machine = Machine::new();
    machine.mounts("259:1@/home 259:1@/");
    machine.says(
        (259, 0),
        IMAGE,
        &expect![[r#"
        the running system: `/dev/nvme0n1` holds the running system: `/dev/nvme0n1p1` is mounted at `/`
          help: choose another disk: `cargo xtask flash` lists them
        not removable: `/dev/nvme0n1` is not removable (unless forced)
          help: make sure that it is the disk you mean, and give `--force`
    "#]],
    );
}

#[test]
fn what_is_mounted_swapped_to_or_part_of_another_disk_is_in_use() {
    let machine = Machine::new();
    machine.mounts(r"8:17@/media/a\040b");
    machine.says(
        STICK,
        IMAGE,
        &expect![[r#"
        mounted at /media/a b: `/dev/sdb` is in use: `/dev/sdb1` is mounted at `/media/a b`
          help: run `umount /dev/sdb1`
    "#]],
    );
    machine.mounts("");
    machine.holds(FIRST, "dm-0");
    machine.says(
        STICK,
        IMAGE,
        &expect![[r#"
        part of /dev/dm-0: `/dev/sdb` is in use: `/dev/dm-0` is made of `/dev/sdb1`
          help: run `dmsetup remove /dev/dm-0`
    "#]],
    );
    machine.mounts("253:0@/mnt");
    machine.says(
        STICK,
        IMAGE,
        &expect![[r#"
        mounted at /mnt: `/dev/sdb` is in use: `/dev/dm-0` is mounted at `/mnt`
          help: run `umount /dev/dm-0`
    "#]],
    );
}

#[test]
fn what_cannot_hold_the_image_is_refused() {
    let machine = Machine::new();
    machine.says(
        STICK,
        Wanted { size: 40_000_000_000, ..IMAGE },
        &expect![[r#"
        too small: `/dev/sdb` is too small: it has 32.0 GB, and the image 40.0 GB
          help: choose a larger disk
    "#]],
    );
    machine.says(STICK, Wanted { needs: 40_000_000_000, ..IMAGE }, &expect![[r#"
        no room for the first start: `/dev/sdb` has 32.0 GB, and a device makes partitions up to 40.0 GB at its first start (unless forced)
          help: choose a larger disk, or give `--force` for a device that cannot do all of it
    "#]]);
    machine.says(
        (8, 17),
        IMAGE,
        &expect![[r#"
        a partition: `/dev/sdb1` is a partition
          help: write to the disk `/dev/sdb`
        too small: `/dev/sdb1` is too small: it has 512 kB, and the image 4.0 GB
          help: choose a larger disk
    "#]],
    );
    machine.says(
        (179, 0),
        IMAGE,
        &expect![[r#"
        read-only: `/dev/mmcblk0` is read-only
          help: release its write protection, or run `blockdev --setrw /dev/mmcblk0`
    "#]],
    );
    machine.says(
        (8, 32),
        IMAGE,
        &expect![[r#"
        other sectors: `/dev/sdc` has sectors of 4096 bytes, and the image is laid out in sectors of 512
          help: add `.sector_size(4096)` to the image's description
        not removable: `/dev/sdc` is not removable (unless forced)
          help: make sure that it is the disk you mean, and give `--force`
    "#]],
    );
}
