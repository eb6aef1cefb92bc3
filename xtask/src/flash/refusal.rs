//! Why an image is not written to a disk: what is never done, and what `--force` overrides.

use std::path::Path;

use super::host::{Disk, FILE, Use};
use crate::error::LocatedError;
use crate::report::bytes;

/// What is to be written.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The image's size in bytes.
    pub size: u64,
    /// How much a device of it needs from its first start on, where that is known and more.
    pub needs: u64,
    /// The size of the sectors that it is laid out in.
    pub sector_size: u64,
}

/// A reason against writing to a disk, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason, in a few words: `mounted at /home`.
    pub short: String,
    /// The same as a sentence about the disk.
    pub message: String,
    /// What to do.
    pub help: String,
    /// Whether `--force` overrides it.
    pub can_be_forced: bool,
}

impl From<Refusal> for LocatedError {
    fn from(Refusal { message, help, .. }: Refusal) -> Self {
        Self::without_line(message, help)
    }
}

/// What speaks against writing to a disk, the gravest first; without an image, as far as that can be told.
pub fn refusals(disk: &Disk, wanted: Option<Wanted>) -> Vec<Refusal> {
    let mut found: Vec<Refusal> = Vec::new();
    let path = disk.path.display();
    let mut never = |short: &str, message: String, help: String| {
        found.push(Refusal { short: short.to_owned(), message, help, can_be_forced: false });
    };
    if let Some(whole) = &disk.partition_of {
        never(
            "a partition",
            format!("`{path}` is a partition"),
            format!("write to the disk `{}`", whole.display()),
        );
    }
    let system = disk.uses.iter().find(|used| used.is_system());
    if let Some(used) = system.or(disk.uses.first()) {
        let (short, message, help) = in_use(&disk.path, used);
        never(&short, message, help);
    }
    if disk.read_only {
        never(
            "read-only",
            format!("`{path}` is read-only"),
            format!("release its write protection, or run `blockdev --setrw {path}`"),
        );
    }
    if let Some(Wanted { size, sector_size, needs }) = wanted {
        if disk.size < size {
            never(
                "too small",
                format!("`{path}` is too small: it has {}, and the image {}", bytes(disk.size), bytes(size)),
                match disk.transport == Some(FILE) {
                    true => format!("make it larger: `truncate --size={} {path}`", needs.max(size)),
                    false => "choose a larger disk".to_owned(),
                },
            );
        }
        if disk.sector_size != sector_size {
            let own = disk.sector_size;
            never(
                "other sectors",
                format!(
                    "`{path}` has sectors of {own} bytes, and the image is laid out in sectors of {sector_size}"
                ),
                format!("add `.sector_size({own})` to the image's description"),
            );
        }
    }
    let mut unless_forced = |short: &str, message: String, help: &str| {
        found.push(Refusal { short: short.to_owned(), message, help: help.to_owned(), can_be_forced: true });
    };
    if !disk.removable {
        unless_forced(
            "not removable",
            format!("`{path}` is not removable"),
            "make sure that it is the disk you mean, and give `--force`",
        );
    }
    if let Some(Wanted { size, needs, .. }) = wanted
        && disk.size >= size
        && disk.size < needs
    {
        unless_forced(
            "no room for the first start",
            format!(
                "`{path}` has {}, and a device makes partitions up to {} at its first start",
                bytes(disk.size),
                bytes(needs)
            ),
            "choose a larger disk, or give `--force` for a device that cannot do all of it",
        );
    }
    found
}

/// What uses a disk: in short, as a sentence, and how to end it.
fn in_use(disk: &Path, used: &Use) -> (String, String, String) {
    let path = disk.display();
    let whose = |device: &Path| match device == disk {
        true => "it".to_owned(),
        false => format!("`{}`", device.display()),
    };
    match used {
        Use::Mounted { device, at } if used.is_system() => (
            "the running system".to_owned(),
            format!("`{path}` holds the running system: {} is mounted at `{at}`", whose(device)),
            "choose another disk: `cargo xtask flash` lists them".to_owned(),
        ),
        Use::Mounted { device, at } => (
            format!("mounted at {at}"),
            format!("`{path}` is in use: {} is mounted at `{at}`", whose(device)),
            format!("run `umount {}`", device.display()),
        ),
        Use::Swap(device) => (
            "swap".to_owned(),
            format!("`{path}` is in use: {} is swap", whose(device)),
            format!("run `swapoff {}`", device.display()),
        ),
        Use::Holder { device, holder } => {
            let held = holder.display();
            let name = holder.to_string_lossy();
            let end = match ["/dev/md", "/dev/loop"].map(|kind| name.starts_with(kind)) {
                [true, _] => format!("run `mdadm --stop {held}`"),
                [_, true] => format!("run `losetup --detach {held}`"),
                _ => format!("run `dmsetup remove {held}`"),
            };
            (
                format!("part of {held}"),
                format!("`{path}` is in use: `{held}` is made of {}", whose(device)),
                end,
            )
        }
    }
}
