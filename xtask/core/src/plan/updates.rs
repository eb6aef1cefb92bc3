//! Updates: two slots, and what decides between them.
//!
//! ```text
//! bundle ─► rauc ─► root-b, verity-b, uki-b ─► `slots set-primary b` ─► EFI/Linux/bedplate_2-b+3-0.efi
//!                                                                              │ started, and counted down
//!    EFI/Linux/bedplate_2-b.efi ◄─ systemd-bless-boot ◄─ boot-complete.target ◄┤
//!    EFI/Linux/bedplate_1-a.efi ◄─ systemd-boot, when the tries are used up ◄──┘
//! ```
//!
//! One kernel image is for both slots, and is not changed on the device: which slot it was started from is in the name of
//! its file, which the boot loader tells (`scripts/booted-slot.sh`). The root is found as `/dev/bedplate/slot/root`, and
//! its hash on the command line holds for no other. The kernel image has a partition in each slot, too: RAUC writes it
//! as it writes the root, block by block, and takes from the running slot what is the same.
//!
//! The program that RAUC asks (`scripts/slots.sh`) is a script of a shell. A compiled one would have to be linked for
//! the image's C library and processor, which takes a toolchain for them on each machine that builds an image.

use serde::Serialize;
use uuid::Uuid;

use super::disks::device;
use super::template::{Unfit, template, units};
use super::units::UNITS;
use super::{DiskPlan, FilePlan, PartitionPlan, SlotsPlan, guid};
use crate::image::Image;
use crate::image::updates::Updates;
use crate::location::SourceLocation;

/// How a device is updated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UpdatesPlan {
    /// What a bundle says to fit this device.
    pub compatible: String,
    /// Which disks a bundle fits: derived from the sizes and places of the slots' partitions.
    pub layout: Uuid,
    /// The files of the certificates that a bundle must be signed by.
    pub certificates: Vec<String>,
    /// How many times a new version is started before it is given up.
    pub tries: u32,
    /// How many minutes each start has to become good.
    pub minutes: u32,
    /// The units that make a version good.
    pub healthy: Vec<HealthyWhen>,
    /// Where a newer version is asked for.
    pub asked: Option<String>,
    /// The line that asked for it.
    pub at: SourceLocation,
}

/// A unit that makes a new version good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthyWhen {
    /// The unit.
    pub unit: String,
    /// The line that said so; none for what holds for every image.
    pub at: Option<SourceLocation>,
}

/// The certificates that devices believe.
pub(super) const KEYRING: &str = "/etc/rauc/keyring.pem";
/// systemd sets a clock that is behind to the time of this file: a certificate that was there when the image was made is
/// valid on a device without a battery, too.
const CLOCK: &str = "/usr/lib/clock-epoch";
/// What RAUC and `slots` know: on the data partition.
pub(super) const STATE: &str = "/var/rauc";

/// The packages that are needed on the device, and why.
pub(super) const PACKAGES: [(&str, &str); 9] = [
    ("ca-certificates", "bundles are fetched by https"),
    ("cryptsetup-bin", "makes the hash tree of a root that is made of the old one"),
    ("dosfstools", "repairs the EFI system partition after a power cut"),
    ("dmsetup", "the slot that runs is known by its verified root"),
    ("rauc", "installs updates"),
    ("rauc-service", "installs updates"),
    ("systemd-boot", "counts the tries of a new version, and takes it for good"),
    ("util-linux", "mounts the EFI system partition where nobody else sees it"),
    ("zstd", "makes a new root of the old one"),
];

/// How the device of `image` is updated, whose disk has the `slots`.
pub(super) fn plan(image: &Image, disk: &DiskPlan) -> Option<UpdatesPlan> {
    let (updates, slots) = (image.updates.as_ref()?, disk.slots.as_ref()?);
    let always = HealthyWhen { unit: "multi-user.target".to_string(), at: None };
    let said = updates
        .healthy
        .iter()
        .map(|unit| HealthyWhen { unit: unit.value.to_string(), at: Some(unit.at.clone()) });
    Some(UpdatesPlan {
        compatible: updates.compatible.as_ref()?.value.to_string(),
        layout: layout(disk, slots),
        certificates: updates.certificates.iter().map(|one| one.at.beside(&one.name)).collect(),
        tries: updates.tries.value,
        minutes: updates.deadline.value,
        healthy: std::iter::once(always).chain(said).collect(),
        asked: updates.asked.as_ref().map(|url| url.value.to_string()),
        at: updates.at.clone(),
    })
}

/// What a bundle and a disk must have in common: the slots' partitions and the ESP in their order, by whose numbers a root
/// knows them, and their sizes; and whether data is encrypted, since nothing would open what is in the clear.
fn layout(disk: &DiskPlan, slots: &SlotsPlan) -> Uuid {
    let first = slots.first(disk).map(|partition| format!("{}={}", partition.label, partition.size));
    let encrypted = if disk.encrypted().is_some() { " encrypted" } else { "" };
    let (esp, sector) = (disk.esp.partition.size, disk.sector_size);
    let text = format!("{} esp={esp} sector={sector}{encrypted}", first.join(" "));
    Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes())
}

