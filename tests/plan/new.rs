//! `cargo xtask new`: what it writes is a project, of another release and of mkosi's configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::product::{scratch, small, success};

/// A new project, made with these arguments.
fn make(name: &str, arguments: &[&str]) -> PathBuf {
    let project = scratch("new").join(name);
    let _ = fs::remove_dir_all(&project);
    success(small().arg("new").arg(&project).args(arguments));
    project
}

/// A source of a project, compiled by the compiler alone: cargo would compile this crate once more, as another one.
fn compiled(project: &Path, source: &str, options: &[&str]) -> Command {
    let dependencies = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("deps");
    let libraries = fs::read_dir(&dependencies).unwrap().map(|entry| entry.unwrap());
    let is_library = |name: &str| name.starts_with("libbedplate-") && name.ends_with(".rlib");
    let libraries = libraries.filter(|entry| entry.file_name().to_str().is_some_and(is_library));
    let newest = libraries.max_by_key(|entry| entry.metadata().unwrap().modified().unwrap()).unwrap().path();

    let program = project.join("program");
    let mut compiler = Command::new(Path::new(env!("CARGO")).with_file_name("rustc"));
    compiler.args(["--edition", "2024", "-D", "warnings", source, "-o"]).arg(&program).args(options);
    compiler.arg("-L").arg(format!("dependency={}", dependencies.display()));
    compiler.arg("--extern").arg(format!("bedplate={}", newest.display()));
    compiler.current_dir(project).env("CARGO_MANIFEST_DIR", project);
    compiler.env("CARGO_PKG_NAME", project.file_name().unwrap()).env("CARGO_PKG_VERSION", "0.1.0");
    success(&mut compiler);
    let mut command = Command::new(program);
    command.current_dir(project).env("NO_COLOR", "1");
    command
}

#[test]
fn a_new_project_keeps_its_promises_on_another_release() {
    let project = make("newcomer", &["--release", "trixie"]);
    let said = success(&mut compiled(&project, "tests/image.rs", &["--test"]));
    assert!(said.contains("test result: ok. 3 passed"), "{said}");
}

#[test]
fn a_project_for_mkosi_becomes_one_without_mistakes() {
    let mkosi = scratch("new").join("mkosi");
    let unit = mkosi.join("mkosi.extra/usr/lib/systemd/system");
    fs::create_dir_all(&unit).unwrap();
    fs::create_dir_all(mkosi.join("mkosi.repart")).unwrap();
    let conf = "[Distribution]\nDistribution=ubuntu\nRelease=noble\n[Content]\nHostname=edge\nAutologin=yes\n\
        Packages=linux-generic systemd-sysv systemd-boot dbus\nRemoveFiles=/usr/share/doc/*\n\
        KernelCommandLine=root=PARTUUID systemd.volatile=overlay console=ttyS0\n";
    fs::write(mkosi.join("mkosi.conf"), conf).unwrap();
    fs::write(mkosi.join("mkosi.extra/usr/lib/motd"), "Welcome\n").unwrap();
    fs::write(unit.join("local.mount"), "[Mount]\nWhat=/dev/disk/by-label/data\nWhere=/local\n").unwrap();
    fs::write(mkosi.join("mkosi.repart/10-root.conf"), "[Partition]\nType=root\nFormat=ext4\n").unwrap();
    let data = "[Partition]\nType=linux-generic\nLabel=data\nFormat=ext4\nSizeMinBytes=2G\n";
    fs::write(mkosi.join("mkosi.repart/20-data.conf"), data).unwrap();

    let project = make("moved", &["--from-mkosi", mkosi.to_str().unwrap()]);
    let said = success(&mut compiled(&project, "tests/image.rs", &["--test"]));
    assert!(said.contains("test result: ok. 1 passed"), "{said}");
    success(compiled(&project, "image/main.rs", &["--crate-name", "xtask"]).arg("check"));
}
