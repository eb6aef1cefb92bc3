//! Versions of the image of `tests/images/updates`, their bundles, and devices that run them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bedplate::vm::Vm;
use bedplate::vm::guest::Guest;
use bedplate_fixtures::certificate::{Authority, Request, SIGNER, file};

use crate::product;

/// The name of the image.
const IMAGE: &str = "updated";

/// Whom the devices believe, and who signs: files that stay, since a certificate is part of an image, and another one
/// would build all versions anew.
fn certificates() -> &'static PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let directory = product::scratch("versions");
        let made = directory.join("certificates");
        if !made.exists() {
            // Renamed when whole: two programs may make them at the same time.
            let new = tempfile::tempdir_in(&directory).unwrap().keep();
            let authority = Authority::new(&Request::authority("updates"));
            file(&new, "authority.pem", &authority.certificate);
            file(&new, "signer.pem", &authority.issue(&Request::signer("release"), SIGNER));
            file(&new, "key.pem", SIGNER);
            if fs::rename(&new, &made).is_err() {
                fs::remove_dir_all(&new).unwrap();
            }
        }
        made
    })
}

/// The artifacts of a version, built. `breaks` is what is wrong with it, as in the image's description; nothing by "".
pub fn built(version: &str, breaks: &str) -> PathBuf {
    let authority = certificates().join("authority.pem");
    let certificate = fs::read_to_string(authority).unwrap();
    let variables =
        [("IMAGE_VERSION", version), ("UPDATE_CERTIFICATE", certificate.as_str()), ("BREAKS", breaks)];
    product::built_with("updates", IMAGE, &directory(version, breaks), &variables)
}

/// The bundle of a version, signed by whom the devices believe.
pub fn bundle(version: &str, breaks: &str) -> PathBuf {
    bundle_from(version, breaks, &[])
}

/// The same, with what devices need that have the version of an `old` bundle.
pub fn bundle_from(version: &str, breaks: &str, old: &[&Path]) -> PathBuf {
    static MADE: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = directory(version, breaks);
    if let Some(bundle) = made.get(&directory) {
        return bundle.clone();
    }
    let files = ["authority.pem", "signer.pem", "key.pem"].map(|name| certificates().join(name));
    let bundle = signed(version, breaks, &directory, files.each_ref().map(PathBuf::as_path), old);
    made.insert(directory, bundle.clone());
    bundle
}

/// The bundle of a version in a directory of its own: the certificate that its devices believe, the signer's, the key;
/// and the bundles of versions that devices have.
pub fn signed(
    version: &str,
    breaks: &str,
    directory: &str,
    [authority, signer, key]: [&Path; 3],
    old: &[&Path],
) -> PathBuf {
    let out = product::scratch("images").join(directory);
    let mut command = Command::new(product::example("updates"));
    command.current_dir(product::root()).env("NO_COLOR", "1").args(["bundle", IMAGE]);
    command.env("IMAGE_VERSION", version).env("BREAKS", breaks);
    command.env("UPDATE_CERTIFICATE", fs::read_to_string(authority).unwrap());
    let packages = if breaks == "more" { "-more" } else { "" };
    let lock = product::kept("locks").join(format!("{IMAGE}{packages}.lock"));
    command.arg("--lock").arg(lock).arg("--out").arg(&out);
    command.arg("--key").arg(key).arg("--certificate").arg(signer);
    for old in old {
        command.arg("--from").arg(old);
    }
    product::success(&mut command);
    out.join("image.raucb")
}

fn directory(version: &str, breaks: &str) -> String {
    let dash = if breaks.is_empty() { "" } else { "-" };
    format!("{IMAGE}-{version}{dash}{breaks}")
}

/// A new device with a version, and a network to fetch updates by. Its disk has room for the second slot.
pub fn device(version: &str) -> Vm {
    product::machine(&built(version, "")).network().size(3 << 30)
}

/// Waits until the network is up, over which an update comes.
pub fn online(guest: &mut Guest) {
    guest.check("/usr/lib/systemd/systemd-networkd-wait-online --timeout=100").unwrap();
}

/// The version that runs.
pub fn running(guest: &mut Guest) -> String {
    guest.check("cat /usr/share/updated/version").unwrap().trim().to_owned()
}

/// Waits until the version that runs has proven itself.
pub fn proven(guest: &mut Guest) {
    let script = "until grep -q '\"state\":\"proven\"' /run/bedplate/update.json; do sleep 1; done";
    if let Err(error) = guest.run_within(script, Duration::from_secs(300)) {
        let said = guest.run("cat /run/bedplate/update.json; journalctl -b --no-pager | tail -40");
        panic!("{error:#}\n{said:?}");
    }
}

/// Leaves behind what must be there after every power cut.
pub fn keep(guest: &mut Guest) {
    guest.check("echo kept >/local/kept && sync").unwrap();
}

/// Starts a device after a power cut: one of these versions runs, what it `kept` is there, and the next update is
/// installed, and is the one that starts next. Returns the version that runs, and the device.
pub fn hold(vm: Vm, versions: &[&str], kept: bool) -> (String, Guest) {
    let mut guest = vm.start().unwrap();
    guest.settle().unwrap();
    let version = running(&mut guest);
    assert!(versions.contains(&version.as_str()), "version {version} runs");
    if kept {
        assert_eq!(guest.check("cat /local/kept").unwrap(), "kept\n");
    }
    proven(&mut guest);
    online(&mut guest);
    guest.install(&bundle("3", "")).unwrap();
    let told = guest.check("cat /run/bedplate/update.json").unwrap();
    let next = format!("\"next_start\":\"{}\"", if told.starts_with("{\"slot\":\"a\"") { "b" } else { "a" });
    assert!(told.contains(&next), "{told}");
    (version, guest)
}

/// Starts that next update.
pub fn go_on(mut guest: Guest, kept: bool) {
    guest.reboot().unwrap();
    assert_eq!(running(&mut guest), "3");
    proven(&mut guest);
    if kept {
        assert_eq!(guest.check("cat /local/kept").unwrap(), "kept\n");
    }
}

/// Each fourth of the devices that are started goes on to the next update: that takes as long as all else.
pub fn goes_on(number: u32) -> bool {
    number.is_multiple_of(4)
}
