//! Holds what is read and verified here against the `pgp` crate: every key and signed file that there is, keys made in
//! every state, and damaged files.

use std::fs;
use std::path::{Path, PathBuf};

use bedplate_fixtures::signer::Signer;
use pgp::composed::{
    CleartextSignedMessage, Deserializable as _, KeyType, SecretKeyParamsBuilder, SignedPublicKey,
    SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::ecc_curve::ECCCurve;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PacketParser, PacketTrait as _};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails as _, KeyVersion, Password, Tag, Timestamp};
use rand::thread_rng;

use super::*;

const TEXT: &[u8] = b"one\r\ntwo \n\nthree\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files in directories of the repository.
fn files(directories: &[&str], suffix: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = directories.iter().flat_map(|directory| fs::read_dir(root().join(directory)).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.to_str().unwrap().ends_with(suffix));
    let mut files: Vec<_> = paths.map(|path| (path.clone(), fs::read(&path).unwrap())).collect();
    files.sort();
    files
}

fn their_keys(packets: &[u8]) -> Vec<SignedPublicKey> {
    let packets = PacketParser::new(packets)
        .filter(|packet| !packet.as_ref().is_ok_and(|packet| packet.tag() == Tag::Trust))
        .peekable();
    SignedPublicKey::from_packets(packets).filter_map(Result::ok).collect()
}

fn their_signatures(packets: &[u8]) -> Vec<pgp::packet::Signature> {
    let read = |packet| match packet {
        Ok(Packet::Signature(signature)) => signature,
        other => panic!("{other:?}"),
    };
    PacketParser::new(packets).map(read).collect()
}

/// Compares two results, and counts those that hold. What is not supported is refused, and cannot be compared.
#[track_caller]
fn same(ours: Result<(), Flaw>, theirs: &pgp::errors::Result<()>, held: &mut usize) {
    match ours {
        Ok(()) => *held += 1,
        Err(Flaw::Unsupported(_)) => return,
        Err(Flaw::Wrong) => {}
    }
    assert_eq!(ours.is_ok(), theirs.is_ok(), "{theirs:?}");
}

/// Compares a key with all its signatures; returns how many hold.
fn compare(ours: &Certificate, theirs: &SignedPublicKey) -> usize {
    let print = |key: &dyn pgp::types::KeyDetails| (format!("{:X}", key.fingerprint()), key.legacy_key_id());
    let named = |key: &PublicKey| (key.fingerprint.clone(), key.id().to_ascii_lowercase());
    let same_key = |ours: &PublicKey, theirs: &dyn pgp::types::KeyDetails| {
        let (fingerprint, id) = print(theirs);
        assert_eq!(named(ours), (fingerprint, id.to_string()));
        assert_eq!(ours.created, i64::from(theirs.created_at().as_secs()));
    };
    let mut held = 0;
    let primary = &ours.primary;
    same_key(primary, &theirs.primary_key);

    let mut over_key = |ours: &[Signature], theirs_all: &[pgp::packet::Signature]| {
        assert_eq!(ours.len(), theirs_all.len());
        for (ours, signature) in ours.iter().zip(theirs_all) {
            same_facts(ours, signature);
            let theirs = signature.verify_key(&theirs.primary_key);
            same(check(ours, primary, Signed::Key(primary)), &theirs, &mut held);
        }
    };
    over_key(&ours.revocations, &theirs.details.revocation_signatures);
    over_key(&ours.direct, &theirs.details.direct_signatures);

    assert_eq!(ours.users.len(), theirs.details.users.len());
    for (user, their_user) in ours.users.iter().zip(&theirs.details.users) {
        assert_eq!(user.id, their_user.id.id());
        assert_eq!(user.signatures.len(), their_user.signatures.len());
        for (ours, signature) in user.signatures.iter().zip(&their_user.signatures) {
            same_facts(ours, signature);
            let theirs = signature.verify_certification(&theirs.primary_key, Tag::UserId, &their_user.id);
            same(check(ours, primary, Signed::UserId { key: primary, id: &user.id }), &theirs, &mut held);
        }
    }

    assert_eq!(ours.subkeys.len(), theirs.public_subkeys.len());
    for (subkey, their_subkey) in ours.subkeys.iter().zip(&theirs.public_subkeys) {
        same_key(&subkey.key, &their_subkey.key);
        assert_eq!(subkey.signatures.len(), their_subkey.signatures.len());
        let signed = Signed::Subkey { primary, subkey: &subkey.key };
        for (ours, signature) in subkey.signatures.iter().zip(&their_subkey.signatures) {
            same_facts(ours, signature);
            let binding = signature.verify_subkey_binding(&theirs.primary_key, &their_subkey.key);
            same(check(ours, primary, signed), &binding, &mut held);
            assert_eq!(ours.embedded.is_some(), signature.embedded_signature().is_some());
            if let (Some(ours), Some(signature)) = (&ours.embedded, signature.embedded_signature()) {
                let back = signature.verify_primary_key_binding(&their_subkey.key, &theirs.primary_key);
                same(check(ours, &subkey.key, signed), &back, &mut held);
            }
        }
    }
    held
}

