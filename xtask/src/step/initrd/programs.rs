//! The programs of the initrd, and the libraries they need.

use anyhow::bail;
use bedplate_formats::elf::{Dlopen, Libraries, Priority};
use bedplate_formats::tree::{Node, Tree, TreePath};

use super::Need::{
    self, Always, Encrypted, Makefs, Persistent, Recovery, Reseals, Slots, Verity, WhenThere, Writable,
};
use super::cut::Cut;

/// Path, need, why.
const PROGRAMS: &[(&str, Need, &str)] = &[
    ("/usr/lib/systemd/systemd", Always("systemd"), "PID 1, by the link /init"),
    ("/usr/lib/systemd/systemd-executor", WhenThere, "starts every service, since 255"),
    ("/usr/lib/systemd/systemd-journald", Always("systemd"), "the log of the initrd goes on in the root"),
    ("/usr/lib/systemd/systemd-modules-load", Always("systemd"), "modules_load= on the command line"),
    ("/usr/lib/systemd/systemd-sysctl", Always("systemd"), "99-systemd.rules calls it for network devices"),
    ("/usr/lib/systemd/systemd-shutdown", Always("systemd"), "restarting from a failed boot"),
    ("/usr/lib/systemd/systemd-sysroot-fstab-check", WhenThere, "initrd-parse-etc.service, since 254"),
    ("/usr/lib/systemd/systemd-veritysetup", Verity("systemd-cryptsetup"), "roothash="),
    ("/usr/lib/systemd/systemd-volatile-root", Always("systemd"), "systemd.volatile="),
    ("/usr/lib/systemd/systemd-pcrextend", WhenThere, "measures that the initrd is entered and left"),
    (
        "/usr/lib/systemd/system-generators/systemd-debug-generator",
        Always("systemd"),
        "rd.systemd.mask= and wants=",
    ),
    ("/usr/lib/systemd/system-generators/systemd-fstab-generator", Always("systemd"), "root= and volatile="),
    (
        "/usr/lib/systemd/system-generators/systemd-tpm2-generator",
        WhenThere,
        "waits for a TPM with a late driver",
    ),
    (
        "/usr/lib/systemd/system-generators/systemd-veritysetup-generator",
        Verity("systemd-cryptsetup"),
        "roothash=",
    ),
    ("/usr/lib/systemd/systemd-udevd", Always("udev"), "block devices and their names"),
    ("/usr/lib/udev/ata_id", WhenThere, "60-persistent-storage.rules"),
    ("/usr/lib/udev/scsi_id", WhenThere, "60-persistent-storage.rules"),
    ("/usr/bin/udevadm", Always("udev"), "coldplug"),
    ("/usr/bin/systemctl", Always("systemd"), "the units of the initrd go on by it"),
    ("/usr/bin/systemd-tmpfiles", Always("systemd"), "static device nodes"),
    ("/usr/bin/journalctl", Always("systemd"), "says on the consoles why a boot failed"),
    ("/usr/bin/kmod", Always("kmod"), "static device nodes"),
    ("/usr/sbin/modprobe", Always("kmod"), "the kernel asks for file systems and ciphers by it"),
    ("/usr/bin/mount", Always("mount"), "mount units"),
    ("/usr/bin/umount", Always("mount"), "mount units"),
    ("/usr/bin/sh", Always("dash"), "the script that tells the booted disk from its copies"),
    ("/usr/bin/od", Always("coreutils"), "that script reads the firmware's variables with it"),
    ("/usr/bin/cat", Slots("coreutils"), "reads what the root starts with"),
    ("/usr/bin/mv", Slots("coreutils"), "gives a kernel image up that cannot start its root"),
    ("/usr/sbin/dmsetup", Verity("dmsetup"), "55-dm.rules; libdevmapper waits for its answer"),
    ("/usr/lib/systemd/systemd-fsck", Writable("systemd"), "the service fstab-generator writes for the root"),
    ("/usr/sbin/fsck", Writable("util-linux"), "systemd-fsck calls it"),
    ("/usr/sbin/fsck.ext4", Writable("e2fsprogs"), "fsck calls it"),
    ("/usr/sbin/fsck.ext4", Persistent("e2fsprogs"), "the data partition is checked"),
    (
        "/usr/bin/systemd-machine-id-setup",
        Persistent("systemd"),
        "the first boot of a device gives it its id",
    ),
    ("/usr/lib/systemd/systemd-makefs", Makefs("systemd"), "formats a data partition"),
    ("/usr/sbin/mkfs.ext4", Makefs("e2fsprogs"), "systemd-makefs calls it"),
    ("/usr/sbin/mkfs.ext4", Encrypted("e2fsprogs"), "systemd-repart calls it"),
    ("/usr/bin/systemd-repart", Encrypted("systemd-repart"), "makes the encrypted data partition"),
    ("/usr/bin/systemd-cryptsetup", Encrypted("systemd-cryptsetup"), "opens it"),
    ("/usr/bin/systemd-cryptenroll", Recovery("systemd-cryptsetup"), "makes its recovery key"),
    ("/usr/bin/systemd-cryptenroll", Reseals("systemd-cryptsetup"), "seals it to another key"),
    ("/usr/bin/openssl", Recovery("openssl"), "encrypts the recovery key to its owner"),
];

