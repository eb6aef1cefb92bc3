//! Who a device is and what it remembers, asked of small guests: on its first
//! day, later, with its data lost, and after a reset.

use std::path::Path;

use crate::product::{self, built};
use bedplate::vm::Vm;
use bedplate::vm::edit::MachineDisk;
use bedplate::vm::guest::Guest;

fn machine(name: &str) -> Vm {
    product::machine(&built("small", name))
}

/// Whether all is well, and what is not.
fn state(guest: &mut Guest) -> String {
    guest.state().unwrap().to_string()
}

/// What a device is known by. That two devices differ in it is asked where there are two: `disks.rs`.
pub fn identity(guest: &mut Guest) -> [String; 3] {
    ["cat /etc/machine-id", "sha256sum </var/lib/systemd/random-seed", "hostname"]
        .map(|ask| guest.check(ask).unwrap())
}

#[test]
fn each_device_is_itself_and_stays_it() {
    if !product::all() {
        return;
    }
    let mut guest = machine("small").start().unwrap();
    guest.settle().unwrap();
    let first = identity(&mut guest);
    assert_eq!(first[0].trim().len(), 32, "{}", first[0]);
    let name = first[2].trim().strip_prefix("small-").unwrap();
    assert!(name.len() == 12 && !first[0].contains(name), "the name shows the machine id: {name}");
    assert_eq!(guest.check("cat /etc/hostname; hostnamectl hostname").unwrap(), first[2].repeat(2));
    assert!(guest.check("getent ahosts $(hostname)").unwrap().contains("127.0.0.2"));
    assert_eq!(guest.check("stat -c %a /var/lib/systemd/random-seed").unwrap(), "600\n");
    let seed = guest.check("findmnt -no SOURCE /var/lib/systemd/random-seed").unwrap();
    assert!(seed.contains("[/persistent/var/lib/systemd/random-seed]"), "the seed lies on {seed}");

    // What is kept began as it was said.
    assert_eq!(guest.check("cat /etc/kept/setting").unwrap(), "as packaged\n");
    assert_eq!(guest.check("stat -c '%a %U %G' /opt/kept").unwrap(), "750 nobody nogroup\n");
    assert_eq!(guest.check("ls -A /var/lib/kept").unwrap(), "");
    let run = |path: &str| format!("cp /usr/bin/true {path}/program && {path}/program");
    assert_eq!(guest.run(&run("/var/lib/kept")).unwrap().code, 126, "a program on a bind was started");
    assert_eq!(guest.run(&run("/opt/kept")).unwrap().code, 0);
    guest.check("echo changed >/etc/kept/setting && sync").unwrap();

    // systemd finds the disk below the overlay, and the ESP on it.
    guest.check("ls /efi/EFI/Linux").unwrap();

    // The memory for everything else is bounded, and somebody says when it is nearly used up.
    assert_eq!(guest.check("findmnt -bno SIZE /").unwrap().trim(), (64 << 20).to_string());
    guest.wait_unit("bedplate-overlay-full.timer").unwrap();
    let fill = |megabytes: u32| {
        format!("head -c {megabytes}M /dev/urandom >>/var/filled; systemctl start bedplate-overlay-full")
    };
    assert_eq!(guest.run(&fill(47)).unwrap().code, 0, "three quarters are no reason to say anything");
    assert_ne!(guest.run(&fill(7)).unwrap().code, 0, "more than four fifths are used, and nobody says so");
    assert!(guest.console().contains("% of the memory for what is written to the root is used"));
    assert_eq!(guest.run("head -c 20M /dev/urandom >/var/more").unwrap().code, 1);

    // A full data partition keeps nobody from starting.
    guest
        .check(
            "head -c 2G /dev/zero >/local/filled; sync; df --output=avail /local | tail -1 | grep -x ' *0'",
        )
        .unwrap();
    guest.reboot().unwrap();
    guest.settle().unwrap();
    let again = identity(&mut guest);
    assert_eq!((&again[0], &again[2]), (&first[0], &first[2]));
    assert_ne!(again[1], first[1], "the random seed is renewed at every boot");
    guest.wait_unit("systemd-random-seed.service").unwrap();
    assert_eq!(guest.check("cat /etc/kept/setting").unwrap(), "changed\n");
    assert_ne!(guest.run("test -e /var/filled").unwrap().code, 0);
    let boots =
        guest.check("journalctl -b --no-pager -o json -n 1 | grep -o '_MACHINE_ID\":\"[0-9a-f]*'").unwrap();
    assert!(boots.contains(first[0].trim()), "the first process writes its log as {boots}");
}

