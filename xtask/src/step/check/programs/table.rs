//! The programs that can test their settings.

use bedplate_formats::tree::TreePath;

/// A program that can test its settings.
#[derive(Debug)]
pub(super) struct Program {
    /// What it is called in messages.
    pub name: &'static str,
    /// Where it may be; one of them is enough.
    pub needs: &'static [&'static str],
    /// Its settings: files, and directories with all that is below them.
    pub reads: &'static [&'static str],
    /// How names of settings end, if not all count.
    pub endings: &'static [&'static str],
    /// The command, for `sh -c`; the files of the description are its arguments.
    pub command: &'static str,
    /// What makes a complaint a mistake.
    pub counts: Counts,
    /// Words of complaints about what only a device has.
    pub ignored: &'static [&'static str],
    /// What to do about a complaint.
    pub help: &'static str,
}

/// What makes a complaint a mistake, and not a warning.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Counts {
    /// The program fails.
    Failure,
    /// One of these words is in it.
    Words(&'static [&'static str]),
}

impl Program {
    /// The command line for these files of the description.
    pub(super) fn argv(&self, touched: &[TreePath]) -> Vec<String> {
        let shell = ["sh", "-c", self.command, "sh"].map(str::to_owned);
        shell.into_iter().chain(touched.iter().map(TreePath::to_string)).collect()
    }
}

const OTHERWISE: Program = Program {
    name: "",
    needs: &[],
    reads: &[],
    endings: &[],
    command: "",
    counts: Counts::Failure,
    ignored: &[],
    help: "mend the line, or remove it",
};

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
        name: "dockerd",
        needs: &["usr/sbin/dockerd", "usr/bin/dockerd"],
        reads: &["etc/docker/daemon.json"],
        command: "exec dockerd --validate --config-file=/etc/docker/daemon.json",
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
        counts: Counts::Words(&[
            "ignoring",
            "Failed",
            "Invalid",
            "Unknown",
            "refus",
            "Refus",
            "Missing",
            "not valid",
        ]),
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
        name: "nginx",
        needs: &["usr/sbin/nginx"],
        reads: &["etc/nginx"],
        command: "exec nginx -t",
        ignored: &[
            "cannot load certificate",
            "host not found",
            "BIO_new_file",
            "test failed",
            "test is successful",
        ],
        ..OTHERWISE
    },
    Program {
        name: "apache2",
        needs: &["usr/sbin/apache2ctl"],
        reads: &["etc/apache2"],
        command: "exec apache2ctl -t",
        ignored: &["SSLCertificate"],
        ..OTHERWISE
    },
    Program {
        name: "named",
        needs: &["usr/bin/named-checkconf", "usr/sbin/named-checkconf"],
        reads: &["etc/bind"],
        command: "exec named-checkconf",
        ignored: &["rndc.key"],
        ..OTHERWISE
    },
    Program {
        name: "logrotate",
        needs: &["usr/sbin/logrotate"],
        reads: &["etc/logrotate.conf", "etc/logrotate.d"],
        command: "exec logrotate -d /etc/logrotate.conf",
        counts: Counts::Words(&["error:"]),
        ignored: &["reading config file", "stat of"],
        ..OTHERWISE
    },
    Program {
        name: "dnsmasq",
        needs: &["usr/sbin/dnsmasq"],
        reads: &["etc/dnsmasq.conf", "etc/dnsmasq.d"],
        command: "exec dnsmasq --test --conf-dir=/etc/dnsmasq.d,*.dpkg-dist,*.dpkg-old,*.dpkg-new",
        ..OTHERWISE
    },
    Program {
        name: "haproxy",
        needs: &["usr/sbin/haproxy"],
        reads: &["etc/haproxy"],
        command: "exec haproxy -c -f /etc/haproxy/haproxy.cfg",
        ignored: &["could not resolve address"],
        ..OTHERWISE
    },
    Program {
        name: "unbound",
        needs: &["usr/sbin/unbound-checkconf"],
        reads: &["etc/unbound"],
        command: "exec unbound-checkconf",
        ..OTHERWISE
    },
    Program {
        name: "rsyslogd",
        needs: &["usr/sbin/rsyslogd"],
        reads: &["etc/rsyslog.conf", "etc/rsyslog.d"],
        command: "exec rsyslogd -N1",
        ..OTHERWISE
    },
];
