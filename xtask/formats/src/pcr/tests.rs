use std::io::Cursor;

use base64ct::{Base64, Encoding as _};
use expect_test::expect;
use uuid::{Uuid, uuid};

use super::*;
use crate::efi_variable::AuthenticatedVariable;
use crate::pkcs7::tests::{SIGNER, public_key, sign, verifies};
use crate::signature_list::SignatureList;

const OWNER: Uuid = uuid!("11111111-2222-3333-4444-123456789abc");
/// Signed by our own key, in place of systemd-boot.
const LOADER: &[u8] = include_bytes!("../../tests/trust/signed.efi");
/// Of ukify 257.13, with a stub of version 257: signed for the first phase by one key, for the second by another.
pub(crate) const UKI: &[u8] = include_bytes!("../../tests/trust/uki.efi");
/// What `systemd-measure sign` 257.13 prints of its sections for the first phase.
const MEASURE: &str = include_str!("../../tests/trust/measure.json");
/// The public key of [`SIGNER`].
pub(crate) const PUBLIC_KEY: &str = include_str!("../../tests/trust/signer.pub");
const DB: &[u8] = include_bytes!("../../tests/trust/db.auth");
const DBX: &[u8] = include_bytes!("../../tests/trust/dbx.esl");

pub(crate) fn pcrsig() -> Vec<u8> {
    let image = crate::pe::Image::read(&mut Cursor::new(UKI)).unwrap();
    crate::pe::Image::content(&mut Cursor::new(UKI), image.section(".pcrsig").unwrap()).unwrap()
}

fn subject_public_key_info() -> Vec<u8> {
    let text: String = PUBLIC_KEY.lines().filter(|line| !line.starts_with('-')).collect();
    Base64::decode_vec(&text).unwrap()
}

fn both(pcr: impl Fn(Bank) -> Pcr) -> String {
    Bank::ALL.map(|bank| format!("{} {}", bank.name(), pcr(bank))).join("\n")
}

