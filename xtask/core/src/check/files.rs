//! Rules of files that are written in the description, and of overlays.

use super::repeated;
use crate::diagnostic::Diagnostic;
use crate::image::Image;
use crate::image::overlay::Overlay;
use crate::image::text::{Text, Written};
use crate::image::user::User;
use crate::location::{At, SourceLocation};
use crate::plan::{FileKind, FilePlan};
use crate::rule::{Rule, example};
use crate::value::DevicePath;

pub(crate) static FILE_TWICE: Rule = Rule {
    code: "file-twice",
    title: "a file is written once",
    why: "The second text would stand in place of the first. Programs that read a directory of settings take a file \
          from each piece of a description; give each a name of its own.",
    wrong: example!(|device| device.file("/etc/motd", "hello\n").file("/etc/motd", "welcome\n")),
    right: example!(|device| device.file("/etc/motd", "hello\n")),
};

pub(crate) static FILE_OF_THE_PLAN: Rule = Rule {
    code: "file-of-the-plan",
    title: "a file that the plan writes is not written by hand",
    why: "What follows from the description is generated: host name, mounts, persistent directories. A second text in \
          the same place would replace it or be replaced, and something in the description would not be so. The rule \
          holds for `.file(…)` and for overlays.",
    wrong: example!(|device| device.hostname("edge").file("/etc/hostname", "edge-2\n")),
    right: example!(|device| device.hostname("edge-2")),
};

pub(crate) static FILE_MODE: Rule = Rule {
    code: "file-mode",
    title: "a file has permissions, and not everybody may change it",
    why: "Permissions are an octal number of four digits, `0o755`; without `0o` it is another number. A file that every \
          user may write to, or a directory in which every user may remove what others made, hands the device to \
          whoever runs a program on it. The sticky bit (`0o1777`) makes a shared directory safe.",
    wrong: example!(|device| device.file("/usr/local/bin/hello", Text::new("#!/bin/sh\n").mode(755))),
    right: example!(|device| device.file("/usr/local/bin/hello", Text::new("#!/bin/sh\n").mode(0o755))),
};

pub(crate) static FILE_HIDDEN: Rule = Rule {
    code: "file-hidden",
    title: "a file is not written where the device mounts something else",
    why: "/run, /tmp, /dev, /proc and /sys are in memory, and empty at every boot; the data partition and what is \
          persistent are mounted over their places in the root. A file of the image below one of them is never seen. \
          What is to be in /run at every boot, tmpfiles.d(5) makes; what a persistent directory is to start with, \
          `.seeded()` copies.",
    wrong: example!(|device| device.file("/run/agent/config", "a\n")),
    right: example!(
        |device| device.file("/usr/lib/tmpfiles.d/agent.conf", "f /run/agent/config 0644 - - - a\n")
    ),
};

pub(crate) static ACCOUNTS_BY_HAND: Rule = Rule {
    code: "accounts-by-hand",
    title: "the files of users and groups are not written by hand",
    why: "Every package with a service adds its users and groups to /etc/passwd, /etc/group and their like, with \
          numbers of this image. A whole file of another machine takes them away, and the services do not start. And \
          a password's hash in an image is read by everyone who has the image.",
    wrong: example!(|device| device.file("/etc/passwd", "alice:x:1000:1000::/home/alice:/bin/bash\n")),
    right: example!(|device| device.user(User::new("alice"))),
};

pub(crate) static OVERLAY_OUTSIDE: Rule = Rule {
    code: "overlay-outside",
    title: "an overlay is a directory of the project",
    why: "A path that starts with `/` or climbs out of the project names a directory of the builder's machine, with \
          whatever is in it that day: two checkouts of one version make two images. Put the directory into the \
          project, or a link to it; a link is followed.",
    wrong: example!(|device| device.overlay("/srv/vendor/rootfs")),
    right: example!(|device| device.overlay(Overlay::outside("/srv/vendor/rootfs"))),
};

