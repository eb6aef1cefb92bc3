//! Who may enter a device: those with a key, and nobody else.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::product;
use bedplate::vm::Vm;
use bedplate::vm::guest::Guest;

/// A key pair made for this run: the path of its private half.
fn key(name: &str) -> PathBuf {
    let directory = product::scratch("keys");
    for file in [name.to_owned(), format!("{name}.pub")] {
        let _ = fs::remove_file(directory.join(file));
    }
    // A tools tree has no users, and ssh-keygen wants to be somebody.
    let packages = ["base-files", "base-passwd", "coreutils", "libnss-wrapper", "openssh-client"];
    let somebody = [
        "env",
        "LD_PRELOAD=libnss_wrapper.so",
        "NSS_WRAPPER_PASSWD=/usr/share/base-passwd/passwd.master",
        "NSS_WRAPPER_GROUP=/usr/share/base-passwd/group.master",
    ];
    let make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name];
    let make: Vec<&str> = somebody.into_iter().chain(make).collect();
    product::agrees(&directory, &packages, &make);
    directory.join(name)
}

fn public(key: &Path) -> String {
    fs::read_to_string(key.with_extension("pub")).unwrap()
}

fn machine(operator: &Path) -> Vm {
    let key = public(operator);
    product::machine(&product::built_with("small", "guarded", "guarded", &[("OPERATOR_KEY", &key)])).quick()
}

/// Asks for a shell as somebody who has this key; its output, or what stood in the way.
fn enter(guest: &mut Guest, user: &str, key: &Path) -> String {
    // sshd answers no more to an address that failed to get in.
    static ADDRESS: AtomicU8 = AtomicU8::new(2);
    let from = ADDRESS.fetch_add(1, Ordering::Relaxed);
    let private = fs::read_to_string(key).unwrap();
    let ask = format!(
        "umask 077; cat >/run/key <<'END'\n{private}END\n\
         ssh -b 127.0.0.{from} -i /run/key -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR \
         -o UserKnownHostsFile=/dev/null {user}@127.0.0.1 'id -un; sudo -n id -un'"
    );
    guest.run(&ask).unwrap().stdout
}

#[test]
fn only_who_has_a_key_comes_in_and_the_device_stays_who_it_is() {
    let (operator, visitor, stranger) = (key("operator"), key("visitor"), key("stranger"));
    let mut guest = machine(&operator).start().unwrap();
    guest.settle().unwrap();

    let listening =
        "ssh-keyscan -T 60 -t ed25519,ecdsa 127.0.0.1 2>/dev/null | grep -v '^#' | cut -d' ' -f3 | sort";
    let keys = guest.check(listening).unwrap();
    assert_eq!(keys.lines().count(), 2, "{keys}");

    // The key of the description lets its user in, and no one else.
    assert_eq!(enter(&mut guest, "operator", &operator), "operator\nroot\n");
    for (user, key) in
        [("operator", &stranger), ("visitor", &operator), ("visitor", &visitor), ("root", &operator)]
    {
        let answer = enter(&mut guest, user, key);
        assert!(answer.contains("Permission denied (publickey)"), "{user}: {answer}");
    }
    // No password: none exists, and none is asked for.
    let hashes = guest.check("cut -d: -f2 /etc/shadow | grep -v '^[!*]' | wc -l").unwrap();
    assert_eq!(hashes.trim(), "0", "somebody has a password");

    // A credential in the data partition lets the other in, from the next boot on.
    let hand_in = format!(
        "install -m 600 /dev/stdin /etc/credstore/ssh.authorized_keys.visitor <<'END'\n{}END\nsync",
        public(&visitor)
    );
    guest.check(&hand_in).unwrap();
    guest.reboot().unwrap();
    guest.settle().unwrap();
    assert!(enter(&mut guest, "visitor", &visitor).starts_with("visitor\n"));
    assert_eq!(guest.check(listening).unwrap(), keys, "the device is known by other keys after a reboot");
}

/// The credentials that need a firmware: over SMBIOS, and on the ESP, where no key of the machine protects them.
#[test]
fn a_credential_of_the_firmware_or_of_the_boot_partition_lets_its_user_in() {
    // By a credential of the firmware, `boot --ssh` lets in: see `new`.
    if !product::release() {
        return;
    }
    let (visitor, caller) = (key("smbios"), key("esp"));
    let vm =
        product::machine(&product::built_with("small", "guarded", "guarded-1", &[("IMAGE_VERSION", "1")]))
            .argument("-smbios")
            .argument("type=1,serial=EDGE 0042.")
            .credential("ssh.authorized_keys.visitor", public(&visitor).as_bytes());
    let mut guest = vm.start().unwrap();
    guest.settle().unwrap();
    assert!(enter(&mut guest, "visitor", &visitor).starts_with("visitor\n"));
    assert!(enter(&mut guest, "caller", &caller).contains("Permission denied (publickey)"));
    // The firmware's serial number is the device's name.
    assert_eq!(guest.check("hostname").unwrap(), "edge-0042\n");
    guest.wait_console("login:", Duration::from_secs(60)).unwrap();
    assert!(!guest.console().contains("automatic login"), "the console lets in whoever sits there");

    let on_esp = format!(
        "mkdir -p /efi/loader/credentials; systemd-creds encrypt --with-key=null --name=ssh.authorized_keys.caller \
         - /efi/loader/credentials/ssh.authorized_keys.caller.cred <<'END'\n{}END\nsync",
        public(&caller)
    );
    guest.check(&on_esp).unwrap();
    guest.reboot().unwrap();
    guest.settle().unwrap();
    let answer = enter(&mut guest, "caller", &caller);
    let why =
        guest.run("journalctl -b -u bedplate-ssh-credentials; ls -lR /run/credentials /efi/loader").unwrap();
    assert!(answer.starts_with("caller\n"), "{answer}\n{}", why.stdout);
}
