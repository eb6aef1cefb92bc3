//! Keys and files that the tests of signatures share. The files in `tests/trust` were made by the reference tools.

use base64ct::{Base64, Encoding as _};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey};

use super::*;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");

pub(crate) const SIGNER: &[u8] = include_bytes!("../../tests/trust/signer.der");
pub(crate) const OTHER: &[u8] = include_bytes!("../../tests/trust/other.der");

/// The keys of the certificates.
const SIGNER_KEY: &str = include_str!("../../../../tests/fixtures/keys/signer.pem");
const OTHER_KEY: &str = include_str!("../../../../tests/fixtures/keys/other.pem");

fn pair(certificate: &[u8]) -> RsaKeyPair {
    let pem = if certificate == SIGNER { SIGNER_KEY } else { OTHER_KEY };
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    RsaKeyPair::from_pkcs8(&Base64::decode_vec(&text).unwrap()).unwrap()
}

/// `RSAPublicKey` of a certificate.
pub(crate) fn public_key(certificate: &[u8]) -> Vec<u8> {
    pair(certificate).public().as_ref().to_vec()
}

pub(crate) fn sign(message: &[u8], certificate: &[u8]) -> Vec<u8> {
    let pair = pair(certificate);
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

pub(crate) fn verifies(message: &[u8], signature: &[u8], certificate: &[u8]) -> bool {
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key(certificate))
        .verify(message, signature)
        .is_ok()
}

fn content() -> Content<'static> {
    Content { kind: DATA, value: Some(AnyRef::from_der(b"\x04\x04text").unwrap()) }
}

fn signed() -> Vec<u8> {
    let attributes = attributes(content()).unwrap();
    signed_data(content(), Some(&attributes), SIGNER, &sign(&attributes, SIGNER)).unwrap()
}

#[test]
fn signed_data_is_read_as_it_was_written_bare_and_in_its_envelope() {
    let bare = signed();
    for bytes in [bare.clone(), content_info(&bare).unwrap(), [&bare[..], &[0; 7]].concat()] {
        let signed = read(&bytes).unwrap();
        assert_eq!(signed.content, content());
        assert_eq!(signed.certificate, SIGNER);
        assert!(verifies(&signed.message(), signed.signature, SIGNER));
    }
}

#[test]
fn a_content_that_the_attributes_do_not_fit_is_refused() {
    let bytes = signed();
    let at = bytes.windows(4).position(|window| window == b"text").unwrap();
    let mut changed = bytes.clone();
    changed[at] = b'n';
    expect_test::expect!["invalid PKCS#7 signed data: its content is not the signed one"]
        .assert_eq(&read(&changed).err().unwrap().to_string());
}

#[test]
fn damage_ends_in_an_error_or_in_a_signature_that_does_not_hold() {
    let bytes = signed();
    for at in 0..bytes.len() {
        assert!(read(&bytes[..at]).is_err(), "cut off at {at}");
        let mut changed = bytes.clone();
        changed[at] ^= 0x55;
        let Ok(signed) = read(&changed) else { continue };
        let holds = verifies(&signed.message(), signed.signature, SIGNER);
        // The tag of a content is not signed.
        assert!(!holds || signed.content.value.unwrap().value() == b"text", "changed at {at}");
    }
}

#[test]
fn bytes_that_are_no_certificate_are_refused() {
    for bytes in [&b""[..], b"\x30\x00", &SIGNER[1..], &SIGNER[..SIGNER.len() - 1]] {
        assert!(matches!(check_certificate(bytes), Err(Pkcs7Error::Certificate(_))), "{bytes:x?}");
    }
}
