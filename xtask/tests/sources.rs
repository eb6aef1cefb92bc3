//! Which changes of the code make cache entries anew.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::duplicate_mod, reason = "one file, which each of the three packages has")]

#[path = "../core/build.rs"]
#[expect(dead_code, clippy::print_stdout, reason = "a build script")]
mod core;
#[path = "../build.rs"]
#[expect(dead_code, clippy::print_stdout, reason = "a build script")]
mod engine;
#[path = "../formats/build.rs"]
#[expect(dead_code, clippy::print_stdout, reason = "a build script")]
mod formats;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A crate, and what its build script makes of a package's directory.
struct Crate {
    name: &'static str,
    directory: PathBuf,
    digest: fn(&Path) -> String,
}

fn crates() -> [Crate; 3] {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    [
        Crate {
            name: "bedplate",
            directory: here.to_owned(),
            digest: |package| engine::sources::digest(package, engine::MAKES_NO_ENTRY),
        },
        Crate {
            name: "bedplate-core",
            directory: here.join("core"),
            digest: |package| core::sources::digest(package, core::MAKES_NO_ENTRY),
        },
        Crate {
            name: "bedplate-formats",
            directory: here.join("formats"),
            digest: |package| formats::sources::digest(package, formats::MAKES_NO_ENTRY),
        },
    ]
}

impl Crate {
    /// A copy of the files that cargo puts into the package, and of no other.
    fn package(&self) -> TempDir {
        let package = tempfile::tempdir().unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["package", "--list", "--allow-dirty", "--offline", "--package", self.name]);
        let output = cargo.current_dir(&self.directory).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for file in String::from_utf8(output.stdout).unwrap().lines() {
            let (from, to) = (self.directory.join(file), package.path().join(file));
            // Some are made for the package: `.cargo_vcs_info.json`.
            if from.is_file() {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(from, to).unwrap();
            }
        }
        package
    }
}

/// A crate, copied, to be changed.
struct Copied {
    package: TempDir,
    digest: fn(&Path) -> String,
}

impl Copied {
    fn of(each: Crate) -> Self {
        Self { package: each.package(), digest: each.digest }
    }

    /// Whether the digest is another one with a comment more in this file.
    fn changes_with(&self, file: &str) -> bool {
        let path = self.package.path().join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        let before = (self.digest)(self.package.path());
        fs::write(&path, format!("{text}// A comment.\n")).unwrap();
        let after = (self.digest)(self.package.path());
        fs::write(path, text).unwrap();
        before != after
    }
}

#[test]
fn a_package_of_a_registry_has_the_digest_of_the_checkout() {
    for each in crates() {
        let digest = (each.digest)(&each.directory);
        assert_eq!((each.digest)(each.package().path()), digest, "{}", each.name);
        assert_ne!(digest, (each.digest)(tempfile::tempdir().unwrap().path()), "{}", each.name);
    }
    let digest_of = |number: usize| {
        let each = &crates()[number];
        (each.digest)(&each.directory)
    };
    assert_eq!(bedplate::CORE_SOURCES, digest_of(1));
    assert_eq!(bedplate_formats::FORMATS_SOURCES, digest_of(2));
}

#[test]
fn what_makes_entries_changes_their_keys_and_nothing_else_does() {
    let [engine, core, formats] = crates().map(Copied::of);
    for file in ["src/step/initrd.rs", "src/step/sysprep.rs", "src/sandbox.rs", "src/build.rs", "src/key.rs"]
    {
        assert!(engine.changes_with(file), "{file}");
    }
    for file in ["src/cli.rs", "src/cmd/image.rs", "src/cmd/clean.rs", "src/report.rs", "src/store/trim.rs"] {
        assert!(!engine.changes_with(file), "{file}");
    }
    assert!(!engine.changes_with("src/step/initrd/tests.rs"));
    for file in ["src/glob.rs", "src/plan.rs", "src/image/filesystem.rs"] {
        assert!(core.changes_with(file), "{file}");
    }
    for file in ["src/check/binds.rs", "src/explain.rs", "src/plan/display.rs"] {
        assert!(!core.changes_with(file), "{file}");
    }
    for file in ["src/cpio.rs", "src/tree.rs", "src/unpack.rs"] {
        assert!(formats.changes_with(file), "{file}");
    }
}

#[test]
fn what_a_build_script_leaves_out_is_there() {
    for each in crates() {
        let text = fs::read_to_string(each.directory.join("build.rs")).unwrap();
        let list = text.split_once("MAKES_NO_ENTRY: &[&str] = &[").unwrap().1.split_once("];").unwrap().0;
        for path in list.split('"').filter(|path| path.starts_with("src/")) {
            assert!(each.directory.join(path).exists(), "{path} of {}", each.name);
        }
    }
}

#[test]
fn the_build_scripts_differ_in_one_list() {
    let texts = crates().map(|each| {
        let text = fs::read_to_string(each.directory.join("build.rs")).unwrap();
        let (head, rest) = text.split_once("\n/// ").unwrap();
        format!("{head}{}", rest.split_once("];\n").unwrap().1)
    });
    assert_eq!(texts[0], texts[1]);
    assert_eq!(texts[0], texts[2]);
    let shared = crates().map(|each| fs::read_to_string(each.directory.join("sources.rs")).unwrap());
    assert!(shared[0].contains("pub fn digest"));
    assert_eq!(shared[0], shared[1]);
    assert_eq!(shared[0], shared[2]);
}
