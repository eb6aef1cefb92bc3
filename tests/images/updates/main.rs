//! Devices that are updated: versions of one image, by the environment of whoever builds them.
//!
//! | variable | |
//! |---|---|
//! | `IMAGE_VERSION` | the version |
//! | `UPDATE_CERTIFICATE` | the certificate that updates must be signed by, in PEM |
//! | `BREAKS` | what is wrong with the version, words with commas between them |
//!
//! | `unit` | a unit that it needs to be good fails |
//! | `hang` | that unit never ends |
//! | `waits` | that unit waits for `/run/good` |
//! | `once` | versions that it installs are tried once |
//! | `other` | it is for other devices |
//! | `larger` | it is for disks of another layout |
//! | `more` | it has one package more |

use std::process::ExitCode;

use bedplate::prelude::*;

fn main() -> ExitCode {
    bedplate::main(&[image!(updated)])
}

/// As few packages as boot, are updated over the network, and say whether they are good.
pub fn updated(_: &Target) -> Image {
    let version = std::env::var("IMAGE_VERSION").unwrap_or_else(|_| "1".to_string());
    let certificate = std::env::var("UPDATE_CERTIFICATE").unwrap_or_default();
    let breaks = std::env::var("BREAKS").unwrap_or_default();
    let is = |word: &str| breaks.split(',').any(|said| said == word);
    let compatible = if is("other") { "another" } else { "updated" };
    let updates = Updates::rauc(compatible, Certificate::new("update.pem", &certificate))
        .tries(if is("once") { 1 } else { 2 })
        .minutes(4)
        .healthy_when("good.service");
    let good = if is("unit") {
        "[Service]\nType=oneshot\nExecStart=false\n"
    } else if is("hang") {
        "[Service]\nType=oneshot\nTimeoutStartSec=infinity\nExecStart=sleep infinity\n"
    } else if is("waits") {
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nTimeoutStartSec=infinity\n\
         ExecStart=sh -c 'until [ -e /run/good ]; do sleep 1; done'\n"
    } else {
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\n"
    };
    let more: &[&str] = if is("more") { &["htop"] } else { &[] };
    Image::debian("trixie")
        .packages(["linux-image-cloud-amd64", "systemd-sysv", "systemd-boot"])
        .packages(["dbus", "dmsetup", "kmod"])
        .packages(more.iter().copied())
        .hostname("updated-{machine-id}")
        .version(version.as_str())
        .command_line("console=ttyS0,115200")
        .partition(Esp::new(MiB(if is("larger") { 320 } else { 256 })))
        .partition(Root::new(Erofs).verity().size(MiB(384)))
        .partition(Data::new("persistent", Ext4).mount("/local").size(MiB(256)))
        .volatile(Volatile::Overlay)
        .updates(updates)
        .unit(Unit::new("good.service", good))
        .file("/usr/share/updated/version", version)
        .file("/etc/systemd/network/50-any.network", "[Match]\nType=ether\n[Network]\nDHCP=yes\n")
        .enable("systemd-networkd.service")
}
