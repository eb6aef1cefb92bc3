//! The data partition: what a device keeps.

use super::filesystem::{DataFilesystem, Filesystem};
use crate::diagnostic::Diagnostic;
use crate::given::{Given, SizeWithUnit, accept};
use crate::location::{At, SourceLocation};
use crate::value::{DevicePath, Label, Size};

/// A partition that is kept across reboots and updates, and emptied by a factory reset.
///
/// It is found by its place on the disk that was booted, so that no other disk
/// with the same image or the same label is mistaken for it. In the image it is empty and small; the
/// first boot grows it to the end of the disk.
///
/// ```
/// # use bedplate_core::*;
/// let data = Data::new("persistent", Ext4).mount("/local");
/// ```
#[must_use = "a partition does nothing until it is given to an image"]
#[derive(Debug, Clone)]
#[doc(alias("FactoryReset", "Format", "repart.d", "/var"))]
pub struct Data {
    pub(crate) label: Option<At<Label>>,
    pub(crate) filesystem: Filesystem,
    pub(crate) mount: Option<At<DevicePath>>,
    pub(crate) size: Size,
    pub(crate) grow: bool,
    pub(crate) makefs: Option<SourceLocation>,
    pub(crate) at: SourceLocation,
    pub(crate) mistakes: Vec<Diagnostic>,
}

impl Data {
    /// A data partition of 1 GiB with this label.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let data = Data::new("persistent", Ext4).mount("/local");
    /// ```
    #[track_caller]
    pub fn new<F: DataFilesystem>(label: impl Given<Label>, filesystem: F) -> Self {
        let _ = filesystem;
        let at = SourceLocation::caller();
        let mut mistakes = Vec::new();
        let label = accept(&mut mistakes, label, &at);
        Data {
            label,
            filesystem: F::FILESYSTEM,
            mount: None,
            size: Size::mib(1024),
            grow: true,
            makefs: None,
            at,
            mistakes,
        }
    }

    /// Mounts it there, before any service starts.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let data = Data::new("persistent", Ext4).mount("/local");
    /// ```
    #[track_caller]
    #[doc(alias("MountPoint", "Where"))]
    pub fn mount(mut self, path: impl Given<DevicePath>) -> Self {
        let at = SourceLocation::caller();
        self.mount = accept(&mut self.mistakes, path, &at).or(self.mount);
        self
    }

    /// Gives it this size in the image.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let data = Data::new("persistent", Ext4).mount("/local").size(GiB(4));
    /// ```
    #[track_caller]
    #[doc(alias("SizeMinBytes"))]
    pub fn size(mut self, size: impl SizeWithUnit) -> Self {
        self.size = size.size();
        self.at = SourceLocation::caller();
        self
    }

    /// Keeps it at its size; otherwise it grows to the end of the disk.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let calibration = Data::new("calibration", Ext4).mount("/calibration").size(MiB(64)).fixed();
    /// ```
    #[doc(alias("GrowFileSystem", "growfs"))]
    pub fn fixed(mut self) -> Self {
        self.grow = false;
        self
    }

    /// Formats the partition when nothing known to systemd is on it: a new
    /// disk, and also one whose first blocks were lost. Without this word a
    /// partition that cannot be mounted is left as it is, and the device
    /// starts without it.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let scratch = Data::new("scratch", Ext4).mount("/scratch").dangerous_makefs();
    /// ```
    #[track_caller]
    #[doc(alias("x-systemd.makefs", "mkfs"))]
    pub fn dangerous_makefs(mut self) -> Self {
        self.makefs = Some(SourceLocation::caller());
        self
    }
}
