//! Two images that differ, held against what `diff -r` finds in their files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::product::{agrees, kept, scratch, small, success};
use serde_json::Value;

fn built(name: &str) -> PathBuf {
    let out = scratch("images").join(name);
    let lock = kept("locks").join(format!("{name}.lock"));
    success(small().args(["image", name, "--lock"]).arg(lock).arg("--out").arg(&out));
    out
}

fn compared(before: &Path, after: &Path) -> Value {
    let found = success(small().args(["diff", "--json"]).arg(before).arg(after));
    serde_json::from_str(&found).unwrap()
}

/// The paths of files, links and directories that are not the same, as `diff -r` finds them.
fn oracle(directory: &Path, before: &Path, after: &Path) -> BTreeSet<String> {
    let _ = std::fs::remove_dir_all(directory);
    std::fs::create_dir_all(directory).unwrap();
    for (name, out) in [("a", before), ("b", after)] {
        std::fs::copy(out.join("image.root-x86-64.raw"), directory.join(format!("{name}.raw"))).unwrap();
        let (extract, raw) = (format!("--extract={name}"), format!("{name}.raw"));
        agrees(directory, &["erofs-utils"], &["fsck.erofs", &extract, "--preserve", &raw]);
    }
    let mut diff = Command::new("diff");
    diff.args(["--recursive", "--brief", "--no-dereference", "a", "b"])
        .current_dir(directory)
        .env("LC_ALL", "C");
    let text = String::from_utf8(diff.output().unwrap().stdout).unwrap();
    let mut paths = BTreeSet::new();
    for line in text.lines() {
        let found = if let Some(rest) = line.strip_prefix("Only in ") {
            let (directory, name) = rest.split_once(": ").unwrap();
            format!("{}/{name}", &directory[1..])
        } else {
            let words: Vec<&str> = line.split(' ').collect();
            let first = words.iter().find(|word| word.starts_with("a/")).unwrap();
            first[1..].to_owned()
        };
        paths.insert(found);
    }
    std::fs::remove_dir_all(directory).unwrap();
    paths
}

#[test]
fn two_roots_differ_in_the_files_that_others_find() {
    let (before, after) = (built("small"), built("writable"));
    let found = compared(&before, &after);
    let root = found["files"].as_array().unwrap().iter().find(|files| files["of"] == "root").unwrap();
    let expected = oracle(&scratch("diff"), &before, &after);
    let mut ours = BTreeSet::new();
    for file in root["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        let facts = |side: &str| file[side].clone();
        let whole = facts("before").is_null() || facts("after").is_null();
        // `diff` names a directory that is there once, and nothing below it; modes and owners it does not compare.
        let below = expected.iter().any(|known| path.starts_with(&format!("{known}/")));
        if (whole && !below) || file["other_content"] == true {
            ours.insert(path.to_owned());
        }
    }
    assert_eq!(ours, expected);
    assert!(!expected.is_empty());
    assert_eq!(found["same"], false);
}

#[test]
fn two_builds_of_the_same_description_do_not_differ() {
    let before = built("small");
    assert_eq!(compared(&before, &before)["same"], true);
    // What is described, and what was built of it.
    let lock = kept("locks").join("small.lock");
    let mut described = small();
    let said = success(described.args(["diff", "small", "--out"]).arg(&before).arg("--lock").arg(lock));
    assert!(said.ends_with("\n\nnothing differs\n"), "{said}");
}
