//! Every parser of foreign bytes as a target of a fuzzer, and what must hold of
//! whatever it accepts.
//!
//! A target takes any bytes and returns; it panics where a parser does, or where
//! one breaks its word: an offset outside of the file, a length that is not what was
//! said, a value that our own writer turns into something else. Checksums that stand
//! in the way of a change are put right first, where they guard against accidents
//! only. How to run one is in `README.md`; `tests/corpus.rs` holds each against its
//! corpus.

use bedplate_formats::tree::{Content, Kind, Node, Tree};

pub mod archive;
pub mod boot;
pub mod bundle;
pub mod disk;
pub mod package;
pub mod sparse;
pub mod trust;
pub mod written;

/// What is done with an input. Says whether a parser took it for what it reads, so
/// that a test can tell a corpus from noise.
pub type Target = fn(&[u8]) -> bool;

/// Every target by the name of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("ar", package::ar),
    ("authenticode", trust::authenticode),
    ("bmap", disk::bmap),
    ("bundle", bundle::bundle),
    ("certificates", bundle::certificates),
    ("cms", bundle::cms),
    ("control", package::control),
    ("cpio", boot::cpio),
    ("deb", package::deb),
    ("efi_variable", trust::efi_variable),
    ("elf", boot::elf),
    ("erofs", disk::erofs),
    ("erofs_write", written::erofs_write),
    ("ext4", disk::ext4),
    ("fat", disk::fat),
    ("gpt", disk::gpt),
    ("in_release", archive::in_release),
    ("keys", archive::keys),
    ("lock", archive::lock),
    ("manifest", bundle::manifest),
    ("measured", trust::measured),
    ("members", package::members),
    ("modules", boot::modules),
    ("packages", archive::packages),
    ("pcr_signatures", trust::pcr_signatures),
    ("pe", boot::pe),
    ("release", archive::release),
    ("signature", archive::signature),
    ("signature_list", trust::signature_list),
    ("squashfs", disk::squashfs),
    ("tar", package::tar),
    ("verity", disk::verity),
    ("version", package::version),
];

/// The target of a name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}

/// A tree in a form that can be compared: every node as text, and its content.
fn described(tree: &Tree) -> Vec<(String, Vec<u8>)> {
    let described = |node: &Node| match &node.kind {
        Kind::File(content) => (Kind::File(Content::from("")), content.read().expect("memory is read")),
        other => (other.clone(), Vec::new()),
    };
    tree.iter()
        .map(|(path, node)| {
            let (kind, content) = described(node);
            (format!("{path} {:?}", Node { kind, ..node.clone() }), content)
        })
        .collect()
}
