//! Opens the finished disk and holds it against the plan: what was decided,
//! what was written and what is there are the same.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use bedplate_core::plan::Plan;
use bedplate_formats::{gpt, sparse, verity};
use fs_err as fs;

use crate::disk::Disk;
use crate::key::digest as hex_digest;
use crate::step;

/// Checks the artifacts in a directory.
///
/// # Errors
/// The first thing that is not as the plan says.
pub fn disk(plan: &Plan, directory: &Path) -> Result<()> {
    let names = &plan.artifacts;
    let mut image = File::open(directory.join(&names.disk)).context("opening the disk")?;
    let root_hash = root_hash(plan, directory)?;
    let found = gpt::read(&mut image).context("reading the disk's partition table")?;
    let planned = step::disk::table(plan, root_hash.as_ref());
    ensure!(found == planned, "the disk's partition table is\n{found:#?}\nwhere the plan has\n{planned:#?}");

    for (partition, name) in step::disk::artifacts(plan) {
        let artifact = File::open(directory.join(name))?;
        let length = artifact.metadata()?.len();
        ensure!(
            sparse::same(&artifact, 0..length, &image, partition.offset)?,
            "partition {} does not hold `{name}`",
            partition.number
        );
    }

    let root = &plan.disk.root;
    if let (Some(root_hash), Some(verity)) = (&root_hash, &root.verity) {
        let data = root.partition.offset..root.partition.offset + root.partition.size;
        verity::verify(&image, data, &image, verity.partition.offset, root_hash)
            .context("the root does not fit the root hash in the UKI")?;
    }
    esp(plan, directory)
}

/// The root hash that the UKI's command line says.
fn root_hash(plan: &Plan, directory: &Path) -> Result<Option<[u8; 32]>> {
    let uki = Disk::open(directory.join(&plan.artifacts.uki))?.uki()?;
    let (command_line, hash) = (uki.command_line()?, uki.root_hash());
    let hash = hash.as_deref().map(hex_digest).transpose();
    let hash = hash.context("reading the root hash of the UKI's command line")?;
    let expected = step::boot::command_line(&plan.command_line, hash.as_ref());
    ensure!(command_line == expected, "the UKI's command line is `{command_line}`, the plan's `{expected}`");
    ensure!(
        hash.is_some() == plan.artifacts.verity.is_some(),
        "the UKI and the plan differ about a root hash"
    );
    Ok(hash)
}

/// The ESP holds the UKI and a loader at the place firmware looks for it.
fn esp(plan: &Plan, directory: &Path) -> Result<()> {
    let esp = Disk::open(directory.join(&plan.artifacts.esp))?.esp()?;
    let loader = format!("EFI/BOOT/BOOT{}.EFI", plan.architecture.efi().to_uppercase());
    ensure!(esp.exists(&loader)?, "the ESP has no `{loader}`");
    let uki = fs::read(directory.join(&plan.artifacts.uki))?;
    let mut held = false;
    for name in esp.read_dir("EFI/Linux")? {
        held |= esp.file(&format!("EFI/Linux/{name}"))? == uki;
    }
    ensure!(held, "the ESP does not hold `{}` below EFI/Linux", plan.artifacts.uki);
    Ok(())
}
