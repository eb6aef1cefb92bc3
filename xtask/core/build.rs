//! Fingerprints the sources that make cache entries, so that no entry outlives the code that made it.
#![allow(clippy::disallowed_methods, reason = "no I/O is the rule of core, not of its build")]

pub mod sources;

/// What an image may be made with, and no byte of it depends on: what is said is in the plan.
pub const MAKES_NO_ENTRY: &[&str] = &[
    "src/check",
    "src/check.rs",
    "src/diagnostic",
    "src/diagnostic.rs",
    "src/explain.rs",
    "src/plan/diff.rs",
    "src/plan/display.rs",
    "src/rule.rs",
];

fn main() {
    sources::tell(MAKES_NO_ENTRY);
}
