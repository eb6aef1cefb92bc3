//! What goes wrong around a build, and that it leaves the store, the lock and
//! the last artifacts as they were.

mod cache;
pub mod workshop;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use self::workshop::{MAIN, Workshop};
use crate::product;
use bedplate_fixtures::deb;
use bedplate_fixtures::server::{Reply, Server};
use bedplate_fixtures::signer::Signer;
use bedplate_fixtures::user::User;
use bedplate_formats::digest::hex;
use expect_test::{Expect, expect};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use sha2::{Digest as _, Sha256};

/// A mirror with one package.
fn mirror(workshop: &Workshop) -> Server {
    Server::start(BTreeMap::from([(workshop.victim.path.clone(), workshop.victim.bytes.clone())]))
}

/// Without the digests and fingerprints of what is not pinned.
fn anonymous(text: &str) -> String {
    let after = |text: &str, word: &str, name: &str| match text.split_once(word) {
        Some((before, rest)) => {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_hexdigit());
            format!("{before}{word}[{name}]{rest}")
        }
        None => text.to_owned(),
    };
    after(&after(text, "its sha256 is `", "another"), "signed by `", "somebody")
}

/// The command must fail with 2, say this, and change nothing.
#[track_caller]
fn fails(workshop: &Workshop, command: &mut Command, expected: Expect) {
    let before = workshop.state();
    // How far a long step is, and how long a download took, is the machine's.
    let output = command.arg("--quiet").output().unwrap();
    let said = anonymous(&workshop.said(&output.stderr));
    assert_eq!(output.status.code(), Some(2), "{said}");
    expected.assert_eq(&said);
    assert!(workshop.state() == before, "something was changed");
}

