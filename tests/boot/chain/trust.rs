//! Devices that start what was signed, and encrypt what they keep.

#![expect(clippy::print_stdout, reason = "a failure is told with the seed that repeats it")]

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use bedplate::certificate::Certificate;
use bedplate::disk::Disk;
use bedplate::sign::{PublicKey, Signer};
use bedplate::vm::Vm;
use bedplate::vm::edit::MachineDisk;
use bedplate::vm::guest::Guest;
use bedplate_formats::authenticode::ToBeSigned;
use bedplate_formats::tree::{Content, Node, TreePath};
use bedplate_formats::{uki, vfat};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

use crate::power;
use crate::product::{self, machine, scratch};

/// Firmware and boot loader say in this time what they refuse.
const REFUSAL: Duration = Duration::from_secs(180);
/// So long it takes until the initrd works, keys enrolled on the way.
const START: Duration = Duration::from_secs(300);

/// The keys of all images here, made once: another set would build all of them anew. In `replaced`, the key of
/// measurements is that of `others`, and replaces that of `keys`.
fn keys(name: &str) -> PathBuf {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        for name in ["keys", "others"] {
            let directory = scratch("trust").join(name);
            if !directory.exists() {
                product::success(product::xtask().args(["keys", "new"]).arg(&directory));
            }
        }
        let of = |set: &str, file: &str| scratch("trust").join(set).join(file);
        std::fs::create_dir_all(of("replaced", "private")).unwrap();
        for (set, file, name) in [
            ("keys", "PK.auth", "PK.auth"),
            ("keys", "KEK.auth", "KEK.auth"),
            ("keys", "db.auth", "db.auth"),
            ("keys", "db.pem", "db.pem"),
            ("keys", "private/db.key", "private/db.key"),
            ("keys", "pcr.pem", "pcr-former.pem"),
            ("keys", "private/pcr.key", "private/pcr-former.key"),
            ("others", "pcr.pem", "pcr.pem"),
            ("others", "private/pcr.key", "private/pcr.key"),
        ] {
            std::fs::copy(of(set, file), of("replaced", name)).unwrap();
        }
    });
    scratch("trust").join(name)
}

/// The image with a word on its command line; signed by the keys of a directory, or by nobody.
fn built(says: &str, signed: Option<&str>) -> PathBuf {
    let directory = keys(signed.unwrap_or("keys"));
    let private = signed.map(|_| directory.join("private"));
    let owner = std::fs::read_to_string(keys("keys").join("update.pem")).unwrap();
    let mut variables = vec![
        ("TRUST_KEYS", directory.to_str().unwrap()),
        ("TRUST_SAYS", says),
        ("TRUST_OWNER", owner.as_str()),
    ];
    if signed == Some("replaced") {
        variables.push(("TRUST_REPLACES", "yes"));
    }
    variables.extend(private.iter().map(|private| ("BEDPLATE_KEYS", private.to_str().unwrap())));
    product::built_with(
        "trust",
        "sealed",
        &format!("sealed-{says}-{}", signed.unwrap_or("unsigned")),
        &variables,
    )
}

/// The ESP of an image with other bytes in a file, as a file.
fn esp(out: &Path, path: &str, bytes: Vec<u8>) -> PathBuf {
    let image = out.join("image.esp.raw");
    let esp = Disk::open(&image).unwrap().esp().unwrap();
    assert!(esp.exists(path).unwrap(), "{path}");
    let mut tree = esp.tree().unwrap();
    tree.insert(TreePath::new(path), Node::file(Content::from(bytes), 0o644));
    let made = scratch("trust").join("esp.raw");
    let file =
        std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&made).unwrap();
    let (size, label) = (std::fs::metadata(&image).unwrap().len(), "ESP".to_owned());
    let options = vfat::Options { size, volume_id: 1, label, epoch: 1_700_000_000, sector_size: 512 };
    vfat::write(&tree, &file, &options).unwrap();
    made
}

/// Where the image's ESP has its kernel image.
fn kernel_image(out: &Path) -> String {
    let esp = Disk::open(out.join("image.esp.raw")).unwrap().esp().unwrap();
    format!("EFI/Linux/{}", esp.read_dir("EFI/Linux").unwrap()[0])
}

