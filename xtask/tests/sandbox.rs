//! What a program in the sandbox sees, and what becomes of it. Needs root.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bedplate::sandbox::{Sandbox, watch};
use bedplate_fixtures::container;
use bedplate_fixtures::user::{self, User};
use tempfile::TempDir;

/// A program whose `main` dispatches.
const PROGRAM: &str = env!("CARGO_BIN_EXE_sandbox-exec");

/// A root with the host's programs in it and nothing else.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("usr")).unwrap();
        fs::create_dir(root.path().join("root")).unwrap();
        for link in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{link}"), root.path().join(link)).unwrap();
        }
        Self(root)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn sandbox(&self) -> Sandbox {
        Sandbox::new(self.path()).program(Path::new(PROGRAM)).bind_read_only(Path::new("/usr"), "/usr")
    }

    fn shell(&self, script: &str) -> String {
        self.sandbox().run(["sh", "-ec", script]).unwrap()
    }
}

fn output(sandbox: &Sandbox, script: &str) -> Output {
    let argv = ["sh", "-c", script];
    sandbox.command(argv).stdout_capture().stderr_capture().unchecked().run().unwrap()
}

#[test]
fn whoever_watches_hears_of_each_command_and_its_time() {
    let (told, heard) = mpsc::channel();
    let hear = move |command: &str, took| told.send((command.to_owned(), took)).unwrap();
    let watch = watch(hear).unwrap();
    Root::new().shell("sleep 0.2; : heard of");
    drop(watch);
    // The other tests are heard of, too.
    let ours: Vec<_> = heard.iter().filter(|(command, _)| command.contains("heard of")).collect();
    assert!(
        matches!(&ours[..], [(command, took)] if command.starts_with("`sh -ec") && took.as_millis() >= 200),
        "{ours:?}"
    );
}

#[test]
fn a_command_sees_its_own_root_and_a_clean_environment() {
    let root = Root::new();
    assert_eq!(root.shell("ls /"), "bin\ndev\nlib\nlib64\nproc\nroot\nrun\nsbin\nsys\ntmp\nusr\n");
    assert_eq!(root.shell("hostname; umask; pwd; id -u"), "bedplate\n0022\n/\n0\n");
    let environment = root.sandbox().env("A", "b c").run(["env"]).unwrap();
    let mut names: Vec<&str> = environment.lines().filter_map(|line| line.split('=').next()).collect();
    names.retain(|&name| name != "SOURCE_DATE_EPOCH");
    names.sort_unstable();
    assert_eq!(names, ["A", "DEBIAN_FRONTEND", "HOME", "LANG", "PATH"]);
}

#[test]
fn a_command_has_a_proc_of_its_own() {
    let root = Root::new();
    // Counted by the shell itself: of two ends of a pipe, one may not be there yet.
    assert_eq!(root.shell("cat /proc/1/comm; set -- /proc/[0-9]*; echo $#"), "exe\n2\n");
}

#[test]
fn a_command_finds_itself_in_a_chroot() {
    let root = Root::new();
    // What systemd and ischroot compare.
    let same = root.shell(
        "stat -Lc %d:%i / /proc/1/root | uniq | wc -l; stat -Lc %d:%i / /proc/self/root | uniq | wc -l",
    );
    assert_eq!(same, "2\n1\n");
    let directory = root.sandbox().directory("/root").run(["pwd", "-P"]).unwrap();
    assert_eq!(directory, "/root\n");
}

#[test]
fn a_command_changes_no_setting_and_no_clock_of_the_host() {
    let root = Root::new();
    let refused = root
        .shell("! echo 1 2>/dev/null >/proc/sys/vm/swappiness; ! date -s @1 2>/dev/null >&2; echo refused");
    assert_eq!(refused, "refused\n");
    let capabilities = root.shell("sed -n 's/^CapEff:.*\\(........\\)$/\\1/p' /proc/self/status");
    let capabilities = u32::from_str_radix(capabilities.trim(), 16).unwrap();
    assert_eq!(capabilities & (1 << 16 | 1 << 25), 0, "no CAP_SYS_MODULE and no CAP_SYS_TIME");
}

