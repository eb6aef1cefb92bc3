//! The program under test, and one image of it that all tests share.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};

use bedplate::Architecture;
use bedplate::lock::{Lock, LockFile};
use bedplate::vm::Vm;
use bedplate::vm::guest::Guest;

/// Whether every boot and every slow oracle is to run: `BEDPLATE_TESTS=all`.
pub fn all() -> bool {
    std::env::var("BEDPLATE_TESTS").is_ok_and(|value| value == "all") || release()
}

/// Whether also what takes hours is to run, before a release: `BEDPLATE_TESTS=release`.
pub fn release() -> bool {
    std::env::var("BEDPLATE_TESTS").is_ok_and(|value| value == "release")
}

/// The program, in the project's root, told nothing by the terminal.
pub fn xtask() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.current_dir(root()).env("NO_COLOR", "1");
    command
}

/// The same for the images of `tests/images/small/main.rs`, which build in seconds.
pub fn small() -> Command {
    let mut command = Command::new(small_program());
    command.current_dir(root()).env("NO_COLOR", "1").env_remove("COLUMNS");
    command
}

/// The program of the small images.
pub fn small_program() -> PathBuf {
    example("small")
}

/// A program of images for tests. Cargo builds it for every run of all tests.
pub fn example(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("examples").join(name);
    assert!(program.is_file(), "run `cargo build --example {name}` first");
    program
}

/// The project's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A directory for this test's files. It is gone when all tests of this program have passed; it stays for who looks at
/// a failure, or runs some by name and then again.
pub fn scratch(name: &str) -> PathBuf {
    static ONCE: Once = Once::new();
    ONCE.call_once(remove_at_exit);
    let directory = kept(name);
    SCRATCH.lock().unwrap_or_else(PoisonError::into_inner).insert(directory.clone());
    directory
}

/// A directory for what the next run needs, too.
pub fn kept(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

static SCRATCH: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
static FAILED: AtomicBool = AtomicBool::new(false);

/// Images are of gigabytes, and made again in seconds from what is cached.
#[expect(
    unsafe_code,
    reason = "the test harness ends the process itself, and tells nobody but the C library"
)]
fn remove_at_exit() {
    extern "C" fn remove() {
        let is_name = |argument: String| !argument.starts_with('-');
        if FAILED.load(Ordering::Relaxed) || std::env::args().skip(1).any(is_name) {
            return;
        }
        for directory in &*SCRATCH.lock().unwrap_or_else(PoisonError::into_inner) {
            // What belongs to another user stays.
            let _ = std::fs::remove_dir_all(directory);
        }
    }
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        FAILED.store(true, Ordering::Relaxed);
        tell(panic);
    }));
    // SAFETY: `remove` may be called at any time: it takes its directories by a lock.
    unsafe { libc::atexit(remove) };
}

/// The store that the tests' builds share.
pub fn cache() -> PathBuf {
    bedplate::store::Store::open().unwrap().root().to_owned()
}

/// The lock that all tests build from; made by the first that needs it.
pub fn lock() -> PathBuf {
    kept("locks").join("edge-debian.lock")
}

/// What is in a lock file for the architecture that most tests build for.
pub fn locked(path: &Path) -> Lock {
    locked_for(path, Architecture::X86_64)
}

/// What is in a lock file for an architecture.
pub fn locked_for(path: &Path, architecture: Architecture) -> Lock {
    let file = LockFile::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    file.of(architecture).unwrap().clone()
}

/// The lock of `small` for arm64.
pub fn small_arm64_lock() -> PathBuf {
    kept("locks").join("small-arm64.lock")
}

/// `small` for arm64, built on whatever this machine is, once for all tests.
pub fn small_arm64() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let out = scratch("images").join("small-arm64");
        let mut build = small();
        build.args(["image", "small", "--arch", "arm64", "--lock"]).arg(small_arm64_lock());
        success(build.arg("--out").arg(&out));
        out
    })
}

/// `edge-debian`, built by the product once for all tests: the second call
/// finds the artifacts fresh.
pub fn edge_debian() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let out = scratch("images").join("edge-debian");
        success(xtask().args(["image", "edge-debian", "--lock"]).arg(lock()).arg("--out").arg(&out));
        out
    })
}

