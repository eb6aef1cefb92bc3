//! Two checkouts with one target directory, by cargo itself.
//!
//! Each is a project of one file, with what Bedplate compiles into every description and asks when it starts, and with
//! this repository's `.cargo/config.toml`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const MANIFEST: &str = r#"
[package]
name = "devices"
version = "0.1.0"
edition = "2024"

[[bin]]
name = "xtask"
path = "image/main.rs"

[workspace]
"#;

const MAIN: &str = r#"
#[path = "HERE/core/src/image/compiled.rs"]
mod compiled;
#[path = "HERE/src/project/checkout.rs"]
mod checkout;

pub use compiled::Compiled;

fn main() {
    let compiled = crate::compiled!();
    match checkout::package(compiled.package, compiled.name, compiled.checkout) {
        Ok(package) => println!("NAME is described, {} read", package.display()),
        Err(other) => println!("{other}"),
    }
    let _ = checkout::workspace(std::path::Path::new("."), compiled.file);
}
"#;

/// The checkouts `one` and `two`.
struct Scene {
    directory: TempDir,
}

impl Scene {
    fn new(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            let project = directory.path().join(name);
            for directory in [".cargo", "image"] {
                fs::create_dir_all(project.join(directory)).unwrap();
            }
            let main = MAIN.replace("HERE", env!("CARGO_MANIFEST_DIR")).replace("NAME", name);
            fs::write(project.join("Cargo.toml"), MANIFEST).unwrap();
            fs::write(project.join("image/main.rs"), main).unwrap();
            fs::write(project.join(".cargo/config.toml"), config).unwrap();
        }
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What `cargo xtask` prints in this checkout.
    fn xtask(&self, name: &str) -> String {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["xtask"]).current_dir(self.path(name)).env("CARGO_TARGET_DIR", self.path("target"));
        let output = cargo.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let here = format!("{}/", self.directory.path().display());
        String::from_utf8(output.stdout).unwrap().trim_end().replace(&here, "")
    }
}

#[test]
fn each_checkout_builds_its_own_description() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cargo/config.toml");
    let scene = Scene::new(&fs::read_to_string(config).unwrap());
    for name in ["one", "two", "one"] {
        assert_eq!(scene.xtask(name), format!("{name} is described, {name} read"));
    }
}

#[test]
fn without_the_line_in_its_configuration_another_checkouts_description_is_not_built() {
    let scene = Scene::new("[alias]\nxtask = \"run --quiet --bin xtask --\"\n");
    assert_eq!(scene.xtask("one"), "one is described, one read");
    assert_eq!(scene.xtask("two"), "this program was compiled from `one`, and cargo runs it for `two`");
    // What the message asks for.
    let main = fs::File::options().append(true).open(scene.path("two/image/main.rs")).unwrap();
    main.set_modified(std::time::SystemTime::now()).unwrap();
    assert_eq!(scene.xtask("two"), "two is described, two read");
}
