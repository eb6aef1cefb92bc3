//! Which units of the tree a device starts: what its default target pulls in,
//! and what sockets, timers, paths and the bus start later.
//!
//! Deliberately absent: what udev's rules and generators want.

use std::collections::BTreeMap;

use bedplate_formats::tree::{Tree, TreePath};

use super::Subject;
use super::unit::{self, DIRECTORIES, Found, Unit};

/// The keys by which one unit makes another start.
const PULLS: [&str; 7] = ["Wants", "Requires", "Requisite", "BindsTo", "Upholds", "OnFailure", "OnSuccess"];

/// The units that a device starts, by name.
pub(super) struct Started(BTreeMap<String, Unit>);

impl Started {
    pub(super) fn new(subject: &Subject<'_>) -> Self {
        let mut started = BTreeMap::new();
        let mut pending = vec![default_target(subject)];
        pending.extend(of_the_bus(subject));
        // One whose target is misspelt is meant to be started, too.
        pending.extend(subject.plan.units.enable.iter().map(|unit| unit.name.to_string()));
        let links = links(subject.tree);
        while let Some(name) = pending.pop() {
            if started.contains_key(&name) {
                continue;
            }
            let Found::Unit(unit) = unit::load(subject.tree, &name) else { continue };
            for key in PULLS {
                pending.extend(unit.words(key).filter_map(|(word, _)| unit.expand(word)));
            }
            let own = unit.path.name().map(|own| String::from_utf8_lossy(own).into_owned());
            for name in std::iter::once(&name).chain(&own) {
                pending.extend(links.get(name).into_iter().flatten().cloned());
            }
            pending.extend(later(&unit));
            started.insert(name, unit);
        }
        Self(started)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Unit> {
        self.0.values()
    }
}

fn default_target(subject: &Subject<'_>) -> String {
    let mut arguments = subject.plan.command_line.iter();
    let argument = arguments.find_map(|argument| argument.strip_prefix("systemd.unit="));
    argument.unwrap_or("default.target").to_owned()
}

/// Services that the bus starts when somebody speaks to them.
fn of_the_bus(subject: &Subject<'_>) -> Vec<String> {
    let directory = TreePath::new("usr/share/dbus-1/system-services");
    let files = subject.tree.children(&directory).map(|(path, _)| unit::parse(subject.tree, path));
    files.flatten().filter(|setting| setting.key == "SystemdService").map(|setting| setting.value).collect()
}

/// The names of links in `x.wants`, `x.requires` and `x.upholds`, by `x`.
fn links(tree: &Tree) -> BTreeMap<String, Vec<String>> {
    let mut links: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (directory, unit) in link_directories(tree) {
        let names = tree.children(&directory).filter_map(|(path, _)| path.name());
        links.entry(unit).or_default().extend(names.map(|name| String::from_utf8_lossy(name).into_owned()));
    }
    links
}

/// The directories of links in the tree, each with the unit it belongs to.
pub(super) fn link_directories(tree: &Tree) -> Vec<(TreePath, String)> {
    let mut found = Vec::new();
    for directory in DIRECTORIES {
        let directory = TreePath::new(directory);
        for (path, _) in tree.children(&directory).filter(|(_, node)| node.is_directory()) {
            let name = String::from_utf8_lossy(path.name().unwrap_or_default()).into_owned();
            let unit = [".wants", ".requires", ".upholds"].iter().find_map(|kind| name.strip_suffix(kind));
            found.extend(unit.map(|unit| (path.clone(), unit.to_owned())));
        }
    }
    found
}

/// What a socket, timer, path or automount starts when its time comes.
pub(super) fn later(unit: &Unit) -> Option<String> {
    let (stem, kind) = unit.name.rsplit_once('.')?;
    match kind {
        "socket" if unit.is("Accept") => Some(format!("{stem}@.service")),
        "socket" | "timer" | "path" => {
            let key = if kind == "socket" { "Service" } else { "Unit" };
            let said = unit.last(key).and_then(|setting| unit.expand(&setting.value));
            Some(said.unwrap_or_else(|| format!("{stem}.service")))
        }
        "automount" => Some(format!("{stem}.mount")),
        _ => None,
    }
}