#[test]
fn a_device_whose_data_is_lost_starts_says_so_and_writes_nothing_to_it() {
    type Loss = fn(&MachineDisk, &Path) -> anyhow::Result<()>;
    let zeroed: Loss = |disk, _| disk.zero("persistent");
    let foreign: Loss = |disk, out| disk.replace("persistent", &out.join("image.esp.raw"));
    // What is all zeros is asked once more of a device that keeps its root's writes, below.
    let (name, lose) = if product::all() { ("foreign", foreign) } else { ("zeroed", zeroed) };
    let out = built("small", "small");
    let mut before = String::new();
    let vm = machine("small").edit(|disk| {
        lose(disk, &out)?;
        before = disk.digest("persistent")?;
        Ok(())
    });
    let mut guest = vm.unwrap().start().unwrap();
    assert_eq!(state(&mut guest), "degraded: bedplate-check.service bedplate-data.service", "{name}");
    assert!(guest.console().contains("the data partition `persistent` could not be mounted"), "{name}");
    let needs = guest.run("systemctl is-active needs-kept.service").unwrap();
    assert_eq!(needs.stdout.trim(), "inactive", "{name}: it started without what it keeps");
    assert_eq!(guest.check("cat /etc/machine-id").unwrap().trim().len(), 32, "{name}");
    let mut after = String::new();
    let vm = guest.power_off().unwrap().edit(|disk| {
        after = disk.digest("persistent")?;
        Ok(())
    });
    drop(vm.unwrap());
    assert_eq!(before, after, "{name}: something was written to a partition nobody knows");
}

#[test]
fn a_factory_reset_empties_what_is_kept_and_is_finished_when_interrupted() {
    if !product::all() {
        return;
    }
    let root = |vm: Vm| {
        let mut digests = Vec::new();
        let vm = vm.edit(|disk| {
            // Not the ESP: the boot loader's random seed lies there.
            for label in ["root-x86-64", "root-x86-64-verity"] {
                digests.push(disk.digest(label)?);
            }
            Ok(())
        });
        (vm.unwrap(), digests)
    };
    let (vm, before) = root(machine("small"));
    let mut guest = vm.start().unwrap();
    guest.settle().unwrap();
    let first = identity(&mut guest);
    guest.check("echo changed >/etc/kept/setting; touch /local/.hidden /local/own; sync").unwrap();
    guest.run("systemctl start --no-block factory-reset.target").unwrap();
    guest.wait_ready().unwrap();
    guest.settle().unwrap();
    let reset = |guest: &mut Guest| {
        assert_eq!(guest.check("cat /etc/kept/setting").unwrap(), "as packaged\n");
        assert_eq!(guest.check("ls -A /local").unwrap(), "persistent\n");
    };
    reset(&mut guest);
    let second = identity(&mut guest);
    assert_ne!(second[0], first[0]);

    // Interrupted: the order is there, and a part is gone.
    let halfway = "echo changed >/etc/kept/setting; touch /local/.hidden /local/own /local/.factory-reset; \
                   rm /local/persistent/etc/machine-id; sync";
    guest.check(halfway).unwrap();
    let mut guest = guest.kill().unwrap().start().unwrap();
    guest.settle().unwrap();
    reset(&mut guest);
    assert_ne!(identity(&mut guest)[0], second[0]);

    // A credential at boot does the same.
    guest.check("echo changed >/etc/kept/setting; sync").unwrap();
    let vm = guest.power_off().unwrap().credential("bedplate.factory-reset", b"");
    let mut guest = vm.start().unwrap();
    reset(&mut guest);
    let (_vm, after) = root(guest.power_off().unwrap());
    assert_eq!(before, after, "a reset changed what is not the device's own");
}

#[test]
fn what_is_written_to_a_writable_root_is_kept_as_long_as_there_is_where() {
    if !product::all() {
        return;
    }
    let mut guest = machine("writable").start().unwrap();
    guest.settle().unwrap();
    guest.check("echo written >/etc/written; rm /etc/motd; sync").unwrap();
    guest.reboot().unwrap();
    guest.settle().unwrap();
    assert_eq!(guest.check("cat /etc/written").unwrap(), "written\n");
    assert_ne!(guest.run("test -e /etc/motd").unwrap().code, 0);
    let status = guest.check("dmsetup status root").unwrap();
    assert!(status.trim().ends_with("verity V"), "what lies below is verified: {status}");

    if !product::release() {
        return;
    }
    let vm = guest.power_off().unwrap().edit(|disk| disk.zero("persistent")).unwrap();
    let mut guest = vm.start().unwrap();
    assert_eq!(state(&mut guest), "degraded: bedplate-check.service bedplate-data.service");
    guest.check("test ! -e /etc/written && touch /etc/written").unwrap();
}
