//! The system layer: a directory in which every package is installed.
//!
//! Our own code unpacks, in parallel; the target's own dpkg configures, in the
//! sandbox, so the result is one that dpkg calls its own. In dpkg's order, as
//! far as a package can tell: the base system is unpacked and configured before
//! any other `preinst` runs, and packages with a `preinst` are put in place
//! after it ran, by the diversions it registered. While the base system is
//! configured, which keeps one core busy, the others decompress the rest; while
//! the rest is, `depmod` reads the kernel's modules.
//!
//! One thing is unlike dpkg: a package's pre-dependencies beyond the base system
//! are only unpacked when its `preinst` runs, and configured when that fails.
//!
//! Deliberately absent: what belongs to one image only. The layer is shared by
//! all images of the same packages; the rest is done on its tree, see
//! [`super::sysprep`].

mod debconf;
mod depmod;
mod dkms;
mod exclude;
mod failure;
mod log;
mod preinst;
mod quiet;
mod users;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Output;
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bedplate_core::SourceLocation;
use bedplate_core::plan::{AnswerPlan, FilterPlan, UserPlan};
use bedplate_core::value::PackageName;
use bedplate_formats::deb::{Control, read_control};
use bedplate_formats::unpack::{self, Conffiles, Diversions, Inside, Root, Staged, base_system, stage_all};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use self::failure::Explainer;
pub use self::log::{Listener, Log};
pub(super) use self::quiet::Quiet;
use crate::sandbox::{self, Sandbox};

/// A package to be installed, as the lock names it.
#[derive(Clone, Debug)]
pub struct Deb {
    /// The `Package` field it must have.
    pub name: PackageName,
    /// The `Version` field it must have.
    pub version: String,
    /// Its file, and what is kept of it.
    pub package: unpack::Package,
}

/// A package that the description asks for, or implies.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its name.
    pub name: PackageName,
    /// The line that asked for it.
    pub at: Option<SourceLocation>,
    /// What that line calls it: the name, or the address of a vendor's package.
    pub word: String,
}

/// What else decides on the system layer.
#[derive(Clone, Debug)]
pub struct Options {
    /// dpkg's name of the architecture: `amd64`.
    pub architecture: String,
    /// The locale, which is generated unless glibc has it built in.
    pub locale: String,
    /// The users that services run as, made before the packages that want them.
    pub users: Vec<UserPlan>,
    /// The answers to questions of packages.
    pub answers: Vec<AnswerPlan>,
    /// The packages that are asked for, for errors.
    pub asked: Vec<Asked>,
    /// What is left out of the packages, as dpkg would.
    pub filters: Vec<FilterPlan>,
    /// `SOURCE_DATE_EPOCH` for the maintainer scripts, in seconds since 1970.
    pub epoch: i64,
}

/// Installs packages into `directory`, which must be empty and is the root of
/// `sandbox`. A failure leaves it half filled, to be removed by the caller.
///
/// # Errors
/// Names the package and what is wrong with it, or the maintainer script, its
/// exit code and its last lines.
pub fn build(
    sandbox: &Sandbox,
    directory: &Path,
    debs: &[Deb],
    options: &Options,
    log: &Log<'_>,
) -> Result<()> {
    let controls = read_controls(debs)?;
    let answers = debconf::selections(&controls, &options.answers)?;
    let explainer = Explainer { controls: &controls, asked: &options.asked, answers: &options.answers };
    let base = base_system(&controls);
    let (base, rest): (Vec<usize>, Vec<usize>) = (0..debs.len()).partition(|index| base.contains(index));
    let packages = |indices: &[usize]| indices.iter().map(|&i| debs[i].package.clone()).collect::<Vec<_>>();

    // On the same file system, because files are moved and not copied.
    let above = directory.parent().context("the system layer cannot be the host's root")?;
    let staging = tempfile::Builder::new().prefix(".unpack-").tempdir_in(above)?;
    let epoch = options.epoch.to_string();
    let sandbox = sandbox.clone().env("SOURCE_DATE_EPOCH", &epoch).without_sync();
    let mut system = System {
        root: Root::new(directory).filtered(exclude::filter(&options.filters)),
        inside: Inside::new(directory)?,
        quiet: Quiet::new(staging.path(), sandbox)?,
        options,
        explainer,
        log,
        answers,
        recorded: 0,
    };

    let (first, second) = (staging.path().join("base"), staging.path().join("rest"));
    log.at(&format!("{} packages, unpacking the first", debs.len()));
    let staged = stage_all(&packages(&base), &first)?;
    thread::scope(|scope| {
        let rest = packages(&rest);
        let rest = scope.spawn(move || stage_all(&rest, &second));
        system.install_base(staged)?;
        users::apply(&options.users, &system.inside)?;
        let rest = rest.join().map_err(|_| anyhow!("a thread that unpacks packages panicked"))??;
        system.install_rest(rest)
    })?;
    ensure!(system.answers.is_empty(), "no package brings debconf, which keeps the answers to questions");
    dkms::finish(&system)?;
    system.generate_locale()?;
    system.check()?;
    system.quiet.clean(&system.inside, directory)?;
    staging.close().context("could not remove the unpacked packages")
}

