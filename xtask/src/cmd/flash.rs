//! `flash`: writes a built image to a disk.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use bedplate_core::page::Page;
use bedplate_core::{Architecture, Plan};
use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::FlashArgs;
use crate::cmd::{self, access};
use crate::error::{Exit, LocatedError, UsageError};
use crate::flash;
use crate::flash::credential::{self, Credential};
use crate::flash::host::{Disk, Host};
use crate::flash::image::Image;
use crate::flash::refusal::{Refusal, Wanted, refusals};
use crate::flash::target::{self, Target};
use crate::project::{self, Project};
use crate::report::{self, Report, bytes, path};
use crate::source::{Source, host_architecture};
use crate::step::compress;
use crate::{tools, vm};

/// Writes the image, reads it back and compares.
///
/// # Errors
/// No image or no disk; a disk that must not be written to, or fails.
pub fn run(project: Project<'_>, args: &FlashArgs, report: &Report) -> Result<ExitCode> {
    report::leave("nothing was written");
    let host = Host::here();
    let named = args.image.as_deref().map(|image| find(&project, image));
    let Some(device) = &args.device else {
        // The list is of use before there is an image, too.
        let image = named.transpose()?.filter(|found| found.file.is_file());
        let wanted =
            image.map(|found| Ok::<_, anyhow::Error>(found.wanted(&Image::open(found.file.as_std_path())?)));
        return list(&host, wanted.transpose()?, args, report);
    };
    let found = named.context("the device comes after the image")??;
    if !found.file.is_file() {
        return Err(found.missing().into());
    }
    let credentials =
        args.credential.iter().map(|pair| Credential::parse(pair)).collect::<Result<Vec<_>>>()?;
    let mut image = Image::open(found.file.as_std_path())?;
    if let Some(blocks) = found.blocks(&image) {
        image.needs(blocks);
    }
    if !credentials.is_empty() {
        credential::partition(&image)?;
    }
    let wanted = found.wanted(&image);
    let disk = target::disk(&host, device.as_std_path(), wanted.sector_size)?;
    let against = refusals(&disk, Some(wanted));
    let (overridden, refused): (Vec<Refusal>, Vec<Refusal>) =
        against.into_iter().partition(|refusal| refusal.can_be_forced && args.force);
    if let Some(refusal) = refused.into_iter().next() {
        return Err(LocatedError::from(refusal).into());
    }
    let name = path(&disk.path).to_string();
    let target = Target::open(&disk)?;
    if target.is(found.file.as_std_path()) {
        return Err(UsageError(format!("`{name}` is the image itself")).into());
    }
    for Refusal { message, .. } in &overridden {
        report.warn(format_args!("{message}: overridden by --force"));
    }
    if !credentials.is_empty() {
        put(&mut image, &credentials, &found, &project, args, report)?;
    }
    report.did("Flashing", format_args!("{} to {}", path(&found.file), described(&disk)));
    flash::write(&image, &target, &name, report)?;
    report.did("Finished", format_args!("{name}  {}", report.elapsed()));
    Ok(ExitCode::SUCCESS)
}

/// Puts credentials onto the data partition of what is written, with the tools of the image's own distribution.
fn put(
    image: &mut Image,
    credentials: &[Credential],
    found: &Found,
    project: &Project<'_>,
    args: &FlashArgs,
    report: &Report,
) -> Result<()> {
    let started = Instant::now();
    // One that was built elsewhere is of some image; any distribution has the tool.
    let of_manifest = vm::image_of(uncompressed(&found.file).as_std_path())
        .filter(|name| project.entry(Some(name)).is_ok());
    let entry =
        project.entry(found.plan.as_ref().map(|plan| plan.name.as_str()).or(of_manifest.as_deref()))?;
    let plan = project::plan(entry, host_architecture()?)?;
    let source = Source::open(&plan, project.root, access(&args.source, report))?;
    let tree = cmd::tools::tree(&source, &plan, &["e2fsprogs".to_owned()], report)?;
    credential::put(image, credentials, &tools::sandbox(&tree), &source.store.temporary()?)?;
    let names = credentials.iter().map(|credential| format!("`{}`", credential.name())).collect::<Vec<_>>();
    report.timed("Credentials", names.join(", "), started);
    Ok(())
}

