//! Update bundles: as a whole, their signatures, their manifests, and certificates.

use std::time::{Duration, SystemTime};

use bedplate::bundle::manifest::Manifest;
use bedplate::bundle::{Bundle, cms};
use bedplate::certificate::{Certificate, Chain};
use bedplate_formats::region::Region;

/// Signed by a key that signed the bundle of the corpus and nothing else; its secret half is lost.
const SIGNED: &[u8] = include_bytes!("../corpus/cms/whole/rsa");

/// A bundle, whose payload is not held against its hash tree.
pub fn bundle(bytes: &[u8]) -> bool {
    let Ok(bundle) = Bundle::read(&Region::from(bytes.to_vec())) else { return false };
    let behind = bundle.payload + bundle.verity.size;
    assert!(behind < bytes.len() as u64 && bundle.payload > 0, "{bundle:?}");
    for image in &bundle.manifest.images {
        assert!(bundle.files.contains(&(image.filename.clone(), image.size)), "{image:?}");
    }
    let page = bundle.facts().page("fuzz", 80);
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    true
}

/// A signed message: whatever is changed in it, what is believed was signed.
pub fn cms(bytes: &[u8]) -> bool {
    let Ok(signed) = cms::read(bytes) else { return false };
    let whole = cms::read(SIGNED).expect("the corpus holds a signed text");
    let key = |signed: &cms::Signed| signed.signer.public_key().subject_public_key.clone();
    if key(&signed) == key(&whole) {
        assert_eq!(signed.content, whole.content, "believed, and never signed");
    }
    true
}

/// A manifest: read, written, and read as the same.
pub fn manifest(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let manifest = match Manifest::parse(text) {
        Ok(manifest) => manifest,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    assert_eq!(Manifest::parse(&manifest.render()).as_ref(), Ok(&manifest));
    true
}

/// Certificates in PEM: the first is held against all of them, at a time at which the corpus is valid.
pub fn certificates(bytes: &[u8]) -> bool {
    let Ok(found) = Certificate::parse(bytes, "fuzz") else { return false };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    match Chain::new(found.clone(), &found, now) {
        Ok(chain) => assert_eq!(chain.iter().count(), found.len()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    true
}
