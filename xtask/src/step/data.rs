//! The data partition: an empty file system. What a device keeps is made on
//! the device, so that one put in later is filled just the same.

use std::path::Path;

use bedplate_core::{PartitionContent, PartitionPlan};
use uuid::Uuid;

use anyhow::Result;

use crate::sandbox::Sandbox;

/// Writes an ext4 of the partition's size to `file`, sparse.
///
/// # Errors
/// `mke2fs`' own words.
pub fn write(partition: &PartitionPlan, uuid: Uuid, epoch: i64, tools: &Sandbox, file: &Path) -> Result<()> {
    let (directory, name) = (file.parent().unwrap_or(Path::new(".")), file.file_name().unwrap_or_default());
    tools
        .clone()
        .bind(directory, "/mnt")
        .env("SOURCE_DATE_EPOCH", &epoch.to_string())
        .run([
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            // Root's share would be unused space: nothing else lives here.
            "-m",
            "1",
            "-L",
            &partition.label,
            "-U",
            &uuid.to_string(),
            "-E",
            &format!("hash_seed={uuid},root_owner=0:0,nodiscard"),
            &format!("/mnt/{}", name.to_string_lossy()),
            &format!("{}k", partition.size / 1024),
        ])
        .map(drop)
}
