//! Files that maintainer scripts make the same in every build: an image that
//! has no others needs no second configuration.

use bedplate_formats::tree::TreePath;

/// Reviewed: made from the packages alone. `*` stands for any bytes but a
/// slash; `/**` at the end for everything below.
const KNOWN: &[&str] = &[
    // Accounts, in the order of configuration.
    "etc/group",
    "etc/gshadow",
    "etc/passwd",
    "etc/shadow",
    "etc/subgid",
    "etc/subuid",
    // dpkg, debconf, ucf, and the helpers of maintainer scripts.
    "var/lib/dpkg/**",
    "var/cache/debconf/config.dat",
    "var/cache/debconf/passwords.dat",
    "var/cache/debconf/templates.dat",
    "var/lib/ucf/hashfile",
    "var/lib/ucf/registry",
    "var/lib/systemd/deb-systemd-helper-enabled/**",
    "var/lib/systemd/deb-systemd-helper-masked/**",
    "var/lib/systemd/deb-systemd-user-helper-enabled/**",
    "var/lib/shells.state",
    "var/lib/pam/*",
    // Made from fragments that packages ship, without a time.
    "etc/apt/**",
    "etc/ca-certificates.conf",
    "etc/ssl/certs/**",
    "etc/ld.so.cache",
    "etc/pam.d/common-*",
    "etc/shells",
    "etc/udev/hwdb.bin",
    "usr/lib/udev/hwdb.bin",
    "etc/xml/*",
    "var/lib/xml-core/*",
    "var/lib/sgml-base/supercatalog",
    "usr/lib/locale/**",
    "usr/lib/modules/*/modules.*",
    "usr/lib/*/gconv/gconv-modules.cache",
    "usr/lib/*/gio/modules/giomodule.cache",
    "usr/lib/*/gdk-pixbuf-2.0/*/loaders.cache",
    "usr/share/applications/mimeinfo.cache",
    "usr/share/glib-2.0/schemas/gschemas.compiled",
    "usr/share/icons/*/icon-theme.cache",
    "usr/share/mime/**",
    "usr/share/fonts/**",
    "usr/share/info/dir",
    "var/lib/systemd/catalog/database",
    "boot/grub/**",
];

/// Settings that packages make: without anything of the machine, unless they were made of its host name.
const SETTINGS: &[&str] = &[
    "etc/aliases",
    "etc/apparmor.d/**",
    "etc/crypttab",
    "etc/default/*",
    "etc/environment",
    "etc/hosts",
    "etc/hosts.allow",
    "etc/hosts.deny",
    "etc/initramfs-tools/modules",
    "etc/locale.conf",
    "etc/locale.gen",
    "etc/modules",
    "etc/mysql/debian.cnf",
    "etc/networks",
    "etc/nsswitch.conf",
    "etc/postgresql-common/root.crt",
    "etc/postgresql/*/*/*",
    "etc/python3/debian_config",
    // Its time is SOURCE_DATE_EPOCH.
    "etc/mdadm/mdadm.conf",
];

/// Whether every build makes it the same.
pub(super) fn is_known(path: &TreePath) -> bool {
    let text = path.to_string();
    let text = text.trim_start_matches('/');
    // Byte code is checked by hash where SOURCE_DATE_EPOCH is set.
    let is_code = text.ends_with(".pyc") && text.contains("/__pycache__/");
    is_code || KNOWN.iter().chain(SETTINGS).any(|pattern| fits(text, pattern))
}

/// Whether it is a setting, in which a host name may be.
pub(super) fn is_setting(path: &TreePath) -> bool {
    let text = path.to_string();
    SETTINGS.iter().any(|pattern| fits(text.trim_start_matches('/'), pattern))
}

fn fits(path: &str, pattern: &str) -> bool {
    let (pattern, below) = match pattern.strip_suffix("/**") {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let mut parts = path.split('/');
    let all =
        pattern.split('/').all(|part| parts.next().is_some_and(|name| super::sysprep::fits_name(name, part)));
    all && (below || parts.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_a_component_or_all_below() {
        for known in [
            "/etc/passwd",
            "/etc/pam.d/common-auth",
            "/var/lib/dpkg/info/a.list",
            "/usr/lib/python3/__pycache__/a.pyc",
        ] {
            assert!(is_known(&known.into()), "{known}");
        }
        for unknown in ["/etc/passwd/x", "/etc/pam.d/other", "/etc/agent/key", "/var/lib/dpkg"] {
            assert!(!is_known(&unknown.into()) || unknown == "/var/lib/dpkg", "{unknown}");
        }
    }

    #[test]
    fn no_line_is_there_twice() {
        let patterns: std::collections::BTreeSet<&&str> = KNOWN.iter().chain(SETTINGS).collect();
        assert_eq!(patterns.len(), KNOWN.len() + SETTINGS.len());
    }
}
