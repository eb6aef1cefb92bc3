//! The system layer: a directory in which every package is installed.
//!
//! Our own code unpacks, in parallel; the target's own dpkg configures, in the
//! sandbox, so the result is one that dpkg calls its own. It is done in stages,
//! as if somebody had installed some packages, and later more: first the base
//! system, at the end what depends on little ([`unpack::stages`]). What there is
//! between two stages is kept ([`kept`]), so that a package more, or another
//! version of one, has only its own stage installed anew, and those after it.
//!
//! In each stage it goes in dpkg's order, as far as a package can tell: packages
//! with a `preinst` are put in place after it ran, by the diversions it
//! registered. While one stage is configured, which keeps one core busy, the
//! others decompress the next, and `depmod` reads the kernel's modules.
//!
//! One thing is unlike dpkg: a package's pre-dependencies in the same stage are
//! only unpacked when its `preinst` runs, and configured when that fails.
//!
//! Deliberately absent: what belongs to one image only. The layer is shared by
//! all images of the same packages; the rest is done on its tree, see
//! [`super::sysprep`].

mod debconf;
mod depmod;
mod dkms;
mod exclude;
mod failure;
mod kept;
mod log;
mod preinst;
mod quiet;
mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Output;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use bedplate_core::SourceLocation;
use bedplate_core::plan::{AnswerPlan, FilterPlan, UserPlan};
use bedplate_core::value::{PackageName, Sha256};
use bedplate_formats::deb::{Control, read_control};
use bedplate_formats::unpack::{self, Conffiles, Diversions, Inside, Root, Staged};
use rayon::ThreadPoolBuilder;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use self::failure::Explainer;
use self::kept::Stages;
pub use self::log::{Listener, Log};
pub(super) use self::quiet::Quiet;
use crate::key::Key;
use crate::sandbox::{self, Sandbox};
use crate::store::Store;

/// How many packages a stage has at least. Fewer are configured anew with a package more, at the price of more that is
/// kept and of programs that are started for each stage.
const STAGE: usize = 32;

/// A package to be installed, as the lock names it.
#[derive(Clone, Debug)]
pub struct Deb {
    /// The `Package` field it must have.
    pub name: PackageName,
    /// The `Version` field it must have.
    pub version: String,
    /// The digest of its file.
    pub sha256: Sha256,
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
    /// The latest `SOURCE_DATE_EPOCH` for maintainer scripts, in seconds since 1970. Theirs is the date of the newest
    /// package that is there: a newer archive alone changes nothing.
    pub epoch: i64,
}

impl Options {
    /// Adds what decides on the bytes of every stage: not who asked, nor for what, nor the epoch.
    pub fn add_to(&self, key: &mut Key) {
        key.add(&self.architecture);
        for filter in &self.filters {
            key.add([filter.include.into()]);
            key.add(&filter.path);
        }
        // Of a user, what is written before packages are configured: not its groups, not its line.
        for user in &self.users {
            key.add(format!("{}:{}:{}:{}:{}", user.name, user.uid, user.gid, user.group, user.home));
            key.add(&user.shell);
        }
        for answer in &self.answers {
            key.add(format!("{} {}", answer.name, answer.answer.as_str()));
        }
    }
}

