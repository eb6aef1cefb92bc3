//! The way of a newcomer: a project of one's own, built, started and entered, by the program alone.

use std::process::{Child, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::product::{self, success};
use crate::project::{compiled, make, program};

/// A machine that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already cannot be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_new_project_is_built_and_whoever_starts_it_comes_in() {
    if !product::all() {
        return;
    }
    let project = make("newcomer", &["--release", "trixie"]);
    success(compiled(&project, "image/main.rs", &["--crate-name", "xtask"]).arg("image"));

    let ssh = |command: &[&str]| -> Output {
        program(&project).args(["ssh", "--"]).args(command).stdin(Stdio::null()).output().unwrap()
    };
    let alone = ssh(&["true"]);
    let said = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert!(said.contains("start it with `cargo xtask boot --ssh newcomer`"), "{said}");
    assert_eq!(alone.status.code(), Some(2));

    let mut boot = program(&project);
    boot.args(["boot", "--ssh"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running(boot.spawn().unwrap());
    let (door, started) = (project.join("build/.newcomer.ssh"), Instant::now());
    while !door.join("config").exists() && started.elapsed() < Duration::from_secs(300) {
        sleep(Duration::from_millis(100));
    }
    let asked = |command: &[&str]| {
        let answer = ssh(command);
        assert!(answer.status.success(), "{command:?}: {}", String::from_utf8_lossy(&answer.stderr));
        String::from_utf8(answer.stdout).unwrap()
    };
    assert_eq!(asked(&["id", "-un"]), "admin\n");
    assert_eq!(ssh(&["exit 7"]).status.code(), Some(7));
    let log = "systemctl is-active --quiet boots.service || sudo systemctl start boots.service; \
               wc --lines </local/persistent/var/lib/boots/log";
    assert_eq!(asked(&[log]).trim(), "1");

    // Its last word may be lost with the network.
    ssh(&["sudo", "systemctl", "poweroff"]);
    assert!(running.0.wait().unwrap().success());
    assert!(!door.exists(), "the key of a machine that has ended is still there");
}
