//! What listens: the ports that a device opens, as far as the description says it.
//!
//! Three things open one: a socket of the description's, a service of systemd's that is enabled, and a package that is
//! asked for by name and listens as its distribution configures it. A port that a program opens by settings of its own is not
//! known here; `ss -tuln` on a device tells all of them, and a test that compares both is in `tests/boot/edge.rs`.

use std::fmt;

use serde::Serialize;

use super::{FileKind, Plan, sshd};
use crate::image::Image;
use crate::location::SourceLocation;
use crate::page::Page;

/// A port that a device opens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ListenerPlan {
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// Other machines reach it; the device alone otherwise.
    pub from_outside: bool,
    /// The package or the unit that opens it.
    pub by: String,
    /// The line that asked for that.
    pub at: Option<SourceLocation>,
}

/// What a port belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}
use Protocol::{Tcp, Udp};

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tcp => "tcp",
            Udp => "udp",
        })
    }
}

/// Who reaches a port.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    All,
    Device,
}
use Reach::{All, Device};

/// A port that something opens.
type Port = (Protocol, u16, Reach);

/// What packages open as Debian and Ubuntu configure them.
const PACKAGES: &[(&str, &[Port])] = &[
    ("apache2", &[(Tcp, 80, All)]),
    ("avahi-daemon", &[(Udp, 5353, All)]),
    ("bind9", &[(Tcp, 53, All), (Udp, 53, All), (Tcp, 953, Device)]),
    ("chrony", &[(Udp, 323, Device)]),
    ("cockpit", &[(Tcp, 9090, All)]),
    ("cups", &[(Tcp, 631, Device)]),
    ("dnsmasq", &[(Tcp, 53, All), (Udp, 53, All)]),
    ("dropbear", &[(Tcp, 22, All)]),
    ("exim4-daemon-light", &[(Tcp, 25, Device)]),
    ("mariadb-server", &[(Tcp, 3306, Device)]),
    ("mosquitto", &[(Tcp, 1883, Device)]),
    ("nfs-kernel-server", &[(Tcp, 111, All), (Udp, 111, All), (Tcp, 2049, All)]),
    ("nginx", &[(Tcp, 80, All)]),
    ("ntpsec", &[(Udp, 123, All)]),
    ("postgresql", &[(Tcp, 5432, Device)]),
    ("prometheus-node-exporter", &[(Tcp, 9100, All)]),
    ("rabbitmq-server", &[(Tcp, 4369, All), (Tcp, 5672, All), (Tcp, 25672, All)]),
    ("redis-server", &[(Tcp, 6379, Device)]),
    ("rpcbind", &[(Tcp, 111, All), (Udp, 111, All)]),
    ("samba", &[(Tcp, 139, All), (Tcp, 445, All), (Udp, 137, All), (Udp, 138, All)]),
    ("snmpd", &[(Udp, 161, Device)]),
    ("squid", &[(Tcp, 3128, All)]),
    ("systemd-resolved", &[(Tcp, 53, Device), (Udp, 53, Device)]),
    ("vsftpd", &[(Tcp, 21, All)]),
];

/// What systemd-resolved opens where the device answers to its name: LLMNR, and multicast DNS.
const NAMES: [(Protocol, u16); 3] = [(Tcp, 5355), (Udp, 5353), (Udp, 5355)];