fn same_facts(ours: &Signature, theirs: &pgp::packet::Signature) {
    let seconds = |time: Option<pgp::types::Duration>| time.map(|time| i64::from(time.as_secs()));
    assert_eq!(ours.kind, theirs.typ().map(u8::from));
    assert_eq!(ours.digest, theirs.hash_alg().map(u8::from));
    if let Some(digest) = theirs.hash_alg() {
        assert_eq!(digest_name(digest.into()), digest.to_string());
    }
    assert_eq!(ours.created, theirs.created().map(|time| i64::from(time.as_secs())));
    assert_eq!(ours.expires, seconds(theirs.signature_expiration_time()));
    assert_eq!(ours.key_expires, seconds(theirs.key_expiration_time()));
    assert_eq!(ours.lets_sign(), theirs.key_flags().sign());
    let fingerprint = theirs.issuer_fingerprint().first().map(|print| format!("{print:X}"));
    let id = || theirs.issuer_key_id().first().map(|id| id.to_string().to_ascii_uppercase());
    assert_eq!(ours.issuer(), fingerprint.or_else(id).unwrap_or_else(|| "an unnamed key".to_owned()));
}

/// Compares all keys of a file; returns how many signatures hold.
fn compare_file(bytes: &[u8]) -> usize {
    let packets = armor::packets(bytes).unwrap();
    let keyring = Keyring::parse(bytes).unwrap();
    let theirs = their_keys(&packets);
    assert_eq!(keyring.keys.len(), theirs.len());
    let again = Keyring::parse(&keyring.to_bytes()).unwrap();
    assert_eq!(again.fingerprints(), keyring.fingerprints());
    assert_eq!(their_keys(&keyring.to_bytes()), theirs);
    keyring.keys.iter().zip(&theirs).map(|(ours, theirs)| compare(ours, theirs)).sum()
}

/// Whether any key of theirs made any of these signatures.
fn they_verify(keys: &[SignedPublicKey], signatures: &[pgp::packet::Signature], bytes: &[u8]) -> bool {
    signatures.iter().any(|signature| {
        keys.iter().any(|key| {
            signature.verify(&key.primary_key, bytes).is_ok()
                || key.public_subkeys.iter().any(|subkey| signature.verify(&subkey.key, bytes).is_ok())
        })
    })
}

/// Whether any key of ours made any of these signatures.
fn we_verify(keys: &[Certificate], signatures: &[Signature], bytes: &[u8]) -> bool {
    signatures.iter().any(|signature| {
        let holds = |key: &PublicKey| check(signature, key, Signed::Document(bytes)).is_ok();
        keys.iter().any(|key| holds(&key.primary) || key.subkeys.iter().any(|subkey| holds(&subkey.key)))
    })
}

/// What is damaged in one place after the other.
fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).step_by((bytes.len() / 200) | 1).flat_map(|at| {
        [0x01, 0x20, 0x80].map(|change| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= change;
            bytes
        })
    })
}

/// Compares a signed text, whole and damaged; returns whether it holds.
fn compare_text(key: &[u8], message: &[u8]) -> bool {
    let ours = Keyring::parse(key).unwrap().keys;
    let theirs = their_keys(&armor::packets(key).unwrap());
    let we = |message: &str| {
        let message = cleartext::parse(message).ok()?;
        we_verify(&ours, &message.signatures, message.text.as_bytes()).then_some(message.text)
    };
    let they = |message: &str| {
        let (message, _) = CleartextSignedMessage::from_string(message).ok()?;
        let text = message.signed_text();
        they_verify(&theirs, message.signatures(), text.as_bytes()).then_some(text)
    };
    let message = std::str::from_utf8(message).unwrap();
    let believed = we(message);
    assert_eq!(believed, they(message));
    for damaged in damaged(message.as_bytes()) {
        let Ok(damaged) = std::str::from_utf8(&damaged) else { continue };
        if let Some(text) = we(damaged) {
            assert_eq!(they(damaged), Some(text));
        }
    }
    believed.is_some()
}