/// The sections, by `systemd-measure calculate` 257.13.
#[test]
fn pcr_11_is_that_of_systemd_measure() {
    let phases =
        |count: usize| both(|bank| kernel_boot(bank, &mut Cursor::new(UKI), &Phase::ALL[..count]).unwrap());
    expect![[r#"
        sha256 2ae08f93df43f320b8e0c32a0f5cd660926fbc4e4bd5cf261da0c2204dec9881
        sha384 f837fafaa6755e8720f769462b7c347f874f194e3579532b78954ebc1f882ad940d04a897c09195bc121850273a0f539"#]]
    .assert_eq(&phases(0));
    expect![[r#"
        sha256 8d479f838d375f11374dcbb76210eb3ea48b0fac24e63ef3558bce66c1a5744e
        sha384 5d8e393859eb6a71d8d0e623ef0a63886d9298b56504431c19b35f5131f6b41c6d36757e2d64e46e655ce906a6934bf6"#]].assert_eq(&phases(1));
    expect![[r#"
        sha256 b3b3dc1de077390500a112c2f87f20dfcf5766d083accbe85ed9e19638c5b4b1
        sha384 b37799b6e55073117264d6f598d592424985f348bd4db085fccf6f376e6e0bb87b77a360e3de157884680141f142fbed"#]].assert_eq(&phases(2));
    expect![[r#"
        sha256 9f950d60009925ee38fe631da69c495ca7c3be89e2640df596792d583293fa74
        sha384 e885a9d2b8292f9487c6a28523099df7384bafa671e4e84cd3d3aaadca1be0ea61c3651f2b8e502481d1bfb26f52abaa"#]].assert_eq(&phases(3));
    expect![[r#"
        sha256 d929f50cd947e4f06fdf54b59814f762c3fc9f68913a10d514d97ec01eb9012f
        sha384 414b475e25b58586ddad4e9a9fe1e61dd905afe389456c237f3c74095ab58ad7f9a6d81e2744bdb03749299d9d1a2034"#]].assert_eq(&phases(4));
}

/// A stub of another version.
fn with_stub(version: &str) -> Vec<u8> {
    let at = UKI.windows(3).position(|window| window == b"257").unwrap();
    let at = at + UKI[at + 3..].windows(3).position(|window| window == b"257").unwrap() + 3;
    let mut uki = UKI.to_vec();
    uki[at..at + 3].copy_from_slice(version.as_bytes());
    uki
}

fn pcr_4(bank: Bank, version: &str, secure_boot: bool) -> Result<Pcr, PcrError> {
    boot_loader_code(bank, &mut [Cursor::new(LOADER.to_vec()), Cursor::new(with_stub(version))], secure_boot)
}

/// By a reference that was held against the TPM of a virtual machine, with and without Secure Boot.
#[test]
fn pcr_4_is_that_of_a_machine() {
    expect![[r#"
        sha256 830176b79e2c50a06e23fd1ec2c9ff5833ca4026daa88debc549bb0eb0436074
        sha384 a65d4301042aa7a9c0035a59e89ad4f3f53af8a368b196b260aa1eb15716244dacb467357a7dc8072c82a1a8715d4481"#]].assert_eq(&both(|bank| pcr_4(bank, "257", true).unwrap()));
    expect![[r#"
        sha256 f57b5af3406948a0ceab0455bb4ee318c785388a884a1b2a626c60649d0012dd
        sha384 45e416097d4c636e493e888f7f8a56e6304897598446ff7efbec7da9725ec94bce0806e9e038c1efa9d2bdb3cf798b56"#]].assert_eq(&both(|bank| pcr_4(bank, "257", false).unwrap()));
}

#[test]
fn whether_the_kernel_is_in_pcr_4_is_for_the_version_of_the_stub() {
    let pcr = |version, secure| pcr_4(Bank::Sha256, version, secure).unwrap();
    assert_ne!(pcr("257", true), pcr("257", false));
    assert_eq!(pcr("258", true), pcr("258", false));
    // Before 252, firmware has to accept the kernel.
    assert_eq!(pcr("251", true), pcr("251", false));
    assert!(matches!(pcr_4(Bank::Sha256, "~rc", true), Err(PcrError::StubVersion)));
}

fn lists() -> [Vec<SignatureList>; 4] {
    let both = AuthenticatedVariable::read(DB).unwrap().lists;
    let one = vec![SignatureList::certificate(OWNER, SIGNER)];
    [both.clone(), one, both, SignatureList::read_all(DBX).unwrap()]
}

/// By the same reference.
#[test]
fn pcr_7_is_that_of_a_machine() {
    let enforced = SecureBootPolicy::enforced(lists(), SIGNER).unwrap();
    expect![[r#"
        sha256 cc6a199d11546a6bb6e83441101d6b34773e8522667a8f7599b817a638e3419c
        sha384 00ff7c3b16070020cc4486778d8b49416c3bc2024b4566fb71bf306ef4de5487580e51385255aeab3d7d785918fe90c6"#]].assert_eq(&both(|bank| enforced.pcr(bank)));
    let setup = SecureBootPolicy { enforced: Some(false), ..SecureBootPolicy::default() };
    expect![[r#"
        sha256 65caf8dd1e0ea7a6347b635d2b379c93b9a1351edc2afc3ecda700e534eb3068
        sha384 98441c7f7625d10058c47683aec486ce311c633235eb555593a7ee791121e3578ae72d04ecef661f272d59058b77af35"#]].assert_eq(&both(|bank| setup.pcr(bank)));
    let absent = SecureBootPolicy::default();
    expect![[r#"
        sha256 b5710bf57d25623e4019027da116821fa99f5c81e9e38b87671cc574f9281439
        sha384 384a798e98b5369727295c5b2889e1e015c65b3add6d78dce4e457c164865ee2af7b6d53ac7cbcd092eaf5fa1a76ea18"#]].assert_eq(&both(|bank| absent.pcr(bank)));
}

#[test]
fn an_authority_is_measured_once_and_with_secure_boot_alone() {
    let once = SecureBootPolicy::enforced(lists(), SIGNER).unwrap();
    let mut twice = once.clone();
    twice.authorities.push(once.authorities[0].clone());
    assert_eq!(once.pcr(Bank::Sha256), twice.pcr(Bank::Sha256));
    twice.enforced = Some(false);
    let off = SecureBootPolicy { authorities: Vec::new(), ..twice.clone() };
    assert_eq!(off.pcr(Bank::Sha256), twice.pcr(Bank::Sha256));
    assert_eq!(SecureBootPolicy::enforced(Default::default(), SIGNER), None);
}

#[test]
fn a_pcr_begins_as_zeros() {
    assert_eq!(Pcr::new(Bank::Sha256).to_string(), "0".repeat(64));
    assert_eq!(Pcr::new(Bank::Sha384).to_string(), "0".repeat(96));
}

#[test]
fn a_signed_policy_is_that_of_systemd_measure() {
    let mut signatures = PcrSignatures::default();
    for bank in Bank::ALL {
        let pcr = kernel_boot(bank, &mut Cursor::new(UKI), &[Phase::EnterInitrd]).unwrap();
        let policy = PcrPolicy::new(&pcr);
        let signature = sign(policy.bytes(), SIGNER);
        for _ in 0..2 {
            signatures.add(&policy, &subject_public_key_info(), &signature).unwrap();
        }
    }
    let [ours, theirs] = [&signatures, &PcrSignatures::read(MEASURE.as_bytes()).unwrap()];
    assert_eq!(ours.of("sha256"), theirs.of("sha256"));
    // 257 signs with SHA-384 here, which nobody accepts.
    let [[ours], [theirs]] = [ours.of("sha384"), theirs.of("sha384")] else { panic!("one signature each") };
    assert_eq!(PcrSignature { signature: theirs.signature.clone(), ..ours.clone() }, *theirs);
    assert!(verifies(&ours.policy, &ours.signature, SIGNER));
}

#[test]
fn signatures_are_written_as_systemd_and_ukify_do() {
    assert_eq!(PcrSignatures::read(MEASURE.as_bytes()).unwrap().file(), MEASURE);
    let section = pcrsig();
    let read = PcrSignatures::read(&section).unwrap();
    assert_eq!(read.section().as_bytes(), section);
    let key: [u8; 32] = Sha256::digest(public_key(SIGNER)).into();
    assert!(read.of("sha256")[0].key == key && read.of("sha256")[1].key != key);
    let policy =
        |phases: &[Phase]| PcrPolicy::new(&kernel_boot(Bank::Sha384, &mut Cursor::new(UKI), phases).unwrap());
    assert_eq!(read.of("sha384")[0].policy, policy(&Phase::ALL[..1]).bytes());
    assert_eq!(read.of("sha384")[1].policy, policy(&Phase::ALL[..2]).bytes());
    assert_eq!(PcrSignatures::default().section(), "{}");
}

#[test]
fn damaged_signatures_are_refused() {
    let mut messages = Vec::new();
    for (from, to) in [
        ("\"sig\":\"", "\"sig\":\"!"),
        ("pkfp\":\"b4", "pkfp\":\"b"),
        ("pol\":\"d1", "pol\":\"é"),
        ("pcrs", "x"),
        ("}", ""),
    ] {
        let text = MEASURE.replacen(from, to, 1);
        messages.push(PcrSignatures::read(text.as_bytes()).unwrap_err().to_string());
    }
    messages.push(
        PcrSignatures::default()
            .add(&PcrPolicy::new(&Pcr::new(Bank::Sha256)), b"\x30", &[])
            .unwrap_err()
            .to_string(),
    );
    expect![[r#"
        invalid PCR signatures: `sig` is damaged
        invalid PCR signatures: `pkfp` is damaged
        invalid PCR signatures: `pol` is damaged
        invalid PCR signatures
        invalid PCR signatures
        invalid public key"#]]
    .assert_eq(&messages.join("\n"));
}

#[test]
fn an_image_that_lies_is_refused() {
    let header = UKI.windows(8).position(|window| window == b".initrd\0").unwrap();
    let mut uki = UKI.to_vec();
    uki[header + 8..header + 12].copy_from_slice(&0x1000_0000u32.to_le_bytes());
    let error = kernel_boot(Bank::Sha256, &mut Cursor::new(uki), &[]).unwrap_err();
    expect!["invalid section `.initrd`: it is longer in memory than in the file"]
        .assert_eq(&error.to_string());
}
