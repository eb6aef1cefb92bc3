//! The recipe: from a plan and a lock to a directory of artifacts. Read it
//! from the top; every step is a file in `step/`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use bedplate_core::lock::{Lock, LockFile, LockedPackage};
use bedplate_core::plan::{ArtifactNames, FilePlan, NATIVE, Plan, UpdatesPlan};
use bedplate_formats::digest::Place;
use bedplate_formats::tree::{Tree, TreePath};
use bedplate_formats::unpack::Package;
use camino::Utf8Path;
use fs_err as fs;

use crate::artifacts::{self, Output, Spare};
use crate::bundle::delta::{New, Old};
use crate::bundle::{self, Source};
use crate::certificate::Chain;
use crate::key::{Key, digest};
use crate::keys::Keys;
use crate::papers::{self, provenance};
use crate::report::{Activity, Report, bytes, path};
use crate::sandbox::emulation::{Emulation, Emulator, Native};
use crate::sign::Signer;
use crate::step::homes::Homes;
use crate::step::inside::Inside;
use crate::step::owners::Owners;
use crate::step::scratch::{self, Base};
use crate::step::unpacked::Unpacked;
use crate::step::{
    self, apparmor, boot, check, data, disk, identity, initrd, manifest, origin, overlay, presets, remove,
    root, script, slot, sysprep, system, sysusers, text, triggers, units, users, version,
};
use crate::store::{self, Store, or_full};
use crate::tools;

mod signed;

pub use signed::{Built, Trust, sign};

/// What a build needs beside its plan and its lock.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Where it tells what it does.
    pub report: &'a Report,
    /// What was fetched, and the layers made of it.
    pub store: &'a Store,
    /// Brings every package of the lock into the store. Called again, it costs a `stat` for each.
    pub fetch: &'a (dyn Fn() -> Result<()> + Sync),
    /// The directory that paths in the description start from.
    pub project: &'a Utf8Path,
    /// Where the artifacts go.
    pub out: &'a Utf8Path,
    /// How programs of the image are run, where this machine does not run them.
    pub emulation: Option<Emulation>,
    /// The keys of what firmware starts, and who signs it.
    pub trust: Trust<'a>,
}

/// Builds the image. Packages are fetched once it is certain that something has
/// to be built; where layers may come from another machine, once one has to be
/// made of them.
///
/// # Errors
/// The step that failed, and why; the last good artifacts are then untouched.
pub fn image(context: Context<'_>, plan: &Plan, lock: &Lock) -> Result<()> {
    let Context { report, store, trust, .. } = context;
    let output = Output::open(context.out, report)?;
    let description = description(plan, context.project, trust.keys)?;
    let image = image_key(&description, plan, lock);
    let key = trust.of(&image);
    let commit = || papers::commit(context.project, report);
    let given = |commit| provenance::Given { plan, lock, description: &description, commit };
    let disk = context.out.join(&plan.artifacts.disk);
    // What somebody signed before is as good to who does not sign.
    let whole = output.is_current(&image);
    if whole || output.is_current(&key) {
        if whole {
            renew_provenance(given(commit().as_deref()), context.out, &output)?;
        }
        if report.verbose() {
            show_log(report, context.out.join(&plan.artifacts.log))?;
        }
        report.did("Fresh", path(if whole { disk.as_path() } else { context.out }));
        return Ok(());
    }
    text::check(&plan.overlays, context.project)?;
    if !store.exchanges() {
        (context.fetch)()?;
    }
    let staging = output.staging()?;
    let commit = commit();
    let built = assemble(context, given(commit.as_deref()), (&staging, &output.spare()))
        .and_then(|()| output.publish(&staging, &key, serde_json::to_value(plan)?));
    if let Err(error) = built {
        let error = or_full(error, staging.parent().unwrap_or(&staging).as_std_path());
        // What cannot be removed now, the next build removes.
        let _ = fs::remove_dir_all(&staging);
        return Err(error);
    }
    if store.has_grown() {
        trim(context)?;
    }
    if trust.is_unsigned() {
        report.did("Unsigned", format_args!("{}  {}", path(context.out), report.elapsed()));
        return Ok(());
    }
    report.did("Finished", format_args!("{}  {}", path(&disk), report.elapsed()));
    Ok(())
}

