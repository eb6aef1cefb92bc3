use super::*;
use crate::step::check::programs::table;

/// What is read of a program's words about files of the description.
fn read_with(program: &str, files: &[(&str, &str)], success: bool, text: &str) -> Complaints {
    let program = table::programs().find(|known| known.name == program).unwrap();
    let named = |(name, text): &(&str, &str)| Named {
        name: (*name).to_owned(),
        path: TreePath::new(name),
        text: (*text).to_owned(),
    };
    let files: Vec<Named> = files.iter().map(named).collect();
    let later = |path: &str| path.starts_with("/local/");
    Reading { program, files: &files, later: &later }.complaints(&Answer { success, text: text.to_owned() })
}

/// The lines and messages of a program that fails.
fn said(program: &str, files: &[(&str, &str)], text: &str) -> Vec<(Option<u32>, String)> {
    let found = read_with(program, files, false, text).found;
    found.into_iter().map(|complaint| (complaint.line, complaint.message)).collect()
}

#[test]
fn every_form_of_a_place_is_read() {
    let files = [("/etc/x.conf", ""), ("/etc/x.conf.d/a.conf", "")];
    for (text, line, message) in [
        ("/etc/x.conf: line 3: Bad configuration option: x", Some(3), "Bad configuration option: x"),
        ("/etc/x.conf line 3: Deprecated option x", Some(3), "Deprecated option x"),
        ("/etc/x.conf:3:7: syntax error", Some(3), "syntax error"),
        ("/etc/x.conf: 3: Syntax error: \"fi\" unexpected", Some(3), "Syntax error: \"fi\" unexpected"),
        ("/etc/x.conf:3:5-9: Error: syntax error, unexpected x", Some(3), "syntax error, unexpected x"),
        ("/etc/x.conf:3 Invalid key 'x'.", Some(3), "Invalid key 'x'"),
        ("unknown directive \"x\" in /etc/x.conf:3", Some(3), "unknown directive \"x\""),
        ("bad option at line 3 of /etc/x.conf", Some(3), "bad option"),
        ("Syntax error on line 3 of /etc/x.conf:\nInvalid command 'x'", Some(3), "Invalid command 'x'"),
        ("unable to configure with file /etc/x.conf: invalid character", None, "invalid character"),
        (
            "read /etc/x.conf on line 9: Syntax error on line 3 of /etc/x.conf: x is open",
            Some(3),
            "x is open",
        ),
    ] {
        assert_eq!(said("sshd", &files, text), [(line, message.to_owned())], "{text}");
    }
}

#[test]
fn a_file_is_not_taken_for_another_and_a_summary_is_no_second_complaint() {
    let files = [("/etc/x.conf", "")];
    let text = "/etc/x.config: line 3: no\n/etc/x.conf.d/b: line 3: no\n/etc/other:1: no\n";
    assert_eq!(said("sshd", &files, text), []);
    for text in [
        "/etc/x.conf: line 3: Bad option\n/etc/x.conf: terminating, 1 bad configuration options\n",
        "errors in /etc/x.conf\n/etc/x.conf: line 3: Bad option\n",
    ] {
        assert_eq!(said("sshd", &files, text), [(Some(3), "Bad option".to_owned())]);
    }
}

