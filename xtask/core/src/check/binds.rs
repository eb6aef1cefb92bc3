//! Rules of what is kept.

use super::partitions::SYSTEM;
use super::repeated;
use crate::diagnostic::Diagnostic;
use crate::image::Image;
use crate::image::bind::Bind;
use crate::image::bind::BindKind;
use crate::location::At;
use crate::plan::template::{fits_script, fits_unit};
use crate::rule::{Rule, example};
use crate::value::DevicePath;

pub(crate) static BIND_WITHOUT_DATA: Rule = Rule {
    code: "bind-without-data",
    title: "what is kept needs a data partition to be kept on",
    why: "A bind is a directory of the data partition, mounted over a directory of the root. Without a data partition \
          that is mounted somewhere there is nothing to keep it on.",
    wrong: example!(|system| system.bind("/greengrass")),
    right: example!(|device| device.bind("/greengrass")),
};

pub(crate) static BOUND_TWICE: Rule = Rule {
    code: "bound-twice",
    title: "a directory is bound once",
    why: "Both would become one mount unit, and one of them may be seeded and the other not. When two reusable pieces \
          keep the same directory, keep it in the piece they share.",
    wrong: example!(|device| device.bind("/greengrass").bind("/greengrass")),
    right: example!(|device| device.bind("/greengrass")),
};

pub(crate) static BIND_BELOW_BIND: Rule = Rule {
    code: "bind-below-bind",
    title: "no bind lies below another",
    why: "All of the outer directory is kept already. The inner bind would be mounted over a part of it, and what is \
          written there would be in another place of the data partition than it looks.",
    wrong: example!(|device| device.bind("/var/lib/docker").bind("/var/lib/docker/volumes")),
    right: example!(|device| device.bind("/var/lib/docker")),
};

pub(crate) static BIND_OF_SYSTEM: Rule = Rule {
    code: "bind-of-system",
    title: "a bind keeps a directory of data, not the system",
    why: "A kept /usr, /etc or /var is the system of the day it was first started, for ever: an update changes the \
          root, and the bind hides it. And what decides how a device starts would not be verified any more. Keep the \
          directories that data is in.",
    wrong: example!(|device| device.bind("/etc")),
    right: example!(|device| device.bind(Bind::new("/etc/amazon/ssm").seeded())),
};

pub(crate) static BIND_ON_DATA: Rule = Rule {
    code: "bind-on-data",
    title: "a bind does not lie on the data partition",
    why: "What is below the place the data partition is mounted at is kept in any case, and a bind that covers that \
          place would hide the partition from itself.",
    wrong: example!(|device| device.bind("/local/greengrass")),
    right: example!(|device| device.bind("/greengrass")),
};

pub(crate) static MODE_OUT_OF_RANGE: Rule = Rule {
    code: "mode-out-of-range",
    title: "what is kept has permissions, and is not everybody's to change",
    why: "Permissions are an octal number of four digits, `0o755`; without `0o` it is another number. And a directory \
          everybody may write to without the sticky bit is one in which everybody may remove what others keep, for \
          as long as the device lives.",
    wrong: example!(|device| device.bind(Bind::new("/var/lib/agent").mode(0o777))),
    right: example!(|device| device.bind(Bind::new("/var/lib/agent").mode(0o750))),
};

pub(crate) static FILE_EXECUTABLE: Rule = Rule {
    code: "file-executable",
    title: "a kept file is no program",
    why: "A program comes with the image, where it is verified. One that a device keeps for itself would be run \
          unverified for ever. A directory may hold programs when a service must bring its own: say so of the directory.",
    wrong: example!(|device| device.bind(Bind::file("/opt/agent/run").executable())),
    right: example!(|device| device.bind(Bind::new("/opt/agent").executable())),
};

pub(crate) static PATH_TO_BE_QUOTED: Rule = Rule {
    code: "path-to-be-quoted",
    title: "a path that is mounted needs no quotes in a unit",
    why: "The path of a bind, and the one that a data partition is mounted at, are written into units of systemd and \
          into scripts of a shell, where quotes, dollar signs and the like have a meaning of their own. What such a \
          path needs there differs from setting to setting.",
    wrong: example!(|device| device.bind("/var/lib/bob's")),
    right: example!(|device| device.bind("/var/lib/bob")),
};

