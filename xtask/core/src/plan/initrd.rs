//! What a device remembers from its first moment on: mounted in the initrd,
//! so that the first process of the root finds it there.
//!
//! The data partition is checked and mounted at `/run/bedplate/data`; a reset
//! that was asked for empties it; the root gets its writable layer; the
//! partition is mounted where the root wants it, and the kept machine id over
//! `/etc/machine-id`. None of it is required: a device whose data partition is
//! lost starts without, and the root says so ([`super::state`]).
//!
//! There is no shell in an initrd: each step is a program of systemd's or
//! util-linux' with arguments.

use super::disks::UNDECIDED;
use super::{DiskPlan, FilePlan, PartitionContent, PartitionPlan};
use crate::image::Image;
use crate::image::volatile::Volatile;
use crate::value::{Size, escape_path};

/// Where units live in an initrd, as in a root.
const UNITS: &str = "/usr/lib/systemd/system";
/// Where the rules of our units live.
const RULES: &str = "/usr/lib/bedplate";
/// Where the data partition is mounted until the root is entered.
const DATA: &str = "/run/bedplate/data";
/// How long a device may take to appear before it is taken for lost: as long as systemd waits for any. A slow disk that
/// is not waited for starts as another device.
const PATIENCE: &str = "90s";

/// The partition that what is kept lies on.
pub(super) fn kept_on<'a>(image: &Image, disk: &'a DiskPlan) -> Option<(&'a PartitionPlan, String)> {
    let at = image.kept_on()?.value.to_string();
    let is_it = |partition: &&PartitionPlan| matches!(&partition.content, PartitionContent::Data { mount: Some(mount), .. } if *mount == at);
    Some((disk.partitions.iter().find(is_it)?, at))
}

