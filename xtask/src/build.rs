//! The recipe: from a plan and a lock to a directory of artifacts. Read it
//! from the top; every step is a file in `step/`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use bedplate_core::{Lock, PartitionContent, Plan};
use bedplate_formats::tree::{Content, Tree};
use fs_err as fs;

use crate::artifacts::{self, Output};
use crate::key::Key;
use crate::report::{Report, bytes};
use crate::step::{boot, data, disk, initrd, manifest, overlay, root, scrub, system, units, users};
use crate::store::Store;
use crate::{tools, verify};

/// What a build needs beside its plan.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Where it tells what it does.
    pub report: &'a Report,
    /// What was fetched, and the layers made of it.
    pub store: &'a Store,
    /// The directory that paths in the description start from.
    pub project: &'a Path,
    /// Where the artifacts go.
    pub out: &'a Path,
}

/// Builds the image. `fetch` is called once it is certain that something has
/// to be built, and brings every package of the lock into the store.
///
/// # Errors
/// The step that failed, and why; the last good artifacts are then untouched.
pub fn image(
    context: Context<'_>,
    plan: &Plan,
    lock: &Lock,
    fetch: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let report = context.report;
    let output = Output::open(context.out, report)?;
    let key = key(context, plan, lock)?;
    let disk = context.out.join(&plan.artifacts.disk);
    if output.is_current(&key) {
        report.did("Fresh", disk.display());
        return Ok(());
    }
    fetch()?;
    let staging = output.staging()?;
    let built = assemble(context, plan, lock, &staging).and_then(|()| output.publish(&staging, &key));
    if let Err(error) = built {
        // The next build removes it, should this fail too.
        let _ = fs::remove_dir_all(&staging);
        return Err(error);
    }
    report.did("Finished", format_args!("{}  {}", disk.display(), report.elapsed()));
    Ok(())
}

/// Everything an image is made of, in one digest.
fn key(context: Context<'_>, plan: &Plan, lock: &Lock) -> Result<String> {
    let mut key = Key::new("image");
    key.add(plan.fingerprint());
    key.add(lock.render());
    overlay::fingerprint(plan, context.project, &mut key)?;
    Ok(key.finish())
}

fn assemble(context: Context<'_>, plan: &Plan, lock: &Lock, staging: &Path) -> Result<()> {
    let Context { report, store, project, .. } = context;
    let names = &plan.artifacts;
    let at = |name: &str| staging.join(name);

    let tools = tools::sandbox(&tools::tree(store, &lock.tools)?);

    let started = Instant::now();
    let system = system::layer(store, plan, lock)?;
    let installed = Tree::scan(&system.directory).context("reading the system tree")?;
    report.timed("System", format_args!("{} packages", lock.packages.len()), started);

    // The initrd and the root are both cut from the installed system, and need
    // nothing of each other.
    let (initrd, tree) = std::thread::scope(|scope| {
        let initrd = scope.spawn(|| initrd(context, plan, lock, &system.key, &installed));
        let tree = customize(plan, lock, project, installed.clone())
            .and_then(|tree| root_file_system(context, plan, lock, &tools, &tree, staging).map(|()| tree));
        (initrd.join(), tree)
    });
    let initrd = initrd.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let tree = tree?;
    fs::hard_link(&initrd, at(&names.initrd)).or_else(|_| fs::copy(&initrd, at(&names.initrd)).map(drop))?;

    let started = Instant::now();
    let root_hash = disk::verity(plan, staging)?;
    let kernel = boot::Kernel::find(&installed)?;
    fs::write(at(&names.kernel), kernel.image.read()?)?;
    boot::uki(plan, root_hash.as_ref(), &kernel, &tree, &tools, staging)?;
    boot::esp(plan, lock, &kernel, &tools, staging)?;
    report.timed("Boot", format_args!("Linux {}, {}", kernel.version, bytes(fs::metadata(at(&names.uki))?.len())), started);

    let started = Instant::now();
    data::write(plan, lock, &tools, staging)?;
    disk::write(plan, root_hash.as_ref(), staging)?;
    report.timed("Disk", format_args!("{} partitions, {}", plan.disk.partitions.len(), bytes(plan.disk.size)), started);

    let started = Instant::now();
    manifest::write(plan, &tree, &at(&names.manifest))?;
    artifacts::link(plan, staging)?;
    artifacts::checksums(plan, staging)?;
    verify::disk(plan, staging)?;
    report.timed("Verified", "the disk against its plan", started);
    Ok(())
}
