use std::fs;
use std::path::Path;
use std::time::SystemTime;

use bedplate_fixtures::certificate::{Authority, OTHER, Request, SIGNER, file};
use bedplate_formats::region::Region;
use expect_test::expect;
use tempfile::TempDir;

use super::*;
use crate::certificate::Certificate;

/// Three images and a text, signed by who the device believes.
struct Scene {
    directory: TempDir,
    contents: Contents,
    signer: Signer,
    chain: Chain,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let image = |class: &str, size: usize| {
            let bytes: Vec<u8> = (0..size).map(|at| (at / 4096 % 250).to_le_bytes()[0]).collect();
            let name = format!("{class}.img");
            fs::write(path.join(&name), bytes).unwrap();
            Source { class: class.to_owned(), path: path.join(&name), name }
        };
        let images = vec![image("root", 3 << 20), image("verity", 8192), image("uki", 300 * 4096)];
        let root = Authority::new(&Request::authority("root"));
        let middle = root.below(&Request::authority("middle"));
        let signer = middle.issue(&Request::signer("signer"), SIGNER);
        let certificates =
            Certificate::parse((signer + &middle.certificate).as_bytes(), "signer.pem").unwrap();
        let keyring = Certificate::parse(root.certificate.as_bytes(), "keyring.pem").unwrap();
        Self {
            contents: Contents {
                compatible: "edge".to_owned(),
                version: "2".to_owned(),
                description: Some("An edge device".to_owned()),
                build: None,
                images,
                extra: vec![("roothash".to_owned(), b"5a5a\n".to_vec())],
                salt: [7; 32],
                epoch: 1_790_000_000,
            },
            signer: Signer::key(&file(path, "key.pem", SIGNER)).unwrap(),
            chain: Chain::new(certificates, &keyring, SystemTime::now()).unwrap(),
            directory,
        }
    }

    fn write(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.path().join(name);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        write(&self.contents, &self.signer, &self.chain, &file)?;
        Ok(path)
    }

    fn refused(change: impl Fn(&mut Contents)) -> String {
        let mut scene = Self::new();
        change(&mut scene.contents);
        let error = format!("{:#}", scene.write("refused.raucb").unwrap_err());
        error.replace(scene.directory.path().to_str().unwrap(), "DIR")
    }
}

#[test]
fn a_bundle_is_read_again_and_is_the_same_bytes_twice() {
    let scene = Scene::new();
    let path = scene.write("edge.raucb").unwrap();
    assert!(fs::read(&path).unwrap() == fs::read(scene.write("again.raucb").unwrap()).unwrap());
    let bundle = Bundle::open(&path).unwrap();
    assert_eq!(bundle.manifest.compatible, "edge");
    assert_eq!((bundle.signer.subject(), bundle.others.len()), ("CN=signer,O=Edge".to_owned(), 1));
    let files: Vec<(&str, u64)> = bundle.files.iter().map(|(name, size)| (&name[..], *size)).collect();
    let index = |name: &str| files.iter().find(|(known, _)| *known == name).unwrap().1;
    assert_eq!(index("root.img.block-hash-index"), 768 * 32);
    assert_eq!(index("roothash"), 5);
    let classes: Vec<&str> = bundle.manifest.images.iter().map(|image| &image.class[..]).collect();
    assert_eq!(classes, ["root", "verity", "uki"]);
    for (image, source) in bundle.manifest.images.iter().zip(&scene.contents.images) {
        assert_eq!(image.sha256, digest::sha256(&File::open(&source.path).unwrap()).unwrap());
    }
    assert!(Bundle::is(&path));
    let other = path.with_extension("img");
    fs::copy(&path, &other).unwrap();
    assert!(Bundle::is(&other) && !Bundle::is(&scene.contents.images[0].path));
}

#[test]
fn another_salt_time_or_key_is_another_bundle() {
    let mut scene = Scene::new();
    let bytes = |scene: &Scene| fs::read(scene.write("edge.raucb").unwrap()).unwrap();
    let first = bytes(&scene);
    scene.contents.salt = [8; 32];
    assert!(bytes(&scene) != first);
    scene.contents.salt = [7; 32];
    scene.contents.epoch += 1;
    assert!(bytes(&scene) != first);
    scene.contents.epoch -= 1;
    assert!(bytes(&scene) == first);
    scene.signer = Signer::key(&file(scene.directory.path(), "other.pem", OTHER)).unwrap();
    let error = format!("{:#}", scene.write("edge.raucb").unwrap_err());
    assert!(error.contains("is not the one of the certificate of `CN=signer,O=Edge`"), "{error}");
}

