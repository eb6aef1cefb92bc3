use expect_test::expect;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::digest::hex;
use crate::pkcs7::tests::{OTHER, SIGNER, sign, verifies};

const OWNER: Uuid = uuid!("11111111-2222-3333-4444-123456789abc");
/// `sign-efi-sig-list -t '2026-01-02 03:04:05'` of efitools 1.9.2, for `db`.
const DB: &[u8] = include_bytes!("../../tests/trust/db.auth");
const DIGESTS: &[u8] = include_bytes!("../../tests/trust/dbx.esl");
/// 2026-01-02 03:04:05 UTC.
const TIME: u64 = 1_767_323_045;

fn lists(certificates: &[&[u8]]) -> Vec<SignatureList> {
    certificates.iter().map(|certificate| SignatureList::certificate(OWNER, certificate)).collect()
}

fn auth(update: &VariableUpdate, certificate: &[u8]) -> Vec<u8> {
    update.auth(certificate, &sign(&update.bytes(), certificate)).unwrap()
}

/// `TZ=UTC sign-efi-sig-list -t '2026-01-02 03:04:05' -k KEY -c CERTIFICATE NAME LISTS FILE` of efitools 1.9.2 wrote the
/// files these are the digests of.
#[test]
fn updates_are_those_of_efitools() {
    let digest = |variable, content: &[SignatureList], certificate| {
        let update = VariableUpdate::new(variable, TIME, content).unwrap();
        hex(&Sha256::digest(auth(&update, certificate)))
    };
    let both = lists(&[SIGNER, OTHER]);
    expect!["62eabcc02ff3c704e95e29a0a7abab2dae01280b98b50b0cfedb861aaea9fccf"].assert_eq(&digest(
        Variable::Pk,
        &both,
        OTHER,
    ));
    expect!["bfe208c147bd3136fbd28c5b7b71408abfc70cf08519ae902109a8aceca17d88"].assert_eq(&digest(
        Variable::Kek,
        &lists(&[OTHER]),
        SIGNER,
    ));
    let db = VariableUpdate::new(Variable::Db, TIME, &both).unwrap();
    assert_eq!(auth(&db, SIGNER), DB);
}

/// The same with `-a`, for the lists of `hash-to-efi-sig-list`.
#[test]
fn digests_are_added_as_by_efitools() {
    let digests = SignatureList::read_all(DIGESTS).unwrap();
    let update = VariableUpdate::new(Variable::Dbx, TIME, &digests).unwrap().append();
    expect!["40d51c46b099b49682f4bb0f9034ba02b852df152598b34a56142c158dfa0c4b"]
        .assert_eq(&hex(&Sha256::digest(auth(&update, SIGNER))));
}

#[test]
fn an_update_is_read_and_holds_for_its_variable_alone() {
    let read = AuthenticatedVariable::read(DB).unwrap();
    assert_eq!(read.time(), "2026-01-02 03:04:05");
    assert_eq!(read.lists, lists(&[SIGNER, OTHER]));
    assert_eq!(read.certificate, SIGNER);
    let holds =
        |variable, append| verifies(&read.message(variable, append), &read.signature, &read.certificate);
    assert!(holds(Variable::Db, false));
    assert!(!holds(Variable::Db, true) && !holds(Variable::Dbx, false) && !holds(Variable::Kek, false));
    assert_eq!(
        read.message(Variable::Db, false),
        VariableUpdate::new(Variable::Db, TIME, &read.lists).unwrap().bytes()
    );
}

#[test]
fn damage_is_refused_or_does_not_hold() {
    let mut messages = Vec::new();
    for (at, value) in [(16, 0xff), (16, 0), (20, 3), (22, 0), (24, 0), (40, 0x31), (DB.len() - 1600 + 4, 0)]
    {
        let mut bytes = DB.to_vec();
        bytes[at] = value;
        messages.push(AuthenticatedVariable::read(&bytes).map(|_| ()).map_err(|error| error.to_string()));
    }
    expect![[r#"
        [
            Err(
                "invalid signature list at offset `0`: it has a further header, and no kind of list has one",
            ),
            Err(
                "invalid PKCS#7 signed data",
            ),
            Err(
                "invalid update of an EFI variable: its signature is no PKCS#7",
            ),
            Err(
                "invalid update of an EFI variable: its signature is no PKCS#7",
            ),
            Err(
                "invalid update of an EFI variable: its signature is no PKCS#7",
            ),
            Err(
                "invalid PKCS#7 signed data",
            ),
            Ok(
                (),
            ),
        ]
    "#]]
    .assert_debug_eq(&messages);
    for at in 0..DB.len() {
        let _ = AuthenticatedVariable::read(&DB[..at]);
        let mut bytes = DB.to_vec();
        bytes[at] ^= 0x21;
        if let Ok(read) = AuthenticatedVariable::read(&bytes) {
            let holds = verifies(&read.message(Variable::Db, false), &read.signature, SIGNER);
            let signed = (0..16).contains(&at) || at >= DB.len() - 2 * (28 + 16) - SIGNER.len() - OTHER.len();
            assert!(!holds || !signed, "changed at {at}");
        }
    }
}

#[test]
fn a_time_that_has_no_date_is_refused() {
    let error = VariableUpdate::new(Variable::Pk, u64::MAX, &[]).unwrap_err();
    expect!["invalid time of an EFI variable: `18446744073709551615` seconds after 1970"]
        .assert_eq(&error.to_string());
}