/// Compares a signature beside its file, whole and damaged; returns whether it holds.
fn compare_detached(key: &[u8], signature: &[u8], bytes: &[u8]) -> bool {
    let ours = Keyring::parse(key).unwrap().keys;
    let theirs = their_keys(&armor::packets(key).unwrap());
    let holds = we_verify(&ours, &detached(signature).unwrap(), bytes);
    let packets = armor_or_binary(signature);
    assert_eq!(holds, they_verify(&theirs, &their_signatures(&packets), bytes));
    for damaged in damaged(&packets) {
        if detached(&damaged).is_ok_and(|signatures| we_verify(&ours, &signatures, bytes)) {
            assert!(they_verify(&theirs, &their_signatures(&damaged), bytes));
        }
    }
    holds
}

fn armor_or_binary(bytes: &[u8]) -> Vec<u8> {
    use std::io::Read as _;

    let mut packets = Vec::new();
    if bytes.starts_with(b"-----") {
        pgp::armor::Dearmor::new(bytes).read_to_end(&mut packets).unwrap();
        assert_eq!(armor::decode(std::str::from_utf8(bytes).unwrap()).unwrap().0, packets);
    } else {
        packets.extend(bytes);
    }
    packets
}

/// A key that signs, and its subkey.
fn made(kind: KeyType, version: KeyVersion) -> (SignedSecretKey, Vec<u8>) {
    let mut subkey = SubkeyParamsBuilder::default();
    subkey.version(version).key_type(kind.clone()).can_sign(true);
    let mut key = SecretKeyParamsBuilder::default();
    key.version(version)
        .key_type(kind)
        .can_sign(true)
        .can_certify(true)
        .primary_user_id("Archive <archive@example.org>".to_owned())
        .subkey(subkey.build().unwrap());
    let secret = key.build().unwrap().generate(thread_rng()).unwrap();
    let public = SignedPublicKey::from(secret.clone()).to_bytes().unwrap();
    (secret, public)
}

#[test]
fn every_key_in_the_repository_is_read_and_verified_alike() {
    let mut files = files(&["xtask/keys"], ".pgp");
    files.extend(self::files(&["image/keys", "fuzz/signed"], ".asc"));
    files.extend(self::files(&["fuzz/corpus/keys/whole"], ""));
    assert!(files.len() > 5, "{files:?}");
    for (path, bytes) in files {
        assert!(compare_file(&bytes) > 0, "{}", path.display());
    }
}

#[test]
fn every_signed_file_in_the_repository_is_verified_alike() {
    let key = fs::read(root().join("fuzz/signed/key.asc")).unwrap();
    for (path, bytes) in files(&["fuzz/corpus/in_release/whole"], "") {
        assert!(compare_text(&key, &bytes), "{}", path.display());
    }
    for (_, bytes) in files(&["fuzz/corpus/in_release/more"], "") {
        if std::str::from_utf8(&bytes).is_ok() {
            compare_text(&key, &bytes);
        }
    }
    let text = fs::read(root().join("fuzz/signed/Release")).unwrap();
    for (path, bytes) in files(&["fuzz/corpus/signature/whole"], "") {
        assert!(compare_detached(&key, &bytes, &text), "{}", path.display());
    }
}

#[test]
fn keys_in_every_state_are_verified_alike() {
    for make in [Signer::new, Signer::old] {
        let stranger = make();
        let mut signers = vec![
            make(),
            make().expiring_after(1),
            make().revoked(),
            make().without_self_signature(),
            make().with_the_subkey_of(&stranger),
            make().without_signature_back(),
        ];
        // Ed25519 signs no such digest.
        if signers[0].public.primary_key.algorithm() == pgp::crypto::public_key::PublicKeyAlgorithm::RSA {
            signers.extend([make().weakly_certified(), make().weakly_bound()]);
            let signer = make();
            assert!(compare_text(&signer.armoured_key(), &signer.sign_weakly("text")));
        }
        for signer in signers {
            let key = signer.armoured_key();
            compare_file(&key);
            let text = "one\n- two\n\nthree\n";
            assert!(compare_text(&key, &signer.sign(text)));
            assert!(compare_text(&key, &signer.sign_by_subkey(text)));
            assert!(compare_text(&key, &signer.sign_nine_days_ago("- a\n-----\n--\n\n")));
            assert!(compare_detached(&key, &signer.detached(TEXT), TEXT));
            assert!(!compare_detached(&key, &signer.detached_armoured(TEXT), b"other"));
        }
    }
}

