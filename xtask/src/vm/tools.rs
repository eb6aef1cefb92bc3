//! The programs behind a machine: found without being asked for, so that a test needs a disk and nothing else.
//!
//! The project's own program makes sandboxes and tools trees. It lies where Cargo puts it, beside the tests; the
//! image that a disk is one of stands in the manifest beside the disk.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, ensure};

use super::Vm;
use crate::store::Store;

/// What Cargo tells a test of its package about the program.
const TOLD: &str = "CARGO_BIN_EXE_xtask";

impl Vm {
    /// The program that is Bedplate with the project's images.
    pub(super) fn bedplate(&self) -> Result<PathBuf> {
        if let Some(program) = &self.program {
            return Ok(program.clone());
        }
        let told = env::var_os(TOLD).map(PathBuf::from);
        let beside = || beside(&env::current_exe().ok()?);
        told.or_else(beside).context(
            "the project's `xtask` does not lie beside this test: build it with `cargo build --bin xtask`, or \
             name it with `.program(…)`",
        )
    }

    /// A tree with `packages` of the image's own distribution.
    pub(super) fn tree(&self, packages: &[&str]) -> Result<PathBuf> {
        // Asked once per process: the answer takes a moment, and stays.
        static FOUND: Mutex<BTreeMap<Vec<String>, PathBuf>> = Mutex::new(BTreeMap::new());
        if let Some(tools) = &self.tools {
            return Ok(tools.clone());
        }
        // As long as a run lives, what it was given stays in the cache. Without one, the program below will say why.
        static STORE: OnceLock<Option<Store>> = OnceLock::new();
        STORE.get_or_init(|| Store::open().ok());
        let program = self.bedplate()?;
        let mut words = vec![program.display().to_string(), "tools".to_owned()];
        if let Some(image) = self.image.clone().or_else(|| image(&self.disk)) {
            words.extend(["--image".to_owned(), image]);
        }
        words.extend(packages.iter().map(|package| (*package).to_owned()));
        let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = found.get(&words) {
            return Ok(tree.clone());
        }
        let output = Command::new(&program)
            .args(&words[1..])
            .env("NO_COLOR", "1")
            .output()
            .with_context(|| format!("could not start `{}`", program.display()))?;
        ensure!(
            output.status.success(),
            "could not get the tools to start a machine with (`.image(…)` names another image for them, \
             `.program(…)` another program):\n`{}`: {}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        let tree = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        found.insert(words, tree.clone());
        Ok(tree)
    }
}

/// `target/debug/xtask` for `target/debug/deps/boot-…`, or for an example.
fn beside(test: &Path) -> Option<PathBuf> {
    test.ancestors().skip(1).take(2).map(|directory| directory.join("xtask")).find(|path| path.is_file())
}

/// The image that the manifest beside the disk is of.
pub(crate) fn image(disk: &Path) -> Option<String> {
    let manifest = std::fs::read(disk.with_extension("manifest")).ok()?;
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).ok()?;
    Some(manifest.get("config")?.get("name")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_lies_beside_the_tests() {
        let target = tempfile::tempdir().unwrap();
        let debug = target.path().join("debug");
        fs_err::create_dir_all(debug.join("deps")).unwrap();
        assert_eq!(beside(&debug.join("deps/boot-1234")), None);
        fs_err::write(debug.join("xtask"), "").unwrap();
        assert_eq!(beside(&debug.join("deps/boot-1234")), Some(debug.join("xtask")));
    }

    #[test]
    fn the_manifest_beside_a_disk_says_which_image_it_is() {
        let out = tempfile::tempdir().unwrap();
        let disk = out.path().join("image.raw");
        assert_eq!(image(&disk), None);
        let text = r#"{"manifest_version":1,"config":{"name":"edge"},"packages":[]}"#;
        fs_err::write(out.path().join("image.manifest"), text).unwrap();
        assert_eq!(image(&disk).as_deref(), Some("edge"));
    }
}
