use super::*;
use crate::image::updates::Certificate;
use crate::rule::device;
use crate::{Data, Ext4, GiB, MiB, Plan};

fn updated(change: impl FnOnce(Updates) -> Updates) -> Image {
    let certificate =
        Certificate::new("keys/update.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    device().version("1.4.0").updates(change(Updates::rauc("edge", certificate)))
}

fn plan_of(image: Image) -> Plan {
    image.plan().unwrap()
}

#[test]
fn the_second_slot_is_as_large_as_the_first_and_not_in_the_image() {
    let plan = plan_of(updated(|updates| updates));
    let labels: Vec<_> = plan.disk.partitions().map(|partition| partition.label.as_str()).collect();
    assert_eq!(labels, ["root-a", "verity-a", "uki-a", "esp", "persistent"]);
    let slots = plan.disk.slots.as_ref().unwrap();
    for (first, (number, label)) in slots.first(&plan.disk).into_iter().zip(&slots.second) {
        let definition = plan.text(&format!("/usr/lib/repart.d/{number:02}-{label}.conf")).unwrap();
        assert!(definition.contains(&format!("Type={}\n", first.type_guid)), "{definition}");
        assert!(definition.contains(&format!("SizeMinBytes={0}\nSizeMaxBytes={0}\n", first.size)));
        assert!(*number > 5);
    }
    assert_eq!(plan.uki_on_esp("6.12"), "bedplate_1-a.efi");
}

/// The definitions are matched to partitions of a type in the order of their names.
#[test]
fn the_first_slot_has_its_definition_before_the_second() {
    let plan = plan_of(updated(|updates| updates));
    let definitions = plan.files.iter().filter_map(|file| file.path.strip_prefix("/usr/lib/repart.d/"));
    let names: Vec<_> = definitions.collect();
    let expected =
        ["01-root-a", "02-verity-a", "03-uki-a", "05-persistent", "06-root-b", "07-verity-b", "08-uki-b"];
    assert_eq!(names, expected.map(|name| format!("{name}.conf")));
}

#[test]
fn ids_of_slots_stay_while_their_content_changes() {
    let plan = plan_of(updated(|updates| updates));
    for partition in plan.disk.partitions() {
        assert!(matches!(partition.guid, crate::plan::PartitionGuid::Fixed(_)), "{}", partition.label);
    }
    assert!(!plan.command_line.iter().any(|argument| argument.starts_with("root=")));
    assert!(plan.command_line.contains(&"systemd.verity_root_data=/dev/bedplate/slot/root".to_string()));
    assert!(plan.command_line.contains(&"systemd.verity_root_hash=/dev/bedplate/slot/verity".to_string()));
}

#[test]
fn a_bundle_fits_disks_of_the_same_slots() {
    let layout = |image: Image| plan_of(image).updates.unwrap().layout;
    let same = layout(updated(|updates| updates));
    assert_eq!(same, layout(updated(|updates| updates.tries(1).minutes(5)).package("jq")));
    let mut larger = updated(|updates| updates);
    larger.roots[0].size = crate::Size::from(GiB(3));
    assert_ne!(same, layout(larger));
    let mut further = updated(|updates| updates);
    further.data.insert(0, Data::new("logs", Ext4).mount("/logs").size(MiB(64)).fixed());
    assert_eq!(same, layout(further), "what lies behind the slots does not concern a bundle");
}

#[test]
fn all_certificates_are_believed() {
    let other =
        Certificate::new("keys/next.pem", "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----");
    let plan = plan_of(updated(|updates| updates.certificate(other)));
    let keyring = plan.text(KEYRING).unwrap();
    assert_eq!(keyring.matches("-----BEGIN CERTIFICATE-----").count(), 2);
    assert!(keyring.contains("MIIB") && keyring.contains("MIIC"));
}

#[test]
fn what_makes_a_version_good_is_waited_for() {
    let plan = plan_of(updated(|updates| updates.healthy_when("docker.service").minutes(5).tries(2)));
    let complete = plan.text("/usr/lib/systemd/system/boot-complete.target.d/50-bedplate.conf").unwrap();
    assert!(complete.contains("Requires=multi-user.target docker.service\n"), "{complete}");
    let bless = plan.text("/usr/lib/systemd/system/systemd-bless-boot.service.d/50-bedplate.conf").unwrap();
    assert!(bless.contains("JobTimeoutSec=5min"), "{bless}");
    assert!(plan.text("/usr/lib/bedplate/slots").unwrap().contains("+2-0.efi"));
}

#[test]
fn nothing_is_asked_for_unless_said() {
    let timer = "/usr/lib/systemd/system/bedplate-update.timer";
    assert!(plan_of(updated(|updates| updates)).file(timer).is_none());
    let plan = plan_of(updated(|updates| updates.asked_at("https://updates.example.com/edge.raucb")));
    assert!(plan.file(timer).is_some());
    assert!(
        plan.text("/usr/lib/bedplate/update")
            .unwrap()
            .contains("url='https://updates.example.com/edge.raucb'")
    );
}

#[test]
fn without_updates_there_is_nothing_of_them() {
    let plan = plan_of(device());
    assert!(plan.updates.is_none() && plan.disk.slots.is_none());
    let of_updates = |file: &&FilePlan| file.path.contains("rauc") || file.path.contains("slot");
    assert_eq!(plan.files.iter().chain(&plan.initrd.files).find(of_updates), None);
}
