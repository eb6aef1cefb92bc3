//! One device with as many as possible of the cases that people bring: it settles, and each kind asks it. What a build
//! of them says is in `tests/build/cases/`.

use bedplate::vm::guest::Guest;

use crate::product::{self, built, machine};

#[test]
fn a_device_of_everything_settles() {
    if !product::all() {
        return;
    }
    // A device formats what it may format and nothing else.
    let vm = machine(&built("cases", "everything")).edit(|disk| disk.zero("scratch")).unwrap();
    let mut guest = vm.start().unwrap();
    guest.settle().unwrap();
    for (partition, mount) in [("calibration", "/calibration"), ("scratch", "/scratch")] {
        let lies_on =
            format!("test $(readlink -f /dev/bedplate/{partition}) = $(findmnt -no SOURCE {mount})");
        guest.check(&lies_on).unwrap();
    }
    initrd(&mut guest);
    links(&mut guest);
    triggers(&mut guest);
    checks(&mut guest);
}

/// Cases 11, 28, 29, 33 and 36, on the shared device.
fn initrd(guest: &mut Guest) {
    let mut said = |command: &str| guest.check(command).unwrap().trim().to_owned();
    assert_eq!(said("cat /sys/module/overlay/parameters/metacopy"), "Y");
    assert_eq!(said("lsblk -ndo LOG-SEC $(findmnt -no SOURCE /local)"), "4096");
    assert!(said("cat /proc/cmdline").contains("hugepagesz=2M hugepages=2"));
    assert_eq!(said("cat /proc/sys/vm/nr_hugepages"), "2");
    assert!(
        said("findmnt -no SOURCE /var/lib/systemd/timers").ends_with("[/persistent/var/lib/systemd/timers]")
    );
    said("test -e /var/lib/systemd/timers/stamp-fstrim.timer");
    assert_eq!(said(". /etc/os-release; echo $IMAGE_ID $IMAGE_VERSION"), "everything 1.4.0");
}

/// Cases 1, 7, 8, 9, 15, 19, 21, 22 and M on the device.
fn links(guest: &mut Guest) {
    let stat = |guest: &mut Guest, path: &str| guest.check(&format!("stat -c '%a %U:%G' {path}")).unwrap();
    // 1: through the links of the root, and nothing of it is gone.
    assert_eq!(
        guest.check("links-hello; readlink /bin /lib; /usr/lib/links/x").unwrap(),
        "hello\nusr/bin\nusr/lib\nsaid\n"
    );
    guest.check("test -s /usr/lib/udev/rules.d/99-links.rules && test -d /usr/lib/modules").unwrap();
    // 22: an overlay that is a link.
    assert_eq!(guest.check("cat /etc/links/linked").unwrap(), "linked\n");
    // 7
    assert!(guest.check("getent hosts plc").unwrap().starts_with("192.0.2.5"));
    assert!(guest.check("cat /etc/hosts").unwrap().contains("127.0.1.1 small\n"));
    // 15
    assert_eq!(stat(guest, "/etc/links/token"), "640 root:mosquitto\n");
    assert_eq!(stat(guest, "/usr/bin/links-hello"), "4755 root:root\n");
    assert_eq!(stat(guest, "/usr/lib/links/x"), "755 bob:root\n");
    // 9: the package's owner and mode, and the service writes there.
    assert_eq!(stat(guest, "/var/lib/mosquitto"), "755 mosquitto:root\n");
    guest.check("systemctl is-active mosquitto && findmnt /var/lib/mosquitto").unwrap();
    // 21: where the link leads.
    assert_eq!(stat(guest, "/var/mail"), "2775 root:mail\n");
    guest.check("findmnt /var/mail && test -L /var/spool/mail").unwrap();
    // 8 and 19: homes that the image does not show are made, with the skeleton and what an overlay brings.
    for (home, user) in [("/home/alice", "alice"), ("/local/bob", "bob")] {
        assert_eq!(stat(guest, home), format!("750 {user}:{user}\n"));
        assert_eq!(stat(guest, &format!("{home}/.profile")), format!("644 {user}:{user}\n"));
        let write = format!("setpriv --reuid {user} --regid {user} --clear-groups touch {home}/written");
        guest.check(&write).unwrap();
    }
    assert_eq!(guest.check("cat /home/alice/.bashrc /home/alice/note").unwrap(), "# of the overlay\nn\n");
    guest.check("findmnt /home").unwrap();
    let keys = guest.check("sshd -T -C user=alice | grep -i authorizedkeysfile").unwrap();
    assert!(keys.contains("/usr/lib/bedplate/authorized_keys/%u"), "{keys}");
    let read =
        "setpriv --reuid alice --regid alice --clear-groups cat /usr/lib/bedplate/authorized_keys/alice";
    assert!(guest.check(read).unwrap().starts_with("ssh-ed25519 "));
    assert_eq!(
        guest.check("grep -h alice /etc/subuid /etc/subgid").unwrap(),
        "alice:32868000:65536\n".repeat(2)
    );
    // M
    let mounts = guest.check("grep -c ' /etc/machine-id ' /proc/self/mountinfo").unwrap();
    assert_eq!(mounts, "1\n", "the id is mounted once");
}

/// What a device of these cases is asked.
fn triggers(guest: &mut Guest) {
    // Cases 5 and 31.
    assert_eq!(guest.check("systemctl is-active triggers-agent.service").unwrap(), "active\n");
    // Case 6.
    let query = "systemd-hwdb query 'evdev:name:bedplate triggers:'";
    assert_eq!(guest.check(query).unwrap(), "KEYBOARD_KEY_1=up\n");
    assert!(guest.check("locale -a").unwrap().contains("de_DE.utf8\n"));
    let listed = guest.check("journalctl --list-catalog 2d8ab71d1f4b4f0a9a1d64e5b5c0c3a1").unwrap();
    assert!(listed.contains("Case six"), "{listed}");
    // Case 34: what is installed on a device leaves out the same.
    let filters = guest.check("cat /etc/dpkg/dpkg.cfg.d/60-bedplate-paths").unwrap();
    assert!(filters.starts_with("path-exclude=/usr/share/man/*\n"), "{filters}");
}

/// Cases 10, 20 and O2, put right.
fn checks(guest: &mut Guest) {
    assert_eq!(guest.check("date +%Z | cut -c 1").unwrap(), "E\n");
    guest.check("test -e /var/lib/dynamic/here && test -L /var/lib/dynamic").unwrap();
    guest.check("findmnt /var/lib/private/dynamic").unwrap();
    guest.check("systemctl is-active dynamic.service ssh.service").unwrap();
}
