//! Overlays and files that meet links, owners and modes, homes and binds.

use std::fs;
use std::process::Command;

use crate::product::{self, cases, example, holds, root, scratch};

/// A build must end with a refusal that says all of this.
#[track_caller]
fn refused(name: &str, expected: &[&str]) {
    let said = product::refused(&mut cases(&["image", name], "links.lock"));
    holds(&said, &["--> tests/images/cases/links.rs:"]);
    holds(&said, expected);
}

/// case 22
#[test]
fn an_overlay_that_is_no_directory_is_refused_before_anything_is_fetched() {
    let locks = scratch("locks-of-links");
    let lock = locks.join("tar.lock");
    let _ = fs::remove_file(&lock);
    let mut build = Command::new(example("cases"));
    build.current_dir(root()).env("NO_COLOR", "1").args(["image", "links-tar", "--lock"]);
    let output = build.arg(&lock).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!lock.exists(), "{said}");
    assert!(said.contains("overlay.tar` is a file, and no directory"), "{said}");
    assert!(said.contains("--> tests/images/cases/links.rs:"), "{said}");
}

/// case 9
#[test]
fn a_bind_that_hides_what_the_image_has_is_refused_at_its_line() {
    let hides = "`/var/lib/systemd` starts empty, and hides what the image has there: `";
    refused("links-hidden", &[hides, ".seeded())`", ".empty())`"]);
}

/// case 21
#[test]
fn a_bind_through_a_link_is_refused_with_where_it_leads() {
    refused("links-bind", &["to `/srv/real`", "= help: bind that: `.bind(\"/srv/real\")`"]);
}