/// Starts the device with other bytes in a file of its ESP, and expects these words on the console.
fn refused(vm: Vm, out: &Path, (path, bytes): (&str, Vec<u8>), words: &str) -> Vm {
    let esp = esp(out, path, bytes);
    let mut guest = vm.edit(|disk| disk.replace("esp", &esp)).unwrap().begin().unwrap();
    guest.wait_console(words, REFUSAL).unwrap();
    guest.kill().unwrap()
}

/// A kernel image that was signed for firmware, with the signed measurements of another.
fn with_signatures_of(unsigned: &Path, other: &Path) -> Vec<u8> {
    let signatures = Disk::open(other).unwrap().uki().unwrap().text(".pcrsig").unwrap();
    let image = uki::with_pcr_signatures(std::fs::read(unsigned).unwrap(), &signatures).unwrap();
    let directory = keys("keys");
    let (certificate, signer) = (directory.join("db.pem"), directory.join("private/db.key"));
    let certificate = Certificate::read(&certificate).unwrap().remove(0);
    let key = PublicKey::new(certificate.public_key(), "db".to_owned()).unwrap();
    let mut file = Cursor::new(image);
    let program = ToBeSigned::new(&mut file, &certificate.der()).unwrap();
    let signature = Signer::key(&signer).unwrap().sign(program.bytes(), &key).unwrap();
    program.attach(&signature, &mut file).unwrap();
    file.into_inner()
}

/// What the guest's TPM has in PCR 4, 7 and 11 of a bank.
fn registers(guest: &mut Guest, bank: &str) -> String {
    let read =
        format!("tpm2_pcrread -Q -o /run/pcrs {bank}:4,7,11 && od -An -v -tx1 /run/pcrs | tr -d ' \n'");
    guest.check(&read).unwrap()
}

fn says(guest: &mut Guest) -> String {
    guest.check("grep -o 'says=[a-z]*' /proc/cmdline").unwrap().trim().to_owned()
}

/// Who has the private key reads the recovery key that the device left on its ESP, and it opens the data.
fn recovers(guest: &mut Guest) {
    let mount = "mkdir -p /run/esp && mount -o ro /dev/bedplate/esp /run/esp";
    let message = guest.check(&format!("{mount} && cat /run/esp/recovery.cms && umount /run/esp")).unwrap();
    let directory = scratch("trust").join("recovery");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("recovery.cms"), message).unwrap();
    std::fs::copy(keys("keys").join("private/update.key"), directory.join("owner.key")).unwrap();
    let argv = ["openssl", "cms", "-decrypt", "-inform", "PEM", "-in", "recovery.cms", "-inkey", "owner.key"];
    let output = product::tool(&directory, &["openssl"], &argv);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let key = String::from_utf8(output.stdout).unwrap();
    let opens = |key: &str| {
        let open =
            "cryptsetup open --test-passphrase --token-type none --key-file - /dev/bedplate/persistent.luks";
        format!("printf %s '{key}' | {open}")
    };
    guest.check(&opens(key.trim())).unwrap();
    assert_ne!(guest.run(&opens("another")).unwrap().code, 0);
}

/// The device runs without its data, and says so.
fn without_data(guest: &mut Guest, why: &str) {
    let state = guest.state().unwrap();
    assert_eq!(state.word, "degraded");
    assert_eq!(guest.run("findmnt /local").unwrap().code, 1, "the data is open");
    let said = guest.check("journalctl -b --no-pager -o cat").unwrap();
    assert!(said.contains(why), "`{why}` is not in:\n{said}");
    assert!(
        said.contains("the data partition (persistent) is lost") || said.contains("Data Partition"),
        "{said}"
    );
}

