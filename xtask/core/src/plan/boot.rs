//! The kernel's command line, and the names of what comes out.

use super::{ArtifactNames, DiskPlan, PartitionGuid, SettingPlan, hardening};
use crate::image::Image;
use crate::image::target::Architecture;
use crate::image::volatile::Volatile;

/// What follows from the description, then what it says itself, in its order:
/// the last `console=` is the one systemd speaks on.
///
/// `ro` also with the overlay: it is the lower file system that is meant, and
/// with `rw` systemd-remount-fs would be asked to remount an overlay.
pub(super) fn command_line(image: &Image, disk: &DiskPlan, settings: &[SettingPlan]) -> Vec<String> {
    let root = &disk.root;
    let mut arguments = super::updates::arguments(disk);
    if let (PartitionGuid::Fixed(guid), None) = (root.partition.guid, &root.verity) {
        arguments.push(format!("root=PARTUUID={guid}"));
    }
    let writable = !root.filesystem.is_read_only() && image.volatile == Volatile::None;
    arguments.push(if writable { "rw" } else { "ro" }.to_string());
    // With a size, or kept, a unit of ours in the initrd replaces it (`initrd.rs`).
    if image.volatile != Volatile::None {
        arguments.push("systemd.volatile=overlay".to_string());
    }
    // A device gives its disk ids of its own: when the power goes while the first copy of the partition table is
    // written, the kernel reads the second one only if it is told to.
    if image.kept_on().is_some() {
        arguments.push("gpt".to_string());
    }
    arguments.extend(hardening::arguments(settings));
    arguments.extend(image.arguments.iter().map(|argument| argument.text().to_string()));
    arguments
}

/// The seed's names: a script that picks up mkosi's artifacts picks up these.
pub(super) fn artifacts(image: &Image, disk: &DiskPlan, architecture: Architecture) -> ArtifactNames {
    let root = format!("image.root-{}", architecture.systemd());
    let data = disk.data.iter().filter(|data| !data.encrypted).enumerate().map(|(index, data)| match index {
        0 => "image.linux-generic.raw".to_string(),
        _ => format!("image.linux-generic-{}.raw", data.partition.label),
    });
    ArtifactNames {
        disk: "image.raw".to_string(),
        disk_link: "image".to_string(),
        uki: "image.efi".to_string(),
        esp: "image.esp.raw".to_string(),
        initrd: "image.initrd".to_string(),
        initrd_cpio: "initrd.cpio.zst".to_string(),
        initrd_link: "initrd".to_string(),
        kernel: "image.vmlinuz".to_string(),
        verity: disk.root.verity.as_ref().map(|_| format!("{root}-verity.raw")),
        root: format!("{root}.raw"),
        uki_slot: disk.slots.as_ref().map(|_| "image.uki.raw".to_string()),
        data: data.collect(),
        pcrs: "image.pcrs.json".to_string(),
        nitro: "image.nitro.json".to_string(),
        uefi_data: image.secure_boot.as_ref().map(|_| "image.uefi-data.aws".to_string()),
        unsigned: super::trust::unsigned(image),
        manifest: "image.manifest".to_string(),
        spdx: "image.spdx.json".to_string(),
        cyclonedx: "image.cdx.json".to_string(),
        provenance: "image.provenance.json".to_string(),
        checksums: "image.SHA256SUMS".to_string(),
        log: "image.log".to_string(),
    }
}
