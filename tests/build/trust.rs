//! Secure Boot and measured boot, judged by the tools of others: sbsigntools, efitools, and ukify with systemd-measure.

use std::fs::{self, File};
use std::io::Cursor;
use std::path::{Path, PathBuf};

use bedplate::sign::Signer;
use bedplate_fixtures::certificate::{Authority, OTHER, Request, SIGNER, file};
use bedplate_formats::authenticode::{ToBeSigned, signatures};
use bedplate_formats::efi_variable::{Variable, VariableUpdate};
use bedplate_formats::pcr::{Bank, PcrPolicy, PcrSignatures, Phase, kernel_boot};
use bedplate_formats::signature_list::SignatureList;
use bedplate_formats::uki::{Uki, with_pcr_signatures};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use uuid::{Uuid, uuid};

use crate::product::{self, agrees, edge_debian, tool};

const OWNER: Uuid = uuid!("11111111-2222-3333-4444-123456789abc");
const SBSIGN: &[&str] = &["sbsigntool", "coreutils"];

/// A directory with two keys and their certificates: `signer.pem`, `signer.crt`, `other.pem`, `other.crt`.
fn scene(name: &str) -> PathBuf {
    let directory = product::scratch("trust").join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    let authority = Authority::new(&Request::authority("root"));
    for (name, key) in [("signer", SIGNER), ("other", OTHER)] {
        file(&directory, &format!("{name}.pem"), key);
        file(&directory, &format!("{name}.crt"), &authority.issue(&Request::signer(name), key));
    }
    directory
}

fn certificate(directory: &Path, name: &str) -> Vec<u8> {
    CertificateDer::from_pem_file(directory.join(format!("{name}.crt"))).unwrap().to_vec()
}

fn sign(directory: &Path, name: &str, message: &[u8]) -> Vec<u8> {
    let signer = Signer::key(&directory.join(format!("{name}.pem"))).unwrap();
    signer.sign(message, &signer.public_key().unwrap()).unwrap()
}

/// Puts a signature into a file.
fn attach(directory: &Path, name: &str, signer: &str) {
    let mut file = File::options().read(true).write(true).open(directory.join(name)).unwrap();
    let message = ToBeSigned::new(&mut file, &certificate(directory, signer)).unwrap();
    message.attach(&sign(directory, signer, message.bytes()), &mut file).unwrap();
}

