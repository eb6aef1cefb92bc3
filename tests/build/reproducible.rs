//! One lock, one image: whoever builds it, and wherever.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bedplate::Architecture;
use bedplate::disk::Disk;
use bedplate::lock::{Lock, LockFile};

use crate::product::{self, agrees, edge_debian, kept, scratch, success};
use crate::unpacked;
use bedplate_fixtures::container;
use bedplate_fixtures::user::{UID, User};
use bedplate_formats::tree::Tree;

/// Everything about a process that an image must not depend on, made unlike
/// what it is for the one who runs the tests.
const ELSEWHERE: &str = r#"set -e
echo elsewhere >/proc/sys/kernel/hostname
umask 077
exec taskset --cpu-list 0 "$@""#;

/// What names the commit, too.
const PROVENANCE: &str = "image.provenance.json";

#[test]
fn another_user_in_another_place_builds_the_same_bytes() {
    if product::all() {
        compare(Path::new(env!("CARGO_BIN_EXE_xtask")), &["edge-debian"], edge_debian(), &product::lock());
    }
}

/// Its maintainer scripts run under an emulator, which root and an ordinary user register in namespaces of their own.
#[test]
fn an_image_of_another_architecture_has_the_same_bytes_too() {
    if !product::release() {
        return;
    }
    let (out, lock) = (product::small_arm64(), product::small_arm64_lock());
    compare(&product::small_program(), &["small", "--arch", "arm64"], out, &lock);
    let said = success(product::small().args(["verify", "small", "--arch", "arm64", "--out"]).arg(out));
    assert_eq!(said, "");
    // The EFI programs, the kernel and the root are of that architecture.
    let disk = Disk::open(out.join("image.raw")).unwrap();
    assert_eq!(disk.architecture(), Some(Architecture::Aarch64));
    assert!(disk.esp().unwrap().exists("/EFI/BOOT/BOOTAA64.EFI").unwrap());
    let root = disk.root().unwrap();
    assert_eq!(root.file("/usr/bin/true").unwrap()[18], 183);

    // This machine's own programs, which stand in for some of the image's, do the same as these do in the emulator.
    let directory = tempfile::tempdir_in(scratch("emulated")).unwrap();
    let cache = directory.path().join("cache");
    carry(&lock, &cache);
    fs::write(directory.path().join("the.lock"), of_other_sources(&lock)).unwrap();
    let mut command = product::small();
    command.args(["image", "small", "--arch", "arm64", "--locked", "--offline", "--lock"]);
    command.arg(directory.path().join("the.lock")).arg("--out").arg(directory.path().join("out"));
    success(command.env("BEDPLATE_CACHE", &cache));
    assert_eq!(product::sums(out), product::sums(&directory.path().join("out")));
}

