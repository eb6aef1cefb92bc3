//! `cargo xtask new`: what it writes is a project, of another release and of mkosi's configuration.

use std::fs;

use crate::product::{scratch, success};
use crate::project::{compiled, make};

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
