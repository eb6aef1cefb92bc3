//! The same bench of another revision of this repository: a ratio of two runs beside each other holds on any machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// A revision, compiled.
pub struct Against {
    checkout: PathBuf,
    /// Its name, as it was given.
    pub revision: String,
}

impl Against {
    /// Checks a revision out below `directory` and compiles its bench.
    pub fn new(revision: &str, directory: &Path) -> Result<Self> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        // A branch is another commit tomorrow.
        let commit = git(repository, ["rev-parse", "--verify", &format!("{revision}^{{commit}}")])?;
        let checkout = directory.join(&commit);
        if !checkout.exists() {
            fs::create_dir_all(directory)?;
            let to = checkout.to_str().context("the target directory is not UTF-8")?;
            git(repository, ["clone", "--quiet", "--no-checkout", "--shared", ".", to])?;
            git(&checkout, ["checkout", "--quiet", "--detach", &commit])?;
        }
        let against = Self { checkout, revision: revision.to_owned() };
        let compiled = against.bench().arg("--no-run").output()?;
        ensure!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        Ok(against)
    }

    /// The seconds of each row of its table, by the row's letter.
    pub fn run(&self) -> Result<BTreeMap<String, f64>> {
        let output = self.bench().output()?;
        let said = String::from_utf8(output.stdout)?;
        ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let row = |line: &str| {
            let mut cells = line.strip_prefix("| (")?.split('|');
            let letter = cells.next()?.split(')').next()?.to_owned();
            Some((letter, cells.next()?.trim().trim_end_matches(" s").parse().ok()?))
        };
        Ok(said.lines().filter_map(row).collect())
    }

    fn bench(&self) -> Command {
        let mut command = Command::new(env!("CARGO"));
        command.args(["bench", "--profile", "dev", "--quiet"]).current_dir(&self.checkout);
        // What cargo says of this bench is not for that one.
        command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_TARGET_DIR");
        command
    }
}

/// What git says, without the end of its line.
fn git<const N: usize>(directory: &Path, arguments: [&str; N]) -> Result<String> {
    let output = Command::new("git").current_dir(directory).args(arguments).output().context("git")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}
