//! Which disk was booted, where several have the image: a device that was
//! installed from a stick, and has the stick still in it.
//!
//! The partitions' ids are the image's, the same on each copy. So nothing is
//! found by them alone: in the initrd, udev asks a script of each disk whether
//! it was booted (`scripts/booted.sh`), and gives the partitions of that one their links
//! in `/dev/bedplate`. The root and its hash tree are found by their ids as
//! systemd does, and other disks' partitions are kept out of its way. What was
//! decided stays with the disk in udev's database, so that a disk that appears
//! later changes nothing, neither in the initrd nor in the root.
//!
//! At its first start a device gives its disk ids of its own (`scripts/name-disk.sh`). From
//! then on the partition that the boot loader was started from tells the disk.
//! It is done in the root, which has the programs for it, after everything that
//! finds the disk by what the boot loader told in this boot.
//!
//! The initrd gets a shell for the first script, and nothing that a person
//! could log in to: a firmware's path is bytes, which no rule of udev's compares.

use super::template::{Unfit, template, words};
use super::{DiskPlan, FilePlan, PartitionPlan};
use crate::image::Image;

const UNITS: &str = "/usr/lib/systemd/system";
const RULES: &str = "/usr/lib/udev/rules.d/61-bedplate-disk.rules";
/// The package of the program that changes a partition table.
pub(super) const PACKAGE: &str = "fdisk";

/// The link to a partition of the booted disk.
pub(super) fn device(label: &str) -> String {
    format!("/dev/bedplate/{label}")
}

/// The partition that a data partition lies in encrypted.
pub(super) fn locked(label: &str) -> String {
    format!("{}.luks", device(label))
}

/// The label of the data partition that is unlocked; it is its name to the device mapper, too.
fn unlocked(disk: &DiskPlan) -> &str {
    disk.encrypted().map_or("", |data| &data.partition.label)
}

/// Rules, scripts and units of the initrd.
pub(super) fn initrd(disk: &DiskPlan) -> Result<Vec<FilePlan>, Unfit> {
    let why = "tells the disk that was booted from its copies";
    let verity = disk.root.verity.iter().map(|verity| &verity.partition);
    let types = std::iter::once(&disk.root.partition).chain(verity);
    let types = types.map(|partition| partition.type_guid.to_string());
    let rules = template!(
        "settings/udev/initrd.rules",
        TABLE = disk.guid,
        LABELS = words(disk.partitions().map(|partition| &partition.label)),
        ROOT_TYPES = types.collect::<Vec<_>>().join("|"),
        UNLOCKED = unlocked(disk);
        if SLOTS = disk.slots.is_some();
        if ENCRYPTED = disk.encrypted().is_some();
        lines PARTITIONS = links(disk)
    )?;
    Ok(vec![
        FilePlan::text(RULES, rules, why),
        FilePlan::text("/usr/lib/bedplate/booted", template!("scripts/booted.sh")?, why).mode(0o755),
        FilePlan::text("/usr/lib/bedplate/decide", template!("scripts/decide.sh")?, why).mode(0o755),
        FilePlan::text(
            format!("{UNITS}/bedplate-disk.service"),
            template!("units/initrd/bedplate-disk.service")?,
            why,
        ),
        FilePlan::text(
            "/usr/lib/bedplate/undecided.conf",
            template!("settings/tmpfiles/undecided.conf")?,
            "mounts no EFI system partition of a disk that may not be the booted one",
        ),
    ])
}

/// Rules of the root, and what gives the disk ids of its own where something is persistent.
pub(super) fn root(image: &Image, disk: &DiskPlan) -> Result<Vec<FilePlan>, Unfit> {
    let rules = template!(
        "settings/udev/root.rules", TABLE = disk.guid, UNLOCKED = unlocked(disk);
        if SLOTS = disk.slots.is_some();
        if ENCRYPTED = disk.encrypted().is_some();
        lines PARTITIONS = links(disk)
    )?;
    let mut files = vec![FilePlan::text(RULES, rules, "finds the partitions of the disk that was booted")];
    if image.kept_on().is_none() {
        return Ok(files);
    }
    // What is encrypted is found by its label, and its id is LUKS's, too.
    let data = disk.data.iter().filter(|data| !data.encrypted).map(|data| &data.partition);
    let numbers = std::iter::once(&disk.esp.partition).chain(data);
    let numbers = numbers.map(|partition| partition.number.to_string());
    let text = template!("units/bedplate-name-disk.service", NUMBERS = words(numbers))?;
    let script = template!("scripts/name-disk.sh")?;
    let unit = "bedplate-name-disk.service";
    let why = "gives the disk ids of its own";
    files.push(FilePlan::text("/usr/lib/bedplate/name-disk", script, why).mode(0o755));
    files.push(FilePlan::text(format!("{UNITS}/{unit}"), text, why));
    files.push(FilePlan::link(format!("{UNITS}/sysinit.target.wants/{unit}"), format!("../{unit}"), why));
    Ok(files)
}

/// The rules that link each partition of the booted disk.
fn links(disk: &DiskPlan) -> Vec<String> {
    let link = |partition: &PartitionPlan| {
        let (number, label) = (partition.number, &partition.label);
        format!("ENV{{ID_PART_ENTRY_NUMBER}}==\"{number}\", SYMLINK+=\"bedplate/{label}\"")
    };
    let encrypted = disk.encrypted().map(|data| {
        let label = &data.partition.label;
        format!("ENV{{ID_PART_ENTRY_NAME}}==\"{label}\", SYMLINK+=\"bedplate/{label}.luks\"")
    });
    disk.partitions().map(link).chain(super::updates::links(disk)).chain(encrypted).collect()
}
