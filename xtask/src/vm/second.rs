//! A second disk in the machine: a stick that was left in, a card beside the built-in memory.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bedplate_formats::sparse;

use super::{Vm, WORK};

/// How a second disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// To a SCSI controller.
    Scsi,
    /// To a USB port.
    Usb,
    /// As the machine's own disk is: to a bus of virtual machines.
    Virtio,
}

/// A second disk.
#[derive(Debug, Clone)]
pub(super) struct Second {
    image: PathBuf,
    bus: Bus,
    booted: bool,
}

impl Vm {
    /// Adds a second disk, a copy of the raw image `disk`, which keeps what is written to it as long as the machine.
    ///
    /// The machine starts from its own disk, unless [`Vm::start_from_second`] says otherwise.
    #[must_use]
    pub fn second(mut self, disk: &Path, bus: Bus) -> Self {
        self.second = Some(Second { image: disk.to_owned(), bus, booted: false });
        self
    }

    /// Starts from the second disk, or from the machine's own again.
    #[must_use]
    pub fn start_from_second(mut self, second: bool) -> Self {
        if let Some(disk) = &mut self.second {
            disk.booted = second;
        }
        self
    }

    /// Takes the second disk out. What was written to it is gone.
    ///
    /// # Errors
    ///
    /// When its file cannot be removed.
    pub fn without_second(mut self) -> Result<Self> {
        let path = self.second_disk()?;
        self.second = None;
        fs_err::remove_file(path)?;
        Ok(self)
    }

    /// The raw file of the second disk of a machine that was started and is off now.
    ///
    /// # Errors
    ///
    /// When the machine was not started yet.
    pub fn second_disk(&self) -> Result<PathBuf> {
        Ok(self.work()?.join("second.raw"))
    }

    /// Makes the file of the second disk, unless an earlier start has.
    pub(super) fn prepare_second(&self) -> Result<()> {
        let Some(second) = &self.second else { return Ok(()) };
        let path = self.second_disk()?;
        if path.exists() {
            return Ok(());
        }
        let image = fs_err::File::open(&second.image)?.into_parts().0;
        let length = image.metadata()?.len();
        let disk = fs_err::File::create(path)?.into_parts().0;
        disk.set_len(length)?;
        sparse::copy(&image, 0..length, &disk, 0).context("cannot copy the second disk")
    }

    /// QEMU's options for it, and the place of the machine's own disk in the firmware's order.
    pub(super) fn second_options(&self) -> (Vec<[String; 2]>, u32) {
        let Some(second) = &self.second else { return (Vec::new(), 1) };
        let index = if second.booted { 1 } else { 2 };
        let sectors = super::disk::sectors(&second.image);
        let drive =
            format!("if=none,id=second,format=raw,cache=writeback,discard=unmap,file={WORK}/second.raw");
        let mut options = vec![["-drive".to_owned(), drive]];
        let mut device = |value: String| options.push(["-device".to_owned(), value]);
        match second.bus {
            Bus::Scsi => {
                device("virtio-scsi-pci,id=scsi".to_owned());
                device(format!("scsi-hd,bus=scsi.0,scsi-id=1,drive=second,bootindex={index}{sectors}"));
            }
            Bus::Usb => {
                device("qemu-xhci,id=usb".to_owned());
                device(format!("usb-storage,bus=usb.0,drive=second,removable=on,bootindex={index}{sectors}"));
            }
            Bus::Virtio => device(format!("virtio-blk-pci,drive=second,bootindex={index}{sectors}")),
        }
        (options, 3 - index)
    }
}
