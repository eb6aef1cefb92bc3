//! What a machine writes: its directory, and the disk in it.
//!
//! QEMU's disk is an overlay over the image until something else than QEMU needs it: then it is flattened, once,
//! into a sparse disk of the machine's own, under a name that no other file has.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bedplate_formats::gpt::LARGE_SECTOR;
use bedplate_formats::sparse;

use super::machine::{FIRMWARE, FIRMWARE_TABLE};
use super::work::Work;
use super::{DISK, Vm, WORK};
use crate::sandbox::Sandbox;

/// QEMU's properties of a device with a disk of large sectors, which is laid out in them.
pub(super) fn sectors(disk: &Path) -> &'static str {
    let mut mark = [0; 8];
    let read = |mark: &mut [u8]| fs_err::File::open(disk)?.into_parts().0.read_exact_at(mark, LARGE_SECTOR);
    match read(&mut mark) {
        Ok(()) if mark == *b"EFI PART" => ",logical_block_size=4096,physical_block_size=4096",
        _ => "",
    }
}

impl Vm {
    /// The directory of all that the machine writes.
    pub(super) fn work(&self) -> Result<&Path> {
        Ok(self.work.as_ref().context("the machine was not prepared")?.path())
    }

    /// Makes that directory, unless an earlier start has.
    pub(super) fn prepare(&mut self) -> Result<()> {
        if self.work.is_none() {
            // Before anything is fetched for it.
            fs_err::metadata(&self.disk).context("could not find the machine's disk")?;
            self.work = Some(Work::new()?);
        }
        Ok(())
    }

    /// Makes what QEMU needs in it: the firmware's variables, and the overlay.
    pub(super) fn prepare_qemu(&mut self) -> Result<()> {
        self.prepare()?;
        let variables = self.work()?.join("variables.fd");
        if !variables.exists() {
            let empty =
                self.tree(&self.platform.packages)?.join(self.platform.variables.trim_start_matches('/'));
            fs_err::create_dir_all(self.work()?.join("tpm"))?;
            fs_err::copy(empty, variables)?;
        }
        if self.metal {
            fs_err::write(self.work()?.join(FIRMWARE), FIRMWARE_TABLE)?;
        }
        self.prepare_second()?;
        if self.logged {
            return self.prepare_log();
        }
        if self.flat || self.overlay()?.exists() {
            return Ok(());
        }
        self.make_overlay(DISK, "overlay.qcow2", self.size)
    }

    /// Makes an overlay of the work directory over a raw disk.
    pub(super) fn make_overlay(&self, disk: &str, name: &str, size: Option<u64>) -> Result<()> {
        let mut command: Vec<String> =
            ["qemu-img", "create", "-q", "-f", "qcow2", "-b", disk, "-F", "raw"].map(str::to_owned).to_vec();
        command.push(format!("{WORK}/{name}"));
        command.extend(size.map(|bytes| bytes.to_string()));
        self.sandbox_base()?.run(command).map(drop).context("could not make an overlay for the disk")
    }

    /// The machine's name, which no other has at the time.
    pub(super) fn name(&self) -> Result<&str> {
        let name = self.work()?.file_name().and_then(|name| name.to_str());
        name.context("the machine's directory has no name")
    }

    /// Where the disk is once it is flat.
    pub(super) fn flat_disk(&self) -> Result<PathBuf> {
        Ok(self.work()?.join(format!("{}.raw", self.name()?)))
    }

    /// Makes the machine's disk a file like any other.
    pub(super) fn flatten(&mut self) -> Result<()> {
        self.prepare()?;
        ensure!(
            !self.log()?.exists(),
            "what was written to the disk is in a log: `.replay()` gives disks made of it"
        );
        if self.flat {
            return Ok(());
        }
        let flat = self.flat_disk()?;
        if self.overlay()?.exists() {
            let (from, to) = (format!("{WORK}/overlay.qcow2"), format!("{WORK}/{}.raw", self.name()?));
            let command = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", &from, &to];
            self.sandbox_base()?.run(command).context("could not flatten the disk")?;
        } else {
            let image = fs_err::File::open(&self.disk)?.into_parts().0;
            let length = image.metadata()?.len();
            let disk = fs_err::File::create(&flat)?.into_parts().0;
            disk.set_len(self.size.unwrap_or(length).max(length))?;
            sparse::copy(&image, 0..length, &disk, 0).context("could not copy the disk")?;
        }
        self.flat = true;
        Ok(())
    }

    /// A sandbox for QEMU that sees the disk and the work directory.
    pub(super) fn sandbox_base(&self) -> Result<Sandbox> {
        // The overlay is thrown away in the end; what a guest has flushed survives QEMU's end without `fsync`.
        Ok(self.bare()?.without_sync().bind_read_only(&self.disk, DISK).bind(self.work()?, WORK))
    }

    /// A sandbox with QEMU and nothing else.
    pub(super) fn bare(&self) -> Result<Sandbox> {
        self.sandbox_of(&self.platform.packages)
    }

    /// A sandbox with these packages.
    pub(super) fn sandbox_of(&self, packages: &[&str]) -> Result<Sandbox> {
        let tree = self.tree(packages)?;
        Ok(Sandbox::new(&tree).read_only().program(&self.bedplate()?))
    }

    fn overlay(&self) -> Result<PathBuf> {
        Ok(self.work()?.join("overlay.qcow2"))
    }
}
