//! A device that is updated, and finds its way back alone.

mod tls;

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bedplate::vm::guest::Guest;
use bedplate::vm::{Fault, Server};
use bedplate_fixtures::certificate::{Authority, OTHER, Request, SIGNER, file};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

use crate::power;
use crate::product::{self, scratch};
use crate::replay::{self, INSTALLED, STARTED, Session};
use crate::versions::{self, bundle, bundle_from, device};

/// How long an installation may take.
const INSTALLATION: Duration = Duration::from_secs(600);

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
    let script = "journalctl -b --no-pager -o cat -u 'bedplate-slots@*' -u rauc -u systemd-bless-boot; \
                  journalctl -b --no-pager -k -p warning";
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
    let server = Server::start(bundle, fault).unwrap();
    refuses_at(guest, &server.address_in_guest("update.raucb"), words);
}

/// The same, from an address.
fn refuses_at(guest: &mut Guest, address: &str, words: &str) {
    let state = "sha256sum /dev/bedplate/verity-* && cat /run/bedplate/update.json";
    let before = guest.check(state).unwrap();
    let output = guest.run_within(&format!("rauc install {address} 2>&1"), INSTALLATION).unwrap();
    let said = format!("{}\n{}", output.stdout, log(guest));
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
    let mut random = StdRng::seed_from_u64(power::seed());
    // What it writes until the second version is installed is cut at the end.
    let mut guest = device("1").log_writes().argument("-device").argument("i6300esb").start().unwrap();
    guest.settle().unwrap();
    guest.check("echo mine >/local/kept && sync /local/kept").unwrap();
    let mut phases = vec![(STARTED, guest.logged().unwrap())];
    let factory = runs(&mut guest, "1", "a");
    assert_eq!((&factory["state"], &factory["second_slot"]), (&"proven".into(), &true.into()));
    assert_eq!(guest.check("lsblk -bno SIZE /dev/bedplate/root-b").unwrap().trim(), (384 << 20).to_string());
    let known = guest.check("rauc status --detailed --output-format=shell").unwrap();
    assert!(known.contains("RAUC_SLOT_STATUS_BUNDLE_VERSION_1='1'"), "{known}");
    what_does_not_fit_is_refused(&mut guest);

    // One file of the description has changed: what is fetched is the index of blocks and little more.
    let second = bundle("2", "waits,once");
    if product::release() {
        guest = interrupted(guest, &second, &mut random);
    }
    versions::online(&mut guest);
    phases.push(("what ends early", guest.logged().unwrap()));
    let server = Server::start(&second, None).unwrap();
    let address = server.address_in_guest("update.raucb");
    let other = "rauc install $address >/run/other 2>&1; echo $? >>/run/other";
    // The other comes once the first is being installed.
    let installing = "busctl get-property de.pengutronix.rauc / de.pengutronix.rauc.Installer Operation | grep -q installing";
    let wait = format!("for i in $(seq 100); do if {installing}; then break; fi; sleep 0.2; done");
    let both = format!("address={address}; ({wait}; {other}) & rauc install $address 2>&1 && wait");
    let said = guest.run_within(&both, INSTALLATION).unwrap();
    assert_eq!(said.code, 0, "{}\n{}", said.stdout, log(&mut guest));
    let other = guest.check("cat /run/other").unwrap();
    assert!(other.contains("Already processing a different method") && other.ends_with("\n2\n"), "{other}");
    let (requests, fetched) = server.counted();
    assert!(fetched < 1_600_000, "{fetched} bytes in {requests} requests");
    assert!(
        !log(&mut guest).contains("index for active_slot"),
        "the slot it was shipped with was read whole"
    );
    guest.check("sync").unwrap();
    phases.push((INSTALLED, guest.logged().unwrap()));
    comes_back_without_a_word(&mut guest);

    refuses(&mut guest, &bundle("4", ""), "version 2 is on trial");
    guest.check("touch /run/good").unwrap();
    assert_eq!(told(&mut guest, "\"state\":\"proven\"")["last"]["result"], "proven");

    // A unit that it needs fails. The version that it goes back to was damaged, and is mended before the restart.
    guest.install(&bundle("3", "unit")).unwrap();
    damage_kernel_image(&mut guest, "b");
    guest.reboot().unwrap();
    assert_eq!(guest.check("cat /usr/share/updated/version").unwrap(), "3");
    guest.wait_ready().unwrap();
    let back = runs(&mut guest, "2", "b");
    assert_eq!((&back["last"]["result"], &back["last"]["version"]), (&"went-back".into(), &"3".into()));
    assert!(back["last"]["reason"].as_str().unwrap().contains("good.service"), "{back}");
    assert!(guest.check("rauc status --output-format=shell").unwrap().contains("='bad'"));
    has_its_kernel_image(&mut guest, "b");

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

    loses_its_kernel_image(&mut guest);
    if product::release() {
        guest.install(&fourth).unwrap();
        guest = goes_over(guest, &second);
    }
    replay::holds(Session::new(guest.kill().unwrap(), phases), "waits,once", 100, &mut random);
}

