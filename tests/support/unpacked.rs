//! The system of a built image, unpacked by erofs' own tool, as a tree.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;
use std::path::Path;

use bedplate_formats::tree::{Kind, Node, Tree};
use sha2::{Digest as _, Sha256};

use crate::product::{agrees, scratch};

/// The root file system among the artifacts in `out`; unpacked below a name.
pub fn unpacked(out: &Path, name: &str) -> Tree {
    let directory = scratch(name);
    let root = directory.join("root");
    if root.exists() {
        std::fs::remove_dir_all(&root).unwrap();
    }
    let raw = directory.join("root.raw");
    let _ = std::fs::remove_file(&raw);
    std::fs::hard_link(out.join("image.root-x86-64.raw"), &raw)
        .or_else(|_| std::fs::copy(out.join("image.root-x86-64.raw"), &raw).map(drop))
        .unwrap();
    let argv = ["fsck.erofs", "--extract=root", "--overwrite", "--preserve", "--xattrs", "root.raw"];
    agrees(&directory, &["erofs-utils"], &argv);
    Tree::scan(&root).unwrap()
}

/// Everything about every file, a line each.
pub fn described(tree: &Tree) -> BTreeMap<String, String> {
    tree.iter().map(|(path, node)| (path.to_string(), line(tree, node))).collect()
}

fn line(tree: &Tree, node: &Node) -> String {
    let digest = |bytes: Vec<u8>| -> String {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let kind = match &node.kind {
        Kind::File(content) => format!("file {}", digest(content.read().unwrap())),
        Kind::Hardlink(first) => {
            format!("link to {first} {}", digest(tree.content(first).unwrap().read().unwrap()))
        }
        other => format!("{other:?}"),
    };
    format!("{:o} {}:{} at {} {:?} {kind}", node.mode, node.uid, node.gid, node.mtime, node.xattrs)
}