/// `image.raw` for `image.raw.zst`.
fn uncompressed(file: &Utf8Path) -> Utf8PathBuf {
    if file.extension() == Some("zst") { file.with_extension("") } else { file.into() }
}

/// What the first argument names.
struct Found {
    file: Utf8PathBuf,
    /// The image of the project.
    plan: Option<Plan>,
}

impl Found {
    fn wanted(&self, image: &Image) -> Wanted {
        let needs = self.plan.as_ref().map_or(0, |plan| plan.disk.needs());
        Wanted { size: image.size, needs, sector_size: image.table.sector_size }
    }

    /// The blocks that a device has to have, if the plan is still that of what was built.
    fn blocks(&self, image: &Image) -> Option<Vec<(u64, u64)>> {
        let plan = self.plan.as_ref()?;
        let planned: Vec<(u64, u64)> =
            plan.disk.partitions().map(|partition| (partition.offset, partition.size)).collect();
        let built: Vec<(u64, u64)> =
            image.table.partitions.iter().map(|partition| (partition.offset(), partition.size())).collect();
        (planned == built).then(|| compress::needed(&plan.disk, &plan.artifacts, self.file.parent()?).ok())?
    }

    fn missing(&self) -> UsageError {
        let file = path(&self.file);
        UsageError(match &self.plan {
            Some(plan) => format!("there is no `{file}`; build it with `cargo xtask image {}`", plan.name),
            None => format!("there is no file `{file}`"),
        })
    }
}

/// The built image of a name, or a file.
fn find(project: &Project<'_>, image: &str) -> Result<Found> {
    let file = Utf8Path::new(image);
    let is_name = !file.is_file() && !image.contains(['/', '.']);
    let is_known = project.images.iter().any(|entry| entry.name == image.replace('_', "-"));
    if !is_known && !is_name {
        return Ok(Found { file: file.to_owned(), plan: None });
    }
    let (entry, plan) = project.planned(Some(image), Architecture::X86_64)?;
    let out = project.out(entry, None);
    let raw = out.join(&plan.artifacts.disk);
    Ok(Found { file: raw, plan: Some(plan) })
}

/// A disk in a line: `/dev/sdb, 31.9 GB, SanDisk Ultra, usb`.
fn described(disk: &Disk) -> String {
    let size = bytes(disk.size);
    let more = [Some(size.as_str()), disk.model.as_deref(), disk.transport];
    let more: Vec<&str> = more.into_iter().flatten().collect();
    format!("{}, {}", path(&disk.path), more.join(", "))
}

/// Prints the disks of this machine, and what speaks against each.
fn list(host: &Host, wanted: Option<Wanted>, args: &FlashArgs, report: &Report) -> Result<ExitCode> {
    let row = |disk: &Disk| {
        let against = refusals(disk, wanted).into_iter().map(|refusal| refusal.short).collect::<Vec<_>>();
        let model = disk.model.as_deref().unwrap_or("-");
        let (removable, transport) =
            (if disk.removable { "yes" } else { "no" }, disk.transport.unwrap_or("-"));
        let size = bytes(disk.size);
        [&path(&disk.path).to_string(), &size, transport, removable, model, &against.join(", ")]
            .map(str::to_owned)
            .to_vec()
    };
    let disks = host.disks()?;
    let mut page = Page::new(report.width());
    page.table(&["disk", "size", "by", "removable", "model", "against it"], disks.iter().map(row));
    report.data(page.finish());
    let good = disks.iter().find(|disk| refusals(disk, wanted).is_empty());
    let message = match good {
        Some(_) => "no disk is given to write to",
        None => "no disk is given to write to, and something speaks against each of these",
    };
    let image = args.image.as_deref().unwrap_or("NAME");
    let device = good.map_or("DEVICE".to_owned(), |disk| path(&disk.path).to_string());
    let help = format!("choose one: `cargo xtask flash {image} {device}`");
    report.failure(&LocatedError::without_line(message, help).into(), &|_| None);
    Ok(Exit::Wrong.into())
}
