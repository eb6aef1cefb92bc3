//! Fingerprints the sources that make cache entries, so that no entry outlives the code that made it.
#![allow(clippy::disallowed_methods, reason = "no I/O is the rule of core, not of its build")]

pub mod sources;

/// The command line and the harness; what fetches, since that is known by its digest; and what is signed, since it is
/// made anew each time.
pub const MAKES_NO_ENTRY: &[&str] = &[
    "src/archive",
    "src/archive.rs",
    "src/bundle",
    "src/bundle.rs",
    "src/certificate",
    "src/certificate.rs",
    "src/cli.rs",
    "src/cmd",
    "src/cmd.rs",
    "src/diff",
    "src/diff.rs",
    "src/disk",
    "src/disk.rs",
    "src/fetch",
    "src/fetch.rs",
    "src/flash",
    "src/flash.rs",
    "src/html",
    "src/html.rs",
    "src/lib.rs",
    "src/locking.rs",
    "src/new",
    "src/new.rs",
    "src/paths.rs",
    "src/error.rs",
    "src/project",
    "src/project.rs",
    "src/report",
    "src/report.rs",
    "src/resolve",
    "src/resolve.rs",
    "src/sign",
    "src/sign.rs",
    "src/source",
    "src/source.rs",
    "src/step/compress.rs",
    "src/store",
    "src/store.rs",
    "src/terminal.rs",
    "src/vm",
    "src/vm.rs",
];

fn main() {
    sources::tell(MAKES_NO_ENTRY);
}
