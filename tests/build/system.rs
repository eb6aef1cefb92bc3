//! The system layer, held against the one mmdebstrap makes of the same packages.
//!
//! Slow: runs with `BEDPLATE_TESTS=all`, on the packages of the shared lock.

mod mmdebstrap;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::product;
use bedplate::plan::UserPlan;
use bedplate::sandbox::Sandbox;
use bedplate::step::sysprep::{clamp_mtimes, sysprep};
use bedplate::step::system::{self, Deb, Log, Options};
use bedplate::store::Store;
use bedplate_fixtures::deb;
use bedplate_formats::deb::read_control;
use bedplate_formats::digest::hex;
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};
use sha2::{Digest, Sha256};

/// Somewhat later than the newest of the packages.
static EPOCH: LazyLock<i64> = LazyLock::new(|| {
    let debs = debs();
    let controls = debs.iter().map(|deb| read_control(fs::File::open(&deb.package.deb).unwrap()).unwrap());
    let newest = controls.flat_map(|control| control.files().map(|(_, file)| file.mtime).max());
    newest.max().unwrap() + 100
});

/// What differs between the two trees after both are sysprepped, and why. A `*`
/// at the end stands for the rest of the path.
const EXPECTED: &[(&str, &str)] = &[
    ("/etc/machine-id", "its mode: systemd makes it unwritable, mmdebstrap puts an empty file there"),
    ("/etc/passwd", "ids of system accounts are given out in the order of configuration"),
    ("/etc/shadow", "as /etc/passwd, and its dates are those of SOURCE_DATE_EPOCH"),
    ("/etc/group", "as /etc/passwd"),
    ("/etc/gshadow", "as /etc/passwd"),
    ("/usr/lib/dbus-1.0/dbus-daemon-launch-helper", "its group is one of these accounts"),
    ("/var/lib/systemd/network", "its owner is one of these accounts"),
    ("/var/log/journal", "its group is one of these accounts"),
    (
        "/etc/systemd/system/timers.target.wants/apt-daily*",
        "/lib or /usr/lib, by whether systemd was there yet",
    ),
    ("/usr/lib/python3*", "byte code is checked by hash where SOURCE_DATE_EPOCH is set"),
    ("/usr/share/python3/__pycache__*", "as above"),
    ("/boot/initrd.img-*", "no initrd is made"),
    ("/initrd.img*", "no initrd is made"),
    ("/etc/apt/apt.conf.d/99mmdebstrap", "mmdebstrap's own"),
    ("/etc/apt/sources.list*", "mmdebstrap's own"),
    ("/etc/fstab", "mmdebstrap's own"),
    ("/etc/hostname", "mmdebstrap's own"),
    ("/etc/resolv.conf", "mmdebstrap's own"),
    ("/etc/.resolv.conf.systemd-resolved.bak", "a backup of mmdebstrap's /etc/resolv.conf"),
    ("/var/lib/dpkg/arch", "mmdebstrap's own"),
    ("/var/lib/dpkg/triggers/File", "the order of its lines"),
    ("/var/lib/apt/extended_states", "which packages apt took for automatically installed"),
    ("/var/lib/apt/lists/*", "made by apt when it runs"),
    ("/var/cache/apt/archives/*", "made by apt when it runs"),
    ("/var/cache/debconf/config.dat", "the order of its records"),
];

/// The packages of the lock, from the store that building the image filled.
fn debs() -> Vec<Deb> {
    product::edge_debian();
    let lock = product::locked(&product::lock());
    let store = Store::open().unwrap();
    let paths = lock.packages.iter().map(|package| store.path(&package.sha256));
    paths.map(|path| deb(path.expect("the build has fetched every package"))).collect()
}

fn deb(path: PathBuf) -> Deb {
    let control = read_control(fs::File::open(&path).unwrap()).unwrap();
    Deb {
        name: control.package().parse().unwrap(),
        version: control.version().to_owned(),
        sha256: sha256(&fs::read(&path).unwrap()).parse().unwrap(),
        package: path.into(),
    }
}

fn sandbox(root: &Path) -> Sandbox {
    Sandbox::new(root).program(Path::new(env!("CARGO_BIN_EXE_xtask")))
}