/// It has proven itself, and its kernel image is damaged later, in both of its places.
fn loses_its_kernel_image(guest: &mut Guest) {
    damage_kernel_image(guest, "a");
    guest
        .check("dd if=/dev/urandom of=/dev/bedplate/uki-a bs=4096 seek=100 count=1 conv=notrunc,fsync")
        .unwrap();
    guest.check("systemctl start --no-block bedplate-slots@scrub; sleep 1").unwrap();
    guest.wait_ready().unwrap();
    let over = runs(guest, "2", "b");
    assert_eq!((&over["last"]["result"], &over["last"]["version"]), (&"went-over".into(), &"4".into()));
    assert_eq!(over["last"]["reason"], "its kernel image is damaged");
}

fn damage_kernel_image(guest: &mut Guest, slot: &str) {
    let file = format!("/mnt/EFI/Linux/bedplate_*-{slot}.efi");
    on_esp(
        guest,
        &format!("dd if=/dev/urandom of=$(echo {file}) bs=4096 seek=100 count=1 conv=notrunc,fsync"),
    );
}

/// The kernel image on the ESP is the one that the slot holds.
fn has_its_kernel_image(guest: &mut Guest, slot: &str) {
    let header = format!("head -c 4096 /dev/bedplate/uki-{slot} | tr -d '\\000' | sed -n 's/^sha256=//p'");
    let held = guest.check(&header).unwrap();
    assert_eq!(held.trim().len(), 64, "{held}");
    on_esp(guest, &format!("sha256sum /mnt/EFI/Linux/bedplate_*-{slot}.efi | grep -q ^{}", held.trim()));
}

/// It has proven itself, and a block that nobody read so far is damaged later.
fn goes_over(mut guest: Guest, second: &Path) -> Guest {
    let size = std::fs::metadata(second.with_file_name("image.root-x86-64.raw")).unwrap().len();
    let block = size / 4096 / 2;
    guest
        .check(&format!(
            "dd if=/dev/urandom of=/dev/bedplate/root-b bs=4096 seek={block} count=1 conv=fsync,notrunc && \
             dd if=/dev/mapper/root of=/dev/null bs=4096 skip={block} count=1 iflag=direct; sleep 1"
        ))
        .unwrap();
    guest.wait_ready().unwrap();
    let over = runs(&mut guest, "4", "a");
    assert_eq!((&over["last"]["result"], &over["last"]["version"]), (&"went-over".into(), &"2".into()));
    guest
}

/// An installation that a shutdown ends, and one that ends with the power: each leaves the old version.
fn interrupted(mut guest: Guest, bundle: &Path, random: &mut StdRng) -> Guest {
    for by_shutdown in [true, false] {
        versions::online(&mut guest);
        let server = Server::start(bundle, None).unwrap();
        let address = server.address_in_guest("update.raucb");
        // It outlives the agent, and what it says is heard to the end.
        let rauc = format!("rauc install {address} >/dev/console 2>&1; echo It ended with $?. >/dev/console");
        guest.check(&format!("systemd-run --quiet -p DefaultDependencies=no sh -c '{rauc}'")).unwrap();
        let enough = random.gen_range(5..60);
        let started = Instant::now();
        while server.counted().0 < enough {
            assert!(started.elapsed() < INSTALLATION, "{}", log(&mut guest));
            sleep(Duration::from_millis(20));
        }
        if by_shutdown {
            guest.reboot().unwrap();
            let console = guest.console();
            assert!(console.contains("It ended with ") && !console.contains("It ended with 0."), "{console}");
        } else {
            guest = guest.kill().unwrap().start().unwrap();
        }
        guest.settle().unwrap();
        assert_eq!(runs(&mut guest, "1", "a")["next_start"], "a", "after {enough} requests");
    }
    guest
}

