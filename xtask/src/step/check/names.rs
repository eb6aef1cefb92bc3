//! Files in directories of settings have names that their program reads.

use bedplate_core::{Diagnostic, Rule, example};
use bedplate_formats::tree::TreePath;

use super::{Findings, Subject};

pub(super) static FILE_NOBODY_READS: Rule = Rule {
    code: "file-nobody-reads",
    title: "a file in a directory of settings has a name that is read",
    why: "Programs with a directory of settings read the files whose names fit, and leave out all others without a \
          word: sudo those with a dot or at the end a tilde, sshd and most others those that do not end in .conf, \
          cron those with a dot.",
    wrong: example!(|device| device
        .file("/etc/sudoers.d/operators.conf", "%operators ALL=(ALL) NOPASSWD: /usr/bin/true\n")),
    right: example!(
        |device| device.file("/etc/sudoers.d/operators", "%operators ALL=(ALL) NOPASSWD: /usr/bin/true\n")
    ),
};

/// Directories, and how the names in them must end.
const ENDINGS: [(&str, &[&str]); 36] = [
    ("etc/ssh/sshd_config.d", &[".conf"]),
    ("etc/ssh/ssh_config.d", &[".conf"]),
    ("etc/sysctl.d", &[".conf"]),
    ("usr/lib/sysctl.d", &[".conf"]),
    ("etc/modules-load.d", &[".conf"]),
    ("usr/lib/modules-load.d", &[".conf"]),
    ("etc/modprobe.d", &[".conf"]),
    ("usr/lib/modprobe.d", &[".conf"]),
    ("etc/tmpfiles.d", &[".conf"]),
    ("usr/lib/tmpfiles.d", &[".conf"]),
    ("etc/sysusers.d", &[".conf"]),
    ("usr/lib/sysusers.d", &[".conf"]),
    ("etc/binfmt.d", &[".conf"]),
    ("etc/udev/rules.d", &[".rules"]),
    ("usr/lib/udev/rules.d", &[".rules"]),
    ("etc/udev/hwdb.d", &[".hwdb"]),
    ("usr/lib/udev/hwdb.d", &[".hwdb"]),
    ("etc/ld.so.conf.d", &[".conf"]),
    ("etc/netplan", &[".yaml"]),
    ("usr/lib/netplan", &[".yaml"]),
    ("etc/systemd/network", &[".network", ".netdev", ".link"]),
    ("usr/lib/systemd/network", &[".network", ".netdev", ".link"]),
    ("etc/systemd/system.conf.d", &[".conf"]),
    ("etc/systemd/journald.conf.d", &[".conf"]),
    ("etc/systemd/logind.conf.d", &[".conf"]),
    ("etc/systemd/resolved.conf.d", &[".conf"]),
    ("etc/systemd/timesyncd.conf.d", &[".conf"]),
    ("etc/systemd/networkd.conf.d", &[".conf"]),
    ("etc/systemd/sleep.conf.d", &[".conf"]),
    ("etc/systemd/coredump.conf.d", &[".conf"]),
    ("etc/systemd/system-preset", &[".preset"]),
    ("usr/lib/systemd/system-preset", &[".preset"]),
    ("etc/profile.d", &[".sh"]),
    ("etc/NetworkManager/system-connections", &[".nmconnection"]),
    ("etc/NetworkManager/conf.d", &[".conf"]),
    ("etc/polkit-1/rules.d", &[".rules"]),
];

/// Directories in which a name with a dot is left out.
const WITHOUT_DOTS: [&str; 7] = [
    "etc/sudoers.d",
    "etc/cron.d",
    "etc/cron.hourly",
    "etc/cron.daily",
    "etc/cron.weekly",
    "etc/cron.monthly",
    "etc/update-motd.d",
];

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    for (directory, endings) in ENDINGS {
        unread(subject, directory, found, |name| {
            let fits = endings.iter().any(|ending| name.ends_with(ending));
            let (stem, _) = name.split_once('.').unwrap_or((name, ""));
            (!fits).then(|| format!("{stem}{}", endings[0]))
        });
    }
    misplaced_units(subject, found);
    for directory in WITHOUT_DOTS {
        unread(subject, directory, found, |name| name.contains('.').then(|| name.replace('.', "-")));
    }
}

/// Files of the description in a directory, for whose name there is a better one.
fn unread(
    subject: &Subject<'_>,
    directory: &str,
    found: &mut Findings,
    better: impl Fn(&str) -> Option<String>,
) {
    let directory = TreePath::new(directory);
    for (path, _) in subject.origins.below(&directory) {
        if path.depth() != directory.depth() + 1 {
            continue;
        }
        let name = String::from_utf8_lossy(path.name().unwrap_or_default()).into_owned();
        if said_to_be_unread(&name) {
            continue;
        }
        let Some(better) = better(&name) else { continue };
        let message = format!("nobody reads `{path}`: the name does not fit");
        let help = format!("call it `{}`", directory.join(better));
        let mistake = Diagnostic::new(FILE_NOBODY_READS.code, message).help(help);
        found.mistake(subject.blame(mistake, path, 1));
    }
}

/// Units beside the directory in which systemd looks for them.
fn misplaced_units(subject: &Subject<'_>, found: &mut Findings) {
    const KINDS: [&str; 8] =
        [".service", ".socket", ".timer", ".target", ".mount", ".automount", ".path", ".slice"];
    for directory in ["etc/systemd", "usr/lib/systemd", "usr/local/lib/systemd"] {
        unread(subject, directory, found, |name| {
            KINDS.iter().any(|kind| name.ends_with(kind)).then(|| format!("system/{name}"))
        });
    }
}

/// Names by which people say themselves that a file is for nobody.
pub(super) fn said_to_be_unread(name: &str) -> bool {
    let ends = [".disabled", ".example", ".sample", ".bak", ".orig", ".off", ".md", ".txt", "~"];
    name.starts_with('.')
        || name.to_ascii_uppercase().starts_with("README")
        || ends.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::check::tests::{refusal, refused};
    use expect_test::expect;

    #[test]
    fn a_name_with_a_dot_is_not_for_sudo() {
        expect![[r#"
            error[file-nobody-reads]: nobody reads `/etc/sudoers.d/operators.conf`: the name does not fit
              --> xtask/src/step/check/names.rs:LL:CC
               |
            LL |     .file("/etc/sudoers.d/operators.conf", "%operators ALL=(ALL) NOPASSWD: /usr/bin/true\n")),
               |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |      line 1: `%operators ALL=(ALL) NOPASSWD: /usr/bin/true`
               |
               = help: call it `/etc/sudoers.d/operators-conf`
        "#]].assert_eq(&refusal(&FILE_NOBODY_READS, include_str!("names.rs")));
    }

    #[test]
    fn each_program_has_names_of_its_own() {
        let found = refused(|image| {
            image
                .file("/etc/sysctl.d/10-router", "net.ipv4.ip_forward = 1\n")
                .file("/etc/systemd/network/lan.conf", "[Match]\nName=eth0\n")
                .file("/etc/cron.d/README", "…\n")
                .file("/etc/sysctl.d/20-x.conf.disabled", "x\n")
        });
        assert!(found.contains("call it `/etc/sysctl.d/10-router.conf`"), "{found}");
        assert!(found.contains("call it `/etc/systemd/network/lan.network`"), "{found}");
        assert_eq!(found.matches("error[").count(), 2, "{found}");
        let found = refused(|image| image.file("/etc/systemd/agent.service", "[Service]\nExecStart=true\n"));
        assert!(found.contains("call it `/etc/systemd/system/agent.service`"), "{found}");
    }
}