/// Directories that are in memory on every device.
const IN_MEMORY: [&str; 7] = ["/dev", "/proc", "/run", "/sys", "/tmp", "/var/lock", "/var/run"];
/// The files of users and groups.
const ACCOUNTS: [&str; 6] =
    ["/etc/group", "/etc/gshadow", "/etc/passwd", "/etc/shadow", "/etc/subgid", "/etc/subuid"];

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    for (first, second) in repeated(&image.files, |file| Some(&file.path.value)) {
        let message = format!("the file `{}` is written twice", second.path.value);
        let mistake = Diagnostic::new(FILE_TWICE.code, message).at(&second.path.at);
        found.push(mistake.related(&first.path.at, "first written here").help("remove one of the two"));
    }
    for file in &image.files {
        let mode = file.text.mode.as_ref().map(|mode| (mode.value, &mode.at));
        found.extend(mode.and_then(|(mode, at)| wrong_mode(mode, at)));
        found.extend(account(&file.path));
        found.extend(hidden(image, file));
    }
    for overlay in &image.overlays {
        found.extend(outside(overlay));
        for rule in &overlay.rules {
            found.extend(rule.mode.and_then(|mode| wrong_mode(mode, &rule.pattern.at)));
        }
    }
}

fn wrong_mode(mode: u32, at: &SourceLocation) -> Option<Diagnostic> {
    let (owner, others) = (mode >> 6 & 7, mode & 7);
    let label = if mode > 0o7777 {
        "more than four octal digits"
    } else if mode & 0o1002 == 0o0002 {
        "every user may write to it"
    } else if mode != 0 && (owner & 4 == 0 || others & !owner != 0) {
        "others may do more than its owner"
    } else {
        return None;
    };
    // `755` is 0o1363: what was meant shows in its decimal digits.
    let meant = u32::from_str_radix(&mode.to_string(), 8).ok().filter(|meant| meant & 0o1002 != 0o0002);
    let help = match meant {
        Some(meant) if meant <= 0o7777 => format!("write it as `0o{meant:o}`"),
        _ => "write it as `0o644`, or `0o755` for a program".to_string(),
    };
    let mistake = Diagnostic::new(FILE_MODE.code, format!("invalid mode {mode:04o} for a file"));
    Some(mistake.at(at).label(label).help(help))
}

fn account(path: &At<DevicePath>) -> Option<Diagnostic> {
    let text = path.value.as_str();
    ACCOUNTS.contains(&text).then(|| {
        let message = format!("`{text}` is written by hand, and holds the users of every package");
        Diagnostic::new(ACCOUNTS_BY_HAND.code, message).at(&path.at).help(word_for(text))
    })
}

fn hidden(image: &Image, file: &Written) -> Option<Diagnostic> {
    let path = &file.path.value;
    let mistake = |what: String| {
        let message = format!("`{path}` is never seen: {what}");
        Diagnostic::new(FILE_HIDDEN.code, message).at(&file.path.at)
    };
    if let Some(memory) = IN_MEMORY.iter().find(|memory| is_below(path.as_str(), memory)) {
        return Some(mistake(format!("`{memory}` is in memory")).help(format!(
            "let tmpfiles.d(5) make it at boot: `.file(\"/usr/lib/tmpfiles.d/NAME.conf\", \"f {path} 0644 - - - …\\n\")`"
        )));
    }
    let mounts = image.data.iter().filter_map(|data| data.mount.as_ref());
    let hides = |mount: &&At<DevicePath>| {
        is_below(path.as_str(), mount.value.as_str()) && !holds_home_of(image, &mount.value, path)
    };
    if let Some(mount) = mounts.into_iter().find(hides) {
        let mistake = mistake(format!("a data partition is mounted at `{}`", mount.value));
        return Some(
            mistake.related(&mount.at, "mounted here").help("write it elsewhere, or let a service copy it"),
        );
    }
    let covers = image.binds.iter().find(|bind| {
        let bound = bind.path.as_ref().filter(|bound| bound.value.holds(path));
        bound.is_some_and(|bound| !bind.seeded && !holds_home_of(image, &bound.value, path))
    })?;
    let bound = covers.path.as_ref()?;
    let mistake = mistake(format!("`{}` is persistent, and starts empty", bound.value));
    Some(
        mistake
            .related(&bound.at, "mounted here")
            .help("add `.seeded()` to the bind: `Bind::new(\"…\").seeded()`"),
    )
}

