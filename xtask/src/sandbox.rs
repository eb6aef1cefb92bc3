//! The one place where foreign programs are started: in namespaces of their own, under a root of their own.
//!
//! Three processes of this program make a sandbox, because each needs what only a fresh, single-threaded
//! process may do. [`Sandbox::command`] starts `sandbox-exec` (`enter.rs`), which leaves the host's namespaces and
//! starts `sandbox-init` (`init.rs`), process 1 of the new pid namespace; that one mounts, changes the root,
//! starts the command and reaps. When any of them dies, everything inside dies with it.
//!
//! Needs CAP_SYS_ADMIN, by being root or by [`crate::host::enter`], which `sandbox-exec` calls where nobody has
//! before, and Linux 5.12 (`mount_setattr`). Where root cannot have it, `chroot` does in place of namespaces.
//! Deliberately absent: cgroups, resource limits and any defence against a hostile root.
//! The sandbox keeps the host clean and the build the same everywhere; it does not jail malware.

mod chroot;
pub mod emulation;
mod enter;
mod failure;
mod init;
mod mounts;
mod overlay;
mod spec;
mod sync;
mod watch;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use self::emulation::{Emulator, Native};
pub use self::failure::failed;
pub use self::overlay::is_supported as overlay_is_supported;
use self::spec::{Bind, Spec};
pub use self::watch::{Watch, watch};

/// The verb under which this program starts itself to leave the host's namespaces.
const ENTER: &str = "sandbox-exec";
/// The verb under which this program starts itself as process 1 of the sandbox.
const INIT: &str = "sandbox-init";
/// The verb under which this program starts itself to find out whether an emulator can be registered.
const PROBE: &str = "sandbox-probe";
/// The host name inside: every machine builds under the same one.
pub(crate) const HOSTNAME: &str = "bedplate";
/// The exit code of the sandbox when it could not be set up, or could not start the command.
const NOT_STARTED: u8 = 125;
/// The environment variable that names the program to re-execute, where that is not the running one (tests).
const EXE: &str = "BEDPLATE_EXE";

/// A root directory to run programs in, with what they may see of the host.
#[derive(Debug, Clone)]
pub struct Sandbox {
    spec: Spec,
    program: PathBuf,
}

impl Sandbox {
    /// A sandbox whose root is the directory `root`.
    ///
    /// Inside there are fresh `/proc`, `/dev`, `/sys`, `/run` and `/tmp`, no network but `lo`, and an environment
    /// of `PATH`, `HOME`, `LANG=C.UTF-8`, `DEBIAN_FRONTEND=noninteractive` and, where set, `SOURCE_DATE_EPOCH`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let mut environment = BTreeMap::from(
            [
                ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
                ("HOME", "/root"),
                ("LANG", "C.UTF-8"),
                ("DEBIAN_FRONTEND", "noninteractive"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        if let Ok(epoch) = env::var("SOURCE_DATE_EPOCH") {
            environment.insert("SOURCE_DATE_EPOCH".to_owned(), epoch);
        }
        Self { spec: Spec::new(root.to_owned(), environment), program: program() }
    }

    /// A sandbox whose root is an overlay: `lower`, a directory or a link to one, seen through `upper`, both in
    /// `directory`, where the empty directories `work` and `root` are, too. What is written goes to `upper`; whiteouts
    /// and opaque directories have the attributes of the mount option `userxattr`.
    /// <https://docs.kernel.org/filesystems/overlayfs.html>
    ///
    /// [`overlay_is_supported`] tells whether the host can do it. Sandboxes of one directory must not write at the same
    /// time; those that are [`read_only`](Sandbox::read_only) may run beside each other.
    #[must_use]
    pub fn overlay(directory: &Path) -> Self {
        let mut sandbox = Self::new(&overlay::root(directory));
        sandbox.spec.overlay = Some(directory.to_owned());
        sandbox
    }

    /// Makes the root read-only; binds that are not read-only themselves stay writable.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.spec.read_only = true;
        self
    }

    /// Shows the file or directory `host` at `inside`.
    ///
    /// A mount point below `/run`, `/tmp` or `/dev` is made where it is missing; elsewhere it must exist.
    #[must_use]
    pub fn bind(mut self, host: &Path, inside: &str) -> Self {
        self.spec.binds.push(Bind { host: host.to_owned(), inside: inside.to_owned(), read_only: false });
        self
    }

