//! How a read-only root is compressed.

use std::fmt;

use serde::Serialize;

/// The compression of a read-only root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[doc(alias("CompressOutput", "CompressLevel"))]
pub enum Compression {
    /// Stored as it is.
    None,
    /// lz4 at its fastest: quick to build, larger.
    Lz4,
    /// lz4 with a thorough search; reads as fast as lz4. Erofs's default.
    Lz4hc,
    /// zstd; smaller, slower to read. Squashfs's default. In an erofs it needs
    /// kernel 6.10.
    Zstd,
}

impl Compression {
    /// The name as erofs-utils and squashfs-tools know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
            Compression::Lz4hc => "lz4hc",
            Compression::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}