#[test]
fn devices_work_and_leave_no_trace_in_the_tree() {
    let root = Root::new();
    root.shell(
        "echo x >/dev/null; head -c4 /dev/urandom >/dev/shm/a; test -c /dev/ptmx; echo y >/dev/stderr
         ! echo x 2>/dev/null >/dev/full
         echo a >/run/a; echo b >/tmp/b; ! echo c 2>/dev/null >/sys/c",
    );
    for directory in ["dev", "run", "tmp", "proc", "sys"] {
        assert_eq!(fs::read_dir(root.path().join(directory)).unwrap().count(), 0, "{directory}");
    }
}

#[test]
fn the_network_is_gone_unless_it_is_asked_for() {
    let root = Root::new();
    let interfaces = "sed -n 's/:.*//p' /proc/net/dev | tr -d ' \\n'";
    assert_eq!(root.shell(interfaces), "lo");
    let names = root.sandbox().network().run(["sh", "-c", interfaces]).unwrap();
    let host = fs::read_to_string("/proc/net/dev").unwrap();
    assert_eq!(names.matches("lo").count() == 1, host.contains("lo:"));
    assert_eq!(host.matches(':').count(), fs::read_dir("/sys/class/net").unwrap().count());
}

#[test]
fn lo_is_up() {
    assert_eq!(Root::new().shell("cat /sys/class/net/lo/flags"), "0x9\n");
}

#[test]
fn binds_are_seen_and_keep_their_mode() {
    let root = Root::new();
    let host = tempfile::tempdir().unwrap();
    fs::write(host.path().join("file"), "text").unwrap();
    let sandbox = root
        .sandbox()
        .bind(host.path(), "/run/work")
        .bind_read_only(&host.path().join("file"), "/tmp/deep/file")
        .bind_read_only(host.path(), "/run/fixed");
    sandbox.run(["sh", "-ec", "echo new >/run/work/new; cat /tmp/deep/file"]).unwrap();
    assert_eq!(fs::read_to_string(host.path().join("new")).unwrap(), "new\n");
    for path in ["/tmp/deep/file", "/run/fixed/new", "/usr/new"] {
        let error = sandbox.run(["sh", "-c", &format!("echo x >{path}")]).unwrap_err().to_string();
        assert!(error.contains("Read-only file system"), "{error}");
    }
}

#[test]
fn a_read_only_root_cannot_be_written_but_its_binds_can() {
    let root = Root::new();
    let sandbox = root.sandbox().read_only().bind(root.path(), "/run/root");
    let error = sandbox.run(["touch", "/root/x"]).unwrap_err().to_string();
    assert!(error.contains("Read-only file system"), "{error}");
    sandbox.run(["touch", "/run/root/root/x", "/tmp/y"]).unwrap();
    assert!(root.path().join("root/x").exists());
}

#[test]
fn a_link_in_the_tree_cannot_lead_a_bind_out_of_it() {
    let root = Root::new();
    let host = tempfile::tempdir().unwrap();
    symlink("/etc", root.path().join("escape")).unwrap();
    let sandbox = root.sandbox().bind(host.path(), "/escape");
    let error = format!("{:#}", sandbox.run(["true"]).unwrap_err());
    assert!(error.contains("could not mount at `/escape`: No such file or directory"), "{error}");
}

#[test]
fn exit_codes_and_signals_pass_through() {
    let sandbox = Root::new();
    let sandbox = sandbox.sandbox();
    for code in [0, 1, 77, 125, 255] {
        assert_eq!(output(&sandbox, &format!("exit {code}")).status.code(), Some(code));
    }
    // What a shell starts in the background has interrupts ignored, and so has all it starts; a broken pipe alone is
    // given back to every child.
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
    let ignored = u64::from_str_radix(ignored, 16).unwrap() & !(1 << 12);
    for signal in [1, 2, 6, 9, 11, 13, 15].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0) {
        assert_eq!(output(&sandbox, &format!("kill -{signal} $$")).status.signal(), Some(signal));
    }
}

#[test]
fn output_and_input_pass_through() {
    let root = Root::new();
    let output = root.sandbox().command(["sh", "-c", "cat; echo err >&2"]).stdin_bytes("in");
    let output = output.stdout_capture().stderr_capture().run().unwrap();
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"in"[..], &b"err\n"[..]));
}

#[test]
fn a_failure_says_what_the_command_said() {
    let root = Root::new();
    let error = root.sandbox().run(["sh", "-c", "echo oh no >&2; exit 3"]).unwrap_err();
    assert_eq!(error.to_string(), "`sh -c echo oh no >&2; exit 3` failed with exit code 3: oh no");
}

