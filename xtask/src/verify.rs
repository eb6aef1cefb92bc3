//! Opens the finished disk and holds it against the plan: what was decided,
//! what was written and what is there are the same.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use bedplate_core::plan::{PartitionContent, Plan};
use bedplate_formats::{gpt, pe, sparse, verity, vfat};
use fs_err as fs;

use crate::key::digest as hex_digest;
use crate::step::{boot, disk};

/// Checks the artifacts in a directory.
///
/// # Errors
/// The first thing that is not as the plan says.
pub fn disk(plan: &Plan, directory: &Path) -> Result<()> {
    let names = &plan.artifacts;
    let mut image = File::open(directory.join(&names.disk)).context("opening the disk")?;
    let root_hash = root_hash(plan, directory)?;
    let found = gpt::read(&mut image).context("reading the disk's partition table")?;
    let planned = disk::table(plan, root_hash.as_ref());
    ensure!(found == planned, "the disk's partition table is\n{found:#?}\nwhere the plan has\n{planned:#?}");

    for (partition, name) in disk::artifacts(plan) {
        let artifact = File::open(directory.join(name))?;
        let length = artifact.metadata()?.len();
        ensure!(
            sparse::same(&artifact, 0..length, &image, partition.offset)?,
            "partition {} does not hold `{name}`",
            partition.number
        );
    }

    let at =
        |planned: fn(&PartitionContent) -> bool| plan.disk.partitions.iter().find(|p| planned(&p.content));
    let root = at(|content| matches!(content, PartitionContent::Root { .. }));
    let hashes = at(|content| matches!(content, PartitionContent::Verity { .. }));
    if let (Some(root_hash), Some(root), Some(hashes)) = (&root_hash, root, hashes) {
        let data = root.offset..root.offset + root.size;
        verity::verify(&image, data, &image, hashes.offset, root_hash)
            .context("the root does not fit the root hash in the UKI")?;
    }
    esp(plan, directory)
}

/// The root hash that the UKI's command line says.
fn root_hash(plan: &Plan, directory: &Path) -> Result<Option<[u8; 32]>> {
    let mut uki = File::open(directory.join(&plan.artifacts.uki))?;
    let image = pe::Image::read(&mut uki).context("reading the unified kernel image")?;
    let section = image.section(".cmdline").context("the unified kernel image has no command line")?;
    let command_line = pe::Image::content(&mut uki, section)?;
    let command_line = String::from_utf8_lossy(&command_line);
    let command_line = command_line.trim_end_matches(['\0', '\n']);
    let hash = command_line.split(' ').find_map(|word| word.strip_prefix("roothash="));
    let hash = hash.map(hex_digest).transpose().context("reading the root hash of the UKI's command line")?;
    let expected = boot::command_line(plan, hash.as_ref());
    ensure!(command_line == expected, "the UKI's command line is `{command_line}`, the plan's `{expected}`");
    ensure!(
        hash.is_some() == plan.artifacts.verity.is_some(),
        "the UKI and the plan differ about a root hash"
    );
    Ok(hash)
}

/// The ESP holds the UKI and a loader at the place firmware looks for it.
fn esp(plan: &Plan, directory: &Path) -> Result<()> {
    let tree =
        vfat::read(&mut File::open(directory.join(&plan.artifacts.esp))?, 0).context("reading the ESP")?;
    let loader = format!("EFI/BOOT/BOOT{}.EFI", plan.architecture.efi().to_uppercase());
    ensure!(tree.content(&loader.as_str().into()).is_some(), "the ESP has no `{loader}`");
    let uki = fs::read(directory.join(&plan.artifacts.uki))?;
    let held = tree.children(&"EFI/Linux".into()).any(|(path, _)| {
        tree.content(path).and_then(|content| content.read().ok()).is_some_and(|bytes| bytes == uki)
    });
    ensure!(held, "the ESP does not hold `{}` below EFI/Linux", plan.artifacts.uki);
    Ok(())
}
