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

use serde::Serialize;

use super::template::{Unfit, template, units};
use super::{DataPlan, DiskPlan, FilePlan};
use crate::image::Image;
use crate::image::root::RootSlot;
use crate::image::updates::Certificate;
use crate::image::volatile::Volatile;
use crate::value::{DevicePath, Size, escape_path};

/// Where units live in an initrd, as in a root.
const UNITS: &str = "/usr/lib/systemd/system";
/// Where the rules of our units live.
const RULES: &str = "/usr/lib/bedplate";
/// What systemd-repart does where the initrd does it.
pub(super) const DEFINITIONS: &str = "/usr/lib/bedplate/repart.d";
/// What mounts the data partition until the root is entered, at `/run/bedplate/data`.
const MOUNT: &str = "run-bedplate-data.mount";

/// The partition that what is kept lies on.
pub(super) fn kept_on<'a>(image: &Image, disk: &'a DiskPlan) -> Option<(&'a DataPlan, DevicePath)> {
    let at = image.kept_on()?.value.clone();
    let is_it = |data: &&DataPlan| data.mount.as_ref() == Some(&at);
    Some((disk.data.iter().find(is_it)?, at))
}

/// The initrd: what it has to do, and what is put into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InitrdPlan {
    /// What it has to do beyond what each does.
    pub features: InitrdFeatures,
    /// The units and what they read, by path.
    pub files: Vec<FilePlan>,
}

/// What one initrd does and another does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct InitrdFeatures {
    /// The root is verified.
    pub verity: bool,
    /// The root is written to, and so checked before it is mounted.
    pub writable: bool,
    /// The data partition that persistent state lies on is checked and mounted.
    pub persistent: bool,
    /// That partition is formatted where it has no known file system.
    pub makefs: bool,
    /// That partition is encrypted: made, opened and grown.
    pub encrypted: bool,
    /// It has a recovery key, which is left on the EFI system partition.
    pub recovery: bool,
    /// It is sealed to another key than before, once the version has proven itself.
    pub reseals: bool,
    /// There are two slots, and a failure is noted on the EFI system partition.
    pub slots: bool,
}

