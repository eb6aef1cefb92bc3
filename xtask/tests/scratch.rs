//! What programs see of a tree, and what is read back of what they do. Needs root.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use bedplate_fixtures::user::{UID, User};
use expect_test::expect;

/// A program whose `main` dispatches.
const PROGRAM: &str = env!("CARGO_BIN_EXE_sandbox-exec");

/// A system with links into the host's programs.
fn system(directory: &Path) {
    for name in ["usr", "etc/tree/below", "etc/again", "root", "proc", "dev", "sys", "run", "tmp"] {
        fs::create_dir_all(directory.join(name)).unwrap();
    }
    for link in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{link}"), directory.join(link)).unwrap();
    }
    for name in ["gone", "kind", "ours", "same", "touched", "mode", "one", "tree/below/file", "again/old"] {
        fs::write(directory.join("etc").join(name), format!("{name}\n")).unwrap();
    }
    fs::hard_link(directory.join("etc/one"), directory.join("etc/other")).unwrap();
}

/// What programs do: everything that an overlay has a form of its own for.
const SCRIPT: &str = r"
    touch /etc/touched; echo same >/etc/same.new; mv /etc/same.new /etc/same
    chmod 600 /etc/mode; echo more >>/etc/one; cat /etc/other
    rm -r /etc/tree; rm -r /etc/again; mkdir /etc/again; echo new >/etc/again/new
    rm /etc/kind/new; ln -s nowhere /etc/link; mkfifo -m 640 /etc/fifo; chown 3:4 /etc/fifo
    echo a >/etc/a; ln /etc/a /etc/b; echo lost >/tmp/lost; echo lost >/run/lost; mkdir /root/d";

/// What is found and what is read back, in the same words however it is done.
fn ask(mut command: Command, directory: &Path, kind: &str) -> (String, String) {
    command.env("SCRATCH", kind).arg(directory).args(["sh", "-ec", SCRIPT]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let mut lines: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    // `find` goes as the directory does.
    lines.sort_by_key(|line| if line.starts_with('/') { line.clone() } else { "~".to_owned() });
    (said, lines.join("\n"))
}

#[test]
fn a_tree_is_shown_and_read_back_by_an_overlay_a_copy_and_an_ordinary_user_alike() {
    let directory = tempfile::tempdir().unwrap();
    system(&directory.path().join("system"));
    let before = listing(&directory.path().join("system"));
    let (said, overlay) = ask(Command::new(PROGRAM), directory.path(), "overlay");
    assert_eq!(said, "overlay\n");
    let (said, copy) = ask(Command::new(PROGRAM), directory.path(), "copy");
    assert_eq!((said.as_str(), &copy), ("copied\n", &overlay));
    assert_eq!(listing(&directory.path().join("system")), before, "the system itself is left alone");

    let user = User::new();
    let home = user.home().join("work");
    fs::create_dir(&home).unwrap();
    system(&home.join("system"));
    let owner = format!("{UID}:{UID}");
    assert!(Command::new("chown").args(["-R", &owner]).arg(&home).status().unwrap().success());
    let (said, users) = ask(user.command(&user.install(Path::new(PROGRAM))), &home, "overlay");
    assert_eq!((said.as_str(), &users), ("overlay\n", &overlay));

    expect![[r#"
        /etc d 755 0:0 
        /etc/again d 755 0:0 
        /etc/again/old f 644 0:0 
        /etc/kind d 700 0:0 
        /etc/kind/new f 4755 7:8 
        /etc/mode f 644 0:0 
        /etc/one f 644 0:0 
        /etc/other f 644 0:0 
        /etc/ours f 600 0:0 
        /etc/same f 644 0:0 
        /etc/touched f 644 0:0 
        /etc/tree d 755 0:0 
        /etc/tree/below d 755 0:0 
        /etc/tree/below/file f 644 0:0 
        one
        - /etc/again/old
        - /etc/kind/new
        - /etc/tree
        + /etc/a 644 0:0 "a\n" 0
        + /etc/again/new 644 0:0 "new\n" 0
        + /etc/b 644 0:0 Hardlink(/etc/a) 0
        + /etc/fifo 640 3:4 Fifo 0
        + /etc/link 777 0:0 Symlink([110, 111, 119, 104, 101, 114, 101]) 0
        + /etc/mode 600 0:0 "mode\n" 0
        + /etc/one 644 0:0 "one\nmore\n" 0
        + /root/d 755 0:0 Directory 0"#]]
    .assert_eq(&overlay);
}

fn listing(directory: &Path) -> String {
    let mut command = Command::new("find");
    command.arg(directory).args(["-printf", "%p %i %m %s %C@\n"]);
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}
