//! What a build costs: `cargo bench --profile dev`, which times what `cargo xtask` runs.
//!
//! Prints a table of wall time, processor time and memory of building
//! `edge-debian` in the cases that people wait for, and of mmdebstrap for the
//! same packages. `cargo bench --profile dev -- --cold` also compiles the
//! program once, from nothing.
//!
//! The bench is a program of its own images: it starts itself as the project's
//! xtask is started, over a copy of the project in a temporary directory, with
//! a cache of its own that shares the user's downloads by hard links. So it can
//! change what it builds, and changes nothing of the user's.

mod measure;
mod mmdebstrap;

#[path = "../../image/main.rs"]
#[expect(dead_code, reason = "the bench has a main function of its own")]
mod description;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs, io};

use anyhow::{Context as _, Result, ensure};
use bedplate::store::Store;
use bedplate::{Entry, Image, Target};

use measure::Cost;

/// Set for a process that is to be the project's xtask.
const XTASK: &str = "BENCH_XTASK";
/// Set where the description is to ask for one package more.
const MORE: &str = "BENCH_ONE_PACKAGE_MORE";

fn main() -> ExitCode {
    // A process of the sandbox, which has an environment of its own.
    if let Some(code) = bedplate::sandbox::dispatch() {
        return code;
    }
    if env::var_os(XTASK).is_some() {
        let edge = if env::var_os(MORE).is_some() { one_package_more } else { description::edge_debian };
        return bedplate::main(&[Entry::new("edge_debian", edge, bedplate::compiled!())]);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn one_package_more(target: &Target) -> Image {
    description::edge_debian(target).package("tree")
}

fn run() -> Result<()> {
    let bench = Bench::new()?;
    let image = || bench.xtask(["image", "--out", "out"]);
    // Neither resolving nor fetching is what is measured, but for the last case.
    let other = bedplate::source::host_architecture()?.other();
    let cross = || bench.xtask(["image", "--arch", other.deb(), "--out", "cross"]);
    measure::run(&mut image())?;
    measure::run(&mut cross())?;
    measure::run(&mut bench.xtask(["clean"]))?;
    fs::remove_dir_all(bench.directory.join("out"))?;
    fs::remove_dir_all(bench.directory.join("cross"))?;

    say("| `edge-debian` | wall | processor | memory |\n|---|--:|--:|--:|");
    row("(a) everything downloaded, nothing cached", measure::run(&mut image())?);
    row("(b) nothing changed", measure::run(&mut image())?);
    let sums = || fs::read_to_string(bench.directory.join("out/image.SHA256SUMS"));
    let before = sums()?;
    let file = bench.project().join("image/overlay/etc/modules-load.d/nbd.conf");
    let text = fs::read_to_string(&file)?;
    fs::write(&file, format!("{text}# one line more\n"))?;
    let changed = measure::run(&mut image())?;
    ensure!(sums()? != before, "the disk does not hold the changed line");
    row("(c) one line of one overlay file changed", changed);
    row("(d) one package added, and resolved", measure::run(image().env(MORE, "1"))?);
    row(&format!("(e) as (a), for {other}, emulated"), measure::run(&mut cross())?);
    row("mmdebstrap: the packages of (d), no image", mmdebstrap::run(&bench)?);
    if env::args().any(|argument| argument == "--cold") {
        cold(&bench)?;
    }
    bench.remove()
}

/// The newcomer's wait: all crates compiled, none downloaded.
fn cold(bench: &Bench) -> Result<()> {
    let target = bench.directory.join("target");
    let cargo = || {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo
    };
    let tree = cargo().args(["tree", "--edges=normal,build", "--prefix=none", "--format={p}"]).output()?;
    let tree = String::from_utf8(tree.stdout)?;
    let crates: std::collections::BTreeSet<&str> =
        tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let cost = measure::run(cargo().args(["build", "--bin=xtask", "--target-dir"]).arg(&target))?;
    row(&format!("`cargo build` of {} crates, none compiled", crates.len()), cost);
    Ok(fs::remove_dir_all(target)?)
}

/// Where everything is that is built here.
struct Bench {
    directory: PathBuf,
}

impl Bench {
    fn new() -> Result<Self> {
        let bench = Self { directory: Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench") };
        if bench.directory.exists() {
            bench.remove().context("removing what an interrupted run left")?;
        }
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        each_file(&project.join("image"), &bench.project().join("image"), |from, to| {
            fs::copy(from, to).map(drop)
        })?;
        // The user's lock may have what is to be added.
        let _ = fs::remove_file(bench.project().join("image/edge-debian.lock"));
        let downloads = Store::open()?.root().join("blobs");
        // A copy would have another time, and be hashed again.
        each_file(&downloads, &bench.directory.join("cache/blobs"), |from, to| {
            fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop))
        })?;
        Ok(bench)
    }

    fn project(&self) -> PathBuf {
        self.directory.join("project")
    }

    /// This program as the xtask of the copied project.
    fn xtask<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = Command::new(env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into()));
        command
            .args(arguments)
            .env(XTASK, "1")
            // What cargo would set, and where the program looks for the project's files.
            .env("CARGO_MANIFEST_DIR", self.project())
            .env("BEDPLATE_CACHE", self.directory.join("cache"))
            .current_dir(&self.directory);
        command
    }

    /// Layers may have owners that only the program itself can act for.
    fn remove(&self) -> Result<()> {
        measure::run(&mut self.xtask(["clean", "--all"]))?;
        Ok(fs::remove_dir_all(&self.directory)?)
    }
}

fn each_file(from: &Path, to: &Path, place: fn(&Path, &Path) -> io::Result<()>) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            each_file(&from, &to, place)?;
        } else {
            place(&from, &to).with_context(|| format!("bringing `{}` over", from.display()))?;
        }
    }
    Ok(())
}

fn row(what: &str, Cost { wall, processor, memory }: Cost) {
    let megabytes = memory / 1_000_000;
    say(format_args!(
        "| {what} | {:.2} s | {:.2} s | {megabytes} MB |",
        wall.as_secs_f64(),
        processor.as_secs_f64()
    ));
}

#[expect(clippy::print_stdout, reason = "the table is what a bench is for")]
fn say(text: impl std::fmt::Display) {
    println!("{text}");
}
