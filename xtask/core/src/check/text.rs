//! Rules of texts: line ends and byte order marks of other systems.

use crate::diagnostic::Diagnostic;
use crate::image::Image;
use crate::image::unit::Unit;
use crate::location::SourceLocation;
use crate::rule::{Rule, example};

pub(crate) static CARRIAGE_RETURN: Rule = Rule {
    code: "carriage-return",
    title: "units, scripts and settings end their lines with a line feed alone",
    why: "An editor of another system, or git with `core.autocrlf`, ends lines with a carriage return and a line feed. \
          The kernel then looks for an interpreter whose name ends with a carriage return, and programs take it for a \
          part of a value. The same holds for a byte order mark in front of `#!`.",
    wrong: example!(|device| device.file("/usr/local/bin/hello", "#!/bin/sh\r\necho hello\r\n")),
    right: example!(|device| device.file("/usr/local/bin/hello", "#!/bin/sh\necho hello\n")),
};

/// Where programs read lines and take a carriage return for a part of one. Other
/// files of `/etc` (certificates, JSON, pages) are read by programs that do not mind.
const SETTINGS: [&str; 30] = [
    "/etc/cron",
    "/etc/default/",
    "/etc/environment",
    "/etc/fstab",
    "/etc/hosts",
    "/etc/ld.so.conf",
    "/etc/logrotate.d/",
    "/etc/modprobe.d/",
    "/etc/modules",
    "/etc/network/",
    "/etc/nftables.conf",
    "/etc/pam.d/",
    "/etc/profile",
    "/etc/security/",
    "/etc/ssh/",
    "/etc/sudoers",
    "/etc/sysctl",
    "/etc/systemd/",
    "/etc/sysusers.d/",
    "/etc/tmpfiles.d/",
    "/etc/udev/",
    "/usr/lib/environment.d/",
    "/usr/lib/modprobe.d/",
    "/usr/lib/modules-load.d/",
    "/usr/lib/sysctl.d/",
    "/usr/lib/systemd/",
    "/usr/lib/sysusers.d/",
    "/usr/lib/tmpfiles.d/",
    "/usr/lib/udev/",
    "/usr/lib/pam.d/",
];

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What in a text breaks the programs that read it at this path: the end of a
/// sentence that starts with the path. Bytes that are no text are never at fault.
#[must_use]
pub fn fault(path: &str, text: &[u8]) -> Option<&'static str> {
    let (marked, text) = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let path = path
        .strip_prefix("/usr/local")
        .map_or(path, |rest| if rest.starts_with("/lib") { rest } else { path });
    let path = if path.starts_with("/lib/") { format!("/usr{path}") } else { path.to_string() };
    let is_script = text.starts_with(b"#!");
    let is_setting = SETTINGS.iter().any(|directory| path.starts_with(directory));
    if !is_script && !is_setting || text.contains(&0) {
        return None;
    }
    if text.windows(2).any(|pair| pair == b"\r\n") {
        return Some("has lines that end with a carriage return (CRLF)");
    }
    marked.then_some("starts with a byte order mark")
}

/// What to do about a [`fault`].
pub const HELP: &str = "save it with Unix line ends (LF) and as UTF-8 without a byte order mark";

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    let units = image.units.iter().filter_map(|unit| Some((unit.name.as_ref()?.value.as_str(), unit)));
    let units =
        units.map(|(name, Unit { text, at, .. })| (format!("/usr/lib/systemd/system/{name}"), text, at));
    let files = image.files.iter().map(|file| (file.path.value.to_string(), &file.text.text, &file.path.at));
    let mistake = |(path, text, at): (String, &String, &SourceLocation)| {
        let message = format!("`{path}` {}", fault(&path, text.as_bytes())?);
        Some(Diagnostic::new(CARRIAGE_RETURN.code, message).at(at).help(HELP))
    };
    found.extend(units.chain(files).filter_map(mistake));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use crate::rule::device;
    use expect_test::expect;

    const SOURCE: &str = include_str!("text.rs");

    #[test]
    fn a_script_with_the_line_ends_of_another_system_is_refused() {
        expect![[r##"
            error[carriage-return]: `/usr/local/bin/hello` has lines that end with a carriage return (CRLF)
              --> xtask/core/src/check/text.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.file("/usr/local/bin/hello", "#!/bin/sh\r\necho hello\r\n")
               |                                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: save it with Unix line ends (LF) and as UTF-8 without a byte order mark
        "##]].assert_eq(&refusal(&CARRIAGE_RETURN, SOURCE));
    }

    #[test]
    fn units_settings_and_scripts_are_read_by_lines_and_other_files_are_not() {
        let unit = Unit::new("hello.service", "[Service]\r\nExecStart=true\r\n");
        assert!(device().unit(unit).plan().is_err());
        for (path, text) in [
            ("/etc/sudoers.d/x", "x ALL=(ALL) ALL\r\n"),
            ("/lib/udev/rules.d/90-x.rules", "KERNEL==\"x\"\r\n"),
            ("/usr/local/lib/systemd/system/x.service", "[Unit]\r\n"),
            ("/opt/agent/run", "\u{feff}#!/bin/sh\n"),
            ("/etc/default/agent", "\u{feff}a=b\n"),
        ] {
            assert!(fault(path, text.as_bytes()).is_some(), "{path}");
        }
        for (path, text) in [
            ("/srv/www/index.html", "<html>\r\n"),
            ("/etc/ssl/certs/corp.pem", "-----BEGIN CERTIFICATE-----\r\n"),
            ("/etc/motd", "hello\n"),
            ("/etc/blob", "\r\n\0"),
            ("/etc/issue", "a\rb\n"),
        ] {
            assert!(fault(path, text.as_bytes()).is_none(), "{path}");
        }
    }
}
