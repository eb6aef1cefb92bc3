//! A device that starts what was signed, is updated, and encrypts what it keeps; by the environment of whoever builds it.
//!
//! | variable | |
//! |---|---|
//! | `TRUST_KEYS` | the directory of the keys |
//! | `TRUST_SAYS` | a word on the kernel's command line, by which two kernel images differ |
//! | `TRUST_REPLACES` | says that `pcr.pem` replaces another key |
//! | `TRUST_OWNER` | the certificate of who may recover the data, in PEM; it signs updates, too |

use std::env::var;
use std::process::ExitCode;

use bedplate::prelude::*;

fn main() -> ExitCode {
    bedplate::main(&[image!(sealed)])
}

/// As few packages as boot and encrypt.
pub fn sealed(_: &Target) -> Image {
    let keys = var("TRUST_KEYS").unwrap_or_else(|_| "keys".to_owned());
    let owner = Certificate::new("owner.pem", &var("TRUST_OWNER").unwrap_or_default());
    let says = var("TRUST_SAYS").unwrap_or_else(|_| "first".to_owned());
    let keys = SecureBoot::keys(keys);
    let keys = if var("TRUST_REPLACES").is_ok() { keys.replaces_pcr_key() } else { keys };
    Image::debian("trixie")
        .packages(["linux-image-cloud-amd64", "systemd-sysv", "systemd-boot", "tpm2-tools", "cryptsetup-bin"])
        .hostname("sealed")
        .command_line("console=ttyS0,115200")
        .command_line(format!("says={says}").as_str())
        .partition(Esp::new(MiB(256)))
        .partition(Root::new(Erofs).verity().size(MiB(384)))
        .partition(
            Data::new("persistent", Ext4)
                .mount("/local")
                .size(MiB(256))
                .encrypted(Tpm.or_recovery(owner.clone())),
        )
        .volatile(Volatile::Overlay)
        .bind("/var/lib/kept")
        .version("1")
        .updates(Updates::rauc("sealed", owner))
        .secure_boot(keys)
}