/// The key of the inputs of an image: artifacts with another key are of another description, or made by another program.
///
/// # Errors
/// A file that the description names cannot be read.
pub fn key_of_image(plan: &Plan, lock: &Lock, project: &Utf8Path, keys: Option<&Keys>) -> Result<String> {
    Ok(image_key(&description(plan, project, keys)?, plan, lock))
}

/// The keyring of the devices, as the plan writes it.
pub const KEYRING: &str = "/etc/rauc/keyring.pem";

/// The file of a bundle that says which devices it fits.
const OF_DEVICE: &str = "bedplate";

/// How a bundle is made.
#[derive(Debug, Clone, Copy)]
pub struct BundleOptions<'a> {
    /// Who signs.
    pub signer: &'a Signer,
    /// Their certificates.
    pub chain: &'a Chain,
    /// Whether devices with a newer version install it, too.
    pub older: bool,
    /// The versions that devices have, for which it says what is new.
    pub old: &'a [Old],
}

/// Opens the bundle of an older version of the image that is updated as `updates` says.
///
/// # Errors
/// It is damaged, or for other devices.
pub fn fits(updates: &UpdatesPlan, bundle: &Path) -> Result<Old> {
    let old = Old::open(bundle)?;
    let (name, compatible) = (path(bundle), old.compatible());
    ensure!(
        compatible == updates.compatible,
        "the bundle `{name}` is for `{compatible}`, and this image for `{}`: no device has both",
        updates.compatible
    );
    let of_device = old.read(OF_DEVICE)?;
    let layout = format!("layout={}", updates.layout);
    ensure!(
        String::from_utf8_lossy(&of_device).lines().any(|line| line == layout),
        "the bundle `{name}` is for disks of another layout: no device has both"
    );
    Ok(old)
}

/// Makes of the last build the bundle that updates devices to it.
///
/// # Errors
/// An image without updates; who signs fails; a full disk. The artifacts are then as they were.
pub fn bundle(
    report: &Report,
    plan: &Plan,
    lock: &Lock,
    out: &Utf8Path,
    options: &BundleOptions<'_>,
) -> Result<()> {
    let &BundleOptions { signer, chain, older, old } = options;
    let started = Instant::now();
    let Some(updates) = &plan.updates else { bail!("`{}` has no slots", plan.name) };
    let version = plan.version.clone().unwrap_or_default();
    let of_device =
        format!("layout={}\nversion={version}\nolder={}\n", updates.layout, if older { "yes" } else { "no" });
    let mut described = Key::new("description");
    described.add(fingerprint(plan)?);
    let mut salt = Key::new("salt of the bundle");
    salt.add(plan.seed.as_bytes());
    let images = slot::images(&plan.artifacts, out);
    let mut extra = vec![(OF_DEVICE.to_owned(), of_device.into_bytes())];
    extra.extend(deltas(old, &images, out, report)?);
    let contents = bundle::Contents {
        compatible: updates.compatible.clone(),
        version,
        description: Some(plan.name.clone()),
        build: Some(described.finish()),
        images,
        extra,
        salt: digest(&salt.finish()).context("deriving the salt of the bundle")?,
        epoch: u32::try_from(lock.epoch).unwrap_or_default(),
    };
    let output = Output::open(out, report)?;
    output.add(BUNDLE, &plan.artifacts.checksums, |file| bundle::write(&contents, signer, chain, file))?;
    let file = out.join(BUNDLE);
    let size = fs::metadata(&file)?.len();
    report.timed(
        "Bundle",
        format_args!("{}  {}, signed by `{}`", path(&file), bytes(size), chain.signer().subject()),
        started,
    );
    Ok(())
}

