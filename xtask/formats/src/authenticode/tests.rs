use std::io::Cursor;

use expect_test::expect;
use sha2::Sha384;

use super::*;
use crate::digest::hex;
use crate::pkcs7::tests::{OTHER, SIGNER, sign, verifies};

/// 1539 bytes long: what lies behind the sections is hashed, and so are five zeros.
const UNSIGNED: &[u8] = include_bytes!("../../tests/trust/unsigned.efi");
/// The same after `sbsign` 0.9.4 with the first key.
const SIGNED: &[u8] = include_bytes!("../../tests/trust/signed.efi");
/// The same after `sbsign` with the second key, too.
const TWICE: &[u8] = include_bytes!("../../tests/trust/twice.efi");

fn signed(bytes: &[u8], certificate: &[u8]) -> Vec<u8> {
    let mut file = Cursor::new(bytes.to_vec());
    let message = ToBeSigned::new(&mut file, certificate).unwrap();
    let length = message.attach(&sign(message.bytes(), certificate), &mut file).unwrap();
    assert_eq!(length, file.get_ref().len() as u64);
    file.into_inner()
}

fn read(bytes: &[u8]) -> Result<Vec<Signature>, AuthenticodeError> {
    signatures(&mut Cursor::new(bytes))
}

/// What precedes the first signature.
fn without_signatures(bytes: &[u8]) -> (Vec<u8>, [u8; 32]) {
    let image = Image::read(&mut Cursor::new(bytes)).unwrap();
    let digest = digest::<Sha256>(&mut Cursor::new(bytes)).unwrap().into();
    let mut bytes = bytes[..image.security.0 as usize].to_vec();
    bytes[image.check_sum()..][..4].fill(0);
    bytes[image.security_entry().unwrap()..][..8].fill(0);
    (bytes, digest)
}

#[test]
fn signatures_of_sbsign_are_read() {
    for (bytes, signers) in [(UNSIGNED, &[][..]), (SIGNED, &[SIGNER]), (TWICE, &[SIGNER, OTHER])] {
        let found = read(bytes).unwrap();
        assert_eq!(found.len(), signers.len());
        for (signature, signer) in found.iter().zip(signers) {
            assert_eq!(&signature.certificate, signer);
            assert!(signature.fits);
            assert!(verifies(&signature.message, &signature.signature, signer));
        }
    }
}

/// `sbverify --cert signer.crt` of 0.9.4 and `osslsigncode verify` of 2.9 accept the file this is the digest of.
#[test]
fn a_signed_file_differs_from_that_of_sbsign_by_two_attributes_alone() {
    let ours = signed(UNSIGNED, SIGNER);
    assert_eq!(without_signatures(&ours), without_signatures(SIGNED));
    let [own] = &read(&ours).unwrap()[..] else { panic!("one signature") };
    let [of_sbsign] = &read(SIGNED).unwrap()[..] else { panic!("one signature") };
    assert_eq!(own.digest, of_sbsign.digest);
    assert!(own.fits && verifies(&own.message, &own.signature, SIGNER));
    // `signingTime`, and `SMIMECapabilities`.
    assert_eq!(own.message.len() + 30 + 123 + 1, of_sbsign.message.len());
    expect!["dad75631b81497a67af8d4370b91299f39fbdee1484fb32e3e45851a7b52d903"]
        .assert_eq(&hex(&Sha256::digest(&ours)));
}

#[test]
fn another_signature_is_appended_and_both_stay_valid() {
    let twice = signed(SIGNED, OTHER);
    assert_eq!(without_signatures(&twice), without_signatures(TWICE));
    let found = read(&twice).unwrap();
    assert_eq!(found[0], read(SIGNED).unwrap()[0]);
    assert_eq!(found[1].certificate, OTHER);
    assert!(found.iter().all(|signature| signature.fits));
    assert!(verifies(&found[1].message, &found[1].signature, OTHER));
}

/// The check sum of `signed.efi` is `sbsign`'s.
#[test]
fn the_check_sum_is_that_of_sbsign() {
    let at = Image::read(&mut Cursor::new(SIGNED)).unwrap().check_sum();
    for file in [SIGNED, TWICE] {
        let sum = super::sign::check_sum(&mut Cursor::new(file), at as u64).unwrap();
        assert_eq!(file[at..at + 4], sum.to_le_bytes());
    }
}

