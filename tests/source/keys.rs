//! Keys that a description names by their address: held against the pinned fingerprint, and kept in the lock.

use crate::product;
use crate::scene::{AGENT, Scene, agent};
use bedplate::Architecture;
use bedplate::lock::LockFile;
use bedplate_fixtures::archive::digest;
use bedplate_fixtures::deb::DebBuilder;
use bedplate_fixtures::signer::Signer;
use expect_test::{Expect, expect};

const KEY: &str = "/vendor.gpg";

/// A vendor who has a signed package, and this in the place of the key.
fn with_key(key: Option<&[u8]>) -> Scene {
    let scene = Scene::new();
    scene.vendor.offer(AGENT, &agent("1").build());
    if let Some(key) = key {
        scene.vendor.server.put(KEY, key);
    }
    scene
}

/// With the right one.
fn with_its_key() -> Scene {
    let scene = with_key(None);
    scene.vendor.server.put(KEY, &scene.vendor.signer.armoured_key());
    scene
}

fn asked_for_the_key(scene: &Scene) -> usize {
    scene.vendor.server.requests().iter().filter(|request| *request == KEY).count()
}

/// Nothing is locked, and of the package nothing was asked.
#[track_caller]
fn refused(scene: &Scene, expected: &Expect) {
    scene.fails(&mut scene.lock("signed-by-url"), expected);
    assert!(!scene.vendor.server.requests().iter().any(|request| request.starts_with(AGENT)));
}

#[test]
fn a_key_with_another_fingerprint_is_refused() {
    let stranger = Signer::new();
    let scene = with_key(Some(&stranger.armoured_key()));
    let output = scene.lock("signed-by-url").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let says = format!(
        "error: `https://vendor.example/vendor.gpg` is not the key that is pinned: the keyring has no key `{}`, only `{}`",
        scene.vendor.signer.fingerprint(),
        stranger.fingerprint()
    );
    let flat: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(&says), "{said}");
    assert!(flat.contains("compare its fingerprint with the owner's documentation"), "{said}");
    assert!(!scene.path("image.lock").exists());
    assert!(!scene.vendor.server.requests().iter().any(|request| request.starts_with(AGENT)));
}

