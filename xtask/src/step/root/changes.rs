//! Whether two nodes are the same.

use bedplate_formats::tree::{Content, Kind, Node};

/// Whether two nodes are the same, as far as can be seen without reading files.
pub(in crate::step) fn same(one: &Node, other: &Node) -> bool {
    let attributes = |node: &Node| (node.mode, node.uid, node.gid, node.mtime);
    let kinds = match (&one.kind, &other.kind) {
        (Kind::Directory, Kind::Directory) | (Kind::Fifo, Kind::Fifo) => true,
        (Kind::File(one), Kind::File(other)) => match (one, other) {
            (Content::Bytes(one), Content::Bytes(other)) => one == other,
            (Content::File { path: one, .. }, Content::File { path: other, .. }) => one == other,
            _ => false,
        },
        (Kind::Symlink(one), Kind::Symlink(other)) => one == other,
        (Kind::Hardlink(one), Kind::Hardlink(other)) => one == other,
        (Kind::CharDevice(a, b), Kind::CharDevice(c, d))
        | (Kind::BlockDevice(a, b), Kind::BlockDevice(c, d)) => (a, b) == (c, d),
        _ => false,
    };
    kinds && attributes(one) == attributes(other) && one.xattrs == other.xattrs
}
