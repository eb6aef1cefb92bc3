//! The script by which the initrd tells the booted disk from its copies, with what firmware and kernels say.

use std::fs;
use std::path::Path;
use std::process::Command;

use bedplate::plan::FileKind;

/// The id of the image's partition table, and the firmware's two variables about a boot.
const IMAGE: &str = "11111111-2222-3333-4444-555555555555";
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
const LOADER: &str = "LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/// A machine: its `/sys` and `/run`.
struct Machine {
    at: tempfile::TempDir,
    script: String,
}

impl Machine {
    /// That was started from where this device path leads.
    fn booted(path: &[u8]) -> Self {
        let machine = Self::without_variables();
        let mut option = vec![7, 0, 0, 0, 1, 0, 0, 0, 0, 0];
        option.extend("UEFI disk\0".encode_utf16().flat_map(u16::to_le_bytes));
        option.extend(path);
        option.extend([0x7f, 0xff, 4, 0, 0x4e, 0xac]);
        machine.write("efi/BootCurrent-", GLOBAL, &[6, 0, 0, 0, 0x0a, 0]);
        machine.write("efi/Boot000A-", GLOBAL, &option);
        machine.write("efi/", LOADER, b"\x06\0\0\0a\0");
        machine
    }

    /// Without firmware that tells anything.
    fn without_variables() -> Self {
        let at = tempfile::tempdir().unwrap();
        let plan = super::plan();
        let script = plan.initrd.files.iter().find(|file| file.path == "/usr/lib/bedplate/booted").unwrap();
        let FileKind::File { text } = &script.kind else { panic!("{script:?}") };
        let here = at.path().display();
        let script = text
            .replace("/sys/firmware/efi/efivars", &format!("{here}/efi"))
            .replace("/sys", &format!("{here}/sys"))
            .replace("/run/", &format!("{here}/"))
            .replace("/dev/kmsg", &format!("{here}/console"))
            .replace("systemd-tmpfiles", ":");
        fs::create_dir(at.path().join("efi")).unwrap();
        Self { at, script }
    }

