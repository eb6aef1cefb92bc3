//! Fingerprints the sources that make cache entries, for the build scripts of the three crates.
//!
//! Each crate does so for itself, of the files in its own package: it may come from a registry. So each has this file;
//! in the repository the others are links to it.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// Tells cargo and the crate the digest of the package that is being built.
pub fn tell(makes_no_entry: &[&str]) {
    // In another checkout with the same target directory, cargo compiles this again, and so runs it again.
    let _ = option_env!("BEDPLATE_CHECKOUT");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rustc-env=BEDPLATE_SOURCES={}", digest(Path::new("."), makes_no_entry));
}

/// Returns the digest of what makes cache entries in the directory of a package: its version, and its files by path and
/// content. Tests make none, and neither do the paths of `makes_no_entry`.
pub fn digest(package: &Path, makes_no_entry: &[&str]) -> String {
    let mut files = BTreeSet::new();
    collect(package, &package.join("src"), makes_no_entry, &mut files);
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

fn collect(package: &Path, directory: &Path, makes_no_entry: &[&str], files: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let below = path.strip_prefix(package).unwrap_or(&path).to_owned();
        let of_tests = below.file_stem().is_some_and(|name| name == "tests");
        if of_tests || makes_no_entry.iter().any(|name| below == Path::new(name)) {
            continue;
        }
        if path.is_dir() {
            collect(package, &path, makes_no_entry, files);
        } else {
            files.insert(below);
        }
    }
}
