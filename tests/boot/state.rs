//! What a device keeps: made on the first boot, left alone on every later one,
//! and whole whenever the power goes.

#[path = "../images/state/main.rs"]
#[expect(dead_code, reason = "a test has a main function of its own")]
mod image;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::product::{self, success};
use bedplate::plan::{BindKind, FileKind};
use bedplate::vm::guest::Guest;
use bedplate::{Plan, Target};

fn plan() -> Plan {
    image::keeper(&Target::default()).plan_named("keeper").unwrap()
}

/// The script behind the binds, run in a directory of the host. Every program
/// it starts is counted, and the power can be cut at one of them.
struct Bench {
    directory: tempfile::TempDir,
}

/// Where the power is cut: before a program does its work, or after it.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    Before,
    After,
}

const PROGRAMS: [&str; 8] = ["chmod", "chown", "cp", "mkdir", "mv", "rm", "sync", "touch"];

/// Owners are root's to give, so `chown` is only counted. A copy that is cut
/// off before its end leaves half of itself.
const PROGRAM: &str = r#"#!/bin/sh
name=${0##*/}
count=$(cat "$BENCH/count")
count=$((count + 1))
echo $count >"$BENCH/count"
real() {
    if [ $name = chown ]; then return 0; fi
    PATH=$REAL exec $name "$@"
}
if [ $name = "$FAIL" ]; then exit 1; fi
if [ $count = "$STOP" ]; then
    if [ $name = cp ] && [ $CUT = before ]; then PATH=$REAL mkdir "$3"; PATH=$REAL touch "$3/config"; fi
    if [ $CUT = after ]; then (real "$@"); fi
    kill -9 $PPID
    exit 1
fi
real "$@"
"#;

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        let bin = at.join("bin");
        fs::create_dir(&bin).unwrap();
        for name in PROGRAMS {
            fs::write(bin.join(name), PROGRAM).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let script = plan().text("/usr/lib/bedplate/state").unwrap().to_owned();
        // Every path in it is a word of its own in quotes.
        fs::write(at.join("state"), script.replace(" '/", &format!(" '{}/", at.display()))).unwrap();
        fs::create_dir_all(at.join("etc/agent")).unwrap();
        fs::write(at.join("etc/agent/config"), "as shipped\n").unwrap();
        fs::write(at.join("etc/agent/template"), "as shipped\n").unwrap();
        fs::create_dir(at.join("local")).unwrap();
        // The places of the binds, whose owners and modes they take.
        for bind in plan().binds.iter().filter(|bind| bind.unit.is_some()) {
            let place = at.join(bind.path.trim_start_matches('/'));
            match bind.kind {
                BindKind::Directory => fs::create_dir_all(place).unwrap(),
                BindKind::File => {
                    fs::create_dir_all(place.parent().unwrap()).unwrap();
                    fs::write(place, "").unwrap();
                }
            }
        }
        Self { directory }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    fn run(&self, stop: Option<(usize, Cut)>, fail: &str) -> Output {
        fs::write(self.path("count"), "0").unwrap();
        let real = std::env::var("PATH").unwrap();
        let (number, cut) = stop.map_or((String::new(), "never"), |(number, cut)| {
            (number.to_string(), if cut == Cut::Before { "before" } else { "after" })
        });
        let mut command = Command::new("sh");
        command.arg(self.path("state")).env("BENCH", self.directory.path()).env("REAL", &real);
        command.env("PATH", format!("{}:{real}", self.path("bin").display()));
        command.env("STOP", number).env("CUT", cut).env("FAIL", fail).output().unwrap()
    }

    fn finish(&self) {
        let output = self.run(None, "");
        assert!(output.status.success(), "{output:?}");
    }

    /// Each path that is kept, and whether there is something behind it. What
    /// is there is whole.
    fn kept(&self) -> Vec<(String, bool)> {
        let plan = plan();
        let binds = plan.binds.iter().filter(|bind| bind.unit.is_some());
        let one = |bind: &bedplate::plan::BindPlan| {
            let backing = self.path(&bind.backing);
            if let Ok(found) = fs::metadata(&backing) {
                if let Some(mode) = bind.mode {
                    assert_eq!(found.permissions().mode() & 0o7777, mode, "{}", bind.path);
                }
                let files = ["config", "template"];
                for file in files.iter().filter(|_| bind.seeded) {
                    let text = fs::read_to_string(backing.join(file));
                    assert_eq!(text.unwrap_or_default(), "as shipped\n", "half of {} is there", bind.path);
                }
            }
            (bind.path.to_string(), backing.exists())
        };
        binds.map(one).collect()
    }

    fn leftovers(&self) -> String {
        success(Command::new("find").arg(self.path("local")).args(["-name", "*~"]))
    }
}

#[test]
fn a_power_cut_at_any_step_leaves_all_of_a_bind_or_nothing_and_the_next_boot_completes_it() {
    for cut in [Cut::Before, Cut::After] {
        let mut stop = 1;
        loop {
            let bench = Bench::new();
            let was_cut = !bench.run(Some((stop, cut)), "").status.success();
            let kept = bench.kept();
            bench.finish();
            assert!(bench.kept().iter().all(|(_, there)| *there), "cut at {stop}: {:?}", bench.kept());
            assert_eq!(bench.leftovers(), "", "cut at {stop}, when there was {kept:?}");
            if !was_cut {
                break;
            }
            stop += 1;
        }
        assert!(stop > 20, "the script was cut at {stop} steps only");
    }
}

#[test]
fn the_seed_never_overwrites_what_the_device_changed() {
    let bench = Bench::new();
    bench.finish();
    let config = bench.path("local/persistent/etc/agent/config");
    fs::write(&config, "changed\n").unwrap();
    // The next version of the image ships another, and a file more.
    fs::write(bench.path("etc/agent/config"), "shipped later\n").unwrap();
    fs::write(bench.path("etc/agent/more"), "shipped later\n").unwrap();
    bench.finish();
    assert_eq!(fs::read_to_string(&config).unwrap(), "changed\n");
    assert!(!config.with_file_name("more").exists());
}

#[test]
fn what_cannot_be_made_leaves_the_others_alone() {
    for (fails, missing) in [
        ("cp", ["/etc/agent"].as_slice()),
        ("touch", ["/etc/counter", "/var/lib/systemd/random-seed"].as_slice()),
    ] {
        let bench = Bench::new();
        let output = bench.run(None, fails);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        for (path, there) in bench.kept() {
            assert_eq!(there, !missing.contains(&path.as_str()), "{path} when {fails} fails");
            assert_eq!(
                said.contains(&format!(
                    "so {}{path} is not kept",
                    bench.path("").display().to_string().trim_end_matches('/')
                )),
                !there,
                "{path}: {said}"
            );
        }
        assert_eq!(bench.leftovers(), "");
    }
}

/// The steps of the initrd's unit, with systemd's own program.
#[test]
fn a_reset_that_is_cut_off_after_any_step_is_known_to_the_next_boot() {
    let directory = product::scratch("reset");
    fs::remove_dir_all(&directory).unwrap();
    let data = directory.join("data");
    fs::create_dir_all(data.join("persistent/etc")).unwrap();
    // Some begin as the order's own name does.
    let names = [".hidden", "..odd", "own", ".f", ".fa", ".factory", ".factory-resex", ".factory-reset2"];
    for name in names.into_iter().chain(["persistent/etc/machine-id"]) {
        fs::write(data.join(name), "kept\n").unwrap();
    }
    let left = || {
        let names = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name().into_string());
        names.map(Result::unwrap).collect::<Vec<_>>()
    };
    let plan = plan();
    let text = |path: &str| match &plan.initrd.files.iter().find(|file| file.path == path).unwrap().kind {
        FileKind::File { text } => text.clone(),
        other => panic!("{path} is {other:?}"),
    };
    let unit = text("/usr/lib/systemd/system/bedplate-reset.service");
    let steps: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("ExecStart=")).collect();
    for (number, step) in (1..).zip(&steps) {
        let (command, rules) = step.rsplit_once(' ').unwrap();
        // Where a tool finds the working directory.
        let rules = text(rules).replace("/run/bedplate/data", "/run/work/data");
        fs::write(directory.join("rules"), rules).unwrap();
        let command: Vec<&str> = command.split(' ').chain(["./rules"]).collect();
        product::agrees(&directory, &["base-files", "systemd"], &command);
        let ordered = left().iter().any(|name| name == ".factory-reset");
        assert_eq!(ordered, number < steps.len(), "cut off after `{step}`, there is {:?}", left());
    }
    assert_eq!(left(), [""; 0], "a reset leaves this behind");
}