/// Directories that must come with the image, whole; below most of them lies
/// what may be kept.
const WHOLE: [&str; 3] = ["/var", "/var/lib", "/var/lib/dpkg"];
/// Directories no part of which may be kept.
const ALL_OF: [&str; 9] = ["/bin", "/boot", "/dev", "/efi", "/lib", "/proc", "/run", "/sys", "/usr"];
/// Settings that decide what is started and who may come in: of the image, whole.
const SETTINGS: [&str; 41] = [
    "/etc/alternatives",
    "/etc/apparmor.d",
    "/etc/apt",
    "/etc/crypttab",
    "/etc/dbus-1",
    "/etc/default",
    "/etc/dpkg",
    "/etc/fstab",
    "/etc/group",
    "/etc/gshadow",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/init.d",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/modprobe.d",
    "/etc/modules-load.d",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/pam.d",
    "/etc/passwd",
    "/etc/polkit-1",
    "/etc/profile.d",
    "/etc/security",
    "/etc/shadow",
    "/etc/shells",
    "/etc/skel",
    "/etc/ssh/sshd_config",
    "/etc/ssh/sshd_config.d",
    "/etc/ssl/certs",
    "/etc/subgid",
    "/etc/subuid",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/sysctl.d",
    "/etc/systemd/system",
    "/etc/systemd/user",
    "/etc/sysusers.d",
    "/etc/tmpfiles.d",
    "/etc/udev",
];
/// Directories with settings of the image beside ones a device may have of its own.
const HOLDS_SETTINGS: [&str; 3] = ["/etc/ssh", "/etc/ssl", "/etc/systemd"];

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    let paths: Vec<&At<DevicePath>> = image.binds.iter().filter_map(|bind| bind.path.as_ref()).collect();
    let mount = image.kept_on();
    for bind in &image.binds {
        if let Some(mode) = &bind.mode
            && (mode.value > 0o7777 || mode.value & 0o1002 == 0o0002)
        {
            let message = format!("{:04o} is not what a kept path may have for permissions", mode.value);
            let label = if mode.value > 0o7777 {
                "more than four octal digits"
            } else {
                "everybody may write, and remove what others wrote"
            };
            let mistake = Diagnostic::new(MODE_OUT_OF_RANGE.code, message).at(&mode.at).label(label);
            found.push(mistake.help("write it as `0o750`"));
        }
        if let (Some(at), BindKind::File) = (&bind.executable, bind.kind) {
            let mistake = Diagnostic::new(FILE_EXECUTABLE.code, "a kept file is to be a program".to_string());
            found.push(mistake.at(at).help("bind the directory that it lies in, with `.executable()`"));
        }
    }

    for path in &paths {
        let text = path.value.as_str();
        let whole = SYSTEM.contains(&text) || WHOLE.contains(&text) || HOLDS_SETTINGS.contains(&text);
        let part_of_it = |all: &&str| text == *all || below(text, all);
        if whole || ALL_OF.iter().chain(&SETTINGS).any(part_of_it) {
            let mistake =
                Diagnostic::new(BIND_OF_SYSTEM.code, format!("`{text}` is the system's, and cannot be kept"));
            let mistake = mistake.at(&path.at).label("it must come with the image");
            found.push(mistake.help("bind the directories below it that hold data"));
            continue;
        }
        match mount {
            None => {
                let message = format!("`{text}` is to be kept, and there is no data partition to keep it on");
                let mistake = Diagnostic::new(BIND_WITHOUT_DATA.code, message).at(&path.at);
                found.push(
                    mistake.help("add `.partition(Data::new(\"persistent\", Ext4).mount(\"/local\"))`"),
                );
            }
            Some(data) if data.value.holds(&path.value) || path.value.holds(&data.value) => {
                let message =
                    format!("`{text}` and the data partition at `{}` lie in one another", data.value);
                found.push(
                    Diagnostic::new(BIND_ON_DATA.code, message)
                        .at(&path.at)
                        .related(&data.at, "the data partition"),
                );
            }
            Some(_) => {}
        }
    }

    let mounts = image.data.iter().filter_map(|data| data.mount.as_ref());
    let in_units = paths.iter().copied().filter(|path| !fits_unit(path.value.as_str()));
    for path in mounts.filter(|mount| !fits_script(mount.value.as_str())).chain(in_units) {
        let message = format!("cannot mount `{}`: it would have to be quoted in a unit", path.value);
        let mistake = Diagnostic::new(PATH_TO_BE_QUOTED.code, message).at(&path.at).word(path.value.as_str());
        found.push(mistake.help("write a path of `A-Z a-z 0-9 / . _ -`"));
    }

    for (first, second) in repeated(paths.iter().copied(), |path| Some(&path.value)) {
        let mistake = Diagnostic::new(BOUND_TWICE.code, format!("`{}` is bound twice", second.value));
        let mistake = mistake.at(&second.at).related(&first.at, "first bound here");
        found.push(mistake.help("remove one of the two"));
    }
    for inner in &paths {
        let outer = paths.iter().find(|outer| outer.value != inner.value && outer.value.holds(&inner.value));
        if let Some(outer) = outer {
            let message = format!("`{}` lies below `{}`, which is kept already", inner.value, outer.value);
            let mistake = Diagnostic::new(BIND_BELOW_BIND.code, message).at(&inner.at);
            found.push(
                mistake.related(&outer.at, "kept here, with all below it").help("remove the inner one"),
            );
        }
    }
}

