//! An update bundle, judged by who installs it: RAUC, OpenSSL for the signature, squashfs-tools for the payload.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bedplate::bundle::{self, Bundle, Contents, Source};
use bedplate::certificate::{Certificate, Chain};
use bedplate::sign::Signer;
use bedplate_fixtures::certificate::{Authority, Request, SIGNER, file};
use bedplate_formats::squashfs::{self, Options};
use bedplate_formats::tree::{Node, Tree, TreePath};

use crate::product::{self, agrees, tool};
use crate::unpacked;

const RAUC: &[&str] = &["rauc", "squashfs-tools", "openssl", "dash", "coreutils", "diffutils", "sed"];
const EPOCH: u32 = 1_790_000_000;

/// A directory with a bundle, and with what a device has to check it: `device.conf`, and `other.conf` for one that
/// accepts somebody else.
fn scene(name: &str) -> PathBuf {
    let directory = product::scratch("bundle").join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    let (signer, chain) = signing(&directory);
    let image = |class: &str, blocks: u32| {
        let path = directory.join(format!("{class}.img"));
        // Every block is another, and some are holes.
        let bytes = (0..blocks).flat_map(|block| [if block % 5 == 4 { 0 } else { block }; 1024]);
        fs::write(&path, bytes.flat_map(u32::to_le_bytes).collect::<Vec<u8>>()).unwrap();
        Source { class: class.to_owned(), name: format!("{class}.img"), path }
    };
    let contents = Contents {
        compatible: "edge".to_owned(),
        version: "2".to_owned(),
        description: Some("back\\slash".to_owned()),
        build: None,
        images: vec![image("root", 3000), image("verity", 30), image("uki", 700)],
        extra: vec![("roothash".to_owned(), b"5a\n".to_vec())],
        salt: [7; 32],
        epoch: EPOCH,
    };
    write(&contents, &signer, &chain, &directory.join("edge.raucb"));
    directory
}

pub fn write(contents: &Contents, signer: &Signer, chain: &Chain, path: &Path) {
    let to = File::options().read(true).write(true).create_new(true).open(path).unwrap();
    bundle::write(contents, signer, chain, &to).unwrap();
}

/// Who signs, and in the directory what a device has to check it.
pub fn signing(directory: &Path) -> (Signer, Chain) {
    let root = Authority::new(&Request::authority("root"));
    let middle = root.below(&Request::authority("middle"));
    let other = Authority::new(&Request::authority("other"));
    let signer = middle.issue(&Request::signer("signer"), SIGNER) + &middle.certificate;
    let keyring = other.certificate.clone() + &root.certificate;
    for (name, certificates) in [("device", &keyring), ("other", &other.certificate)] {
        file(directory, &format!("{name}.pem"), certificates);
        let conf = format!(
            "[system]\ncompatible=edge\nbootloader=noop\nbundle-formats=verity\n\
             [keyring]\npath={name}.pem\ncheck-purpose=codesign\n"
        );
        file(directory, &format!("{name}.conf"), &conf);
    }
    let chain = Chain::new(
        Certificate::parse(signer.as_bytes(), "signer.pem").unwrap(),
        &Certificate::parse(keyring.as_bytes(), "device.pem").unwrap(),
        SystemTime::now(),
    );
    let key = file(directory, "key.pem", SIGNER);
    let signer = Signer::key(&key).unwrap();
    fs::remove_file(key).unwrap();
    (signer, chain.unwrap())
}

#[test]
fn rauc_accepts_what_is_signed_and_finds_every_file() {
    let directory = scene("accepted");
    let info = agrees(&directory, RAUC, &["rauc", "--conf=device.conf", "info", "edge.raucb"]);
    for words in ["'edge'", "'back\\slash'", "block-hash-index", "CN = signer", "CN = root"] {
        assert!(info.contains(words), "`{words}` is not in\n{info}");
    }
    agrees(&directory, RAUC, &["rauc", "--conf=device.conf", "extract", "edge.raucb", "out"]);
    for name in ["root.img", "verity.img", "uki.img"] {
        assert!(
            fs::read(directory.join(name)).unwrap() == fs::read(directory.join("out").join(name)).unwrap()
        );
    }
    let bundle = Bundle::open(&directory.join("edge.raucb")).unwrap();
    assert_eq!(fs::read_dir(directory.join("out")).unwrap().count(), bundle.files.len());
    // The lists of digests are those that RAUC makes.
    let own = directory.join("own");
    fs::create_dir(&own).unwrap();
    for name in ["root.img", "manifest.raucm"] {
        fs::copy(directory.join("out").join(name), own.join(name)).unwrap();
    }
    let script = "sed -i '/image.verity/,$d; /sha256/d; /size/d' own/manifest.raucm
        openssl req -x509 -newkey rsa:2048 -nodes -keyout own.key -out own.pem -subj /CN=own 2>/dev/null
        rauc bundle --cert=own.pem --key=own.key --keyring=own.pem own own.raucb >/dev/null
        unsquashfs -quiet -no-progress -dest own.out own.raucb >/dev/null
        cmp own.out/root.img.block-hash-index out/root.img.block-hash-index && echo the same";
    let said = agrees(&directory, RAUC, &["sh", "-ec", script]);
    assert!(said.contains("the same"), "{said}");
}