#[test]
fn a_sandbox_that_cannot_be_made_is_told_apart_from_a_command_that_fails() {
    let root = Root::new();
    let error = root.sandbox().run(["no-such-program"]).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "`no-such-program` was not run: could not set up the sandbox: could not start `no-such-program`: \
         No such file or directory (os error 2)"
    );
    let error = root.sandbox().bind(Path::new("/no/such"), "/run/x").run(["true"]).unwrap_err();
    assert!(format!("{error:#}").contains("could not bind `/no/such`: No such file"), "{error:#}");
}

#[test]
fn sync_does_nothing_when_asked() {
    let root = Root::new();
    // A file of procfs cannot be synced: EINVAL, unless the call never arrives.
    let argv = ["sync", "/proc/self/stat"];
    let error = root.sandbox().run(argv).unwrap_err().to_string();
    assert!(error.contains("Invalid argument"), "{error}");
    root.sandbox().without_sync().run(argv).unwrap();
    let privileges = root.sandbox().without_sync().run(["grep", "NoNewPrivs", "/proc/self/status"]).unwrap();
    assert_eq!(privileges, "NoNewPrivs:\t0\n");
}

#[test]
fn nothing_can_be_mounted_when_that_is_shut() {
    let root = Root::new();
    let argv = ["mount", "-t", "tmpfs", "none", "/tmp"];
    root.sandbox().run(argv).unwrap();
    let error = root.sandbox().without_mounts().run(argv).unwrap_err().to_string();
    assert!(error.contains("permission denied") || error.contains("must be superuser"), "{error}");
}

#[test]
fn what_the_command_leaves_behind_ends_with_it() {
    let root = Root::new();
    let marker = format!("86400.{}", std::process::id());
    root.shell(&format!("sleep {marker} & setsid sleep {marker} & true"));
    assert_eq!(processes(&marker), 0);
}

#[test]
fn orphans_are_reaped() {
    let script = "(sleep 0.1 & sleep 0.1 &); sleep 0.5; cat /proc/[0-9]*/stat | grep -c ' Z ' || true";
    assert_eq!(Root::new().shell(script), "0\n");
}

#[test]
fn ending_the_sandbox_from_outside_ends_all_inside() {
    let root = Root::new();
    let marker = format!("86401.{}", std::process::id());
    let handle =
        root.sandbox().command(["sh", "-c", &format!("setsid sleep {marker}")]).unchecked().start().unwrap();
    wait_until(|| processes(&marker) > 0);
    handle.kill().unwrap();
    wait_until(|| processes(&marker) == 0);
}

#[test]
fn the_sandbox_outlives_the_thread_that_started_it() {
    let root = Root::new();
    let expression = root.sandbox().command(["sh", "-c", "sleep 0.5; echo done"]).stdout_capture();
    let handle = std::thread::spawn(move || expression.start().unwrap()).join().unwrap();
    assert_eq!(handle.wait().unwrap().stdout, b"done\n");
}

/// How many processes of the whole machine have `marker` as an argument.
fn processes(marker: &str) -> usize {
    let has = |path: std::path::PathBuf| {
        fs::read(path.join("cmdline"))
            .is_ok_and(|line| line.split(|&byte| byte == 0).any(|argument| argument == marker.as_bytes()))
    };
    fs::read_dir("/proc").unwrap().filter(|entry| has(entry.as_ref().unwrap().path())).count()
}

fn wait_until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited for 10 s in vain");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn ending_the_program_ends_all_inside() {
    let root = Root::new();
    let marker = format!("86402.{}", std::process::id());
    let mut program =
        Command::new(PROGRAM).arg(root.path()).args(["setsid", "-w", "sleep", &marker]).spawn().unwrap();
    wait_until(|| processes(&marker) > 1);
    program.kill().unwrap();
    program.wait().unwrap();
    wait_until(|| processes(&marker) == 0);
}

