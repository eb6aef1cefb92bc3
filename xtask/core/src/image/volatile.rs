//! What becomes of writes to the root.

use serde::Serialize;

/// What becomes of writes to the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[doc(alias("systemd.volatile"))]
pub enum Volatile {
    /// Writes to the root go to memory, and are gone at the next boot.
    Overlay,
    /// Writes to the root go to the data partition, and stay over a new version
    /// of it: what the device changed hides what the new version ships.
    Persistent,
    /// Writes go to the root itself, where its file system can be written at all.
    None,
}