/// The digests of a build's artifacts, by name. The provenance is not among them: it names the commit, which is another
/// one for who copies the description or commits between two builds.
pub fn sums(out: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(out.join("image.SHA256SUMS")).unwrap();
    let lines = text.lines().map(|line| line.split_once(" *").unwrap());
    let others = lines.filter(|(_, name)| *name != "image.provenance.json");
    others.map(|(sum, name)| (name.to_owned(), sum.to_owned())).collect()
}

/// An image of an example, built.
pub fn built(example: &str, name: &str) -> PathBuf {
    built_with(example, name, name, &[])
}

/// The same in a directory of its own, with variables that change it.
pub fn built_with(example: &str, name: &str, directory: &str, variables: &[(&str, &str)]) -> PathBuf {
    // Two tests may want the same one at the same time.
    static BUILDING: Mutex<BTreeMap<String, Arc<Mutex<()>>>> = Mutex::new(BTreeMap::new());
    let mut building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let this = building.entry(directory.to_owned()).or_default().clone();
    drop(building);
    let _this = this.lock().unwrap_or_else(PoisonError::into_inner);
    let lock = kept("locks").join(format!("{name}.lock"));
    let out = scratch("images").join(directory);
    let mut build = Command::new(self::example(example));
    build.current_dir(root()).env("NO_COLOR", "1").envs(variables.iter().copied());
    success(build.args(["image", name, "--lock"]).arg(lock).arg("--out").arg(&out));
    out
}

/// A verb on one of the images of `tests/images/cases`. Those with the same packages share a lock.
pub fn cases(verb: &[&str], lock: &str) -> Command {
    let mut command = Command::new(example("cases"));
    command.current_dir(root()).env("NO_COLOR", "1").env_remove("COLUMNS").args(verb);
    command.arg("--lock").arg(kept("locks").join(lock));
    if let ["image", name, ..] = verb {
        command.arg("--out").arg(scratch("images").join(name));
    }
    command
}

/// What a command says that must end with a refusal.
#[track_caller]
pub fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

/// The part of what was said that begins with the first error.
#[track_caller]
pub fn errors(said: &str) -> &str {
    let start = said.find("error[").or_else(|| said.find("error: "));
    &said[start.unwrap_or_else(|| panic!("no error in {said}"))..]
}

/// All of these must be in what was said, which is broken where the terminal ends.
#[track_caller]
pub fn holds(said: &str, parts: &[&str]) {
    let folded = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts {
        assert!(folded.contains(part), "`{part}` is not in:\n{said}");
    }
}

/// What was said, with `LL` for the numbers of lines, so that a line added above changes nothing.
pub fn anonymous(said: &str) -> String {
    let lines = said.lines().map(|line| match line.split_once(".rs:") {
        Some((before, _)) => format!("{before}.rs:LL:CC"),
        None => line.to_owned(),
    });
    // The line's number is as wide as it is.
    let lines = lines.map(|line| match line.trim_start().split_once(" | ") {
        Some((number, rest)) if number.bytes().all(|b| b.is_ascii_digit()) => format!("LL | {rest}"),
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// The machine of a build; its tools are those of `edge-debian`, which all tests share. A processor with fewer features
/// is emulated faster: a fifth of a boot; and one is, for two machines on two cores: an eighth of what is left.
pub fn machine(out: &Path) -> Vm {
    Vm::new(&out.join("image.raw")).image("edge-debian").cpus(1).argument("-cpu").argument("qemu64,svm=off")
}

/// The bytes that the file system at `/local` has.
pub fn room(guest: &mut Guest) -> u64 {
    guest.check("df -B1 --output=size /local | tail -1").unwrap().trim().parse().unwrap()
}

/// Runs a command of Debian's packages in the sandbox, with the working directory visible, and returns what it printed,
/// and no line of the program's own: what it fetches, or makes room for.
pub fn tool(directory: &Path, packages: &[&str], argv: &[&str]) -> Output {
    let mut command = xtask();
    command
        .current_dir(directory)
        .args(["tools", "--quiet", "--image", "edge-debian"])
        .args(packages)
        .arg("--")
        .args(argv);
    command.output().unwrap()
}

/// The stdout of a command that must succeed.
#[track_caller]
pub fn success(command: &mut Command) -> String {
    let output = command.output().unwrap();
    expect_success(&format!("{command:?}"), output)
}

/// The stdout of a tool that must succeed.
#[track_caller]
pub fn agrees(directory: &Path, packages: &[&str], argv: &[&str]) -> String {
    expect_success(&argv.join(" "), tool(directory, packages, argv))
}

#[track_caller]
fn expect_success(what: &str, output: Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}
