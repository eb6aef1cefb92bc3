//! Two disks with one image in one machine: a device that was installed from a stick, and has the stick still in it.
//! Everything is of the disk that was booted, and the other one is not touched.

mod booted;
mod name;

use std::path::Path;

use crate::identity::identity;
use crate::product::{self, built, built_with, machine};
use bedplate::vm::Vm;
use bedplate::vm::guest::Guest;
use bedplate::vm::second::Bus;
use bedplate_formats::{gpt, sparse};

/// The plan of a device whose scripts are asked without a machine.
fn plan() -> bedplate::plan::Plan {
    bedplate::Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(bedplate::Esp::new(bedplate::MiB(256)))
        .partition(bedplate::Root::new(bedplate::Erofs).verity())
        .partition(bedplate::Data::new("persistent", bedplate::Ext4).mount("/local"))
        .plan_named("disks")
        .unwrap()
}

/// The disk that a device runs from, and what the device is known by.
struct Asked {
    disk: String,
    identity: [String; 3],
}

/// What a device is known by, and what it keeps.
fn itself(guest: &mut Guest) -> [String; 4] {
    let keys = "cat /var/lib/bedplate/ssh/ssh_host_*_key.pub";
    let kept = "cat /etc/kept/setting /etc/kept/version /var/lib/kept/marker";
    ["cat /etc/machine-id", "hostname", keys, kept].map(|ask| guest.check(ask).unwrap())
}

/// Holds a guest against the disk that it must run from.
#[track_caller]
fn runs_from(guest: &mut Guest, disk: &str) -> Asked {
    guest.settle().unwrap();
    let found = guest.check("basename $(readlink -f /dev/bedplate/disk)").unwrap();
    let told = "grep -r . /run/bedplate.disk* ; ls -l /dev/bedplate /dev/disk/by-partuuid; lsblk; dmesg | grep bedplate; \
                journalctl -b --no-pager -u 'bedplate-*'";
    let told = guest.run(told).unwrap().stdout;
    assert!(found.starts_with(disk), "it runs from {found}\n{told}");
    let found = found.trim().to_owned();
    let below = "for d in /sys/class/block/dm-*/slaves/*; do basename $d; done";
    for part in guest.check(below).unwrap().lines() {
        assert!(part.starts_with(&found), "a part of the root lies on {part}\n{told}");
    }
    let status = guest.check("dmsetup status root").unwrap();
    assert!(status.trim().ends_with("verity V"), "{status}");
    guest.check("ls /efi/EFI/Linux").unwrap();
    for place in ["/local", "/efi", "/var/lib/kept"] {
        let source = guest.check(&format!("findmnt -no SOURCE -t noautofs {place}")).unwrap();
        assert!(source.starts_with(&format!("/dev/{found}")), "{place} lies on {source}\n{told}");
    }
    Asked { disk: found, identity: identity(guest) }
}

/// Whether nothing was written to the second disk since it was copied from `image`.
fn untouched(vm: &Vm, image: &Path) -> bool {
    let [one, other] =
        [vm.second_disk().unwrap(), image.to_owned()].map(|path| std::fs::File::open(path).unwrap());
    let length = one.metadata().unwrap().len();
    sparse::same(&one, 0..length, &other, 0).unwrap()
}

fn table(disk: &Path) -> gpt::Table {
    gpt::read(&mut std::fs::File::open(disk).unwrap()).unwrap()
}

/// Case 23: neither was ever started, so both have the image's ids; then the disk has ids of its own, and a fresh stick
/// beside it changes nothing, neither does the next version of the image; and the stick becomes a device of its own.
#[test]
fn a_device_with_a_stick_in_it_is_the_disk_it_was_booted_from() {
    if !product::release() {
        return;
    }
    let [out, next] = ["1", "2"].map(|version| {
        built_with("small", "guarded", &format!("guarded-{version}"), &[("IMAGE_VERSION", version)])
    });
    let image = out.join("image.raw");
    let mut guest = machine(&out).second(&image, Bus::Scsi).start().unwrap();
    let first = runs_from(&mut guest, "vd");
    assert_eq!(guest.check("cat /usr/lib/version").unwrap(), "1");
    guest.check("echo mine >/var/lib/kept/marker; echo changed >/etc/kept/setting; sync").unwrap();
    let before = itself(&mut guest);
    assert_eq!(before[3], "changed\n1mine\n");
    // Without a serial number of a firmware the name is the machine id's.
    assert_eq!(before[1].trim().len(), 12, "{}", before[1]);

    // Its disk has got ids of its own, and those by which the root is found are the image's.
    let mut own = None;
    let vm = guest.power_off().unwrap().edit(|disk| {
        own = Some(disk.table().clone());
        Ok(())
    });
    let (own, shipped) = (own.unwrap(), table(&image));
    assert_ne!(own.guid, shipped.guid);
    for (one, other) in own.partitions.iter().zip(&shipped.partitions) {
        let is_the_image = one.name.starts_with("root");
        assert_eq!(one.guid == other.guid, is_the_image, "{}", one.name);
    }
    let vm = vm.unwrap();
    assert!(untouched(&vm, &image), "something was written to the stick");

    // Booted from the stick, the device is another one in all that it is known by.
    let mut guest = vm.start_from_second(true).start().unwrap();
    let stick = runs_from(&mut guest, "sd");
    for (disks, sticks) in first.identity.iter().zip(&stick.identity) {
        assert_ne!(disks, sticks, "two devices are one");
    }
    guest.check("test ! -e /var/lib/kept/marker").unwrap();

    // And the disk is what it was, also with the next version of its image: the root, its hash tree and the kernel are
    // others, and what was seeded once is the device's own.
    let vm = guest.power_off().unwrap().edit(|disk| {
        let [data, root] = ["persistent", "root-x86-64"].map(|label| disk.digest(label).unwrap());
        disk.update(&next)?;
        assert_ne!(disk.digest("root-x86-64")?, root, "the two versions are one");
        assert_eq!(disk.digest("persistent")?, data, "an update wrote to what is kept");
        Ok(())
    });
    let mut guest = vm.unwrap().start_from_second(false).start().unwrap();
    assert_eq!(runs_from(&mut guest, "vd").disk, first.disk);
    assert_eq!(guest.check("cat /usr/lib/version").unwrap(), "2");
    assert_eq!(itself(&mut guest), before);
}

/// Case 23: of two untouched copies, the firmware's path tells the stick from the disk that comes first.
#[test]
fn of_two_untouched_copies_the_booted_one_becomes_the_device() {
    if !product::release() {
        return;
    }
    let out = built("small", "small");
    let image = out.join("image.raw");
    let mut before = String::new();
    let vm = machine(&out).edit(|disk| {
        before = disk.digest("persistent")?;
        Ok(())
    });
    let vm = vm.unwrap().second(&image, Bus::Scsi).start_from_second(true);
    let mut guest = vm.start().unwrap();
    let first = runs_from(&mut guest, "sd");
    guest.reboot().unwrap();
    assert_eq!(runs_from(&mut guest, "sd").identity[0], first.identity[0]);
    let vm = guest.power_off().unwrap();
    assert!(!untouched(&vm, &image));
    // The disk that was not booted is as it was.
    vm.edit(|disk| {
        assert_eq!(disk.table().guid, table(&image).guid);
        assert_eq!(disk.digest("persistent")?, before);
        Ok(())
    })
    .unwrap();
}
