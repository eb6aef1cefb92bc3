//! The root file system of a machine in systemd-nspawn, on the kernel of this host.
//!
//! It runs in the sandbox, from its own tools tree, on the disk of its own that the machine has. What the initrd
//! would do is done by a script (`container.sh`): the partitions are mounted through loop devices, in the sandbox's
//! own mount namespace, so that mounts and devices go with its last process, however that ends.
//! This is the one place with loop devices, and no build comes here.
//!
//! Deliberately absent: what only an initrd can be asked (a factory reset, a root whose writable layer is kept),
//! a network, and any rights but those of root.

use std::fs::read_to_string;
use std::io::{IsTerminal as _, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bedplate_core::Architecture;
use bedplate_core::plan::{BACKING, guid};
use bedplate_formats::gpt;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::geteuid;

use super::credential::Credential;
use super::work::PREFIX;
use super::{Vm, WORK};
use crate::disk::Disk;
use crate::host;
use crate::sandbox::Sandbox;
use crate::terminal::Saved;

/// The packages of the tools tree.
pub(super) const PACKAGES: [&str; 8] =
    ["base-files", "coreutils", "dash", "grep", "mount", "sed", "systemd-container", "util-linux"];
/// How long the kernel may take to let go of a machine's mounts.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the initrd is played by.
const SCRIPT: &str = include_str!("container.sh");
/// What is on its console when somebody looks at it.
const SHELL: &str = include_str!("console-getty.conf");
/// What is beside the pipes once there was a shell.
const ATTENDED: &str = "attended";

/// Why no container can be started by this process, if so.
pub(super) fn obstacle(vm: &Vm) -> Option<String> {
    if !vm.platform.is_native() {
        return Some(format!("this machine does not run programs of {}", vm.platform.architecture));
    }
    if !geteuid().is_root() {
        return Some("only root can start a container on a disk".to_owned());
    }
    let admin = host::may_mount();
    // In a user namespace the ids are mapped, and loop devices somebody else's.
    let map = read_to_string("/proc/self/uid_map").unwrap_or_default();
    if !admin || map.split_whitespace().nth(2) != Some("4294967295") {
        return Some("root in here has no CAP_SYS_ADMIN, so it cannot mount a disk".to_owned());
    }
    let loops = std::fs::File::options().read(true).write(true).open("/dev/loop-control");
    loops.err().map(|error| format!("this host has no loop devices (`/dev/loop-control`: {error})"))
}

/// Makes what the container needs in the machine's directory.
pub(super) fn prepare(vm: &mut Vm) -> Result<()> {
    if let Some(why) = obstacle(vm) {
        bail!("could not start a container: {why}; QEMU needs no rights (without `.container()`)");
    }
    ensure!(!vm.network, "a container has no network: ask QEMU (`.network()` without `.container()`)");
    sweep();
    vm.flatten()?;
    let work = vm.work()?;
    for name in ["credentials", "pipes"] {
        let path = work.join(name);
        if path.exists() {
            fs_err::remove_dir_all(&path)?;
        }
        fs_err::create_dir(path)?;
    }
    for name in ["to", "from"] {
        mknodat(CWD, pipe(work, name), FileType::Fifo, Mode::from_raw_mode(0o600), 0)
            .context("could not make a pipe")?;
    }
    for credential in &vm.credentials {
        // There is no kernel that would hear words on its command line.
        if let Credential::System { name, value } = credential {
            fs_err::write(work.join("credentials").join(name), value)?;
        }
    }
    fs_err::write(work.join("container.sh"), SCRIPT)?;
    Ok(())
}

/// The pipe to the guest, or from it.
pub(super) fn pipe(work: &Path, name: &str) -> PathBuf {
    work.join("pipes").join(name)
}

/// The sandbox it runs in.
pub(super) fn sandbox(vm: &Vm) -> Result<Sandbox> {
    Ok(vm.sandbox_of(&PACKAGES)?.bind(vm.work()?, WORK).env("BACKING", BACKING))
}

/// The script, and which parts of the disk are what.
pub(super) fn command(vm: &Vm) -> Result<Vec<String>> {
    let disk = vm.flat_disk()?;
    let table = gpt::read(&mut fs_err::File::open(&disk)?.into_parts().0)
        .context("could not read the disk's partition table")?;
    let architectures = [Architecture::X86_64, Architecture::Aarch64];
    let is_root = |one: &&gpt::Partition| architectures.iter().any(|of| one.type_guid == guid::root(*of));
    let root = table.partitions.iter().find(is_root).context("the disk has no root partition")?;
    let kind = if forgets(&disk)? { "forgotten" } else { "written" };
    let mut command =
        vec!["sh".to_owned(), format!("{WORK}/container.sh"), vm.name()?.to_owned(), kind.to_owned()];
    command.extend([root.offset(), root.size()].map(|number| number.to_string()));
    for data in table.partitions.iter().filter(|one| one.type_guid == guid::LINUX_GENERIC) {
        command.extend([data.name.clone(), data.offset().to_string(), data.size().to_string()]);
    }
    Ok(command)
}

/// Whether what is written to the root is forgotten: the kernel's command line, in the UKI on the ESP, says so.
fn forgets(disk: &Path) -> Result<bool> {
    Ok(Disk::open(disk)?.uki()?.command_line()?.contains("systemd.volatile=overlay"))
}

/// Starts it with a shell of root's on its console, in this terminal, and waits for its end.
///
/// # Errors
/// It cannot be started, or ends before the shell does.
pub(super) fn attend(mut vm: Vm, say: &dyn Fn(&str)) -> Result<ExitCode> {
    prepare(&mut vm)?;
    fs_err::write(vm.work()?.join("console-getty.conf"), SHELL)?;
    say("the root file system runs on the kernel of this machine, without firmware, initrd, TPM and network");
    say("its console follows; leave with `poweroff`, or Ctrl-] three times");
    let kind = if stdin().is_terminal() { "interactive" } else { "read-only" };
    let restore = Saved::now();
    let ended = sandbox(&vm)?.env("CONSOLE", kind).command(&command(&vm)?).unchecked().run();
    drop(restore);
    ended.context("could not start the container")?;
    released(&vm)?;
    // What it ended with is its own business, since it may have been left; a shell it must have come to.
    ensure!(
        pipe(vm.work()?, ATTENDED).exists(),
        "the container ended before there was a shell on its console; the lines above say why"
    );
    Ok(ExitCode::SUCCESS)
}

/// Waits until the kernel has let go of the disk of a machine that has ended, and takes its
/// control group away.
pub(super) fn released(vm: &Vm) -> Result<()> {
    let disk = vm.flat_disk()?;
    let start = Instant::now();
    while held(&disk) {
        ensure!(
            start.elapsed() < PATIENCE,
            "the disk of the container is still in use after {} s",
            PATIENCE.as_secs()
        );
        sleep(Duration::from_millis(20));
    }
    let name = vm.name()?;
    hierarchies().iter().for_each(|at| remove(&at.join(name)));
    Ok(())
}

/// Where control groups are, of the kind with one hierarchy.
fn hierarchies() -> Vec<PathBuf> {
    let mounts = read_to_string("/proc/self/mounts").unwrap_or_default();
    let place = |line: &str| {
        let mut words = line.split(' ').skip(1);
        words.next().filter(|_| words.next() == Some("cgroup2")).map(PathBuf::from)
    };
    mounts.lines().filter_map(place).collect()
}

/// Removes the control groups of machines whose test was killed before it could.
fn sweep() {
    for at in hierarchies() {
        for group in std::fs::read_dir(at).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let ours = group.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
            let events = read_to_string(group.join("cgroup.events")).unwrap_or_default();
            // Nobody is in it, nor in one below. One that is about to be used has no process either, but a
            // directory that is missing then is made again.
            if ours && events.lines().any(|line| line == "populated 0") {
                remove(&group);
            }
        }
    }
}

/// Whether a loop device still lies on the disk, whose name no other file has: its path is the sandbox's.
fn held(disk: &Path) -> bool {
    let devices = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    devices
        .filter_map(|device| read_to_string(device.path().join("loop/backing_file")).ok())
        .any(|file| Path::new(file.trim_end()).file_name() == disk.file_name())
}

/// A control group that nobody is in goes, after those in it; one that somebody is in stays.
fn remove(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    // An empty group harms nobody.
    let _ = std::fs::remove_dir(group);
}
