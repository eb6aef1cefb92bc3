//! The units of the initrd: the system's own, less what an initrd has no use
//! for, and one written here.

use bedplate_formats::tree::{Kind, Node, TreePath};

use super::Need::{self, Always, Verity, WhenThere};
use super::cut::Cut;
use super::settings::Setting;

/// Name, need, why. Targets other units hang on need no more reason than that.
const UNITS: &[(&str, Need, &str)] = &[
    ("initrd.target", Always("systemd"), "the default target here"),
    ("initrd-cleanup.service", Always("systemd"), "leaves the initrd's units"),
    ("initrd-fs.target", Always("systemd"), "target"),
    ("initrd-parse-etc.service", Always("systemd"), "mounts of the root's fstab marked x-initrd.mount"),
    ("initrd-root-device.target", Always("systemd"), "target"),
    ("initrd-root-fs.target", Always("systemd"), "target"),
    ("initrd-switch-root.service", Always("systemd"), "enters the root"),
    ("initrd-switch-root.target", Always("systemd"), "target"),
    ("initrd-udevadm-cleanup-db.service", Always("udev"), "the root's udev starts afresh"),
    ("initrd-usr-fs.target", Always("systemd"), "target"),
    ("basic.target", Always("systemd"), "target"),
    ("local-fs-pre.target", Always("systemd"), "target"),
    ("local-fs.target", Always("systemd"), "target"),
    ("paths.target", Always("systemd"), "target"),
    ("slices.target", Always("systemd"), "target"),
    ("sockets.target", Always("systemd"), "target"),
    ("swap.target", Always("systemd"), "target"),
    ("sysinit.target", Always("systemd"), "target"),
    ("timers.target", Always("systemd"), "target"),
    ("tpm2.target", WhenThere, "what measures waits for it, since 256"),
    ("cryptsetup-pre.target", WhenThere, "order of measuring"),
    ("veritysetup-pre.target", Verity("systemd-cryptsetup"), "order of the root's verity"),
    ("veritysetup.target", Verity("systemd-cryptsetup"), "pulls in the root's verity"),
    ("system-systemd\\x2dveritysetup.slice", WhenThere, "where the root's verity runs"),
    ("systemd-volatile-root.service", Always("systemd"), "systemd.volatile="),
    ("systemd-journald.service", Always("systemd"), "the log"),
    ("systemd-journald.socket", Always("systemd"), "the log"),
    ("systemd-journald-dev-log.socket", Always("systemd"), "the log"),
    ("systemd-udevd.service", Always("udev"), "devices"),
    ("systemd-udevd-control.socket", Always("udev"), "devices"),
    ("systemd-udevd-kernel.socket", Always("udev"), "devices"),
    ("systemd-udev-trigger.service", Always("udev"), "devices that were there before udev"),
    ("systemd-modules-load.service", Always("systemd"), "rd.modules_load="),
    ("kmod-static-nodes.service", Always("systemd"), "/dev/mapper/control before dm-mod is loaded"),
    ("systemd-tmpfiles-setup-dev-early.service", WhenThere, "static device nodes, since 255"),
    ("systemd-tmpfiles-setup-dev.service", Always("systemd"), "static device nodes"),
    ("modprobe@.service", Always("systemd"), "generated units want modules by it"),
    ("systemd-pcrphase-initrd.service", WhenThere, "PCR 11: enter-initrd, leave-initrd"),
    ("emergency.target", Always("systemd"), "what every failure leads to"),
    ("ctrl-alt-del.target", Always("systemd"), "a person at the keyboard restarts"),
    ("reboot.target", Always("systemd"), "restarting"),
    ("systemd-reboot.service", Always("systemd"), "restarting"),
    ("poweroff.target", Always("systemd"), "a power button, a hypervisor's request"),
    ("systemd-poweroff.service", Always("systemd"), "a power button, a hypervisor's request"),
    ("final.target", Always("systemd"), "target"),
    ("shutdown.target", Always("systemd"), "target"),
    ("umount.target", Always("systemd"), "target"),
];

/// Nobody can log in to an initrd, and a device on a pole has nobody before
/// it: a failed boot is told on the consoles and tried again, by then perhaps
/// from the other slot.
const EMERGENCY: &str = include_str!("units/emergency.service");

/// What is not asked for here.
const TRIGGER: &str = include_str!("units/systemd-udev-trigger.conf");

const DIRECTORY: &str = "/usr/lib/systemd/system";

/// Takes the units, and of the `.wants` of the system those between them.
pub(super) fn take(cut: &mut Cut<'_>) -> anyhow::Result<()> {
    let directory = TreePath::new(DIRECTORY);
    let mut taken = Vec::new();
    for &(name, need, _why) in UNITS {
        if cut.take(&format!("{DIRECTORY}/{name}"), need)? {
            taken.push(name);
            cut.take_directory(&format!("{DIRECTORY}/{name}.d"), ".conf");
        }
    }
    let links: Vec<(TreePath, Vec<u8>)> = cut
        .system
        .below(&directory)
        .filter_map(|(path, node)| match &node.kind {
            Kind::Symlink(target) => Some((path.clone(), target.clone())),
            _ => None,
        })
        .collect();
    for (path, target) in links {
        let [.., wanting, wanted] = &path.components().collect::<Vec<_>>()[..] else { continue };
        let wanting = wanting.strip_suffix(b".wants").or_else(|| wanting.strip_suffix(b".requires"));
        let has = |unit: &[u8]| taken.iter().any(|name| name.as_bytes() == unit);
        if wanting.is_some_and(has) && has(wanted) {
            cut.initrd.insert(path.clone(), Node::symlink(target));
        }
    }
    cut.write(&format!("{DIRECTORY}/emergency.service"), EMERGENCY, 0o644);
    // A rule of the description may be about anything.
    if !cut.settings().iter().any(Setting::is_rule) {
        cut.write(&format!("{DIRECTORY}/systemd-udev-trigger.service.d/bedplate.conf"), TRIGGER, 0o644);
    }
    cut.initrd.insert(directory.join("default.target"), Node::symlink("initrd.target"));
    Ok(())
}

/// The units of the table.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    UNITS.iter().map(|(name, _need, _why)| *name)
}
