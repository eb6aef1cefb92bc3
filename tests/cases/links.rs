//! Overlays and files that meet links, owners and modes, homes and binds.

use std::fs;
use std::process::Command;

use bedplate::vm::guest::Guest;

use crate::product::{self, cases, example, holds, root, scratch};

/// A build must end with a refusal that says all of this.
#[track_caller]
fn refused(name: &str, expected: &[&str]) {
    let said = product::refused(&mut cases(&["image", name], "links.lock"));
    holds(&said, &["--> tests/support/cases/links.rs:"]);
    holds(&said, expected);
}

/// case 22
#[test]
fn an_overlay_that_is_no_directory_is_refused_before_anything_is_fetched() {
    let locks = scratch("locks-of-links");
    let lock = locks.join("tar.lock");
    let _ = fs::remove_file(&lock);
    let mut build = Command::new(example("cases"));
    build.current_dir(root()).env("NO_COLOR", "1").args(["image", "links-tar", "--lock"]);
    let output = build.arg(&lock).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!lock.exists(), "{said}");
    assert!(said.contains("overlay.tar` is a file, and no directory"), "{said}");
    assert!(said.contains("--> tests/support/cases/links.rs:"), "{said}");
}

/// case 9
#[test]
fn a_bind_that_hides_what_the_image_has_is_refused_at_its_line() {
    let hides = "`/var/lib/systemd` starts empty, and hides what the image has there: `";
    refused("links-hidden", &[hides, ".seeded())`", ".empty())`"]);
}

/// case 21
#[test]
fn a_bind_through_a_link_is_refused_with_where_it_leads() {
    refused("links-bind", &["to `/srv/real`", "= help: bind that: `.bind(\"/srv/real\")`"]);
}

/// Cases 1, 7, 8, 9, 15, 19, 21, 22 and M on the device.
pub fn in_guest(guest: &mut Guest) {
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
