//! Sizes, always with their unit.

use std::fmt;

use serde::Serialize;

const MIB: u64 = 1024 * 1024;

/// A size in mebibytes (1 048 576 bytes): `MiB(512)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MiB(
    /// How many.
    pub u64,
);

/// A size in gibibytes (1024 MiB): `GiB(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GiB(
    /// How many.
    pub u64,
);

/// A size in bytes, a multiple of one mebibyte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Size(u64);

impl Size {
    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    pub(crate) const fn mib(count: u64) -> Size {
        Size(count.saturating_mul(MIB))
    }
}

impl From<MiB> for Size {
    fn from(MiB(count): MiB) -> Size {
        Size::mib(count)
    }
}

impl From<GiB> for Size {
    fn from(GiB(count): GiB) -> Size {
        Size::mib(count.saturating_mul(1024))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.0 / MIB;
        if mib >= 1024 && mib.is_multiple_of(1024) {
            write!(out, "{} GiB", mib / 1024)
        } else {
            write!(out, "{mib} MiB")
        }
    }
}
