//! What an update's bundle says of the version that a device has, undone by the device's own program and its tools.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bedplate::bundle::delta::{New, Old};
use bedplate::bundle::{Bundle, Contents, Source};
use bedplate_formats::digest::hex;
use bedplate_formats::verity::{self, Parameters};

use crate::product::{self, agrees, tool};

const TOOLS: &[&str] = &["zstd", "cryptsetup-bin", "coreutils", "dash"];

/// A version: its files, its bundle, and what its root is verified by.
struct Version {
    root: Vec<u8>,
    tree: Vec<u8>,
    root_hash: String,
    images: Vec<Source>,
}

impl Version {
    /// One whose root has these blocks.
    fn new(directory: &Path, name: &str, blocks: impl Iterator<Item = u32>) -> Self {
        let directory = directory.join(name);
        fs::create_dir_all(&directory).unwrap();
        let word = |number: u32, at: u32| number.wrapping_mul(2_654_435_761) ^ at.wrapping_mul(40_503);
        let root: Vec<u8> = blocks
            .flat_map(|number| (0..1024).map(move |at| if number == 0 { 0 } else { word(number, at) }))
            .flat_map(u32::to_le_bytes)
            .collect();
        let path = directory.join("root.img");
        fs::write(&path, &root).unwrap();
        let parameters =
            Parameters { salt: [name.len().to_le_bytes()[0]; 32], uuid: uuid::Uuid::from_u128(7) };
        let made = verity::format(&File::open(&path).unwrap(), 0..root.len() as u64, &parameters).unwrap();
        fs::write(directory.join("verity.img"), &made.device).unwrap();
        let image = |class: &str| {
            let name = format!("{class}.img");
            Source { class: class.to_owned(), path: directory.join(&name), name }
        };
        let images = vec![image("root"), image("verity")];
        Self { root, tree: made.device, root_hash: hex(&made.root_hash), images }
    }

    fn contents(&self, version: &str, extra: Vec<(String, Vec<u8>)>) -> Contents {
        Contents {
            compatible: "edge".to_owned(),
            version: version.to_owned(),
            description: None,
            build: None,
            images: self.images.clone(),
            extra,
            salt: [7; 32],
            epoch: 1_790_000_000,
        }
    }
}

/// A directory with the script, the mounted bundle of version 2 as `bundle`, and the versions.
fn scene() -> &'static (PathBuf, Version, Version) {
    static SCENE: OnceLock<(PathBuf, Version, Version)> = OnceLock::new();
    SCENE.get_or_init(|| {
        let directory = product::scratch("bundle").join("delta");
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(directory.join("bundle")).unwrap();
        let (signer, chain) = crate::bundle::signing(&directory);
        // 20 MiB with holes; in the new one is something more at the beginning, and something less at the end.
        let blocks =
            |range: std::ops::Range<u32>| range.map(|number| if number % 9 == 0 { 0 } else { number });
        let old = Version::new(&directory, "old", blocks(1..5000));
        let new = Version::new(&directory, "newer", (9000..9011).chain(blocks(1..4900)));
        crate::bundle::write(&old.contents("1", Vec::new()), &signer, &chain, &directory.join("1.raucb"));
        let delta = Old::open(&directory.join("1.raucb"))
            .unwrap()
            .delta(&New::of(&new.images).unwrap(), &directory)
            .unwrap();
        assert_eq!(delta.version, "1");
        assert!(delta.size() < 64 << 10, "{} bytes for eleven blocks", delta.size());
        assert_eq!(delta.blocks, 4096 * (11 + (new.tree.len() as u64 / 4096)));
        let bundle = directory.join("2.raucb");
        crate::bundle::write(&new.contents("2", delta.files), &signer, &chain, &bundle);
        let files = Bundle::open(&bundle).unwrap().files;
        let opened = Old::open(&bundle).unwrap();
        for (name, _) in files {
            fs::write(directory.join("bundle").join(&name), opened.read(&name).unwrap()).unwrap();
        }
        fs::copy(product::root().join("xtask/core/src/plan/scripts/delta.sh"), directory.join("delta.sh"))
            .unwrap();
        (directory, old, new)
    })
}

