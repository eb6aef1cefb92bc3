//! Which disk was booted, where several have the image: a device that was
//! installed from a stick, and has the stick still in it.
//!
//! The partitions' ids are the image's, the same on each copy. So nothing is
//! found by them alone: in the initrd, udev asks a script of each disk whether
//! it was booted (`booted.sh`), and gives the partitions of that one their links
//! in `/dev/bedplate`. The root and its hash tree are found by their ids as
//! systemd does, and other disks' partitions are kept out of its way. What was
//! decided stays with the disk in udev's database, so that a disk that appears
//! later changes nothing, neither in the initrd nor in the root.
//!
//! At its first start a device gives its disk ids of its own (`name.sh`). From
//! then on the partition that the boot loader was started from tells the disk.
//! It is done in the root, which has the programs for it, after everything that
//! finds the disk by what the boot loader told in this boot.
//!
//! The initrd gets a shell for the first script, and nothing that a person
//! could log in to: a firmware's path is bytes, which no rule of udev's compares.

use super::service::SHUT_IN;
use super::{DiskPlan, FilePlan, PartitionContent};
use crate::image::Image;
use std::fmt::Write as _;

const UNITS: &str = "/usr/lib/systemd/system";
const RULES: &str = "/usr/lib/udev/rules.d/61-bedplate-disk.rules";
const BOOTED: &str = "/usr/lib/bedplate/booted";
const DECIDE: &str = "/usr/lib/bedplate/decide";
const NAME: &str = "/usr/lib/bedplate/name-disk";
/// Made by the scripts when nobody can tell which disk was booted: what would write to one asserts that it is not there.
pub(super) const UNDECIDED: &str = "/run/bedplate.disk.undecided";
/// The package of the program that changes a partition table.
pub(super) const PACKAGE: &str = "fdisk";

/// The link to a partition of the booted disk.
pub(super) fn device(label: &str) -> String {
    format!("/dev/bedplate/{label}")
}

/// Rules, scripts and units of the initrd.
pub(super) fn initrd(disk: &DiskPlan) -> Vec<FilePlan> {
    let why = "tells the disk that was booted from its copies";
    let decide = "[Unit]\nDescription=Boot Disk Decision\nDefaultDependencies=no\n\
         After=systemd-udev-trigger.service\nConflicts=initrd-switch-root.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nTimeoutSec=2min\nExecStart=sh /usr/lib/bedplate/decide\n\
         StandardOutput=journal\nStandardError=journal\n";
    let undecided: String = ["efi", "boot"]
        .iter()
        .flat_map(|place| [format!("{place}.automount"), format!("{place}.mount")])
        .map(|unit| format!("L /run/systemd/system/{unit} - - - - /dev/null\n"))
        .collect();
    vec![
        FilePlan::text(RULES, rules(disk, true), why),
        FilePlan::text(BOOTED, include_str!("disks/booted.sh"), why).mode(0o755),
        FilePlan::text(DECIDE, include_str!("disks/decide.sh"), why).mode(0o755),
        FilePlan::text(format!("{UNITS}/bedplate-disk.service"), decide, why),
        FilePlan::text(
            "/usr/lib/bedplate/undecided.conf",
            format!("d /run/systemd/system 0755\n{undecided}"),
            "mounts no EFI system partition of a disk that may not be the booted one",
        ),
    ]
}

