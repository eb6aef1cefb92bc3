//! Nothing of one machine in an image: keys, ids and databases that packages
//! make when they are configured.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::product::{self, built, release, scratch, success};
use crate::scene::{AGENT, Scene};
use bedplate_fixtures::deb::DebBuilder;

/// Cases 13 and 14: two builds of one lock are the same bytes, with nothing but
/// the packages in the cache of the second.
#[test]
fn two_builds_of_packages_that_make_keys_are_the_same_bytes() {
    if !release() {
        return;
    }
    let here = built("cases", "identity");
    let scratch = tempfile::tempdir_in(scratch("identity-again")).unwrap();
    let (cache, out) = (scratch.path().join("cache"), scratch.path().join("out"));
    let lock = product::kept("locks").join("identity.lock");
    let locked = product::locked(&lock);
    for package in locked.packages.iter().chain(&locked.tools) {
        let blob = Path::new("blobs").join(&package.sha256[..2]).join(package.sha256.as_str());
        let (from, to) = (product::cache().join(&blob), cache.join(&blob));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        // A package of the image may be one of the tools, too.
        if !to.exists() {
            success(
                Command::new("cp").args(["--preserve=timestamps,mode", "--reflink=auto"]).arg(from).arg(to),
            );
        }
    }
    let mut again = Command::new(product::example("cases"));
    again.current_dir(product::root()).env("NO_COLOR", "1").env("BEDPLATE_CACHE", &cache);
    again.args(["image", "identity", "--locked", "--offline", "--lock"]).arg(&lock);
    success(again.arg("--out").arg(&out));
    let (one, other) = (product::sums(&here), product::sums(&out));
    let differ: Vec<&String> = one.keys().filter(|name| one.get(*name) != other.get(*name)).collect();
    assert!(one.len() > 5 && differ.is_empty(), "these artifacts differ: {differ:?}");
    // Files of other owners go with the program that made them.
    success(Command::new(product::example("cases")).arg("clean").env("BEDPLATE_CACHE", &cache));
}

/// Case O10: a vendor's package that makes a key, and one that notes who it is.
#[test]
fn a_vendors_package_that_makes_a_key_or_an_id_is_refused_by_name() {
    let said = refused(
        "#!/bin/sh\nset -e\nmkdir -p /etc/agent /var/lib/agent\n\
         printf -- '-----BEGIN PRIVATE KEY-----\\n%s\\n' \"$(head -c 32 /dev/urandom | base64)\" >/etc/agent/key\n\
         cat /proc/sys/kernel/random/uuid >/var/lib/agent/id\n\
         date --iso-8601=ns >/var/lib/agent/installed\necho steady >/var/lib/agent/steady\n",
    );
    for line in [
        "3 files belong to one machine, and are the same on every device:",
        "`/etc/agent/key`: a private key, by `agent`",
        "`/var/lib/agent/id`: another content in a second build, by `agent`",
        // The date of the build, or, on the day of the lock, another content.
        "`/var/lib/agent/installed`: ",
        "tests/images/vendor/main.rs:",
        ".dangerous_shared(\"/etc/agent/key\")",
    ] {
        assert!(said.contains(line), "no {line} in:\n{said}");
    }
    assert!(!said.contains("steady"), "{said}");
}

/// What the build says of the vendor's package with this `postinst`.
fn refused(postinst: &str) -> String {
    let scene = Scene::new();
    let deb = DebBuilder::of("agent", "1", "amd64").script("postinst", postinst);
    scene.vendor.offer(AGENT, &deb.build());
    success(&mut scene.lock("signed"));
    let output = scene.image("signed", "out").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}