/// A device in a directory, with a root in its slot a and nothing in b, whose partitions are larger than they must be.
fn device(directory: &Path, name: &str, root: &[u8]) -> PathBuf {
    let device = directory.join(name);
    let _ = fs::remove_dir_all(&device);
    for part in ["root", "verity"] {
        let known = device.join(format!("state/slot.{part}.1/hash-00"));
        fs::create_dir_all(&known).unwrap();
        fs::write(known.join("block-hash-index"), [0; 32]).unwrap();
    }
    fs::create_dir_all(device.join("dev")).unwrap();
    fs::create_dir_all(device.join("run")).unwrap();
    let partition = |name: &str, content: &[u8]| {
        let path = device.join("dev").join(name);
        fs::write(&path, content).unwrap();
        File::options().write(true).open(path).unwrap().set_len(32 << 20).unwrap();
    };
    partition("root-a", root);
    partition("root-b", &[]);
    partition("verity-b", &[0x5a; 9000]);
    device
}

/// The program's call, on the device in a directory.
fn call(device: &str, bundle: &str, root_hash: &str) -> String {
    format!(
        "BEDPLATE_DEVICES={device}/dev BEDPLATE_STATE={device}/state BEDPLATE_RUN={device}/run \
         dash delta.sh {bundle} b {root_hash} 2>&1"
    )
}

#[test]
fn a_device_makes_the_new_root_and_its_hash_tree_of_the_old() {
    let (directory, old, new) = scene();
    let device = device(directory, "whole", &old.root);
    agrees(directory, TOOLS, &["sh", "-ec", &call("whole", "bundle", &old.root_hash)]);
    let partition = |name: &str| fs::read(device.join("dev").join(name)).unwrap();
    assert!(partition("root-b")[..new.root.len()] == new.root);
    assert!(partition("root-b")[new.root.len()..].iter().all(|byte| *byte == 0));
    assert!(partition("verity-b")[..new.tree.len()] == new.tree);
    assert!(partition("root-a")[..old.root.len()] == old.root);
    for part in ["root", "verity"] {
        let known = fs::read(device.join(format!("state/slot.{part}.1/hash-00/block-hash-index"))).unwrap();
        let index = fs::read(directory.join(format!("bundle/{part}.img.block-hash-index"))).unwrap();
        assert!(known == index, "RAUC is told what {part}-b holds");
    }
    assert_eq!(fs::read_dir(device.join("run")).unwrap().count(), 0, "nothing is left in memory");
}

#[test]
fn what_does_not_fit_is_said_and_left() {
    let (directory, old, new) = scene();
    // A root that is not the one it was made for, and a file that ends too early.
    device(directory, "damaged", &new.root);
    device(directory, "short", &old.root);
    let short = directory.join("short.bundle");
    let _ = fs::remove_dir_all(&short);
    fs::create_dir(&short).unwrap();
    for entry in fs::read_dir(directory.join("bundle")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), short.join(entry.file_name())).unwrap();
    }
    let frames = File::options().write(true).open(short.join(format!("delta-{}", old.root_hash))).unwrap();
    frames.set_len(frames.metadata().unwrap().len() - 100).unwrap();
    let script = ["damaged", "short"]
        .map(|name| {
            let bundle = if name == "short" { "short.bundle" } else { "bundle" };
            format!("if {}; then echo {name} is taken; fi; ls {name}/run", call(name, bundle, &old.root_hash))
        })
        .join("\n");
    let output = tool(directory, TOOLS, &["sh", "-c", &script]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = "<4>bedplate: the delta of this bundle is not used, and the update takes more bytes: \
                it is not of the root that runs\n";
    assert_eq!(said, line.repeat(2), "{}", String::from_utf8_lossy(&output.stderr));
    for name in ["damaged", "short"] {
        let known =
            fs::read(directory.join(name).join("state/slot.root.1/hash-00/block-hash-index")).unwrap();
        assert_eq!(known, [0; 32], "RAUC is told nothing");
    }
}
