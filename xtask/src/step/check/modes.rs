//! Files have the modes with which their programs take them.

use bedplate_core::{Diagnostic, Rule, Text, example};
use bedplate_formats::tree::{Kind, TreePath};

use super::names::said_to_be_unread;
use super::{Findings, Subject};

pub(super) static FILE_LEFT_OUT: Rule = Rule {
    code: "file-left-out",
    title: "a file has a mode with which its program takes it",
    why: "cron's directories of scripts, update-motd, NetworkManager's dispatcher and systemd's hooks leave out a file \
          that is not executable, and NetworkManager a connection that others may read, for it may hold a password. \
          None of them says so where one would look.",
    wrong: example!(|device| device.file("/etc/cron.daily/report", "#!/bin/sh\ntrue\n")),
    right: example!(
        |device| device.file("/etc/cron.daily/report", Text::new("#!/bin/sh\ntrue\n").mode(0o755))
    ),
};

/// Directories of programs that others start, and single ones.
const EXECUTABLE: [&str; 20] = [
    "etc/cron.hourly",
    "etc/cron.daily",
    "etc/cron.weekly",
    "etc/cron.monthly",
    "etc/update-motd.d",
    "etc/NetworkManager/dispatcher.d",
    "etc/networkd-dispatcher/routable.d",
    "etc/network/if-pre-up.d",
    "etc/network/if-up.d",
    "etc/network/if-down.d",
    "etc/network/if-post-down.d",
    "etc/ppp/ip-up.d",
    "etc/ppp/ip-down.d",
    "etc/systemd/system-generators",
    "usr/lib/systemd/system-generators",
    "usr/lib/systemd/system-shutdown",
    "usr/lib/systemd/system-sleep",
    "etc/systemd/system-sleep",
    "etc/systemd/system-shutdown",
    "etc/rc.local",
];

/// Directories of files that none but root may read.
const SECRET: [&str; 1] = ["etc/NetworkManager/system-connections"];

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    for place in EXECUTABLE.map(TreePath::new) {
        for (path, _) in own(subject, &place).filter(|(_, mode)| mode & 0o111 == 0) {
            found.mistake(mistake(subject, path, "it is not executable", 0o755));
        }
    }
    for place in SECRET.map(TreePath::new) {
        for (path, _) in own(subject, &place).filter(|(_, mode)| mode & 0o077 != 0) {
            found.mistake(mistake(subject, path, "others may read it", 0o600));
        }
    }
}

/// The description's files of a directory, with their modes.
fn own<'a>(subject: &'a Subject<'_>, directory: &'a TreePath) -> impl Iterator<Item = (&'a TreePath, u32)> {
    let of_directory = |path: &TreePath| path.depth() <= directory.depth() + 1;
    let named = |path: &TreePath| {
        let name = String::from_utf8_lossy(path.name().unwrap_or_default()).into_owned();
        !said_to_be_unread(&name)
    };
    let files = subject.origins.below(directory).map(|(path, _)| path);
    files.filter(move |path| of_directory(path) && named(path)).filter_map(|path| {
        let node = subject.tree.get(path)?;
        matches!(node.kind, Kind::File(_) | Kind::Hardlink(_)).then_some((path, node.mode))
    })
}

fn mistake(subject: &Subject<'_>, path: &TreePath, why: &str, mode: u32) -> Diagnostic {
    let message = format!("nobody reads `{path}`: {why}");
    let file = subject.origins.of(path).and_then(|origin| origin.file.as_ref());
    let help = match file {
        Some(file) if mode == 0o755 => format!("run `chmod +x {file}`"),
        Some(_) => format!("add `.mode(\"{path}\", 0o{mode:o})` to the overlay: `Overlay::new(\"…\")`"),
        None => format!("give it the mode: `Text::new(…).mode(0o{mode:o})`"),
    };
    subject.blame(Diagnostic::new(FILE_LEFT_OUT.code, message).help(help), path, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::check::tests::{refusal, refused};
    use expect_test::expect;

    #[test]
    fn a_script_that_cron_leaves_out_is_told_the_mode() {
        expect![[r##"
            error[file-left-out]: nobody reads `/etc/cron.daily/report`: it is not executable
              --> xtask/src/step/check/modes.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.file("/etc/cron.daily/report", "#!/bin/sh\ntrue\n")),
               |                                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |                                     line 1: `#!/bin/sh`
               |
               = help: give it the mode: `Text::new(…).mode(0o755)`
        "##]]
        .assert_eq(&refusal(&FILE_LEFT_OUT, include_str!("modes.rs")));
    }

    #[test]
    fn a_connection_that_others_may_read_is_told() {
        let path = "/etc/NetworkManager/system-connections/lan.nmconnection";
        let found = refused(|image| image.file(path, "[connection]\n"));
        assert!(found.contains("file-left-out") && found.contains("mode(0o600)"), "{found}");
        assert!(
            !refused(|image| image.file(path, Text::new("[connection]\n").mode(0o600)))
                .contains("file-left-out")
        );
        assert!(refused(|image| image.file("/etc/rc.local", "#!/bin/sh\n")).contains("file-left-out"));
    }
}
