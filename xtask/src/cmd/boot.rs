//! `boot`: starts a built image in QEMU, or its root in a container.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::cli::BootArgs;
use crate::cmd::tools;
use crate::cmd::{access, planned};
use crate::project::Project;
use crate::report::{Report, path};
use crate::source::Source;
use crate::ssh::Door;
use crate::vm::Vm;

/// What the data of a machine grows by, in bytes; what nobody writes takes no room here.
const ROOM: u64 = 4 << 30;

/// Starts the disk with its console in this terminal.
///
/// # Errors
/// No disk was built; QEMU or the container cannot be had or started; nobody may come in by the ssh that was asked for.
pub fn run(project: Project<'_>, args: &BootArgs, report: &Report) -> Result<ExitCode> {
    let (entry, plan) = planned(&project, &args.image)?;
    let out = project.out(entry, args.image.out.as_ref());
    let disk = out.join(&plan.artifacts.disk);
    if !disk.is_file() {
        bail!("there is no `{}`; build it with `cargo xtask image {}`", path(&disk), plan.name);
    }
    // Who cannot come in is told so before anything is fetched.
    let door = args.ssh.then(|| Door::open(&plan, &out)).transpose()?;
    let mut vm = Vm::new(disk.as_std_path());
    if args.quick {
        if plan.disk.encrypted().is_some() {
            bail!("a container has no TPM, so it cannot open encrypted data; leave out `--quick`");
        }
        if let Some(why) = vm.obstacle() {
            bail!("could not start a container: {why}; QEMU needs no rights: leave out `--quick`");
        }
        vm = vm.container();
    }
    let source = Source::open(&plan, project.root, access(&args.source, report))?;
    let packages: Vec<String> = vm.packages().iter().map(|&name| name.to_owned()).collect();
    let tools = tools::tree(&source, &plan, &packages, report)?;
    let mut vm = vm.tools(&tools).program(Path::new("/proc/self/exe"));
    if args.quick {
        return vm.attend(&|line| report.did("Starting", line));
    }
    vm = vm.memory(args.memory).network();
    // A device's disk is larger than the image, so that it can make what the image lacks, and its data grows.
    vm = vm.size(args.disk.map_or(plan.disk.needs() + ROOM, |gibibytes| gibibytes << 30));
    if let Some(door) = &door {
        vm = vm.forward(door.port(), 22);
        for user in plan.users.iter().filter(|user| user.credential) {
            vm = vm.credential(&format!("ssh.authorized_keys.{}", user.name), door.public().as_bytes());
        }
        report.did("Listening", format_args!("for `cargo xtask ssh {}` in another terminal", plan.name));
    }
    vm.attend(&|line| report.did("Booting", line))
}
