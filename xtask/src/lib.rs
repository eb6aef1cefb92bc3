//! Bedplate builds immutable Ubuntu and Debian disk images from a Rust description.
//!
//! ```text
//!  Image ──plan──► Plan ──lock──► Lock ──build──► Artifacts ──verify──► same as the Plan?
//!  (said)        (decided)      (pinned)         (bytes)
//! ```
//!
//! # From nothing to a device
//!
//! A project is a program that names its images. `cargo xtask` runs it, by an alias in `.cargo/config.toml`:
//!
//! ```toml
//! [alias]
//! xtask = "run --quiet --bin xtask --"
//!
//! # Several checkouts may share a target directory.
//! [env]
//! BEDPLATE_CHECKOUT = { value = "", relative = true, force = true }
//! ```
//!
//! An [`Image`] is a value that goes from method to method. Nothing in it fails or has an effect: every mistake is kept
//! with its line, and all are told at once. These are the decisions, in their order.
//!
//! **1. A distribution and a kernel.** Nothing is installed that is not asked for, directly or as a dependency.
//!
//! ```
//! use bedplate::prelude::*;
//!
//! fn system(_: &Target) -> Image {
//!     Image::debian("trixie").packages(["linux-image-amd64", "systemd-sysv", "systemd-boot", "dbus"])
//! }
//! ```
//!
//! **2. A disk.** An [`Esp`] for the kernel image, a [`Root`] in a slot of fixed size that [`Root::verity`] protects,
//! and [`Data`] that grows to the end of the device's disk.
//!
//! ```
//! # use bedplate::prelude::*;
//! fn disk(image: Image) -> Image {
//!     image
//!         .partition(Esp::new(MiB(512)))
//!         .partition(Root::new(Erofs).verity())
//!         .partition(Data::new("persistent", Ext4).mount("/local"))
//! }
//! ```
//!
//! **3. What the device forgets, and what it does not.** With [`Volatile::Overlay`] programs may write anywhere, and a
//! reboot undoes it. A [`Bind`] is a directory that lasts. The machine id and the ssh keys last by themselves.
//!
//! ```
//! # use bedplate::prelude::*;
//! fn state(image: Image) -> Image {
//!     image.volatile(Volatile::Overlay).bind("/var/lib/docker").bind(Bind::new("/etc/agent").seeded())
//! }
//! ```
//!
//! **4. Programs.** A [package](Image::package) of the distribution, of [another archive](Image::repository), or of
//! [a vendor](Image::deb); its units are [enabled](Image::enable) by name. A unit of your own is a file beside the
//! description: `.unit(unit!("units/hello.service"))`.
//!
//! ```
//! # use bedplate::prelude::*;
//! fn docker(image: Image) -> Image {
//!     image.packages(["docker.io", "docker-compose"]).enable("docker.service")
//! }
//! ```
//!
//! **5. Files.** A directory of the project that is [laid over the root](Image::overlay), or [a few
//! lines](Image::file) in the description. What only a program can make, [`Image::script`] makes.
//!
//! ```
//! # use bedplate::prelude::*;
//! fn settings(image: Image) -> Image {
//!     image.file("/etc/systemd/journald.conf.d/50-size.conf", "[Journal]\nSystemMaxUse=200M\n")
//! }
//! ```
//!
//! **6. People.** No password lets anybody in. A [`User`] comes in by a key that is written here, or by one that the
//! device is handed at provisioning.
//!
//! ```
//! # use bedplate::prelude::*;
//! fn people(image: Image) -> Image {
//!     image.package("sudo").user(User::new("alice").administrator().login(Login::Credential))
//! }
//! ```
//!
//! **7. Updates.** Two slots, of which a signed bundle is written into the one that does not run, and a trial of each
//! new version: [`Updates`].
//!
//! ```
//! # use bedplate::prelude::*;
//! # macro_rules! certificate { ($path:literal) => { Certificate::new($path, "") } }
//! fn updates(image: Image) -> Image {
//!     let updates = Updates::rauc("device", certificate!("keys/update.pem")).healthy_when("docker.service");
//!     image.version("1.0.0").updates(updates)
//! }
//! ```
//!
//! **8. The image.** Its pieces are functions, put together with [`Image::with`]; its promises are tests on its
//! [`Plan`](plan::Plan).
//!
//! ```
//! # use bedplate::prelude::*;
//! # fn system(_: &Target) -> Image {
//! #     Image::debian("trixie").packages(["linux-image-amd64", "systemd-sysv", "systemd-boot", "dbus", "sudo"])
//! # }
//! # fn disk(image: Image) -> Image {
//! #     image
//! #         .partition(Esp::new(MiB(512)))
//! #         .partition(Root::new(Erofs).verity())
//! #         .partition(Data::new("persistent", Ext4).mount("/local"))
//! # }
//! # fn state(image: Image) -> Image { image.volatile(Volatile::Overlay).bind("/var/lib/docker") }
//! # fn people(image: Image) -> Image {
//! #     image.user(User::new("alice").administrator().login(Login::Credential))
//! # }
//! fn device(target: &Target) -> Image {
//!     system(target).with(disk).with(state).with(people).hostname("device-{machine-id}")
//! }
//!
//! let plan = device(&Target::default()).plan().unwrap();
//! assert_eq!(plan.backing("/var/lib/docker"), Some("/local/persistent/var/lib/docker"));
//! assert!(plan.dangers.is_empty());
//! ```
//!
//! **9. The program.** [`main`] is its whole command line: `cargo xtask image device` builds `build/device/image.raw`,
//! which `dd` writes to a disk; `cargo xtask boot device` starts it in QEMU. [`vm::Vm`] asks a started one in a test,
//! [`disk::Disk`] a built one.
//!
//! ```no_run
//! use bedplate::prelude::*;
//!
//! fn main() -> std::process::ExitCode {
//!     bedplate::main(&[image!(device)])
//! }
//! # fn device(_: &Target) -> Image { Image::debian("trixie") }
//! ```