/// Installs packages into `directory`, which must be empty and is the root of
/// `sandbox`, from what is kept in `store` on. A failure leaves it half filled,
/// to be removed by the caller.
///
/// # Errors
/// Names the package and what is wrong with it, or the maintainer script, its
/// exit code and its last lines.
pub fn build(
    sandbox: &Sandbox,
    directory: &Path,
    debs: &[Deb],
    options: &Options,
    store: Option<&Store>,
    log: &Log<'_>,
) -> Result<()> {
    let controls = read_controls(debs)?;
    let answers = debconf::selections(&controls, &options.answers)?;
    let explainer = Explainer { controls: &controls, asked: &options.asked, answers: &options.answers };
    let stages = Stages::new(unpack::stages(&controls, STAGE), debs, &controls, options, store);

    // On the same file system, because files are moved and not copied.
    let above = directory.parent().context("the system layer cannot be the host's root")?;
    let staging = tempfile::Builder::new().prefix(".unpack-").tempdir_in(above)?;
    let sandbox = sandbox.clone().without_sync();
    let mut system = System {
        root: Root::new(directory).filtered(exclude::filter(&options.filters)),
        inside: Inside::new(directory)?,
        quiet: Quiet::new(staging.path(), sandbox)?,
        options,
        explainer,
        log,
        answers,
        recorded: 0,
        epoch: stages.epoch(0),
        ahead: Vec::new(),
        store,
    };

    log.at(&format!("{} packages, unpacking the first", debs.len()));
    let kept = stages.last_kept();
    let done = kept.as_ref().map_or(0, |kept| kept.stages);
    let (sender, receiver) = mpsc::channel();
    // Who walks through the system meanwhile waits for no package.
    let pool = ThreadPoolBuilder::new().build().context("could not start threads")?;
    thread::scope(|scope| {
        // Gone with the first error, so that nothing more is unpacked.
        let (receiver, mut there) = (receiver, BTreeMap::new());
        let (stages, staging) = (&stages, staging.path());
        scope.spawn(move || pool.install(|| stages.unpack(done, staging, &sender)));
        let mut wait = |of| stages.wait(of, &receiver, &mut there);
        match kept {
            Some(kept) => system.bring_back(kept, wait(0..done)?, stages)?,
            None => {
                system.install_base(wait(0..1)?)?;
                users::apply(&options.users, &system.inside)?;
                stages.keep(1, &system);
            }
        }
        for stage in done.max(1)..stages.len() {
            system.epoch = stages.epoch(stage);
            system.install(wait(stage..stage + 1)?, &stages.names(stage, &controls), stages.key(stage))?;
            if stage + 1 < stages.len() {
                stages.keep(stage + 1, &system);
            }
        }
        system.finish_depmod()
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
    /// `SOURCE_DATE_EPOCH`.
    epoch: i64,
    /// What is made beside, for each kernel.
    ahead: Vec<depmod::Ahead>,
    /// Where what was made is kept.
    store: Option<&'a Store>,
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

    /// Unpacks and configures a further stage. `names` is the order of its packages, as dpkg calls them.
    fn install(&mut self, packages: Vec<Staged>, names: &[String], key: &str) -> Result<()> {
        let all: Vec<Control> = packages.iter().map(|p| p.control.clone()).collect();
        let (with, without): (Vec<_>, Vec<_>) =
            packages.into_iter().partition(|p| p.control.file("preinst").is_some());
        self.add(without, Conffiles::New)?;
        self.answer()?;
        let needs: Vec<preinst::Needs<'_>> = all.iter().map(preinst::Needs::of).collect();
        let waves = preinst::waves(&needs, with, |package: &Staged| package.control.package());
        let mut waiting: BTreeSet<String> =
            waves.iter().flatten().map(|package| package.control.package().to_owned()).collect();
        let mut configured = BTreeSet::new();
        for wave in waves {
            let controls: Vec<Control> = wave.iter().map(|p| p.control.clone()).collect();
            configured.extend(self.run_preinsts(&controls, |package| {
                let wanted = preinst::pre_depended(&needs, package);
                let in_place = |name: &str| wanted.contains(name) && !waiting.contains(name);
                all.iter().filter(|control| in_place(control.package())).map(qualified).collect()
            })?);
            waiting.retain(|name| !controls.iter().any(|control| control.package() == name));
            self.add(wave, Conffiles::New)?;
        }
        dkms::prepare(&self.inside)?;
        for release in all.iter().filter_map(dkms::kernel_release) {
            self.begin_depmod(release, key)?;
        }
        // dpkg refuses to do it twice.
        let names: Vec<String> = names.iter().filter(|name| !configured.contains(*name)).cloned().collect();
        if !names.is_empty() {
            self.configure(std::iter::once("--configure".to_owned()).chain(names))?;
        }
        // What could not be configured early, and the triggers of earlier packages.
        self.configure(["--configure", "--pending"].map(str::to_owned))
    }

    /// A sandbox in the system as it is, in which scripts and dpkg run.
    fn sandbox(&self) -> Result<Sandbox> {
        Ok(self.quiet.sandbox(&self.inside)?.env("SOURCE_DATE_EPOCH", &self.epoch.to_string()))
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
        let command = self.sandbox()?.command(&argv);
        let command = command.stdin_bytes(std::mem::take(&mut self.answers)).stderr_to_stdout();
        let output = command.stdout_capture().unchecked().run().context("could not start the sandbox")?;
        self.log.add(&output.stdout);
        ensure!(output.status.success(), sandbox::failed(&argv, output.status, &output.stdout));
        Ok(())
    }

    /// Runs each `preinst`. What one pre-depends on is configured, Debian Policy 7.2, where it does not go without: the
    /// order in which packages are configured decides on the numbers of their users, which devices keep.
    /// Returns those that were configured for it.
    fn run_preinsts(
        &self,
        controls: &[Control],
        pre_depended: impl Fn(&str) -> Vec<String>,
    ) -> Result<BTreeSet<String>> {
        let sandbox = self.sandbox()?;
        let database = self.root.database()?;
        let mut configured = BTreeSet::new();
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
            self.run(&argv.chain(needed.clone()).collect::<Vec<_>>())?;
            configured.extend(needed);
            run()?;
        }
        database.remove_control()?;
        Ok(configured)
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
        let sandbox = self.sandbox()?;
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
        let sandbox = self.sandbox()?;
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
