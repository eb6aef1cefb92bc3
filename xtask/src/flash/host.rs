//! The disks of this machine, as the kernel tells them in `/sys` and `/proc`: no program is asked.
//!
//! <https://www.kernel.org/doc/html/latest/admin-guide/abi-testing.html>, `/sys/block`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use fs_err as fs;

/// Where the kernel tells of itself; another directory in tests.
#[derive(Debug, Clone)]
pub struct Host {
    sys: PathBuf,
    proc: PathBuf,
}

/// The transport of a file that stands for a disk.
pub const FILE: &str = "file";

/// A block device's number: major and minor.
pub type Number = (u32, u32);

/// What the kernel knows of a block device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// `/dev/sdb`
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// The size of its sectors in bytes.
    pub sector_size: u64,
    /// What its maker calls it; of a loop device the file behind it.
    pub model: Option<String>,
    /// How it is attached: `usb`, `nvme`, `sata`, …
    pub transport: Option<&'static str>,
    /// Whether it is made to be taken out.
    pub removable: bool,
    /// Whether nothing can be written to it.
    pub read_only: bool,
    /// The disk that it is a partition of.
    pub partition_of: Option<PathBuf>,
    /// What uses it, its partitions, or what is made of them.
    pub uses: Vec<Use>,
}

/// What a disk, or a partition of it, is used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// Mounted.
    Mounted {
        /// The device that is mounted.
        device: PathBuf,
        /// Where.
        at: String,
    },
    /// Memory is swapped to it.
    Swap(PathBuf),
    /// Another device is made of it: device mapper's, a RAID.
    Holder {
        /// What it is made of.
        device: PathBuf,
        /// The other device.
        holder: PathBuf,
    },
}

/// The mount points that a running system cannot do without.
const SYSTEM: [&str; 5] = ["/", "/usr", "/boot", "/boot/efi", "/efi"];

impl Use {
    /// Whether this machine runs from it.
    pub fn is_system(&self) -> bool {
        matches!(self, Self::Mounted { at, .. } if SYSTEM.contains(&at.as_str()))
    }
}

impl Host {
    /// This machine.
    pub fn here() -> Self {
        Self::at(Path::new("/"))
    }

    /// The machine whose `sys` and `proc` lie in a directory.
    pub fn at(root: &Path) -> Self {
        Self { sys: root.join("sys"), proc: root.join("proc") }
    }

    /// The disks that an image may be written to, or could be but for what they are used for.
    ///
    /// # Errors
    /// `/sys` cannot be read.
    pub fn disks(&self) -> Result<Vec<Disk>> {
        let uses = self.used()?;
        let mut disks = BTreeMap::new();
        for entry in fs::read_dir(self.sys.join("block"))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Memory, optical discs, and what is made of other disks: those can be named, but nobody looks for them here.
            if ["ram", "zram", "sr", "fd", "dm-", "md"].iter().any(|kind| name.starts_with(kind)) {
                continue;
            }
            let disk = self.disk_at(&fs::canonicalize(entry.path())?, &uses)?;
            if disk.size > 0 {
                // `sdb` before `sdaa`, `loop2` before `loop10`.
                disks.insert((name.len(), name), disk);
            }
        }
        Ok(disks.into_values().collect())
    }

    /// The block device of this number.
    ///
    /// # Errors
    /// `/sys` knows none, or cannot be read.
    pub fn disk(&self, (major, minor): Number) -> Result<Disk> {
        let directory = self.sys.join("dev/block").join(format!("{major}:{minor}"));
        self.disk_at(&fs::canonicalize(directory)?, &self.used()?)
    }

    fn disk_at(&self, directory: &Path, used: &BTreeMap<Number, Vec<Use>>) -> Result<Disk> {
        let name = name(directory);
        let is_partition = directory.join("partition").exists();
        let parent = directory.parent().unwrap_or(directory);
        // A partition has no queue and no transport of its own.
        let whole = if is_partition { parent } else { directory };
        let file = |name: &str| text(&whole.join(name));
        let sector_size = file("queue/logical_block_size").and_then(|size| size.parse().ok());
        let transport = transport(whole);
        // A card of a built-in reader counts as fixed for the kernel; memory that is soldered on is of type `MMC`.
        let is_card = transport == Some("mmc") && file("device/type").as_deref() == Some("SD");
        let removable =
            file("removable").as_deref() == Some("1") || is_card || matches!(transport, Some("usb" | "loop"));
        let mut uses = Vec::new();
        uses_of(directory, used, &mut uses);
        Ok(Disk {
            path: device(&name),
            size: text(&directory.join("size")).and_then(|size| size.parse::<u64>().ok()).unwrap_or(0) * 512,
            sector_size: sector_size.unwrap_or(512),
            model: file("device/model").or_else(|| file("device/name")).or_else(|| file("loop/backing_file")),
            transport,
            removable,
            read_only: text(&directory.join("ro")).as_deref() == Some("1"),
            partition_of: is_partition.then(|| device(&self::name(parent))),
            uses,
        })
    }

    /// What is mounted and swapped to, by the device's number.
    fn used(&self) -> Result<BTreeMap<Number, Vec<Use>>> {
        let mut used: BTreeMap<Number, Vec<Use>> = BTreeMap::new();
        let mounts = fs::read_to_string(self.proc.join("self/mountinfo"))?;
        for line in mounts.lines() {
            let (before, after) = line.split_once(" - ").context("cannot read the list of mounts")?;
            let mut fields = before.split(' ').skip(2);
            let told = fields.next().and_then(number);
            let at = unescaped(fields.nth(1).unwrap_or_default());
            // btrfs has numbers of its own; the source is a device all the same.
            let source = unescaped(after.split(' ').nth(1).unwrap_or_default());
            for number in [told, number_of(Path::new(&source))].into_iter().flatten() {
                let uses = used.entry(number).or_default();
                let mounted = Use::Mounted { device: PathBuf::new(), at: at.clone() };
                if !uses.contains(&mounted) {
                    uses.push(mounted);
                }
            }
        }
        let swaps = fs::read_to_string(self.proc.join("swaps")).unwrap_or_default();
        for number in swaps.lines().skip(1).filter_map(|line| number_of(Path::new(line.split(' ').next()?))) {
            used.entry(number).or_default().push(Use::Swap(PathBuf::new()));
        }
        Ok(used)
    }
}