/// What the root needs: RAUC's settings, the program that it asks, and the units of a trial.
pub(super) fn files(image: &Image, disk: &DiskPlan) -> Result<Vec<FilePlan>, Unfit> {
    let (Some(plan), Some(updates), Some(slots)) = (plan(image, disk), &image.updates, &disk.slots) else {
        return Ok(Vec::new());
    };
    let (minutes, tries) = (plan.minutes.to_string(), plan.tries.to_string());
    let version = image.version.as_ref().map_or("", |version| version.value.as_str());
    let program = |path: &str, text: String, why: &str| FilePlan::text(path, text, why).mode(0o755);
    let mut files = vec![
        FilePlan::text(
            "/etc/rauc/system.conf",
            template!("settings/rauc/system.conf", COMPATIBLE = &plan.compatible)?,
            "the slots, as RAUC knows them",
        ),
        FilePlan::text(KEYRING, keyring(updates), "the certificates that updates must be signed by"),
        program(
            "/usr/lib/bedplate/slots",
            template!(
                "scripts/slots.sh",
                VERSION = version,
                TRIES = &tries,
                MINUTES = &minutes,
                EMPTY = SlotsPlan::EMPTY
            )?,
            "decides between the slots",
        ),
        program(
            "/usr/lib/bedplate/pre-install",
            template!("scripts/pre-install.sh", VERSION = version, LAYOUT = plan.layout, MINUTES = &minutes)?,
            "refuses bundles that do not fit",
        ),
        program(
            "/usr/lib/bedplate/delta",
            template!("scripts/delta.sh")?,
            "makes a new root of the old one, where a bundle says how",
        ),
        FilePlan::text(
            "/usr/lib/udev/rules.d/61-bedplate-damaged.rules",
            template!("settings/udev/damaged.rules")?,
            "goes over to the other slot when the root is damaged",
        ),
        FilePlan::text(CLOCK, "", "no clock is behind the image"),
        FilePlan::text(
            "/usr/lib/udev/rules.d/56-bedplate-bundle.rules",
            template!("settings/udev/bundle.rules")?,
            "reads nothing of a bundle but what is installed",
        ),
    ];
    files.extend(trial(&plan, &minutes)?);
    if disk.encrypted().is_none() {
        files.extend(definitions(disk, slots, "/usr/lib/repart.d")?);
    }
    if let Some(url) = &plan.asked {
        files.extend(asking(url, version)?);
    }
    Ok(files.into_iter().map(|file| file.at(Some(&plan.at))).collect())
}

/// All certificates, in one file.
fn keyring(updates: &Updates) -> String {
    updates.certificates.iter().map(|certificate| format!("{}\n", certificate.text.trim())).collect()
}

/// The units that take a new version for good, or give it up.
fn trial(plan: &UpdatesPlan, minutes: &str) -> Result<Vec<FilePlan>, Unfit> {
    let healthy = units(plan.healthy.iter().map(|healthy| healthy.unit.clone()));
    let unit = |name: &str, text: String, why: &str| FilePlan::text(format!("{UNITS}/{name}"), text, why);
    let does = |command: &str| format!("bedplate-slots@{command}.service");
    let wants = |target: &str, command: &str, why: &str| {
        let path = format!("{UNITS}/{target}.wants/{}", does(command));
        FilePlan::link(path, "../bedplate-slots@.service", why)
    };
    Ok(vec![
        unit(
            "boot-complete.target.d/50-bedplate.conf",
            template!("units/updates/boot-complete.conf", UNITS = healthy)?,
            "what makes a new version good",
        ),
        unit(
            "systemd-bless-boot.service.d/50-bedplate.conf",
            template!("units/updates/bless-boot.conf", MINUTES = minutes)?,
            "gives a new version up that does not become good",
        ),
        unit(
            "rauc.service.d/50-bedplate.conf",
            template!("units/updates/rauc.conf")?,
            "installs over the network",
        ),
        unit(
            "bedplate-slots@.service",
            template!("units/updates/bedplate-slots@.service")?,
            "decides between the slots",
        ),
        unit(
            "bedplate-slots@scrub.service.d/50-bedplate.conf",
            template!("units/updates/scrub.conf")?,
            "mends kernel images",
        ),
        unit(
            "bedplate-slots@scrub.timer",
            template!("units/updates/bedplate-slots@scrub.timer")?,
            "mends kernel images",
        ),
        wants("multi-user.target", "boot", "tells what became of an update"),
        wants("emergency.target", "failed", "gives a new version up that cannot start"),
        FilePlan::link(
            format!("{UNITS}/timers.target.wants/bedplate-slots@scrub.timer"),
            "../bedplate-slots@scrub.timer",
            "mends kernel images",
        ),
    ])
}

