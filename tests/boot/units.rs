//! What systemd says of our units and daemons, as they come out and in a running root: the questions that need no device.

mod files;
mod images;

use crate::product::{built, machine};

#[test]
fn the_units_of_a_guarded_device_are_sound_and_its_daemon_takes_keys_alone() {
    let mut guest = machine(&built("small", "guarded")).quick().start().unwrap();
    guest.settle().unwrap();

    // systemd finds no fault with a unit of ours, and none waits for itself.
    let ours = "cd /usr/lib/systemd/system && ls bedplate-*.service bedplate-*.timer *.mount";
    let ours = guest.check(ours).unwrap();
    assert!(ours.lines().count() > 5, "{ours}");
    let verify = format!(
        "cd /usr/lib/systemd/system && systemd-analyze verify --man=no --recursive-errors=no {} 2>&1",
        ours.lines().map(|unit| format!("'./{unit}'")).collect::<Vec<_>>().join(" ")
    );
    let output = guest.run(&verify).unwrap();
    assert_eq!((output.code, output.stdout.as_str()), (0, ""));
    let cycles = guest.check("journalctl -b --no-pager | grep -i 'ordering cycle' || true").unwrap();
    assert_eq!(cycles, "");

    // Nothing is brought up to date at boot: it was when the image was built.
    for unit in ["ldconfig", "systemd-sysusers", "systemd-journal-catalog-update", "systemd-update-done"] {
        let ran = guest.check(&format!("systemctl show -P ConditionResult {unit}")).unwrap();
        assert_eq!(ran, "no\n", "{unit} ran");
    }

    // What sshd has understood of its configuration, for whoever comes.
    let settings = guest.check("sshd -T -C user=operator,host=a,addr=10.0.0.1 2>&1").unwrap();
    for setting in [
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "permitrootlogin no",
        "permitemptypasswords no",
        "authenticationmethods publickey",
        "authorizedkeysfile .ssh/authorized_keys /run/bedplate/authorized_keys/%u",
        "hostkey /var/lib/bedplate/ssh/ssh_host_ed25519_key",
    ] {
        assert!(settings.lines().any(|line| line == setting), "no `{setting}` in:\n{settings}");
    }
    guest.wait_unit("ssh.service").unwrap();

    // No file that anybody may write, and no program that makes root of anybody but those of the packages.
    let writable = "find / -xdev -type f -perm -0002 -not -path '/proc/*' 2>/dev/null";
    assert_eq!(guest.check(writable).unwrap(), "", "files that anybody may write");
    let passwordless = "awk -F: '$2 == \"\" { print $1 }' /etc/shadow";
    assert_eq!(guest.check(passwordless).unwrap(), "", "users without a password");
}