    fn write(&self, directory: &str, name: &str, bytes: &[u8]) {
        let path = self.at.path().join(format!("{directory}{name}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// What udev is told of a disk whose table has this id.
    fn asked(&self, disk: &str, table: &str, is_candidate: bool) -> String {
        let mut ask = Command::new("sh");
        ask.args(["-c", &self.script, "booted", disk, IMAGE, "esp", "persistent"]);
        ask.env("ID_PART_TABLE_UUID", table).env_remove("ID_PART_GPT_AUTO_ROOT_UUID");
        if is_candidate {
            ask.env("ID_PART_GPT_AUTO_ROOT_UUID", "some");
        }
        let output = ask.output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        said.trim().trim_start_matches("BEDPLATE_DISK=").to_owned()
    }

    /// What is thought of a disk that has the image's ids.
    fn verdict(&self, disk: &str) -> String {
        match self.asked(disk, IMAGE, true).as_str() {
            "open" => self.last_open(),
            said => said.to_owned(),
        }
    }

    fn last_open(&self) -> String {
        let open = fs::read_to_string(self.at.path().join("bedplate.disk.open")).unwrap();
        open.lines().last().unwrap().split(' ').next().unwrap().to_owned()
    }

    fn has(&self, name: &str) -> bool {
        self.at.path().join(Path::new(name)).exists()
    }
}

fn pci(device: u8, function: u8) -> Vec<u8> {
    vec![1, 1, 6, 0, function, device]
}

/// A path from the first root bridge on.
fn path(nodes: &[Vec<u8>]) -> Vec<u8> {
    let mut path = vec![2, 1, 12, 0, 0xd0, 0x41, 0x03, 0x0a, 0, 0, 0, 0];
    path.extend(nodes.iter().flatten());
    path
}

#[test]
fn the_path_of_the_boot_tells_one_disk_from_another() {
    let scsi = |target: u8| vec![3, 2, 8, 0, target, 0, 0, 0];
    let usb = |port: u8| vec![3, 5, 6, 0, port, 0];
    let nvme = vec![3, 23, 16, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let partition = {
        let mut node = vec![4, 1, 42, 0];
        node.resize(42, 0);
        node
    };
    let root = "/devices/pci0000:00";
    let cases: &[(&str, Vec<u8>, String, &str)] = &[
        ("virtio", path(&[pci(5, 0)]), format!("{root}/0000:00:05.0/virtio1/block/vda"), "booted"),
        (
            "with its partition",
            path(&[pci(5, 0), partition.clone()]),
            format!("{root}/0000:00:05.0/virtio1/block/vda"),
            "booted",
        ),
        ("another slot", path(&[pci(5, 0)]), format!("{root}/0000:00:06.0/virtio1/block/vda"), "unlikely"),
        (
            "an unknown root bridge",
            path(&[pci(5, 0)]),
            "/devices/platform/soc/mmc0/block/mmcblk0".into(),
            "maybe",
        ),
        ("a short path", partition, format!("{root}/0000:00:05.0/virtio1/block/vda"), "maybe"),
        (
            "scsi",
            path(&[pci(4, 0), scsi(1)]),
            format!("{root}/0000:00:04.0/virtio0/host0/target0:0:1/0:0:1:0/block/sda"),
            "booted",
        ),
        (
            "another target",
            path(&[pci(4, 0), scsi(1)]),
            format!("{root}/0000:00:04.0/virtio0/host0/target0:0:2/0:0:2:0/block/sda"),
            "unlikely",
        ),
        (
            "nvme behind a bridge",
            path(&[pci(0x1d, 0), pci(0, 0), nvme]),
            format!("{root}/0000:00:1d.0/0000:01:00.0/nvme/nvme0/nvme0n1"),
            "booted",
        ),
        (
            "usb behind a hub",
            path(&[pci(0x14, 0), usb(2), usb(0)]),
            format!("{root}/0000:00:14.0/usb1/1-3/1-3.1/1-3.1:1.0/host2/target2:0:0/2:0:0:0/block/sdb"),
            "booted",
        ),
        (
            "another number of a usb port",
            path(&[pci(0x14, 0), usb(7)]),
            format!("{root}/0000:00:14.0/usb2/2-1/2-1:1.0/host2/target2:0:0/2:0:0:0/block/sdb"),
            "maybe",
        ),
        (
            "memory cards",
            path(&[pci(0x1a, 0), vec![3, 29, 5, 0, 0]]),
            format!("{root}/0000:00:1a.0/mmc_host/mmc0/mmc0:0001/block/mmcblk0"),
            "booted",
        ),
        (
            "behind intel's raid",
            path(&[pci(0xe, 0), pci(0, 0)]),
            format!("{root}/0000:00:0e.0/pci10000:e0/10000:e0:01.0/10000:e1:00.0/nvme/nvme0/nvme0n1"),
            "maybe",
        ),
    ];
    for (name, path, disk, expected) in cases {
        let machine = Machine::booted(path);
        machine.write(&format!("sys{disk}/"), "nsid", b"1\n");
        assert_eq!(machine.verdict(disk), *expected, "{name}");
    }
}

#[test]
fn sata_ports_are_told_apart() {
    let disk =
        |port: u8| format!("/devices/pci0000:00/0000:00:1f.2/ata{port}/host0/target0:0:0/0:0:0:0/block/sda");
    let machine = Machine::booted(&path(&[pci(0x1f, 2), vec![3, 18, 10, 0, 1, 0, 0xff, 0xff, 0, 0]]));
    for port in [1, 2] {
        machine.write(&format!("sys/class/ata_port/ata{port}/"), "port_no", format!("{port}\n").as_bytes());
    }
    assert_eq!(machine.verdict(&disk(1)), "unlikely");
    assert_eq!(machine.verdict(&disk(2)), "booted");
}

#[test]
fn a_disk_with_ids_of_its_own_waits_for_no_other() {
    let (own, other) = ("/devices/platform/mmc0/block/mmcblk0", "/devices/platform/mmc1/block/mmcblk1");
    let machine = Machine::booted(&[]);
    assert_eq!(machine.asked(own, "own", true), "booted");
    // A stick with the image has other ids, and is none of the device's.
    assert_eq!(machine.asked(other, IMAGE, false), "");
    assert!(!machine.has("bedplate.disk.undecided"));
    assert_eq!(machine.asked(own, "own", true), "booted", "it is asked at each event");
    // A copy of this very device: nobody can tell.
    assert_eq!(machine.asked(other, "own", true), "");
    assert!(machine.has("bedplate.disk.undecided") && machine.has("console"));
}

#[test]
fn a_copy_of_the_booted_disk_is_noticed_and_left_alone() {
    let machine = Machine::booted(&path(&[pci(5, 0)]));
    assert_eq!(machine.verdict("/devices/pci0000:00/0000:00:05.0/virtio1/block/vda"), "booted");
    assert_eq!(machine.asked("/devices/pci0000:00/0000:00:06.0/virtio2/block/vdb", IMAGE, true), "");
    assert!(machine.has("bedplate.disk.copy") && !machine.has("bedplate.disk.undecided"));
}

#[test]
fn without_firmware_that_tells_a_disk_counts_by_its_partitions() {
    let machine = Machine::without_variables();
    let disk = "/devices/platform/mmc0/block/mmcblk0";
    assert_eq!(machine.asked(disk, IMAGE, false), "", "any disk is taken for a device's");
    for (number, name) in [(3, "esp"), (4, "persistent")] {
        let text = format!("DEVTYPE=partition\nPARTN={number}\nPARTNAME={name}\n");
        machine.write(&format!("sys{disk}/mmcblk0p{number}/"), "uevent", text.as_bytes());
    }
    assert_eq!(machine.asked(disk, IMAGE, false), "open");
    assert_eq!(machine.last_open(), "maybe");
}
