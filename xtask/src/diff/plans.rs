//! Two plans, compared before anything is built: the same value as of two images, and why devices are stranded.

use std::collections::BTreeMap;

use bedplate_core::plan::compatible::{self, SavedPlan};
use bedplate_core::plan::diff::{self, Difference};
use bedplate_formats::tree::{Node, Tree};
use serde_json::Value;
use uuid::Uuid;

use super::files::{FilesDifference, Owners};
use super::holder::Holder;
use super::side::{PartitionFacts, type_name};
use super::system::{Facts, Package, differences};
use super::{Comparison, boot, packages, partitions};

/// Compares two plans.
///
/// # Errors
/// None that is known: files of plans are in memory.
pub fn compare(before: &SavedPlan, after: &SavedPlan) -> anyhow::Result<Comparison> {
    let reasons = compatible::reasons(before, after);
    let (old, new) = (before.json(), after.json());
    let none = BTreeMap::new();
    let mut found = Comparison {
        stranded: reasons,
        partitions: partitions(
            &partitions_of(old),
            &partitions_of(new),
            (&BTreeMap::new(), &BTreeMap::new()),
        )?,
        packages: packages(&packages_of(old), &packages_of(new), false),
        boot: boot::command_line(&words(old), &words(new)),
        units: differences(&units(old), &units(new)),
        people: differences(&people(old), &people(new)),
        others: diff::diff(old, new).into_iter().filter(|difference| !is_told(difference)).collect(),
        ..Comparison::default()
    };
    let owners = Owners { before: &none, after: &none, changed: &Default::default(), all: true };
    for (of, pointer) in [("root", "/files"), ("initrd", "/initrd/files")] {
        let [old, new] = [old, new].map(|plan| generated(list(plan, pointer)));
        let files = FilesDifference::of(of, &old, &new, &owners)?;
        if !files.files.is_empty() {
            found.files.push(files);
        }
    }
    found.same = found.is_empty();
    Ok(found)
}

/// Whether a fact is told in a section of its own.
fn is_told(fact: &Difference) -> bool {
    let mut words = fact.what.split(' ');
    match words.next() {
        Some("packages" | "debs" | "command_line" | "units" | "users" | "artifacts") => true,
        // Whose they are by name is in no section.
        Some("file") => true,
        Some("initrd") => words.next() == Some("files"),
        Some("disk") => {
            const FIELDS: [&str; 6] = ["number", "label", "type_guid", "offset", "attributes", "size"];
            let last = fact.what.rsplit(' ').next().unwrap_or_default();
            fact.what.contains("guid") || FIELDS.contains(&last) && fact.what != "disk size"
        }
        _ => false,
    }
}

fn list<'a>(plan: &'a Value, pointer: &str) -> &'a [Value] {
    plan.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The partitions of the image by label.
pub fn partitions_of(plan: &Value) -> BTreeMap<String, PartitionFacts> {
    let disk = &plan["disk"];
    let single = [&disk["esp"], &disk["root"], &disk["root"]["verity"], &disk["slots"]["uki"]];
    let data = list(plan, "/disk/data").iter().filter(|data| data["encrypted"] != true);
    let facts = |partition: &Value| {
        let number = |field: &str| partition[field].as_u64();
        let uuid = |value: &Value| value.as_str().and_then(|text| text.parse::<Uuid>().ok());
        let facts = PartitionFacts {
            number: u32::try_from(number("number")?).ok()?,
            start: number("offset")?,
            size: number("size")?,
            type_name: uuid(&partition["type_guid"]).map_or_else(String::new, type_name),
            id: uuid(&partition["guid"]["fixed"]),
            flags: PartitionFacts::flags(number("attributes").unwrap_or_default()),
        };
        Some((partition["label"].as_str()?.to_owned(), facts))
    };
    single.into_iter().chain(data).filter_map(facts).collect()
}

/// The packages that are installed by name, each with what is asked of it in place of its version.
fn packages_of(plan: &Value) -> BTreeMap<String, Package> {
    let named = list(plan, "/packages").iter().map(|package| {
        let mut asked = package["version"].as_str().unwrap_or("newest").to_owned();
        if let Some(suite) = package["from"]["suite"].as_str() {
            asked.push_str(&format!(" of {suite}"));
        }
        if package["recommends"] == true {
            asked.push_str(" with what it recommends");
        }
        (text(&package["name"]), asked)
    });
    let vendors = list(plan, "/debs").iter().map(|deb| (text(&deb["url"]), "from its address".to_owned()));
    let package = |version: String| Package { version, size: None, sha256: None };
    named.chain(vendors).map(|(name, version)| (name, package(version))).collect()
}

fn words(plan: &Value) -> Vec<String> {
    list(plan, "/command_line").iter().map(text).collect()
}

fn units(plan: &Value) -> Facts {
    let of = |pointer, what: &'static str| {
        list(plan, pointer).iter().map(move |unit| (text(&unit["name"]), what.to_owned()))
    };
    of("/units/enable", "enabled").chain(of("/units/mask", "masked")).collect()
}

fn people(plan: &Value) -> Facts {
    let user = |user: &Value| {
        let groups: Vec<String> = user["groups"].as_array().into_iter().flatten().map(text).collect();
        let keys = user["authorized_keys"].as_array().map_or(0, Vec::len);
        let mut facts = format!(
            "uid {}, gid {}, home {}, shell {}",
            user["uid"],
            user["gid"],
            text(&user["home"]),
            text(&user["shell"])
        );
        if !groups.is_empty() {
            facts.push_str(&format!(", in {}", groups.join(" ")));
        }
        if user["administrator"] == true {
            facts.push_str(", becomes root with sudo");
        }
        if user["credential"] == true {
            facts.push_str(", comes in by a credential");
        }
        if keys > 0 {
            facts.push_str(&format!(", comes in by {keys} keys"));
        }
        (format!("user {}", text(&user["name"])), facts)
    };
    list(plan, "/users").iter().map(user).collect()
}

/// The generated files of a plan as a tree.
fn generated(files: &[Value]) -> Holder {
    let mut tree = Tree::new();
    for file in files {
        let number = |field: &str| {
            file[field].as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or_default()
        };
        let kind = &file["kind"];
        let node = match (&kind["symlink"]["target"], &kind["file"]["text"], kind.as_str()) {
            (Value::String(target), ..) => Node::symlink(target.as_bytes()),
            (_, Value::String(text), _) => Node::file(text.as_bytes().to_vec(), number("mode")),
            (_, _, Some("directory")) => Node::directory(number("mode")),
            _ => Node::file("", number("mode")),
        };
        let node = Node { uid: number("uid"), gid: number("gid"), ..node };
        tree.insert(file["path"].as_str().unwrap_or_default().into(), node);
    }
    Holder::of_tree("a plan".to_owned(), tree)
}