#[test]
fn rauc_refuses_a_changed_byte_wherever_it_is_and_another_signer() {
    let directory = scene("refused");
    let whole = fs::read(directory.join("edge.raucb")).unwrap();
    let Bundle { payload, verity, .. } = Bundle::open(&directory.join("edge.raucb")).unwrap();
    let at = |place: u64| usize::try_from(place).unwrap();
    let end = at(payload + verity.size);
    let signature = (end..whole.len()).step_by(150);
    let places =
        [0, 5000, at(payload) / 2, at(payload) - 1, at(payload), end - 1].into_iter().chain(signature);
    for place in places {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        fs::write(directory.join(format!("{place}.raucb")), bytes).unwrap();
    }
    let script = "rauc --conf=device.conf extract edge.raucb whole 2>/dev/null
        for bundle in [0-9]*.raucb; do
            if rauc --conf=device.conf extract $bundle $bundle.out >/dev/null 2>&1; then echo $bundle is accepted; fi
        done
        if rauc --conf=other.conf info edge.raucb >/dev/null 2>&1; then echo another signer is accepted; fi
        echo done";
    let said = agrees(&directory, RAUC, &["sh", "-ec", script]);
    assert_eq!(said.trim(), "done");
}

#[test]
fn openssl_verifies_the_signature() {
    let directory = scene("openssl");
    let whole = fs::read(directory.join("edge.raucb")).unwrap();
    let Bundle { payload, verity, .. } = Bundle::open(&directory.join("edge.raucb")).unwrap();
    let start = usize::try_from(payload + verity.size).unwrap();
    fs::write(directory.join("signature"), &whole[start..whole.len() - 8]).unwrap();
    let verify =
        ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "signature", "-purpose", "any"];
    let manifest = agrees(&directory, RAUC, &[&verify[..], &["-CAfile", "device.pem"]].concat());
    assert!(manifest.starts_with("[update]\ncompatible=edge\n"), "{manifest}");
    assert!(!tool(&directory, RAUC, &[&verify[..], &["-CAfile", "other.pem"]].concat()).status.success());
}

#[test]
fn unsquashfs_finds_the_tree_that_was_written() {
    let directory = product::scratch("bundle").join("squashfs");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    let mut tree = Tree::new();
    for size in [0, 1, 4096, 4097, 131_072, 1_048_577] {
        let bytes: Vec<u8> = (0..size).map(|at: u32| (at % 251).to_le_bytes()[0]).collect();
        tree.insert(format!("files/{size}").as_str().into(), Node::file(bytes, 0o4640));
    }
    let mut holes = vec![0; 3 << 20];
    holes[1 << 20] = 1;
    tree.insert("files/holes".into(), Node::file(holes, 0o600));
    tree.insert("link".into(), Node::symlink("far/".repeat(500)));
    tree.insert(TreePath::new(b"caf\xe9"), Node::directory(0o1777));
    for number in 0..1000 {
        let name = format!("many/{number}-{}", "n".repeat(number % 200));
        tree.insert(name.as_str().into(), Node::file(number.to_string(), 0o644));
    }
    for (_, node) in tree.iter_mut() {
        node.mtime = EPOCH.into();
    }
    let expected = unpacked::described(&tree);
    for block_size in [4096, 131_072, 1 << 20] {
        let path = directory.join("tree.squashfs");
        let mut file = File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap();
        squashfs::write(&tree, &Options { epoch: EPOCH, block_size }, &mut file).unwrap();
        let out = format!("out-{block_size}");
        agrees(&directory, RAUC, &["unsquashfs", "-quiet", "-no-progress", "-dest", &out, "tree.squashfs"]);
        let found = unpacked::described(&Tree::scan(Path::new(&directory.join(&out))).unwrap());
        for path in expected.keys().chain(found.keys()) {
            assert_eq!(found.get(path), expected.get(path), "{path} with blocks of {block_size}");
        }
    }
}