#[test]
fn what_rauc_would_refuse_is_not_written() {
    let messages = [
        Scene::refused(|contents| contents.version = "1\n[update]".to_owned()),
        Scene::refused(|contents| contents.compatible = String::new()),
        Scene::refused(|contents| contents.images.clear()),
        Scene::refused(|contents| contents.images[1].name = "a/b".to_owned()),
        Scene::refused(|contents| contents.images[1].name = "root.img".to_owned()),
        Scene::refused(|contents| contents.images[1].class = "root".to_owned()),
        Scene::refused(|contents| contents.images[1].class = "root.a".to_owned()),
        Scene::refused(|contents| contents.extra[0].0 = "manifest.raucm".to_owned()),
        Scene::refused(|contents| contents.extra[0].0 = "uki.img.block-hash-index".to_owned()),
        Scene::refused(|contents| fs::write(&contents.images[0].path, [1; 4097]).unwrap()),
        Scene::refused(|contents| fs::write(&contents.images[0].path, []).unwrap()),
        Scene::refused(|contents| fs::remove_file(&contents.images[2].path).unwrap()),
    ];
    expect![[r#"
        invalid version `1\n[update]` of a bundle: it is one line of text
        invalid compatible `` of a bundle: it is one line of text
        a bundle without an image updates nothing
        invalid file name `a/b` in a bundle: A-Z, a-z, 0-9, `.`, `-` and `_`
        duplicate file name `root.img` in a bundle
        duplicate slot class `root` in a bundle
        invalid slot class `root.a`: A-Z, a-z, 0-9, `-` and `_`
        duplicate file name `manifest.raucm` in a bundle
        duplicate file name `uki.img.block-hash-index` in a bundle
        the image `DIR/root.img` has 4097 bytes: an image of a bundle has a multiple of 4096 bytes above zero
        the image `DIR/root.img` has 0 bytes: an image of a bundle has a multiple of 4096 bytes above zero
        cannot read the image `DIR/uki.img` of the bundle: No such file or directory (os error 2)"#]]
    .assert_eq(&messages.join("\n"));
}

/// The message about a bundle with a byte changed.
fn damaged(path: &Path, at: usize) -> String {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    let damaged = path.with_file_name("damaged.raucb");
    fs::write(&damaged, bytes).unwrap();
    let error = format!("{:#}", Bundle::open(&damaged).unwrap_err());
    error.replace(path.parent().unwrap().to_str().unwrap(), "DIR")
}

#[test]
fn damage_is_named_wherever_it_is() {
    let scene = Scene::new();
    let path = scene.write("edge.raucb").unwrap();
    let Bundle { payload, verity, size, .. } = Bundle::open(&path).unwrap();
    let at = |place: u64| usize::try_from(place).unwrap();
    let end = at(payload + verity.size);
    let of = |place: usize| damaged(&path, place);
    let bytes = fs::read(&path).unwrap();
    let text = |words: &[u8]| bytes.windows(words.len()).rposition(|window| window == words).unwrap();
    let messages = [
        of(at(payload) / 2),
        of(at(payload) - 1),
        of(at(payload)),
        of(end - 1),
        of(text(b"compatible=")),
        of(text(b"verity-hash=") + 12),
        of(at(size) - 9),
        of(at(size) - 1),
        of(at(size) - 4),
    ];
    expect![[r#"
        invalid bundle `DIR/damaged.raucb`: its payload is damaged at byte 2203648
        invalid bundle `DIR/damaged.raucb`: its payload is damaged at byte 4403200
        invalid bundle `DIR/damaged.raucb`: its hash tree is damaged at byte 4407296
        invalid bundle `DIR/damaged.raucb`: its hash tree is damaged at byte 4444160
        invalid bundle `DIR/damaged.raucb`: its signature cannot be used: its content is not the signed one
        invalid bundle `DIR/damaged.raucb`: its signature cannot be used: its content is not the signed one"#]]
    .assert_eq(&messages[..6].join("\n"));
    for message in &messages[6..] {
        assert!(message.starts_with("invalid bundle `DIR/damaged.raucb`: its "), "{message}");
    }
    // No byte of the signature or of its length changes what was signed. Those of certificates are for the keyring.
    let whole = signed(&bytes).unwrap();
    for place in end..at(size) {
        let mut bytes = bytes[end - 4096..].to_vec();
        bytes[place - end + 4096] ^= 0x40;
        if let Ok(found) = signed(&bytes) {
            let key = |signed: &cms::Signed| signed.signer.public_key().subject_public_key.clone();
            assert!(found.content == whole.content && key(&found) == key(&whole), "{place}");
        }
    }
}

/// The signed part of what is the end of a bundle.
fn signed(bytes: &[u8]) -> Result<cms::Signed> {
    let (_, signature) = read::signature(&Region::from(bytes.to_vec()))?;
    cms::read(&signature)
}

#[test]
fn a_page_tells_what_is_in_it() {
    let scene = Scene::new();
    let bundle = Bundle::open(&scene.write("edge.raucb").unwrap()).unwrap();
    let page = bundle.facts().page("edge.raucb", 110);
    // Keys and moments are those of the test.
    let dated = |line: &&str| !line.contains("bytes") && !line.contains("root hash") && !line.contains("CN=");
    let page: Vec<&str> = page.lines().filter(dated).map(str::trim_end).collect();
    expect![[r#"

          compatible   edge
          version      2
          description  An edge device
          payload      4.2 MiB of squashfs, 40 KiB of hash tree
          integrity    signature and payload are whole

        images
          slot class  file        size     adaptive          SHA-256
          root        root.img    3145728  block-hash-index  d1dfb3bb135dc5178d0038624fc0e738672c39451b0b23f642090736…
          verity      verity.img  8192     block-hash-index  e9c55fe8dc51ba8592523e8634d8bfd1b74a00a3138bb44b0947c506…
          uki         uki.img     1228800  block-hash-index  4f91f0dbe14179fe4eb6b4640a6d71aeaca82b0cfb1c11790cc9a4e2…

        certificates, the signer's first
          subject           issuer            not before            not after

        files
          name                         size
          manifest.raucm               517
          root.img                     3145728
          root.img.block-hash-index    24576
          roothash                     5
          uki.img                      1228800
          uki.img.block-hash-index     9600
          verity.img                   8192
          verity.img.block-hash-index  64"#]].assert_eq(&page.join("\n"));
    for width in [40, 60, 80] {
        assert!(bundle.facts().page("edge.raucb", width).lines().all(|line| line.chars().count() <= width));
    }
}