/// Tries of a version end without a word, the first two while there is no room to remember anything: a hang, a kernel
/// image that cannot be loaded, and a panic.
fn comes_back_without_a_word(guest: &mut Guest) {
    fill(guest);
    guest.reboot().unwrap();
    assert_eq!(runs(guest, "2", "b")["tries_left"], 1);
    let said = log(guest);
    assert!(said.contains("cannot write /var/rauc/bedplate/last"), "{said}");
    let property = "busctl set-property org.freedesktop.systemd1 /org/freedesktop/systemd1 \
                    org.freedesktop.systemd1.Manager RuntimeWatchdogUSec t 20000000";
    let watchdog = "udevadm wait --timeout=60 /dev/watchdog0 && systemctl show -P RuntimeWatchdogUSec && ";
    assert_eq!(guest.check(&format!("{watchdog}{property}")).unwrap(), "2min\n");
    on_esp(guest, "truncate -s -4096 /mnt/EFI/Linux/bedplate_*-b+*.efi");
    // The first process runs no more, and who waits for it waits for ever.
    guest.check("(sleep 1; echo 1 >/sys/fs/cgroup/init.scope/cgroup.freeze) >/dev/null 2>&1 &").unwrap();
    guest.wait_ready().unwrap();
    let console = guest.console();
    assert!(console.contains("Error loading \\EFI\\Linux\\bedplate_2-b+0-2.efi"), "{console}");
    guest.settle().unwrap();
    let back = runs(guest, "1", "a");
    assert_eq!((&back["last"]["result"], &back["last"]["version"]), (&"went-back".into(), &"2".into()));
    assert_eq!(back["last"]["reason"], "it did not start, and left no word: a panic, a hang, or no power");

    guest.check("rm -r /local/full").unwrap();

    // By hand, it is tried again, from what its slot holds.
    on_esp(guest, "rm /mnt/EFI/Linux/bedplate_*-b+*.efi");
    guest.check("rauc status mark-active other").unwrap();
    guest.reboot().unwrap();
    assert_eq!(runs(guest, "2", "b")["tries_left"], 1);
    if !product::release() {
        return;
    }
    guest.check("(sleep 1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &").unwrap();
    guest.wait_console("Rebooting in 10 seconds", Duration::from_secs(60)).unwrap();
    guest.wait_ready().unwrap();
    assert_eq!(runs(guest, "2", "b")["tries_left"], 0);
}

/// Changes the EFI system partition, which is at `/mnt` meanwhile.
fn on_esp(guest: &mut Guest, script: &str) {
    guest.check(&format!("unshare -m sh -ec 'mount /dev/bedplate/esp /mnt; {script}; umount /mnt'")).unwrap();
}

/// Leaves no room on the data partition.
fn fill(guest: &mut Guest) {
    let script = "mkdir /local/full; i=0; for size in 256M 16M 1M 64K 4K 1K; do \
                  while fallocate -l $size /local/full/$i 2>/dev/null; do i=$((i+1)); done; rm -f /local/full/$i; \
                  done; sync -f /local; ! dd if=/dev/zero of=/local/full/last bs=4K count=1 2>/dev/null";
    guest.check(script).unwrap();
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

    // A server whose certificate is issued by a stranger, or has expired. RAUC's log has the reason.
    let server = Server::start(good, None).unwrap();
    let servers = Authority::new(&Request::authority("servers"));
    let port = tls::before(server.port(), &servers.issue(&Request::server([10, 0, 2, 2]), SIGNER), SIGNER);
    let address = format!("https://10.0.2.2:{port}/update.raucb");
    refuses_at(guest, &address, "certificate signer not trusted");
    let trust = format!("echo '{}' >>/etc/ssl/certs/ca-certificates.crt", servers.certificate);
    guest.check(&format!("{trust} && rauc info {address}")).unwrap();
    guest.check("date +%s >/run/now && date -s '+400 days'").unwrap();
    refuses_at(guest, &address, "certificate has expired");
    guest.check("date -s @$(cat /run/now)").unwrap();

    // A data partition without room for RAUC's notes.
    fill(guest);
    refuses(guest, good, "No space left on device");
    guest.check("rm -r /local/full").unwrap();

    // An ESP without room: nothing of the slot is written.
    on_esp(guest, "dd if=/dev/zero of=/mnt/full bs=1M 2>/dev/null || true");
    refuses(guest, good, "the EFI system partition has no room for its kernel image");
    on_esp(guest, "rm /mnt/full");
}
