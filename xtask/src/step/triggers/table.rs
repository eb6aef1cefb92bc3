//! Programs that make something of files, without a file trigger of dpkg's.

/// One program.
pub(super) struct Tool {
    /// Whether it makes something of a file at this path, which has no leading slash.
    pub wants: fn(&str) -> bool,
    /// Where it is.
    pub program: &'static str,
    /// How it is called.
    pub argv: &'static [&'static str],
    /// The package that brings it.
    pub package: &'static str,
    /// Whether files without it are a mistake.
    pub needed: bool,
    /// Why a file is one that it passes over in silence, and what to do.
    pub refuses: fn(&str) -> Option<(&'static str, &'static str)>,
    /// Whether a line of its output means a mistake, whatever its exit code.
    pub complains: fn(&str) -> bool,
}

pub(super) const TABLE: &[Tool] = &[
    Tool {
        wants: |path| path == "etc/ld.so.conf" || below(path, &["etc/ld.so.conf.d"]) || is_library(path),
        program: "usr/sbin/ldconfig",
        argv: &["ldconfig"],
        package: "libc-bin",
        needed: true,
        refuses: |path| match path.strip_prefix("etc/ld.so.conf.d/") {
            Some(name) if !name.ends_with(".conf") => {
                Some(("is passed over by ldconfig, since its name does not end in `.conf`", "rename it"))
            }
            _ => None,
        },
        complains: |_| false,
    },
    Tool {
        // dpkg has a trigger for /usr/lib/udev/hwdb.d, which does the same for one directory.
        wants: |path| below(path, &["etc/udev/hwdb.d", "usr/lib/udev/hwdb.d"]),
        program: "usr/bin/systemd-hwdb",
        argv: &["systemd-hwdb", "--usr", "--strict", "update"],
        package: "udev",
        needed: true,
        refuses: |path| {
            (!path.ends_with(".hwdb")).then_some((
                "is passed over by systemd-hwdb, since its name does not end in `.hwdb`",
                "rename it",
            ))
        },
        complains: |_| false,
    },
    Tool {
        // There is none below /etc.
        wants: |path| below(path, &["usr/local/lib/systemd/catalog", "usr/lib/systemd/catalog"]),
        program: "usr/bin/journalctl",
        argv: &["journalctl", "--update-catalog"],
        package: "systemd",
        needed: true,
        refuses: |path| {
            (!path.ends_with(".catalog")).then_some((
                "is passed over by journalctl, since its name does not end in `.catalog`",
                "rename it",
            ))
        },
        complains: |_| false,
    },
    Tool {
        wants: |path| path == "etc/locale.gen" || below(path, &["usr/local/share/i18n", "usr/share/i18n"]),
        program: "usr/sbin/locale-gen",
        argv: &["locale-gen", "--keep-existing"],
        package: "locales",
        needed: true,
        refuses: |_| None,
        complains: |line| {
            ["cannot open", "[error]", "is not a supported locale", "not found"]
                .iter()
                .any(|words| line.contains(words))
        },
    },
    Tool {
        wants: |path| {
            let directories = [
                "usr/local/share/ca-certificates",
                "usr/share/ca-certificates",
                "etc/ca-certificates/update.d",
            ];
            path == "etc/ca-certificates.conf" || below(path, &directories)
        },
        program: "usr/sbin/update-ca-certificates",
        argv: &["update-ca-certificates"],
        package: "ca-certificates",
        needed: true,
        refuses: |path| {
            (path.starts_with("usr/local/share/ca-certificates/") && !path.ends_with(".crt")).then_some((
                "is passed over by update-ca-certificates, since its name does not end in `.crt`",
                "rename it; it has to be in PEM form",
            ))
        },
        // The bundle of all of them it passes over by design.
        complains: |line| {
            line.contains("does not contain exactly one certificate")
                && !line.contains(" ca-certificates.crt,")
        },
    },
    Tool {
        wants: |path| path.starts_with("etc/dconf/db/") && path.split('/').any(|part| part.ends_with(".d")),
        program: "usr/bin/dconf",
        argv: &["dconf", "update"],
        package: "dconf-cli",
        needed: true,
        refuses: |_| None,
        complains: |line| line.contains("error:") || line.contains("warning:"),
    },
    Tool {
        // dpkg has a trigger for /usr/share/fonts alone.
        wants: |path| below(path, &["usr/local/share/fonts"]),
        program: "usr/bin/fc-cache",
        argv: &["fc-cache", "-s"],
        package: "fontconfig",
        needed: false,
        refuses: |_| None,
        complains: |_| false,
    },
];

/// Interests of packages that the table fulfils, or that only tell what runs.
pub(super) const WITHOUT: [&str; 10] = [
    "usr/lib/udev/hwdb.d",
    "usr/lib/systemd/catalog",
    // Services read these when they start.
    "usr/lib/sysctl.d",
    "usr/lib/binfmt.d",
    "etc/dbus-1/system.d",
    "usr/share/dbus-1/system.d",
    "usr/share/dbus-1/system-services",
    "etc/rsyslog.d",
    // The boot loader is put onto the ESP by the build.
    "usr/lib/shim",
    "var/spool/postfix",
];

fn below(path: &str, directories: &[&str]) -> bool {
    directories.iter().any(|above| path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/')))
}

/// A shared library where a dynamic linker may look for it; modules of Python and the like are harmless.
fn is_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_named = name.starts_with("lib") && (name.ends_with(".so") || name.contains(".so."));
    is_named && below(path, &["usr/lib", "usr/local/lib", "opt"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(path: &str) -> Vec<&'static str> {
        TABLE.iter().filter(|tool| (tool.wants)(path)).map(|tool| tool.argv[0]).collect()
    }

    #[test]
    fn each_file_has_its_program_and_most_have_none() {
        assert_eq!(tools("etc/ld.so.conf.d/vendor.conf"), ["ldconfig"]);
        assert_eq!(tools("opt/vendor/lib/libagent.so.1"), ["ldconfig"]);
        assert_eq!(tools("etc/udev/hwdb.d/90-x.hwdb"), ["systemd-hwdb"]);
        assert_eq!(tools("etc/locale.gen"), ["locale-gen"]);
        assert_eq!(tools("usr/local/share/ca-certificates/corp.crt"), ["update-ca-certificates"]);
        assert_eq!(tools("etc/dconf/db/site.d/00-x"), ["dconf"]);
        for path in
            ["etc/motd", "etc/systemd/system/a.service", "usr/lib/sysctl.d/60.conf", "etc/dconf/profile/user"]
        {
            assert_eq!(tools(path), [""; 0], "{path}");
        }
    }

    #[test]
    fn a_name_that_a_program_passes_over_is_refused() {
        let refused =
            |path: &str| TABLE.iter().any(|tool| (tool.wants)(path) && (tool.refuses)(path).is_some());
        assert!(refused("usr/local/share/ca-certificates/corp.pem") && refused("etc/udev/hwdb.d/x.conf"));
        assert!(refused("etc/ld.so.conf.d/vendor") && !refused("etc/ld.so.conf.d/vendor.conf"));
    }
}