/// Makes of the last build's disk a compressed one, and the map of its blocks.
///
/// # Errors
/// An artifact cannot be read, or a full disk. The artifacts are then as they were.
pub fn compress(report: &Report, plan: &Plan, out: &Utf8Path) -> Result<()> {
    let started = Instant::now();
    let (names, disk) = (&plan.artifacts, out.join(&plan.artifacts.disk));
    let compressed = format!("{}{COMPRESSED}", names.disk);
    let output = Output::open(out, report)?;
    // They go with the disk that they are made of.
    if output.has(&compressed) {
        report.did("Fresh", path(&out.join(compressed)));
        return Ok(());
    }
    let map = step::compress::map(&plan.disk, names, out)?.render();
    output.add(&format!("{}{MAP}", names.disk), &names.checksums, |mut file| {
        Ok(file.write_all(map.as_bytes())?)
    })?;
    output.add(&compressed, &names.checksums, |file| step::compress::write(&disk, file))?;
    let file = out.join(compressed);
    let size = bytes(fs::metadata(&file)?.len());
    report.timed("Compressed", format_args!("{}  {size}", path(&file)), started);
    Ok(())
}

/// What the names of a compressed disk and of its block map end with, behind the disk's.
const COMPRESSED: &str = ".zst";
const MAP: &str = ".bmap";

/// The files that tell what is new for devices with each of the `old` versions.
fn deltas(old: &[Old], images: &[Source], out: &Utf8Path, report: &Report) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    if old.is_empty() {
        return Ok(files);
    }
    let new = New::of(images)?;
    for old in old {
        let started = Instant::now();
        let delta = old.delta(&new, out.as_std_path())?;
        let (from, size) = (&delta.version, bytes(delta.size() as u64));
        let what = format_args!("from {from}: {size} for {} of blocks", bytes(delta.blocks));
        report.timed("Delta", what, started);
        files.extend(delta.files);
    }
    Ok(files)
}

/// The name of an update's bundle among the artifacts.
const BUNDLE: &str = "image.raucb";

