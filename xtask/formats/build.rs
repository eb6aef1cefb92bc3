//! Fingerprints the sources that make cache entries, so that no entry outlives the code that made it.
//!
//! Each crate does so for itself, of the files in its own package: it may come from a registry. The three scripts
//! differ in one list (`xtask/tests/sources.rs`).
#![allow(clippy::disallowed_methods, reason = "no I/O is the rule of core, not of its build")]

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// None: every format may be one of an entry.
const MAKES_NO_ENTRY: &[&str] = &[];

fn main() {
    // In another checkout with the same target directory, cargo compiles this again, and so runs it again.
    let _ = option_env!("BEDPLATE_CHECKOUT");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rustc-env=BEDPLATE_SOURCES={}", digest(Path::new(".")));
}

/// Returns the digest of what makes cache entries in the directory of a package: its version, and its files by path and
/// content. Tests make none.
pub fn digest(package: &Path) -> String {
    let mut files = BTreeSet::new();
    collect(package, &package.join("src"), &mut files);
    let mut hasher = DefaultHasher::new();
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    for file in files {
        let path = package.join(&file);
        file.hash(&mut hasher);
        std::fs::read(&path)
            .unwrap_or_else(|error| panic!("cannot read `{}`: {error}", path.display()))
            .hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

fn collect(package: &Path, directory: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let below = path.strip_prefix(package).unwrap_or(&path).to_owned();
        let of_tests = below.file_stem().is_some_and(|name| name == "tests");
        if of_tests || MAKES_NO_ENTRY.iter().any(|name| below == Path::new(name)) {
            continue;
        }
        if path.is_dir() {
            collect(package, &path, files);
        } else {
            files.insert(below);
        }
    }
}
