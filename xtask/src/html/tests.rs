//! Whole pages, held against a strict reader, with names that no package and no file should have.

use std::collections::BTreeMap;

use bedplate_core::plan::Topic;
use bedplate_core::{Bind, Esp, Image, Plan, Root, User};
use bedplate_core::{Data, Erofs, Ext4, Login, MiB, Volatile};
use bedplate_fixtures::page::Element;
use bedplate_formats::tree::{Node, Tree};
use uuid::Uuid;

use super::*;
use crate::diff::holder::Holder;
use crate::diff::{Comparison, PackageDifference, Side};
use crate::disk::{Inspection, PartitionFacts};

/// Ends whatever it is in, should anything let it.
const HOSTILE: &str =
    "x\"'></td></script></style><img src=http://evil.example/ onerror=alert(1)>&#60;\u{202e}\u{1b}[31m";

fn plan() -> Plan {
    let image = Image::debian("trixie")
        .packages(["linux-image-amd64", "systemd-sysv", "systemd-boot", "dbus", "sudo"])
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs).verity())
        .partition(Data::new("persistent", Ext4).mount("/local"))
        .volatile(Volatile::Overlay)
        .bind("/greengrass")
        .bind(Bind::new("/etc/amazon/ssm").seeded())
        .user(User::new("alice").administrator().login(Login::Credential))
        .enable("docker.service")
        .hostname("edge");
    image.plan_named("edge").unwrap()
}

/// The facts of an image with hostile names in it, or without.
fn facts<'a>(plan: &'a Plan, hostile: bool) -> Facts<'a> {
    let name = |text: &str| if hostile { format!("{text}{HOSTILE}") } else { text.to_owned() };
    let mut tree = Tree::new();
    tree.insert(name("usr/lib/modules/big").as_str().into(), Node::file(vec![7; 5000], 0o644));
    tree.insert("etc/passwd".into(), Node::file(b"root".to_vec(), 0o644));
    let holder = Holder::of_tree("the root".to_owned(), tree);
    let package = Package {
        name: name("bash"),
        version: name("5.2"),
        architecture: name("amd64"),
        origin: Some(name("https://vendor.example/")),
        licence: Some(name("GPL-3.0-or-later AND LicenseRef-a-name-that-is-long")),
        size: Some(5000),
        asked: true,
        implied: None,
    };
    let change = PackageDifference {
        name: name("bash"),
        before: Some("5.1".to_owned()),
        after: Some(name("5.2")),
        size_before: None,
        size_after: None,
        rebuilt: false,
    };
    Facts {
        plan,
        development_keys: false,
        disk: inspection(plan, &name("image.raw")),
        sizes: BTreeMap::from([(name("bash"), 5000), (String::new(), 4)]),
        used: BTreeMap::from([(plan.disk.root.partition.label.clone(), 1 << 20)]),
        built: Side {
            files: BTreeMap::from([("root".to_owned(), holder)]),
            units: Some(BTreeMap::from([(name("docker.service"), name("wanted by multi-user.target"))])),
            people: Some(BTreeMap::from([(name("user root"), name("uid 0"))])),
            ..Side::default()
        },
        packages: vec![package],
        changes: Comparison {
            packages: vec![change],
            notes: vec![name("There is no `lock`.")],
            ..Comparison::default()
        },
        since: None,
    }
}

fn inspection(plan: &Plan, name: &str) -> Inspection {
    let partition = |partition: &bedplate_core::plan::PartitionPlan| PartitionFacts {
        number: partition.number,
        label: partition.label.clone(),
        start: partition.offset / 512,
        end: (partition.offset + partition.size) / 512 - 1,
        sectors: partition.size / 512,
        type_name: "Linux".to_owned(),
        type_guid: partition.type_guid,
        guid: Uuid::from_u128(1),
        filesystem: None,
        verity: false,
        read_only: false,
        grows: false,
        no_auto: false,
    };
    Inspection {
        name: name.to_owned(),
        kind: "disk".to_owned(),
        size: plan.disk.size,
        sector_size: Some(512),
        guid: None,
        architecture: None,
        partitions: plan.disk.partitions().map(partition).collect(),
        system: None,
        slots: Vec::new(),
        esp: Vec::new(),
        uki: None,
    }
}

