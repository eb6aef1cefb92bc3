//! The table of what is removed from a system, and why.
//!
//! What a device needs all the same is made by the device: see
//! `bedplate_core::plan::IDENTITIES`.

use super::{Action, Rule};

const fn rule(pattern: &'static str, action: Action, why: &'static str) -> Rule {
    Rule { pattern, action, why }
}

/// Everything that is sysprepped, in this order.
pub const RULES: &[Rule] = &[
    rule("etc/machine-id", Action::EmptyFile, "each device makes its own on its first boot, machine-id(5)"),
    rule("var/lib/dbus/machine-id", Action::Remove, "a copy of the machine id; tmpfiles.d makes the link"),
    rule("etc/ssh/ssh_host_*_key", Action::Remove, "a key that all devices share is no key"),
    rule("etc/ssh/ssh_host_*_key.pub", Action::Remove, "it belongs to a key that is removed"),
    rule("etc/ssl/private/ssl-cert-snakeoil.key", Action::Remove, "a key that all devices share is no key"),
    rule("etc/ssl/certs/ssl-cert-snakeoil.pem", Action::Remove, "it belongs to a key that is removed"),
    rule("etc/ssl/certs/*.0", Action::RemoveDangling, "the name of a certificate that is removed"),
    rule("etc/dropbear/dropbear_*_host_key*", Action::Remove, "a key that all devices share is no key"),
    rule(
        "etc/dropbear/initramfs/dropbear_*_host_key*",
        Action::Remove,
        "a key that all devices share is no key",
    ),
    rule("etc/bind/rndc.key", Action::Remove, "a key that all devices share is no key"),
    rule("etc/nvme/hostid", Action::Remove, "the name of one host"),
    rule("etc/nvme/hostnqn", Action::Remove, "the name of one host"),
    rule("etc/iscsi/initiatorname.iscsi", Action::Remove, "the name of one host"),
    rule("var/lib/rabbitmq/.erlang.cookie", Action::Remove, "a key that all devices share is no key"),
    rule("etc/popularity-contest.conf", Action::Remove, "the id of one host"),
    rule("etc/cron.d/popularity-contest", Action::Remove, "the hour of one host"),
    rule("var/lib/dkms/mok.*", Action::Remove, "a key of the build, which signs modules"),
    rule("var/lib/mysql", Action::EmptyDirectory, "a database with an id; each device makes its own"),
    rule("var/lib/postgresql", Action::EmptyDirectory, "a database with an id; each device makes its own"),
    rule("var/lib/systemd/random-seed", Action::Remove, "the same randomness on every device is none"),
    rule("var/lib/systemd/credential.secret", Action::Remove, "a key that all devices share is no key"),
    rule("var/lib/urandom/random-seed", Action::Remove, "the same randomness on every device is none"),
    rule("var/log", Action::RemoveFiles, "the build's logs, with its times"),
    rule("var/cache/apt", Action::RemoveFiles, "made anew by apt, and larger than the packages"),
    rule("var/lib/apt/lists", Action::RemoveFiles, "outdated on the day the image is used"),
    rule("var/cache/ldconfig/aux-cache", Action::Remove, "inode numbers and times of the build machine"),
    rule("var/cache/debconf/*-old", Action::Remove, "a backup of the file beside it"),
    rule("var/lib/dpkg/*-old", Action::Remove, "a backup of the file beside it"),
    rule("var/backups", Action::EmptyDirectory, "backups of dpkg's database"),
    rule(
        "etc/.pwd.lock",
        Action::Remove,
        "the lock under which the build wrote users; made again when one is",
    ),
    rule("etc/passwd-", Action::Remove, "a backup of the file beside it"),
    rule("etc/group-", Action::Remove, "a backup of the file beside it"),
    rule("etc/shadow-", Action::Remove, "a backup of the file beside it"),
    rule("etc/gshadow-", Action::Remove, "a backup of the file beside it"),
    rule("etc/subuid-", Action::Remove, "a backup of the file beside it"),
    rule("etc/subgid-", Action::Remove, "a backup of the file beside it"),
    rule("var/lib/ucf/*.*", Action::Remove, "a backup of the file beside it"),
    rule("var/lib/sgml-base/*.old", Action::Remove, "a backup of the file beside it"),
    rule("etc/xml/*.old", Action::Remove, "a backup of the file beside it"),
    rule("root/.*_history", Action::Remove, "what somebody typed"),
    rule("tmp", Action::EmptyDirectory, "hidden by a tmpfs on the device"),
    rule("var/tmp", Action::EmptyDirectory, "nothing the build left there is of use"),
    rule("run", Action::EmptyDirectory, "hidden by a tmpfs on the device"),
    rule("dev", Action::EmptyDirectory, "hidden by devtmpfs on the device"),
    rule("initrd.img", Action::RemoveDangling, "the initrd is in the unified kernel image"),
    rule("initrd.img.old", Action::RemoveDangling, "the initrd is in the unified kernel image"),
];
