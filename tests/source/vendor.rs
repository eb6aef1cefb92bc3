//! Packages that come from a vendor's address: believed for a reason, locked, and
//! installed like any other. The vendor is a server of the test's own.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::product;
use crate::scene::{AGENT, Scene, agent};
use crate::unpacked;
use bedplate::archive::openpgp::Keyring;
use bedplate::lock::LockedPackage;
use bedplate_fixtures::archive::digest;
use bedplate_fixtures::deb::DebBuilder;
use bedplate_fixtures::server::Reply;
use bedplate_fixtures::signer::Signer;
use expect_test::expect;

// What is not believed.

#[test]
fn a_signature_of_another_key_is_refused() {
    let scene = Scene::new();
    let deb = agent("1").build();
    scene.vendor.offer(AGENT, &deb);
    let stranger = Signer::new();
    scene.vendor.server.put("/latest/agent.deb.sig", &stranger.detached(&deb));
    let mut command = scene.lock("signed");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let says = format!(
        "`https://vendor.example/latest/agent.deb` cannot be trusted: signed by `{}`, and by no pinned key (`{}`)",
        stranger.fingerprint(),
        scene.vendor.signer.fingerprint()
    );
    let flat: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(&says), "{said}");
    assert!(!scene.path("image.lock").exists());
}

#[test]
fn an_expired_key_is_refused() {
    let scene = Scene::trusting(Signer::new().expiring_after(5));
    scene.vendor.offer(AGENT, &agent("1").build());
    let output = scene.lock("signed").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let flat: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("no signature counts: key `"), "{said}");
    assert!(flat.contains("` expired on "), "{said}");
    assert!(!scene.path("image.lock").exists());
}

#[test]
fn a_revoked_key_is_refused() {
    let scene = Scene::trusting(Signer::new().revoked());
    scene.vendor.offer(AGENT, &agent("1").build());
    let output = scene.lock("signed").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("was revoked on"), "{said}");
}