/// The words of Debian 13's programs.
#[test]
fn every_programs_own_words_are_mapped_to_the_line() {
    for (program, file, content, text, line, message) in [
        (
            "apache2",
            "/etc/apache2/sites-enabled/ours.conf",
            "<VirtualHost *:80>\n",
            "apache2: Syntax error on line 225 of /etc/apache2/apache2.conf: Syntax error on line 1 of \
             /etc/apache2/sites-enabled/ours.conf: /etc/apache2/sites-enabled/ours.conf:1: <VirtualHost> was not closed.",
            1,
            "<VirtualHost> was not closed",
        ),
        (
            "chronyd",
            "/etc/chrony/conf.d/ours.conf",
            "",
            "2026-11-26T18:06:58Z Fatal error : Invalid directive at line 2 in file /etc/chrony/conf.d/ours.conf",
            2,
            "Invalid directive",
        ),
        (
            "dovecot",
            "/etc/dovecot/conf.d/ours.conf",
            "",
            "doveconf: Fatal: Error in configuration file /etc/dovecot/conf.d/ours.conf line 2: mail_locaton: Unknown \
             setting: mail_locaton",
            2,
            "mail_locaton: Unknown setting: mail_locaton",
        ),
        (
            "fail2ban",
            "/etc/fail2ban/jail.d/ours.local",
            "",
            "2026-11-26 18:08:20,373 fail2ban                [116]: ERROR   Failed during configuration: Source contains \
             parsing errors: '/etc/fail2ban/jail.d/ours.local'\n\t[line  3]: 'maxretry 3\\n'\n",
            3,
            "'maxretry 3\\n'",
        ),
        (
            "haproxy",
            "/etc/haproxy/haproxy.cfg",
            "",
            "[ALERT]    (84) : config : parsing [/etc/haproxy/haproxy.cfg:37] : unknown keyword 'mod' in 'frontend' section",
            37,
            "unknown keyword 'mod' in 'frontend' section",
        ),
        (
            "keepalived",
            "/etc/keepalived/keepalived.conf",
            "",
            "(/etc/keepalived/keepalived.conf: Line 2) Unknown keyword 'interfce'",
            2,
            "Unknown keyword 'interfce'",
        ),
        (
            "lighttpd",
            "/etc/lighttpd/conf-enabled/99-ours.conf",
            "",
            "2026-11-26 18:07:05: (configfile.c.1961) source: /etc/lighttpd/conf-enabled/99-ours.conf line: 2 pos: 14 only \
             == =~ are allowed",
            2,
            "only == =~ are allowed",
        ),
        (
            "named",
            "/etc/bind/named.conf.local",
            "zone \"x\" {\n  file \"/etc/bind/db.x\";\n};\n",
            "zone x/IN: loading from master file /etc/bind/db.x failed: file not found",
            2,
            "zone x/IN: loading from master file /etc/bind/db.x failed: file not found",
        ),
        (
            "nginx",
            "/etc/nginx/conf.d/ours.conf",
            "server {\n ssl_certificate /etc/x.pem;\n}\n",
            "cannot load certificate \"/etc/x.pem\": BIO_new_file() failed (SSL: error:80000002:x)",
            2,
            "cannot load certificate \"/etc/x.pem\": BIO_new_file() failed (SSL: error:80000002:x)",
        ),
        (
            "postfix",
            "/etc/postfix/main.cf",
            "x = y\ninet_interface = all\n",
            "/usr/sbin/postconf: warning: /etc/postfix/main.cf: unused parameter: inet_interface=all",
            2,
            "unused parameter: inet_interface=all",
        ),
        (
            "prometheus",
            "/etc/prometheus/prometheus.yml",
            "",
            "  FAILED: parsing YAML file /etc/prometheus/prometheus.yml: yaml: unmarshal errors:\n  \
             line 2: field scrape_intervl not found in type config.plain\n",
            2,
            "field scrape_intervl not found in type config.plain",
        ),
        (
            "samba",
            "/etc/samba/smb.conf",
            "[global]\nworgroup = x\n",
            "Unknown parameter encountered: \"worgroup\"",
            2,
            "Unknown parameter encountered: \"worgroup\"",
        ),
        (
            "squid",
            "/etc/squid/conf.d/ours.conf",
            "",
            "2026/11/26 18:07:05| /etc/squid/conf.d/ours.conf(2): unrecognized: 'http_acces'",
            2,
            "unrecognized: 'http_acces'",
        ),
        (
            "unbound",
            "/etc/unbound/unbound.conf.d/ours.conf",
            "server:\n  access-control: 10.0.0.0/33 allow\n",
            "[1795716322] unbound-checkconf[107:0] error: netblock too large: 10.0.0.0/33",
            2,
            "netblock too large: 10.0.0.0/33",
        ),
    ] {
        assert_eq!(said(program, &[(file, content)], text), [(Some(line), message.to_owned())], "{program}");
    }
}

#[test]
fn what_only_a_device_has_is_no_complaint() {
    let nginx = [("/etc/nginx/conf.d/ours.conf", "listen 10.1.2.3:99;\nssl_certificate /local/x.pem;\n")];
    for text in [
        "bind() to 10.1.2.3:99 failed (99: Cannot assign requested address)",
        "host not found in upstream \"backend\" in /etc/nginx/conf.d/ours.conf:1",
        "cannot load certificate \"/local/x.pem\": BIO_new_file() failed",
    ] {
        let read = read_with("nginx", &nginx, false, text);
        assert!(read.found.is_empty() && read.left_out, "{text}: {read:?}");
    }
}
