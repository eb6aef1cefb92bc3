//! `boot --quick`: the root alone, in a container, with its console in the terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bedplate::vm::Vm;
use bedplate_formats::{gpt, sparse};

use crate::product::{self, small_program};

/// How long a container may take to come up, and to go.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn who_starts_the_root_in_a_container_is_in_it() {
    if !product::all() {
        return;
    }
    let out = product::built("small", "small");
    let command = format!("{} boot small --quick --out {}", small_program().display(), out.display());
    if Vm::new(&out.join("image.raw")).obstacle().is_some() {
        let output = Command::new("sh").args(["-c", &command]).current_dir(product::root()).output().unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        product::holds(&said, &["QEMU needs no rights: leave out `--quick`"]);
        return;
    }
    lost_root(&out);
    // It gives the program a terminal.
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--flush", "--command", &command, "/dev/null"]);
    terminal.current_dir(product::root()).env("NO_COLOR", "1").env("TERM", "dumb");
    let mut terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (terminal.stdin.take().unwrap(), terminal.stdout.take().unwrap());
    let (sender, shown) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = screen.read(&mut buffer) {
            if sender.send(String::from_utf8_lossy(&buffer[..length]).into_owned()).is_err() {
                break;
            }
        }
    });
    let started = Instant::now();
    let (mut seen, mut typed) = (String::new(), false);
    // Its end is the end of what is shown.
    while let Ok(more) = shown.recv_timeout(PATIENCE.saturating_sub(started.elapsed())) {
        seen.push_str(&more);
        if !typed && seen.contains("# ") {
            keyboard
                .write_all(
                    b"findmnt -no FSTYPE /; findmnt -no FSTYPE /var/lib/kept; echo $((40 + 2)); poweroff\n",
                )
                .unwrap();
            typed = true;
        }
    }
    assert!(seen.contains("overlay\r\next4\r\n42\r\n"), "{seen}");
    assert!(terminal.wait().unwrap().success(), "{seen}");
}

/// A root that no kernel mounts: there is no shell to come to, and the command says so by its end.
fn lost_root(out: &Path) {
    let scratch = tempfile::tempdir_in(product::scratch("quick")).unwrap();
    let disk = scratch.path().join("image.raw");
    let mut whole = File::open(out.join("image.raw")).unwrap();
    let lost = File::create(&disk).unwrap();
    sparse::copy_file(&whole, &lost).unwrap();
    let table = gpt::read(&mut whole).unwrap();
    let root = table.partitions.iter().find(|one| one.name.starts_with("root")).unwrap();
    lost.write_all_at(&[0; 4096], root.offset()).unwrap();
    let mut boot = product::small();
    let output = boot.args(["boot", "small", "--quick", "--out"]).arg(scratch.path()).output().unwrap();
    assert!(!output.status.success());
    product::holds(
        &String::from_utf8_lossy(&output.stderr),
        &["ended before there was a shell on its console"],
    );
}
