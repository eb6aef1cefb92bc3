//! What a device is called: a name for all, or one that each makes of what it is known by.

use super::FilePlan;
use super::template::{Unfit, Value, template};
use super::units::UNITS;
use crate::image::Image;
use crate::location::At;
use crate::value::Hostname;

/// Resolves a device's own name, whatever it is.
pub(super) const PACKAGE: &str = "libnss-myhostname";
/// The name, when each device makes its own.
pub(super) fn template(image: &Image) -> Option<&At<Hostname>> {
    image.hostname.as_ref().filter(|name| name.value.is_template())
}

pub(super) fn files(image: &Image) -> Result<Vec<FilePlan>, Unfit> {
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
        return Ok(if image.hosts.is_empty() { Vec::new() } else { vec![hosts] });
    };
    let name = hostname.value.as_str();
    if !hostname.value.is_template() {
        let own = FilePlan::text("/etc/hostname", format!("{name}\n"), "the host name").at(at);
        return Ok(vec![hosts, own]);
    }
    let unit = "bedplate-hostname.service";
    let why = format!("names each device `{name}`");
    let service = template!("units/bedplate-hostname.service")?;
    let script = template!("scripts/hostname.sh", TEMPLATE = Value::Quoted(name.to_string()))?;
    Ok(vec![
        hosts,
        FilePlan::link("/etc/hostname", "../run/bedplate-hostname/name", &why).at(at),
        FilePlan::text("/usr/lib/bedplate/hostname", script, &why).mode(0o755).at(at),
        FilePlan::text(format!("{UNITS}/{unit}"), service, &why).at(at),
        FilePlan::link(format!("{UNITS}/sysinit.target.wants/{unit}"), format!("../{unit}"), &why).at(at),
    ])
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
        assert!(plan.text("/usr/lib/bedplate/hostname").unwrap().contains("name='edge-{machine-id}'\n"));
        assert!(!plan.text("/etc/hosts").unwrap().contains("127.0.1.1"));
        assert!(plan.package("libnss-myhostname").is_some(), "sudo looks its own name up");
        assert_eq!(plan.name, "image", "an image is not called after a template");
    }
}
