//! mmdebstrap with the same packages from the same downloads, for comparison.

use std::fs;
use std::io::Write as _;

use anyhow::{Context as _, Result};
use bedplate::Architecture;
use bedplate::artifacts;
use bedplate::lock::LockFile;
use bedplate_formats::deb::read_control;

use crate::Bench;
use crate::measure::{self, Cost};

#[path = "../../tests/build/system/mmdebstrap.rs"]
mod packages;

/// Installs the packages of the copied project's lock; mmdebstrap and apt come
/// from a tree of tools, made before the time counts.
pub fn run(bench: &Bench) -> Result<Cost> {
    let lock = fs::read_to_string(bench.project().join("image/edge-debian.lock"))?;
    let file = LockFile::parse(&lock)?;
    let lock = file.of(Architecture::X86_64).context("the lock is of another architecture")?;
    let repository = bench.directory.join("repository");
    fs::create_dir(&repository)?;
    let mut index = fs::File::create(repository.join("Packages"))?;
    for package in &lock.packages {
        let (sha256, size) = (&package.sha256, package.size);
        let blob = bench.directory.join("cache/blobs").join(&sha256[..2]).join(sha256.as_str());
        let file = format!("{}.deb", package.name);
        artifacts::copy(&blob, repository.join(&file))?;
        let control = read_control(fs::File::open(&blob)?).with_context(|| format!("reading `{file}`"))?;
        let stanza = control.stanza().text().trim_end();
        writeln!(index, "{stanza}\nFilename: ./{file}\nSize: {size}\nSHA256: {sha256}\n")?;
    }
    let names: Vec<&str> = lock.packages.iter().map(|package| package.name.as_str()).collect();
    let include = format!("--include={}", names.join(","));
    let tools = |argv: &[&str]| {
        let mut command = bench.xtask(["tools"]);
        command.args(packages::PACKAGES).arg("--");
        command.args(argv);
        command
    };
    measure::run(&mut tools(&["true"]))?;
    let cost = measure::run(&mut tools(&[
        "mmdebstrap",
        "--mode=root",
        "--variant=essential",
        "--aptopt=APT::Install-Recommends \"false\"",
        &include,
        "",
        "mmdebstrap",
        "deb [trusted=yes] copy:///run/work/repository ./",
    ]))?;
    measure::run(&mut tools(&["rm", "-r", "mmdebstrap"]))?;
    Ok(cost)
}
