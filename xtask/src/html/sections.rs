//! The sections of the page, in its order.

use std::cmp::Reverse;

use bedplate_core::bytes::bytes;
use bedplate_core::plan::Topic;
use bedplate_core::{Plan, Volatile};

use super::facts::{Facts, Package};
use super::markup::Markup;
use super::svg::About;
use super::table::{Content, blocks, table, table_with};
use super::treemap::{self, Cell, share};
use super::{changes, drawn, weights};
use crate::disk::size;

/// A section.
pub struct Section {
    /// What links name it.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What it tells.
    pub content: Markup,
}

/// Every section that has something to tell.
pub fn all(facts: &Facts<'_>) -> Vec<Section> {
    type Write = fn(&mut Markup, &Facts<'_>);
    let sections: [(&str, &str, Write); 13] = [
        ("dangers", "Weakened", |markup, facts| lead(markup, facts.plan, Topic::Dangers, "What is weakened")),
        ("disk", "Disk", drawn::section),
        ("root", "What fills the root", root),
        ("boot", "Start and trust", boot),
        ("state", "What persists", state),
        ("users", "Who may enter", users),
        ("listens", "What listens", |markup, facts| lead(markup, facts.plan, Topic::Listeners, "Ports")),
        ("units", "Units at boot", units),
        ("hardening", "Hardening", hardening),
        ("updates", "Updates", |markup, facts| told(markup, facts.plan, &[Topic::Updates])),
        ("packages", "Packages", packages),
        ("files", "Files of the description", |markup, facts| {
            told(markup, facts.plan, &[Topic::Files, Topic::Overlays, Topic::Contents, Topic::Artifacts]);
        }),
        ("changes", "What changed", changed),
    ];
    let section = |(id, title, write): (&'static str, &'static str, Write)| {
        let mut content = Markup::default();
        write(&mut content, facts);
        (!content.is_empty()).then_some(Section { id, title, content })
    };
    sections.into_iter().filter_map(section).collect()
}

/// The numbers at the head of the page.
pub fn numbers(facts: &Facts<'_>) -> Vec<(&'static str, String)> {
    let mut numbers = vec![("disk", size(facts.disk.size)), ("packages", facts.packages.len().to_string())];
    let files: u64 = facts.sizes.values().sum();
    if files > 0 {
        numbers.push(("files of the root", bytes(files)));
    }
    if let Some(used) = facts.used.get(&facts.plan.disk.root.partition.label) {
        numbers.push(("root on the disk", bytes(*used)));
    }
    if let Some(uki) = &facts.disk.uki {
        numbers.extend(uki.uname.clone().map(|uname| ("kernel", uname)));
        numbers.push(("kernel image", bytes(uki.size)));
    }
    let outside = facts.plan.listeners.iter().filter(|listener| listener.from_outside).count();
    numbers.push(("ports open to others", outside.to_string()));
    numbers
}

/// What the plan's page has about topics, each under its own heading.
fn told(markup: &mut Markup, plan: &Plan, topics: &[Topic]) {
    for topic in topics {
        blocks(markup, &plan.about(*topic), None);
    }
}

/// What the plan's page has about the topic that a section is about, which needs no further heading.
fn lead(markup: &mut Markup, plan: &Plan, topic: Topic, caption: &str) {
    blocks(markup, &plan.about(topic), Some(caption));
}

/// The maps of the root.
fn root(markup: &mut Markup, facts: &Facts<'_>) {
    let Some(root) = facts.built.files.get("root") else { return };
    note(
        markup,
        "Areas are bytes of files as a device reads them; on the disk they are compressed. A file with several names counts \
         once for each.",
    );
    markup.leaf("h3", &[], "By package");
    let cells = weights::by_package(&facts.sizes, &facts.asked());
    let description = format!("{} The table of packages has the size of each.", largest(&cells));
    let about = About { id: "by-package", title: "The root by package", description: &description };
    treemap::draw(markup, about, &cells);
    legend(markup, &[("c2", "asked for by name"), ("c1", "a dependency"), ("c3", "of no package")]);
    markup.leaf("h3", &[], "By directory");
    let cells = weights::by_directory(root);
    let description = format!("{} The table below has the size of each.", largest(&cells));
    let about = About { id: "by-directory", title: "The root by directory", description: &description };
    treemap::draw(markup, about, &cells);
    let total = cells.iter().map(|cell| cell.size).sum();
    let mut rows: Vec<&Cell> =
        cells.iter().flat_map(|cell| std::iter::once(cell).chain(&cell.inner)).collect();
    rows.sort_by_key(|cell| Reverse(cell.size));
    markup.element("details", &[], |markup| {
        markup.leaf("summary", &[], "The same as a table");
        let rows = rows.iter().map(|cell| {
            vec![
                cell.name.as_str().into(),
                Content::Number(bytes(cell.size)),
                Content::Number(share(cell.size, total)),
            ]
        });
        table(markup, "Directories by size", &["directory", "size", "of the root"], rows);
    });
}

/// The largest cells, in a sentence.
fn largest(cells: &[Cell]) -> String {
    let mut cells: Vec<&Cell> = cells.iter().collect();
    cells.sort_by_key(|cell| Reverse(cell.size));
    let largest = cells.iter().take(5).map(|cell| format!("{} with {}", cell.name, bytes(cell.size)));
    format!("The largest are {}.", largest.collect::<Vec<_>>().join(", "))
}

fn legend(markup: &mut Markup, colors: &[(&str, &str)]) {
    markup.element("ul", &[("class", "legend")], |list| {
        for (class, text) in colors {
            let class = format!("swatch {class}");
            list.element("li", &[], |item| {
                item.leaf("span", &[("class", &class)], "");
                item.text(text);
            });
        }
    });
}

/// What is verified by what, and the kernel image that is on the disk.
fn boot(markup: &mut Markup, facts: &Facts<'_>) {
    told(markup, facts.plan, &[Topic::Trust]);
    blocks(markup, &facts.disk.about_kernel_image(), None);
    told(markup, facts.plan, &[Topic::Modules]);
}

/// What persists, and what becomes of all other writes.
fn state(markup: &mut Markup, facts: &Facts<'_>) {
    let plan = facts.plan;
    let rest = match plan.volatile {
        Volatile::Overlay => {
            "All else that is written to the root goes to memory, and is gone at the next boot; so is what is written to \
             `/run` and `/tmp`."
        }
        Volatile::Persistent => {
            "What is written to the root goes to the data partition. It stays, and hides what a new version of the root \
             brings at the same place."
        }
        Volatile::None => "What is written to the root stays, where its file system can be written at all.",
    };
    let mounts = plan.disk.data.iter().filter_map(|data| {
        data.mount.as_ref().map(|mount| format!("`{mount}` (partition `{}`)", data.partition.label))
    });
    let mounts: Vec<String> = mounts.collect();
    let whole = match mounts.is_empty() {
        true => String::new(),
        false => format!("All below {} persists. ", mounts.join(", ")),
    };
    markup.element("p", &[], |line| line.prose(&format!("{whole}{rest}")));
    told(markup, plan, &[Topic::Persistent, Topic::Identities]);
}

/// Who comes in, and every account that the image has.
fn users(markup: &mut Markup, facts: &Facts<'_>) {
    let people = facts.plan.about(Topic::Users);
    if people.is_empty() {
        note(markup, "Nobody: the description has no users.");
    }
    blocks(markup, &people, Some("Users of the description"));
    let Some(people) = &facts.built.people else { return };
    let accounts: Vec<(&str, &str)> =
        people.iter().filter_map(|(name, what)| Some((name.strip_prefix("user ")?, what.as_str()))).collect();
    markup.element("details", &[], |markup| {
        markup.leaf("summary", &[], &format!("All {} accounts of the image", accounts.len()));
        let rows = accounts.iter().map(|(name, what)| vec![(*name).into(), (*what).into()]);
        table(markup, "Accounts of the image", &["user", "what it is"], rows);
    });
}

/// What the description enables, and all that something starts.
fn units(markup: &mut Markup, facts: &Facts<'_>) {
    told(markup, facts.plan, &[Topic::Enabled]);
    let masked = facts.plan.about(Topic::Masked);
    if !masked.is_empty() {
        markup.element("details", &[], |markup| {
            markup.leaf("summary", &[], &format!("{} units are masked", facts.plan.units.mask.len()));
            blocks(markup, &masked, Some("Masked units"));
        });
    }
    let Some(units) = &facts.built.units else { return };
    markup.element("details", &[], |markup| {
        markup.leaf(
            "summary",
            &[],
            &format!("All {} units of the image that something starts or masks", units.len()),
        );
        let rows = units.iter().map(|(unit, how)| {
            let asked = if facts.plan.enables(unit) { "yes" } else { "" };
            vec![unit.as_str().into(), how.as_str().into(), asked.into()]
        });
        table(markup, "Units of the image", &["unit", "how", "asked for"], rows);
    });
}

fn hardening(markup: &mut Markup, facts: &Facts<'_>) {
    note(
        markup,
        "Defaults that the description has not replaced, and what it sets itself, each with its reason.",
    );
    lead(markup, facts.plan, Topic::Settings, "Settings of the kernel and of systemd");
}

/// Every package, and where they come from.
fn packages(markup: &mut Markup, facts: &Facts<'_>) {
    let text = format!(
        "{} packages. Licences are those that each package declares in a file that a program can read; sizes are of its \
         files in the root. `{}` and `{}` are the bills of materials.",
        facts.packages.len(),
        facts.plan.artifacts.spdx,
        facts.plan.artifacts.cyclonedx
    );
    markup.element("p", &[], |line| line.prose(&text));
    // Shown by the script: nothing would happen without it.
    markup.element("div", &[("id", "filter"), ("class", "filter"), ("hidden", "")], |markup| {
        markup.leaf("label", &[("for", "filter-text")], "Show packages with");
        markup.void("input", &[("id", "filter-text"), ("type", "search"), ("autocomplete", "off")]);
        markup.leaf("output", &[("id", "filter-count"), ("for", "filter-text"), ("role", "status")], "");
    });
    let titles = ["name", "version", "architecture", "licence", "installed", "why"];
    let rows = facts.packages.iter().map(package);
    table_with(markup, &[("id", "package-table"), ("class", "packages")], "Packages", &titles, rows);
    let topics = [Topic::Archives, Topic::Packages, Topic::Answers, Topic::Vendors];
    told(markup, facts.plan, &topics);
}

/// From how many letters on a licence is folded.
const LONG: usize = 40;

fn package(package: &Package) -> Vec<Content> {
    let licence = match &package.licence {
        None => Content::from("not declared"),
        Some(licence) if licence.chars().count() <= LONG => Content::from(licence.as_str()),
        Some(licence) => {
            // As much as stands in a line beside the mark that unfolds it.
            let short = licence.chars().take(LONG - 12).collect::<String>();
            Content::Folded(format!("{}…", short.trim_end()), licence.clone())
        }
    };
    let why = match (&package.origin, &package.implied) {
        (Some(origin), _) => format!("from {origin}"),
        (None, Some(why)) => why.clone(),
        (None, None) if package.asked => "asked for".to_owned(),
        (None, None) => "dependency".to_owned(),
    };
    vec![
        package.name.as_str().into(),
        package.version.as_str().into(),
        package.architecture.as_str().into(),
        licence,
        Content::Number(package.size.map_or_else(String::new, bytes)),
        why.into(),
    ]
}

/// What the description says now against what is built, or another image against this one.
fn changed(markup: &mut Markup, facts: &Facts<'_>) {
    let name = &facts.plan.name;
    let (what, all) = match facts.since {
        Some(other) => {
            (format!("From `{other}` to this image."), format!("cargo xtask diff {other} {name} --full"))
        }
        None => (
            format!(
                "From what is built to what the description says now. What was built before is not known here: a build takes \
                 the place of the last one. `cargo xtask report {name} --against OLD` tells what differs from an image that \
                 was kept."
            ),
            format!("cargo xtask diff {name} --full"),
        ),
    };
    markup.element("p", &[("class", "note")], |line| line.prose(&what));
    if facts.changes.same {
        markup.leaf("p", &[], "Nothing differs.");
    }
    changes::write(markup, &facts.changes, &all);
}

fn note(markup: &mut Markup, text: &str) {
    markup.element("p", &[("class", "note")], |line| line.prose(text));
}