/// Libraries opened by names that no note tells: by releases whose systemd has
/// no notes yet, and by libtss2, which chooses its transport at run time.
const LIBRARIES: &[(&str, &str)] = &[
    ("libcryptsetup.so.12", "systemd-veritysetup before 256"),
    ("libkmod.so.2", "udevd before 256"),
    ("libtss2-esys.so.0", "measuring before 256"),
    ("libtss2-mu.so.0", "measuring before 256"),
    ("libtss2-rc.so.0", "measuring before 256"),
    ("libtss2-tcti-device.so.0", "libtss2's way to /dev/tpmrm0"),
];

/// What libcryptsetup opens by the name of a token that is on the volume: without it there is "no passphrase".
const TOKEN: &str = "cryptsetup/libcryptsetup-token-systemd-tpm2.so";

/// Features of systemd whose libraries come along where the system has them,
/// though they are only suggested.
const FEATURES: &[(&str, &str)] = &[
    ("cryptsetup", "dm-verity"),
    ("kmod", "udev loads modules in its own process"),
    ("tpm", "measured boot"),
];

/// What the root starts with: where one of these cannot be read, the kernel panics or nothing is told.
const FIRST: [&str; 3] = ["/usr/lib/systemd/systemd", "/usr/lib/systemd/systemd-executor", "/usr/bin/sh"];
/// The list of these files and of what they load, by which `root-reads.sh` reads them before the root is entered.
const FIRST_FILES: &str = "/usr/lib/bedplate/first-files";

/// Takes the programs and everything they load.
pub(super) fn take(cut: &mut Cut<'_>) -> anyhow::Result<()> {
    let mut programs = Vec::new();
    for &(path, need, _why) in PROGRAMS {
        if cut.take(path, need)? {
            programs.push(TreePath::new(path));
        }
    }
    let libraries = Libraries::of(cut.system)?;
    programs.extend(LIBRARIES.iter().filter_map(|(name, _why)| libraries.find(name)));
    if cut.options.features.encrypted {
        let beside = libraries.find("libcryptsetup.so.12").and_then(|library| library.parent());
        let token = beside.map(|directory| directory.join(TOKEN));
        match token.filter(|token| cut.take_file(token)) {
            Some(token) => programs.push(token),
            None => bail!("`{TOKEN}` is not in the system: the image needs the package `systemd-cryptsetup`"),
        }
    }
    for path in libraries.closure(&programs, wanted)? {
        if !cut.take_file(&path) {
            bail!("`{path}` vanished from the system");
        }
    }
    if cut.options.features.slots {
        let first: Vec<_> =
            FIRST.map(TreePath::new).into_iter().filter(|path| programs.contains(path)).collect();
        let files = libraries.closure(&first, |_| false)?;
        let real = files.iter().filter_map(|path| Some(format!("{}\n", cut.system.resolve(path)?.0)));
        let list = Node::file(real.collect::<String>(), 0o644);
        cut.initrd.insert(FIRST_FILES.into(), list);
    }
    cut.initrd.insert("/init".into(), Node::symlink("usr/lib/systemd/systemd"));
    Ok(())
}

/// Whether a library that is opened at run time belongs in.
fn wanted(note: &Dlopen) -> bool {
    match note.priority {
        Priority::Required => true,
        // Modules lie uncompressed in the initrd.
        Priority::Recommended => note.feature != "xz",
        Priority::Suggested => FEATURES.iter().any(|(feature, _why)| *feature == note.feature),
    }
}

/// Whether an initrd of the system has a program: one of the table by any of
/// its names, or with what links lead to.
pub(super) fn has(system: &Tree, program: &str) -> bool {
    let real = |path: &str| system.resolve(&path.into()).map(|(path, _)| path);
    let Some(wanted) = real(program) else { return false };
    PROGRAMS.iter().any(|(path, ..)| real(path).is_some_and(|path| path == wanted))
}

/// The programs of the table.
#[cfg(test)]
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().map(|(name, _need, _why)| *name)
}
