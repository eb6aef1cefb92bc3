//! What packages say of each other, as far as unpacking asks for it.
//!
//! <https://www.debian.org/doc/debian-policy/ch-relationships.html>

use std::collections::{BTreeMap, BTreeSet};

use super::Staged;
use crate::deb::{Control, compare_versions};

/// One alternative of a relation: `name [:arch] [(op version)]`.
struct Relation<'a> {
    name: &'a str,
    version: Option<(&'a str, &'a str)>,
}

/// The groups of a relation field, each of one or more alternatives.
fn groups(field: &str) -> impl Iterator<Item = Vec<Relation<'_>>> {
    field.split(',').map(|group| group.split('|').filter_map(relation).collect())
}

fn relation(text: &str) -> Option<Relation<'_>> {
    let text = text.trim();
    let end = text.find([' ', '(', '[', ':', '\n', '\t']).unwrap_or(text.len());
    let name = &text[..end];
    let version = text.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(inside, _)| {
        let inside = inside.trim();
        let (operator, version) = inside.split_at(inside.find(|c| !"<=>".contains(c)).unwrap_or(0));
        (operator, version.trim())
    });
    (!name.is_empty()).then_some(Relation { name, version })
}

impl Relation<'_> {
    fn holds(&self, version: &str) -> bool {
        let Some((operator, wanted)) = self.version else { return true };
        let order = compare_versions(version, wanted);
        match operator {
            "<<" => order.is_lt(),
            "<=" | "<" => order.is_le(),
            ">=" | ">" => order.is_ge(),
            ">>" => order.is_gt(),
            _ => order.is_eq(),
        }
    }
}

/// Whether one package may take files of another over, which must be there as a
/// package: a virtual one cannot be replaced.
pub(super) fn replaces(package: &Control, other: &Control) -> bool {
    let mut relations = groups(package.field("Replaces")).flatten();
    relations.any(|r| r.name == other.package() && r.holds(other.version()))
}

/// The order in which packages are laid out. The first to list a directory
/// decides on its owner and mode, so the packages that everything stands on
/// come first; and before them the ones with links at the top (`/lib`), which
/// others go through.
pub(super) fn rank(staged: &Staged) -> (u8, String, String) {
    let control = &staged.control;
    let top_link = staged
        .entries
        .iter()
        .any(|e| !e.entry.path.contains(&b'/') && matches!(e.entry.kind, crate::deb::EntryKind::Symlink(_)));
    let essential = is_essential(control);
    let first = if top_link && essential {
        0
    } else if essential {
        1
    } else if top_link {
        2
    } else {
        3
    };
    (first, control.package().to_owned(), control.architecture().to_owned())
}

fn is_essential(control: &Control) -> bool {
    control.field("Essential").eq_ignore_ascii_case("yes")
}

/// The packages that maintainer scripts may take for granted: the essential and
/// required ones with everything they depend on. Indices into `packages`.
pub fn base_system(packages: &[Control]) -> BTreeSet<usize> {
    let mut providers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, control) in packages.iter().enumerate() {
        providers.entry(control.package()).or_default().insert(0, index);
        for provided in groups(control.field("Provides")).flatten() {
            providers.entry(provided.name).or_default().push(index);
        }
    }
    let mut found = BTreeSet::new();
    let mut pending: Vec<usize> = (0..packages.len())
        .filter(|&i| is_essential(&packages[i]) || packages[i].field("Priority") == "required")
        .collect();
    while let Some(index) = pending.pop() {
        if !found.insert(index) {
            continue;
        }
        for field in ["Pre-Depends", "Depends"] {
            for group in groups(packages[index].field(field)) {
                let there = group.iter().find_map(|r| providers.get(r.name)?.first());
                pending.extend(there);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deb::builder::DebBuilder;
    use crate::deb::read_control;

    fn package(name: &str, more: &str) -> Control {
        read_control(&DebBuilder::new(name, more).deb("", "")[..]).unwrap()
    }

    #[test]
    fn replaces_counts_for_the_versions_it_names() {
        let other = package("b", "");
        for (field, expected) in [
            ("b", true),
            ("a, b (<< 2~)", true),
            ("b(<<1)", false),
            ("b (= 1)", true),
            ("b (>> 1)", false),
            ("bb", false),
            ("a | b:any", true),
        ] {
            assert_eq!(replaces(&package("a", &format!("Replaces: {field}\n")), &other), expected, "{field}");
        }
        assert!(!replaces(&package("a", ""), &other));
    }

    #[test]
    fn the_base_system_is_closed_over_what_it_depends_on() {
        let packages = [
            package("essential", "Essential: yes\nPre-Depends: none | awk, lib:any (>= 1) [amd64]\n"),
            package("mawk", "Provides: awk (= 1)\nDepends:\n lib\n"),
            package("lib", ""),
            package("editor", "Depends: lib\nPriority: optional\n"),
            package("login", "Priority: required\n"),
        ];
        assert_eq!(base_system(&packages), BTreeSet::from([0, 1, 2, 4]));
    }
}
