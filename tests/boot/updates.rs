//! A device that is updated, and finds its way back alone.

use std::path::Path;
use std::time::Duration;

use bedplate::vm::Fault;
use bedplate::vm::guest::Guest;
use bedplate_fixtures::certificate::{Authority, OTHER, Request, file};
use serde_json::Value;

use crate::product::{self, scratch};
use crate::versions::{self, bundle, bundle_from, device};

/// What the device tells of itself, once it does, and for as long as it is not `wanted`.
fn told(guest: &mut Guest, wanted: &str) -> Value {
    let script = format!(
        "for i in $(seq 300); do grep -q '{wanted}' /run/bedplate/update.json 2>/dev/null && break; sleep 1; done; \
         cat /run/bedplate/update.json"
    );
    let text = guest.run_within(&script, Duration::from_secs(330)).unwrap().stdout;
    assert!(text.contains(wanted), "{text}\n{}", log(guest));
    serde_json::from_str(&text).unwrap()
}

fn log(guest: &mut Guest) -> String {
    let script = "journalctl -b --no-pager -o cat -u 'bedplate-slots@*' -u rauc -u systemd-bless-boot";
    guest.run(script).unwrap().stdout
}

/// The device runs this version, from this slot, and has what was kept.
fn runs(guest: &mut Guest, version: &str, slot: &str) -> Value {
    let told = told(guest, "\"slot\"");
    assert_eq!((&told["version"], &told["slot"]), (&version.into(), &slot.into()), "{told}\n{}", log(guest));
    assert_eq!(guest.check("cat /usr/share/updated/version").unwrap(), version);
    assert_eq!(guest.check("cat /local/kept").unwrap(), "mine\n");
    told
}

/// A bundle is refused with these words, and nothing of the other slot is touched.
fn refuses(guest: &mut Guest, bundle: &Path, words: &str) {
    refuses_from(guest, bundle, None, words);
}

/// The same, from a server with a fault.
fn refuses_from(guest: &mut Guest, bundle: &Path, fault: Option<Fault>, words: &str) {
    let state = "sha256sum /dev/bedplate/verity-* && cat /run/bedplate/update.json";
    let before = guest.check(state).unwrap();
    let (output, installed) = guest.try_install(bundle, fault).unwrap();
    let said = format!("{}\n{}", installed.said, log(guest));
    assert_ne!(output.code, 0, "{said}");
    assert!(said.contains(words), "`{words}` is not in:\n{said}");
    assert_eq!(guest.check(state).unwrap(), before);
}

