//! What comes from an archive: signatures, keys, indexes; and the lock that is made
//! of it.

use std::sync::OnceLock;

use bedplate::archive::index::{Index, Package, relation_names};
use bedplate::archive::openpgp::Keyring;
use bedplate::archive::release::{Release, ReleaseError, Signed};
use bedplate_core::Architecture;
use bedplate_core::lock::{Lock, LockFile};
use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
};
use pgp::ser::Serialize as _;
use pgp::types::{Password, Timestamp};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// A key that signed the two files below and nothing else; its secret half is lost.
const KEY: &[u8] = include_bytes!("../signed/key.asc");
/// The text that it signed.
const TEXT: &str = include_str!("../signed/Release");
/// Some time after it signed, in seconds after 1970.
const NOW: i64 = 1_800_000_000;

fn keyring() -> &'static Keyring {
    static KEYRING: OnceLock<Keyring> = OnceLock::new();
    KEYRING.get_or_init(|| Keyring::parse(KEY).expect("the key is one"))
}

/// A signed text: whatever is changed in it, what is believed was signed.
pub fn in_release(bytes: &[u8]) -> bool {
    let Ok(verified) = keyring().verify(bytes, NOW, false) else { return false };
    assert_eq!(verified.text.trim_end(), TEXT.trim_end(), "believed, and never signed");
    assert_eq!([verified.fingerprint], keyring().fingerprints()[..]);
    let signed = Signed { text: bytes.to_owned(), signature: None };
    let release = Release::verify(&signed, keyring(), NOW, false).expect("what was signed is a release");
    release.check_suite("fuzz").expect("and one of this suite");
    true
}

/// A signature beside its file: whatever is changed in it, it is of this file.
pub fn signature(bytes: &[u8]) -> bool {
    let by = keyring().verify_detached(TEXT.as_bytes(), bytes, NOW);
    assert!(keyring().verify_detached(TEXT.trim_end().as_bytes(), bytes, NOW).is_err(), "of another file");
    by.is_ok()
}

/// Public keys: their packets are the same keys.
pub fn keys(bytes: &[u8]) -> bool {
    let Ok(keyring) = Keyring::parse(bytes) else { return false };
    let fingerprints = keyring.fingerprints();
    assert!(!fingerprints.is_empty());
    let packets = keyring.to_bytes();
    let back = Keyring::parse(&packets).expect("the packets are keys");
    assert_eq!(back.fingerprints(), fingerprints);
    // Every check of what binds a key together runs before a signature is refused.
    let _ = keyring.verify_detached(TEXT.as_bytes(), include_bytes!("../signed/Release.sig"), NOW);
    for fingerprint in fingerprints {
        let only = keyring.clone().only(&fingerprint).expect("the keyring has the key");
        assert!(only.fingerprints().iter().all(|found| *found == fingerprint));
    }
    true
}

/// A `Release` behind a signature that holds.
pub fn release(bytes: &[u8]) -> bool {
    static KEY: OnceLock<(SignedSecretKey, Keyring)> = OnceLock::new();
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let (secret, keyring) = KEY.get_or_init(|| {
        let mut key = SecretKeyParamsBuilder::default();
        key.key_type(KeyType::Ed25519Legacy)
            .can_sign(true)
            .can_certify(true)
            .created_at(Timestamp::from_secs(1_500_000_000))
            .primary_user_id("Fuzz <fuzz@example.org>".to_owned());
        let key = key.build().expect("a key can be made").generate(StdRng::seed_from_u64(1));
        let key = key.expect("a key can be made");
        let public = SignedPublicKey::from(key.clone()).to_bytes().expect("a key is packets");
        (key, Keyring::parse(&public).expect("a key is a keyring"))
    });
    let key = &secret.primary_key;
    let signed = CleartextSignedMessage::sign(StdRng::seed_from_u64(1), text, key, &Password::empty())
        .and_then(|message| message.to_armored_bytes(ArmorOptions::default()));
    let Ok(signed) = signed else { return false };
    let signed = Signed { text: signed, signature: None };
    let release = match Release::verify(&signed, keyring, i64::from(u32::MAX), true) {
        Ok(release) => release,
        Err(ReleaseError::Signature(_)) => return false,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let _ = release.check_suite("fuzz");
    for sum in release.files.values() {
        assert!(is_digest(&sum.sha256), "{sum:?}");
    }
    true
}

/// An index of packages: each is found by its name, and lies below the archive.
pub fn packages(bytes: &[u8]) -> bool {
    let Ok(index) = Index::parse(bytes.to_vec()) else { return false };
    let text = std::str::from_utf8(bytes).expect("an index is text");
    let names: Vec<&str> = index.names().collect();
    assert!(names.is_sorted());
    let mut any = false;
    for name in names {
        for stanza in index.find(name) {
            assert_eq!(stanza.field("Package"), Some(name));
            let Ok(package) = Package::from_stanza(stanza) else { continue };
            assert!(!package.path.starts_with('/') && package.path.split('/').all(|part| part != ".."));
            assert!(is_digest(&package.sha256), "{package:?}");
            any = true;
        }
    }
    assert!(index.essential().iter().all(|name| text.contains(name)));
    for (virtually, providers) in index.provided() {
        assert!(relation_names(virtually).eq([virtually]), "{virtually:?}");
        assert!(!providers.is_empty(), "{virtually:?}");
    }
    any
}

/// 64 lower-case hexadecimal digits.
fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A lock file, of any version: read, written, and read as the same.
pub fn lock(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let file = match LockFile::parse(text) {
        Ok(file) => file,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let written = file.render();
    let back = LockFile::parse(&written).expect("what was written is read");
    assert_eq!(back.render(), written);
    for architecture in [Architecture::X86_64, Architecture::Aarch64] {
        let (Some(old), Some(new)) = (file.of(architecture), back.of(architecture)) else {
            assert_eq!(file.of(architecture), back.of(architecture));
            continue;
        };
        assert_eq!(Lock::diff(old, new), []);
    }
    true
}