#[test]
fn what_is_kept_is_there_from_the_first_boot_and_stays_as_the_device_left_it() {
    let mut guest = product::machine(&product::built("state", "keeper")).quick().start().unwrap();
    guest.settle().unwrap();
    let stat = |guest: &mut Guest, path: &str| {
        guest.check(&format!("stat -c '%a %U:%G %F' {path}")).unwrap().trim().to_owned()
    };
    assert_eq!(stat(&mut guest, "/var/lib/owned"), "2750 keeper:keeper directory");
    assert_eq!(stat(&mut guest, "/etc/counter"), "600 root:root regular empty file");
    for bind in plan().binds.iter().filter(|bind| bind.unit.is_some() && !bind.seeded) {
        let mode = bind.mode.unwrap_or(if bind.kind == BindKind::File { 0o644 } else { 0o755 });
        let name = |name: &Option<String>| name.clone().unwrap_or("root".to_owned());
        let expected = format!("{mode:o} {}:{} ", name(&bind.owner), name(&bind.group));
        let found = stat(&mut guest, &bind.path);
        assert!(found.starts_with(&expected), "{}: {found}, not {expected}", bind.path);
        let source = guest.check(&format!("findmnt -no SOURCE {}", bind.path)).unwrap();
        let backing = bind.backing.strip_prefix("/local").unwrap();
        assert!(source.trim().ends_with(&format!("[{backing}]")), "{} is mounted from {source}", bind.path);
    }
    assert_eq!(guest.check("id -u keeper; id -nG keeper").unwrap(), "990\nkeeper systemd-journal\n");
    assert_eq!(guest.check("cat /etc/agent/*").unwrap(), "as shipped\nas shipped\n");
    assert!(guest.check("test -e /var/lib/plain/needed && systemctl is-active needy").is_ok());

    // No program is started from what is kept, unless the description says so.
    let run = "cp /bin/true $1/run && $1/run";
    assert_eq!(guest.run(&format!("set -- /opt/programs; {run}")).unwrap().code, 0);
    for path in ["/var/lib/plain", "/etc/agent", "/local"] {
        let output = guest.run(&format!("set -- {path}; {run}")).unwrap();
        assert_eq!(output.code, 126, "{path}: {}", output.stdout);
        let options = guest.check(&format!("findmnt -no OPTIONS {path}")).unwrap();
        assert!(options.contains("nosuid,nodev,noexec"), "{path}: {options}");
    }

    let id = guest.check("cat /etc/machine-id").unwrap();
    guest
        .check(
            "echo changed >/etc/agent/config; rm /etc/agent/template; echo 1 >/etc/counter; \
             echo kept >/var/lib/owned/kept; chmod 700 /var/lib/plain; sync",
        )
        .unwrap();

    guest.reboot().unwrap();
    guest.settle().unwrap();
    assert_eq!(guest.check("ls /etc/agent").unwrap(), "config\nrun\n");
    assert_eq!(
        guest.check("cat /etc/agent/config /etc/counter /var/lib/owned/kept").unwrap(),
        "changed\n1\nkept\n"
    );
    assert_eq!(stat(&mut guest, "/var/lib/plain"), "700 root:root directory");
    assert_eq!(guest.check("cat /etc/machine-id").unwrap(), id);
    guest.check("journalctl -b -1 -o cat -n 1 | grep .").expect("the journal of the first boot is there");
}

#[test]
fn a_device_that_lost_its_data_starts_without_what_needs_it() {
    let vm = product::machine(&product::built("state", "keeper")).quick();
    let mut guest = vm.edit(|disk| disk.zero("persistent")).unwrap().start().unwrap();
    assert_eq!(guest.state().unwrap().word, "degraded");
    assert_ne!(guest.run("systemctl is-active needy").unwrap().code, 0);
    assert_ne!(guest.run("test -e /var/lib/plain/needed").unwrap().code, 0);
    assert!(guest.console().contains("bedplate: "), "the console says nothing");
}