#[test]
fn a_page_stands_alone_and_has_no_flaw() {
    let plan = plan();
    let text = page(&facts(&plan, false));
    let page = Element::read(&text);
    assert_eq!(page.flaws(), Vec::<String>::new());
    for section in
        ["disk", "root", "boot", "state", "users", "units", "listens", "hardening", "packages", "changes"]
    {
        let section = page.id(section).unwrap_or_else(|| panic!("no section `{section}`"));
        assert!(section.children.len() > 1, "{section:?}");
    }
    assert_eq!(page.tagged("h1")[0].text, "edge");
    assert!(page.id("changes").unwrap().text.contains("5.1 -> 5.2"));
    assert!(page.tagged("header")[0].text.contains("says something else than what was built"));
}

#[test]
fn hostile_names_are_shown_and_do_nothing() {
    let plan = plan();
    let (tame, hostile) = (page(&facts(&plan, false)), page(&facts(&plan, true)));
    let (tame, hostile) = (Element::read(&tame), Element::read(&hostile));
    assert_eq!(hostile.flaws(), Vec::<String>::new());
    // Names add no element, whatever is in them.
    let tags = |page: &Element| -> Vec<String> {
        let told = page.all().into_iter().filter(|element| !["text", "code"].contains(&element.tag.as_str()));
        told.map(|element| element.tag.clone()).collect()
    };
    assert_eq!(tags(&tame), tags(&hostile));
    let table = hostile.id("package-table").unwrap();
    let shown = HOSTILE.replace(['\u{202e}', '\u{1b}'], "\u{fffd}");
    assert!(table.text.contains(&format!("bash{shown}")), "{}", table.text);
}

#[test]
fn the_same_image_is_the_same_page() {
    let plan = plan();
    assert_eq!(page(&facts(&plan, true)), page(&facts(&plan, true)));
}

#[test]
fn all_of_the_plan_is_on_the_page() {
    let plan = plan();
    let text = page(&facts(&plan, false));
    let page = Element::read(&text);
    // The kernel image has the command line, with the root hash.
    for topic in Topic::ALL.into_iter().filter(|topic| *topic != Topic::CommandLine) {
        for block in plan.about(topic) {
            let told: Vec<String> = match block {
                bedplate_core::page::Block::Table { rows, .. } => rows.into_iter().flatten().collect(),
                bedplate_core::page::Block::Words(words) => words,
                bedplate_core::page::Block::Line(_) | bedplate_core::page::Block::Heading(_) => Vec::new(),
            };
            for told in told {
                assert!(page.text.contains(&told.replace('`', "")), "{topic:?}: {told}");
            }
        }
    }
}

#[test]
fn the_policy_lets_the_page_run_what_it_has() {
    let plan = plan();
    let text = page(&facts(&plan, false));
    let page = Element::read(&text);
    let policy = page
        .tagged("meta")
        .iter()
        .find_map(|meta| meta.attribute("http-equiv").and(meta.attribute("content")));
    let policy = policy.unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none';"));
    for tag in ["style", "script"] {
        let hash = digest(&SHA256, page.tagged(tag)[0].text.as_bytes());
        assert!(
            policy.contains(&format!("{tag}-src 'sha256-{}'", Base64::encode_string(hash.as_ref()))),
            "{policy}"
        );
    }
}

#[test]
fn a_device_that_makes_partitions_has_a_drawing_of_its_own() {
    let mut plan = plan();
    let before = page(&facts(&plan, false));
    assert!(!before.contains("smallest disk of a device"));
    plan.disk.data[0].encrypted = true;
    let text = page(&facts(&plan, false));
    let after = Element::read(&text);
    assert_eq!(after.flaws(), Vec::<String>::new());
    assert!(after.id("disk").unwrap().text.contains("smallest disk of a device"));
    assert!(after.id("disk").unwrap().text.contains("made at the first start"));
}
