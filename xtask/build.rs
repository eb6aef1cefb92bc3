//! Fingerprints the engine's own source, so that no cached layer outlives the
//! code that made it. The description is not part of it: a change there is
//! seen through the plan. Neither is the harness: no byte of an image is its.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

fn main() {
    let mut files = BTreeSet::new();
    for directory in ["src", "core/src", "formats/src", "keys"] {
        println!("cargo::rerun-if-changed={directory}");
        collect(Path::new(directory), &mut files);
    }
    let mut hasher = DefaultHasher::new();
    std::env::var("CARGO_PKG_VERSION").ok().hash(&mut hasher);
    for file in files {
        file.hash(&mut hasher);
        std::fs::read(&file).ok().hash(&mut hasher);
    }
    println!("cargo::rustc-env=BEDPLATE_ENGINE={:016x}", hasher.finish());
}

fn collect(directory: &Path, files: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path == Path::new("src/vm") || path == Path::new("src/vm.rs") {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.insert(path);
        }
    }
}
