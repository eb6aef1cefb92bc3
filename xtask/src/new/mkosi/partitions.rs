//! The partitions of `mkosi.repart`, as words of a description.

use std::path::Path;

use anyhow::Result;
use bedplate_core::release::Release;
use fs_err as fs;

use super::ini::{self, Section};
use super::trees::Mounts;
use super::{Line, call, left};
use crate::error::UsageError;

const MIB: u64 = 1024 * 1024;

/// What no description says of a partition, since it follows: what is in it, and how its hash tree is found.
const FOLLOWS: [&str; 14] = [
    "Type",
    "Format",
    "Label",
    "SizeMinBytes",
    "SizeMaxBytes",
    "Minimize",
    "MountPoint",
    "CopyFiles",
    "Verity",
    "VerityMatchKey",
    "ReadOnly",
    "GrowFileSystem",
    "MakeDirectories",
    "Compression",
];

/// The lines for the files of these directories, or for the disk that mkosi makes without any.
///
/// # Errors
/// A file that cannot be read, or has a line that means nothing.
pub fn lines(directories: &[&Path], verity: bool, mounts: &Mounts, release: &Release) -> Result<Vec<Line>> {
    let mut files = Vec::new();
    for directory in directories {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "conf") {
                files.push(path);
            }
        }
    }
    files.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    let mut partitions = Vec::new();
    for path in &files {
        let sections = ini::parse(&fs::read_to_string(path)?).map_err(|(line, why)| {
            UsageError(format!("invalid line {line} of `{}`: {why}", path.display()))
        })?;
        partitions.extend(sections.into_iter().filter(|section| section.name == "Partition"));
    }
    Ok(disk(&partitions, verity, mounts, release))
}

fn disk(partitions: &[Section], verity: bool, mounts: &Mounts, release: &Release) -> Vec<Line> {
    let kind = |section: &Section| section.last("Type").unwrap_or_default().to_owned();
    let verity = verity || partitions.iter().any(|section| kind(section).ends_with("-verity"));
    let mut lines = Vec::new();
    let mut has = (false, false);
    let data = |section: &&Section| {
        !["esp", "xbootldr", "swap"].contains(&kind(section).as_str()) && !is_root(section)
    };
    let last_data = partitions.iter().rposition(|section| data(&section));
    for (index, section) in partitions.iter().enumerate() {
        match kind(section).as_str() {
            "esp" => {
                has.0 = true;
                lines.push(call(format!(
                    "partition(Esp::new({}))",
                    size(section).unwrap_or("MiB(512)".to_owned())
                )));
            }
            kind @ ("xbootldr" | "swap") => {
                let why = match kind {
                    "swap" => {
                        "an image has no partition to swap to; `zram-tools` or a file on a data partition can"
                    }
                    _ => "kernel images lie on the ESP",
                };
                lines.push(Line::Left(left(format!("Type={kind}"), why)));
            }
            _ if is_root(section) => {
                if !kind(section).contains("-verity") {
                    has.1 = true;
                    lines.extend(root(section, verity, release));
                } else if kind(section).ends_with("-sig") {
                    let why = "the root's hash is in the kernel image, which Secure Boot signs";
                    lines.push(Line::Left(left(format!("Type={}", kind(section)), why)));
                    continue;
                }
            }
            _ => lines.extend(data_partition(section, mounts, Some(index) == last_data)),
        }
        lines.extend(further(section));
    }
    let mut defaults = Vec::new();
    if !has.0 {
        defaults.push(call("partition(Esp::new(MiB(512)))"));
    }
    if !has.1 {
        let root = match verity {
            true => "Root::new(Erofs).verity()",
            false if release.ext4_tar() => "Root::new(Ext4)",
            false => "Root::new(Erofs)",
        };
        defaults.push(call(format!("partition({root})")));
    }
    defaults.append(&mut lines);
    defaults
}

/// A root, or a `/usr` that stands for one, and what verifies it.
fn is_root(section: &Section) -> bool {
    let kind = section.last("Type").unwrap_or_default();
    kind.starts_with("root") || kind.starts_with("usr")
}