/// True when the bind's first content at `path` is a user's home, which is copied from the image.
fn holds_home_of(image: &Image, bound: &DevicePath, path: &DevicePath) -> bool {
    let homes = crate::plan::homes(image);
    homes.iter().any(|home| bound.holds(home) && home.holds(path))
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

fn outside(overlay: &Overlay) -> Option<Diagnostic> {
    let (text, at) = (&overlay.directory.value, &overlay.directory.at);
    let climbs = at.beside(text).split('/').next() == Some("..");
    if overlay.outside || !(text.starts_with('/') || climbs) {
        return None;
    }
    let message = format!("the overlay `{text}` is outside of the project");
    let mistake = Diagnostic::new(OVERLAY_OUTSIDE.code, message).at(at);
    Some(mistake.help(format!(
        "copy it into the project, or write `.overlay(Overlay::outside(\"{text}\"))` to take what is there"
    )))
}

/// Holds the description's files against those that were `generated` from it.
pub(crate) fn against(image: &Image, generated: &[FilePlan]) -> Vec<Diagnostic> {
    // The place of a persistent file may have a text to start with.
    let written = |file: &&FilePlan| !matches!(file.kind, FileKind::MountPoint);
    let clash = |path: &str| generated.iter().filter(written).find(|file| file.path == path);
    let clashes = image.files.iter().filter_map(|file| Some((file, clash(file.path.value.as_str())?)));
    let mistake = |(file, generated): (&Written, &FilePlan)| {
        let path = file.path.value.as_str();
        let message = format!("`{path}` is a file that the plan writes: {}", generated.why);
        Diagnostic::new(FILE_OF_THE_PLAN.code, message).at(&file.path.at).help(word_for(path))
    };
    clashes.map(mistake).collect()
}

/// What to write in a description in place of a file of the plan, or of an account's file.
#[must_use]
pub fn word_for(path: &str) -> String {
    let word = match path {
        "/etc/hosts" => "add the address with `.host(\"192.0.2.1\", \"name\")`",
        "/etc/hostname" => "set the name with `.hostname(\"edge\")`",
        "/etc/localtime" | "/etc/timezone" => "set the zone with `.timezone(\"Europe/Berlin\")`",
        "/etc/locale.conf" | "/etc/default/locale" => "set the language with `.locale(\"en_US.UTF-8\")`",
        "/etc/machine-id" => "leave it out: each device makes its own, and keeps it",
        "/etc/resolv.conf" => {
            "configure systemd-resolved: `.file(\"/etc/systemd/resolved.conf.d/50-dns.conf\", \"[Resolve]\\nDNS=…\\n\")`"
        }
        "/etc/ssh/sshd_config.d/10-bedplate.conf" => {
            "write `/etc/ssh/sshd_config.d/20-NAME.conf`; keys are added with `.login(Login::Key(…))`"
        }
        "/usr/lib/sysctl.d/60-bedplate.conf" => {
            "set values of the kernel with `.sysctl(\"kernel.sysrq\", \"176\")`"
        }
        path if ACCOUNTS.contains(&path) => {
            "add users with `.user(User::new(\"alice\"))`, and those of services with `User::system(\"agent\").uid(990)`"
        }
        path if path.starts_with("/etc/sudoers.d/") => "let the user become root with `.administrator()`",
        path if path.ends_with(".mount") => "let `.bind(…)` and `Data` write mount units",
        path if path.starts_with("/etc/systemd/system/") => "mask a unit with `.mask(…)`",
        _ => "remove it, or change what it follows from in the description",
    };
    word.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use crate::image::bind::Bind;
    use expect_test::expect;

    const SOURCE: &str = include_str!("files.rs");

    #[test]
    fn a_second_text_of_a_file_shows_the_first() {
        expect![[r#"
            error[file-twice]: the file `/etc/motd` is written twice
              --> xtask/core/src/check/files.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.file("/etc/motd", "hello\n").file("/etc/motd", "welcome\n")
               |                                                                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/files.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.file("/etc/motd", "hello\n").file("/etc/motd", "welcome\n")
               |                                     ---------------------------- first written here
               |
               = help: remove one of the two
        "#]].assert_eq(&refusal(&FILE_TWICE, SOURCE));
    }

    #[test]
    fn what_the_plan_writes_is_not_overwritten() {
        expect![[r#"
            error[file-of-the-plan]: `/etc/hostname` is a file that the plan writes: the host name
              --> xtask/core/src/check/files.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.hostname("edge").file("/etc/hostname", "edge-2\n")),
               |                                                      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: set the name with `.hostname("edge")`
        "#]]
        .assert_eq(&refusal(&FILE_OF_THE_PLAN, SOURCE));
    }

    #[test]
    fn a_private_file_is_roots_alone() {
        let plan =
            crate::rule::device().private_file("/etc/netplan/10.yaml", "network: {}\n").plan().unwrap();
        let file = plan.file("/etc/netplan/10.yaml").unwrap();
        assert_eq!((file.mode, file.uid), (0o600, 0));
    }

    #[test]
    fn a_file_has_the_text_that_was_written() {
        let plan = crate::rule::device().file("/etc/motd", "hello\n").plan().unwrap();
        assert_eq!(plan.text("/etc/motd"), Some("hello\n"));
    }

    #[test]
    fn a_mode_without_its_0o_is_shown_with_it() {
        expect![[r##"
            error[file-mode]: invalid mode 1363 for a file
              --> xtask/core/src/check/files.rs:LL:CC
               |
            LL | …g: example!(|device| device.file("/usr/local/bin/hello", Text::new("#!/bin/sh\n").mode(755))),
               |                                                                                    ^^^^^^^^^
               |                                                               others may do more than its owner
               |
               = help: write it as `0o755`
        "##]].assert_eq(&refusal(&FILE_MODE, SOURCE));
        let with = |mode| crate::rule::device().file("/etc/x", Text::new("").mode(mode)).plan().is_ok();
        for (mode, right) in [
            (0o644, true),
            (0o4755, true),
            (0o1777, true),
            (0o600, true),
            (0, true),
            (644, false),
            (600, false),
            (755, false),
            (700, false),
            (750, false),
            (4755, false),
            (1777, false),
            (775, false),
            (0o666, false),
        ] {
            assert_eq!(with(mode), right, "{mode:o}");
        }
    }

    #[test]
    fn a_file_that_nobody_would_see_is_refused() {
        expect![[r#"
            error[file-hidden]: `/run/agent/config` is never seen: `/run` is in memory
              --> xtask/core/src/check/files.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.file("/run/agent/config", "a\n")),
               |                                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: let tmpfiles.d(5) make it at boot: `.file("/usr/lib/tmpfiles.d/NAME.conf", "f
                       /run/agent/config 0644 - - - …\n")`
        "#]]
        .assert_eq(&refusal(&FILE_HIDDEN, SOURCE));
        let device = || crate::rule::device();
        for path in ["/var/run/agent/x", "/tmp/x", "/proc/x", "/var/lock/x", "/local/x", "/local"] {
            assert!(device().file(path, "").plan().is_err() || path == "/local", "{path}");
        }
        assert!(device().bind("/var/lib/agent").file("/var/lib/agent/x", "").plan().is_err());
        assert!(
            device().bind(Bind::new("/var/lib/agent").seeded()).file("/var/lib/agent/x", "").plan().is_ok()
        );
    }

    #[test]
    fn users_are_not_written_by_hand() {
        expect![[r#"
            error[accounts-by-hand]: `/etc/passwd` is written by hand, and holds the users of every package
              --> xtask/core/src/check/files.rs:LL:CC
               |
            LL | …: example!(|device| device.file("/etc/passwd", "alice:x:1000:1000::/home/alice:/bin/bash\n")),
               |                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: add users with `.user(User::new("alice"))`, and those of services with
                       `User::system("agent").uid(990)`
        "#]].assert_eq(&refusal(&ACCOUNTS_BY_HAND, SOURCE));
    }

    /// case O3
    #[test]
    fn an_overlay_is_a_directory_of_the_project() {
        expect![[r#"
            error[overlay-outside]: the overlay `/srv/vendor/rootfs` is outside of the project
              --> xtask/core/src/check/files.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.overlay("/srv/vendor/rootfs")),
               |                                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: copy it into the project, or write `.overlay(Overlay::outside("/srv/vendor/rootfs"))` to
                       take what is there
        "#]].assert_eq(&refusal(&OVERLAY_OUTSIDE, SOURCE));
        assert!(crate::rule::device().overlay("../../../../../x").plan().is_err());
        assert!(crate::rule::device().overlay("../x").plan().is_ok());
    }

    #[test]
    fn a_persistent_file_may_start_with_a_text() {
        let bind = Bind::file("/etc/agent.conf").seeded();
        let plan = crate::rule::device().bind(bind).file("/etc/agent.conf", "a\n").plan().unwrap();
        assert_eq!(plan.text("/etc/agent.conf"), Some("a\n"));
        assert!(crate::rule::device().bind(Bind::file("/etc/x")).file("/etc/x", "a\n").plan().is_err());
    }

    #[test]
    fn a_file_is_whose_it_is_said_to_be() {
        let text = Text::new("x").mode(0o640).owner("alice").group("adm");
        let plan = crate::rule::device().file("/etc/x", text).plan().unwrap();
        let file = plan.file("/etc/x").unwrap();
        assert_eq!(
            (file.mode, file.owner.as_deref(), file.group.as_deref()),
            (0o640, Some("alice"), Some("adm"))
        );
    }
}
