//! Settings of the description have a program that reads them.

use bedplate_core::{Diagnostic, Rule, example};
use bedplate_formats::tree::TreePath;

use super::{Findings, Subject};

pub(super) static FILE_WITHOUT_PROGRAM: Rule = Rule {
    code: "file-without-program",
    title: "settings are for a program of the image",
    why: "A minimal Debian or Ubuntu has no cron, logrotate, sudo, rsyslog or ifupdown, and settings for them do \
          nothing. Nor are there a boot loader's menu and a second builder of initrds: what GRUB, initramfs-tools and \
          dracut read has words of its own here. Settings of a package that is not in the image are a warning, those \
          that can never have an effect an error.",
    wrong: example!(|device| device.file("/etc/default/grub", "GRUB_CMDLINE_LINUX=quiet\n")),
    right: example!(|device| device.command_line("quiet")),
};

/// Settings, the programs of which one is enough, and their package.
const PROGRAMS: [(&str, &[&str], &str); 25] = [
    ("etc/cron.d", &["usr/sbin/cron", "usr/sbin/crond"], "cron"),
    ("etc/cron.daily", &["usr/sbin/cron", "usr/sbin/crond"], "cron"),
    ("etc/cron.hourly", &["usr/sbin/cron", "usr/sbin/crond"], "cron"),
    ("etc/cron.weekly", &["usr/sbin/cron", "usr/sbin/crond"], "cron"),
    ("etc/crontab", &["usr/sbin/cron", "usr/sbin/crond"], "cron"),
    ("etc/logrotate.d", &["usr/sbin/logrotate"], "logrotate"),
    ("etc/sudoers.d", &["usr/bin/sudo", "usr/bin/sudo-rs"], "sudo"),
    ("etc/rsyslog.d", &["usr/sbin/rsyslogd"], "rsyslog"),
    ("etc/network/interfaces", &["usr/sbin/ifup"], "ifupdown"),
    ("etc/network/interfaces.d", &["usr/sbin/ifup"], "ifupdown"),
    ("etc/netplan", &["usr/sbin/netplan"], "netplan.io"),
    ("etc/NetworkManager", &["usr/sbin/NetworkManager"], "network-manager"),
    ("etc/wpa_supplicant", &["usr/sbin/wpa_supplicant"], "wpasupplicant"),
    ("etc/hostapd", &["usr/sbin/hostapd"], "hostapd"),
    ("etc/wireguard", &["usr/bin/wg"], "wireguard-tools"),
    ("etc/nftables.conf", &["usr/sbin/nft"], "nftables"),
    ("etc/iptables", &["usr/sbin/netfilter-persistent"], "iptables-persistent"),
    ("etc/ssh/sshd_config.d", &["usr/sbin/sshd"], "openssh-server"),
    ("etc/docker/daemon.json", &["usr/bin/dockerd", "usr/sbin/dockerd"], "docker.io"),
    ("etc/chrony", &["usr/sbin/chronyd"], "chrony"),
    ("etc/systemd/timesyncd.conf.d", &["usr/lib/systemd/systemd-timesyncd"], "systemd-timesyncd"),
    ("etc/systemd/resolved.conf.d", &["usr/lib/systemd/systemd-resolved"], "systemd-resolved"),
    ("etc/nginx", &["usr/sbin/nginx"], "nginx"),
    ("etc/mosquitto", &["usr/sbin/mosquitto"], "mosquitto"),
    ("etc/dnsmasq.d", &["usr/sbin/dnsmasq"], "dnsmasq"),
];

/// Settings that no device of ours reads, and what does the same.
const NEVER: [(&str, &str); 11] = [
    ("etc/default/grub", "set the kernel's arguments with `.command_line(\"…\")`"),
    ("etc/default/grub.d", "set the kernel's arguments with `.command_line(\"…\")`"),
    ("etc/kernel/cmdline", "set the kernel's arguments with `.command_line(\"…\")`"),
    ("etc/cmdline.d", "set the kernel's arguments with `.command_line(\"…\")`"),
    ("boot/grub", "set the kernel's arguments with `.command_line(\"…\")`"),
    ("boot/loader", "set the kernel's arguments with `.command_line(\"…\")`"),
    ("etc/initramfs-tools", "add modules to the initrd with `.initrd_module(\"…\")`"),
    ("etc/dracut.conf.d", "add modules to the initrd with `.initrd_module(\"…\")`"),
    ("etc/mkinitcpio.conf", "add modules to the initrd with `.initrd_module(\"…\")`"),
    ("etc/inittab", "write a unit, and add it with `.unit(unit!(\"…\"))`"),
    ("etc/init", "write a unit, and add it with `.unit(unit!(\"…\"))`"),
];

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    for (place, help) in NEVER {
        let place = TreePath::new(place);
        if let Some((path, _)) = subject.origins.below(&place).next() {
            let message = format!("nothing on the device reads `{path}`");
            let mistake = Diagnostic::new(FILE_WITHOUT_PROGRAM.code, message).help(help);
            found.mistakes.push(subject.blame(mistake, path, 1));
        }
    }
    for (place, programs, package) in PROGRAMS {
        let place = TreePath::new(place);
        let there = || programs.iter().any(|program| subject.tree.resolve(&TreePath::new(program)).is_some());
        // The first one is enough: all of them are for the same package.
        let Some((path, _)) = subject.origins.below(&place).next() else { continue };
        if !there() {
            let message = format!("nothing in the image reads `{path}`");
            let help = format!("add `.package(\"{package}\")`, or remove the file");
            let caution = Diagnostic::new(FILE_WITHOUT_PROGRAM.code, message).help(help);
            found.cautions.push(subject.blame(caution, path, 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::check::tests::{refusal, refused};
    use expect_test::expect;

    #[test]
    fn what_a_boot_loader_would_have_read_is_told_the_word_for_it() {
        expect![[r#"
            error[file-without-program]: nothing on the device reads `/etc/default/grub`
              --> xtask/src/step/check/readers.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.file("/etc/default/grub", "GRUB_CMDLINE_LINUX=quiet\n")),
               |                                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |                                     line 1: `GRUB_CMDLINE_LINUX=quiet`
               |
               = help: set the kernel's arguments with `.command_line("…")`
        "#]]
        .assert_eq(&refusal(&FILE_WITHOUT_PROGRAM, include_str!("readers.rs")));
    }

    #[test]
    fn settings_of_a_package_that_is_not_there_are_told() {
        let found = refused(|image| image.file("/etc/logrotate.d/ours", "x {}\n"));
        assert!(
            found.contains("warning[file-without-program]")
                && found.contains("add `.package(\"logrotate\")`"),
            "{found}"
        );
        assert!(
            !refused(|image| image.file("/etc/ssh/sshd_config.d/1.conf", ""))
                .contains("file-without-program")
        );
    }
}
