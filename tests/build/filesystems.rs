//! A tree with one of everything, on each root file system, read back by the
//! file system's own tool.

mod written;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::product::{self, agrees, success, xtask};
use crate::unpacked;
use bedplate::artifacts::Spare;
use bedplate::image::partition::Partition;
use bedplate::sandbox::Sandbox;
use bedplate::step::root::Options;
use bedplate::store::Store;
use bedplate::{Erofs, Esp, Ext4, GiB, Image, MiB, Plan, Root, Squashfs, Target, step};
use bedplate_formats::digest::{self, Place, Sha256};
use bedplate_formats::filesystem::{Filesystem, FilesystemError};
use bedplate_formats::region::Region;
use bedplate_formats::sparse;
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};

const EPOCH: i64 = 1_790_000_000;

/// One of everything that a system of packages holds.
fn sample() -> Tree {
    let own = |node: Node, mode, uid, gid| Node { mode, uid, gid, mtime: 1_234_567_890, ..node };
    let mut tree = Tree::new();
    let mut put = |path: &[u8], node: Node| tree.insert(TreePath::new(path), node);
    put(b"bin/su", own(Node::file("set-uid", 0), 0o4755, 0, 0));
    put(b"bin/expiry", own(Node::file("set-gid", 0), 0o2755, 0, 42));
    put(b"bin/perl", own(Node::file("one file", 0), 0o755, 0, 0));
    put(
        b"bin/perl5",
        Node { kind: Kind::Hardlink("bin/perl".into()), ..own(Node::file("", 0), 0o755, 0, 0) },
    );
    let mut capable = own(Node::file("capable", 0), 0o755, 0, 0);
    let net_raw = vec![1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    capable.xattrs.insert(b"security.capability".to_vec(), net_raw);
    put(b"bin/ping", capable);
    put(b"etc/empty", own(Node::file("", 0), 0o600, 0, 0));
    put(b"etc/link", own(Node::symlink("../bin/su"), 0o777, 0, 0));
    put(b"etc/far", own(Node::symlink("far/".repeat(60)), 0o777, 0, 0));
    put(b"etc/caf\xe9", own(Node::file("no UTF-8", 0), 0o644, 0, 0));
    put("etc/Főtanúsítvány".as_bytes(), own(Node::file("UTF-8", 0), 0o644, 0, 0));
    put(b"etc/a\\b c'\"", own(Node::file("quotes", 0), 0o644, 0, 0));
    put(b"tmp", own(Node::directory(0), 0o1777, 0, 0));
    put(b"var/log/journal", own(Node::directory(0), 0o2755, 0, 998));
    put(b"var/nobody", own(Node::file(vec![7; 300_000], 0), 0o640, 65534, 65534));
    put("deep/".repeat(40).as_bytes(), own(Node::directory(0), 0o700, 1000, 1000));
    let long = ["deep/".repeat(40), "n".repeat(255)].concat();
    put(long.as_bytes(), own(Node::file("long", 0), 0o644, 1000, 1000));
    // A squashfs' root has the time of the whole.
    tree.get_mut(&TreePath::root()).unwrap().mtime = EPOCH;
    tree
}

fn plan(root: impl Into<Partition>) -> Plan {
    let image = Image::debian("trixie").package("linux-image-amd64");
    let image = image.partition(Esp::new(MiB(128))).partition(root);
    image.plan_for("sample", &Target::default()).unwrap()
}

/// Writes the sample twice, which must give the same bytes, and returns where.
fn written(name: &str, plan: &Plan) -> PathBuf {
    let packages = ["erofs-utils", "squashfs-tools", "e2fsprogs", "libarchive13t64"];
    let tools = success(xtask().args(["tools", "--image", "edge-debian"]).args(packages));
    let sandbox = Sandbox::new(Path::new(tools.trim())).read_only();
    let sandbox = sandbox.program(Path::new(env!("CARGO_BIN_EXE_xtask")));
    let directory = product::scratch("filesystems").join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir(&directory).unwrap();
    // What the description adds is compressed beside what the packages brought.
    let (tree, mut base) = (sample(), sample());
    for added in [&b"etc/caf\xe9"[..], b"etc/empty", b"var/nobody", b"deep"] {
        base.remove(&TreePath::new(added)).unwrap();
    }
    let (root, sector_size) = (&plan.disk.root, plan.disk.sector_size);
    let options = Options { root, sector_size, epoch: EPOCH, slots: true, tools: &sandbox };
    let [one, other] = ["root", "again"].map(|file| {
        let store = Store::at(&directory.join(file).with_extension("store")).unwrap();
        let raw = directory.join(file).with_extension("raw");
        let progress = Mutex::new((0, 0));
        let told = |done, all| *progress.lock().unwrap() = (done, all);
        let disk = tempfile::tempfile().unwrap();
        let (_, hashed) = step::root::write(
            options,
            (&store, "sample"),
            (&base, &tree),
            (raw.as_path().try_into().unwrap(), &Spare::of(directory.as_path().try_into().unwrap())),
            Some(Place { file: &disk, at: 1 << 20, before: None }),
            &told,
        )
        .unwrap();
        let (done, all) = *progress.lock().unwrap();
        assert!(done == all && all > 0, "it ended at {done} of {all} bytes");
        let raw = std::fs::read(raw).unwrap();
        if let Some(hashed) = hashed {
            let blocks = |begun| digest::of_blocks(&begun, &raw);
            assert_eq!(hashed.sha256, Sha256::of(&raw));
            let mut on_disk = vec![0; raw.len()];
            disk.read_exact_at(&mut on_disk, 1 << 20).unwrap();
            assert!(on_disk == raw, "the disk has another root");
            assert_eq!(hashed.index, Some(blocks(Sha256::default())));
            let salted = root.verity.as_ref().map(|verity| Sha256::begin(&verity.salt));
            assert_eq!(hashed.salted, salted.map(blocks));
        }
        raw
    });
    assert!(one == other, "the same tree gave two {name}");
    directory
}

fn expect(expected: &Tree, directory: &Path) {
    let found = unpacked::described(&Tree::scan(&directory.join("root")).unwrap());
    let expected = unpacked::described(expected);
    for path in expected.keys().chain(found.keys()) {
        assert_eq!(found.get(path), expected.get(path), "{path}");
    }
}

/// Our own reader finds the tree, and damage makes it fail and nothing worse.
fn reads(directory: &Path) {
    let raw = directory.join("root.raw");
    let filesystem = open(&raw).unwrap();
    let found = unpacked::described(&filesystem.tree().unwrap());
    // Without attributes, and a name of a file that has several for a file.
    let mut expected = sample();
    for (path, _) in sample().iter() {
        let content = expected.content(path).cloned();
        let node = expected.get_mut(path).unwrap();
        node.xattrs.clear();
        if let (Kind::Hardlink(_), Some(content)) = (&node.kind, content) {
            node.kind = Kind::File(content);
        }
    }
    let expected = unpacked::described(&expected);
    for path in expected.keys().chain(found.keys()) {
        // mke2fs makes it, for what its check finds.
        if path != "/lost+found" {
            assert_eq!(found.get(path), expected.get(path), "{path}");
        }
    }
    damaged(&raw);
}

/// Flips bytes that are not zero, one after the other: nothing may panic or hang.
fn damaged(whole: &Path) {
    let path = whole.with_extension("damaged");
    let _ = std::fs::remove_file(&path);
    let whole = File::open(whole).unwrap();
    let length = whole.metadata().unwrap().len();
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    sparse::copy(&whole, 0..length, &file, 0).unwrap();
    let mut set = Vec::new();
    for extent in sparse::extents(&whole, 0..length).unwrap() {
        let mut bytes = vec![0; usize::try_from(extent.end - extent.start).unwrap()];
        whole.read_exact_at(&mut bytes, extent.start).unwrap();
        set.extend((extent.start..).zip(bytes).filter(|(_, byte)| *byte != 0));
    }
    let places = if product::all() { 150 } else { 25 };
    for &(at, byte) in set.iter().step_by((set.len() / places).max(1)) {
        for flip in [0xff, 0x01, 0x80] {
            file.write_all_at(&[byte ^ flip], at).unwrap();
            if let Ok(filesystem) = open(&path) {
                // What can still be read is the damage's affair.
                let _ = filesystem.tree();
            }
        }
        file.write_all_at(&[byte], at).unwrap();
    }
    std::fs::remove_file(path).unwrap();
}

fn open(path: &Path) -> Result<Filesystem, FilesystemError> {
    Filesystem::open(&Region::of(File::open(path).unwrap()).unwrap())
}

#[test]
fn an_erofs_of_any_kind_is_read() {
    let directory = product::scratch("filesystems").join("kinds");
    let _ = std::fs::remove_dir_all(&directory);
    let tree = directory.join("tree");
    std::fs::create_dir_all(tree.join("below")).unwrap();
    let text =
        |from: u32, to: u32| (from..to).map(|n| format!("line {n} of {}\n", n * n)).collect::<String>();
    // Compressible, and then not; tails, holes, and what is found twice.
    let noise: Vec<u8> =
        (0..150_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[7]).collect();
    let mut mixed = text(0, 20_000).into_bytes();
    mixed.extend(&noise);
    mixed.extend(text(5_000, 9_000).into_bytes());
    for (name, content) in [
        ("text", text(0, 40_000).into_bytes()),
        ("zeros", vec![0; 1 << 20]),
        ("mixed", mixed.clone()),
        ("twice", [&b"moved"[..], &mixed].concat()),
        ("noise", noise),
        ("small", b"small\n".to_vec()),
        ("block", text(0, 400).into_bytes()[..4096].to_vec()),
        ("empty", Vec::new()),
        ("below/tail", text(7, 500).into_bytes()),
    ] {
        std::fs::write(tree.join(name), content).unwrap();
    }
    let names: Vec<String> = (0..400).map(|n| format!("below/{n:0100}")).collect();
    names.iter().for_each(|name| std::fs::write(tree.join(name), name).unwrap());
    let contents = |tree: &Tree| -> BTreeMap<String, Option<Vec<u8>>> {
        let read = |path| tree.content(path).map(|content| content.read().unwrap());
        tree.iter().map(|(path, _)| (path.to_string(), read(path))).collect()
    };
    let expected = contents(&Tree::scan(&tree).unwrap());
    for kind in [
        "",
        "-zlz4",
        "-zlz4hc,level=6 -C65536",
        "-zzstd,level=3 -C65536",
        "-zlz4 -Eztailpacking,fragments",
        "-zlz4hc -C16384 -Eall-fragments",
        "-zzstd -C65536 -Efragments,dedupe",
        "-zdeflate -Eztailpacking",
        "-zlz4 -C65536 --max-extent-bytes=65536",
        "--chunksize=8192",
        "-Eforce-inode-compact",
        "-Eforce-inode-extended",
        "-b1024",
    ] {
        let mut argv = vec!["mkfs.erofs", "--quiet"];
        argv.extend(kind.split_whitespace().chain(["kind.raw", "tree"]));
        let _ = std::fs::remove_file(directory.join("kind.raw"));
        agrees(&directory, &["erofs-utils"], &argv);
        let filesystem = open(&directory.join("kind.raw")).unwrap();
        let found = contents(&filesystem.tree().unwrap_or_else(|error| panic!("{kind}: {error:?}")));
        assert!(found == expected, "{kind}: another tree");
        if product::all() {
            damaged(&directory.join("kind.raw"));
        }
    }
}

#[test]
fn an_erofs_holds_the_tree() {
    let directory = written("erofs", &plan(Root::new(Erofs).verity()));
    let argv = ["fsck.erofs", "--extract=root", "--preserve", "--xattrs", "root.raw"];
    agrees(&directory, &["erofs-utils"], &argv);
    // It gives files their owner last, at which the kernel takes their capabilities away.
    let mut expected = sample();
    let capable = expected.get_mut(&"bin/ping".into()).unwrap();
    let value = std::mem::take(&mut capable.xattrs).remove(&b"security.capability"[..]).unwrap();
    expect(&expected, &directory);
    // Name index 6 is `security.`.
    let entry = [&[10, 6, 20, 0], &b"capability"[..], &value].concat();
    let bytes = std::fs::read(directory.join("root.raw")).unwrap();
    assert!(bytes.windows(entry.len()).any(|window| window == entry), "the capability is gone");
    reads(&directory);
}

#[test]
fn a_squashfs_holds_the_tree() {
    let directory = written("squashfs", &plan(Root::new(Squashfs).verity()));
    agrees(
        &directory,
        &["squashfs-tools"],
        &["unsquashfs", "-quiet", "-no-progress", "-d", "root", "root.raw"],
    );
    expect(&sample(), &directory);
    reads(&directory);
}

#[test]
fn an_ext4_holds_the_tree() {
    let directory = written("ext4", &plan(Root::new(Ext4).size(GiB(1))));
    agrees(&directory, &["e2fsprogs"], &["fsck.ext4", "-fn", "root.raw"]);
    let argv = ["debugfs", "-f", "script", "root.raw"];
    let tree = sample();
    // A name in quotes, in which a quote is doubled.
    let quoted = |path: &TreePath| {
        let doubled = path.to_bytes().split(|&b| b == b'"').collect::<Vec<_>>().join(&b"\"\""[..]);
        [b"\"/", &doubled[..], b"\""].concat()
    };
    let paths: Vec<&TreePath> = tree.iter().map(|(path, _)| path).collect();
    let script: Vec<Vec<u8>> =
        paths.iter().map(|path| [b"stat ", &quoted(path)[..], b"\n"].concat()).collect();
    std::fs::write(directory.join("script"), script.concat()).unwrap();
    let said = product::tool(&directory, &["e2fsprogs"], &argv);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let stats: Vec<&str> = said.split("debugfs: stat ").skip(1).collect();
    assert_eq!(stats.len(), paths.len(), "{said}");
    let inode = |stat: &str| field(stat, "Inode:");
    for (path, stat) in paths.iter().zip(&stats) {
        let node = tree.get(path).unwrap();
        assert_eq!(u32::from_str_radix(&field(stat, "Mode:"), 8).unwrap(), node.mode, "{stat}");
        assert_eq!(
            (field(stat, "User:"), field(stat, "Group:")),
            (node.uid.to_string(), node.gid.to_string())
        );
        assert!(stat.contains(&format!(" mtime: 0x{:08x}", node.mtime)), "{stat}");
        let (kind, size) = match &node.kind {
            Kind::File(content) => ("regular", content.len()),
            Kind::Hardlink(first) => {
                let at = paths.iter().position(|path| *path == first).unwrap();
                assert_eq!(inode(stat), inode(stats[at]));
                ("regular", tree.content(path).unwrap().len())
            }
            Kind::Symlink(target) => ("symlink", target.len() as u64),
            _ => ("directory", 4096),
        };
        assert_eq!((field(stat, "Type:").as_str(), field(stat, "Size:")), (kind, size.to_string()), "{stat}");
        for (name, value) in &node.xattrs {
            let hex: Vec<String> = value.iter().map(|byte| format!("{byte:02x}")).collect();
            let line = format!("{} ({}) = {}", String::from_utf8_lossy(name), value.len(), hex.join(" "));
            assert!(stat.contains(&line), "{line} is not in {stat}");
        }
    }
    // Contents, and that there is nothing else.
    std::fs::create_dir(directory.join("root")).unwrap();
    agrees(&directory, &["e2fsprogs"], &["debugfs", "-R", "rdump / root", "root.raw"]);
    let found = Tree::scan(&directory.join("root")).unwrap();
    let contents = |tree: &Tree| -> BTreeMap<String, Option<Vec<u8>>> {
        let read = |path: &TreePath| match &tree.get(path).unwrap().kind {
            Kind::File(_) | Kind::Hardlink(_) => tree.content(path).map(|content| content.read().unwrap()),
            Kind::Symlink(target) => Some(target.clone()),
            _ => None,
        };
        let mut contents: BTreeMap<_, _> =
            tree.iter().map(|(path, _)| (path.to_string(), read(path))).collect();
        contents.remove("/lost+found");
        contents
    };
    assert_eq!(contents(&found), contents(&tree));
    reads(&directory);
}

/// The word behind a name in what debugfs says of a file.
fn field(stat: &str, name: &str) -> String {
    let (_, rest) = stat.split_once(name).unwrap_or_else(|| panic!("no {name} in {stat}"));
    rest.split_whitespace().next().unwrap().to_owned()
}
