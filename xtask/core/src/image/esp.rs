//! The EFI system partition.

use crate::given::SizeWithUnit;
use crate::location::SourceLocation;
use crate::value::Size;

/// The EFI system partition: FAT32, with systemd-boot and the kernel images.
///
/// Firmware without UEFI is not supported: mkosi's `BiosBootloader` has no counterpart.
///
/// ```
/// # use bedplate_core::*;
/// let esp = Esp::new(MiB(512));
/// ```
#[must_use = "a partition does nothing until it is given to an image"]
#[derive(Debug, Clone)]
#[doc(alias("EFI", "boot", "XBOOTLDR", "Bootable", "Bootloader", "BiosBootloader", "UnifiedKernelImages"))]
pub struct Esp {
    pub(crate) size: Size,
    pub(crate) at: SourceLocation,
}

impl Esp {
    /// An ESP of this size: at least 128 MiB, so that the next kernel image
    /// fits beside the running one.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let esp = Esp::new(MiB(512));
    /// ```
    #[track_caller]
    pub fn new(size: impl SizeWithUnit) -> Self {
        Esp { size: size.size(), at: SourceLocation::caller() }
    }
}
