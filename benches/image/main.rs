//! What a build costs: `cargo bench --profile dev`, which times what `cargo xtask` runs.
//!
//! Prints a table of wall time, processor time, memory and what was written of
//! building `edge-debian` in the cases that people wait for, and of mmdebstrap
//! for the same packages. `-- --cold` also compiles the program once, from
//! nothing. `-- --against REVISION` runs the bench of another revision beside
//! it, and `--pairs 5` both as often, for the medians. In place of builds,
//! `-- --start DISK` times a device, and `-- --root DIRECTORY` the writing of a
//! root.
//!
//! The bench is a program of its own images: it starts itself as the project's
//! xtask is started, over a copy of the project in a temporary directory, with
//! a cache of its own that shares the user's downloads by hard links. So it can
//! change what it builds, and changes nothing of the user's. What it wrote is
//! removed at the end, 9 GB for each pair: a file system that has just removed
//! much is slow to make new files.

mod against;
mod measure;
mod mmdebstrap;
mod root;
mod start;

#[path = "../../image/main.rs"]
#[expect(dead_code, reason = "the bench has a main function of its own")]
mod description;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs, io};

use anyhow::{Context as _, Result, ensure};
use bedplate::store::Store;
use bedplate::{Entry, Image, Target};
use bedplate_formats::digest::Sha256;

use against::Against;
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

/// A row of the table.
struct Row {
    /// By it, rows of two revisions are the same.
    letter: &'static str,
    what: String,
    /// How long it may take of what it took at `ca74e40`.
    bar: Option<f64>,
    costs: Vec<Cost>,
}

fn run() -> Result<()> {
    let given: Vec<String> = env::args().collect();
    let value =
        |name: &str| Some(given.get(given.iter().position(|argument| argument == name)? + 1)?.as_str());
    if let Some(disk) = value("--start") {
        return start::measure(Path::new(disk), Path::new(env!("CARGO_TARGET_TMPDIR")));
    }
    if let Some(directory) = value("--root") {
        return root::measure(Path::new(directory), Path::new(env!("CARGO_TARGET_TMPDIR")));
    }
    let pairs: usize = value("--pairs").map_or(Ok(1), str::parse)?;
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("against");
    let against = value("--against").map(|revision| Against::new(revision, &directory)).transpose()?;
    let (mut rows, mut theirs) = (Vec::<Row>::new(), Vec::new());
    let mut found = 0.0;
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
    remove(&all).context("removing what an interrupted run left")?;
    for pair in 0..pairs {
        let bench = Bench::new(all.join(pair.to_string()))?;
        let (measured, share) = bench.rows()?;
        found = share;
        if rows.is_empty() {
            rows = measured;
            if given.iter().any(|argument| argument == "--cold") {
                rows.push(cold(&bench)?);
            }
        } else {
            rows.iter_mut().zip(measured).for_each(|(row, again)| row.costs.extend(again.costs));
        }
        theirs.extend(against.as_ref().map(Against::run).transpose()?);
    }
    remove(&all)?;
    print(&rows, against.as_ref().map(|against| (against.revision.as_str(), theirs.as_slice())));
    say(format_args!(
        "\n{:.1} % of the root's blocks were in the one before its package was added.",
        found * 100.0
    ));
    Ok(())
}

/// The table: of several runs, the medians.
fn print(rows: &[Row], against: Option<(&str, &[BTreeMap<String, f64>])>) {
    let (heads, lines) = match against {
        Some((revision, _)) => (format!(" {revision} | ratio | bar |"), "--:|--:|--:|"),
        None => (String::new(), ""),
    };
    say(format_args!(
        "| `edge-debian` | wall | processor | memory | written |{heads}\n|---|--:|--:|--:|--:|{lines}"
    ));
    for Row { letter, what, bar, costs } in rows {
        let mut costs = costs.clone();
        costs.sort_by_key(|cost| cost.wall);
        let Cost { wall, processor, memory, written } = costs[costs.len() / 2];
        let (wall, processor) = (wall.as_secs_f64(), processor.as_secs_f64());
        let (memory, written) = (memory / 1_000_000, written / 1_000_000);
        let ratio = against.map(|(_, theirs)| {
            // A revision that does not tell first and later changes apart takes as long for each.
            let first = letter.trim_end_matches('2');
            let of = |rows: &BTreeMap<String, f64>| rows.get(*letter).or(rows.get(first)).copied();
            let mut theirs: Vec<f64> = theirs.iter().filter_map(of).collect();
            theirs.sort_by(f64::total_cmp);
            let Some(of) = theirs.get(theirs.len() / 2) else { return " | | |".to_owned() };
            let bar = bar.map(|bar| format!("{bar:.2}")).unwrap_or_default();
            format!(" {of:.2} s | {:.2} | {bar} |", wall / of)
        });
        let ratio = ratio.unwrap_or_default();
        let name = if letter.is_empty() { what.clone() } else { format!("({letter}) {what}") };
        say(format_args!("| {name} | {wall:.2} s | {processor:.2} s | {memory} MB | {written} MB |{ratio}"));
    }
}