/// Collects what uses a device, its partitions, and the devices that are made of them.
fn uses_of(directory: &Path, used: &BTreeMap<Number, Vec<Use>>, found: &mut Vec<Use>) {
    let path = device(&name(directory));
    let own = text(&directory.join("dev")).as_deref().and_then(number);
    for known in own.and_then(|number| used.get(&number)).into_iter().flatten() {
        found.push(match known {
            Use::Mounted { at, .. } => Use::Mounted { device: path.clone(), at: at.clone() },
            _ => Use::Swap(path.clone()),
        });
    }
    for entry in entries(directory).into_iter().filter(|entry| entry.join("partition").exists()) {
        uses_of(&entry, used, found);
    }
    for holder in entries(&directory.join("holders")) {
        let Ok(holder) = fs::canonicalize(holder) else { continue };
        let before = found.len();
        uses_of(&holder, used, found);
        // What is done with the holder says more than that there is one.
        if found.len() == before {
            found.push(Use::Holder { device: path.clone(), holder: device(&name(&holder)) });
        }
    }
}

/// How a disk is attached, by where it hangs in the tree of devices.
fn transport(directory: &Path) -> Option<&'static str> {
    let path = directory.to_string_lossy();
    let part = |start: &str| path.split('/').any(|part| part.starts_with(start));
    let known = [("usb", "usb"), ("nvme", "nvme"), ("mmc", "mmc"), ("ata", "sata"), ("virtio", "virtio")];
    if name(directory).starts_with("loop") {
        return Some("loop");
    }
    known.into_iter().find(|(start, _)| part(start)).map(|(_, transport)| transport)
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

fn name(directory: &Path) -> String {
    directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// `/dev/cciss/c0d0` is `cciss!c0d0` in `/sys`.
fn device(name: &str) -> PathBuf {
    Path::new("/dev").join(name.replace('!', "/"))
}

fn text(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn number(text: &str) -> Option<Number> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The number of the block device at a path.
pub fn number_of(path: &Path) -> Option<Number> {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    let metadata = path.is_absolute().then(|| std::fs::metadata(path).ok())??;
    let number = metadata.rdev();
    let is_block = metadata.file_type().is_block_device();
    is_block.then(|| (rustix::fs::major(number), rustix::fs::minor(number)))
}

/// A path as the kernel writes it in a list, in which a space is `\040`.
fn unescaped(text: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .into_iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
