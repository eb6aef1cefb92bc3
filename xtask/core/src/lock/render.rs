//! A lock as text: TOML with a fixed order and one key a line.

use super::{Lock, LockedArchive, LockedKey, LockedPackage};

const HEAD: &str = "# Made by `cargo xtask lock`. It pins every byte of the image: keep it in git.\n";

pub(super) fn lock(lock: &Lock) -> String {
    let mut text = format!("{HEAD}version = {}\nepoch = {}\n", lock.version, lock.epoch);
    // Archives keep their order: it is the order apt is given them.
    for archive in &lock.archives {
        text.push_str(&archive_block(archive));
    }
    let mut keys: Vec<&LockedKey> = lock.keys.iter().collect();
    keys.sort();
    for key in keys {
        text.push_str(&key_block(key));
    }
    for (kind, packages) in [("package", &lock.packages), ("tool", &lock.tools)] {
        let mut sorted: Vec<&LockedPackage> = packages.iter().collect();
        sorted.sort();
        for package in sorted {
            text.push_str(&package_block(kind, package));
        }
    }
    text
}

fn archive_block(archive: &LockedArchive) -> String {
    let LockedArchive { base, suite, pocket, date, sha256 } = archive;
    format!(
        "\n[[archive]]\nbase = {}\nsuite = {}\npocket = {}\ndate = {date}\nsha256 = {}\n",
        quoted(base),
        quoted(suite),
        quoted(pocket),
        quoted(sha256)
    )
}

fn key_block(key: &LockedKey) -> String {
    let LockedKey { fingerprint, url, base64 } = key;
    format!(
        "\n[[key]]\nfingerprint = {}\nurl = {}\nbase64 = {}\n",
        quoted(fingerprint),
        quoted(url),
        quoted(base64)
    )
}

fn package_block(kind: &str, package: &LockedPackage) -> String {
    let LockedPackage { name, version, architecture, pocket, size, sha256, url } = package;
    format!(
        "\n[[{kind}]]\nname = {}\nversion = {}\narchitecture = {}\npocket = {}\nsize = {size}\nsha256 = {}\nurl = {}\n",
        quoted(name),
        quoted(version),
        quoted(architecture),
        quoted(pocket),
        quoted(sha256),
        quoted(url)
    )
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