/// Reads what the packages say of themselves, and holds it against the lock.
fn read_controls(debs: &[Deb]) -> Result<Vec<Control>> {
    let read = |deb: &Deb| {
        let path = &deb.package.deb;
        let file = fs::File::open(path)?;
        let control = read_control(file).with_context(|| format!("package file `{}`", path.display()))?;
        let (name, version) = (control.package(), control.version());
        ensure!(
            deb.name == name && version == deb.version,
            "package file `{}` holds `{name}` {version} and not `{}` {}",
            path.display(),
            deb.name,
            deb.version
        );
        Ok(control)
    };
    debs.par_iter().map(read).collect()
}

/// The system while it is installed.
struct System<'a> {
    root: Root,
    inside: Inside,
    quiet: Quiet,
    options: &'a Options,
    explainer: Explainer<'a>,
    log: &'a Log<'a>,
    /// The answers that are not in debconf's database yet, as debconf-set-selections takes them.
    answers: String,
    /// How many packages dpkg's database knows.
    recorded: usize,
}

impl System<'_> {
    /// Unpacks and configures the packages that every maintainer script may
    /// take for granted. Their own `preinst` finds all of them unpacked, the
    /// configuration files too.
    fn install_base(&mut self, packages: Vec<Staged>) -> Result<()> {
        let controls: Vec<Control> = packages.iter().map(|p| p.control.clone()).collect();
        if controls.is_empty() {
            bail!("there is no essential package among the packages");
        }
        self.add(packages, Conffiles::Both)?;
        self.answer()?;
        self.run_preinsts(&controls, |_| Vec::new())?;
        let names = controls.iter().map(qualified);
        // Triggers are left for the end: most would run twice.
        self.configure(["--configure".to_owned(), "--no-triggers".to_owned()].into_iter().chain(names))
    }

    fn install_rest(&mut self, packages: Vec<Staged>) -> Result<()> {
        let all: Vec<Control> = packages.iter().map(|p| p.control.clone()).collect();
        let (with, without): (Vec<_>, Vec<_>) =
            packages.into_iter().partition(|p| p.control.file("preinst").is_some());
        self.add(without, Conffiles::New)?;
        self.answer()?;
        let needs: Vec<preinst::Needs<'_>> = all.iter().map(preinst::Needs::of).collect();
        let waves = preinst::waves(&needs, with, |package: &Staged| package.control.package());
        let mut waiting: BTreeSet<String> =
            waves.iter().flatten().map(|package| package.control.package().to_owned()).collect();
        for wave in waves {
            let controls: Vec<Control> = wave.iter().map(|p| p.control.clone()).collect();
            self.run_preinsts(&controls, |package| {
                let wanted = preinst::pre_depended(&needs, package);
                let in_place = |name: &str| wanted.contains(name) && !waiting.contains(name);
                all.iter().filter(|control| in_place(control.package())).map(qualified).collect()
            })?;
            waiting.retain(|name| !controls.iter().any(|control| control.package() == name));
            self.add(wave, Conffiles::New)?;
        }
        dkms::prepare(&self.inside)?;
        let kernels = self.explainer.controls.iter().filter_map(dkms::kernel_release);
        depmod::beside(&self.quiet, &self.inside, kernels, || {
            self.configure(["--configure", "--pending"].map(str::to_owned))
        })
    }

    fn add(&mut self, packages: Vec<Staged>, conffiles: Conffiles) -> Result<()> {
        let diversions =
            if self.recorded == 0 { Diversions::default() } else { self.root.database()?.diversions()? };
        self.root.add(packages, &diversions, conffiles)?;
        self.recorded = self.root.database()?.record(self.recorded, &self.options.architecture)?;
        Ok(())
    }

    /// Answers packages' questions, once debconf is there.
    fn answer(&mut self) -> Result<()> {
        if self.answers.is_empty() || !self.inside.exists("usr/bin/debconf-set-selections") {
            return Ok(());
        }
        let argv = ["debconf-set-selections".to_owned()];
        let command = self.quiet.sandbox(&self.inside)?.command(&argv);
        let command = command.stdin_bytes(std::mem::take(&mut self.answers)).stderr_to_stdout();
        let output = command.stdout_capture().unchecked().run().context("could not start the sandbox")?;
        self.log.add(&output.stdout);
        ensure!(output.status.success(), sandbox::failed(&argv, output.status, &output.stdout));
        Ok(())
    }

    /// Runs each `preinst`. What one pre-depends on is configured, Debian Policy 7.2, where it does not go without: the
    /// order in which packages are configured decides on the numbers of their users, which devices keep.
    fn run_preinsts(&self, controls: &[Control], pre_depended: impl Fn(&str) -> Vec<String>) -> Result<()> {
        let sandbox = self.quiet.sandbox(&self.inside)?;
        let database = self.root.database()?;
        for control in preinst::order(controls) {
            database.lay_out_control(control)?;
            let architecture = architecture(control, self.options);
            let run = || preinst::run(&sandbox, control, architecture, self.log, &self.explainer);
            let Err(error) = run() else { continue };
            let needed = pre_depended(control.package());
            if needed.is_empty() {
                return Err(error);
            }
            // One that cannot be configured yet is left for the end, where dpkg is asked again.
            let argv = ["dpkg", "--force-unsafe-io", "--force-confdef", "--force-confold"];
            let argv = argv.into_iter().chain(["--configure", "--no-triggers"]).map(str::to_owned);
            self.run(&argv.chain(needed).collect::<Vec<_>>())?;
            run()?;
        }
        Ok(database.remove_control()?)
    }

    fn configure(&self, arguments: impl IntoIterator<Item = String>) -> Result<()> {
        // A file that a `preinst` made stays where a conffile belongs; there is nobody to ask.
        let options = ["--force-unsafe-io", "--force-confdef", "--force-confold"];
        let argv: Vec<String> =
            std::iter::once("dpkg").chain(options).map(str::to_owned).chain(arguments).collect();
        let output = self.run(&argv)?;
        if output.status.success() {
            return Ok(());
        }
        let compiler = dkms::compiler(&self.inside, &String::from_utf8_lossy(&output.stdout));
        Err(self.explainer.configure(&argv, &output, &compiler))
    }

    fn generate_locale(&self) -> Result<()> {
        let locale = self.options.locale.as_str();
        if ["C", "POSIX", "C.UTF-8", "C.utf8"].contains(&locale) {
            return Ok(());
        }
        ensure!(
            self.inside.exists("usr/sbin/locale-gen"),
            "the locale `{locale}` cannot be generated without the package `locales`"
        );
        let charset = locale.split_once('.').map_or("ISO-8859-1", |(_, charset)| charset);
        let line = format!("{locale} {charset}\n");
        self.inside.write("etc/locale.gen", line.as_bytes(), 0o644)?;
        let argv = ["locale-gen".to_owned()];
        let output = self.run(&argv)?;
        if output.status.success() {
            return Ok(());
        }
        let failed = sandbox::failed(&argv, output.status, &output.stdout);
        Err(failed.context(format!("could not generate the locale `{locale}`")))
    }

    /// dpkg must find nothing left to do and nothing amiss.
    fn check(&self) -> Result<()> {
        let sandbox = self.quiet.sandbox(&self.inside)?;
        let audit = sandbox.run(["dpkg", "--audit"])?;
        ensure!(audit.trim().is_empty(), "dpkg finds fault with the system:\n{}", audit.trim_end());
        let status = sandbox.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}\t${binary:Package}\n"])?;
        let amiss: Vec<&str> = status.lines().filter(|line| !line.starts_with("ii ")).collect();
        ensure!(
            amiss.is_empty(),
            "these packages are not installed as they should be:\n{}",
            amiss.join("\n")
        );
        let installed = status.lines().count();
        ensure!(installed == self.recorded, "dpkg knows {installed} packages of {}", self.recorded);
        Ok(())
    }

    /// Runs a command with its two outputs in one, in the order of writing.
    fn run(&self, argv: &[String]) -> Result<Output> {
        let sandbox = self.quiet.sandbox(&self.inside)?;
        let expression = sandbox.command(argv).stdin_null().stderr_to_stdout().unchecked();
        let reader = expression.reader().context("could not start the sandbox")?;
        let (mut lines, mut printed) = (BufReader::new(&reader), Vec::new());
        loop {
            let start = printed.len();
            if lines.read_until(b'\n', &mut printed)? == 0 {
                break;
            }
            self.log.line(&printed[start..]);
        }
        let output = reader.try_wait()?.context("the sandbox is still running")?;
        Ok(Output { stdout: printed, ..output.clone() })
    }
}

/// The name by which dpkg tells a package from the same one of another architecture.
fn qualified(control: &Control) -> String {
    match control.field("Multi-Arch") {
        "same" => format!("{}:{}", control.package(), control.architecture()),
        _ => control.package().to_owned(),
    }
}

/// The architecture dpkg counts a package to.
fn architecture<'a>(control: &'a Control, options: &'a Options) -> &'a str {
    match control.architecture() {
        "all" => &options.architecture,
        architecture => architecture,
    }
}
