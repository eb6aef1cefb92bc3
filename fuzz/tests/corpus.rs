//! Every input that was ever worth keeping, and what damage makes of it, goes
//! through its target: what was found once is not found twice.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::thread;

use bedplate_fuzz::{TARGETS, Target};

/// How many times an input is cut off, and how many bytes of it are changed.
const CUTS: usize = 16;
const CHANGES: usize = 48;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The files in a directory, in order; none where there is no such directory.
fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    files.sort();
    files
}

/// Runs a target, and names the input where it panics.
fn run(target: Target, path: &Path, what: &str, bytes: &[u8]) -> bool {
    let result = panic::catch_unwind(|| target(bytes));
    result.unwrap_or_else(|_| panic!("{}{what} is what panicked above", path.display()))
}

/// Does the same with every target, each in a thread of its own.
fn each(work: impl Fn(Target, &Path) + Sync) {
    thread::scope(|scope| {
        for (name, target) in TARGETS {
            let work = &work;
            scope.spawn(move || work(*target, &corpus().join(name)));
        }
    });
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let mut found: Vec<String> = fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, targets);
}

#[test]
fn what_is_whole_is_read() {
    each(|target, corpus| {
        let whole = files(&corpus.join("whole"));
        assert!(!whole.is_empty(), "{} has nothing to be read", corpus.display());
        for (path, bytes) in whole {
            assert!(run(target, &path, "", &bytes), "{} is not read", path.display());
        }
        assert!(!run(target, corpus, " as nothing", b""), "{} reads nothing", corpus.display());
    });
}

#[test]
fn what_was_found_does_no_harm_any_more() {
    each(|target, corpus| {
        for (path, bytes) in ["found", "more"].iter().flat_map(|kind| files(&corpus.join(kind))) {
            run(target, &path, "", &bytes);
        }
    });
}

#[test]
fn damage_does_no_harm() {
    each(|target, corpus| {
        for (path, bytes) in ["whole", "found"].iter().flat_map(|kind| files(&corpus.join(kind))) {
            for at in (0..bytes.len()).step_by((bytes.len() / CUTS).max(1)) {
                run(target, &path, &format!(", cut off at {at},"), &bytes[..at]);
            }
            // An odd step meets every place in a record of an even length.
            for at in (0..bytes.len()).step_by((bytes.len() / CHANGES) | 1) {
                for change in [0x01, 0x80, 0xff] {
                    let mut bytes = bytes.clone();
                    bytes[at] ^= change;
                    run(target, &path, &format!(" with byte {at} changed by {change:#x}"), &bytes);
                }
            }
        }
    });
}
