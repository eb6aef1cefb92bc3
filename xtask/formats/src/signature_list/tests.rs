use expect_test::expect;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::digest::hex;
use crate::pkcs7::tests::{OTHER, SIGNER};

const OWNER: Uuid = uuid!("11111111-2222-3333-4444-123456789abc");
/// `hash-to-efi-sig-list` of efitools 1.9.2 for two executables.
const DIGESTS: &[u8] = include_bytes!("../../tests/trust/dbx.esl");

fn both() -> [SignatureList; 2] {
    [SIGNER, OTHER].map(|certificate| SignatureList::certificate(OWNER, certificate))
}

/// `cert-to-efi-sig-list -g` of efitools 1.9.2 for each certificate, one after another; for the first one,
/// `sbsiglist --type x509` of sbsigntools 0.9.4 writes the same.
#[test]
fn certificates_are_listed_as_by_efitools() {
    let bytes = SignatureList::write_all(&both());
    expect!["3cbe1cc271ff9202de6b97532fadc8abcefcc422606329e888c4dce3c418bde3"]
        .assert_eq(&hex(&Sha256::digest(&bytes)));
    assert_eq!(SignatureList::read_all(&bytes).unwrap(), both());
    assert_eq!(both()[0].entries[0].to_bytes(), bytes[28..][..16 + SIGNER.len()]);
}

#[test]
fn digests_share_a_list() {
    let lists = SignatureList::read_all(DIGESTS).unwrap();
    let [list] = &lists[..] else { panic!("one list") };
    let digests = list.entries.iter().map(|entry| <[u8; 32]>::try_from(&entry.data[..]).unwrap());
    let digests: Vec<_> = digests.collect();
    expect!["4598e6f53ee0583c549babc8be8dd9b81c0b52b4dabcdd36e3edc2358c16feb4"].assert_eq(&hex(&digests[0]));
    assert_eq!(SignatureList::sha256(list.entries[0].owner, &digests), *list);
    assert_eq!(SignatureList::write_all(&lists), DIGESTS);
}

#[test]
fn entries_of_several_lengths_become_lists_of_their_own() {
    let entries = both().map(|list| list.entries[0].clone()).to_vec();
    let mixed = SignatureList { kind: X509, entries };
    assert_eq!(SignatureList::write_all(&[mixed]), SignatureList::write_all(&both()));
}

#[test]
fn lists_whose_lengths_do_not_fit_are_refused() {
    let mut messages = Vec::new();
    let mut refused = |at: usize, value: u32| {
        let mut bytes = SignatureList::write_all(&both());
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        messages.push(SignatureList::read_all(&bytes).unwrap_err().to_string());
    };
    let second = 28 + 16 + u32::try_from(SIGNER.len()).unwrap();
    refused(16, 0);
    refused(16, 28);
    refused(16, u32::MAX);
    refused(16, second + 1);
    refused(20, 4);
    refused(24, 0);
    refused(24, 16);
    refused(second as usize + 24, 17);
    messages.push(SignatureList::read_all(&DIGESTS[..27]).unwrap_err().to_string());
    expect![[r#"
        invalid signature list at offset `0`: it is cut off
        invalid signature list at offset `0`: its entries do not fit its length
        invalid signature list at offset `0`: it is cut off
        invalid signature list at offset `0`: its entries do not fit its length
        invalid signature list at offset `0`: it has a further header, and no kind of list has one
        invalid signature list at offset `0`: its entries do not fit its length
        invalid signature list at offset `0`: its entries do not fit its length
        invalid signature list at offset `779`: its entries do not fit its length
        invalid signature list at offset `0`: its header is cut off"#]]
    .assert_eq(&messages.join("\n"));
    assert_eq!(SignatureList::read_all(b""), Ok(Vec::new()));
}