/// systemd-boot and the kernel image of the product, as they are signed for a device.
#[test]
fn sbverify_accepts_what_is_signed_here_and_nothing_else() {
    let directory = scene("signed");
    fs::copy(edge_debian().join("image.efi"), directory.join("kernel.efi")).unwrap();
    let boot = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi";
    agrees(&directory, &["systemd-boot-efi", "coreutils"], &["cp", boot, "boot.efi"]);
    for name in ["kernel.efi", "boot.efi"] {
        attach(&directory, name, "signer");
        agrees(&directory, SBSIGN, &["sbverify", "--cert", "signer.crt", name]);
        let refused = tool(&directory, SBSIGN, &["sbverify", "--cert", "other.crt", name]);
        assert!(!refused.status.success(), "{name} is accepted for somebody else");
        // Both signatures hold after the second one.
        attach(&directory, name, "other");
        agrees(&directory, SBSIGN, &["sbverify", "--cert", "signer.crt", name]);
        agrees(&directory, SBSIGN, &["sbverify", "--cert", "other.crt", name]);
        let mut bytes = fs::read(directory.join(name)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(directory.join("changed.efi"), bytes).unwrap();
        let refused = tool(&directory, SBSIGN, &["sbverify", "--cert", "signer.crt", "changed.efi"]);
        assert!(!refused.status.success(), "{name} is accepted with a changed byte");
    }
}

#[test]
fn a_signature_of_sbsign_is_read() {
    let directory = scene("sbsign");
    let boot = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi";
    let argv = ["sbsign", "--key", "signer.pem", "--cert", "signer.crt", "--output", "boot.efi", boot];
    agrees(&directory, &["sbsigntool", "systemd-boot-efi", "coreutils"], &argv);
    let found = signatures(&mut File::open(directory.join("boot.efi")).unwrap()).unwrap();
    assert!(found.len() == 1 && found[0].fits);
    assert_eq!(found[0].certificate, certificate(&directory, "signer"));
}

#[test]
fn signed_variables_are_those_of_efitools_to_the_byte() {
    let directory = scene("variables");
    let efitools = |argv: &[&str]| agrees(&directory, &["efitools", "coreutils"], argv);
    let owner = OWNER.to_string();
    let mut theirs = Vec::new();
    for name in ["signer", "other"] {
        efitools(&["cert-to-efi-sig-list", "-g", &owner, &format!("{name}.crt"), "one.esl"]);
        theirs.extend(fs::read(directory.join("one.esl")).unwrap());
    }
    let lists =
        ["signer", "other"].map(|name| SignatureList::certificate(OWNER, &certificate(&directory, name)));
    assert!(SignatureList::write_all(&lists) == theirs, "efitools make other lists");
    fs::write(directory.join("both.esl"), theirs).unwrap();
    for variable in Variable::ALL {
        let name = variable.name();
        efitools(&[
            "env",
            "TZ=UTC",
            "sign-efi-sig-list",
            "-t",
            "2026-01-02 03:04:05",
            "-k",
            "signer.pem",
            "-c",
            "signer.crt",
            name,
            "both.esl",
            "theirs.auth",
        ]);
        let update = VariableUpdate::new(variable, 1_767_323_045, &lists).unwrap();
        let signature = sign(&directory, "signer", &update.bytes());
        let ours = update.auth(&certificate(&directory, "signer"), &signature).unwrap();
        assert!(
            ours == fs::read(directory.join("theirs.auth")).unwrap(),
            "efitools make another {name}.auth"
        );
    }
}

/// The product's kernel and initrd, with a key for PCR signatures.
#[test]
fn a_kernel_image_with_pcr_signatures_is_ukifys_to_the_byte() {
    let directory = scene("measured");
    for name in ["image.vmlinuz", "image.initrd"] {
        fs::hard_link(edge_debian().join(name), directory.join(name)).unwrap();
    }
    let stub = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
    agrees(&directory, &["systemd-boot-efi", "coreutils"], &["cp", stub, "stub.efi"]);
    agrees(
        &directory,
        &["openssl"],
        &["openssl", "pkey", "-in", "signer.pem", "-pubout", "-out", "signer.pub"],
    );
    let packages = [
        "systemd-ukify",
        "systemd",
        "libtss2-esys-3.0.2-0t64",
        "libtss2-mu-4.0.1-0t64",
        "libtss2-rc0t64",
        "coreutils",
    ];
    let argv = [
        "ukify",
        "build",
        "--linux=image.vmlinuz",
        "--initrd=image.initrd",
        "--cmdline=quiet",
        "--os-release=ID=edge",
        "--stub=stub.efi",
        "--pcr-banks=sha256",
        "--phases=enter-initrd",
        "--pcr-private-key=signer.pem",
        "--pcr-public-key=signer.pub",
        "--output=ukify.efi",
    ];
    agrees(&directory, &packages, &argv);

    let read = |name: &str| fs::read(directory.join(name)).unwrap();
    let uki = Uki::new(read("stub.efi"))
        .osrel("ID=edge")
        .cmdline("quiet")
        .pcr_public_key(read("signer.pub"))
        .linux(read("image.vmlinuz"))
        .initrd(read("image.initrd"));
    let phases = [Phase::EnterInitrd];
    let mut unsigned = Vec::new();
    uki.write(&mut unsigned).unwrap();
    let pcr = kernel_boot(Bank::Sha256, &mut Cursor::new(&unsigned), &phases).unwrap();
    let policy = PcrPolicy::new(&pcr);
    let key = SubjectPublicKeyInfoDer::from_pem_file(directory.join("signer.pub")).unwrap();
    let mut signed = PcrSignatures::default();
    signed.add(&policy, &key, &sign(&directory, "signer", policy.bytes())).unwrap();
    let ours = with_pcr_signatures(unsigned, &signed.section()).unwrap();
    assert!(ours == read("ukify.efi"), "ukify makes another file");
    assert_eq!(kernel_boot(Bank::Sha256, &mut Cursor::new(ours), &phases).unwrap(), pcr);
}

/// The image of `tests/images/trust`, with the keys of a new directory.
fn sealed(keys: &Path, verb: &[&str], out: &Path) -> std::process::Command {
    let owner = fs::read_to_string(keys.join("update.pem")).unwrap();
    let mut command = std::process::Command::new(product::example("trust"));
    command.env("TRUST_OWNER", owner);
    command
        .current_dir(product::root())
        .env("NO_COLOR", "1")
        .env("TRUST_KEYS", keys)
        .args(verb)
        .arg("sealed");
    if verb != ["verify"] {
        command.arg("--lock").arg(product::kept("locks").join("sealed.lock"));
    }
    command.arg("--out").arg(out);
    command
}

/// Signed in one step, and on another machine: the directory is moved there, with another time on each file.
#[test]
fn an_image_that_is_signed_elsewhere_is_the_one_that_is_signed_at_once() {
    if !product::all() {
        return;
    }
    let directory = product::scratch("trust").join("elsewhere");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    let keys = directory.join("keys");
    product::success(product::xtask().args(["keys", "new"]).arg(&keys));
    let (private, once, built, moved) =
        (keys.join("private"), directory.join("once"), directory.join("built"), directory.join("moved"));
    product::success(sealed(&keys, &["image"], &once).arg("--keys").arg(&private));
    product::success(sealed(&keys, &["verify"], &once).stdout(std::process::Stdio::null()));

    let output = sealed(&keys, &["image"], &built).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("there is no disk yet"), "{said}");
    // It is there once more, and so is what somebody signed.
    for (out, words) in [(&built, "there is no disk yet"), (&once, "image.raw")] {
        let output = sealed(&keys, &["image"], out).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && said.contains("Fresh") && said.contains(words), "{said}");
        assert_eq!(said.contains("nobody signed"), out == &built, "{said}");
    }
    assert!(!built.join("image.raw").exists() && !built.join("image.efi").exists());
    agrees(&directory, &["coreutils"], &["cp", "-r", "built", "moved"]);
    // A signature of somebody else is noticed before anything is changed.
    let wrong = sealed(&keys, &["sign"], &moved)
        .arg("--db-key")
        .arg(private.join("pcr.key"))
        .arg("--pcr-key")
        .arg(private.join("pcr.key"))
        .output()
        .unwrap();
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(!wrong.status.success() && said.contains("is not the one of"), "{said}");
    product::success(sealed(&keys, &["sign"], &moved).arg("--keys").arg(&private));
    assert_eq!(product::sums(&moved), product::sums(&once));
    let names = |directory: &Path| {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&moved), names(&once));

    // A private key is in no file of it, and one that was changed on the way is not signed.
    let text = fs::read_to_string(private.join("db.key")).unwrap();
    let line = text.lines().nth(4).unwrap();
    for name in names(&once) {
        let bytes = fs::read(once.join(&name)).unwrap();
        assert!(!bytes.windows(line.len()).any(|window| window == line.as_bytes()), "{name:?} has the key");
    }
    let root = built.join("image.root-x86-64.raw");
    let mut bytes = fs::read(&root).unwrap();
    bytes[5000] ^= 1;
    fs::write(&root, bytes).unwrap();
    let output = sealed(&keys, &["sign"], &built).arg("--keys").arg(&private).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("is not the file that was built"), "{said}");
}