use std::process::ExitCode;

use clap::Parser as _;

pub use bedplate_core::*;

#[doc(hidden)]
pub mod archive;
#[doc(hidden)]
pub mod artifacts;
#[doc(hidden)]
pub mod build;
#[doc(hidden)]
pub mod bundle;
#[doc(hidden)]
pub mod certificate;
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod cmd;
#[doc(hidden)]
pub mod diff;
pub mod disk;
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod fetch;
#[doc(hidden)]
pub mod flash;
#[doc(hidden)]
pub mod host;
#[doc(hidden)]
pub mod html;
#[doc(hidden)]
pub mod key;
#[doc(hidden)]
pub mod keys;
#[doc(hidden)]
pub mod locking;
#[doc(hidden)]
pub mod new;
#[doc(hidden)]
pub mod papers;
mod paths;
#[doc(hidden)]
pub mod project;
#[doc(hidden)]
pub mod report;
#[doc(hidden)]
pub mod resolve;
#[doc(hidden)]
pub mod sandbox;
#[doc(hidden)]
pub mod sign;
#[doc(hidden)]
pub mod source;
#[doc(hidden)]
pub mod ssh;
#[doc(hidden)]
pub mod step;
#[doc(hidden)]
pub mod store;
mod syscall;
mod terminal;
#[doc(hidden)]
pub mod tools;
#[doc(hidden)]
pub mod verify;
pub mod vm;

use cli::{Cli, Verb};
use error::Exit;
use project::Project;
use report::Report;

/// Runs the program over a project's images, the first of which is the default.
///
/// ```no_run
/// use bedplate::prelude::*;
///
/// fn main() -> std::process::ExitCode {
///     bedplate::main(&[image!(edge)])
/// }
///
/// fn edge(_: &Target) -> Image {
///     Image::debian("trixie").package("linux-image-amd64")
/// }
/// ```
///
/// The exit code is 0 when all is done, 1 when the description or the command
/// line is wrong, 2 when something failed.
#[must_use]
pub fn main(images: &[Entry]) -> ExitCode {
    // A process of the sandbox: before any thread, and before anything is read.
    if let Some(code) = sandbox::dispatch() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(help) => {
            // Help goes to stdout with 0. A closed pipe is nobody's mistake.
            let _ = help.print();
            return if help.use_stderr() { Exit::Wrong.into() } else { ExitCode::SUCCESS };
        }
    };
    let report = Report::new(&cli.output);
    let (package, root) = match project::directories(images) {
        Ok(directories) => directories,
        Err(error) => {
            report.failure(&error, &|_| None);
            return Exit::Failed.into();
        }
    };
    let project = Project { images, root: &root, package: &package };
    let ended = run(&cli.verb, project, &report);
    report.tell_timings();
    ended.unwrap_or_else(|error| {
        report.failure(&error, &|file| project.source(file));
        let is_usage = error.is::<error::UsageError>() || error.is::<error::WrongDescription>();
        if is_usage { Exit::Wrong.into() } else { Exit::Failed.into() }
    })
}

fn run(verb: &Verb, project: Project<'_>, report: &Report) -> anyhow::Result<ExitCode> {
    if verb.works_on_trees() {
        let way = host::enter()?;
        if way == host::Way::Chroot {
            report.did("Sandbox", way);
        }
        report::watch_for_interrupts()?;
    } else if let Verb::Flash(_) = verb {
        report::watch_for_interrupts()?;
    }
    let _commands = report.watch_commands()?;
    match verb {
        Verb::New(args) => cmd::new::run(project, args, report),
        Verb::Image(args) => cmd::image::run(project, args, report),
        Verb::Bundle(args) => cmd::bundle::run(project, args, report),
        Verb::Sign(args) => cmd::sign::run(project, args, report),
        Verb::Keys(args) => cmd::keys::run(args, report),
        Verb::Plan(args) => cmd::plan::run(project, args, report),
        Verb::Lock(args) => cmd::lock::run(project, args, report),
        Verb::Vendor(args) => cmd::vendor::run(project, args, report),
        Verb::Boot(args) => cmd::boot::run(project, args, report),
        Verb::Ssh(args) => cmd::ssh::run(project, args, report),
        Verb::Flash(args) => cmd::flash::run(project, args, report),
        Verb::Check => Ok(cmd::check::run(project, report)),
        Verb::Explain { code } => Ok(cmd::explain::run(code.as_deref(), report)),
        Verb::Verify(args) => cmd::verify::run(project, args, report),
        Verb::Diff(args) => cmd::diff::run(project, args, report),
        Verb::Report(args) => cmd::report::run(project, args, report),
        Verb::Inspect(args) => cmd::inspect::run(args, report),
        Verb::Tools(args) => cmd::tools::run(project, args, report),
        Verb::Clean { all } => cmd::clean::run(*all, report),
        Verb::Completions(args) => Ok(cmd::completions::run(project, args, report)),
        Verb::Man => cmd::completions::man(report),
    }
}