fn root(section: &Section, verity: bool, release: &Release) -> Vec<Line> {
    let mut lines = Vec::new();
    let format = section.last("Format").unwrap_or("ext4");
    if section.last("Type").is_some_and(|kind| kind.starts_with("usr")) {
        lines.push(Line::Left(left(
            "Type=usr",
            "there is no partition for /usr alone: the whole root is in one",
        )));
    }
    let filesystem = match format {
        "erofs" => "Erofs",
        "squashfs" => "Squashfs",
        "ext4" if !verity && release.ext4_tar() => "Ext4",
        _ => {
            let why = match format {
                "ext4" => {
                    "ext4 is written when it is mounted, which a hash tree does not allow; Erofs is not"
                }
                _ => "roots are of Erofs, Squashfs or Ext4",
            };
            lines.push(Line::Left(left(format!("Format={format}"), why)));
            "Erofs"
        }
    };
    let mut root = format!("Root::new({filesystem})");
    // The other algorithms of a file system have no word.
    let compression = section.last("Compression").filter(|_| filesystem != "Ext4");
    match compression {
        Some("zstd") => root.push_str(".compression(Compression::Zstd)"),
        Some("lz4") => root.push_str(".compression(Compression::Lz4)"),
        Some("lz4hc") => root.push_str(".compression(Compression::Lz4hc)"),
        Some(other) => {
            lines.push(Line::Left(left(format!("Compression={other}"), "zstd, lz4 and lz4hc are")))
        }
        None => {}
    }
    if verity {
        root.push_str(".verity()");
    }
    if let Some(size) = size(section) {
        root.push_str(&format!(".size({size})"));
    }
    lines.push(call(format!("partition({root})")));
    lines
}

fn data_partition(section: &Section, mounts: &Mounts, grows: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    let kind = section.last("Type").unwrap_or("linux-generic");
    let label = section.last("Label").unwrap_or(kind);
    if let Some(format) = section.last("Format").filter(|format| *format != "ext4") {
        lines.push(Line::Left(left(format!("Format={format}"), "a data partition is of Ext4")));
    }
    let mut data = format!("Data::new({label:?}, Ext4)");
    let by_kind = match kind {
        "home" => Some("/home"),
        "srv" => Some("/srv"),
        "var" => Some("/var"),
        "tmp" => Some("/var/tmp"),
        _ => None,
    };
    let named = section.last("MountPoint").and_then(|value| value.split(':').next());
    let mount = named.or(by_kind).or(mounts.of_label(label));
    if let Some(mount) = mount {
        data.push_str(&format!(".mount({mount:?})"));
    }
    if let Some(size) = size(section) {
        data.push_str(&format!(".size({size})"));
    }
    let is_fixed = section.last("SizeMinBytes").is_some()
        && section.last("SizeMinBytes") == section.last("SizeMaxBytes");
    if !grows || is_fixed {
        data.push_str(".fixed()");
    }
    lines.push(call(format!("partition({data})")));
    lines
}

/// What has no word of all else that is said of a partition.
fn further(section: &Section) -> Vec<Line> {
    let mut lines = Vec::new();
    for (key, value) in section.settings.iter().filter(|(_, value)| !value.is_empty()) {
        let ours = ["/", "/:/", "/efi:/", "/boot:/", "/efi/:/", "/boot/:/", "/usr/:/"];
        let why = match key.as_str() {
            "CopyFiles" if ours.contains(&value.as_str()) => continue,
            "CopyFiles" => "a data partition is empty in an image; `Bind::seeded` fills a directory once",
            "Encrypt" => "with `.secure_boot(…)`, `Data::encrypted(Tpm)` encrypts on the device",
            "Weight" | "PaddingWeight" | "Priority" => continue,
            "Subvolumes" | "DefaultSubvolume" => "Ext4 has no subvolumes",
            "FactoryReset" => "`systemctl start factory-reset.target` empties data partitions",
            "UUID" => "ids follow from the description, and a device gives its disk ids of its own",
            key if FOLLOWS.contains(&key) => continue,
            _ => "of a partition, it has no word here",
        };
        let kind = section.last("Type").unwrap_or_default();
        lines.push(Line::Left(left(format!("{key}={value} of {kind}"), why)));
    }
    lines
}

/// The least size that is said, or the largest, in the unit that fits.
fn size(section: &Section) -> Option<String> {
    let said = section.last("SizeMinBytes").or(section.last("SizeMaxBytes"))?;
    let (number, unit) = said.split_at(said.find(|c: char| !c.is_ascii_digit()).unwrap_or(said.len()));
    let unit = match unit {
        "" => 1,
        "K" => 1024,
        "M" => MIB,
        "G" => 1024 * MIB,
        "T" => 1024 * 1024 * MIB,
        _ => return None,
    };
    let mib = number.parse::<u64>().ok()?.checked_mul(unit)?.div_ceil(MIB);
    Some(match mib.is_multiple_of(1024) {
        true => format!("GiB({})", mib / 1024),
        false => format!("MiB({mib})"),
    })
}