#[test]
fn an_ordinary_user_is_root_of_all_ids_inside() {
    let user = User::new();
    let root = Root::new();
    chown(root.path(), Some(user::UID), Some(user::UID)).unwrap();
    let program = user.install(Path::new(PROGRAM));
    let script = "id -u; cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; echo x >/dev/null; hostname
                  touch /a /b /c; chown 1:65535 /b; chown 65534:33 /c; chmod 4755 /c; stat -c '%n %u:%g %a' /a /b /c
                  mknod -m 600 /d c 1 3 2>&1 || true; exit 7";
    let output = user.command(&program).arg(root.path()).args(["sh", "-ec", script]).output().unwrap();
    let map = format!(" 0 {} 1\n 1 {} 65535\n", user::UID, user::SUBORDINATE);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!(
            "0\n{map}{map}bedplate\n/a 0:0 644\n/b 1:65535 644\n/c 65534:33 4755\n\
                 mknod: /d: Operation not permitted\n"
        ),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(7));
    let owner =
        |name: &str| fs::metadata(root.path().join(name)).map(|file| (file.uid(), file.gid())).unwrap();
    assert_eq!(owner("a"), (user::UID, user::UID));
    assert_eq!(owner("b"), (user::SUBORDINATE, user::SUBORDINATE + 65534));
}

