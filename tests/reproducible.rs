//! One lock, one image: whoever builds it, and wherever.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/product.rs"]
mod product;
#[path = "support/root.rs"]
mod root;
#[path = "../xtask/tests/support/user.rs"]
mod user;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bedplate::lock::Lock;
use product::{edge_debian, success};
use user::{UID, User};

/// Everything about a process that an image must not depend on, made unlike
/// what it is for the one who runs the tests.
const ELSEWHERE: &str = r#"set -e
echo elsewhere >/proc/sys/kernel/hostname
umask 077
exec taskset --cpu-list 0 "$@""#;

#[test]
fn another_user_in_another_place_builds_the_same_bytes() {
    if !product::all() {
        return;
    }
    let user = User::new();
    let project = project(&user);
    let out = user.home().join("made here");
    let build = |cache: &Path| {
        let mut command = user.command(&user.install(Path::new(env!("CARGO_BIN_EXE_xtask"))));
        command.args(["image", "edge-debian", "--locked", "--offline", "--lock", "the.lock", "--out"]);
        command.arg(&out).current_dir(&project);
        command.env("CARGO_MANIFEST_DIR", &project).env("BEDPLATE_CACHE", cache).env("NO_COLOR", "1");
        command.env("TZ", "Asia/Kathmandu").env("LANG", "de_DE.UTF-8").env("LC_ALL", "tr_TR.UTF-8");
        command.env("SOURCE_DATE_EPOCH", "1");
        elsewhere(&command)
    };
    let cache = store(&user);
    success(&mut build(&cache));

    let (here, there) = (sums(edge_debian()), sums(&out));
    let differ: Vec<&String> = here.keys().filter(|name| here.get(*name) != there.get(*name)).collect();
    if here != there {
        panic!("these artifacts differ: {differ:?}\n{}", differences(edge_debian(), &out).join("\n"));
    }
    // What he made he can remove, files of the system's other owners too.
    success(&mut elsewhere(
        user.command(&user.home().join("bin/xtask")).arg("clean").env("BEDPLATE_CACHE", cache),
    ));
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

/// A copy of the description, with the lock beside it.
fn project(user: &User) -> PathBuf {
    let project = user.home().join("some/other project");
    fs::create_dir_all(&project).unwrap();
    success(Command::new("cp").arg("-R").arg(product::root().join("image")).arg(&project));
    edge_debian();
    fs::copy(product::lock(), project.join("the.lock")).unwrap();
    success(Command::new("chown").args(["-R", &format!("{UID}:{UID}")]).arg(user.home().join("some")));
    project
}

/// A store of the user's, with the lock's packages and no layers.
fn store(user: &User) -> PathBuf {
    let store = user.home().join("cache");
    let lock = Lock::parse(&fs::read_to_string(product::lock()).unwrap()).unwrap();
    for package in lock.packages.iter().chain(&lock.tools) {
        let blob = Path::new("blobs").join(&package.sha256[..2]).join(&package.sha256);
        let (from, to) = (product::cache().join(&blob), store.join(&blob));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        // Its time says that it is whole.
        success(Command::new("cp").args(["--preserve=timestamps,mode", "--reflink=auto"]).arg(from).arg(to));
    }
    success(Command::new("chown").args(["-R", &format!("{UID}:{UID}")]).arg(&store));
    store
}

fn sums(directory: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(directory.join("image.SHA256SUMS")).unwrap();
    text.lines()
        .map(|line| line.split_once(" *").unwrap())
        .map(|(sum, name)| (name.into(), sum.into()))
        .collect()
}

/// What differs between the two root file systems, a path a line.
fn differences(here: &Path, there: &Path) -> Vec<String> {
    let tree = |out: &Path, name: &str| root::described(&root::unpacked(out, name));
    let (here, there) = (tree(here, "here"), tree(there, "there"));
    let paths = here.keys().chain(there.keys().filter(|path| !here.contains_key(*path)));
    let line = |path: &String| match (here.get(path), there.get(path)) {
        (one, other) if one == other => None,
        (one, other) => Some(format!("{path}\n  {one:?}\n  {other:?}")),
    };
    paths.filter_map(line).collect()
}