#[test]
fn a_mirror_that_misbehaves_changes_nothing() {
    let workshop = Workshop::without_the_victim("mirror");
    let mirror = mirror(&workshop);
    let build = || workshop.image_from(&mirror.base());
    let misbehave = |replies: Vec<Reply>| mirror.script(&workshop.victim.path, replies);

    misbehave(vec![Reply::Status(404)]);
    fails(
        &workshop,
        &mut build(),
        expect![[r#"
        error: the archive no longer carries `dmsetup` version `[version]`: `http://[mirror]/[victim]` answers 404
        help: the archive has a newer version: run `cargo xtask lock --update`, or name a snapshot in the description to keep this one
    "#]],
    );
    misbehave(vec![Reply::Status(500); 4]);
    fails(
        &workshop,
        &mut build(),
        expect![[r#"
        error: cannot fetch `dmsetup` version `[version]`: `http://[mirror]/[victim]` answers 500, after 4 attempts
        help: try again later, or take the archive from elsewhere with `--mirror FROM=TO`
    "#]],
    );
    // As long as the package, and something else.
    misbehave(vec![Reply::Other(vec![b'x'; workshop.victim.bytes.len()])]);
    fails(
        &workshop,
        &mut build(),
        expect![[r#"
        error: `http://[mirror]/[victim]` is not `dmsetup` version `[version]`: its sha256 is `[another]` instead of `[sha256]`
        help: the mirror is out of step or something on the way changes files: try another with `--mirror FROM=TO`
    "#]],
    );
    misbehave(vec![Reply::Other(b"<html>Please log in".to_vec())]);
    fails(
        &workshop,
        &mut build(),
        expect![[r#"
        error: `http://[mirror]/[victim]` is not `dmsetup` version `[version]`: it has 19 bytes instead of [size]
        help: the mirror is out of step or something on the way changes files: try another with `--mirror FROM=TO`
    "#]],
    );
    misbehave(vec![Reply::Cut(1000); 4]);
    fails(
        &workshop,
        &mut build(),
        expect![[r#"
        error: cannot fetch `dmsetup` version `[version]` from `http://[mirror]/[victim]`: the body ends at byte 4000 of [size], after 4 attempts
        help: check the network; what has arrived is kept and the next run resumes it; `--mirror FROM=TO` takes the archive from elsewhere
    "#]],
    );

    // The same command, once the mirror has come to its senses.
    product::success(&mut build());
    assert!(workshop.artifacts() != workshop.before);
    product::success(&mut workshop.verify());

    // An artifact beside the disk counts, too, though the root hash vouches for what is on the disk.
    let root = File::options().write(true).open(workshop.path("out/image.root-x86-64.raw")).unwrap();
    root.write_all_at(b"another", 40_960).unwrap();
    let refused = workshop.verify().output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("does not hold `image.root-x86-64.raw`"), "{said}");
}

#[test]
fn a_mirror_that_is_not_there_changes_nothing() {
    let workshop = Workshop::without_the_victim("nobody");
    let address = mirror(&workshop).base();
    fails(
        &workshop,
        &mut workshop.image_from(&address),
        expect![[r#"
        error: cannot fetch `dmsetup` version `[version]` from `http://[mirror]/[victim]`: connection refused, after 4 attempts
        help: check the network; what has arrived is kept and the next run resumes it; `--mirror FROM=TO` takes the archive from elsewhere
    "#]],
    );
}

#[test]
fn without_a_network_the_store_must_have_it() {
    let workshop = Workshop::without_the_victim("offline");
    fails(
        &workshop,
        workshop.image().arg("--offline"),
        expect![[r#"
        error: `dmsetup` version `[version]` is not in the store, and no network may be used
        help: run once without `--offline`, or name a directory with all of it by `--store DIR`
    "#]],
    );
    let output =
        workshop.image().arg("--offline").env("BEDPLATE_CACHE", workshop.path("empty")).output().unwrap();
    let said = workshop.said(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("is not in the store, and no network may be used; "), "{said}");
    let lock = workshop.path("none.lock");
    let mut command = workshop.small(&["lock", "small", "--offline", "--lock"]);
    fails(
        &workshop,
        command.arg(&lock),
        expect![[r#"
        error: `InRelease` of `http://ftp.debian.org/debian trixie` is not in the store, and no network may be used
        help: run once without `--offline`
    "#]],
    );
    assert!(!lock.exists());
}

#[test]
fn an_archive_that_cannot_be_trusted_moves_no_lock() {
    let workshop = Workshop::new("archive");
    let mirror = mirror(&workshop);
    let update = || {
        let mut command = workshop.small(&["lock", "small", "--update", "--lock"]);
        command.arg(workshop.lock()).arg("--mirror").arg(format!("{MAIN}={}", mirror.base()));
        command
    };
    fails(
        &workshop,
        &mut update(),
        expect![[r#"
        error: the archive has no `InRelease` of `http://ftp.debian.org/debian trixie`: `http://[mirror]/dists/trixie/InRelease` answers 404
        help: check the release and the mirror: `--mirror FROM=TO` takes the archive from elsewhere
    "#]],
    );
    let path = "/dists/trixie/InRelease";
    mirror.put(path, b"<html>It works!</html>");
    fails(
        &workshop,
        &mut update(),
        expect![[r#"
            error: the `InRelease` of `http://ftp.debian.org/debian trixie` cannot be trusted; one of the keys `1F89983E0081FDE018F3CC9673A4F27B8DD47936` (Debian Archive Automatic Signing Key (11/bullseye) <ftpmaster@debian.org>), `AC530D520F2F3269F5E98313A48449044AAD5C5D` (Debian Security Archive Automatic Signing Key (11/bullseye) <ftpmaster@debian.org>) and 7 more is to sign it
              caused by: not a signed text: it does not begin with `-----BEGIN PGP SIGNED MESSAGE-----`
        "#]],
    );
    let release = "Origin: Debian\nSuite: stable\nCodename: trixie\nDate: Sat, 06 Sep 2025 09:00:00 UTC\n";
    mirror.put(path, &Signer::new().sign(release));
    fails(
        &workshop,
        &mut update(),
        expect![[r#"
            error: the `InRelease` of `http://ftp.debian.org/debian trixie` cannot be trusted; one of the keys `1F89983E0081FDE018F3CC9673A4F27B8DD47936` (Debian Archive Automatic Signing Key (11/bullseye) <ftpmaster@debian.org>), `AC530D520F2F3269F5E98313A48449044AAD5C5D` (Debian Security Archive Automatic Signing Key (11/bullseye) <ftpmaster@debian.org>) and 7 more is to sign it
              caused by: signed by `[somebody]`, and by no pinned key (`1F89983E0081FDE018F3CC9673A4F27B8DD47936`, `AC530D520F2F3269F5E98313A48449044AAD5C5D`, `A4285295FC7B1A81600062A9605C66F00D6C9793`, `4D64FEC119C2029067D6E791F8D2585B8783D481`, `B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8`, `05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0`, `04B54C3CDCA79751B16BC6B5225629DF75B188BD`, `5E04A1E3223A19A20706E20F9904613D4CCE68C6`, `41587F7DB8C774BCCF131416762F67A0B2C39DE4`)
        "#]],
    );
}

#[test]
fn a_typo_in_a_package_is_shown_at_its_line() {
    let workshop = Workshop::new("typo");
    let lock = workshop.path("typo.lock");
    let mut command = workshop.small(&["image", "typo", "--lock"]);
    fails(
        &workshop,
        command.arg(&lock).arg("--out").arg(workshop.path("typo")),
        expect![[r#"
        error: no package `systemd-timesincd` can be installed from `trixie`, `trixie-security`,
               `trixie-updates`
          --> tests/images/small/main.rs:13:37
           |
        13 |     small(target).packages(["less", "systemd-timesincd"])
           |                                     ^^^^^^^^^^^^^^^^^^^
           |
           = help: did you mean `systemd-timesyncd`?
    "#]],
    );
    assert!(!lock.exists() && !workshop.path("typo").exists());
}

#[test]
fn a_package_cannot_climb_out() {
    let workshop = Workshop::new("hostile");
    workshop.make_later(1);
    let hostile = hostile_package(&workshop.victim.version);
    let digest = hex(&Sha256::digest(&hostile));
    let lock = fs::read_to_string(workshop.lock()).unwrap();
    let size = format!("size = {}\nsha256 = \"{}\"", workshop.victim.bytes.len(), workshop.victim.sha256);
    let lock = lock.replace(&size, &format!("size = {}\nsha256 = \"{digest}\"", hostile.len()));
    assert!(lock.contains(&digest));
    fs::write(workshop.lock(), lock).unwrap();
    let mirror = mirror(&workshop);
    mirror.put(&workshop.victim.path, &hostile);

    let output = workshop.image_from(&mirror.base()).arg("--quiet").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = workshop.said(&output.stderr).replace(&digest, "[digest]");
    let said = said.split_inclusive('/').filter(|part| !part.starts_with(|c: char| c.is_ascii_digit()));
    expect![[r#"
        error: installing the packages
          caused by: package `dmsetup` holds `../../climbed-out`, which leads out of the root directory
    "#]]
    .assert_eq(&said.collect::<String>());
    assert!(workshop.artifacts() == workshop.before);
    let store = fs::read_dir(workshop.path("cache/layers")).unwrap();
    assert!(
        store.map(Result::unwrap).all(|layer| layer.file_type().unwrap().is_symlink()),
        "a layer was kept"
    );
}

/// A package whose only file is beside the root it is unpacked into.
fn hostile_package(version: &str) -> Vec<u8> {
    let control = format!(
        "Package: dmsetup\nVersion: {version}\nArchitecture: amd64\nMaintainer: nobody\nDescription: no\n"
    );
    deb::archive([
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar", tar("./control", &control)),
        ("data.tar", tar("./../../climbed-out", "gotcha\n")),
    ])
}

/// A tar of one file, with whatever name is asked for.
fn tar(name: &str, text: &str) -> Vec<u8> {
    let mut header = vec![0_u8; 512];
    let mut put = |at: usize, field: &str| header[at..at + field.len()].copy_from_slice(field.as_bytes());
    put(0, name);
    put(100, "0000644\x000000000\x000000000\x00");
    put(124, &format!("{:011o}\x00{:011o}\x00        0", text.len(), 0));
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\x00 ").as_bytes());
    header.extend(text.as_bytes());
    header.resize(header.len().next_multiple_of(512) + 1024, 0);
    header
}

#[test]
fn a_damaged_package_in_the_store_is_fetched_again() {
    let workshop = Workshop::without_the_victim("damaged");
    let mirror = mirror(&workshop);
    let blob = workshop.blob(&workshop.victim.sha256);
    let bytes = &workshop.victim.bytes;
    let whole = |blob: &std::path::Path| fs::read(blob).is_ok_and(|now| now == *bytes);
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    for damaged in [&bytes[..bytes.len() / 2], &flipped] {
        fs::write(&blob, damaged).unwrap();
        let mut build = workshop.image_from(&mirror.base()).stderr(Stdio::null()).spawn().unwrap();
        let patience = Instant::now();
        while !whole(&blob) {
            assert!(patience.elapsed() < Duration::from_secs(30), "it was not fetched again");
            std::thread::sleep(Duration::from_millis(20));
        }
        build.kill().unwrap();
        build.wait().unwrap();
        fs::remove_file(&blob).unwrap();
    }
    assert_eq!(mirror.requests().len(), 2, "{:?}", mirror.requests());
}

/// Runs a command with a small disk mounted at `place`, in a mount namespace
/// of its own. Returns the exit code, stderr, and what is on the disk afterwards.
#[track_caller]
fn with_a_full_disk(
    place: &std::path::Path,
    size: &str,
    command: &Command,
) -> (Option<i32>, Vec<u8>, String) {
    assert!(rustix::process::geteuid().is_root(), "only root can mount the small disk that this test needs");
    fs::create_dir_all(place).unwrap();
    let script = "mount -t tmpfs -o size=$1 tmpfs $2; cp -a $2.last/. $2; place=$2; shift 2; \
                  \"$@\"; code=$?; cd $place; find . ! -name '.lock' ! -type d | sort; exit $code";
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh", size]).arg(place);
    unshare.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => unshare.env(name, value),
            None => unshare.env_remove(name),
        };
    }
    let output = unshare.current_dir(product::root()).output().unwrap();
    (output.status.code(), output.stderr, String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_full_cache_is_named_before_anything_is_fetched() {
    let workshop = Workshop::new("cache");
    let disk = workshop.path("disk");
    fs::create_dir(workshop.path("disk.last")).unwrap();
    let mut command = workshop.image();
    command.env("BEDPLATE_CACHE", &disk).arg("--quiet");
    let (code, said, left) = with_a_full_disk(&disk, "20m", &command);
    let said = workshop.said(&said);
    assert_eq!((code, left.as_str()), (Some(2), ""), "{said}");
    let said = said.replace(|c: char| c.is_ascii_digit() || c == '.', "");
    expect![[r#"
        error: no room for the downloads in `[here]/disk`:  MB are needed and  MB are free
        help: free some space, run `cargo xtask clean`, or name another place in `BEDPLATE_CACHE`
    "#]]
    .assert_eq(&said);
}

#[test]
fn a_full_output_directory_keeps_its_last_artifacts() {
    let workshop = Workshop::new("output");
    let disk = workshop.path("disk");
    let last = workshop.path("disk.last/small");
    fs::create_dir_all(&last).unwrap();
    fs::write(last.join(".bedplate.json"), "{}").unwrap();
    fs::write(last.join("image.raw"), "the last one").unwrap();
    let mut command = workshop.small(&["image", "small", "--lock"]);
    command.arg(workshop.lock()).arg("--out").arg(disk.join("small"));
    let (code, said, left) = with_a_full_disk(&disk, "40m", &command);
    let said = workshop.said(&said);
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(left, "./.small.lock\n./small/.bedplate.json\n./small/image.raw\n");
    assert!(said.contains("error: no space is left in `[here]/disk`"), "{said}");
    assert!(said.contains("help: "), "{said}");
}

#[test]
fn the_second_of_two_builds_waits_and_finds_it_fresh() {
    let workshop = Workshop::new("twice");
    let spawn = || workshop.image().stderr(Stdio::piped()).spawn().unwrap();
    let first = spawn();
    let patience = Instant::now();
    while !workshop.path(".out.new").exists() {
        assert!(patience.elapsed() < Duration::from_secs(30), "the first build does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    let second = spawn();
    let [first, second] = [first, second].map(|build| build.wait_with_output().unwrap());
    assert!(first.status.success() && second.status.success());
    let said = workshop.said(&second.stderr);
    assert!(said.contains("Waiting for another build in ") && said.contains("Fresh "), "{said}");
    product::success(&mut workshop.verify());
}

/// The processes of a group that still run.
fn running(group: u32) -> Vec<String> {
    let fields = |stat: &str| -> Option<(String, u32)> {
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
    };
    let processes = fs::read_dir("/proc").unwrap().map(Result::unwrap);
    processes
        .filter_map(|process| fs::read_to_string(process.path().join("stat")).ok())
        .filter(|stat| fields(stat).is_some_and(|(state, of)| of == group && state != "Z"))
        .collect()
}

/// Starts a build, lets `when` decide the moment, and interrupts it. Says
/// whether it came in time.
#[track_caller]
fn interrupt(
    workshop: &Workshop,
    mut build: Command,
    signal: Signal,
    group: bool,
    when: impl FnOnce(),
) -> bool {
    let before = workshop.state();
    build.stderr(Stdio::piped()).stdout(Stdio::null()).process_group(0);
    let mut build = build.spawn().unwrap();
    when();
    let process = Pid::from_child(&build);
    if group { kill_process_group(process, signal) } else { kill_process(process, signal) }.unwrap();
    let mut said = String::new();
    let status = build.wait().unwrap();
    build.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    if status.success() || said.contains("interrupted: the new artifacts, the lock and the cache are whole") {
        return false;
    }
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("interrupted: the last artifacts, the lock and the cache are whole"), "{said}");
    assert!(!said.contains("error"), "{said}");
    let patience = Instant::now();
    while let [left, ..] = &running(build.id())[..] {
        assert!(patience.elapsed() < Duration::from_secs(5), "still running: {left}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(workshop.state() == before, "something was changed");
    true
}

#[test]
fn a_download_can_be_interrupted() {
    let workshop = Workshop::without_the_victim("download");
    let mirror = mirror(&workshop);
    for (signal, group) in [(Signal::INT, true), (Signal::INT, false), (Signal::TERM, false)] {
        mirror.script(&workshop.victim.path, [Reply::Stall(500)]);
        let asked = mirror.requests().len();
        let in_time = interrupt(&workshop, workshop.image_from(&mirror.base()), signal, group, || {
            while mirror.requests().len() == asked {
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        assert!(in_time);
    }
}

#[test]
fn a_build_can_be_interrupted_at_any_step() {
    if !product::all() {
        return;
    }
    let workshop = Workshop::new("interrupted");
    workshop.make_later(1);
    let started = Instant::now();
    product::success(&mut workshop.image());
    let whole = started.elapsed();
    let mut interrupted = 0;
    for part in 1..=5 {
        workshop.make_later(1);
        let signal = if part % 3 == 0 { Signal::TERM } else { Signal::INT };
        let in_time = interrupt(&workshop, workshop.image(), signal, part % 2 == 0, || {
            std::thread::sleep(whole.mul_f64(0.18 * f64::from(part)));
        });
        interrupted += u32::from(in_time);
    }
    assert!(interrupted >= 3, "only {interrupted} builds were interrupted");
    workshop.make_later(1);
    product::success(&mut workshop.image());
    product::success(&mut workshop.verify());
    assert!(!workshop.path(".out.new").exists(), "what was half made is still there");
}

#[test]
fn a_user_without_subordinate_ids_is_told_before_anything_is_fetched() {
    assert!(rustix::process::geteuid().is_root(), "only root can play another user");
    let user = User::with_subordinate(0);
    let program = user.install(&product::small_program());
    let output = user.command(&program).args(["image", "small", "--out", "out"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    expect![[r#"
        error: this host is not ready for building as the user `tester`:
          `/etc/subuid` grants no ids to the user: run `sudo usermod --add-subuids 100000-165535 tester`
          `/etc/subgid` grants no ids to the user: run `sudo usermod --add-subgids 100000-165535 tester`
    "#]]
    .assert_eq(&String::from_utf8(output.stderr).unwrap());
    assert!(!user.home().join(".cache").exists());
}