/// The files that a build has on request, each with what it is.
pub fn on_request(names: &ArtifactNames) -> [(String, &'static str); 3] {
    let disk = &names.disk;
    [
        (format!("{disk}{COMPRESSED}"), "the disk, compressed, with `--compress`"),
        (format!("{disk}{MAP}"), "its block map, for `flash` and `bmaptool`, with `--compress`"),
        (BUNDLE.to_owned(), "the signed bundle that updates devices, from `cargo xtask bundle`"),
    ]
}

/// Removes what the cache has no room for, and what nobody has used for long.
fn trim(Context { report, store, .. }: Context<'_>) -> Result<()> {
    let freed = store.trim().context("cannot remove unused cache entries")?;
    if freed.entries > 0 {
        report.did("Removed", format_args!("{freed}, the least recently used"));
    }
    if freed.refused > 0 {
        report.warn(format_args!("cannot remove {} of another user", store::entries(freed.refused)));
    }
    Ok(())
}

/// Shows what was printed while the system was installed.
fn show_log(report: &Report, log: impl AsRef<Path>) -> Result<()> {
    report.text(String::from_utf8_lossy(&fs::read(log)?));
    Ok(())
}

/// Everything an image is made of, in one digest.
fn image_key(description: &str, plan: &Plan, lock: &Lock) -> String {
    let mut key = Key::new("image");
    key.add(description);
    key.add(LockFile::default().with(plan.architecture, lock.clone()).render());
    key.finish()
}

/// The plan and the files that it names, in one digest. Where the lock's packages are fetched from changes no byte.
fn description(plan: &Plan, project: &Utf8Path, keys: Option<&Keys>) -> Result<String> {
    let mut plan = plan.clone();
    (plan.snapshot, plan.mirrors) = (None, Vec::new());
    plan.archives.iter_mut().for_each(|archive| archive.snapshots.clear());
    let plan = &plan;
    let mut key = Key::of_inputs();
    key.add(fingerprint(plan)?);
    overlay::add_to(&mut key, &plan.overlays, project)?;
    if let Some(keys) = keys {
        keys.add_to(&mut key)?;
    }
    Ok(key.finish())
}

/// Brings the provenance of artifacts that are current to the commit which is checked out now.
fn renew_provenance(given: provenance::Given<'_>, out: &Utf8Path, output: &Output) -> Result<()> {
    let names = &given.plan.artifacts;
    let is_subject = |name: &str| names.names().contains(&name) && name != names.provenance;
    let mut subjects = artifacts::checksums(names, out)?;
    subjects.retain(|(name, _)| is_subject(name));
    let statement = provenance::statement(given, &subjects)?;
    if fs::read(out.join(&names.provenance))? == statement {
        return Ok(());
    }
    output.add(&names.provenance, &names.checksums, |mut file| Ok(file.write_all(&statement)?))
}

/// A plan without the lines that asked: a comment above a call changes nothing.
fn fingerprint(plan: &Plan) -> Result<String> {
    fn strip(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(fields) => {
                fields.remove("at");
                fields.values_mut().for_each(strip);
            }
            serde_json::Value::Array(values) => values.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(plan)?;
    strip(&mut value);
    Ok(value.to_string())
}

fn assemble(
    context: Context<'_>,
    given: provenance::Given<'_>,
    (staging, spare): (&Utf8Path, &Spare),
) -> Result<()> {
    let Context { report, store, .. } = context;
    let provenance::Given { plan, lock, .. } = given;
    let names = &plan.artifacts;

    let tools_tree = tools::tree(store, &lock.tools, context.fetch)?;
    // What is copied from is of the image's architecture, and what is run of this machine's.
    let (programs, emulator) = match context.emulation {
        None => (tools_tree.clone(), None),
        Some(emulation) => {
            let (programs, emulator) = cross_tools(context, plan, lock)?;
            let emulator = emulation.emulator(plan.architecture, &emulator);
            let native = Native { tree: programs.clone(), packages: native_packages(lock) };
            (programs, Some(emulator.native(native)))
        }
    };
    let (tools, emulator) = (tools::sandbox(&programs), emulator.as_ref());
    let started = Instant::now();
    let system_key = system_key(plan, lock);
    let layer = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (options, key) = (root_options(plan, lock, &tools), packages_key(plan, &system_key));
            root::take_ahead(options, store, &key);
        });
        system_layer(context, plan, lock, (&system_key, emulator))
    })?;
    fs::copy(layer.with_file_name("log"), staging.join(&names.log))?;
    let system = Tree::scan(&layer).context("reading the system")?;
    report.timed("System", format_args!("{} packages", lock.packages.len()), started);
    let kernel = initrd::Kernel::of(&system)?;

    let shown = Base { directory: &layer, tree: &system, emulator };
    let again = |directory: &Path| {
        (context.fetch)()?;
        // From the beginning: what was kept would be the same twice.
        let log = system::Log::new(lock.packages.len(), &());
        install(store, plan, lock, (directory, emulator), None, &log)
    };
    let machine = identity::findings(store, &system_key, &system, lock.epoch, again)?;

    // The initrd and the root are both cut out of the system, and need nothing
    // of each other. The data partition needs nothing at all.
    let (tree, hashed, initrd, bills) = std::thread::scope(|scope| {
        let initrd = scope.spawn(|| initrd(context, plan, lock, &system_key, &system));
        let data = scope.spawn(|| write_data(plan, lock, &tools, staging));
        let (base, tree) = root_tree(context, plan, lock, (&system_key, &kernel.release, &machine), shown)?;
        let bills = || -> Result<papers::Image> {
            let inputs = papers::Inputs {
                store,
                fetch: context.fetch,
                project: context.project,
                plan,
                lock,
                system: (&system_key, &system),
                kernel: &kernel,
                tools: &tools_tree,
            };
            manifest::write(plan, lock, &tree, &staging.join(&names.manifest))?;
            papers::Image::of(inputs, &tree, &origin::brought(&base, &tree)).context("collecting the papers")
        };
        let (hashed, bills) = std::thread::scope(|scope| {
            let bills = scope.spawn(bills);
            let root = (&base, &tree);
            let hashed = write_root(context, plan, lock, &system_key, root, &tools, (staging, spare));
            (hashed, joined(bills))
        });
        let hashed = hashed?;
        let initrd = joined(initrd)?;
        joined(data)?;
        Ok::<_, anyhow::Error>((tree, hashed, initrd, bills?))
    })?;

    artifacts::copy(initrd, staging.join(&names.initrd))?;
    let image = system.content(&kernel.image).context("the kernel's image is gone")?;
    fs::write(staging.join(&names.kernel), initrd::executable(image.read()?)?)?;
    let root_hash = disk::verity(&plan.disk.root, &plan.artifacts, hashed.as_ref(), staging)?;
    let stub = boot::Stub::of(lock, &tools_tree);
    let command_line = boot::command_line(&plan.command_line, root_hash.as_ref());
    boot::Boot::of(plan, staging).uki(&command_line, &kernel.release, &tree, &stub, context.trust.keys)?;
    let loader = stub.loader(plan.architecture)?;
    signed::finish(
        signed::Parts {
            report,
            given,
            bills: &bills,
            hashed: hashed.as_ref(),
            trust: context.trust,
            staging,
            last: context.out,
        },
        loader,
    )
}