/// One device from the day it is written to the day it is given away; each start takes a minute in emulation.
#[test]
fn a_device_starts_what_was_signed_and_opens_its_data_to_nothing_else() {
    if !product::all() {
        return;
    }
    let out = built("first", Some("keys"));
    let mut guest = machine(&out).size(3 << 30).start().unwrap();
    guest.settle().unwrap();
    enforces(&mut guest);
    assert_eq!(guest.check("lsblk -no TYPE $(findmnt -no SOURCE /local)").unwrap().trim(), "crypt");
    let size = product::room(&mut guest);
    assert!(size > 1 << 30, "/local has {size} bytes of a disk of 3 GiB");

    // What a TPM has measured is what was predicted.
    let predicted: Value =
        serde_json::from_slice(&std::fs::read(out.join("image.pcrs.json")).unwrap()).unwrap();
    for bank in ["sha256", "sha384"] {
        let value = |number: &str, way: &str| predicted[bank][number][way].as_str().unwrap().to_owned();
        let expected = [value("4", "secure-boot"), value("7", "secure-boot"), value("11", "ready")].concat();
        assert_eq!(registers(&mut guest, bank), expected, "{bank}");
    }
    // The second slot was made with it, and a recovery key for the owner.
    guest.check("test -b /dev/bedplate/root-b").unwrap();
    recovers(&mut guest);
    // The running system cannot open it again, whoever is in it.
    let again = "systemd-cryptsetup attach again /dev/bedplate/persistent.luks none luks,tpm2-device=auto,headless=true";
    assert_ne!(guest.run(again).unwrap().code, 0);
    guest.check("echo mine >/local/kept && sync").unwrap();
    let machine_id = guest.check("cat /etc/machine-id").unwrap();
    let vm = guest.power_off().unwrap();

    // Another kernel image by the same keys.
    let second = built("second", Some("keys"));
    let mut guest = vm.edit(|disk| disk.update(&second)).unwrap().start().unwrap();
    guest.settle().unwrap();
    assert_eq!(says(&mut guest), "says=second");
    assert_eq!(guest.check("cat /local/kept").unwrap(), "mine\n");
    assert_eq!(guest.check("cat /etc/machine-id").unwrap(), machine_id);
    let vm = guest.power_off().unwrap();

    // What firmware and boot loader refuse.
    let (image, loader) = (kernel_image(&out), "EFI/BOOT/BOOTX64.EFI");
    let signed = std::fs::read(out.join("image.efi")).unwrap();
    let mut changed = signed.clone();
    let place = changed.windows(10).position(|window| window == b"says=first").unwrap();
    changed[place + 5] ^= 1;
    let unsigned = built("first", None);
    let other = std::fs::read(built("first", Some("others")).join("image.efi")).unwrap();
    let mut vm = refused(vm, &out, (&image, changed), "Access denied");
    vm = refused(
        vm,
        &out,
        (&image, std::fs::read(unsigned.join("image.unsigned.efi")).unwrap()),
        "Access denied",
    );
    vm = refused(vm, &out, (&image, other), "Access denied");
    vm = refused(
        vm,
        &out,
        (loader, std::fs::read(unsigned.join("image.unsigned.loader.efi")).unwrap()),
        "Access Denied",
    );

    // Measurements that were signed for another kernel image open nothing; nor does one that has none.
    let third = built("third", None);
    let stolen = with_signatures_of(&third.join("image.unsigned.efi"), &out.join("image.efi"));
    let esp = esp(&out, &image, stolen);
    let mut guest = vm.edit(|disk| disk.replace("esp", &esp)).unwrap().start().unwrap();
    without_data(&mut guest, "Failed to unseal secret using TPM2");
    // The way out of every lock: the data is given up.
    let variable = "/sys/firmware/efi/efivars/FactoryReset-8cf2644b-4b0b-428f-9387-6d876050dc67";
    guest.check(&format!("printf '\\007\\0\\0\\0y\\0e\\0s\\0\\0\\0' >{variable}")).unwrap();
    let vm = guest.power_off().unwrap();
    let mut guest = vm.edit(|disk| disk.update(&out)).unwrap().start().unwrap();
    is_new(&mut guest, &machine_id);
    let vm = guest.power_off().unwrap();

    // With Secure Boot off, anybody's system could ask the TPM.
    let mut guest = vm.secure_boot(false).start().unwrap();
    without_data(&mut guest, "Assertion failed");
}