/// The units, and what they read.
pub(super) fn files(image: &Image, disk: &DiskPlan) -> Vec<FilePlan> {
    let mut files = super::disks::initrd(disk);
    if let Some((partition, mount)) = kept_on(image, disk) {
        files.extend(data(image, partition, &mount));
    }
    if let (Volatile::Overlay, Some(size)) = (image.volatile, &image.volatile_size) {
        files.extend(in_memory(size.value).into_iter().map(|file| file.at(Some(&size.at))));
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    files
}

fn data(image: &Image, partition: &PartitionPlan, mount: &str) -> Vec<FilePlan> {
    let PartitionContent::Data { filesystem, .. } = &partition.content else { return Vec::new() };
    let (label, filesystem) = (&partition.label, filesystem.name());
    let device = super::disks::device(label);
    let unit = format!("{}.device", escape_path(&device));
    let first = format!("{}.mount", escape_path(DATA));
    let second = format!("{}.mount", escape_path(&format!("/sysroot{mount}")));
    let mut files = vec![FilePlan::text(
        format!("{UNITS}/{unit}.d/50-bedplate.conf"),
        format!("[Unit]\nJobRunningTimeoutSec={PATIENCE}\n"),
        "a device without its data partition starts all the same",
    )];

    let makes = image.data.iter().any(|data| {
        data.makefs.is_some() && data.label.as_ref().is_some_and(|said| said.value.as_str() == label)
    });
    if makes {
        let text = format!(
            "[Unit]\nDescription=Make a File System Where None Is ({label})\nDefaultDependencies=no\n\
             BindsTo={unit}\nAfter={unit}\nBefore=bedplate-check.service\nAssertPathExists=!{UNDECIDED}\n\n\
             [Service]\nType=oneshot\nRemainAfterExit=yes\n\
             ExecStart=/usr/lib/systemd/systemd-makefs {filesystem} {device}\nTimeoutSec=0\n"
        );
        files.push(FilePlan::text(
            format!("{UNITS}/bedplate-makefs.service"),
            text,
            "formats what has no known file system",
        ));
    }
    // Not systemd-fsck, which ends in emergency mode when it cannot mend something.
    let after = if makes { " bedplate-makefs.service" } else { "" };
    let check = format!(
        "[Unit]\nDescription=Check the Data Partition ({label})\nDefaultDependencies=no\n\
         BindsTo={unit}\nAfter={unit}{after}\nAssertPathExists=!{UNDECIDED}\n{}\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/sbin/fsck.{filesystem} -p {device}\n\
         SuccessExitStatus=1 2\nTimeoutSec=0\nStandardOutput=journal+console\nStandardError=journal+console\n",
        if makes { "Wants=bedplate-makefs.service\n" } else { "" }
    );
    let why = "the data partition is checked before it is mounted";
    files.push(FilePlan::text(format!("{UNITS}/bedplate-check.service"), check, why));
    files.push(FilePlan::text(
        "/etc/e2fsck.conf",
        "[options]\nbroken_system_clock = true\n",
        "a device without a battery thinks it is 1970",
    ));
    let mounted = |place: &str, after: &str, before: &str| {
        format!(
            "[Unit]\nDescription=Data of This Device ({label})\nDefaultDependencies=no\n\
             Requires=bedplate-check.service\nAfter=bedplate-check.service{after}\nBefore={before}\n\n\
             [Mount]\nWhat={device}\nWhere={place}\nType={filesystem}\nOptions=nosuid,nodev,noexec\n"
        )
    };
    let text = mounted(DATA, "", "initrd-root-fs.target");
    files.extend(wanted(
        &first,
        &text,
        "initrd-root-fs.target",
        "mounts the data partition of the booted disk",
    ));
    let text = mounted(
        &format!("/sysroot{mount}"),
        &format!(" {first} bedplate-reset.service initrd-root-fs.target"),
        "initrd-fs.target",
    );
    files.extend(wanted(
        &second,
        &text,
        "initrd-fs.target",
        "the data partition, where the root looks for it",
    ));
    files.extend(reset(&first));
    if image.volatile == Volatile::Persistent {
        files.extend(persistent(&first));
    }
    files.extend(machine_id(&first, &second, mount));
    files
}

/// What is on the data partition goes, the order to do so last: one that is
/// interrupted goes on at the next boot. The unit has another name than the
/// root's that gives the order: a unit's state outlives the initrd, and this
/// one's success would be taken for that one's.
fn reset(data: &str) -> Vec<FilePlan> {
    let rules = |step: &str| format!("{RULES}/factory-reset-{step}.conf");
    let text = format!(
        "[Unit]\nDescription=Reset This Device to How It Left the Factory\nDefaultDependencies=no\n\
         Requires={data}\nAfter={data}\nBefore=initrd-root-fs.target\n\
         ConditionPathExists=|{DATA}/.factory-reset\nConditionCredential=|bedplate.factory-reset\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nTimeoutSec=0\nStandardOutput=journal+console\nStandardError=journal+console\n\
         ExecStart=systemd-tmpfiles --create {}\nExecStart=systemd-tmpfiles --remove {}\nExecStart=systemd-tmpfiles --remove {}\n",
        rules("begin"),
        rules("empty"),
        rules("end")
    );
    let why = "empties the data partition when that was asked for";
    let mut files = wanted("bedplate-reset.service", &text, "initrd-root-fs.target", why);
    let all: String = all_but(".factory-reset").map(|names| format!("R {DATA}/{names}\n")).collect();
    for (step, text) in [
        ("begin", format!("f {DATA}/.factory-reset 0600\n")),
        ("empty", all),
        ("end", format!("r {DATA}/.factory-reset\n")),
    ] {
        files.push(FilePlan::text(rules(step), text, why));
    }
    files
}

/// Patterns of tmpfiles.d(5) for every name but this one, which begins with a dot. They never fit `.` and `..`.
fn all_but(name: &str) -> impl Iterator<Item = String> {
    let parts_here = name.char_indices().skip(1).flat_map(move |(at, next)| {
        let begun = &name[..at];
        // What begins so and goes on otherwise, and what ends here.
        let otherwise = if at == 1 { format!("{begun}[!.{next}]*") } else { format!("{begun}[!{next}]*") };
        [Some(otherwise), (at > 1).then(|| begun.to_string())].into_iter().flatten()
    });
    ["[!.]*".to_string(), "..?*".to_string(), format!("{name}?*")].into_iter().chain(parts_here)
}

/// What is written to the root goes to the data partition; where that is
/// lost, the layer that systemd made in memory stays.
fn persistent(data: &str) -> Vec<FilePlan> {
    let more = format!("Requires={data}\nAfter={data} bedplate-reset.service\n");
    overlay("What Is Written to the Root Is Kept", &more, &format!("{DATA}/overlay"), None)
}

/// What is written to the root goes to a bounded part of the memory.
fn in_memory(size: Size) -> Vec<FilePlan> {
    let title = format!("What Is Written to the Root Takes {size} of Memory at Most");
    overlay(&title, "", "/run/bedplate/overlay", Some(size))
}

/// Replaces the overlay of `systemd.volatile=overlay` by one whose upper layer
/// lies in the directory `layer`, or in a tmpfs of that size there.
///
/// systemd's is made first because it leaves a link to the disk below it, which
/// systemd-repart and the generator of the ESP's mount follow.
fn overlay(title: &str, more: &str, layer: &str, size: Option<Size>) -> Vec<FilePlan> {
    let why = match size {
        None => "the root's writable layer lies on the data partition",
        Some(_) => "limits what the root's writable layer may take of the memory",
    };
    let rules = format!("{RULES}/overlay.conf");
    let (mut begin, mut end) = (String::new(), String::new());
    if let Some(size) = size {
        let options = format!("size={},mode=0755", size.bytes());
        // `mount` makes the directory; there is no other program here that does.
        begin = format!("ExecStart=mount -t tmpfs -o X-mount.mkdir,{options} tmpfs {layer}\n");
        end = format!("ExecStart=umount {layer}\n");
    }
    let text = format!(
        "[Unit]\nDescription={title}\nDefaultDependencies=no\n{more}After=sysroot.mount systemd-volatile-root.service\n\
         Before=initrd-root-fs.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\n{begin}ExecStart=systemd-tmpfiles --create {rules}\n\
         ExecStart=umount /sysroot\n\
         ExecStart=mount -t overlay overlay -o lowerdir=/sysroot,upperdir={layer}/upper,workdir={layer}/work /sysroot\n{end}"
    );
    let mut files = wanted("bedplate-overlay.service", &text, "initrd-root-fs.target", why);
    let text = format!("d {layer} 0755\nd {layer}/upper 0755\nd {layer}/work 0755\n");
    files.push(FilePlan::text(rules, text, why));
    let text = "[Unit]\nDescription=What Is Written to the Root Is Forgotten\nDefaultDependencies=no\n\
         After=bedplate-overlay.service sysroot.mount systemd-volatile-root.service\nBefore=initrd-root-fs.target\n\
         ConditionPathIsReadWrite=!/sysroot\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/lib/systemd/systemd-volatile-root overlay /sysroot\n";
    let why = "a device whose overlay cannot be mounted starts all the same";
    files.extend(wanted("bedplate-overlay-lost.service", text, "initrd-root-fs.target", why));
    files
}

/// The id is made in place, on the data partition: a power cut leaves it empty, and it is made at the next boot.
fn machine_id(first: &str, second: &str, mount: &str) -> Vec<FilePlan> {
    let rules = format!("{RULES}/machine-id.conf");
    let (kept, place) =
        (format!("/sysroot{mount}/{}/etc/machine-id", super::state::BACKING), "/sysroot/etc/machine-id");
    let text = format!(
        "[Unit]\nDescription=The Identity of This Device\nDefaultDependencies=no\nRequires={first} {second}\n\
         After={first} {second} initrd-root-fs.target\nBefore=initrd-fs.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=systemd-tmpfiles --create {rules}\n\
         ExecStart=mount --bind {kept} {place}\nExecStart=systemd-machine-id-setup --root=/sysroot\n\
         ExecStart=mount -o remount,bind,ro {place}\n"
    );
    let why = "the machine id is the same at every boot, for the first process too";
    let mut files = wanted("bedplate-machine-id.service", &text, "initrd-fs.target", why);
    let backing = format!("{DATA}/{}", super::state::BACKING);
    let text = format!("d {backing} 0755\nd {backing}/etc 0755\nf {backing}/etc/machine-id 0444\n");
    files.push(FilePlan::text(rules, text, why));
    files
}

/// A unit, and the link by which a target wants it.
fn wanted(unit: &str, text: &str, target: &str, why: &str) -> Vec<FilePlan> {
    vec![
        FilePlan::text(format!("{UNITS}/{unit}"), text, why),
        FilePlan::link(format!("{UNITS}/{target}.wants/{unit}"), format!("../{unit}"), why),
    ]
}