fn below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use crate::rule::device;
    use crate::{Data, Ext4};
    use expect_test::expect;

    const SOURCE: &str = include_str!("binds.rs");

    #[test]
    fn a_bind_without_data_partition_is_refused() {
        expect![[r#"
            error[bind-without-data]: `/greengrass` is to be kept, and there is no data partition to keep it on
              --> xtask/core/src/check/binds.rs:LL:CC
               |
            LL |     wrong: example!(|system| system.bind("/greengrass")),
               |                                     ^^^^^^^^^^^^^^^^^^^
               |
               = help: add `.partition(Data::new("persistent", Ext4).mount("/local"))`
        "#]].assert_eq(&refusal(&BIND_WITHOUT_DATA, SOURCE));
    }

    #[test]
    fn a_second_bind_of_a_path_shows_the_first() {
        expect![[r#"
            error[bound-twice]: `/greengrass` is bound twice
              --> xtask/core/src/check/binds.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.bind("/greengrass").bind("/greengrass")),
               |                                                         ^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/binds.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.bind("/greengrass").bind("/greengrass")),
               |                                     ------------------- first bound here
               |
               = help: remove one of the two
        "#]]
        .assert_eq(&refusal(&BOUND_TWICE, SOURCE));
    }

    #[test]
    fn a_bind_below_another_shows_the_outer_one() {
        expect![[r#"
            error[bind-below-bind]: `/var/lib/docker/volumes` lies below `/var/lib/docker`, which is kept
                   already
              --> xtask/core/src/check/binds.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.bind("/var/lib/docker").bind("/var/lib/docker/volumes")),
               |                                                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/binds.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.bind("/var/lib/docker").bind("/var/lib/docker/volumes")),
               |                                     ----------------------- kept here, with all below it
               |
               = help: remove the inner one
        "#]]
        .assert_eq(&refusal(&BIND_BELOW_BIND, SOURCE));
    }

    #[test]
    fn the_system_cannot_be_kept() {
        expect![[r#"
            error[bind-of-system]: `/etc` is the system's, and cannot be kept
              --> xtask/core/src/check/binds.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.bind("/etc")),
               |                                     ^^^^^^^^^^^^ it must come with the image
               |
               = help: bind the directories below it that hold data
        "#]]
        .assert_eq(&refusal(&BIND_OF_SYSTEM, SOURCE));
        // case O6, and others of its kind
        for path in [
            "/",
            "/usr",
            "/usr/local",
            "/var",
            "/proc/sys",
            "/var/lib/dpkg",
            "/bin",
            "/lib/x",
            "/run/agent",
            "/var/run/agent",
            "/etc/systemd/system",
            "/etc/systemd/system/x.service.d",
            "/etc/systemd",
            "/etc/ssh",
            "/etc/pam.d",
            "/etc/passwd",
        ] {
            let mistakes = device().bind(path).plan().unwrap_err();
            assert!(mistakes.iter().any(|mistake| mistake.code == BIND_OF_SYSTEM.code), "{path}: {mistakes}");
        }
    }

    /// case 21
    #[test]
    fn a_bind_through_a_link_of_every_release_is_made_where_it_leads() {
        let plan = device().bind("/var/spool/mail").plan().unwrap();
        assert_eq!(plan.backing("/var/mail"), Some("/local/persistent/var/mail"));
        assert!(plan.file("/usr/lib/systemd/system/var-mail.mount").is_some());
        let mistakes = device().bind("/var/spool/mail").bind("/var/mail").plan().unwrap_err();
        assert!(mistakes.iter().all(|mistake| mistake.code == BOUND_TWICE.code), "{mistakes}");
    }

    #[test]
    fn homes_and_settings_of_a_devices_own_can_be_kept() {
        for path in ["/home", "/home/alice", "/etc/systemd/network", "/etc/ssh/ca", "/etc/docker", "/srv"] {
            assert!(device().bind(path).plan().is_ok(), "{path}");
        }
    }

    #[test]
    fn what_everybody_may_change_is_not_kept() {
        expect![[r#"
            error[mode-out-of-range]: 0777 is not what a kept path may have for permissions
              --> xtask/core/src/check/binds.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.bind(Bind::new("/var/lib/agent").mode(0o777))),
               |                                                                      ^^^^^^^^^^^
               |                                               everybody may write, and remove what others wrote
               |
               = help: write it as `0o750`
        "#]].assert_eq(&refusal(&MODE_OUT_OF_RANGE, SOURCE));
        for (mode, right) in [(0o2755, true), (0o1777, true), (0o10000, false), (0o666, false)] {
            assert_eq!(device().bind(Bind::new("/opt/x").mode(mode)).plan().is_ok(), right, "{mode:o}");
        }
    }

    #[test]
    fn a_kept_file_is_no_program() {
        expect![[r#"
            error[file-executable]: a kept file is to be a program
              --> xtask/core/src/check/binds.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.bind(Bind::file("/opt/agent/run").executable())),
               |                                                                       ^^^^^^^^^^^^
               |
               = help: bind the directory that it lies in, with `.executable()`
        "#]]
        .assert_eq(&refusal(&FILE_EXECUTABLE, SOURCE));
    }

    #[test]
    fn a_path_that_would_have_to_be_quoted_is_not_mounted() {
        expect![[r#"
            error[path-to-be-quoted]: cannot mount `/var/lib/bob's`: it would have to be quoted in a unit
              --> xtask/core/src/check/binds.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.bind("/var/lib/bob's")),
               |                                          ^^^^^^^^^^^^^^^^
               |
               = help: write a path of `A-Z a-z 0-9 / . _ -`
        "#]]
        .assert_eq(&refusal(&PATH_TO_BE_QUOTED, SOURCE));
        let mounts = |path: &str| device().partition(Data::new("spare", Ext4).mount(path).fixed());
        let mistakes = mounts("/srv/a;b").plan().unwrap_err();
        assert!(mistakes.iter().any(|mistake| mistake.code == PATH_TO_BE_QUOTED.code), "{mistakes}");
        assert!(device().bind("/srv/a;b").plan().is_ok() && device().bind("/srv/$a").plan().is_err());
    }

    #[test]
    fn data_is_not_bound_onto_itself() {
        expect![[r#"
            error[bind-on-data]: `/local/greengrass` and the data partition at `/local` lie in one another
              --> xtask/core/src/check/binds.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.bind("/local/greengrass")),
               |                                     ^^^^^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/rule.rs:LL:CC
               = the data partition
        "#]]
        .assert_eq(&refusal(&BIND_ON_DATA, SOURCE));
        assert!(device().bind("/local").plan().is_err());
    }
}