/// A device whose power is cut while it makes its data, whose data is sealed to another key, grows, and is given up.
#[test]
fn a_devices_data_is_sealed_to_another_key_grows_and_is_given_up() {
    if !product::release() {
        return;
    }
    let out = built("first", Some("keys"));
    let mut random = StdRng::seed_from_u64(power::seed());
    let vm = cut_while_data_is_made(machine(&out).size(3 << 30), &mut random);
    let mut guest = vm.start().unwrap();
    guest.settle().unwrap();
    let size = product::room(&mut guest);
    guest.check("echo mine >/local/kept && sync").unwrap();
    let vm = guest.power_off().unwrap();

    // A kernel image by one key more, which replaces the one the data is sealed to.
    let second = built("second", Some("replaced"));
    let mut guest = vm.edit(|disk| disk.update(&second)).unwrap().start().unwrap();
    guest.settle().unwrap();
    assert_eq!(guest.check("cat /local/kept").unwrap(), "mine\n");
    let vm = guest.power_off().unwrap();

    // The former key opens nothing any more, and the new one does; on a larger disk, all of it.
    let mut guest = vm.edit(|disk| disk.update(&out)).unwrap().start().unwrap();
    without_data(&mut guest, "Failed to unseal secret using TPM2");
    let vm = guest.power_off().unwrap();
    let larger = |disk: &MachineDisk| disk.update(&second).and_then(|()| disk.grow(4 << 30));
    let mut guest = vm.edit(larger).unwrap().start().unwrap();
    guest.settle().unwrap();
    assert_eq!(guest.check("cat /local/kept").unwrap(), "mine\n");
    let grown = product::room(&mut guest);
    assert!(grown > size + (900 << 20), "/local had {size} bytes, and has {grown} on a disk with 1 GiB more");

    let machine_id = guest.check("cat /etc/machine-id").unwrap();
    guest.run("systemctl start --no-block factory-reset.target").unwrap();
    guest.wait_ready().unwrap();
    let machine_id = is_new(&mut guest, &machine_id);
    let vm = guest.power_off().unwrap();
    let mut guest = vm.credential("bedplate.factory-reset", b"").start().unwrap();
    is_new(&mut guest, &machine_id);
}

/// The device starts for the first time, and loses its power while it makes and encrypts its data partition.
fn cut_while_data_is_made(vm: Vm, random: &mut StdRng) -> Vm {
    let mut guest = vm.begin().unwrap();
    guest.wait_console("systemd-repart[", START).unwrap();
    // In emulation it takes some six seconds from the first thing it says.
    sleep(Duration::from_millis(random.gen_range(0..8000)));
    guest.kill().unwrap()
}

#[test]
fn whenever_the_power_is_cut_while_data_is_made_the_next_start_finishes_it() {
    if !power::asked() {
        return;
    }
    let out = built("first", Some("keys"));
    let mut random = StdRng::seed_from_u64(power::seed());
    for number in 0..power::cuts() {
        let vm = cut_while_data_is_made(machine(&out).size(3 << 30), &mut random);
        let mut guest = vm.start().unwrap();
        guest.settle().unwrap();
        assert_eq!(guest.check("lsblk -no TYPE $(findmnt -no SOURCE /local)").unwrap().trim(), "crypt");
        guest.check("test -b /dev/bedplate/root-b").unwrap();
        println!("start {number}: the data is there");
    }
}

/// A machine that says that it is none of a hypervisor's counts down before it takes the keys over; nobody is asked.
/// Without a TPM there is nothing to seal to, and nothing is written in the clear.
#[test]
fn a_machine_of_metal_takes_the_keys_over_and_without_a_tpm_keeps_nothing() {
    if !product::release() {
        return;
    }
    let out = built("first", Some("keys"));
    // The processor of `machine` is one of a hypervisor.
    let vm = Vm::new(&out.join("image.raw")).image("edge-debian").size(3 << 30).without_tpm().metal();
    let mut guest = vm.start().unwrap();
    enforces(&mut guest);
    assert!(guest.console().contains("press any key to abort"), "{}", guest.console());
    without_data(&mut guest, "Assertion failed");
    assert_eq!(guest.run("test -e /dev/bedplate/persistent.luks").unwrap().code, 1, "a partition was made");
}

/// The firmware says that it enforces Secure Boot.
fn enforces(guest: &mut Guest) {
    let variable =
        "od -An -tu1 -j4 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    assert_eq!(guest.check(variable).unwrap().trim(), "1");
}

/// The device has lost all it had, and keeps again: its machine id is another one, and is returned.
fn is_new(guest: &mut Guest, former: &str) -> String {
    guest.settle().unwrap();
    assert_ne!(guest.run("test -e /local/kept").unwrap().code, 0, "the data is still there");
    guest.check("echo mine >/local/kept && sync").unwrap();
    let machine_id = guest.check("cat /etc/machine-id").unwrap();
    assert_ne!(machine_id, former);
    machine_id
}