/// A copy of a bundle with one byte changed, or cut short.
fn spoiled(from: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> std::path::PathBuf {
    let mut bytes = std::fs::read(from).unwrap();
    change(&mut bytes);
    let path = scratch("versions").join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_device_is_updated_and_finds_its_way_back_alone() {
    if !product::all() {
        return;
    }
    let mut guest = device("1").start().unwrap();
    guest.settle().unwrap();
    guest.check("echo mine >/local/kept && sync /local/kept").unwrap();
    let factory = runs(&mut guest, "1", "a");
    assert_eq!((&factory["state"], &factory["second_slot"]), (&"proven".into(), &true.into()));
    assert_eq!(guest.check("lsblk -bno SIZE /dev/bedplate/root-b").unwrap().trim(), (384 << 20).to_string());
    let known = guest.check("rauc status --detailed --output-format=shell").unwrap();
    assert!(known.contains("RAUC_SLOT_STATUS_BUNDLE_VERSION_1='1'"), "{known}");
    what_does_not_fit_is_refused(&mut guest);

    // One file of the description has changed: what is fetched is the index of blocks and little more.
    let second = bundle("2", "waits,once");
    let installed = guest.install(&second).unwrap();
    assert!(installed.fetched < 1_500_000, "{} bytes in {} requests", installed.fetched, installed.requests);
    assert!(
        !log(&mut guest).contains("index for active_slot"),
        "the slot it was shipped with was read whole"
    );
    guest.reboot().unwrap();
    assert_eq!(runs(&mut guest, "2", "b")["state"], "trial");
    refuses(&mut guest, &bundle("4", ""), "version 2 is on trial");
    guest.check("touch /run/good").unwrap();
    assert_eq!(told(&mut guest, "\"state\":\"proven\"")["last"]["result"], "proven");

    // A unit that it needs fails.
    guest.install(&bundle("3", "unit")).unwrap();
    guest.reboot().unwrap();
    assert_eq!(guest.check("cat /usr/share/updated/version").unwrap(), "3");
    guest.wait_ready().unwrap();
    let back = runs(&mut guest, "2", "b");
    assert_eq!((&back["last"]["result"], &back["last"]["version"]), (&"went-back".into(), &"3".into()));
    assert!(back["last"]["reason"].as_str().unwrap().contains("good.service"), "{back}");
    assert!(guest.check("rauc status --output-format=shell").unwrap().contains("='bad'"));

    // One package more, told in bytes of what runs. A block that PID 1 needs is not what was installed.
    let fourth = bundle_from("4", "more", &[&second]);
    let installed = guest.install(&fourth).unwrap();
    let said = log(&mut guest);
    assert!(said.contains("slot a has the new root, made of the one that runs"), "{said}");
    assert!(installed.fetched < 2_000_000, "{} bytes in {} requests", installed.fetched, installed.requests);
    guest
        .check(
            "mkdir /run/a && mount -t erofs -o ro /dev/bedplate/root-a /run/a && \
             at=$(filefrag -v -b4096 /run/a/usr/lib/*/systemd/libsystemd-core-*.so | sed -n 's/^ *0: [^:]*: *\\([0-9]*\\)\\.\\..*/\\1/p') && \
             umount /run/a && dd if=/dev/urandom of=/dev/bedplate/root-a bs=4096 seek=$at count=1 conv=fsync,notrunc",
        )
        .unwrap();
    guest.reboot().unwrap();
    let back = runs(&mut guest, "2", "b");
    assert_eq!((&back["last"]["result"], &back["last"]["version"]), (&"went-back".into(), &"4".into()));
    assert!(back["last"]["reason"].as_str().unwrap().contains("root could not be entered"), "{back}");

    // The next one is installed into what is left of it.
    guest.install(&fourth).unwrap();
    guest.reboot().unwrap();
    runs(&mut guest, "4", "a");
    guest.check("htop --version").unwrap();
    told(&mut guest, "\"state\":\"proven\"");

    // It has proven itself, and a block that nobody read so far is damaged later.
    let size = std::fs::metadata(fourth.with_file_name("image.root-x86-64.raw")).unwrap().len();
    let block = size / 4096 / 2;
    guest
        .check(&format!(
            "dd if=/dev/urandom of=/dev/bedplate/root-a bs=4096 seek={block} count=1 conv=fsync,notrunc && \
             dd if=/dev/mapper/root of=/dev/null bs=4096 skip={block} count=1 iflag=direct; sleep 1"
        ))
        .unwrap();
    guest.wait_ready().unwrap();
    let over = runs(&mut guest, "2", "b");
    assert_eq!((&over["last"]["result"], &over["last"]["version"]), (&"went-over".into(), &"4".into()));
}

/// Bundles for others, of others, and in pieces.
fn what_does_not_fit_is_refused(guest: &mut Guest) {
    refuses(guest, &bundle("0", ""), "its version 0 is older than 1, which runs");
    refuses(guest, &bundle("2", "larger"), "it is for disks of another layout");
    refuses(
        guest,
        &bundle("2", "other"),
        "Compatible mismatch: Expected 'updated' but bundle manifest has 'another'",
    );
    let good = bundle("2", "");
    let end = usize::try_from(std::fs::metadata(&good).unwrap().len()).unwrap();
    let cut = spoiled(&good, "cut.raucb", |bytes| bytes.truncate(end - 5000));
    refuses(guest, &cut, "failed");
    let changed = spoiled(&good, "changed.raucb", |bytes| bytes[end - 700] ^= 1);
    refuses(guest, &changed, "ignature");

    // Signed by a stranger, who has the same name.
    let stranger = scratch("versions").join("stranger");
    std::fs::create_dir_all(&stranger).unwrap();
    let authority = Authority::new(&Request::authority("updates"));
    let certificate = file(&stranger, "authority.pem", &authority.certificate);
    let signer = file(&stranger, "signer.pem", &authority.issue(&Request::signer("release"), OTHER));
    let key = file(&stranger, "key.pem", OTHER);
    let bundle = versions::signed("2", "", "updated-stranger", [&certificate, &signer, &key], &[]);
    refuses(guest, &bundle, "ignature verification failed");

    // Servers that have no ranges, or another file in the middle of it; a network that goes.
    let good = &versions::bundle("2", "");
    refuses_from(guest, good, Some(Fault::NoRanges(0)), "range requests");
    refuses_from(guest, good, Some(Fault::OtherFile(8)), "failed");
    refuses_from(guest, good, Some(Fault::Gone(8)), "failed");

    // A clock that is behind the signer's certificate.
    guest.check("date +%s >/run/now && date -s @1000").unwrap();
    refuses(guest, good, "certificate is not yet valid");
    guest.check("date -s @$(cat /run/now)").unwrap();

    // An ESP without room: nothing of the slot is written.
    let esp = "unshare -m sh -ec 'mount /dev/bedplate/esp /mnt; ";
    guest.check(&format!("{esp} dd if=/dev/zero of=/mnt/full bs=1M 2>/dev/null || true'")).unwrap();
    refuses(guest, good, "the EFI system partition has no room for its kernel image");
    guest.check(&format!("{esp} rm /mnt/full'")).unwrap();
}