/// The newcomer's wait: all crates compiled, none downloaded.
fn cold(bench: &Bench) -> Result<Row> {
    let target = bench.directory.join("target");
    let cargo = || {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo
    };
    let tree = cargo().args(["tree", "--edges=normal,build", "--prefix=none", "--format={p}"]).output()?;
    let tree = String::from_utf8(tree.stdout)?;
    let crates: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let cost = measure::run(cargo().args(["build", "--bin=xtask", "--target-dir"]).arg(&target))?;
    fs::remove_dir_all(target)?;
    Ok(row("", format!("`cargo build` of {} crates, none compiled", crates.len()), None, cost))
}

fn row(letter: &'static str, what: impl Into<String>, bar: Option<f64>, cost: Cost) -> Row {
    Row { letter, what: what.into(), bar, costs: vec![cost] }
}

/// Where everything is that is built here.
struct Bench {
    directory: PathBuf,
}

impl Bench {
    fn new(directory: PathBuf) -> Result<Self> {
        let bench = Self { directory };
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        each_file(&project.join("image"), &bench.project().join("image"), |from, to| {
            fs::copy(from, to).map(drop)
        })?;
        // The user's lock may have what is to be added.
        let _ = fs::remove_file(bench.project().join("image/edge-debian.lock"));
        link(&Store::open()?.root().join("blobs"), &bench.directory.join("downloads/blobs"))?;
        Ok(bench)
    }

    /// Each row once, and the share of the root's blocks that were there before a package was added.
    fn rows(&self) -> Result<(Vec<Row>, f64)> {
        let image = || self.xtask(["image", "--out", "out"]);
        // Neither resolving nor fetching is what is measured, but for one more package.
        let other = bedplate::source::host_architecture()?.other();
        let cross = || self.xtask(["image", "--arch", other.deb(), "--out", "cross"]);
        let downloads = self.directory.join("downloads");
        for mut command in [image(), cross()] {
            measure::run(command.env("BEDPLATE_CACHE", &downloads).current_dir(&downloads))?;
        }
        for kind in ["blobs", "kept"] {
            link(&downloads.join(kind), &self.directory.join("cache").join(kind))?;
        }

        let cold = measure::run(&mut image())?;
        let fresh = measure::run(&mut image())?;
        // containerd's settings are in the root alone, and the modules to be loaded in the initrd, too.
        let changed = self.line_more("containerd/config.toml")?;
        let both = self.line_more("modules-load.d/nbd.conf")?;
        // Over what the builds before the last left.
        let again = self.line_more("containerd/config.toml")?;
        let before = self.blocks()?;
        let more = measure::run(image().env(MORE, "1"))?;
        let after = self.blocks()?;
        let share = after.iter().filter(|block| before.contains(*block)).count() as f64 / after.len() as f64;
        let emulated = measure::run(&mut cross())?;
        let rows = vec![
            row("a", "everything downloaded, nothing cached", Some(0.65), cold),
            row("b", "nothing changed", None, fresh),
            row("c", "one line of one overlay file changed, the first time", Some(0.45), changed),
            row("c'", "one line of a file that the initrd has, too", None, both),
            row("c2", "one more line, over what the builds before left", Some(0.45), again),
            row("d", "one package added, and resolved", Some(0.4), more),
            row("e", format!("as (a), for {other}, emulated"), None, emulated),
            row("", "mmdebstrap: the packages of (d), no image", None, mmdebstrap::run(self)?),
        ];
        Ok((rows, share))
    }

    /// Builds with one line more in a file of the overlay.
    fn line_more(&self, file: &str) -> Result<Cost> {
        let sums = || fs::read_to_string(self.directory.join("out/image.SHA256SUMS"));
        let before = sums()?;
        let file = self.project().join("image/overlay/etc").join(file);
        let text = fs::read_to_string(&file)?;
        fs::write(&file, format!("{text}# one line more\n"))?;
        let cost = measure::run(&mut self.xtask(["image", "--out", "out"]))?;
        ensure!(sums()? != before, "the disk does not hold the changed line");
        Ok(cost)
    }

    /// The digests of the root's blocks.
    fn blocks(&self) -> Result<BTreeSet<[u8; 32]>> {
        let name = format!("out/image.root-{}.raw", bedplate::source::host_architecture()?.systemd());
        // In parts: what this process has had in memory counts for who is started by it.
        let mut root = BufReader::new(fs::File::open(self.directory.join(name))?);
        let (mut blocks, mut block) = (BTreeSet::new(), [0; 4096]);
        while !root.fill_buf()?.is_empty() {
            root.read_exact(&mut block)?;
            blocks.insert(Sha256::of(&block));
        }
        Ok(blocks)
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
}

/// Removes the directories of all benches. Layers may have owners that only the program itself can act for.
fn remove(all: &Path) -> Result<()> {
    let Ok(benches) = fs::read_dir(all) else { return Ok(()) };
    for bench in benches {
        let bench = Bench { directory: bench?.path() };
        for cache in ["cache", "downloads"] {
            let cache = bench.directory.join(cache);
            measure::run(bench.xtask(["clean", "--all"]).env("BEDPLATE_CACHE", cache))?;
        }
    }
    Ok(fs::remove_dir_all(all)?)
}

/// Shares a directory of downloads: a copy would have another time, and be hashed again.
fn link(from: &Path, to: &Path) -> Result<()> {
    each_file(from, to, |from, to| fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop)))
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

#[expect(clippy::print_stdout, reason = "the table is what a bench is for")]
fn say(text: impl std::fmt::Display) {
    println!("{text}");
}
