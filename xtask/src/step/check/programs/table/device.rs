//! Programs that a device is reached, started and kept up with.

use super::{Counts, LEFT_OUT, OTHERWISE, Program};

/// Where programs lie.
const SCRIPTS: &[&str] = &["etc", "opt", "usr/bin", "usr/sbin", "usr/lib", "usr/libexec", "usr/local"];

/// By how much depends on them.
pub(super) static PROGRAMS: &[Program] = &[
    Program {
        name: "sshd",
        needs: &["usr/sbin/sshd"],
        reads: &["etc/ssh/sshd_config", "etc/ssh/sshd_config.d"],
        // The device's own keys are made on the device.
        command: "mkdir -p /run/sshd && ssh-keygen -q -t ed25519 -N '' -f /run/key && exec /usr/sbin/sshd -t -h /run/key",
        ignored: &["Unable to load host key", "host key file"],
        ..OTHERWISE
    },
    Program {
        name: "sudo",
        needs: &["usr/sbin/visudo"],
        reads: &["etc/sudoers", "etc/sudoers.d"],
        // Named as a file, it is tested without the mode that visudo itself would give it.
        command: "exec visudo -c -f /etc/sudoers",
        ignored: &["parsed OK"],
        ..OTHERWISE
    },
    Program {
        name: "nft",
        needs: &["usr/sbin/nft"],
        reads: &["etc/nftables.conf", "etc/nftables.d", "etc/nftables"],
        command: "exec nft -c -f /etc/nftables.conf",
        // The words of the builder's kernel, which is not the device's.
        ignored: &["Could not process rule", "cache initialization failed"],
        ..OTHERWISE
    },
    Program {
        name: "iptables-restore",
        needs: &["usr/sbin/iptables-restore"],
        reads: &["etc/iptables"],
        endings: &[".v4", ".v6", ".rules"],
        // The line stands behind the reason, and the file nowhere.
        command: "code=0; for file; do case $file in *6) program=ip6tables-restore ;; *) program=iptables-restore ;; esac; \
                  $program --test <$file >$words 2>&1 || code=$?; \
                  awk -v file=\"$file\" '{ sub(/^ip6?tables-restore[^:]*: /, \"\") } \
                  match($0, / ?(at )?line:? [0-9]+/) { line = substr($0, RSTART, RLENGTH); gsub(/[^0-9]/, \"\", line); \
                  print file \":\" line \": \" ($0 ~ /^Error occurred/ ? last : substr($0, 1, RSTART - 1)) } \
                  { last = $0 }' $words; done; exit $code",
        ignored: &["Could not fetch rule set", "Failed to initialize nft", "Permission denied"],
        ..OTHERWISE
    },
    Program {
        name: "sh",
        needs: &["usr/bin/sh"],
        reads: SCRIPTS,
        starts: &["#!/bin/sh", "#! /bin/sh", "#!/usr/bin/sh", "#!/bin/dash"],
        command: "code=0; for file; do sh -n \"$file\" || code=$?; done; exit $code",
        ..OTHERWISE
    },
    Program {
        name: "bash",
        needs: &["usr/bin/bash"],
        reads: SCRIPTS,
        starts: &["#!/bin/bash", "#! /bin/bash", "#!/usr/bin/bash", "#!/usr/bin/env bash"],
        command: "code=0; for file; do bash -n \"$file\" || code=$?; done; exit $code",
        ..OTHERWISE
    },
    Program {
        name: "systemd",
        needs: &["usr/bin/systemd-analyze"],
        reads: &["etc/systemd/system", "usr/lib/systemd/system", "usr/local/lib/systemd/system"],
        command: "for file; do case $file in *.wants/*|*.requires/*|*.upholds/*) ;; \
                  *.d/*.conf) unit=${file%/*}; unit=${unit##*/}; echo ${unit%.d} ;; *) echo ${file##*/} ;; esac; done \
                  | sed 's/@\\./@x./' | grep '[^-]\\.[a-z]*$' | sort -u \
                  | xargs -r systemd-analyze verify --man=no --recursive-errors=no",
        counts: LEFT_OUT,
        ..OTHERWISE
    },
    Program {
        name: "networkd",
        needs: &["usr/lib/systemd/systemd-networkd"],
        reads: &[
            "etc/systemd/network",
            "usr/lib/systemd/network",
            "etc/systemd/networkd.conf",
            "etc/systemd/networkd.conf.d",
        ],
        endings: &[".network", ".netdev", ".conf"],
        command: "export SYSTEMD_LOG_TARGET=console; watch '^lo: ' /usr/lib/systemd/systemd-networkd; exit $code",
        counts: LEFT_OUT,
        ..OTHERWISE
    },
    Program {
        name: "udevd",
        needs: &["usr/bin/udevadm"],
        reads: &["etc/systemd/network", "usr/lib/systemd/network"],
        endings: &[".link"],
        command: "export SYSTEMD_LOG_LEVEL=warning; exec udevadm test-builtin net_setup_link /sys/class/net/lo",
        counts: LEFT_OUT,
        ignored: &["Parsed configuration file"],
        ..OTHERWISE
    },
    Program {
        name: "udevadm",
        needs: &["usr/bin/udevadm"],
        reads: &["etc/udev/rules.d", "usr/lib/udev/rules.d"],
        endings: &[".rules"],
        command: "exec udevadm verify --no-style --no-summary \"$@\"",
        counts: Counts::Words(&[""]),
        ignored: &["udev rules check failed", "unused", "Unknown user", "Unknown group"],
        ..OTHERWISE
    },
    Program {
        name: "modprobe",
        needs: &["usr/sbin/modprobe"],
        reads: &["etc/modprobe.d", "usr/lib/modprobe.d"],
        endings: &[".conf"],
        command: "exec modprobe -c >/dev/null",
        counts: Counts::Words(&["ignoring bad line"]),
        ..OTHERWISE
    },
    Program {
        name: "sysctl",
        needs: &["usr/lib/systemd/systemd-sysctl"],
        reads: &["etc/sysctl.d", "usr/lib/sysctl.d"],
        endings: &[".conf"],
        // With a prefix that no setting has, all are read and none is set.
        command: "exec /usr/lib/systemd/systemd-sysctl --prefix=nothing/at/all \"$@\"",
        counts: LEFT_OUT,
        ..OTHERWISE
    },
    Program {
        name: "tmpfiles",
        needs: &["usr/bin/systemd-tmpfiles"],
        reads: &["etc/tmpfiles.d", "usr/lib/tmpfiles.d"],
        endings: &[".conf"],
        // Before systemd 256, without the option, lines are read and none is followed.
        command: "case $(systemd-tmpfiles --help) in *--dry-run*) how=--dry-run ;; *) how=--prefix=/nothing ;; esac; \
                  exec systemd-tmpfiles --create $how \"$@\" >/dev/null",
        ignored: &["pecifier"],
        ..OTHERWISE
    },
    Program {
        name: "journald",
        needs: &["usr/lib/systemd/systemd-journald"],
        reads: &["etc/systemd/journald.conf", "etc/systemd/journald.conf.d"],
        command: "export SYSTEMD_LOG_TARGET=console; watch 'cgroup root path' /usr/lib/systemd/systemd-journald",
        counts: LEFT_OUT,
        ..OTHERWISE
    },
    Program {
        name: "logind",
        needs: &["usr/lib/systemd/systemd-logind"],
        reads: &["etc/systemd/logind.conf", "etc/systemd/logind.conf.d"],
        command: "export SYSTEMD_LOG_TARGET=console; watch 'system bus' /usr/lib/systemd/systemd-logind",
        counts: LEFT_OUT,
        ..OTHERWISE
    },
    Program {
        name: "resolved",
        needs: &["usr/lib/systemd/systemd-resolved"],
        reads: &["etc/systemd/resolved.conf", "etc/systemd/resolved.conf.d"],
        command: "export SYSTEMD_LOG_TARGET=console; watch 'system hostname' /usr/lib/systemd/systemd-resolved",
        counts: LEFT_OUT,
        ..OTHERWISE
    },
    Program {
        name: "netplan",
        needs: &["usr/libexec/netplan/generate", "usr/lib/netplan/generate"],
        reads: &["etc/netplan", "usr/lib/netplan"],
        endings: &[".yaml"],
        command: "for generate in /usr/libexec/netplan/generate /usr/lib/netplan/generate; do \
                  if [ -x $generate ]; then exec $generate --root-dir /; fi; done",
        ignored: &["Permissions for"],
        ..OTHERWISE
    },
    Program {
        name: "cron",
        needs: &["usr/bin/crontab"],
        reads: &["etc/cron.d", "etc/crontab"],
        // Its lines are counted from 0.
        command: "for file; do crontab -n \"$file\" 2>&1 | while IFS= read -r line; do rest=${line#\\\"$file\\\":}; \
                  case $rest in [0-9]*:*) echo \"$file:$((${rest%%:*} + 1)): ${rest#*: }\" ;; \
                  *newline*) echo \"$file: $line\" ;; esac; done; done",
        counts: Counts::Words(&[""]),
        ..OTHERWISE
    },
    Program {
        name: "logrotate",
        needs: &["usr/sbin/logrotate"],
        reads: &["etc/logrotate.conf", "etc/logrotate.d"],
        // It names files without their directory, and of the rest of its words nothing is a complaint.
        command: "logrotate -d /etc/logrotate.conf 2>&1 | sed -n '/error: stat of/d; \
                  s#^\\(error\\|warning\\): \\([^ /:]*\\):\\([0-9]\\)#\\1: /etc/logrotate.d/\\2:\\3#p; \
                  s|Ignoring \\([^ /]*\\) because|Ignoring /etc/logrotate.d/\\1 because|p'",
        counts: Counts::Words(&["error:", "ignoring"]),
        ..OTHERWISE
    },
    Program {
        name: "rsyslogd",
        needs: &["usr/sbin/rsyslogd"],
        reads: &["etc/rsyslog.conf", "etc/rsyslog.d"],
        command: "rsyslogd -N1 >$words 2>&1; code=$?; \
                  sed 's/, on or before line \\([0-9]*\\): /:\\1: /; s/ \\[v8.*//; s/^rsyslogd: //' $words; exit $code",
        ..OTHERWISE
    },
    Program {
        name: "apparmor_parser",
        needs: &["usr/sbin/apparmor_parser"],
        reads: &["etc/apparmor.d"],
        command: "code=0; for file; do case ${file#/etc/apparmor.d/} in */*) ;; \
                  *) apparmor_parser -Q -K -T \"$file\" || code=$? ;; esac; done; exit $code",
        ignored: &["Cache read/write disabled"],
        ..OTHERWISE
    },
    Program {
        name: "chronyd",
        needs: &["usr/sbin/chronyd"],
        reads: &["etc/chrony"],
        endings: &[".conf", ".sources"],
        // Sources are read when it runs, and with the settings of this command line instead of those of its file.
        command: "code=0; chronyd -p >/dev/null || code=$?; for file; do case $file in *.sources) \
                  chronyd -p \"include $file\" >/dev/null || code=$? ;; esac; done; exit $code",
        ..OTHERWISE
    },
    Program {
        name: "dockerd",
        needs: &["usr/sbin/dockerd", "usr/bin/dockerd"],
        reads: &["etc/docker/daemon.json"],
        command: "exec dockerd --validate --config-file=/etc/docker/daemon.json",
        ..OTHERWISE
    },
];
