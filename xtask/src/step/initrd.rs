//! The initrd: cut out of the system's tree, never installed on its own.
//!
//! It holds systemd as PID 1, udev, the generators that read `roothash=`,
//! `root=` and `systemd.volatile=`, the kernel modules that reach a root file
//! system, and what those need: ELF files by `DT_NEEDED` and `.note.dlopen`,
//! modules by `modules.dep`. What it holds and why stands in the tables below
//! (`drivers`, `programs`, `units`, `files`).
//!
//! Invariant: the same system gives the same bytes, whatever the host.
//! Deliberately absent: firmware of modules that nobody asked for, shells and logins (a device that cannot find
//! its root says so on its consoles and starts again), fsck of a root that is
//! read-only from its first day, machine identity.

mod cut;
mod drivers;
mod files;
mod firmware;
pub(super) mod kernel;
mod programs;
pub mod settings;
mod units;

use std::path::Path;

use anyhow::Context as _;
use bedplate_core::SourceLocation;
use bedplate_core::plan::{FilePlan, InitrdFeatures};
use bedplate_formats::cpio;
use bedplate_formats::digest::Sha256;
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};
use fs_err as fs;
use rayon::prelude::*;

use super::homes::Homes;
use super::owners::Owners;
use crate::artifacts;
use crate::error::LocatedError;
use crate::key::Key;
use crate::store::Store;
use cut::Cut;
pub use kernel::{Kernel, executable};
use settings::Setting;

/// What may differ between two initrds of one system.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Kernel modules beside the usual ones, by name. Each must exist.
    pub modules: Vec<String>,
    /// What it has to do beyond what each does.
    pub features: InitrdFeatures,
    /// The plan's own files.
    pub files: Vec<FilePlan>,
    /// The description's settings of modules and devices.
    pub settings: Vec<Setting>,
}

/// The kind of the store's entries with packed initrds, and the file in each.
const PACKED: &str = "packed-initrd";

/// How hard zstd tries. Measured on two cores with 39 MB of tree: 9 takes 0.7 s
/// for 11.9 MB, 12 takes 2.3 s for 11.7 MB, 19 takes 39 s for 10.4 MB.
const LEVEL: i32 = 9;

/// A back reference reaches this far, as a power of two, in bytes. The kernel
/// gives up above 27.
const WINDOW_LOG: u32 = 27;

/// Cuts the initrd out of a system's tree.
///
/// # Errors
/// No kernel or more than one, a program, unit or library that is missing (with
/// the package that has it), a kernel module that does not exist, and files
/// that cannot be read.
pub fn cut(system: &Tree, options: &Options) -> anyhow::Result<Tree> {
    let kernel = Kernel::of(system)?;
    let mut cut = Cut::of(system, options);
    programs::take(&mut cut).context("cannot take programs into the initrd")?;
    units::take(&mut cut).context("cannot take units into the initrd")?;
    files::take(&mut cut).context("cannot take configuration into the initrd")?;
    drivers::take(&mut cut, &kernel, &options.modules)?;
    let mut initrd = cut.finish();
    super::overlay::files(&options.files, &Homes::default(), &mut initrd, &mut Owners::default())?;
    Ok(initrd)
}

/// Checks the modules that the description asks for, each with its line, and
/// returns what is to be told of their firmware.
///
/// # Errors
/// A module that does not exist, at its line; modules that cannot be read.
pub fn asked(
    system: &Tree,
    asked: &[(String, Option<SourceLocation>)],
    ubuntu: bool,
) -> anyhow::Result<Vec<(Option<SourceLocation>, String)>> {
    let mut told = Vec::new();
    if asked.is_empty() {
        return Ok(told);
    }
    let kernel = Kernel::of(system)?;
    let modules = drivers::read(system, &kernel)?;
    for (name, at) in asked {
        if let Err(error) = modules.closure([name.as_str()]) {
            let help = format!(
                "`{}` has the modules of the kernel: name one of them, without `.ko`",
                kernel.modules
            );
            let word = Some(name.clone());
            return Err(LocatedError { message: error.to_string(), at: at.clone(), word, help }.into());
        }
        for firmware in firmware::of(system, &kernel, &modules, [name.as_str()])? {
            if firmware.found.is_empty() {
                told.push((at.clone(), missing(&firmware, ubuntu)));
            }
        }
    }
    Ok(told)
}

