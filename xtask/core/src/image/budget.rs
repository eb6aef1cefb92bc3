//! How large parts of an image may become.

use std::fmt;

use serde::Serialize;

use crate::given::SizeWithUnit;
use crate::location::SourceLocation;
use crate::value::Size;

/// The size that a part of an image may have: a build that makes it larger fails at this line, and names the packages
/// that grew. The root's is [`Root::budget`](super::root::Root::budget).
///
/// ```
/// # use bedplate_core::*;
/// # let device = bedplate_core::rule::device();
/// let image = device.budget(Budget::kernel_image(MiB(48))).budget(Budget::disk(GiB(4)));
/// # image.plan().unwrap();
/// ```
#[must_use = "a budget does nothing until it is given to an image"]
#[derive(Debug, Clone)]
#[doc(alias("SizeMaxBytes"))]
pub struct Budget {
    pub(crate) what: Part,
    pub(crate) most: Size,
    pub(crate) at: SourceLocation,
}

/// A part of an image that can have a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// What is in the root partition: of ext4 the blocks in use, of the others the whole file system.
    Root,
    /// The unified kernel image, signatures and initrd included.
    KernelImage,
    /// The initrd in it, compressed.
    Initrd,
    /// The disk as it is written.
    Disk,
}

impl fmt::Display for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Part::Root => "root",
            Part::KernelImage => "kernel image",
            Part::Initrd => "initrd",
            Part::Disk => "disk",
        })
    }
}

impl Budget {
    #[track_caller]
    pub(crate) fn new(what: Part, most: impl SizeWithUnit) -> Self {
        Budget { what, most: most.size(), at: SourceLocation::caller() }
    }

    /// A budget for the unified kernel image, which firmware reads at every start, and an update copies.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let budget = Budget::kernel_image(MiB(48));
    /// ```
    #[track_caller]
    #[doc(alias("UKI", "UnifiedKernelImages"))]
    pub fn kernel_image(most: impl SizeWithUnit) -> Self {
        Budget::new(Part::KernelImage, most)
    }

    /// A budget for the initrd in the kernel image, compressed.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let budget = Budget::initrd(MiB(16));
    /// ```
    #[track_caller]
    #[doc(alias("initramfs"))]
    pub fn initrd(most: impl SizeWithUnit) -> Self {
        Budget::new(Part::Initrd, most)
    }

    /// A budget for the disk as it is written. The plan knows its size: one that is over is no plan.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let budget = Budget::disk(GiB(4));
    /// ```
    #[track_caller]
    pub fn disk(most: impl SizeWithUnit) -> Self {
        Budget::new(Part::Disk, most)
    }
}