/// A program of the other architecture, as far as the kernel looks.
fn foreign(path: &Path) {
    let mut program = vec![0; 64];
    program[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    program[16] = 3;
    program[18] = if cfg!(target_arch = "x86_64") { 183 } else { 62 };
    fs::write(path, program).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// What a command prints; nothing when the kernel does not run it, or has a shell read it.
fn output_of(command: duct::Expression) -> String {
    let output = command.stdout_capture().stderr_null().unchecked().run();
    output.map(|output| String::from_utf8(output.stdout).unwrap()).unwrap_or_default()
}

/// The emulator is registered in the sandbox and nowhere else: not for another one beside it, and not on the host. Root
/// makes it a namespace of its own, too.
#[test]
fn programs_of_another_architecture_are_run_by_an_emulator_of_the_sandboxs_own() {
    let user = User::new();
    let program = user.install(Path::new(PROGRAM));
    for mut command in [Command::new(&program), user.command(&program)] {
        let root = Root::new();
        chown(root.path(), Some(user::UID), Some(user::UID)).unwrap();
        foreign(&root.path().join("foreign"));
        // All that an emulator is to the kernel: a program that is given another one's name and arguments.
        command.env("EMULATOR", "/usr/bin/echo").arg(root.path());
        let script = "/foreign a 'b c'; touch /new && chown 7:8 /new && stat -c %u:%g /new";
        let output = command.args(["sh", "-c", script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "/foreign /foreign a b c\n7:8\n", "{said}");
        let beside = output_of(root.sandbox().command(["/foreign", "a"]));
        let host = output_of(duct::cmd!(root.path().join("foreign"), "a"));
        assert_eq!((beside.as_str(), host.as_str()), ("", ""));
    }
}

#[test]
fn an_emulator_that_is_not_there_is_named() {
    let root = Root::new();
    let mut command = Command::new(PROGRAM);
    let output = command.env("EMULATOR", "/no/emulator").arg(root.path()).arg("true").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("could not set up the sandbox: could not enter `/no`"), "{said}");
}

#[test]
fn a_user_without_ids_is_told_what_to_run() {
    let user = User::with_subordinate(0);
    let program = user.install(Path::new(PROGRAM));
    let output = user.command(&program).args(["/", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "this host is not ready for building as the user `tester`:\n  \
         `/etc/subuid` grants no ids to the user: run `sudo usermod --add-subuids 100000-165535 tester`\n  \
         `/etc/subgid` grants no ids to the user: run `sudo usermod --add-subgids 100000-165535 tester`\n"
    );
}

#[test]
fn a_program_without_rights_starts_a_sandbox_as_an_ordinary_user() {
    let user = User::new();
    let root = Root::new();
    chown(root.path(), Some(user::UID), Some(user::UID)).unwrap();
    let program = user.install(Path::new(PROGRAM));
    let mut command = user.command(&program);
    command.env("WITHOUT_RIGHTS", "1").arg(root.path()).args(["sh", "-c", "id -u; hostname; exit 7"]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(7), &b"0\nbedplate\n"[..]), "{said}");
}

/// What the scripts call.
const PROGRAMS: &str = "bash cat chmod chown cp find head id ln ls mkdir mountpoint mv perl readlink rm setpriv setsid \
                        sh sleep sort stat touch uname uniq wc";

/// A root with programs of the host, and a program that shows it from within a container or outside of one.
struct Both {
    root: TempDir,
    work: TempDir,
}

impl Both {
    fn new() -> Self {
        let both = Self { root: tempfile::tempdir().unwrap(), work: tempfile::tempdir().unwrap() };
        let root = both.root.path();
        let programs = PROGRAMS.split_whitespace().map(|name| format!("/usr/bin/{name}"));
        let programs: Vec<String> = programs.collect();
        let needed = said(Command::new("ldd").args(&programs));
        let libraries = needed.split_whitespace().filter(|word| word.starts_with("/lib"));
        let libraries = libraries.map(|path| format!("/usr{}", path.trim_end_matches(':')));
        let mut copy = Command::new("cp");
        said(copy.args(["-L", "--parents"]).args(&programs).args(libraries).arg(root));
        for link in ["bin", "lib", "lib64"] {
            symlink(format!("usr/{link}"), root.join(link)).unwrap();
        }
        for directory in ["root", "etc", "tmp", "dev", "proc", "run", "sys"] {
            fs::create_dir(root.join(directory)).unwrap();
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n")
            .unwrap();
        fs::write(root.join("etc/program"), "#!/bin/sh\necho the real one\n").unwrap();
        fs::set_permissions(root.join("etc/program"), Permissions::from_mode(0o755)).unwrap();
        fs::write(root.join("dev/kept"), "").unwrap();
        fs::write(both.work.path().join("stand-in"), "#!/bin/sh\necho a stand-in\n").unwrap();
        fs::set_permissions(both.work.path().join("stand-in"), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(both.work.path().join("shown")).unwrap();
        fs::write(both.work.path().join("text"), "a text\n").unwrap();
        both
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        let work = self.work.path().display();
        command.env(
            "BIND",
            format!("{work}/stand-in:/etc/program:ro,{work}/shown:/run/shown,{work}/text:/run/text:ro"),
        );
        command.arg(self.root.path()).args(["sh", "-c", script]);
        command
    }

    /// What the script says in the namespaces of root, and under `chroot` alone.
    #[track_caller]
    fn same(&self, script: &str) -> String {
        let outside = said(&mut self.command(script));
        let inside = said(container::shut_in(&mut self.command(script)));
        assert_eq!(inside, outside, "{script}");
        outside
    }
}

#[track_caller]
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout).unwrap() + &error
}

#[test]
fn a_container_without_privileges_shows_a_command_the_same() {
    let both = Both::new();
    let before = files(both.root.path());
    for (script, expected) in [
        ("uname -n; cat /proc/sys/kernel/hostname; id -u; umask; pwd", "bedplate\nbedplate\n0\n0022\n/\n"),
        // What systemd and ischroot compare, and what `mountpoint` looks for.
        ("stat -Lc %d:%i / /proc/1/root | uniq | wc -l", "2\n"),
        ("stat -Lc %d:%i / /proc/self/root | uniq | wc -l", "1\n"),
        ("mountpoint -q /proc && echo mounted; mountpoint -q /etc || echo not", "mounted\nnot\n"),
        ("readlink /proc/self/exe /proc/self/cwd; cat /proc/self/comm", "/usr/bin/readlink\n/\ncat\n"),
        ("bash -c 'cat <(echo a) /dev/fd/3' 3</etc/passwd | head -1", "a\n"),
        ("echo b >/dev/stderr; echo c | cat /dev/stdin", "c\nb\n"),
        // Root may not look into another user's processes without CAP_SYS_PTRACE.
        (
            "setpriv --reuid 1000 --regid 1000 --clear-groups sh -c 'cat /proc/self/comm; ls /proc/self/fd'",
            "cat\n0\n1\n",
        ),
        ("setpriv --reuid 1000 --regid 1000 --clear-groups touch /tmp/e; stat -c %u:%a /tmp/e", "1000:644\n"),
        ("ls -m /dev /run /tmp; stat -c %a /dev /dev/null /dev/shm /run /tmp", "shown"),
        ("echo y >/dev/null && ! echo x 2>/dev/null >/dev/full; head -c1 /dev/zero | wc -c", "1\n"),
        (CONNECT, "Network is unreachable"),
        (
            "! echo 1 2>/dev/null >/proc/sys/vm/swappiness; ! echo c 2>/dev/null >/sys/c; echo refused",
            "refused\n",
        ),
        ("/etc/program; cat /run/text", "a stand-in\na text\n"),
        (WRITE, "d/b f 644\nd/c f 600\nl l 777\n"),
        (&read_link(4), "4 /etc /etc\n"),
        (&read_link(3), "3 /et /et\n"),
    ] {
        let said = both.same(script);
        assert!(said.contains(expected), "{script}: {said}");
    }
    assert_eq!(files(both.root.path()), before, "the root is as it was");
    assert_eq!(fs::read_dir(both.work.path().join("shown")).unwrap().count(), 0);
}

/// Asks for the current directory with room for so many bytes, which is less than it is long on the host; and, as
/// libapparmor does, by the descriptor of the link itself.
fn read_link(room: usize) -> String {
    let (open, read) = (libc::SYS_openat, libc::SYS_readlinkat);
    let itself = libc::O_PATH | libc::O_NOFOLLOW;
    let program = format!(
        r#"$of = "/proc/self/cwd"; $here = ""; $to = "\0" x {room}; $itself = "\0" x {room};
           $length = syscall {read}, -100, $of, $to, {room};
           $link = syscall {open}, -100, $of, {itself};
           syscall {read}, $link, $here, $itself, {room};
           print "$length $to $itself\n""#
    );
    format!("cd /etc; perl -e '{program}'")
}

const CONNECT: &str = "bash -c ': <>/dev/tcp/192.0.2.1/9' 2>&1 | cat";

/// In a directory of the host, by all sorts of calls.
const WRITE: &str = "cd /; d=/run/shown; echo x >$d/a; mkdir $d/d; mv $d/a $d/d/b; ln -s d $d/l; ln $d/d/b $d/f
    cp -p /etc/passwd $d/l/c; chmod 600 $d/d/c; chown 7:8 $d/f; touch -d @1 $d/f; mv $d/f /tmp/f; stat -c %u:%g:%Y /tmp/f
     find $d -mindepth 1 -printf '%P %y %m\n' | sort; rm -r $d/*";

#[test]
fn a_container_without_privileges_ends_what_is_left_and_passes_what_comes() {
    let both = Both::new();
    let marker = format!("31{}", std::process::id());
    let mut command = both.command(&format!("setsid sleep {marker} >/dev/null 2>&1 & exit 7"));
    let output = container::shut_in(&mut command).output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(processes(&marker), 0);
    let output = container::shut_in(&mut both.command("kill -TERM $$")).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "the helper's word for an end by a signal");

    // From outside.
    let mut command = both.command(&format!("setsid sleep {marker} & sleep {marker}"));
    let mut child = container::shut_in(&mut command).spawn().unwrap();
    wait_until(|| processes(&marker) == 2);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until(|| processes(&marker) == 0);
}

#[test]
fn a_read_only_root_in_a_container_is_a_copy() {
    let both = Both::new();
    let before = files(both.root.path());
    let mut command =
        both.command("echo x >/etc/new; mv /etc/passwd /etc/other; echo y >/run/shown/made; ls /etc");
    let listed = said(container::shut_in(command.env("READ_ONLY", "1")));
    assert_eq!(listed, "new\nother\nprogram\n");
    assert_eq!(files(both.root.path()), before);
    assert_eq!(fs::read_to_string(both.work.path().join("shown/made")).unwrap(), "y\n");
}

#[test]
fn what_a_container_cannot_do_is_said_and_by_which_program() {
    let both = Both::new();
    let refusal = |script: &str| {
        let output = container::shut_in(&mut both.command(script)).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let said = refusal("cd /proc/self && pwd || true");
    let expected = "`sh` wants to make its current directory `/proc/self`, which this container does not allow; \
                    build with `--cap-add SYS_ADMIN`, or as an ordinary user";
    assert!(said.contains(expected), "{said}");

    let few = container::DOCKER & !(1 << 18 | 1 << 27);
    let output = container::shut_in_with(&mut both.command("true"), few, false).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = "root here may not mount, nor make a user namespace, and has not what `chroot` needs: run the \
                    container with `--cap-add MKNOD --cap-add SYS_CHROOT`\n";
    assert_eq!(said, expected);
}

#[test]
fn root_without_the_right_to_mount_has_a_user_namespace() {
    let root = Root::new();
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-sys_admin", "--inh-caps=-sys_admin", PROGRAM]).arg(root.path());
    command.args(["sh", "-c", "cat /proc/self/uid_map; hostname"]);
    assert_eq!(said(&mut command), "         0          0      65536\nbedplate\n");
}

/// What is below a directory: the times of directories and files, their modes, and where links lead.
fn files(root: &Path) -> String {
    let mut find = Command::new("find");
    find.arg(root).args(["-path", "*/usr/*", "-prune", "-o", "-printf", "%P %y %m %U:%G %T@ %l\n"]);
    said(&mut find)
}
