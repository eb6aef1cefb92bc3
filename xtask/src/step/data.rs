//! The data partition: an empty file system. What a device keeps is made on
//! the device, so that one put in later is filled just the same.

use std::path::Path;

use anyhow::Result;
use bedplate_core::plan::DataPlan;

use crate::sandbox::Sandbox;

/// Where the tool finds the output's directory.
const WORK: &str = "/run/work";

/// Writes the partition's file system to `file`, sparse.
///
/// # Errors
/// `mke2fs`' own words.
pub fn write(data: &DataPlan, sector_size: u64, epoch: i64, tools: &Sandbox, file: &Path) -> Result<()> {
    let DataPlan { partition, uuid, hash_seed, .. } = data;
    let (directory, name) = (file.parent().unwrap_or(Path::new(".")), file.file_name().unwrap_or_default());
    let extended = format!("hash_seed={hash_seed},root_owner=0:0,nodiscard");
    // Small file systems have blocks of 1024 bytes otherwise, and none is smaller than a sector.
    let block: &[&str] = if sector_size > 512 { &["-b", "4096"] } else { &[] };
    let out = format!("{WORK}/{}", name.to_string_lossy());
    let size = format!("{}k", partition.size / 1024);
    let (uuid, tools) = (uuid.to_string(), tools.clone().bind(directory, WORK));
    tools
        .env("SOURCE_DATE_EPOCH", &epoch.to_string())
        .run(["mke2fs", "-q", "-t", "ext4"].iter().chain(block).copied().chain([
            "-m",
            "1",
            "-L",
            &partition.label,
            "-U",
            &uuid,
            "-E",
            &extended,
            &out,
            &size,
        ]))
        .map(drop)
}