/// What is said of a module none of whose firmware is in the image.
fn missing(firmware: &firmware::Firmware, ubuntu: bool) -> String {
    let shown: Vec<String> = firmware.asked.iter().take(3).map(|file| format!("`{file}`")).collect();
    let more = if firmware.asked.len() > 3 { ", …" } else { "" };
    let package = firmware.asked.iter().find_map(|file| firmware::package(file, ubuntu));
    let help = match package {
        Some(package) if ubuntu => format!("; add `.package(\"{package}\")`"),
        Some(package) => format!("; add `.component(\"non-free-firmware\").package(\"{package}\")`"),
        None => String::new(),
    };
    let (module, files) = (&firmware.module, shown.join(", "));
    format!(
        "the kernel module `{module}` asks for firmware, and the image has none of it: {files}{more}{help}"
    )
}

/// Packs a tree as a zstd-compressed `newc` archive, every file with the time
/// `mtime` in seconds since 1970.
///
/// # Errors
/// Names and lengths that `newc` cannot hold, and files that cannot be read.
pub fn pack(initrd: &Tree, mtime: u32) -> anyhow::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
    // One worker or ten give the same bytes, none gives others.
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    encoder.multithread(u32::try_from(workers).unwrap_or(1))?;
    encoder.long_distance_matching(true)?;
    encoder.window_log(WINDOW_LOG)?;
    encoder.include_checksum(true)?;
    let encoder = cpio::write(initrd, mtime, encoder).context("cannot pack the initrd")?;
    encoder.finish().context("cannot compress the initrd")
}

/// Cuts the initrd and packs it into a file, or copies what was packed of the same tree: most packages have nothing in
/// it, and compressing takes longer than all the rest.
///
/// # Errors
/// Fails as [`cut`] and [`pack`] do.
pub fn build(store: &Store, system: &Tree, options: &Options, mtime: u32, file: &Path) -> anyhow::Result<()> {
    let initrd = cut(system, options)?;
    let mut key = Key::new(PACKED);
    let plain = cpio::write(&initrd, mtime, Sha256::default()).context("cannot pack the initrd")?;
    key.add(plain.finish());
    let packed = store.alone().layer_or_make(PACKED, &key.finish(), |directory| {
        Ok(fs::write(directory.join(PACKED), pack(&initrd, mtime)?)?)
    })?;
    artifacts::copy(packed.join(PACKED), file)
}

/// Whether an entry of a table must be in the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Without it there is no initrd; the package that has it is named.
    Always(&'static str),
    /// The same where the root is verified; elsewhere it stays out.
    Verity(&'static str),
    /// The same where the root is written to; elsewhere it stays out.
    Writable(&'static str),
    /// The same where the data partition is mounted; elsewhere it stays out.
    Persistent(&'static str),
    /// The same where a data partition may be formatted; elsewhere it stays out.
    Makefs(&'static str),
    /// The same where the data partition is encrypted; elsewhere it stays out.
    Encrypted(&'static str),
    /// The same where it has a recovery key; elsewhere it stays out.
    Recovery(&'static str),
    /// The same where it is sealed to another key; elsewhere it stays out.
    Reseals(&'static str),
    /// The same where there are two slots; elsewhere it stays out.
    Slots(&'static str),
    /// Some releases, kernels or package lists do without.
    WhenThere,
}

/// Unpacks compressed modules, side by side: the archive's own compression
/// then sees what they have in common, and the initrd needs no liblzma.
fn decompress(tree: &mut Tree, modules: &[(TreePath, TreePath, Node)]) -> anyhow::Result<()> {
    let unpacked: Vec<_> = modules
        .par_iter()
        .map(|(from, to, node)| {
            let Kind::File(content) = &node.kind else { anyhow::bail!("`{from}` is no file") };
            let bytes = content.read().with_context(|| format!("cannot read `{from}`"))?;
            let bytes = kernel::plain_module(from, bytes)?;
            Ok((to.clone(), Node { kind: Kind::File(bytes.into()), ..node.clone() }))
        })
        .collect::<anyhow::Result<_>>()?;
    for (path, node) in unpacked {
        tree.insert(path, node);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
