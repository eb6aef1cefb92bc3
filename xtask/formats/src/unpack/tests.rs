use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::deb::builder::DebBuilder;
use crate::tree::{Kind, Tree, TreePath};

/// A directory with packages in it and a root to unpack them into.
struct Bench {
    directory: tempfile::TempDir,
    debs: Vec<PathBuf>,
}

impl Bench {
    fn new(packages: impl IntoIterator<Item = DebBuilder>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut debs = Vec::new();
        for (index, package) in packages.into_iter().enumerate() {
            let path = directory.path().join(format!("{index}.deb"));
            std::fs::write(&path, package.deb(".gz", ".zst")).unwrap();
            debs.push(path);
        }
        std::fs::create_dir(directory.path().join("root")).unwrap();
        std::fs::write(directory.path().join("outside"), "untouched").unwrap();
        Self { directory, debs }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    fn staging(&self) -> PathBuf {
        self.directory.path().join("staging")
    }

    fn packages(&self) -> Vec<Package> {
        self.debs.iter().cloned().map(Package::from).collect()
    }

    fn unpack(&self) -> Result<Tree, UnpackError> {
        unpack(&self.debs, &self.root(), &self.staging())?;
        Ok(Tree::scan(&self.root()).unwrap())
    }

    fn refusal(&self) -> String {
        let error = self.unpack().unwrap_err();
        assert_eq!(std::fs::read_to_string(self.directory.path().join("outside")).unwrap(), "untouched");
        error.to_string()
    }
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.iter().map(|(path, _)| path.to_string()).collect()
}

#[test]
fn what_leads_out_of_the_root_is_refused() {
    let one = |package| Bench::new([package]).refusal();
    let refusals = [
        one(DebBuilder::new("evil", "").file("./../outside", "x")),
        one(DebBuilder::new("evil", "").file("usr/../../outside", "x")),
        one(DebBuilder::new("evil", "").symlink("./up", "../../..").file("./up/outside", "x")),
        one(DebBuilder::new("evil", "").symlink("./up", "/../..").file("./up/outside", "x")),
        one(DebBuilder::new("evil", "").hardlink("./mine", "../outside")),
        one(DebBuilder::new("evil", "").hardlink("./mine", "/etc/shadow")),
        one(DebBuilder::new("evil", "").symlink("./a", "b").symlink("./b", "a").file("./a/x", "x")),
        one(DebBuilder::new("evil", "").file("./a", "").file("./a/b", "")),
        one(DebBuilder::new("evil", "").file("./a\nb", "")),
    ];
    expect_test::expect![[r#"
        package `evil` holds `../outside`, which leads out of the root directory
        package `evil` holds `usr/../../outside`, which leads out of the root directory
        package `evil` holds `/up/outside`, which leads out of the root directory
        package `evil` holds `/up/outside`, which leads out of the root directory
        package `evil` holds `../outside`, which leads out of the root directory
        package `evil` holds `/mine`, a hard link to `etc/shadow`, which is no file before it
        package `evil` holds `/a/x`, but `/a` is no directory
        package `evil` holds `/a/b`, but `/a` is no directory
        package `evil` holds a path with a line feed: `a\nb`"#]]
    .assert_eq(&refusals.join("\n"));
}

#[test]
fn an_absolute_link_leads_to_the_same_path_inside_the_root() {
    let bench = Bench::new([DebBuilder::new("a", "")
        .symlink("./tmp-link", "/tmp")
        .file("./tmp-link/led-astray", "x")]);
    let tree = bench.unwrap_tree();
    assert_eq!(paths(&tree), ["/", "/tmp", "/tmp/led-astray", "/tmp-link"]);
    assert!(!Path::new("/tmp/led-astray").exists());
}

#[test]
fn a_link_that_stands_on_the_disk_does_not_lead_out_either() {
    let bench = Bench::new([DebBuilder::new("a", "").directory("./d/").file("./d/outside", "x")]);
    std::os::unix::fs::symlink("..", bench.root().join("d")).unwrap();
    let _ = bench.unpack();
    assert_eq!(std::fs::read_to_string(bench.directory.path().join("outside")).unwrap(), "untouched");
}

#[test]
fn what_has_no_place_in_a_package_is_refused() {
    let one = |package| Bench::new([package]).refusal();
    let refusals = [
        one(DebBuilder::new("evil", "").entry(tar::EntryType::Block, "./dev/sda", 0o666, "", b"")),
        one(DebBuilder::new("evil", "").entry(tar::EntryType::Char, "./dev/mem", 0o666, "", b"")),
        one(DebBuilder::new("evil", "").entry(tar::EntryType::Fifo, "./run/initctl", 0o666, "", b"")),
        one(DebBuilder::new("evil", "").entry(tar::EntryType::GNUSparse, "./sparse", 0o666, "", b"")),
        one(DebBuilder::new("evil", "").entry(tar::EntryType::Regular, "./sh", 0o4777, "", b"")),
    ];
    expect_test::expect![[r#"
        package `evil` holds `/dev/sda`, a block device, which has no place in a package
        package `evil` holds `/dev/mem`, a character device, which has no place in a package
        package `evil` holds `/run/initctl`, a named pipe, which has no place in a package
        package `evil` holds `/sparse`, a sparse file, which has no place in a package
        package `evil` holds `/sh`, a set-id file that everyone may write"#]]
    .assert_eq(&refusals.join("\n"));
}

#[test]
fn a_truncated_package_is_named() {
    let bench = Bench::new([DebBuilder::new("a", "").file("./a", "x")]);
    let bytes = std::fs::read(&bench.debs[0]).unwrap();
    std::fs::write(&bench.debs[0], &bytes[..bytes.len() - 20]).unwrap();
    let error = bench.unpack().unwrap_err();
    assert!(matches!(&error, UnpackError::Deb { path, .. } if *path == bench.debs[0]), "{error}");
}

#[test]
fn modes_times_and_links_are_as_the_package_says() {
    let bench = Bench::new([DebBuilder::new("a", "")
        .entry(tar::EntryType::Directory, "./closed/", 0o1500, "", b"")
        .entry(tar::EntryType::Regular, "./closed/su", 0o4755, "", b"program")
        .hardlink("./closed/again", "closed/su")
        .raw(b'0', b"./odd\xff", b"1")]);
    let tree = bench.unwrap_tree();
    let closed = tree.get(&"closed".into()).unwrap();
    assert_eq!((closed.mode, closed.mtime), (0o1500, 1_700_000_000));
    // The scan gives the content to the first name in order.
    let first = tree.get(&"closed/again".into()).unwrap();
    assert_eq!((first.mode, first.mtime), (0o4755, 1_700_000_000));
    assert!(matches!(&tree.get(&"closed/su".into()).unwrap().kind, Kind::Hardlink(_)));
    assert!(tree.contains(&TreePath::new(b"odd\xff")));
}

#[test]
fn packages_go_through_the_links_of_another_whatever_their_order() {
    let old = || DebBuilder::new("aaa", "").directory("./lib/").file("./lib/old", "x");
    let base = || {
        DebBuilder::new("base-files", "Essential: yes\n").directory("./usr/lib/").symlink("./lib", "usr/lib")
    };
    let expected = ["/", "/lib", "/usr", "/usr/lib", "/usr/lib/old"];
    assert_eq!(paths(&Bench::new([old(), base()]).unwrap_tree()), expected);
    assert_eq!(paths(&Bench::new([base(), old()]).unwrap_tree()), expected);
}

#[test]
fn the_first_package_decides_on_a_directory() {
    let essential =
        DebBuilder::new("z", "Essential: yes\n").entry(tar::EntryType::Directory, "./d/", 0o2750, "", b"");
    let other = DebBuilder::new("a", "").directory("./d/");
    let tree = Bench::new([other, essential]).unwrap_tree();
    assert_eq!(tree.get(&"d".into()).unwrap().mode, 0o2750);
}

#[test]
fn two_packages_with_one_path_are_refused_unless_one_replaces_the_other() {
    let holds = |name: &str, more: &str| DebBuilder::new(name, more).file("./etc/x", name);
    expect_test::expect!["packages `a` and `b` both hold `/etc/x`"]
        .assert_eq(&Bench::new([holds("b", "Replaces: a (<< 1)\n"), holds("a", "")]).refusal());
    for (first, second) in [("", "Replaces: a (<= 1)\n"), ("Replaces: b\n", "")] {
        let bench = Bench::new([holds("b", second), holds("a", first)]);
        let tree = bench.unwrap_tree();
        let winner = if second.is_empty() { "a" } else { "b" };
        assert_eq!(tree.content(&"etc/x".into()).unwrap().read().unwrap(), winner.as_bytes());
    }
}

#[test]
fn architectures_of_one_package_share_what_is_equal() {
    let of = |architecture: &str, content: &str| {
        DebBuilder::of("lib", architecture, "Multi-Arch: same\n").file("./doc", content)
    };
    let bench = Bench::new([of("amd64", "x"), of("arm64", "x")]);
    assert_eq!(paths(&bench.unwrap_tree()), ["/", "/doc"]);
    assert!(matches!(
        Bench::new([of("amd64", "x"), of("arm64", "y")]).unpack(),
        Err(UnpackError::Conflict { .. })
    ));
    assert!(matches!(
        Bench::new([of("amd64", "x"), of("amd64", "x")]).unpack(),
        Err(UnpackError::Twice { .. })
    ));
}

#[test]
fn a_diverted_file_goes_where_the_diversion_says() {
    let bench = Bench::new([
        DebBuilder::new("dash", "").file("./bin/sh", "dash"),
        DebBuilder::new("bash", "").file("./bin/sh", "bash"),
    ]);
    let diversions = Diversions::parse(b"/bin/sh\n/bin/sh.distrib\ndash\n");
    let mut root = Root::new(&bench.root());
    root.add(stage_all(&bench.packages(), &bench.staging()).unwrap(), &diversions, Conffiles::InPlace)
        .unwrap();
    assert_eq!(std::fs::read_to_string(bench.root().join("bin/sh")).unwrap(), "dash");
    assert_eq!(std::fs::read_to_string(bench.root().join("bin/sh.distrib")).unwrap(), "bash");
    root.database().unwrap().record(0, "amd64").unwrap();
    let list = bench.root().join("var/lib/dpkg/info/bash.list");
    assert_eq!(std::fs::read_to_string(list).unwrap(), "/bin/sh\n");
}

#[test]
fn the_database_tells_dpkg_what_is_left_to_do() {
    let bench = Bench::new([
        DebBuilder::new("waits", "").control_file(
            "triggers",
            0o644,
            "# all of them\ninterest-noawait /usr/share/x\ninterest ldconfig\nactivate other\n",
        ),
        DebBuilder::of("lib", "amd64", "Multi-Arch: same\nDescription: a\n b\n")
            .control_file("conffiles", 0o644, "/etc/lib.conf\nremove-on-upgrade /etc/old\n")
            .control_file("postinst", 0o755, "#!/bin/sh\n")
            .directory("./")
            .directory("./etc/")
            .file("./etc/lib.conf", "conf")
            .file("./usr/share/x/y", ""),
    ]);
    let mut root = Root::new(&bench.root());
    let mut staged = stage_all(&bench.packages(), &bench.staging()).unwrap();
    let lib = staged.pop().unwrap();
    root.add(staged, &Diversions::default(), Conffiles::Both).unwrap();
    let first = root.database().unwrap().record(0, "amd64").unwrap();
    root.add(vec![lib], &Diversions::default(), Conffiles::New).unwrap();
    root.database().unwrap().record(first, "amd64").unwrap();

    let read = |name: &str| std::fs::read_to_string(bench.root().join("var/lib/dpkg").join(name)).unwrap();
    expect_test::expect![[r#"
        Package: waits
        Status: install ok unpacked
        Version: 1
        Architecture: amd64

        Package: lib
        Status: install ok unpacked
        Version: 1
        Architecture: amd64
        Multi-Arch: same
        Description: a
         b
        Conffiles:
         /etc/lib.conf newconffile
         /etc/old newconffile remove-on-upgrade

    "#]]
    .assert_eq(&read("status"));
    assert_eq!(read("info/lib:amd64.list"), "/.\n/etc\n/etc/lib.conf\n/usr/share/x/y\n");
    assert_eq!(read("triggers/File"), "/usr/share/x waits/noawait\n");
    assert_eq!(read("triggers/ldconfig"), "waits\n");
    assert_eq!(read("triggers/Unincorp"), "/usr/share/x -\n");
    let postinst = bench.root().join("var/lib/dpkg/info/lib:amd64.postinst").metadata().unwrap();
    assert_eq!((postinst.permissions().mode() & 0o777, postinst.mtime()), (0o755, 1_700_000_000));
    assert!(!bench.root().join("var/lib/dpkg/arch").exists());
    assert!(
        bench.root().join("etc/lib.conf.dpkg-new").exists() && !bench.root().join("etc/lib.conf").exists()
    );
}

impl Bench {
    fn unwrap_tree(&self) -> Tree {
        self.unpack().unwrap_or_else(|e| panic!("{e}"))
    }
}

#[test]
fn a_package_without_checksums_gets_those_that_dpkg_would_make() {
    let package = DebBuilder::new("agent", "")
        .control_file("conffiles", 0o644, "/etc/agent\n")
        .file("etc/agent", "hi\n")
        .directory("usr")
        .file("usr/a", "bin\n")
        .entry(tar::EntryType::Link, "usr/b", 0o644, "usr/a", b"")
        .entry(tar::EntryType::Symlink, "usr/s", 0o777, "a", b"")
        .file("usr/empty", "");
    let bench = Bench::new([package]);
    let staged = stage_all(&bench.packages(), &bench.staging()).unwrap();
    // As `dpkg --unpack` wrote them for the same files.
    let expected = "764efa883dda1e11db47671c4a3bbd9e  etc/agent\n\
                    e894f2344aaa92289fb57bc8f597ffa9  usr/a\n\
                    e894f2344aaa92289fb57bc8f597ffa9  usr/b\n\
                    d41d8cd98f00b204e9800998ecf8427e  usr/empty\n";
    let file = staged[0].control.file("md5sums").unwrap();
    assert_eq!(String::from_utf8_lossy(&file.bytes), expected);
}

#[test]
fn checksums_that_are_there_stay_as_they_are() {
    let package =
        DebBuilder::new("agent", "").control_file("md5sums", 0o644, "the vendor's\n").file("a", "b");
    let bench = Bench::new([package]);
    let staged = stage_all(&bench.packages(), &bench.staging()).unwrap();
    assert_eq!(staged[0].control.file("md5sums").unwrap().bytes, b"the vendor's\n");
}

/// A package is decompressed once: what is kept of that gives the same, and what is damaged of it, too.
#[test]
fn what_was_decompressed_before_is_read_in_its_place() {
    let package = DebBuilder::new("agent", "").directory("usr").file("usr/a", "bin\n").symlink("usr/s", "a");
    let bench = Bench::new([package]);
    let deb = bench.debs[0].clone();
    let kept = bench.directory.path().join("kept");
    let staged = |how: &str| {
        let package = Package { deb: deb.clone(), kept: Some(kept.clone()) };
        let directory = bench.directory.path().join(how);
        let entries = stage(&package, &directory).unwrap().entries;
        let file = entries.iter().find_map(|entry| entry.file.clone()).unwrap();
        let content = std::fs::read(directory.join(file)).unwrap();
        (format!("{entries:?}"), content)
    };
    let first = staged("first");
    let whole = std::fs::read(&kept).unwrap();

    // Nothing of the package is read behind its control files.
    let bytes = std::fs::read(&deb).unwrap();
    std::fs::write(&deb, &bytes[..bytes.len() - 8]).unwrap();
    assert!(format!("{:?}", stage(&deb.clone().into(), &bench.staging())).contains("Damaged"));
    assert_eq!(staged("second"), first);

    std::fs::write(&deb, &bytes).unwrap();
    for damaged in [&whole[..whole.len() - 1], &whole[..8], b"", b"no frame"] {
        std::fs::write(&kept, damaged).unwrap();
        assert_eq!(staged("damaged"), first);
        std::fs::remove_dir_all(bench.directory.path().join("damaged")).unwrap();
    }

    // What cannot be kept is unpacked.
    let package = Package { deb, kept: Some(bench.directory.path().join("nowhere/kept")) };
    stage(&package, &bench.staging().join("once more")).unwrap();
}

/// A root with a package and what its scripts made of it, and the directory in which it is kept.
fn kept_root(bench: &Bench) -> (Root, PathBuf) {
    let path = |name: &str| bench.root().join(name);
    let mut root = Root::new(&bench.root());
    let staged = stage_all(&bench.packages()[..1], &bench.staging()).unwrap();
    root.add(staged, &Diversions::default(), Conffiles::New).unwrap();
    // Times of files have some milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let time = |path: &Path| path.metadata().unwrap().modified().unwrap();
    let packaged = time(&path("usr/written"));
    std::fs::write(path("usr/written"), "Written").unwrap();
    std::fs::File::options().write(true).open(path("usr/written")).unwrap().set_modified(packaged).unwrap();
    std::fs::set_permissions(path("usr/locked"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(path("usr/moved"), path("usr/moved.away")).unwrap();
    std::fs::remove_file(path("usr/removed")).unwrap();
    std::fs::rename(path("etc/conf.dpkg-new"), path("etc/conf")).unwrap();
    std::fs::hard_link(path("usr/first"), path("usr/third")).unwrap();
    std::fs::write(path("usr/made"), "by a script").unwrap();
    let kept = bench.directory.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    root.keep(&kept).unwrap();
    (root, kept)
}

fn package_and_another() -> Bench {
    let first = DebBuilder::new("first", "")
        .control_file("conffiles", 0o644, "/etc/conf\n")
        .directory("./")
        .directory("./etc/")
        .directory("./usr/")
        .file("./etc/conf", "setting")
        .file("./usr/as-it-was", "as it was")
        .file("./usr/written", "written")
        .file("./usr/locked", "locked")
        .file("./usr/moved", "moved")
        .file("./usr/removed", "removed")
        .file("./usr/first", "of two names")
        .hardlink("./usr/second", "./usr/first")
        .file("./usr/one", "of two names as well")
        .hardlink("./usr/two", "./usr/one")
        .file("./usr/taken", "taken over")
        .symlink("./usr/link", "as-it-was");
    let second = DebBuilder::new("second", "Replaces: first\n")
        .directory("./usr/")
        .file("./usr/taken", "by another")
        .file("./usr/new", "new");
    Bench::new([first, second])
}

/// Everything but the times, which are of now for what was made now.
fn described(root: &Path, before: i64) -> Vec<String> {
    let tree = Tree::scan(root).unwrap();
    let line = |(path, node): (&TreePath, &crate::tree::Node)| {
        let content = tree.content(path).map(|content| content.read().unwrap());
        let kind = match &node.kind {
            Kind::File(_) => "a file".to_owned(),
            kind => format!("{kind:?}"),
        };
        let time = if node.mtime < before { node.mtime } else { 0 };
        format!("{path} {kind} {:o} {time} {content:?}", node.mode)
    };
    tree.iter().map(line).collect()
}

#[test]
fn a_root_that_was_kept_is_the_same_when_it_is_brought_back() {
    let (bench, others) = (package_and_another(), package_and_another());
    let (mut root, directory) = kept_root(&bench);
    let before = root.begun.unwrap();
    // Only what nobody touched is unpacked anew.
    let unchanged: Vec<String> =
        Kept::open(&directory).unwrap().unchanged.iter().map(|(_, path)| path.to_string()).collect();
    assert_eq!(unchanged, ["/usr/as-it-was", "/usr/one", "/usr/two", "/usr/taken"]);

    let mut again = Root::new(&others.root());
    let staged = stage_all(&others.packages()[..1], &others.staging()).unwrap();
    again.bring_back(Kept::open(&directory).unwrap(), staged).unwrap();
    assert_eq!(described(&others.root(), before), described(&bench.root(), before));
    let inode = |path: &str| others.root().join(path).metadata().unwrap().ino();
    assert_eq!((inode("usr/first"), inode("usr/one")), (inode("usr/third"), inode("usr/two")));

    for (root, bench) in [(&mut root, &bench), (&mut again, &others)] {
        let staged = stage_all(&bench.packages()[1..], &bench.staging().join("second")).unwrap();
        root.add(staged, &Diversions::default(), Conffiles::New).unwrap();
        root.database().unwrap().record(0, "amd64").unwrap();
    }
    assert_eq!(described(&others.root(), before), described(&bench.root(), before));

    // A root that was brought back can be kept, too.
    let twice = others.directory.path().join("twice");
    std::fs::create_dir(&twice).unwrap();
    again.keep(&twice).unwrap();
    let third = package_and_another();
    let staged = stage_all(&third.packages(), &third.staging()).unwrap();
    Root::new(&third.root()).bring_back(Kept::open(&twice).unwrap(), staged).unwrap();
    assert_eq!(described(&third.root(), before), described(&bench.root(), before));
}

#[test]
fn a_root_that_was_kept_and_damaged_is_not_brought_back() {
    let bench = package_and_another();
    let (_, directory) = kept_root(&bench);
    for name in ["changed.tar.zst", "unchanged.zst"] {
        let path = directory.join(name);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 0xff;
        for bytes in [&bad[..], &good[..good.len() - 1], b""] {
            std::fs::write(&path, bytes).unwrap();
            assert!(Kept::open(&directory).is_err(), "{name}");
        }
        std::fs::write(&path, good).unwrap();
    }
    let others = package_and_another();
    let mut root = Root::new(&others.root());
    let staged = stage_all(&others.packages()[1..], &others.staging()).unwrap();
    let error = root.bring_back(Kept::open(&directory).unwrap(), staged).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("another package"));
}