/// Signs with every kind of key that is verified, directly and with a subkey.
#[test]
fn every_kind_of_key_is_verified_alike() {
    for (kind, version, digests) in [
        (
            KeyType::Rsa(2048),
            KeyVersion::V4,
            &[HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512][..],
        ),
        (KeyType::Ed25519Legacy, KeyVersion::V4, &[HashAlgorithm::Sha256, HashAlgorithm::Sha512]),
        (KeyType::Ed25519, KeyVersion::V4, &[HashAlgorithm::Sha256, HashAlgorithm::Sha384]),
        (KeyType::Ed25519, KeyVersion::V6, &[HashAlgorithm::Sha256, HashAlgorithm::Sha512]),
        (KeyType::ECDSA(ECCCurve::P256), KeyVersion::V4, &[HashAlgorithm::Sha256]),
        (KeyType::ECDSA(ECCCurve::P384), KeyVersion::V4, &[HashAlgorithm::Sha384]),
    ] {
        let (secret, public) = made(kind.clone(), version);
        // Two user signatures or a direct one, a binding and the signature back.
        assert!(compare_file(&public) >= 3, "{kind:?} {version:?}");
        for digest in digests {
            let sign = |key: &dyn pgp::types::SigningKey, is_text: bool| {
                use pgp::composed::DetachedSignature as D;
                let (key, password) = (Box::new(key), Password::empty());
                let signed = if is_text {
                    D::sign_text_data(thread_rng(), &key, &password, *digest, TEXT)
                } else {
                    D::sign_binary_data(thread_rng(), &key, &password, *digest, TEXT)
                };
                let mut packet = Vec::new();
                signed.unwrap().signature.to_writer_with_header(&mut packet).unwrap();
                packet
            };
            for signature in [
                sign(&secret.primary_key, false),
                sign(&secret.primary_key, true),
                sign(&secret.secret_subkeys[0].key, false),
            ] {
                assert!(compare_detached(&public, &signature, TEXT), "{kind:?} {version:?} {digest:?}");
            }
            let keyring = Keyring::parse(&public).unwrap();
            let now = i64::from(Timestamp::now().as_secs());
            let by = keyring.verify_detached(TEXT, &sign(&secret.secret_subkeys[0].key, false), now);
            assert_eq!(by, Ok(keyring.fingerprints().remove(0)));
        }
    }
}

/// A key that is not supported is a key all the same, and the reason is told.
#[test]
fn what_is_not_supported_is_refused_with_its_reason() {
    for (kind, digest, reason) in [
        (
            KeyType::ECDSA(ECCCurve::P521),
            HashAlgorithm::Sha512,
            "signed the file with ECDSA over another curve than P-256 and P-384, which cannot be verified here",
        ),
        (
            KeyType::ECDSA(ECCCurve::P256),
            HashAlgorithm::Sha512,
            "signed the file with ECDSA with P-256 over SHA512, which cannot be verified here",
        ),
        (
            KeyType::Rsa(2048),
            HashAlgorithm::Sha3_256,
            "signed the file with SHA3-256, which cannot be verified here",
        ),
        (KeyType::Rsa(2048), HashAlgorithm::Sha224, "signed the file with SHA224, which is too weak"),
    ] {
        let (secret, public) = made(kind, KeyVersion::V4);
        let keyring = Keyring::parse(&public).unwrap();
        compare_file(&public);
        let key = &secret.primary_key;
        let signature = pgp::composed::DetachedSignature::sign_binary_data(
            thread_rng(),
            key,
            &Password::empty(),
            digest,
            TEXT,
        );
        let mut packet = Vec::new();
        signature.unwrap().signature.to_writer_with_header(&mut packet).unwrap();
        let refused = keyring.verify_detached(TEXT, &packet, i64::from(Timestamp::now().as_secs()));
        let reasons = vec![format!("key `{}` {reason}", keyring.fingerprints()[0])];
        assert_eq!(refused, Err(SignatureError::Refused { reasons }));
    }
}