pub(super) fn plan(image: &Image, plan: &Plan) -> Vec<ListenerPlan> {
    let listener = |(protocol, port, reach), by: &str, at: Option<&SourceLocation>| ListenerPlan {
        protocol,
        port,
        from_outside: reach == All,
        by: by.to_string(),
        at: at.cloned(),
    };
    let package = |name: &str| plan.packages.iter().find(|package| package.name.as_str() == name);
    let mut found = Vec::new();
    if sshd::is_there(image) {
        let asked = package(sshd::PACKAGE).and_then(|package| package.at.as_ref());
        found.push(listener((Tcp, 22, All), sshd::PACKAGE, asked));
    }
    for (name, ports) in PACKAGES {
        let Some(package) = package(name) else { continue };
        found.extend(ports.iter().map(|&port| listener(port, name, package.at.as_ref())));
    }
    if let (Some(at), Some(_)) = (&image.local_names, package("systemd-resolved")) {
        let names = NAMES.iter().map(|&(protocol, port)| (protocol, port, All));
        found.extend(names.map(|port| listener(port, "systemd-resolved", Some(at))));
    }
    for unit in &plan.units.enable {
        let (name, at) = (unit.name.as_str(), unit.at.as_ref());
        if name == "systemd-networkd.service" {
            // For the answers of DHCP servers.
            found.push(listener((Udp, 68, All), name, at));
        }
        let file = plan.files.iter().find(|file| file.path.as_str().rsplit('/').next() == Some(name));
        if let Some(FileKind::File { text }) = file.map(|file| &file.kind) {
            found.extend(text.lines().filter_map(of_socket).map(|port| listener(port, name, at)));
        }
    }
    found.sort();
    found.dedup_by(|left, right| (left.protocol, left.port) == (right.protocol, right.port));
    found
}

/// What a line of a socket unit opens; none where it is no port.
fn of_socket(line: &str) -> Option<(Protocol, u16, Reach)> {
    let (key, value) = line.split_once('=')?;
    let protocol = match key.trim() {
        "ListenStream" => Tcp,
        "ListenDatagram" => Udp,
        _ => return None,
    };
    let (address, port) = value.trim().rsplit_once(':').unwrap_or(("", value.trim()));
    if address.starts_with("vsock") {
        return None;
    }
    let own = address.starts_with("127.") || address == "[::1]";
    Some((protocol, port.parse().ok()?, if own { Device } else { All }))
}

impl Plan {
    /// What other machines, and the device itself, can connect to.
    pub(super) fn listening(&self, page: &mut Page) {
        page.heading("what listens");
        if self.listeners.is_empty() {
            page.words(["nothing"].into_iter());
        }
        page.table(
            &["port", "for", "by"],
            self.listeners.iter().map(|listener| {
                let whom = if listener.from_outside { "everybody" } else { "the device itself" };
                let port = format!("{} {}", listener.protocol, listener.port);
                vec![port, whom.to_string(), listener.by.clone()]
            }),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::device;

    fn listening(image: &Image) -> Vec<(String, bool, String)> {
        let plan = image.plan().unwrap();
        let row =
            |one: &ListenerPlan| (format!("{} {}", one.protocol, one.port), one.from_outside, one.by.clone());
        plan.listeners.iter().map(row).collect()
    }

    #[test]
    fn a_device_listens_for_what_it_was_asked_to() {
        assert_eq!(listening(&device()), []);
        let resolved = device().package("systemd-resolved").package("redis-server");
        let own = |port: &str, by: &str| (port.to_string(), false, by.to_string());
        let expected = [
            own("tcp 53", "systemd-resolved"),
            own("tcp 6379", "redis-server"),
            own("udp 53", "systemd-resolved"),
        ];
        assert_eq!(listening(&resolved), expected);
        let names = listening(&resolved.local_names());
        assert!(names.contains(&("udp 5355".to_string(), true, "systemd-resolved".to_string())), "{names:?}");
    }

    #[test]
    fn a_socket_of_the_description_listens() {
        for (line, expected) in [
            ("ListenStream=80", Some((Tcp, 80, true))),
            ("ListenStream=[::]:443", Some((Tcp, 443, true))),
            ("ListenDatagram = 127.0.0.1:514", Some((Udp, 514, false))),
            ("ListenStream=[::1]:631", Some((Tcp, 631, false))),
            ("ListenStream=/run/agent.sock", None),
            ("ListenStream=vsock::22", None),
            ("Accept=yes", None),
        ] {
            let found = of_socket(line).map(|(protocol, port, reach)| (protocol, port, reach == All));
            assert_eq!(found, expected, "{line}");
        }
    }
}