/// A lock with tools of versions that the image has not, so that none of them stands in for a program of the image.
fn of_other_sources(lock: &Path) -> String {
    let text = fs::read_to_string(lock).unwrap();
    let (packages, tools) = text.split_once("[[arm64.cross-tool]]").unwrap();
    let lines =
        tools.lines().map(|line| if line.starts_with("version = ") { "version = \"0\"" } else { line });
    format!("{packages}[[arm64.cross-tool]]{}\n", lines.collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_squashfs_has_the_same_bytes_too_and_the_capabilities_of_its_programs() {
    if !product::release() {
        return;
    }
    let Some((out, lock)) = small("squashfs") else { return };
    let said = agrees(&out, &["squashfs-tools"], &["unsquashfs", "-s", "image.root-x86-64.raw"]);
    assert!(said.contains("Compression zstd"), "{said}");
    compare(&product::example("roots"), &["squashfs"], &out, &lock);
    // What a `postinst` sets as root of a user namespace is what root sets.
    let directory = product::scratch("squashfs");
    link(&out.join("image.root-x86-64.raw"), &directory.join("root.raw"));
    let argv = ["unsquashfs", "-f", "-d", "root", "root.raw", "usr/bin/mtr-packet"];
    agrees(&directory, &["squashfs-tools"], &argv);
    let tree = Tree::scan(&directory.join("root/usr/bin")).unwrap();
    let program = tree.get(&"mtr-packet".into()).unwrap();
    // Revision 2, effective, CAP_NET_RAW permitted.
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(program.xattrs.get(&b"security.capability"[..]).map(Vec::as_slice), Some(&capability[..]));
}

#[test]
fn an_ext4_has_the_same_bytes_too_and_no_fault() {
    let Some((out, lock)) = small("ext4") else { return };
    agrees(&out, &["e2fsprogs"], &["fsck.ext4", "-fn", "image.root-x86-64.raw"]);
    compare(&product::example("roots"), &["ext4"], &out, &lock);
}

#[test]
fn what_the_last_artifacts_were_leaves_no_trace_in_the_next() {
    if !product::all() {
        return;
    }
    let directory = tempfile::tempdir_in(scratch("over")).unwrap();
    let (out, spare) = (directory.path().join("out"), directory.path().join(".out.spare/disk"));
    let inode = |path: &Path| fs::metadata(path).ok().map(|found| found.ino());
    // Each is written over the last but one, which has another root in another place.
    let images = [("roots", "ext4"), ("roots", "squashfs"), ("small", "small"), ("roots", "ext4")];
    for (number, (example, name)) in images.into_iter().enumerate() {
        let before = inode(&spare);
        let mut command = Command::new(product::example(example));
        command.args(["image", name, "--lock"]).arg(kept("locks").join(format!("{name}.lock")));
        success(command.arg("--out").arg(&out));
        assert_eq!(before.is_some(), number >= 2);
        assert!(before.is_none_or(|before| inode(&out.join("image.raw")) == Some(before)));
        assert_eq!(product::sums(&out), product::sums(&product::built(example, name)), "{name}");
        success(Command::new("sha256sum").args(["--check", "--quiet", "image.SHA256SUMS"]).current_dir(&out));
    }
}

#[test]
fn a_container_without_privileges_builds_the_same_bytes() {
    if !product::all() {
        return;
    }
    let here = edge_debian();
    let directory = tempfile::tempdir_in(scratch("container")).unwrap();
    let (cache, out) = (directory.path().join("cache"), directory.path().join("out"));
    carry(&product::lock(), &cache);
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["image", "edge-debian", "--locked", "--offline", "--lock"]).arg(product::lock());
    command
        .args(["--out", "out"])
        .current_dir(directory.path())
        .env("BEDPLATE_CACHE", &cache)
        .env("NO_COLOR", "1");
    let output = container::shut_in(&mut command).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Sandbox under chroot alone, since this container may not mount"), "{said}");
    let (one, other) = (product::sums(here), product::sums(&out));
    assert!(one == other, "{}", differences(here, &out).join("\n"));
}

/// An image of `tests/images/roots/main.rs`, and its lock.
fn small(name: &str) -> Option<(PathBuf, PathBuf)> {
    if !product::all() {
        return None;
    }
    let (out, lock) = (scratch("images").join(name), kept("locks").join(format!("{name}.lock")));
    let mut command = Command::new(product::example("roots"));
    success(command.args(["image", name, "--lock"]).arg(&lock).arg("--out").arg(&out));
    Some((out, lock))
}

/// Builds what is in `here` once more, elsewhere and by somebody else.
fn compare(program: &Path, image: &[&str], here: &Path, lock: &Path) {
    let user = User::new();
    let (project, cache) = (project(&user, lock), store(&user, lock));
    let program = user.install(program);
    let out = user.home().join("made here");
    let run = |arguments: &[&str]| {
        let mut command = user.command(&program);
        command.args(arguments).current_dir(&project);
        command.env("CARGO_MANIFEST_DIR", &project).env("BEDPLATE_CACHE", &cache).env("NO_COLOR", "1");
        command.env("TZ", "Asia/Kathmandu").env("LANG", "de_DE.UTF-8").env("LC_ALL", "tr_TR.UTF-8");
        command.env("SOURCE_DATE_EPOCH", "1");
        success(&mut elsewhere(&command));
    };
    let out_argument = out.to_str().unwrap();
    let options = ["--locked", "--offline", "--lock", "the.lock", "--out", out_argument];
    run(&[&["image"], image, &options].concat());

    let (one, other) = (product::sums(here), product::sums(&out));
    assert_eq!(provenance(here), provenance(&out));
    if one != other {
        let differ: Vec<&String> = one.keys().filter(|name| one.get(*name) != other.get(*name)).collect();
        // erofs alone is unpacked by this test.
        let files = if image == ["edge-debian"] { differences(here, &out).join("\n") } else { String::new() };
        panic!("these artifacts differ: {differ:?}\n{files}");
    }
    // What he made he can remove, files of the system's other owners too.
    run(&["clean"]);
}

/// The same command on a host of another name, with one processor.
fn elsewhere(command: &Command) -> Command {
    let mut outer = Command::new("unshare");
    outer.args(["--uts", "sh", "-c", ELSEWHERE, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer.current_dir(command.get_current_dir().unwrap());
    outer
}

/// The provenance without the commit, which his copy of the description is none of.
fn provenance(out: &Path) -> serde_json::Value {
    let text = fs::read_to_string(out.join(PROVENANCE)).unwrap();
    let mut provenance: serde_json::Value = serde_json::from_str(&text).unwrap();
    let inputs = &mut provenance["predicate"]["buildDefinition"]["resolvedDependencies"];
    inputs.as_array_mut().unwrap().retain(|input| input["digest"].get("gitCommit").is_none());
    provenance
}

/// A copy of the description, with the lock beside it.
fn project(user: &User, lock: &Path) -> PathBuf {
    let project = user.home().join("some/other project");
    fs::create_dir_all(project.join("tests")).unwrap();
    for description in ["image", "tests/images"] {
        success(
            Command::new("cp")
                .arg("-R")
                .arg(product::root().join(description))
                .arg(project.join(description)),
        );
    }
    fs::copy(lock, project.join("the.lock")).unwrap();
    success(Command::new("chown").args(["-R", &format!("{UID}:{UID}")]).arg(user.home().join("some")));
    project
}

/// A store of the user's, with the lock's packages and no layers.
fn store(user: &User, lock: &Path) -> PathBuf {
    let store = user.home().join("cache");
    carry(lock, &store);
    success(Command::new("chown").args(["-R", &format!("{UID}:{UID}")]).arg(&store));
    store
}

/// Puts the lock's packages into a store.
fn carry(lock: &Path, store: &Path) {
    let locks = LockFile::parse(&fs::read_to_string(lock).unwrap()).unwrap();
    let locks =
        [Architecture::X86_64, Architecture::Aarch64].map(|architecture| locks.of(architecture).cloned());
    for package in locks.iter().flatten().flat_map(Lock::all_packages) {
        let blob = Path::new("blobs").join(&package.sha256[..2]).join(package.sha256.as_str());
        let (from, to) = (product::cache().join(&blob), store.join(&blob));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        // Its time says that it is whole.
        success(Command::new("cp").args(["--preserve=timestamps,mode", "--reflink=auto"]).arg(from).arg(to));
    }
}

/// What differs between the two root file systems, a path a line.
fn differences(here: &Path, there: &Path) -> Vec<String> {
    let tree = |out: &Path, name: &str| unpacked::described(&unpacked::unpacked(out, name));
    let (here, there) = (tree(here, "here"), tree(there, "there"));
    let paths = here.keys().chain(there.keys().filter(|path| !here.contains_key(*path)));
    let line = |path: &String| match (here.get(path), there.get(path)) {
        (one, other) if one == other => None,
        (one, other) => Some(format!("{path}\n  {one:?}\n  {other:?}")),
    };
    paths.filter_map(line).collect()
}

fn link(from: &Path, to: &Path) {
    let _ = fs::remove_file(to);
    fs::hard_link(from, to).unwrap();
}