/// Rules of the root, and what gives the disk ids of its own where something is persistent.
pub(super) fn root(image: &Image, disk: &DiskPlan) -> Vec<FilePlan> {
    let mut files =
        vec![FilePlan::text(RULES, rules(disk, false), "finds the partitions of the disk that was booted")];
    if image.kept_on().is_none() {
        return files;
    }
    let numbers: Vec<String> = disk
        .partitions
        .iter()
        .filter(|partition| {
            matches!(partition.content, PartitionContent::Esp { .. } | PartitionContent::Data { .. })
        })
        .map(|partition| partition.number.to_string())
        .collect();
    // Of all devices it needs those with blocks: it writes to the disk.
    let text = format!(
        "[Unit]\nDescription=Disk Identifiers\nDefaultDependencies=no\n\
         ConditionPathExists=|/dev/bedplate/image-disk\nConditionPathExists=|/run/bedplate.disk.copy\n\
         ConditionPathExists=/dev/bedplate/disk\nConditionPathExists=!{UNDECIDED}\n\
         Requires=bedplate-data.service\nAfter=bedplate-data.service systemd-repart.service systemd-tmpfiles-setup-dev.service\n\
         Conflicts=shutdown.target\nBefore=sysinit.target shutdown.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nTimeoutSec=0\nRuntimeDirectory=bedplate-name-disk\n\
         ExecStart={NAME} {}\n{SHUT_IN}\
         PrivateDevices=no\nDevicePolicy=closed\nDeviceAllow=block-* rw\nCapabilityBoundingSet=\n",
        numbers.join(" ")
    );
    let unit = "bedplate-name-disk.service";
    let why = "gives the disk ids of its own";
    files.push(FilePlan::text(NAME, include_str!("disks/name.sh"), why).mode(0o755));
    files.push(FilePlan::text(format!("{UNITS}/{unit}"), text, why));
    files.push(FilePlan::link(format!("{UNITS}/sysinit.target.wants/{unit}"), format!("../{unit}"), why));
    files
}

/// udev's rules. The initrd decides; the root takes over what was decided.
fn rules(disk: &DiskPlan, initrd: bool) -> String {
    let mut text = String::from(
        "# Links to the partitions of the disk that was booted; other disks may have the same ids.\n\
         ACTION==\"remove\", GOTO=\"bedplate_disk_end\"\n\
         SUBSYSTEM!=\"block\", GOTO=\"bedplate_disk_end\"\n\
         ENV{DEVTYPE}==\"partition\", GOTO=\"bedplate_disk_partition\"\n\
         ENV{ID_PART_TABLE_TYPE}!=\"gpt\", GOTO=\"bedplate_disk_end\"\n\
         IMPORT{db}=\"BEDPLATE_DISK\"\n",
    );
    let names: Vec<&str> = disk.partitions.iter().map(|partition| partition.label.as_str()).collect();
    if initrd {
        let _ = writeln!(
            text,
            "ENV{{BEDPLATE_DISK}}!=\"booted\", IMPORT{{program}}=\"/usr/bin/sh {BOOTED} $devpath {} {}\"\n\
             ENV{{BEDPLATE_DISK}}==\"open\", TAG+=\"systemd\", ENV{{SYSTEMD_WANTS}}+=\"bedplate-disk.service\"",
            disk.guid,
            names.join(" ")
        );
    }
    let _ = writeln!(
        text,
        "ENV{{BEDPLATE_DISK}}!=\"booted\", GOTO=\"bedplate_disk_end\"\n\
         OPTIONS+=\"db_persist\", SYMLINK+=\"bedplate/disk\"\n\
         ENV{{ID_PART_TABLE_UUID}}==\"{}\", SYMLINK+=\"bedplate/image-disk\"\n\
         GOTO=\"bedplate_disk_end\"\n\n\
         LABEL=\"bedplate_disk_partition\"\n\
         IMPORT{{parent}}=\"BEDPLATE_DISK\"",
        disk.guid
    );
    if initrd {
        let types: Vec<String> = disk
            .partitions
            .iter()
            .filter(|partition| {
                matches!(partition.content, PartitionContent::Root { .. } | PartitionContent::Verity { .. })
            })
            .map(|partition| partition.type_guid.to_string())
            .collect();
        let _ = writeln!(
            text,
            "# The root and its hash tree are found by their ids, of this disk alone.\n\
             ENV{{BEDPLATE_DISK}}!=\"booted\", ENV{{ID_PART_ENTRY_TYPE}}==\"{}\", SYMLINK=\"\", ENV{{SYSTEMD_READY}}=\"0\"",
            types.join("|")
        );
    }
    let _ = writeln!(
        text,
        "ENV{{BEDPLATE_DISK}}!=\"booted\", GOTO=\"bedplate_disk_end\"\n\
         OPTIONS+=\"link_priority=100\""
    );
    for partition in &disk.partitions {
        let _ = writeln!(
            text,
            "ENV{{ID_PART_ENTRY_NUMBER}}==\"{}\", SYMLINK+=\"bedplate/{}\"",
            partition.number, partition.label
        );
    }
    text.push_str("LABEL=\"bedplate_disk_end\"\n");
    text
}
