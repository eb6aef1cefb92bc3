//! The data partition: an empty file system. What a device keeps is made on
//! the device, so that one put in later is filled just the same.

use anyhow::Result;
use bedplate_core::plan::DataPlan;
use camino::Utf8Path;

use crate::sandbox::Sandbox;

/// Where the tool finds the output's directory.
const WORK: &str = "/run/work";

/// What `mke2fs` gives to 1 GiB: the blocks, a file for so many bytes, the journal in MiB.
const AS_IF_LARGE: [&str; 6] = ["-b", "4096", "-i", "16384", "-J", "size=32"];
/// And room for the descriptors of so many blocks, 1 TiB; beyond, the kernel finds another place for them.
const GROWN: &str = ",resize=268435456";

/// Writes the partition's file system to `file`, sparse.
///
/// # Errors
/// `mke2fs`' own words.
pub fn write(data: &DataPlan, sector_size: u64, epoch: i64, tools: &Sandbox, file: &Utf8Path) -> Result<()> {
    let DataPlan { partition, uuid, hash_seed, .. } = data;
    let (directory, name) =
        (file.parent().unwrap_or(Utf8Path::new(".")), file.file_name().unwrap_or_default());
    // A file system keeps for life what it gets when it is made: one that grows gets it as if it were large.
    let grows = data.grow && (128 << 20..1 << 30).contains(&partition.size);
    let (given, room): (&[&str], _) = match grows {
        true => (&AS_IF_LARGE, GROWN),
        // Small file systems have blocks of 1024 bytes otherwise, and none is smaller than a sector.
        false if sector_size > 512 => (&["-b", "4096"], ""),
        false => (&[], ""),
    };
    let extended = format!("hash_seed={hash_seed},root_owner=0:0,nodiscard{room}");
    let out = format!("{WORK}/{name}");
    let size = format!("{}k", partition.size / 1024);
    let (uuid, tools) = (uuid.to_string(), tools.clone().bind(directory.as_std_path(), WORK));
    let own = ["-m", "1", "-L", &partition.label, "-U", &uuid, "-E", &extended, &out, &size];
    let command = ["mke2fs", "-q", "-t", "ext4"].iter().chain(given).chain(&own);
    tools.env("SOURCE_DATE_EPOCH", &epoch.to_string()).run(command.copied()).map(drop)
}
