//! The way of a newcomer: a project of one's own, built and started.

use std::fs;
use std::path::Path;
use std::process::Command;

use bedplate::vm::Vm;

use crate::product::{self, root, scratch, success, xtask};

#[test]
fn a_new_project_is_built_and_remembers_its_boots() {
    if !product::all() {
        return;
    }
    let project = scratch("new").join("newcomer");
    let _ = fs::remove_dir_all(&project);
    success(xtask().arg("new").arg(&project).args(["--release", "trixie"]));
    // The versions of this repository are compiled already, and need no registry.
    fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(arguments).current_dir(&project).env("CARGO_NET_OFFLINE", "true");
        cargo.env("CARGO_TARGET_DIR", project.join("target"));
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        success(cargo.env("CARGO_BUILD_BUILD_DIR", shared))
    };
    cargo(&["xtask", "check"]);
    let promises = cargo(&["test"]);
    assert!(promises.contains("test result: ok. 3 passed"), "{promises}");
    cargo(&["xtask", "image"]);

    let mut guest = Vm::boot(project.join("build/newcomer/image.raw")).unwrap();
    guest.wait_unit("boots.service").unwrap();
    guest.reboot().unwrap();
    guest.wait_unit("boots.service").unwrap();
    assert_eq!(guest.check("wc --lines </var/lib/boots/log").unwrap().trim(), "2");
}
