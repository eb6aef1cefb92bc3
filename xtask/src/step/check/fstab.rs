//! `/etc/fstab` of the description: no line of it keeps a device from starting.
//!
//! <https://www.freedesktop.org/software/systemd/man/latest/systemd.mount.html#fstab>

use bedplate_core::{Diagnostic, Rule, SourceLocation, example};
use bedplate_formats::tree::TreePath;

use super::{Findings, Subject};

pub(super) static MALFORMED_FSTAB: Rule = Rule {
    code: "malformed-fstab",
    title: "a line of fstab has a device, a mount point, a type and options",
    why: "systemd leaves out a line that it cannot read, and what was to be mounted is not.",
    wrong: example!(|device| device.file("/etc/fstab", "tmpfs /srv\n")),
    right: example!(|device| device.file("/etc/fstab", "tmpfs /srv tmpfs nosuid,nodev 0 0\n")),
};

pub(super) static MOUNT_OF_NO_DEVICE: Rule = Rule {
    code: "mount-of-no-device",
    title: "a disk in fstab that may be missing has the option nofail",
    why: "A device waits 90 seconds for a disk that fstab names, and then stops in emergency mode. Nobody can log in \
          there, because root is locked. The build knows the partitions of its own disk alone: any other one is said \
          to be optional with `nofail`, or is left out at boot with `noauto`. The device's own data partition needs \
          no line; the plan mounts it.",
    wrong: example!(|device| device
        .file("/etc/fstab", "UUID=7b0c9bd4-05b1-4d1a-ad8d-2c8a3ff1f3f0 /srv ext4 defaults 0 2\n")),
    right: example!(|device| device
        .file("/etc/fstab", "UUID=7b0c9bd4-05b1-4d1a-ad8d-2c8a3ff1f3f0 /srv ext4 nofail 0 2\n")),
};

pub(super) static MOUNT_OF_THE_PLAN: Rule = Rule {
    code: "mount-of-the-plan",
    title: "fstab does not mount where the plan does",
    why: "The root, the data partitions and what is kept are mounted by generated units, in an order that shows no \
          service an empty directory. A line of fstab for the same mount point takes the place of one, or covers it.",
    wrong: example!(|device| device.file("/etc/fstab", "PARTLABEL=persistent /local ext4 defaults 0 2\n")),
    right: example!(|device| device),
};

/// One line that is no comment.
struct Line<'a> {
    number: u32,
    device: &'a str,
    mount: String,
    kind: &'a str,
    options: Vec<&'a str>,
}

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    let path = TreePath::new("etc/fstab");
    // The packages' own has no line, or none that a person can change.
    if subject.origins.of(&path).is_none() {
        return;
    }
    let text = subject.text(&path);
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mistake = match parse(number, line) {
            Some(line) => of_the_plan(subject, &line).or_else(|| no_device(subject, &line)),
            None => {
                let message = format!("`{line}` is no line of `/etc/fstab`");
                let help = "write device, mount point, type and options, with blanks between them";
                Some(Diagnostic::new(MALFORMED_FSTAB.code, message).help(help))
            }
        };
        found.mistakes.extend(mistake.map(|mistake| subject.blame(mistake, &path, number)));
    }
}

fn parse(number: u32, line: &str) -> Option<Line<'_>> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [device, mount, kind, ref rest @ ..] = fields[..] else { return None };
    let options = rest.first().unwrap_or(&"defaults").split(',').collect();
    let known = mount.starts_with('/') || kind == "swap" && matches!(mount, "none" | "swap");
    let mount = mount.replace("\\040", " ");
    known.then_some(Line { number, device, mount, kind, options })
}

fn of_the_plan(subject: &Subject<'_>, line: &Line<'_>) -> Option<Diagnostic> {
    if line.kind == "swap" {
        return None;
    }
    let mount = match line.mount.trim_end_matches('/') {
        "" => "/",
        mount => mount,
    };
    let plan = subject.plan;
    let own = |what: &str, at: Option<&SourceLocation>| {
        let message = format!("line {} of `/etc/fstab` mounts `{mount}`, {what}", line.number);
        let mistake = Diagnostic::new(MOUNT_OF_THE_PLAN.code, message).help("remove the line");
        match at {
            Some(at) => mistake.related(at, "mounted for this"),
            None => mistake,
        }
    };
    if mount == "/" {
        return Some(own("which the initrd mounts", None));
    }
    if let Some(data) = plan.disk.data.iter().find(|data| data.mount.as_deref() == Some(mount)) {
        return Some(own("a data partition's mount point", data.partition.at.as_ref()));
    }
    let bind = plan.binds.iter().find(|bind| bind.path == mount)?;
    Some(own("which is kept", bind.at.as_ref()))
}