/// What a thread of a scope returns; where it panicked, so does this one.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The tree of the programs that this machine runs in place of those of the image's architecture, and the emulator.
fn cross_tools(context: Context<'_>, plan: &Plan, lock: &Lock) -> Result<(PathBuf, PathBuf)> {
    let Context { store, fetch, .. } = context;
    let (package, program) = plan.emulator().context("the release has no emulator")?;
    let (emulators, programs): (Vec<_>, Vec<_>) =
        lock.cross_tools.iter().cloned().partition(|locked| locked.name == package);
    let emulator = emulators.first().context("the lock has no emulator")?;
    Ok((tools::tree(store, &programs, fetch)?, tools::program(store, emulator, &program, fetch)?))
}

/// The packages of which this machine's own programs do what those of the image would.
fn native_packages(lock: &Lock) -> Vec<String> {
    // What was built once more for one processor, `+b1`, is of the same source.
    fn source<'a>(packages: &'a [LockedPackage], name: &str) -> Option<&'a str> {
        let version = packages.iter().find(|package| package.name == *name)?.version.as_str();
        let rebuilt = version.rsplit_once("+b").filter(|(_, count)| count.parse::<u32>().is_ok());
        Some(rebuilt.map_or(version, |(source, _)| source))
    }
    let is_same = |name: &&str| {
        source(&lock.packages, name).is_some_and(|own| Some(own) == source(&lock.cross_tools, name))
    };
    NATIVE.into_iter().filter(is_same).map(str::to_owned).collect()
}

/// The key of the packages, installed.
fn system_key(plan: &Plan, lock: &Lock) -> String {
    let options = system_options(plan, lock);
    let mut key = Key::new("system");
    options.add_to(&mut key);
    key.add(&options.locale);
    key.add(options.epoch.to_le_bytes());
    lock.packages.iter().for_each(|package| key.add(&package.sha256));
    key.finish()
}

/// The packages, installed: a directory in the cache. `log` beside the directory
/// is what was printed meanwhile.
fn system_layer(
    context: Context<'_>,
    plan: &Plan,
    lock: &Lock,
    (key, emulator): (&str, Option<&Emulator>),
) -> Result<PathBuf> {
    let Context { report, store, .. } = context;
    let mut made = false;
    let layer = store.layer_or_make("system", key, |directory| {
        (context.fetch)()?;
        check::packages(plan, lock, store)?;
        made = true;
        let root = directory.join("root");
        fs::create_dir(&root)?;
        let told = Told { report, activity: report.activity("Installing", "packages") };
        let log = system::Log::new(lock.packages.len(), &told);
        install(store, plan, lock, (&root, emulator), Some(store), &log)?;
        scratch::clamp_times(&root, lock.epoch)?;
        Ok(fs::write(directory.join("log"), log.into_text())?)
    })?;
    if report.verbose() && !made {
        show_log(report, layer.join("log"))?;
    }
    Ok(layer.join("root"))
}

/// Passes on what is heard of the installation.
struct Told<'a> {
    report: &'a Report,
    activity: Activity,
}

impl system::Listener for Told<'_> {
    fn printed(&self, text: &str) {
        if self.report.verbose() {
            self.report.text(text);
        }
    }

    fn at(&self, what: &str) {
        self.activity.at(what);
    }
}

fn system_options(plan: &Plan, lock: &Lock) -> system::Options {
    system::Options {
        architecture: plan.architecture.deb().to_owned(),
        locale: plan.locale.clone(),
        users: plan.users.iter().filter(|user| user.system).cloned().collect(),
        answers: plan.answers.clone(),
        asked: asked(plan, lock),
        filters: plan.contents.filters.clone(),
        epoch: lock.epoch,
    }
}