#[test]
fn a_file_is_digested_as_it_is() {
    let digest = |bytes: &[u8]| {
        let mut source = Cursor::new(bytes);
        let sha256 = hex(&digest::<Sha256>(&mut source).unwrap());
        format!("{sha256} {}", hex(&digest::<Sha384>(&mut source).unwrap()))
    };
    // `pesign`'s and the reference's; a signature pads the file.
    expect!["5bfeb08f4d6fe68c1cc6ab8d0d4ecc74e6eb0221f4e682ec4898b790e9ffe1e4 fd97ea5811f12c75571bcee8dded567acd20edc469749578f772f04d57e2c0a2d3d0f2e020da0a835a057bcfa0cd1f52"].assert_eq(&digest(UNSIGNED));
    expect!["4598e6f53ee0583c549babc8be8dd9b81c0b52b4dabcdd36e3edc2358c16feb4 620cfb6c635f47cec687d0d7c4d0917726baea180e8416d3ed2abd85ef272aec6366de1737bf4ad72d0db8e79d6d61fa"].assert_eq(&digest(SIGNED));
    assert_eq!(digest(SIGNED), digest(TWICE));
}

#[test]
fn a_changed_byte_does_not_fit_the_signature() {
    let at = |change: usize| {
        let mut bytes = SIGNED.to_vec();
        bytes[change] ^= 1;
        read(&bytes).map(|found| found[0].fits).map_err(|error| error.to_string())
    };
    for byte in [0x02, 0x5c, 0x400, 0x5ff, 0x600, 1536, 1543] {
        assert_eq!(at(byte), Ok(false), "{byte:#x}");
    }
    // The check sum is not hashed.
    assert_eq!(at(0x98), Ok(true));
}

#[test]
fn what_cannot_be_signed_is_refused() {
    let mut messages = Vec::new();
    let mut refused = |bytes: &[u8], change: &[(usize, u32)]| {
        let mut bytes = bytes.to_vec();
        for (at, value) in change {
            bytes[*at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        let error = ToBeSigned::new(&mut Cursor::new(bytes), SIGNER).unwrap_err();
        messages.push(error.to_string());
    };
    let (optional, entry) = (0x58, 0x58 + 112 + 32);
    refused(UNSIGNED, &[(0, 0)]);
    refused(UNSIGNED, &[(optional + 60, 0x40)]);
    refused(UNSIGNED, &[(optional + 60, 0x4000)]);
    refused(UNSIGNED, &[(optional + 108, 4)]);
    refused(UNSIGNED, &[(optional + 240 + 20, 0x300)]);
    refused(UNSIGNED, &[(optional + 240 + 40 + 20, 0x200)]);
    refused(SIGNED, &[(entry + 4, 8)]);
    refused(SIGNED, &[(entry, 1545), (entry + 4, 1479)]);
    refused(SIGNED, &[(optional + 240 + 16, 0x4000)]);
    expect![[r#"
        no 64-bit PE executable: the DOS header at offset `0`
        invalid PE executable: its headers have no entry for a certificate table
        invalid PE executable: its headers have no entry for a certificate table
        invalid PE executable: its headers have no entry for a certificate table
        invalid PE executable: section `.reloc` overlaps the headers or another section
        invalid PE executable: section `.reloc` overlaps the headers or another section
        invalid certificate table at `1544`, `8` bytes long: it is not at the end of the file
        invalid certificate table at `1545`, `1479` bytes long: it is not aligned to 8 bytes
        section `.text` lies at `512`, `16384` bytes long, in a file of `3024`"#]]
    .assert_eq(&messages.join("\n"));
    let error = ToBeSigned::new(&mut Cursor::new(UNSIGNED), b"none").unwrap_err();
    expect!["invalid X.509 certificate"].assert_eq(&error.to_string());
}

#[test]
fn damaged_tables_are_refused() {
    let mut messages = Vec::new();
    let mut refused = |at: usize, value: &[u8]| {
        let mut bytes = SIGNED.to_vec();
        bytes[at..at + value.len()].copy_from_slice(value);
        messages.push(read(&bytes).unwrap_err().to_string());
    };
    refused(1544, &[0xff; 4]);
    refused(1544, &[0; 4]);
    refused(1548, &[1]);
    refused(1550, &[1]);
    refused(1552, &[0x31]);
    expect![[r#"
        invalid certificate table at `1544`, `1480` bytes long: an entry reaches beyond it
        invalid certificate table at `1544`, `1480` bytes long: an entry reaches beyond it
        invalid certificate table at `1544`, `1480` bytes long: an entry is no PKCS#7
        invalid certificate table at `1544`, `1480` bytes long: an entry is no PKCS#7
        invalid PKCS#7 signed data"#]]
    .assert_eq(&messages.join("\n"));
    for at in 0..SIGNED.len() {
        let _ = read(&SIGNED[..at]);
        let mut bytes = SIGNED.to_vec();
        bytes[at] ^= 0x41;
        let _ = read(&bytes);
    }
}

#[test]
fn a_file_that_changed_meanwhile_is_not_signed() {
    let mut file = Cursor::new(UNSIGNED.to_vec());
    let message = ToBeSigned::new(&mut file, SIGNER).unwrap();
    let mut grown = Cursor::new([UNSIGNED, &[0]].concat());
    assert!(matches!(message.attach(&[0; 256], &mut grown), Err(AuthenticodeError::Changed)));
}