fn no_device(subject: &Subject<'_>, line: &Line<'_>) -> Option<Diagnostic> {
    let has = |option: &str| line.options.contains(&option);
    let optional = has("nofail") || has("noauto") || has("x-systemd.automount");
    // What comes over the network is waited for by nothing that a device needs to start.
    let network = has("_netdev") || ["nfs", "nfs4", "cifs", "sshfs", "fuse.sshfs", "9p"].contains(&line.kind);
    if optional || network || !names_disk(line) || of_the_disk(subject, line.device) {
        return None;
    }
    let bound = has("bind") || has("rbind") || line.kind == "none";
    let (message, help) = if bound || line.device.starts_with('/') && !line.device.starts_with("/dev/") {
        let source = TreePath::new(line.device);
        if subject.tree.resolve(&source).is_some() || subject.comes_later(line.device) {
            return None;
        }
        (
            format!("`{}` is to be mounted, but is not in the image", line.device),
            "add `nofail`, or remove the line",
        )
    } else {
        let message = format!("a device without `{}` does not start", line.device);
        (message, "add `nofail` to its options")
    };
    Some(Diagnostic::new(MOUNT_OF_NO_DEVICE.code, message).help(help))
}

/// Whether the first field is something on a disk, and no file system of the kernel's own.
fn names_disk(line: &Line<'_>) -> bool {
    line.device.starts_with('/') || line.device.contains('=')
}

/// Whether a partition of the image is meant.
fn of_the_disk(subject: &Subject<'_>, device: &str) -> bool {
    let by_path = device.strip_prefix("/dev/disk/by-").and_then(|rest| rest.split_once('/'));
    let Some((tag, value)) = by_path.or_else(|| device.split_once('=')) else { return false };
    let value = value.trim_matches('"');
    let disk = &subject.plan.disk;
    match tag.to_ascii_lowercase().as_str() {
        "partlabel" => disk.partition(value).is_some(),
        "label" => {
            disk.esp.volume_label == value || disk.data.iter().any(|data| data.partition.label == value)
        }
        "uuid" => disk.data.iter().any(|data| data.uuid.to_string() == value.to_ascii_lowercase()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::check::tests::{refusal, refused};
    use expect_test::expect;

    const SOURCE: &str = include_str!("fstab.rs");

    #[test]
    fn a_line_that_cannot_be_read_is_told() {
        expect![[r#"
            error[malformed-fstab]: `tmpfs /srv` is no line of `/etc/fstab`
              --> xtask/src/step/check/fstab.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.file("/etc/fstab", "tmpfs /srv\n")),
               |                                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ line 1: `tmpfs /srv`
               |
               = help: write device, mount point, type and options, with blanks between them
        "#]]
        .assert_eq(&refusal(&MALFORMED_FSTAB, SOURCE));
    }

    #[test]
    fn an_unknown_disk_without_nofail_is_refused() {
        expect![[r#"
            error[mount-of-no-device]: a device without `UUID=7b0c9bd4-05b1-4d1a-ad8d-2c8a3ff1f3f0` does not
                   start
              --> xtask/src/step/check/fstab.rs:LL:CC
               |
            LL |     .file("/etc/fstab", "UUID=7b0c9bd4-05b1-4d1a-ad8d-2c8a3ff1f3f0 /srv ext4 defaults 0 2\n")),
               |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |      line 1: `UUID=7b0c9bd4-05b1-4d1a-ad8d-2c8a3ff1f3f0 /srv ext4 defaults 0 2`
               |
               = help: add `nofail` to its options
        "#]].assert_eq(&refusal(&MOUNT_OF_NO_DEVICE, SOURCE));
    }

    #[test]
    fn what_the_plan_mounts_is_mounted_once() {
        expect![[r#"
            error[mount-of-the-plan]: line 1 of `/etc/fstab` mounts `/local`, a data partition's mount point
              --> xtask/src/step/check/fstab.rs:LL:CC
               |
            LL | …ample!(|device| device.file("/etc/fstab", "PARTLABEL=persistent /local ext4 defaults 0 2\n")),
               |                         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |                         line 1: `PARTLABEL=persistent /local ext4 defaults 0 2`
              ::: xtask/core/src/rule.rs:LL:CC
               = mounted for this
               |
               = help: remove the line
        "#]].assert_eq(&refusal(&MOUNT_OF_THE_PLAN, SOURCE));
    }

    #[test]
    fn what_is_there_or_may_be_missing_is_right() {
        let text = "# a comment\n\ntmpfs /tmp tmpfs size=64M 0 0\nPARTLABEL=persistent /srv ext4 ro 0 0\n\
                    /dev/sdb1 /media ext4 noauto 0 0\nserver:/x /mnt nfs defaults 0 0\n\
                    /usr/bin /opt none bind 0 0\n/local/x /x none bind 0 0\n/local/swap none swap sw 0 0\n";
        assert_eq!(refused(|image| image.file("/etc/fstab", text)), "");
        let wrong = "/usr/nothing /opt none bind 0 0\n/dev/sdb1 none swap sw 0 0\n/dev/root / ext4 ro 0 1\n";
        let found = refused(|image| image.file("/etc/fstab", wrong));
        assert_eq!(found.matches("error[").count(), 3, "{found}");
    }
}