/// What systemd-repart makes of the slots: the first is left as it is, the second is made where it is missing.
fn definitions(disk: &DiskPlan, slots: &SlotsPlan, directory: &str) -> Result<Vec<FilePlan>, Unfit> {
    let first = slots.first(disk).map(|partition| (partition.number, partition, &partition.label, false));
    let of_second = slots.first(disk).into_iter().zip(&slots.second);
    let second = of_second.map(|(like, (number, label))| (*number, like, label, true));
    let definition = |(number, like, label, second): (u32, &PartitionPlan, &String, bool)| {
        let text = template!(
            "settings/repart-slot.conf", TYPE = like.type_guid, LABEL = label, SIZE = like.size;
            if SECOND = second;
            if NO_AUTO = second && like.type_guid != guid::KERNEL_IMAGE
        )?;
        let why = if second { "the device makes its second slot" } else { "the first slot stays as it is" };
        Ok(FilePlan::text(format!("{directory}/{number:02}-{label}.conf"), text, why))
    };
    first.into_iter().chain(second).map(definition).collect()
}

/// Asks for a newer version by itself.
fn asking(url: &str, version: &str) -> Result<Vec<FilePlan>, Unfit> {
    let why = "asks for a newer version";
    let program = template!(
        "scripts/update.sh",
        VERSION = version,
        URL = super::template::Value::Quoted(url.to_string())
    )?;
    let (service, timer) = (
        template!("units/updates/bedplate-update.service")?,
        template!("units/updates/bedplate-update.timer")?,
    );
    let unit = "bedplate-update";
    Ok(vec![
        FilePlan::text("/usr/lib/bedplate/update", program, why).mode(0o755),
        FilePlan::text(format!("{UNITS}/{unit}.service"), service, why),
        FilePlan::text(format!("{UNITS}/{unit}.timer"), timer, why),
        FilePlan::link(format!("{UNITS}/timers.target.wants/{unit}.timer"), format!("../{unit}.timer"), why),
    ])
}

/// What the initrd needs: which slot was started, and what is done when its root cannot be entered.
pub(super) fn initrd(disk: &DiskPlan) -> Result<Vec<FilePlan>, Unfit> {
    let Some(slots) = &disk.slots else { return Ok(Vec::new()) };
    let made = match disk.encrypted() {
        Some(_) => definitions(disk, slots, super::initrd::DEFINITIONS)?,
        None => Vec::new(),
    };
    let why = "tells which slot was started";
    let failed = "leaves word of a slot that cannot be started";
    let unit = "bedplate-slot-failed.service";
    let (reads, reading) = ("reads what the root starts with", "bedplate-root-reads.service");
    let program = |path: &str, text: String, why: &str| FilePlan::text(path, text, why).mode(0o755);
    let mut files = vec![
        program("/usr/lib/bedplate/booted-slot", template!("scripts/booted-slot.sh")?, why),
        FilePlan::text(CLOCK, "", "no clock is behind the image"),
        program("/usr/lib/bedplate/slot-failed", template!("scripts/slot-failed.sh")?, failed),
        FilePlan::text(
            format!("{UNITS}/{unit}"),
            template!("units/updates/bedplate-slot-failed.service")?,
            failed,
        ),
        FilePlan::link(format!("{UNITS}/emergency.target.wants/{unit}"), format!("../{unit}"), failed),
        program("/usr/lib/bedplate/root-reads", template!("scripts/root-reads.sh")?, reads),
        FilePlan::text(
            format!("{UNITS}/{reading}"),
            template!("units/updates/bedplate-root-reads.service")?,
            reads,
        ),
        FilePlan::link(
            format!("{UNITS}/initrd-root-fs.target.requires/{reading}"),
            format!("../{reading}"),
            reads,
        ),
    ];
    files.extend(made);
    Ok(files)
}

/// The links to the partitions of the slot that was started, and to those of the second one, which are known by their
/// names: the device made them, and gave them what numbers were free.
pub(super) fn links(disk: &DiskPlan) -> Vec<String> {
    let Some(slots) = &disk.slots else { return Vec::new() };
    let partitions = slots.first(disk).into_iter().zip(&slots.second).zip(SlotsPlan::PARTS);
    let links = partitions.flat_map(|((first, (_, second)), part)| {
        let (number, label) = (first.number, second);
        [
            format!("ENV{{ID_PART_ENTRY_NAME}}==\"{label}\", SYMLINK+=\"bedplate/{label}\""),
            format!(
                "ENV{{BEDPLATE_SLOT}}==\"a\", ENV{{ID_PART_ENTRY_NUMBER}}==\"{number}\", \
                 SYMLINK+=\"bedplate/slot/{part}\""
            ),
            format!(
                "ENV{{BEDPLATE_SLOT}}==\"b\", ENV{{ID_PART_ENTRY_NAME}}==\"{label}\", \
                 SYMLINK+=\"bedplate/slot/{part}\""
            ),
        ]
    });
    links.collect()
}

/// What the kernel's command line says of the root: where its slot is, whatever the ids of the partitions.
pub(super) fn arguments(disk: &DiskPlan) -> Vec<String> {
    if disk.slots.is_none() {
        return Vec::new();
    }
    let of = |part: &str| device(&format!("slot/{part}"));
    vec![
        format!("systemd.verity_root_data={}", of("root")),
        format!("systemd.verity_root_hash={}", of("verity")),
    ]
}

#[cfg(test)]
mod tests;
