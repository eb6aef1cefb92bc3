//! Services that a device offers to others.

use super::{Counts, OTHERWISE, Program};

/// By name.
pub(super) static PROGRAMS: &[Program] = &[
    Program {
        name: "apache2",
        needs: &["usr/sbin/apache2ctl"],
        reads: &["etc/apache2"],
        command: "exec apache2ctl -t",
        ignored: &["AH00557", "AH00558"],
        ..OTHERWISE
    },
    Program {
        name: "caddy",
        needs: &["usr/bin/caddy"],
        reads: &["etc/caddy"],
        command: "exec caddy validate --config /etc/caddy/Caddyfile",
        ignored: &["\"level\":\"info\"", "\"level\":\"warn\""],
        ..OTHERWISE
    },
    Program {
        name: "dnsmasq",
        needs: &["usr/sbin/dnsmasq"],
        reads: &["etc/dnsmasq.conf", "etc/dnsmasq.d"],
        // As Debian's unit starts it. A star would take these files, and no others.
        command: "exec dnsmasq --test --conf-dir=/etc/dnsmasq.d,.dpkg-dist,.dpkg-old,.dpkg-new",
        ..OTHERWISE
    },
    Program {
        name: "dovecot",
        needs: &["usr/bin/doveconf"],
        reads: &["etc/dovecot"],
        command: "exec doveconf -n >/dev/null",
        ..OTHERWISE
    },
    Program {
        name: "fail2ban",
        needs: &["usr/bin/fail2ban-client"],
        reads: &["etc/fail2ban"],
        command: "exec fail2ban-client -t",
        ignored: &["no log file", "Have not found any log file"],
        ..OTHERWISE
    },
    Program {
        name: "frr",
        needs: &["usr/bin/vtysh"],
        reads: &["etc/frr/frr.conf"],
        command: "vtysh -C -f /etc/frr/frr.conf >$words 2>&1; code=$?; \
                  sed 's|^line \\([0-9]*\\): % |/etc/frr/frr.conf:\\1: |' $words; exit $code",
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
        name: "kea",
        needs: &["usr/sbin/kea-dhcp4", "usr/sbin/kea-dhcp6"],
        reads: &["etc/kea/kea-dhcp4.conf", "etc/kea/kea-dhcp6.conf"],
        command: "code=0; for file; do program=${file##*/}; program=/usr/sbin/${program%.conf}; \
                  if [ -x $program ]; then $program -t $file || code=$?; fi; done; exit $code",
        ignored: &[" WARN ", " INFO ", "exist in the system"],
        ..OTHERWISE
    },
    Program {
        name: "keepalived",
        needs: &["usr/sbin/keepalived"],
        reads: &["etc/keepalived"],
        command: "exec keepalived -t",
        ignored: &[
            "WARNING - interface",
            "Non-existent interface",
            "SECURITY VIOLATION",
            "WARNING - default user",
        ],
        ..OTHERWISE
    },
    Program {
        name: "lighttpd",
        needs: &["usr/sbin/lighttpd"],
        reads: &["etc/lighttpd"],
        command: "exec lighttpd -tt -f /etc/lighttpd/lighttpd.conf",
        ..OTHERWISE
    },
    Program {
        name: "monit",
        needs: &["usr/bin/monit"],
        reads: &["etc/monit"],
        command: "exec monit -t",
        ..OTHERWISE
    },
    Program {
        name: "mosquitto",
        needs: &["usr/sbin/mosquitto"],
        reads: &["etc/mosquitto"],
        endings: &[".conf"],
        // Debian has it write to a file. The line stands behind the reason.
        command: "log=/var/log/mosquitto/mosquitto.log; \
                  watch ' running' mosquitto -c /etc/mosquitto/mosquitto.conf | sed 's/^[0-9]*: //' \
                  | awk '/^Error found at/ { print $4 \" \" last; next } { last = $0; print }' >/run/said; \
                  cat /run/said; ! grep -q ^Error /run/said",
        ignored: &["Loading config file", "Config loaded from"],
        ..OTHERWISE
    },
    Program {
        name: "named",
        needs: &["usr/bin/named-checkconf", "usr/sbin/named-checkconf"],
        reads: &["etc/bind"],
        // With the zones whose files are in the image.
        command: "exec named-checkconf -z",
        ..OTHERWISE
    },
    Program {
        name: "nginx",
        needs: &["usr/sbin/nginx"],
        reads: &["etc/nginx"],
        command: "nginx -t >$words 2>&1; code=$?; \
                  sed 's/^[0-9/]* [0-9:]* \\[[a-z]*\\] [0-9#]*: //; s/^nginx: \\[[a-z]*\\] //' $words; exit $code",
        ignored: &["host not found", "bind() to", "test failed", "test is successful", "syntax is ok"],
        ..OTHERWISE
    },
    Program {
        name: "php-fpm",
        needs: &["usr/sbin/php-fpm8.2", "usr/sbin/php-fpm8.3", "usr/sbin/php-fpm8.4"],
        reads: &["etc/php"],
        command: "code=0; for program in /usr/sbin/php-fpm[0-9]*; do $program -t || code=$?; done; exit $code",
        ignored: &["Unable to include"],
        ..OTHERWISE
    },
    Program {
        name: "postfix",
        needs: &["usr/sbin/postconf"],
        reads: &["etc/postfix/main.cf", "etc/postfix/master.cf"],
        command: "postconf -n >/dev/null && postconf -M >/dev/null",
        counts: Counts::Words(&["fatal", "unused parameter", "undefined parameter"]),
        ignored: &[".UNKNOWN"],
        ..OTHERWISE
    },
    Program {
        name: "prometheus",
        needs: &["usr/bin/promtool"],
        reads: &["etc/prometheus/prometheus.yml"],
        command: "exec promtool check config /etc/prometheus/prometheus.yml",
        ignored: &["Checking"],
        ..OTHERWISE
    },
    Program {
        name: "radvd",
        needs: &["usr/sbin/radvd"],
        reads: &["etc/radvd.conf"],
        command: "exec radvd -c",
        ignored: &["exiting, failed", "syntax ok"],
        ..OTHERWISE
    },
    Program {
        name: "samba",
        needs: &["usr/bin/testparm"],
        reads: &["etc/samba/smb.conf"],
        command: "exec testparm -s --suppress-prompt >/dev/null",
        counts: Counts::Words(&["Unknown parameter", "not boolean", "Error loading", "bad value"]),
        ignored: &["Load smb config", "Ignoring unknown"],
        ..OTHERWISE
    },
    Program {
        name: "squid",
        needs: &["usr/sbin/squid"],
        reads: &["etc/squid"],
        command: "squid -k parse 2>&1 | grep -v Processing",
        counts: Counts::Words(&["unrecognized", "FATAL", "ERROR"]),
        ignored: &["WARNING", "ERROR: configuration failure"],
        ..OTHERWISE
    },
    Program {
        name: "unbound",
        needs: &["usr/sbin/unbound-checkconf"],
        reads: &["etc/unbound"],
        // The unit's start copies the root's key.
        command: "[ -s /var/lib/unbound/root.key ] || cp /usr/share/dns/root.key /var/lib/unbound/ 2>/dev/null; \
                  exec unbound-checkconf",
        ignored: &["cannot parse interface specified", "unbound_server", "unbound_control"],
        ..OTHERWISE
    },
];