pub(super) fn plan(image: &Image, root: &RootSlot, disk: &DiskPlan) -> Result<InitrdPlan, Unfit> {
    let mut features = InitrdFeatures {
        verity: root.verity,
        writable: !root.filesystem.is_read_only(),
        slots: disk.slots.is_some(),
        ..InitrdFeatures::default()
    };
    let mut files = super::disks::initrd(disk)?;
    files.extend(super::updates::initrd(disk)?);
    if let Some((partition, mount)) = kept_on(image, disk) {
        features.persistent = true;
        features.makefs = partition.makefs;
        features.encrypted = partition.encrypted;
        files.extend(data(image, partition, &mount)?);
        if partition.encrypted {
            let label = &partition.partition.label;
            files.extend(encrypted(label)?);
            let recovery = image.data.iter().find_map(|data| data.encryption.as_ref()?.recovery.as_ref());
            features.recovery = recovery.is_some();
            if let Some(certificate) = recovery {
                files.extend(recoverable(label, certificate)?);
            }
            features.reseals = image.secure_boot.as_ref().is_some_and(|keys| keys.replaces_pcr_key.is_some());
            if features.reseals {
                files.extend(resealed(label)?);
            }
            files.extend(super::state::repart(disk, DEFINITIONS)?);
        }
    }
    if let (Volatile::Overlay, Some(size)) = (image.volatile, &image.volatile_size) {
        files.extend(in_memory(size.value)?.into_iter().map(|file| file.at(Some(&size.at))));
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(InitrdPlan { features, files })
}

fn data(image: &Image, data: &DataPlan, mount: &str) -> Result<Vec<FilePlan>, Unfit> {
    let (label, filesystem) = (&data.partition.label, data.filesystem.name());
    let device = super::disks::device(label);
    let unit = format!("{}.device", escape_path(&device));
    let sysroot = format!("{}.mount", escape_path(&format!("/sysroot{mount}")));
    let mut files = vec![FilePlan::text(
        format!("{UNITS}/{unit}.d/50-bedplate.conf"),
        template!("units/initrd/data.device.conf")?,
        "a device without its data partition starts all the same",
    )];
    files.extend(super::state::checked(data, true)?);
    files.push(FilePlan::text(
        "/etc/e2fsck.conf",
        template!("settings/e2fsck.conf")?,
        "a device without a battery thinks it is 1970",
    ));
    let text = template!(
        "units/initrd/run-bedplate-data.mount",
        LABEL = label,
        DEVICE = &device,
        FILESYSTEM = filesystem
    )?;
    let why = "mounts the data partition of the booted disk";
    files.extend(wanted(MOUNT, text, "initrd-root-fs.target", why));
    let text = template!(
        "units/initrd/sysroot-data.mount",
        LABEL = label,
        DEVICE = &device,
        MOUNT = mount,
        FILESYSTEM = filesystem
    )?;
    let why = "the data partition, where the root looks for it";
    files.extend(wanted(&sysroot, text, "initrd-fs.target", why));
    files.extend(reset()?);
    if image.volatile == Volatile::Persistent {
        files.extend(persistent()?);
    }
    files.extend(machine_id(&sysroot, mount)?);
    Ok(files)
}

/// Makes and unlocks the data partition.
fn encrypted(label: &str) -> Result<Vec<FilePlan>, Unfit> {
    let device = super::disks::locked(label);
    let device_unit = format!("{}.device", escape_path(&device));
    let (makes, opens) = ("makes the encrypted data partition", "opens the encrypted data partition");
    let unlock = template!(
        "units/initrd/bedplate-unlock.service",
        LABEL = label,
        DEVICE = &device,
        DEVICE_UNIT = units([&device_unit])
    )?;
    let mut files = vec![
        FilePlan::text(format!("{UNITS}/bedplate-unlock.service"), unlock, opens),
        FilePlan::text(
            format!("{UNITS}/bedplate-check.service.d/50-encrypted.conf"),
            template!("units/initrd/bedplate-check.service.conf")?,
            opens,
        ),
        FilePlan::text(
            format!("{UNITS}/{device_unit}.d/50-bedplate.conf"),
            template!("units/initrd/data.device.conf")?,
            "a device without its data partition starts all the same",
        ),
    ];
    let repart = template!("units/initrd/bedplate-repart.service", LABEL = label)?;
    files.extend(wanted("bedplate-repart.service", repart, "initrd-root-fs.target", makes));
    let erase = template!("units/initrd/bedplate-erase.service", LABEL = label)?;
    let why = "gives the data up when a credential asks for that";
    files.extend(wanted("bedplate-erase.service", erase, "initrd-root-fs.target", why));
    Ok(files)
}

/// Seals the data partition to the key that replaces another.
fn resealed(label: &str) -> Result<Vec<FilePlan>, Unfit> {
    let device = super::disks::locked(label);
    let unit = template!("units/initrd/bedplate-reseal.service", LABEL = label, DEVICE = &device)?;
    let why = "takes the data away from kernel images signed by the former key";
    Ok(wanted("bedplate-reseal.service", unit, "initrd-root-fs.target", why))
}

/// Makes a recovery key of the data partition, for who has the certificate's private key.
fn recoverable(label: &str, certificate: &Certificate) -> Result<Vec<FilePlan>, Unfit> {
    let why = "leaves a recovery key for the owner of the device";
    let device = super::disks::locked(label);
    let unit = template!("units/initrd/bedplate-recovery.service", LABEL = label, DEVICE = &device)?;
    let mut files = vec![
        FilePlan::text(format!("{RULES}/recovery.pem"), &certificate.text, why),
        FilePlan::text(format!("{RULES}/recovery"), template!("scripts/recovery.sh")?, why).mode(0o755),
        FilePlan::text(format!("{RULES}/recovery.conf"), template!("settings/tmpfiles/recovery.conf")?, why),
    ];
    files.extend(wanted("bedplate-recovery.service", unit, "initrd-root-fs.target", why));
    Ok(files)
}

/// Empties the data partition where that was asked for.
fn reset() -> Result<Vec<FilePlan>, Unfit> {
    let text = template!("units/initrd/bedplate-reset.service")?;
    let why = "empties the data partition when that was asked for";
    let mut files = wanted("bedplate-reset.service", text, "initrd-root-fs.target", why);
    for (step, text) in [
        ("begin", template!("settings/tmpfiles/factory-reset-begin.conf")?),
        ("empty", template!("settings/tmpfiles/factory-reset-empty.conf")?),
        ("end", template!("settings/tmpfiles/factory-reset-end.conf")?),
    ] {
        files.push(FilePlan::text(format!("{RULES}/factory-reset-{step}.conf"), text, why));
    }
    Ok(files)
}

/// What is written to the root goes to the data partition; where that is
/// lost, the layer that systemd made in memory stays.
fn persistent() -> Result<Vec<FilePlan>, Unfit> {
    let text = template!("units/initrd/bedplate-overlay-persistent.service")?;
    overlay(text, "/run/bedplate/data/overlay", "the root's writable layer lies on the data partition")
}

/// What is written to the root goes to a bounded part of the memory.
fn in_memory(size: Size) -> Result<Vec<FilePlan>, Unfit> {
    let text = template!("units/initrd/bedplate-overlay-memory.service", BYTES = size.bytes())?;
    let why = "limits what the root's writable layer may take of the memory";
    overlay(text, "/run/bedplate/overlay", why)
}

/// A unit that replaces the overlay of `systemd.volatile=overlay` by one whose upper layer lies in the directory
/// `layer`, and what holds where it fails.
fn overlay(text: String, layer: &str, why: &str) -> Result<Vec<FilePlan>, Unfit> {
    let mut files = wanted("bedplate-overlay.service", text, "initrd-root-fs.target", why);
    let rules = template!("settings/tmpfiles/overlay.conf", LAYER = layer)?;
    files.push(FilePlan::text(format!("{RULES}/overlay.conf"), rules, why));
    let text = template!("units/initrd/bedplate-overlay-lost.service")?;
    let why = "a device whose overlay cannot be mounted starts all the same";
    files.extend(wanted("bedplate-overlay-lost.service", text, "initrd-root-fs.target", why));
    Ok(files)
}

/// The machine id, which lies on the data partition.
fn machine_id(sysroot: &str, mount: &str) -> Result<Vec<FilePlan>, Unfit> {
    let text = template!(
        "units/initrd/bedplate-machine-id.service",
        SYSROOT_UNIT = units([sysroot]),
        MOUNT = mount
    )?;
    let why = "the machine id is the same at every boot, for the first process too";
    let mut files = wanted("bedplate-machine-id.service", text, "initrd-fs.target", why);
    let rules = template!("settings/tmpfiles/machine-id.conf")?;
    files.push(FilePlan::text(format!("{RULES}/machine-id.conf"), rules, why));
    Ok(files)
}

/// A unit, and the link by which a target wants it.
fn wanted(unit: &str, text: String, target: &str, why: &str) -> Vec<FilePlan> {
    vec![
        FilePlan::text(format!("{UNITS}/{unit}"), text, why),
        FilePlan::link(format!("{UNITS}/{target}.wants/{unit}"), format!("../{unit}"), why),
    ]
}

#[cfg(test)]
mod tests {
    /// Patterns of tmpfiles.d(5) for every name but this one, which begins with a dot. They never fit `.` and `..`.
    fn all_but(name: &str) -> impl Iterator<Item = String> {
        let parts_here = name.char_indices().skip(1).flat_map(move |(at, next)| {
            let begun = &name[..at];
            // What begins so and goes on otherwise, and what ends here.
            let otherwise =
                if at == 1 { format!("{begun}[!.{next}]*") } else { format!("{begun}[!{next}]*") };
            [Some(otherwise), (at > 1).then(|| begun.to_string())].into_iter().flatten()
        });
        ["[!.]*".to_string(), "..?*".to_string(), format!("{name}?*")].into_iter().chain(parts_here)
    }

    #[test]
    fn a_reset_removes_all_but_the_order_to_do_so() {
        let rules: String =
            all_but(".factory-reset").map(|names| format!("R /run/bedplate/data/{names}\n")).collect();
        assert_eq!(include_str!("settings/tmpfiles/factory-reset-empty.conf"), rules);
    }
}