/// Installs the lock's packages into an empty directory, from the stages on that are `kept`.
fn install(
    store: &Store,
    plan: &Plan,
    lock: &Lock,
    (root, emulator): (&Path, Option<&Emulator>),
    kept: Option<&Store>,
    log: &system::Log<'_>,
) -> Result<()> {
    let paths = tools::debs(store, &lock.packages)?;
    let unpacked = Unpacked::new(store)?;
    let deb = |(package, path): (&LockedPackage, PathBuf)| system::Deb {
        name: package.name.clone(),
        version: package.version.clone(),
        sha256: package.sha256.clone(),
        package: Package { deb: path, kept: Some(unpacked.file(&package.sha256)) },
    };
    let debs: Vec<system::Deb> = lock.packages.iter().zip(paths).map(deb).collect();
    let sandbox = crate::sandbox::Sandbox::new(root).emulated(emulator);
    let options = system_options(plan, lock);
    system::build(&sandbox, root, &debs, &options, kept, log).context("installing the packages")?;
    unpacked.keep()
}

/// What the description asks for: packages by name, and those of vendors.
fn asked(plan: &Plan, lock: &Lock) -> Vec<system::Asked> {
    let named = plan.packages.iter().map(|package| system::Asked {
        name: package.name.clone(),
        at: package.at.clone(),
        word: package.name.to_string(),
    });
    let vendors = plan.debs.iter().filter_map(|deb| {
        let locked = lock.packages.iter().find(|package| package.url == deb.url)?;
        Some(system::Asked { name: locked.name.clone(), at: deb.at.clone(), word: deb.url.to_string() })
    });
    named.chain(vendors).collect()
}

/// The initrd: a file in the cache.
fn initrd(
    context: Context<'_>,
    plan: &Plan,
    lock: &Lock,
    system_key: &str,
    system: &Tree,
) -> Result<PathBuf> {
    let started = Instant::now();
    let settings = initrd::settings::of(plan, context.project, system)?;
    let modules = plan.modules.iter().map(|module| (module.name.clone(), module.at.clone()));
    let asked: Vec<_> = modules.chain(settings.modules).collect();
    let told = initrd::asked(system, &asked, plan.distribution == bedplate_core::Distribution::Ubuntu)?;
    for (at, text) in settings.told.iter().chain(&told) {
        let at = at.as_ref().map(|at| format!("{at}: ")).unwrap_or_default();
        context.report.warn(format_args!("{at}{text}"));
    }
    let options = initrd::Options {
        modules: asked.iter().map(|(name, _)| name.clone()).collect(),
        settings: settings.taken,
        features: plan.initrd.features,
        files: plan.initrd.files.iter().map(|file| FilePlan { at: None, ..file.clone() }).collect(),
    };
    let mut key = Key::new("initrd");
    key.add(system_key);
    key.add(format!("{options:?}"));
    let layer = context.store.layer_or_make("initrd", &key.finish(), |directory| {
        let mtime = u32::try_from(lock.epoch).unwrap_or_default();
        initrd::build(context.store, system, &options, mtime, &directory.join("initrd"))
    })?;
    let file = layer.join("initrd");
    context.report.timed("Initrd", bytes(fs::metadata(&file)?.len()), started);
    Ok(file)
}

