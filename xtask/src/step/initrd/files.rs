//! The configuration of the initrd: udev's rules, the system's kernel module
//! options, and the few files of `/etc` that programs cannot do without.

use bedplate_formats::tree::Node;

use super::Need::{self, Always, Encrypted, Makefs};
use super::cut::Cut;
use super::settings::Setting;

/// Path, need, why.
const FILES: &[(&str, Need, &str)] = &[
    ("/usr/lib/os-release", Always("base-files"), "PID 1 says whose initrd this is"),
    ("/etc/os-release", Always("base-files"), "its other name"),
    ("/usr/lib/systemd/network/99-default.link", Always("udev"), "names of network devices, given once"),
    ("/usr/lib/udev/rules.d/50-udev-default.rules", Always("udev"), "owners and modes"),
    (
        "/usr/lib/udev/rules.d/55-dm.rules",
        Always("dmsetup"),
        "a verity device is announced when it is complete",
    ),
    ("/usr/lib/udev/rules.d/60-block.rules", Always("udev"), "watches block devices for changes"),
    ("/usr/lib/udev/rules.d/60-persistent-storage.rules", Always("udev"), "/dev/disk/by-partuuid"),
    (
        "/usr/lib/udev/rules.d/60-persistent-storage-dm.rules",
        Always("dmsetup"),
        "/dev/mapper/root is a device unit",
    ),
    ("/usr/lib/udev/rules.d/75-net-description.rules", Always("udev"), "names of network devices"),
    ("/usr/lib/udev/rules.d/80-drivers.rules", Always("udev"), "loads modules for what is found"),
    ("/usr/lib/udev/rules.d/80-net-setup-link.rules", Always("udev"), "names of network devices"),
    ("/usr/lib/udev/rules.d/95-dm-notify.rules", Always("dmsetup"), "libdevmapper waits for this"),
    ("/usr/lib/udev/rules.d/99-systemd.rules", Always("systemd"), "device units"),
    ("/etc/mke2fs.conf", Makefs("e2fsprogs"), "what an ext4 is"),
    ("/etc/mke2fs.conf", Encrypted("e2fsprogs"), "what an ext4 is"),
];

/// Takes the files and writes those of `/etc`.
pub(super) fn take(cut: &mut Cut<'_>) -> anyhow::Result<()> {
    for &(path, need, _why) in FILES {
        cut.take(path, need)?;
    }
    // Options and bans of the system hold for modules that are loaded here.
    for directory in ["/usr/lib/modprobe.d", "/usr/local/lib/modprobe.d", "/etc/modprobe.d"] {
        cut.take_directory(directory, ".conf");
    }
    for Setting { path, text } in cut.settings() {
        let node = match text {
            Some(text) => Node::file(text.as_str(), 0o644),
            None => Node::symlink("/dev/null"),
        };
        cut.initrd.insert(path.clone(), node);
    }
    // PID 1 knows by this file that it is in an initrd.
    cut.initrd.insert("/etc/initrd-release".into(), bedplate_formats::tree::Node::symlink("os-release"));
    cut.write("/etc/passwd", "root:x:0:0:root:/root:/usr/sbin/nologin\n", 0o644);
    cut.write("/etc/shadow", "root:!*:::::::\n", 0o600);
    let group = groups(&cut.text("/etc/group")?);
    cut.write("/etc/group", group, 0o644);
    cut.write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\n", 0o644);
    Ok(())
}

/// The system's groups without members: rules give devices to them by name, and
/// the number must be the root's.
fn groups(text: &str) -> String {
    let line = |line: &str| {
        let mut fields = line.split(':');
        let (name, gid) = (fields.next()?, fields.nth(1)?);
        Some(format!("{name}:x:{gid}:\n"))
    };
    text.lines().filter_map(line).collect()
}

/// The files of the table.
#[cfg(test)]
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _need, _why)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_their_numbers_and_lose_their_members() {
        assert_eq!(groups("disk:x:6:operator\nbroken\nkvm:x:103:\n"), "disk:x:6:\nkvm:x:103:\n");
    }
}