#[test]
fn a_file_that_was_changed_is_refused() {
    let scene = Scene::new();
    let mut deb = agent("1").build();
    scene.vendor.offer(AGENT, &deb);
    let last = deb.len() - 1;
    deb[last] ^= 1;
    scene.vendor.server.put(AGENT, &deb);
    scene.fails(
        &mut scene.lock("signed"),
        &expect![[r#"
        error: `https://vendor.example/latest/agent.deb` cannot be trusted: no signature counts: key
               `[pinned]` did not make this signature, or the file was
               changed
          --> tests/images/vendor/main.rs:LL:CC
           |
        LL |     small(target).deb(Deb::signed(agent(), key()))
           |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: do not use this file; try again later, and ask its owner when it stays so
    "#]],
    );
}

#[test]
fn a_signature_that_was_changed_is_refused() {
    let scene = Scene::new();
    let deb = agent("1").build();
    scene.vendor.offer(AGENT, &deb);
    let mut signature = scene.vendor.signer.detached(&deb);
    let last = signature.len() - 1;
    signature[last] ^= 1;
    scene.vendor.server.put("/latest/agent.deb.sig", &signature);
    scene.fails(
        &mut scene.lock("signed"),
        &expect![[r#"
        error: `https://vendor.example/latest/agent.deb` cannot be trusted: no signature counts: key
               `[pinned]` did not make this signature, or the file was
               changed
          --> tests/images/vendor/main.rs:LL:CC
           |
        LL |     small(target).deb(Deb::signed(agent(), key()))
           |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: do not use this file; try again later, and ask its owner when it stays so
    "#]],
    );
}

#[test]
fn a_page_in_the_place_of_a_signature_is_none() {
    let scene = Scene::new();
    scene.vendor.offer(AGENT, &agent("1").build());
    scene.vendor.server.put("/latest/agent.deb.sig", b"<html>Please log in</html>");
    scene.fails(
        &mut scene.lock("signed"),
        &expect![[r#"
        error: `https://vendor.example/latest/agent.deb` cannot be trusted: not a detached signature: IO
               error: unknown packet header version 111100
          --> tests/images/vendor/main.rs:LL:CC
           |
        LL |     small(target).deb(Deb::signed(agent(), key()))
           |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: say where the detached signature is with `.signature("…")`
    "#]],
    );
}

#[test]
fn a_package_without_a_signature_is_refused() {
    let scene = Scene::new();
    scene.vendor.server.put(AGENT, &agent("1").build());
    scene.fails(
        &mut scene.lock("signed"),
        &expect![[r#"
        error: the vendor has not the signature `https://vendor.example/latest/agent.deb.sig`:
               `http://[here]/latest/agent.deb.sig` answers 404
          --> tests/images/vendor/main.rs:LL:CC
           |
        LL |     small(target).deb(Deb::signed(agent(), key()))
           |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: say where the signature is with `.signature("…")`; a package without one is taken by its
                   digest alone, with `Deb::dangerous_unsigned`
    "#]],
    );
}

#[test]
fn a_file_with_another_digest_is_refused() {
    let mut scene = Scene::new();
    scene.vendor.server.put(AGENT, &agent("1").build());
    scene.sha256 = digest(b"another file");
    scene.fails(
        &mut scene.lock("unsigned"),
        &expect![[r#"
        error: `https://vendor.example/latest/agent.deb` is not the file it was: its sha256 is
               `ea6d85dec5e105bdcc105c0d9a459bdd54aaecd4a84fb39ba0180782db0cfd23` instead of
               `[expected]`
          --> tests/images/vendor/main.rs:LL:CC
           |
        LL |     small(target).deb(Deb::dangerous_unsigned(agent(), variable("VENDOR_SHA256")))
           |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: find out what changed before the new digest goes into the description
    "#]],
    );
}

// What is believed, and cannot be used.

#[test]
fn a_package_for_another_architecture_is_refused() {
    let scene = Scene::new();
    scene.vendor.offer(AGENT, &DebBuilder::of("agent", "1", "arm64").build());
    scene.fails(
        &mut scene.lock("signed"),
        &expect![[r#"
        error: `https://vendor.example/latest/agent.deb` is a package for `arm64`, and the image is for
               `amd64`
          --> tests/images/vendor/main.rs:LL:CC
           |
        LL |     small(target).deb(Deb::signed(agent(), key()))
           |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: name the vendor's package for each architecture, with `match target.architecture`
    "#]],
    );
}

#[test]
fn one_name_cannot_have_two_versions() {
    let scene = Scene::new();
    scene.vendor.offer(AGENT, &agent("2").build());
    scene.vendor.offer("/older.deb", &agent("1").build());
    scene.fails(
        &mut scene.lock("twice"),
        &expect![[r#"
        error: `https://vendor.example/latest/agent.deb` and `https://vendor.example/older.deb` are both the
               package `agent`
          --> tests/images/vendor/main.rs:LL:CC
           |
        LL |     signed(target).deb(Deb::signed(format!("{VENDOR}/older.deb"), key()))
           |                        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: remove one of the two: only one version can be installed
    "#]],
    );
}

#[test]
fn what_is_kept_out_is_not_installed_from_a_vendor_either() {
    let scene = Scene::new();
    scene.vendor.offer(AGENT, &agent("1").build());
    scene.fails(
        &mut scene.lock("kept_out"),
        &expect![[r#"
        error: `https://vendor.example/latest/agent.deb` is the package `agent`, which is kept out
          --> tests/images/vendor/main.rs:LL:CC
           |
        LL |     small(target).deb(Deb::signed(agent(), key()))
           |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: remove one of the two lines
    "#]],
    );
}

#[test]
fn what_is_signed_and_no_package_is_refused() {
    let scene = Scene::new();
    scene.vendor.offer(AGENT, b"PK\x03\x04 a zip");
    scene.fails(
        &mut scene.lock("signed"),
        &expect![[r#"
        error: `https://vendor.example/latest/agent.deb` is no package that can be read: not a Debian
               package: it does not begin with `!<arch>`
          --> tests/images/vendor/main.rs:LL:CC
           |
        LL |     small(target).deb(Deb::signed(agent(), key()))
           |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: check the address
    "#]],
    );
}

#[test]
fn what_a_package_needs_and_nobody_has_is_told_at_its_line() {
    let scene = Scene::new();
    scene.vendor.offer(AGENT, &agent("1").control("Depends: library (>= 2)\n").build());
    scene.fails(
        &mut scene.lock("signed"),
        &expect![[r#"
        error: the packages cannot be installed together:
               agent : Depends: library (>= 2) but it is not installable
          --> tests/images/vendor/main.rs:LL:CC
           |
        LL |     small(target).deb(Deb::signed(agent(), key()))
           |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: what a vendor's package needs comes from the archives, or is named with `.deb` too
    "#]],
    );
}

#[test]
fn the_key_beside_the_description_is_the_ssm_agents() {
    let file = fs::read(product::root().join("image/keys/amazon-ssm-agent.asc")).unwrap();
    let keyring = Keyring::parse(&file).unwrap();
    // As AWS's documentation has it.
    assert_eq!(keyring.fingerprints(), ["1C5B395CBE5E74E2F1CA21592784DBF388D19D46"]);
}

// What is installed.

#[test]
fn a_package_is_resolved_with_the_archives() {
    let scene = Scene::new();
    let deb = agent("1").control("Depends: jq, library (>= 2)\n").build();
    scene.vendor.offer(AGENT, &deb);
    scene.vendor.offer("/library.deb", &DebBuilder::new("library", "2.1").build());
    product::success(&mut scene.lock("both"));
    let locked = scene.package("agent");
    let expected = LockedPackage {
        name: "agent".parse().unwrap(),
        version: "1".to_owned(),
        architecture: "amd64".to_owned(),
        pocket: "vendor".to_owned(),
        size: deb.len() as u64,
        sha256: digest(&deb),
        url: "https://vendor.example/latest/agent.deb".parse().unwrap(),
    };
    assert_eq!(locked, expected);
    assert_eq!(scene.package("library").pocket, "vendor");
    // From Debian's archive, and what it depends on.
    for name in ["jq", "libjq1"] {
        let package = scene.package(name);
        assert!(package.url.contains("/main/j/jq/") && package.pocket != "vendor", "{package:?}");
    }
}

#[test]
fn the_vendors_version_wins_over_a_newer_one_of_the_archive() {
    let scene = Scene::new();
    scene.vendor.offer(AGENT, &DebBuilder::new("jq", "0.1").build());
    product::success(&mut scene.lock("signed"));
    let locked = scene.package("jq");
    assert_eq!((locked.version.as_str(), locked.pocket.as_str()), ("0.1", "vendor"));
    assert!(!scene.locked().packages.iter().any(|package| package.name == "libjq1"));
}

#[test]
fn an_armoured_signature_may_be_elsewhere() {
    let scene = Scene::new();
    let deb = agent("1").build();
    scene.vendor.server.put(AGENT, &deb);
    scene.vendor.server.put("/signatures/agent.asc", &scene.vendor.signer.detached_armoured(&deb));
    product::success(&mut scene.lock("signed_elsewhere"));
    assert_eq!(scene.package("agent").sha256, digest(&deb));
}

#[test]
fn a_file_with_the_right_digest_needs_no_signature_and_is_told_as_a_danger() {
    let mut scene = Scene::new();
    let deb = agent("1").build();
    scene.vendor.server.put(AGENT, &deb);
    scene.sha256 = digest(&deb);
    product::success(&mut scene.lock("unsigned"));
    assert_eq!(scene.package("agent").sha256, scene.sha256);
    let mut command = Command::new(product::example("vendor"));
    command
        .current_dir(product::root())
        .args(["plan", "unsigned", "--json"])
        .env("VENDOR_SHA256", scene.sha256.as_str());
    let plan: serde_json::Value = serde_json::from_str(&product::success(&mut command)).unwrap();
    assert_eq!(
        plan["dangers"][0]["what"],
        "`https://vendor.example/latest/agent.deb` is installed without a signature"
    );
}

#[test]
fn a_pinned_key_may_have_a_weak_self_signature_and_make_no_weak_signature() {
    let scene = Scene::trusting(Signer::old().weakly_certified());
    let deb = agent("1").build();
    scene.vendor.offer(AGENT, &deb);
    product::success(&mut scene.lock("signed"));
    assert_eq!(scene.package("agent").sha256, digest(&deb));
    scene.vendor.server.put("/latest/agent.deb.sig", &scene.vendor.signer.detached_weakly(&deb));
    let output = scene.lock("signed").arg("--update").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let flat: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("signed the file with SHA1, which is too weak"), "{said}");
}

#[test]
fn a_lock_keeps_its_version_until_it_is_updated() {
    let scene = Scene::new();
    scene.vendor.offer(AGENT, &agent("1").build());
    product::success(&mut scene.lock("signed"));
    scene.vendor.offer(AGENT, &agent("2").build());
    scene.vendor.offer("/library.deb", &DebBuilder::new("library", "2.1").build());
    // The description has another package now; the one it had stays.
    product::success(&mut scene.lock("both"));
    assert_eq!(scene.package("agent").version, "1");
    let said = product::success(scene.lock("both").arg("--update"));
    assert!(said.contains("~ agent 1 -> 2, vendor, "), "{said}");
    // And one that is asked for no more is gone.
    let said = product::success(&mut scene.lock("signed"));
    assert!(said.contains("- library 2.1\n"), "{said}");
}

#[test]
fn a_vendor_who_replaced_the_file_breaks_no_promise_of_the_lock() {
    let scene = Scene::new();
    // Of this test alone: it is taken out of the store that all share.
    let own = scene.directory.path().file_name().unwrap().to_str().unwrap().to_owned();
    let old = agent("1").file("/usr/share/agent", 0o644, &format!("{own} old")).build();
    let new = agent("2").file("/usr/share/agent", 0o644, &format!("{own} is new and longer")).build();
    scene.vendor.offer(AGENT, &old);
    product::success(&mut scene.lock("signed"));
    let (old_digest, new_digest) = (digest(&old), digest(&new));
    let blob = product::cache().join("blobs").join(&old_digest[..2]).join(old_digest.as_str());
    fs::remove_file(blob).unwrap();
    scene.vendor.offer(AGENT, &new);
    let output = scene.image("signed", "out").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let flat: String = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let says = format!(
        "`https://vendor.example/latest/agent.deb` is not `agent` version `1` any more: its sha256 is `{new_digest}`, \
         and `{old_digest}` is locked"
    );
    assert!(flat.contains(&says), "{said}");
    assert!(flat.contains("`cargo xtask lock --update` takes the new one"), "{said}");
    assert!(said.contains("tests/images/vendor/main.rs"), "{said}");
}

#[test]
fn a_locked_package_is_installed_from_the_store_when_the_vendor_is_gone() {
    let scene = Scene::new();
    let unit = "[Service]\nExecStart=/usr/bin/true\n[Install]\nWantedBy=multi-user.target\n";
    let deb = agent("1")
        .control("Depends: jq\n")
        .file("/usr/lib/systemd/system/agent.service", 0o644, unit)
        .file("/usr/bin/agent", 0o755, "#!/bin/sh\nexit 0\n")
        .conffile("/etc/agent/agent.json", "{}\n")
        .script(
            "postinst",
            "#!/bin/sh\nset -e\nmkdir -p /var/lib/agent\njq --version >/var/lib/agent/configured\n",
        )
        .build();
    scene.vendor.offer(AGENT, &deb);
    scene.vendor.server.put("/vendor.gpg", &scene.vendor.signer.armoured_key());
    product::success(&mut scene.lock("signed-by-url"));
    product::success(&mut scene.image("signed-by-url", "first"));
    assert!(scene.vendor.server.requests().iter().filter(|request| *request == AGENT).count() == 1);
    for path in [AGENT, "/vendor.gpg"] {
        scene.vendor.server.script(path, [Reply::Status(404)]);
    }
    product::success(scene.image("signed-by-url", "second").arg("--offline"));
    assert_eq!(product::sums(&scene.path("first")), product::sums(&scene.path("second")));

    let tree = unpacked::unpacked(&scene.path("first"), "vendor-root");
    let text = |path: &str| String::from_utf8(tree.content(&path.into()).unwrap().read().unwrap()).unwrap();
    let status = text("var/lib/dpkg/status");
    let paragraph = status.split("\n\n").find(|paragraph| paragraph.contains("Package: agent\n")).unwrap();
    assert!(paragraph.contains("Status: install ok installed"), "{paragraph}");
    assert!(paragraph.contains("Conffiles:\n /etc/agent/agent.json "), "{paragraph}");
    assert_eq!(text("usr/lib/systemd/system/agent.service"), unit);
    assert_eq!(text("etc/agent/agent.json"), "{}\n");
    assert!(text("var/lib/agent/configured").starts_with("jq-"), "what it depends on is configured first");

    let manifest = fs::read_to_string(scene.path("first").join("image.manifest")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let origins: BTreeMap<&str, &str> = manifest["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|package| Some((package["name"].as_str()?, package["origin"].as_str()?)))
        .collect();
    assert_eq!(origins, BTreeMap::from([("agent", "https://vendor.example/latest/agent.deb")]));
}
