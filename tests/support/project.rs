//! Projects that `cargo xtask new` makes, and their programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::product::{scratch, small, success};

/// A new project, made with these arguments.
pub fn make(name: &str, arguments: &[&str]) -> PathBuf {
    let project = scratch("new").join(name);
    let _ = fs::remove_dir_all(&project);
    success(small().arg("new").arg(&project).args(arguments));
    project
}

/// A source of a project, compiled by the compiler alone: cargo would compile this crate once more, as another one.
pub fn compiled(project: &Path, source: &str, options: &[&str]) -> Command {
    let dependencies = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("deps");
    let libraries = fs::read_dir(&dependencies).unwrap().map(|entry| entry.unwrap());
    let is_library = |name: &str| name.starts_with("libbedplate-") && name.ends_with(".rlib");
    let libraries = libraries.filter(|entry| entry.file_name().to_str().is_some_and(is_library));
    let newest = libraries.max_by_key(|entry| entry.metadata().unwrap().modified().unwrap()).unwrap().path();

    let mut compiler = Command::new(Path::new(env!("CARGO")).with_file_name("rustc"));
    compiler.args(["--edition", "2024", "-D", "warnings", source, "-o", "program"]).args(options);
    compiler.arg("-L").arg(format!("dependency={}", dependencies.display()));
    compiler.arg("--extern").arg(format!("bedplate={}", newest.display()));
    // The checkout that cargo names is this repository's.
    compiler
        .current_dir(project)
        .env("CARGO_MANIFEST_DIR", project)
        .env("BEDPLATE_CHECKOUT", project.join(""));
    compiler.env("CARGO_PKG_NAME", project.file_name().unwrap()).env("CARGO_PKG_VERSION", "0.1.0");
    success(&mut compiler);
    program(project)
}

/// The program that was compiled last, as cargo would run it there.
pub fn program(project: &Path) -> Command {
    let mut command = Command::new(project.join("program"));
    command.current_dir(project).env("NO_COLOR", "1").env_remove("COLUMNS");
    command.env("BEDPLATE_CHECKOUT", project.join("")).env("CARGO_MANIFEST_DIR", project);
    command
}
