//! The data partition: what a device keeps.

use super::encryption::{Encryption, OpenedBy};
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
    pub(crate) encryption: Option<Box<Encryption>>,
    pub(crate) at: SourceLocation,
    pub(crate) mistakes: Vec<Diagnostic>,
}

impl Data {
    /// A data partition of 256 MiB with this label; a device has as much more as its disk does.
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
            size: Size::mib(256),
            grow: true,
            makefs: None,
            encryption: None,
            at,
            mistakes,
        }
    }

    /// Mounts the partition there, before any service starts.
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

    /// Gives the partition this size in the image.
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

    /// Keeps the partition at its size; otherwise it grows to the end of the disk.
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

    /// Encrypts the partition, with a key that no one but the device has: LUKS, opened by the TPM for kernel images that were signed
    /// with the keys of [Secure Boot](crate::Image::secure_boot).
    ///
    /// The partition is not in the image. A device makes it at its first start once Secure Boot is on, before anything
    /// is written to it, so nothing can be put on it beforehand: what a device is told comes as a credential. A device
    /// without a TPM starts without its data, and says so; it never writes in the clear instead.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # fn of(image: Image) -> Image {
    /// image
    ///     .secure_boot(SecureBoot::keys("keys"))
    ///     .partition(Data::new("persistent", Ext4).mount("/local").encrypted(Tpm))
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias("Encrypt", "LUKS2", "TPM2PCRs", "cryptsetup", "crypttab"))]
    pub fn encrypted(mut self, by: impl Into<OpenedBy>) -> Self {
        self.encryption = Some(Box::new(Encryption::new(by.into(), SourceLocation::caller())));
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