fn build(root: &Path, debs: &[Deb]) -> anyhow::Result<()> {
    build_for(root, debs, Vec::new(), *EPOCH, None).map(drop)
}

/// Returns what was printed.
fn build_for(
    root: &Path,
    debs: &[Deb],
    users: Vec<UserPlan>,
    epoch: i64,
    store: Option<&Store>,
) -> anyhow::Result<String> {
    fs::create_dir(root).unwrap();
    let options = Options {
        architecture: "amd64".into(),
        locale: "C.UTF-8".into(),
        users,
        answers: Vec::new(),
        asked: Vec::new(),
        filters: Vec::new(),
        epoch,
    };
    let log = Log::new(debs.len(), &());
    system::build(&sandbox(root), root, debs, &options, store, &log)?;
    Ok(log.into_text())
}

fn sysprepped(root: &Path) -> Tree {
    let mut tree = Tree::scan(root).unwrap();
    sysprep(&mut tree);
    clamp_mtimes(&mut tree, *EPOCH);
    tree
}

/// A node in a line, without its time.
fn described(tree: &Tree, node: &Node) -> String {
    let kind = match &node.kind {
        Kind::File(content) => format!("file {}", sha256(&content.read().unwrap())),
        Kind::Hardlink(first) => format!("file {}", sha256(&tree.content(first).unwrap().read().unwrap())),
        other => format!("{other:?}"),
    };
    // Link modes mean nothing.
    let mode = if matches!(node.kind, Kind::Symlink(_)) { 0 } else { node.mode };
    format!("{mode:o} {}:{} {:?} {kind}", node.uid, node.gid, node.xattrs)
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn lines(tree: &Tree) -> BTreeMap<String, String> {
    tree.iter().map(|(path, node)| (path.to_string(), described(tree, node))).collect()
}

fn is_expected(path: &str) -> bool {
    EXPECTED.iter().any(|(pattern, _)| match pattern.strip_suffix('*') {
        Some(beginning) => path.starts_with(beginning),
        None => path == *pattern,
    })
}

/// An archive of the packages, as apt wants it.
fn archive(directory: &Path, debs: &[Deb]) {
    let mut packages = fs::File::create(directory.join("Packages")).unwrap();
    for (index, deb) in debs.iter().enumerate() {
        let name = format!("{index}.deb");
        let bytes = fs::read(&deb.package.deb).unwrap();
        fs::write(directory.join(&name), &bytes).unwrap();
        let control = read_control(&bytes[..]).unwrap();
        let text = control.stanza().text().trim_end();
        writeln!(packages, "{text}\nFilename: ./{name}\nSize: {}\nSHA256: {}\n", bytes.len(), sha256(&bytes))
            .unwrap();
    }
}

fn mmdebstrap(name: &str, debs: &[Deb], work: &Path) {
    archive(work, debs);
    let names: Vec<&str> = debs.iter().map(|deb| deb.name.as_str()).collect();
    let arguments = [
        "mmdebstrap",
        "--mode=root",
        "--variant=essential",
        "--aptopt=APT::Install-Recommends \"false\"",
        &format!("--include={}", names.join(",")),
        "",
        &format!("/run/oracle/{name}"),
        "deb [trusted=yes] copy:///run/oracle ./",
    ];
    let tools = product::success(
        product::xtask().args(["tools", "--image", "edge-debian"]).args(mmdebstrap::PACKAGES),
    );
    sandbox(Path::new(tools.trim()))
        .read_only()
        .bind(work, "/run/oracle")
        .run(arguments)
        .unwrap_or_else(|e| panic!("{e:#}"));
}

#[test]
fn the_system_is_the_one_mmdebstrap_makes_and_the_same_every_time() {
    if !product::all() {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let debs = debs();
    let root = |name: &str| work.path().join(name);
    build(&root("ours"), &debs).unwrap();
    // Once more, from what was kept of a system with a package less, at an earlier date.
    let store = Store::at(&root("store")).unwrap();
    let kept = |name, debs: &[Deb], epoch| build_for(&root(name), debs, Vec::new(), epoch, Some(&store));
    let less: Vec<Deb> = debs.iter().filter(|deb| deb.name != "zstd").cloned().collect();
    let printed = kept("less", &less, *EPOCH - 50).unwrap();
    let again = kept("again", &debs, *EPOCH).unwrap();
    // No two keys are the same: the scripts that made them did not run again.
    let key = printed.lines().find(|line| line.contains("SHA256:")).unwrap();
    assert!(again.contains(key) && again.contains("Setting up zstd"), "{again}");
    let (ours, again) = (sysprepped(&root("ours")), sysprepped(&root("again")));
    let with_times = |tree: &Tree| {
        let line =
            |(path, node): (&TreePath, &Node)| format!("{path} {} {}", node.mtime, described(tree, node));
        tree.iter().map(line).collect::<Vec<_>>()
    };
    let first = with_times(&ours);
    for (one, other) in first.iter().zip(&with_times(&again)) {
        assert_eq!(one, other);
    }
    assert_eq!(ours.len(), again.len());

    let verified = sandbox(&root("ours")).run(["dpkg", "--verify"]).unwrap();
    assert_eq!(verified, "", "dpkg finds files that are not as packages ship them");

    mmdebstrap("theirs", &debs, work.path());
    let (ours, theirs) = (lines(&ours), lines(&sysprepped(&root("theirs"))));
    let mut differences = Vec::new();
    for path in ours.keys().chain(theirs.keys().filter(|path| !ours.contains_key(*path))) {
        if ours.get(path) != theirs.get(path) && !is_expected(path) {
            differences.push(format!("{path}\n  {:?}\n  {:?}", ours.get(path), theirs.get(path)));
        }
    }
    assert!(differences.is_empty(), "ours, then mmdebstrap's:\n{}", differences.join("\n"));
}

#[test]
fn a_maintainer_script_that_fails_is_named_with_its_last_words() {
    if !product::all() {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let mut base = debs();
    let controls: Vec<_> =
        base.iter().map(|d| read_control(fs::File::open(&d.package.deb).unwrap()).unwrap()).collect();
    let needed = bedplate_formats::unpack::base_system(&controls);
    let mut index = 0..;
    base.retain(|_| needed.contains(&index.next().unwrap()));
    let with = |name: &str, script: &str, text: &str, more: &str| {
        let path = work.path().join(format!("{name}.deb"));
        fs::write(&path, deb::package(name, more, script, text)).unwrap();
        let mut debs = base.clone();
        debs.push(deb(path));
        let error = build(&work.path().join(name), &debs).unwrap_err();
        format!("{error:#}")
    };
    let errors = [
        with("broken", "postinst", "#!/bin/sh\necho no such user\nexit 7\n", ""),
        with("early", "preinst", "#!/bin/sh\necho not today >&2\nexit 3\n", ""),
        with("lonely", "postinst", "#!/bin/sh\n", "Depends: nowhere\n"),
    ];
    expect_test::expect![[r#"
        `postinst` of the package `broken` failed with exit code 7:
          no such user
        `preinst` of the package `early` failed with exit code 3:
          not today
        the package `lonely` could not be configured: dependency problems - leaving unconfigured:
           lonely depends on nowhere; however:
            Package nowhere is not installed."#]]
    .assert_eq(&errors.join("\n"));
}

#[test]
fn a_module_that_comes_after_its_kernel_is_listed() {
    if !product::all() {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let script = "#!/bin/sh\nset -e\nfor modules in /usr/lib/modules/*; do\n    mkdir \"$modules/extra\"\n    \
        cp \"$modules\"/kernel/drivers/block/nbd.ko.xz \"$modules/extra/late.ko.xz\"\ndone\n";
    let path = work.path().join("late.deb");
    fs::write(&path, deb::package("late", "", "postinst", script)).unwrap();
    let mut debs = debs();
    debs.push(deb(path));
    let root = work.path().join("root");
    build(&root, &debs).unwrap();
    let kernels: Vec<_> = fs::read_dir(root.join("usr/lib/modules")).unwrap().map(Result::unwrap).collect();
    let [kernel] = &kernels[..] else { panic!("{kernels:?}") };
    let listed = fs::read_to_string(kernel.path().join("modules.dep")).unwrap();
    assert!(listed.contains("extra/late.ko.xz:") && listed.contains("kernel/drivers/block/nbd.ko.xz:"));
    assert!(!kernel.path().join("bedplate-depmod.begun").exists());
}