/// The tree of the packages without traces of the build, and the root's: the
/// same with what the description adds, checked before anything is made of it.
fn root_tree(
    context: Context<'_>,
    plan: &Plan,
    lock: &Lock,
    (system_key, kernel, machine): (&str, &str, &[identity::Finding]),
    system: Base<'_>,
) -> Result<(Tree, Tree)> {
    let inside = Inside {
        store: context.store,
        plan,
        project: context.project,
        base: system,
        key: system_key,
        epoch: lock.epoch,
    };
    let mut tree = system.tree.clone();
    sysprep::sysprep(&mut tree);
    sysprep::date_certificates(&mut tree, lock.epoch);
    sysprep::clamp_mtimes(&mut tree, lock.epoch);
    let mut base = tree.clone();
    let (homes, mut owners) = (Homes::make(&plan.users, &mut tree)?, Owners::default());
    let packages = lock.packages.iter().map(|package| package.name.as_str()).collect();
    overlay::files(&plan.identity_files(&packages)?, &homes, &mut tree, &mut owners)?;
    overlay::overlays(plan, context.project, &homes, &mut tree, &mut owners)?;
    overlay::files(&plan.files, &homes, &mut tree, &mut owners)?;
    let brought = origin::brought(&base, &tree);
    remove::apply_to_packages(&plan.contents.removed, &mut base);
    sysusers::apply(&inside, &brought, &mut tree)?;
    version::apply(&plan.image_id(), plan.version.as_deref(), &mut tree)?;
    homes.fill(&mut tree);
    users::apply(&plan.users, &mut tree)?;
    let line = |tree: &Tree, path: &TreePath| origin::of(plan, context.project, tree, path);
    presets::apply(&plan.units, &brought, &mut tree, &line)?;
    let unfit = units::apply(&plan.units.enable, &mut tree);
    owners.apply(&mut tree)?;
    triggers::apply(&inside, &brought, &mut tree)?;
    let written = script::apply(&inside, &mut tree)?;
    sysusers::apply(&inside, &written, &mut tree)?;
    triggers::apply(&inside, &written, &mut tree)?;
    remove::apply(&plan.contents.removed, &mut tree)?;
    apparmor::apply(&inside, kernel, &brought, &mut tree)?;
    sysprep::date_certificates(&mut tree, lock.epoch);
    identity::check(plan, lock, machine, &base, &tree)?;
    sysprep::clamp_mtimes(&mut tree, lock.epoch);
    let sandboxed = check::Sandboxed::new(context.store, system, system_key);
    let mut found = check::tree(plan, context.project, &tree, &sandboxed)?;
    found.mistakes.extend(unfit);
    let source = |file: &str| fs::read_to_string(context.project.join(file)).ok();
    found.cautions.iter().for_each(|caution| context.report.caution(caution, &source));
    found.result()?;
    Ok((base, tree))
}

/// The root's file system as an artifact, and what it was hashed to.
fn write_root(
    context: Context<'_>,
    plan: &Plan,
    lock: &Lock,
    system_key: &str,
    (base, tree): (&Tree, &Tree),
    tools: &crate::sandbox::Sandbox,
    (staging, spare): (&Utf8Path, &Spare),
) -> Result<Option<root::Hashed>> {
    let started = Instant::now();
    let file = staging.join(&plan.artifacts.root);
    let (options, key) = (root_options(plan, lock, tools), packages_key(plan, system_key));
    let is_plain = plan.disk.root.compression == bedplate_core::Compression::None;
    let verb = if is_plain { "Writing" } else { "Compressing" };
    let activity = context.report.activity(verb, "the root");
    let told = |done: u64, all: u64| activity.at(format_args!("the root, {} %", done * 100 / all.max(1)));
    // Where nobody signs, there is no disk yet.
    let disk = match context.trust.is_unsigned() {
        true => None,
        false => Some(disk::begin(&plan.disk, &plan.artifacts, (staging, spare))?),
    };
    let place = disk.as_ref().map(|(file, before)| Place {
        file,
        at: plan.disk.root.partition.offset,
        before: before.clone(),
    });
    let (filesystem, hashed) =
        root::write(options, (context.store, &key), (base, tree), (&file, spare), place, &told)?;
    drop(activity);
    let size = fs::metadata(file)?.len();
    context.report.timed("Root", format_args!("{filesystem} of {}", bytes(size)), started);
    Ok(hashed)
}

fn root_options<'a>(plan: &'a Plan, lock: &Lock, tools: &'a crate::sandbox::Sandbox) -> root::Options<'a> {
    root::Options {
        root: &plan.disk.root,
        sector_size: plan.disk.sector_size,
        epoch: lock.epoch,
        slots: plan.updates.is_some(),
        tools,
    }
}

/// The key of the packages' tree.
fn packages_key(plan: &Plan, system_key: &str) -> String {
    let mut key = Key::new("packages");
    key.add(system_key);
    remove::add_to(&mut key, &plan.contents.removed);
    key.finish()
}

/// The empty file systems of the data partitions.
fn write_data(plan: &Plan, lock: &Lock, tools: &crate::sandbox::Sandbox, staging: &Utf8Path) -> Result<()> {
    let sector_size = plan.disk.sector_size;
    plan.disk.data.iter().zip(&plan.artifacts.data).try_for_each(|(partition, name)| {
        data::write(partition, sector_size, lock.epoch, tools, &staging.join(name))
    })
}
