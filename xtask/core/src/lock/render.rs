//! A lock as text: TOML with a fixed order and one key a line.

use std::collections::BTreeMap;

use super::{Lock, LockedArchive, LockedKey, LockedPackage, Recommended, VERSION};
use crate::image::target::Architecture;

const HEAD: &str = "# Made by `cargo xtask lock`. It pins every byte of the image: keep it in git.\n";

pub(super) fn file(locks: &BTreeMap<Architecture, Lock>) -> String {
    let mut text = format!("{HEAD}version = {VERSION}\n");
    for (architecture, lock) in locks {
        text.push_str(&section(architecture.deb(), lock));
    }
    text
}

fn section(of: &str, lock: &Lock) -> String {
    let mut text = format!("\n[{of}]\nepoch = {}\n", lock.epoch);
    if let Some(asked) = &lock.asked {
        let mut asked: Vec<String> = asked.iter().map(|asked| format!("    {},\n", quoted(asked))).collect();
        asked.sort();
        text.push_str(&format!("asked = [\n{}]\n", asked.concat()));
    }
    // Archives keep their order: it is the order apt is given them.
    for archive in &lock.archives {
        text.push_str(&archive_block(of, archive));
    }
    let mut keys: Vec<&LockedKey> = lock.keys.iter().collect();
    keys.sort();
    for key in keys {
        text.push_str(&key_block(of, key));
    }
    let mut recommended: Vec<&Recommended> = lock.recommended.iter().collect();
    recommended.sort();
    for recommended in recommended {
        text.push_str(&recommended_block(of, recommended));
    }
    let kinds = [("package", &lock.packages), ("tool", &lock.tools), ("cross-tool", &lock.cross_tools)];
    for (kind, packages) in kinds {
        let mut sorted: Vec<&LockedPackage> = packages.iter().collect();
        sorted.sort();
        for package in sorted {
            text.push_str(&package_block(of, kind, package));
        }
    }
    text
}

fn archive_block(of: &str, archive: &LockedArchive) -> String {
    let LockedArchive { base, suite, pocket, origin, date, signed_by, sha256 } = archive;
    [
        head(of, "archive"),
        line("base", base),
        line("suite", suite),
        line("pocket", pocket),
        line("origin", origin),
        format!("date = {date}\n"),
        line("signed_by", signed_by),
        line("sha256", sha256),
    ]
    .concat()
}

fn key_block(of: &str, key: &LockedKey) -> String {
    let LockedKey { fingerprint, url, base64 } = key;
    [head(of, "key"), line("fingerprint", fingerprint), line("url", url), line("base64", base64)].concat()
}

fn recommended_block(of: &str, recommended: &Recommended) -> String {
    let Recommended { by, installed, names, why } = recommended;
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    [
        head(of, "recommended"),
        line("by", by),
        format!("installed = {installed}\nnames = [{}]\n", names.join(", ")),
        if why.is_empty() { String::new() } else { line("why", why) },
    ]
    .concat()
}

fn package_block(of: &str, kind: &str, package: &LockedPackage) -> String {
    let LockedPackage { name, version, architecture, pocket, size, sha256, url } = package;
    [
        head(of, kind),
        line("name", name),
        line("version", version),
        line("architecture", architecture),
        line("pocket", pocket),
        format!("size = {size}\n"),
        line("sha256", sha256),
        line("url", url),
    ]
    .concat()
}

fn head(of: &str, kind: &str) -> String {
    format!("\n[[{of}.{kind}]]\n")
}

fn line(key: &str, text: &str) -> String {
    format!("{key} = {}\n", quoted(text))
}

/// A basic string of TOML's, always in double quotes.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