    /// As [`Sandbox::bind`], but nothing below it can be written.
    #[must_use]
    pub fn bind_read_only(mut self, host: &Path, inside: &str) -> Self {
        self.spec.binds.push(Bind { host: host.to_owned(), inside: inside.to_owned(), read_only: true });
        self
    }

    /// Keeps the host's network.
    #[must_use]
    pub fn network(mut self) -> Self {
        self.spec.network = true;
        self
    }

    /// Keeps the command from mounting anything: some file systems are the host's kernel itself.
    #[must_use]
    pub fn without_mounts(mut self) -> Self {
        self.spec.without_mounts = true;
        self
    }

    /// Lets `fsync` and its relatives succeed without doing anything.
    #[must_use]
    pub fn without_sync(mut self) -> Self {
        self.spec.without_sync = true;
        self
    }

    /// Runs programs of another architecture, too.
    #[must_use]
    pub fn emulated(mut self, emulator: Option<&Emulator>) -> Self {
        if let Some(emulator) = emulator {
            let (name, value) = emulator.environment();
            self = self.env(name, value);
            self.spec.emulator = Some(emulator.clone());
        }
        self
    }

    /// What stands in for programs that would be emulated.
    pub(crate) fn native(&self) -> Option<&Native> {
        self.spec.emulator.as_ref()?.native.as_ref()
    }

    /// Sets an environment variable for the command.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.spec.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Starts the command in the directory `inside` instead of `/`.
    #[must_use]
    pub fn directory(mut self, inside: &str) -> Self {
        inside.clone_into(&mut self.spec.directory);
        self
    }

    /// Re-executes `program` instead of the running one: a test's own `main` calls no [`dispatch`].
    #[must_use]
    pub fn program(mut self, program: &Path) -> Self {
        program.clone_into(&mut self.program);
        self
    }

    /// The command as an expression, for pipes and for what runs long.
    ///
    /// Standard input, output and error pass through, and so do exit codes and signals. Whoever looks at them
    /// himself makes a readable error with [`failed`]. Killing the handle kills everything inside.
    pub fn command<I: AsRef<str>>(&self, argv: impl IntoIterator<Item = I>) -> duct::Expression {
        let mut spec = self.spec.clone();
        spec.parent = std::process::id();
        spec.way = crate::host::entered();
        spec.told = watch::place();
        let mut arguments = vec![OsString::from(ENTER), spec.to_argument().into()];
        arguments.extend(argv.into_iter().map(|argument| argument.as_ref().into()));
        duct::cmd(&self.program, arguments)
    }

    /// Runs the command to its end and returns what it wrote to standard output.
    ///
    /// # Errors
    ///
    /// When the sandbox cannot be set up, and when the command ends in anything but success: the error names the
    /// command, its exit code and the last lines of its standard error.
    pub fn run<I: AsRef<str>>(&self, argv: impl IntoIterator<Item = I>) -> Result<String> {
        let argv: Vec<String> = argv.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
        let output = self
            .command(&argv)
            .stdin_null()
            .stdout_capture()
            .stderr_capture()
            .unchecked()
            .run()
            .with_context(|| format!("could not start `{}` to make a sandbox", self.program.display()))?;
        if !output.status.success() {
            return Err(failed(&argv, output.status, &output.stderr));
        }
        String::from_utf8(output.stdout)
            .with_context(|| format!("{} printed bytes that are not UTF-8", failure::quoted(&argv)))
    }
}

/// Does the work of a hidden verb, if this process was started for one.
///
/// The first thing `main` does, before it parses arguments and before any thread exists: `None` means that the
/// process is an ordinary one and goes on.
#[must_use]
pub fn dispatch() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    match arguments.next()?.to_str()? {
        ENTER => Some(enter::main(arguments.collect())),
        INIT => Some(init::main(arguments.collect())),
        PROBE => Some(emulation::main()),
        _ => None,
    }
}

/// The program that is started again: this one, also when its file has been replaced since.
fn program() -> PathBuf {
    env::var_os(EXE).map_or_else(|| PathBuf::from("/proc/self/exe"), PathBuf::from)
}
