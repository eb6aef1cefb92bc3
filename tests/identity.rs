//! Who a device is, and what it remembers: asked of small guests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/product.rs"]
mod product;

use std::path::{Path, PathBuf};

use bedplate::vm::guest::Guest;
use bedplate::vm::{self, Vm};
use product::success;

/// The image `small`, built once for this run.
fn small() -> PathBuf {
    let out = product::scratch("images").join("small");
    let lock = product::scratch("locks").join("small.lock");
    success(product::small().args(["image", "small", "--lock"]).arg(lock).arg("--out").arg(&out));
    out.join("image.raw")
}

fn machine(disk: &Path) -> Vm {
    let tools = success(product::xtask().args(["tools", "--image", "edge-debian"]).args(vm::PACKAGES));
    Vm::new(Path::new(tools.trim()), disk).program(Path::new(env!("CARGO_BIN_EXE_xtask")))
}

fn state(guest: &mut Guest) -> String {
    let state = guest.run("systemctl is-system-running --wait").unwrap().stdout;
    let failed = guest.run("systemctl --failed --no-legend --plain").unwrap().stdout;
    format!("{} {}", state.trim(), failed.split_whitespace().next().unwrap_or("-"))
}

/// What a device is known by.
fn identity(guest: &mut Guest) -> (String, String) {
    let id = guest.check("cat /etc/machine-id").unwrap();
    let seed = guest.check("sha256sum </var/lib/systemd/random-seed").unwrap();
    (id, seed)
}

#[test]
fn each_device_is_itself_and_stays_it() {
    let disk = small();
    let mut guest = Guest::boot(machine(&disk)).unwrap();
    assert_eq!(state(&mut guest), "running -");
    println!("{}", guest.check("findmnt; cat /proc/cmdline; journalctl -b -u bedplate-machine-id -u bedplate-check -o cat; ls -lR /local; df -h").unwrap());
    let first = identity(&mut guest);
    assert_eq!(first.0.trim().len(), 32, "{}", first.0);
    guest.reboot().unwrap();
    assert_eq!(state(&mut guest), "running -");
    let again = identity(&mut guest);
    assert_eq!(again.0, first.0);
    assert_ne!(again.1, first.1, "the random seed is renewed at every boot");
    drop(guest);

    let mut other = Guest::boot(machine(&disk)).unwrap();
    let second = identity(&mut other);
    assert_ne!((second.0, second.1), first);
}