#[test]
fn a_page_in_the_place_of_a_key_is_none() {
    refused(
        &with_key(Some(b"<html>Please log in</html>")),
        &expect![[r#"
        error: `https://vendor.example/vendor.gpg` is not the key that is pinned: not an OpenPGP keyring: IO
               error: unknown packet header version 111100
          --> tests/images/vendor/main.rs:LL:CC
           |
        LL |     small(target).deb(Deb::signed(agent(), key_by_url()))
           |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: check the address
    "#]],
    );
}

#[test]
fn a_key_that_is_gone_is_told_with_its_line() {
    refused(
        &with_key(None),
        &expect![[r#"
        error: there is no key at `https://vendor.example/vendor.gpg`: `http://[here]/vendor.gpg`
               answers 404
          --> tests/images/vendor/main.rs:LL:CC
           |
        LL |     small(target).deb(Deb::signed(agent(), key_by_url()))
           |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: check the address; a key that is nowhere else goes into a file, with `Key::file`
    "#]],
    );
}

#[test]
fn a_key_that_is_not_in_the_lock_is_not_had_without_the_network() {
    let scene = with_its_key();
    scene.fails(
        scene.lock("signed-by-url").arg("--offline"),
        &expect![[r#"
        error: the key `https://vendor.example/vendor.gpg` is not in the lock, and no network may be used
          --> tests/images/vendor/main.rs:LL:CC
           |
        LL |     small(target).deb(Deb::signed(agent(), key_by_url()))
           |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: run once without `--offline`
    "#]],
    );
    assert_eq!(asked_for_the_key(&scene), 0);
}

/// An archive of one package, signed with the vendor's key.
fn offer_archive(scene: &Scene) {
    let library = DebBuilder::new("library", "2.1").build();
    let packages = format!(
        "Package: library\nVersion: 2.1\nArchitecture: all\nFilename: pool/library.deb\nSize: {}\nSHA256: {}\n",
        library.len(),
        digest(&library)
    );
    let release = format!(
        "Origin: Example\nSuite: stable\nCodename: stable\nDate: Sat, 01 Nov 2025 00:00:00 UTC\n\
         Architectures: amd64\nComponents: main\nSHA256:\n {} {} main/binary-amd64/Packages\n",
        digest(packages.as_bytes()),
        packages.len()
    );
    let server = &scene.vendor.server;
    server.put("/debian/pool/library.deb", &library);
    server.put("/debian/dists/stable/main/binary-amd64/Packages", packages.as_bytes());
    server.put("/debian/dists/stable/InRelease", &scene.vendor.signer.sign(&release));
}

#[test]
fn a_key_is_asked_for_once_and_the_locks_is_used_from_then_on() {
    let scene = with_its_key();
    let said = product::success(&mut scene.lock("signed-by-url"));
    assert_eq!(said, "", "there was no lock that could change");
    let locked = scene.locked();
    assert_eq!(locked.keys.len(), 1);
    assert_eq!(locked.keys[0].fingerprint, scene.vendor.signer.fingerprint());
    assert_eq!(locked.keys[0].url, "https://vendor.example/vendor.gpg");
    assert_eq!(scene.package("agent").version, "1");
    product::success(scene.lock("signed-by-url").arg("--offline"));

    // Another key is at the address now. An archive is added that is signed with the old one, and nobody asks for it.
    scene.vendor.server.put(KEY, &Signer::new().armoured_key());
    offer_archive(&scene);
    product::success(&mut scene.lock("archive-by-url"));
    assert_eq!(scene.package("library").version, "2.1");
    assert_eq!(scene.locked().keys, locked.keys);
    assert_eq!(asked_for_the_key(&scene), 1);

    // What moves forward asks, and the other key is not believed.
    let before = scene.locked();
    let output = scene.lock("archive-by-url").arg("--update").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(scene.locked(), before);
    assert_eq!(asked_for_the_key(&scene), 2);
}

#[test]
fn an_archive_may_be_signed_with_a_key_at_an_address() {
    let scene = with_its_key();
    offer_archive(&scene);
    product::success(&mut scene.lock("archive-by-url"));
    assert_eq!(scene.package("library").pocket, "vendor.example");
    assert_eq!(scene.locked().keys.len(), 1, "one key, named twice");
    assert_eq!(asked_for_the_key(&scene), 1);
}

#[test]
fn a_key_in_the_lock_is_not_believed_either() {
    let scene = with_its_key();
    product::success(&mut scene.lock("signed-by-url"));
    // Somebody puts a key of theirs under the pinned fingerprint, and an archive of theirs into the vendor's place.
    let (stranger, mut lock) = (with_its_key(), scene.locked());
    product::success(&mut stranger.lock("signed-by-url"));
    lock.keys[0].base64.clone_from(&stranger.locked().keys[0].base64);
    let file = LockFile::default().with(Architecture::X86_64, lock);
    std::fs::write(scene.path("image.lock"), file.render()).unwrap();
    offer_archive(&stranger);
    let mut command = scene.lock("archive-by-url");
    command
        .arg("--mirror")
        .arg(format!("https://vendor.example/debian={}/debian", stranger.vendor.server.base()));
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let flat: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(&format!("has no key `{}`", scene.vendor.signer.fingerprint())), "{said}");
}

#[test]
fn a_lock_without_a_key_that_is_named_does_not_fit() {
    let scene = with_its_key();
    product::success(&mut scene.lock("signed"));
    assert_eq!(scene.locked().keys, []);
    let output = scene.image("signed-by-url", "out").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let flat: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("the key `https://vendor.example/vendor.gpg` is not in it"), "{said}");
}
