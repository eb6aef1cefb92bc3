//! What a device is called: a name for all, or one that each makes of what it is known by.

use super::FilePlan;
use super::service::SHUT_IN;
use super::units::UNITS;
use crate::image::Image;
use crate::place::At;
use crate::value::Hostname;

/// Resolves a device's own name, whatever it is.
pub(super) const PACKAGE: &str = "libnss-myhostname";
/// The machine id is a secret of the device's; what is shown on the network is a
/// hash of it with this. Another one would give every device another name.
/// <https://www.freedesktop.org/software/systemd/man/latest/machine-id.html>
const HASHED_WITH: &str = "5b1f0a4c6d0e4f4c9a1e7f1b7a3c2d90";
/// Where the name is, once it is made.
const NAME: &str = "/run/bedplate-hostname/name";

/// The name, when each device makes its own.
pub(super) fn template(image: &Image) -> Option<&At<Hostname>> {
    image.hostname.as_ref().filter(|name| name.value.is_template())
}

pub(super) fn files(image: &Image) -> Vec<FilePlan> {
    let fixed = image.hostname.as_ref().filter(|name| !name.value.is_template());
    let own = fixed.map_or(String::new(), |name| format!("127.0.1.1 {}\n", name.value));
    let others = others(image);
    let text = format!(
        "127.0.0.1 localhost\n{own}\n::1 localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n{others}"
    );
    let first = image.hosts.first().map(|(address, _)| &address.at);
    let at = image.hostname.as_ref().map(|name| &name.at).or(first);
    let hosts = FilePlan::text("/etc/hosts", text, "the host's own addresses").at(at);
    let Some(hostname) = &image.hostname else {
        return if image.hosts.is_empty() { Vec::new() } else { vec![hosts] };
    };
    let name = hostname.value.as_str();
    if !hostname.value.is_template() {
        return vec![hosts, FilePlan::text("/etc/hostname", format!("{name}\n"), "the host name").at(at)];
    }
    let unit = "bedplate-hostname.service";
    let why = format!("names each device `{name}`");
    vec![
        hosts,
        FilePlan::link("/etc/hostname", format!("..{NAME}"), &why).at(at),
        FilePlan::text("/usr/lib/bedplate/hostname", script(name), &why).mode(0o755).at(at),
        FilePlan::text(format!("{UNITS}/{unit}"), service(), &why).at(at),
        FilePlan::link(format!("{UNITS}/sysinit.target.wants/{unit}"), format!("../{unit}"), &why).at(at),
    ]
}

/// The description's hosts, a line each.
fn others(image: &Image) -> String {
    let mut lines: Vec<(&str, String)> = Vec::new();
    for (address, name) in &image.hosts {
        let address = address.value.as_str();
        match lines.iter_mut().find(|(known, _)| *known == address) {
            Some((_, names)) => names.push_str(&format!(" {}", name.value)),
            None => lines.push((address, name.value.to_string())),
        }
    }
    let lines: String = lines.iter().map(|(address, names)| format!("{address} {names}\n")).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

/// Before anything tells the network who this is.
fn service() -> String {
    format!(
        "[Unit]\nDescription=The Name of This Device\nDefaultDependencies=no\nConflicts=shutdown.target\n\
         Before=sysinit.target network-pre.target systemd-networkd.service shutdown.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/lib/bedplate/hostname\n\
         RuntimeDirectory=bedplate-hostname\n{SHUT_IN}UMask=0022\nProtectHostname=no\nSystemCallFilter=sethostname\n\
         CapabilityBoundingSet=CAP_SYS_ADMIN\n"
    )
}

/// A serial number is text that a vendor typed in, or did not.
fn script(template: &str) -> String {
    format!(
        r#"#!/bin/sh
# Names this device after what it is known by.
set -eu
template='{template}'
id=$(systemd-id128 machine-id --app-specific={HASHED_WITH} | cut -c 1-12)
serial=$(cat /sys/class/dmi/id/product_serial /proc/device-tree/serial-number 2>/dev/null | tr -d '\0' | head -n 1 |
    tr A-Z a-z | tr -cs 'a-z0-9\n' - | cut -c 1-32 | sed 's/^-*//; s/-*$//')
case $serial in
'' | 0 | none | default-string | not-specified | not-applicable | system-serial-number | to-be-filled-by-o-e-m)
    case $template in *'{SERIAL}'*)
        echo '<4>bedplate: the firmware knows no serial number: this device is named after its machine id' ;;
    esac
    serial=$id ;;
esac
name=$(echo "$template" | sed "s/{MACHINE_ID}/$id/g; s/{SERIAL}/$serial/g" | cut -c 1-64 | sed 's/[-.]*$//')
echo "$name" >{NAME}
hostname "$name"
"#,
        SERIAL = Hostname::SERIAL,
        MACHINE_ID = Hostname::MACHINE_ID,
    )
}

#[cfg(test)]
mod tests {
    use crate::plan::FileKind;
    use crate::rule::device;

    /// case 7
    #[test]
    fn hosts_of_the_description_stand_beside_the_devices_own() {
        let plan = device().hostname("edge").host("10.0.0.5", "plc").hosts("fd00::5", ["a", "b"]);
        let plan = plan.host("10.0.0.5", "plc.example.com").plan().unwrap();
        let hosts = plan.text("/etc/hosts").unwrap();
        assert!(hosts.contains("127.0.1.1 edge\n"), "{hosts}");
        assert!(hosts.ends_with("\n\n10.0.0.5 plc plc.example.com\nfd00::5 a b\n"), "{hosts}");
        let plan = device().host("10.0.0.5", "plc").plan().unwrap();
        assert!(plan.text("/etc/hosts").unwrap().starts_with("127.0.0.1 localhost\n\n::1 "));
        assert!(device().plan().unwrap().file("/etc/hosts").is_none());
    }

    #[test]
    fn a_name_for_all_is_in_the_image_and_a_template_is_not() {
        let plan = device().hostname("edge").plan().unwrap();
        assert_eq!(plan.text("/etc/hostname"), Some("edge\n"));
        assert!(plan.text("/etc/hosts").unwrap().contains("127.0.1.1 edge\n"));
        assert!(plan.file("/usr/lib/bedplate/hostname").is_none());

        let plan = device().hostname("edge-{machine-id}").plan().unwrap();
        let link = FileKind::Symlink { target: "../run/bedplate-hostname/name".to_string() };
        assert_eq!(plan.file("/etc/hostname").unwrap().kind, link);
        assert!(plan.text("/usr/lib/bedplate/hostname").unwrap().contains("template='edge-{machine-id}'\n"));
        assert!(!plan.text("/etc/hosts").unwrap().contains("127.0.1.1"));
        assert!(plan.package("libnss-myhostname").is_some(), "sudo looks its own name up");
        assert_eq!(plan.name, "image", "an image is not called after a template");
    }
}
