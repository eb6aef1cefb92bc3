//! An EROFS of our own writer, as its own tools and the kernel read it.

use std::path::Path;
use std::process::Command;

use bedplate_formats::erofs::write::{Compressor, Options, write};
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};

use super::{EPOCH, expect, reads, sample};
use crate::product::{self, agrees};

/// The sample, and what is compressed, long or of many files.
fn larger() -> Tree {
    let mut tree = sample();
    let own = |node: Node| Node { uid: 1000, gid: 70_000, mtime: 1_234_567_890, ..node };
    let text = |length: usize| {
        let lines = (0..).flat_map(|n: u64| format!("line {n} of {}\n", n * n).into_bytes());
        lines.take(length).collect::<Vec<u8>>()
    };
    let noise = |length: u64| {
        let bytes =
            (0..length).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).to_le_bytes()[3]);
        bytes.collect::<Vec<u8>>()
    };
    for length in [1, 4031, 4032, 4033, 4096, 4097, 8192, 65_536, 70_001, 9_000_000] {
        tree.insert(format!("kinds/text{length}").as_str().into(), own(Node::file(text(length), 0o644)));
        let mixed = [text(length), noise(20_000), vec![0; length]].concat();
        tree.insert(format!("kinds/mixed{length}").as_str().into(), own(Node::file(mixed, 0o644)));
    }
    for length in [4095, 5000, 300_000] {
        tree.insert(format!("kinds/noise{length}").as_str().into(), own(Node::file(noise(length), 0o644)));
    }
    for n in 0..700 {
        let name = format!("many/{n:0width$}", width = 1 + n % 250);
        tree.insert(name.as_str().into(), Node { mtime: EPOCH, ..Node::file(name, 0o644) });
    }
    tree.insert("many".into(), own(Node::directory(0o755)));
    tree.insert("kinds".into(), own(Node::directory(0o755)));
    tree.insert("kinds/long".into(), own(Node::symlink("far/".repeat(1023))));
    for name in ["bin/su", "bin/perl", "etc/empty", "kinds/mixed70001", "many"] {
        let attributes = &mut tree.get_mut(&name.into()).unwrap().xattrs;
        attributes.insert(b"user.shared".to_vec(), b"the same of each".to_vec());
        attributes.insert(b"user.own".to_vec(), name.into());
    }
    // A further name has the attributes of the file.
    let perl = tree.get(&"bin/perl".into()).unwrap().xattrs.clone();
    tree.get_mut(&"bin/perl5".into()).unwrap().xattrs = perl;
    tree
}

/// With what takes root to be made of an image again.
fn with_devices(mut tree: Tree) -> Tree {
    for (name, kind) in [
        ("null", Kind::CharDevice(1, 3)),
        ("far", Kind::CharDevice(4000, 0xf_0123)),
        ("disk", Kind::BlockDevice(259, 70_000)),
        ("pipe", Kind::Fifo),
    ] {
        let node = Node { kind, mtime: EPOCH, ..Node::file("", 0o640) };
        tree.insert(TreePath::new("dev").join(name), node);
    }
    tree.get_mut(&"dev".into()).unwrap().mtime = EPOCH;
    tree
}

fn written(name: &str, tree: &Tree, compressor: Compressor) -> std::path::PathBuf {
    let directory = product::scratch("filesystems").join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir(&directory).unwrap();
    let options = Options { uuid: uuid::Uuid::from_u128(7), epoch: EPOCH, compressor };
    let mut bytes = Vec::new();
    write(tree, &options, &mut bytes).unwrap();
    std::fs::write(directory.join("root.raw"), bytes).unwrap();
    directory
}

const COMPRESSORS: [(&str, Compressor); 4] = [
    ("none", Compressor::None),
    ("lz4", Compressor::Lz4),
    ("lz4hc", Compressor::Lz4hc { level: 6 }),
    ("zstd", Compressor::Zstd { level: 3 }),
];

#[test]
fn an_erofs_of_ours_is_the_same_to_its_tools() {
    for (name, compressor) in COMPRESSORS {
        let directory = written(&format!("ours-{name}"), &larger(), compressor);
        let argv = ["fsck.erofs", "--extract=root", "--preserve", "--xattrs", "root.raw"];
        agrees(&directory, &["erofs-utils"], &argv);
        // It gives files their owner last, at which the kernel takes their capabilities away.
        let mut expected = larger();
        expected.get_mut(&"bin/ping".into()).unwrap().xattrs.clear();
        expect(&expected, &directory);
        let shown = agrees(&directory, &["erofs-utils"], &["dump.erofs", "-s", "root.raw"]);
        let inodes = larger().iter().filter(|(_, node)| !matches!(node.kind, Kind::Hardlink(_))).count();
        let line =
            |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
        assert!(line("Filesystem inode count").ends_with(&format!(" {inodes}")), "{shown}");
        assert!(shown.contains("00000000-0000-0000-0000-000000000007"), "{shown}");
    }
    reads(&written("ours-sample", &sample(), Compressor::Lz4hc { level: 6 }));
}

/// As root with loop devices; elsewhere there is nobody to be asked.
#[test]
fn an_erofs_of_ours_is_the_same_to_the_kernel() {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !rustix::process::geteuid().is_root() || !known.contains("erofs") || !Path::new("/dev/loop0").exists()
    {
        return;
    }
    for (name, compressor) in COMPRESSORS {
        let tree = with_devices(larger());
        let directory = written(&format!("ours-mounted-{name}"), &tree, compressor);
        std::fs::create_dir(directory.join("mounted")).unwrap();
        // The mount is gone with its namespace, and the loop device with the mount.
        let script = "mount -t erofs -o ro,loop root.raw mounted && cp -a mounted root";
        let output = Command::new("unshare")
            .args(["--mount", "--propagation=private", "sh", "-c", script])
            .current_dir(&directory)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if said.contains("failed to setup loop device") || said.contains("unshare failed") {
            return;
        }
        assert!(output.status.success(), "{name}: {said}");
        expect(&tree, &directory);
    }
}
