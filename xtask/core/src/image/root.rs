//! The root partition: the slot an operating system is written into.

use std::marker::PhantomData;

use super::budget::{Budget, Part};
use super::compression::Compression;
use super::filesystem::{Ext4, Filesystem, ReadOnly, RootFilesystem};
use crate::given::SizeWithUnit;
use crate::location::SourceLocation;
use crate::value::Size;

/// The partition the operating system is in.
///
/// It is a slot of fixed size, so that every later version of the image fits
/// the same disk; the content is smaller, and grows with the packages. There is
/// no `Minimize=`, as systemd-repart has it: an update would not fit.
///
/// ```
/// # use bedplate_core::*;
/// let verified = Root::new(Erofs).verity().size(GiB(3));
/// ```
///
/// Ext4 has no verity:
///
/// ```compile_fail,E0277
/// # use bedplate_core::*;
/// let root = Root::new(Ext4).verity();
/// ```
#[must_use = "a partition does nothing until it is given to an image"]
#[derive(Debug, Clone)]
pub struct Root<F> {
    pub(crate) slot: RootSlot,
    filesystem: PhantomData<F>,
}

/// A root partition with its file system as a value: what [`Root`] becomes in
/// an image.
#[derive(Debug, Clone)]
pub struct RootSlot {
    pub(crate) filesystem: Filesystem,
    pub(crate) compression: Compression,
    pub(crate) verity: bool,
    pub(crate) size: Size,
    pub(crate) budget: Option<Budget>,
    pub(crate) at: SourceLocation,
}

impl<F: RootFilesystem> Root<F> {
    /// A root with this file system, in a slot of 2 GiB.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let root = Root::new(Erofs);
    /// ```
    #[track_caller]
    pub fn new(filesystem: F) -> Self {
        let _ = filesystem;
        let slot = RootSlot {
            filesystem: F::FILESYSTEM,
            compression: F::COMPRESSION,
            verity: false,
            size: Size::mib(2048),
            budget: None,
            at: SourceLocation::caller(),
        };
        Root { slot, filesystem: PhantomData }
    }

    /// Gives the slot this size, the verity tree not included.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let root = Root::new(Erofs).size(GiB(3));
    /// ```
    #[track_caller]
    #[doc(alias("SizeMinBytes", "SizeMaxBytes", "Minimize"))]
    pub fn size(mut self, size: impl SizeWithUnit) -> Self {
        self.slot.size = size.size();
        self.slot.at = SourceLocation::caller();
        self
    }

    /// Says how large the content may become, the slot being larger: a build that makes it larger fails.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let root = Root::new(Erofs).budget(MiB(420));
    /// ```
    #[track_caller]
    #[doc(alias("SizeMaxBytes"))]
    pub fn budget(mut self, most: impl SizeWithUnit) -> Self {
        self.slot.budget = Some(Budget::new(Part::Root, most));
        self
    }
}

impl<F: ReadOnly> Root<F> {
    /// Compresses the root so.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let root = Root::new(Squashfs).compression(Compression::Lz4hc);
    /// ```
    pub fn compression(mut self, compression: Compression) -> Self {
        self.slot.compression = compression;
        self
    }

    /// Verifies every block of the root when it is read: dm-verity, with the root hash on
    /// the kernel's command line.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let root = Root::new(Erofs).verity();
    /// ```
    #[doc(alias("Verity", "roothash", "dm-verity"))]
    pub fn verity(mut self) -> Self {
        self.slot.verity = true;
        self
    }
}

/// What a root that is written to has not. An editor does not offer it, and who writes it reads why.
impl Root<Ext4> {
    #[doc(hidden)]
    pub fn compression(self, _: Compression) -> Self
    where
        for<'never> Ext4: ReadOnly,
    {
        self
    }

    #[doc(hidden)]
    pub fn verity(self) -> Self
    where
        for<'never> Ext4: ReadOnly,
    {
        self
    }
}
