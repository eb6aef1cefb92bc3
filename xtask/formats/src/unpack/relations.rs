//! What packages say of each other, as far as unpacking asks for it.
//!
//! <https://www.debian.org/doc/debian-policy/ch-relationships.html>

use std::cmp::Reverse;
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
    let is_first = |control: &Control| is_essential(control) || control.field("Priority") == "required";
    let first = (0..packages.len()).filter(|&index| is_first(&packages[index]));
    // Of alternatives, the first that is there.
    let needed = needed(packages, 1);
    first.fold(BTreeSet::new(), |found, index| &found | &closure(index, &needed, &found))
}

/// Splits packages into stages that are installed one after the other, each with everything that its packages depend
/// on: the base system, then groups of at least `size` packages. Indices into `packages`, each group in the order in
/// which it can be configured. There are two at least, of which the last may be empty.
///
/// What depends on much comes first, and last what is most often added or taken away, a program of its own: the stages
/// before it stay the same. The order of two packages hangs on nothing but them and what they depend on: it decides on
/// the numbers of the users that they make, which devices keep.
pub fn stages(packages: &[Control], size: usize) -> Vec<Vec<usize>> {
    let mut placed = base_system(packages);
    let needed = needed(packages, usize::MAX);
    let rank = |&index: &usize| {
        let depends_on = closure(index, &needed, &placed).len();
        (Reverse(depends_on), packages[index].package(), packages[index].architecture())
    };
    let mut order: Vec<usize> = (0..packages.len()).collect();
    order.sort_by_cached_key(rank);
    let mut ranks = vec![0; packages.len()];
    let mut names: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (rank, &index) in order.iter().enumerate() {
        ranks[index] = rank;
        names.entry(packages[index].package()).or_default().push(index);
    }

    let mut stages = vec![placed.iter().copied().collect()];
    let mut stage = Vec::new();
    for index in order {
        // What several architectures share is told from a conflict in one stage only.
        for index in names.remove(packages[index].package()).into_iter().flatten() {
            visit(index, &needed, &ranks, &mut placed, &mut stage);
        }
        // Here nothing is missing that something in it depends on.
        if stage.len() >= size {
            stages.push(std::mem::take(&mut stage));
        }
    }
    if !stage.is_empty() || stages.len() == 1 {
        stages.push(stage);
    }
    stages
}

/// Adds a package that is not placed yet behind what it depends on, as far as that goes.
fn visit(
    index: usize,
    needed: &[Vec<usize>],
    ranks: &[usize],
    placed: &mut BTreeSet<usize>,
    order: &mut Vec<usize>,
) {
    if !placed.insert(index) {
        return;
    }
    let mut first = needed[index].clone();
    first.sort_by_key(|&index| ranks[index]);
    first.into_iter().for_each(|index| visit(index, needed, ranks, placed, order));
    order.push(index);
}

/// A package and what it depends on, without what is `there`.
fn closure(index: usize, needed: &[Vec<usize>], there: &BTreeSet<usize>) -> BTreeSet<usize> {
    let (mut found, mut pending) = (BTreeSet::new(), vec![index]);
    while let Some(index) = pending.pop() {
        if !there.contains(&index) && found.insert(index) {
            pending.extend(&needed[index]);
        }
    }
    found
}

/// What each package depends on among the others: of alternatives, so many of those that are there.
fn needed(packages: &[Control], alternatives: usize) -> Vec<Vec<usize>> {
    let mut providers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, control) in packages.iter().enumerate() {
        providers.entry(control.package()).or_default().insert(0, index);
        for provided in groups(control.field("Provides")).flatten() {
            providers.entry(provided.name).or_default().push(index);
        }
    }
    let there = |group: Vec<Relation<'_>>| {
        let found = group.into_iter().filter_map(|relation| providers.get(relation.name)).flatten();
        found.take(alternatives).copied().collect::<Vec<usize>>()
    };
    let of = |control: &Control| {
        let fields = ["Pre-Depends", "Depends"].map(|field| control.field(field));
        fields.into_iter().flat_map(groups).flat_map(there).collect()
    };
    packages.iter().map(of).collect()
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

    #[test]
    fn a_stage_has_what_its_packages_depend_on() {
        let packages = [
            package("alone", ""),
            package("essential", "Essential: yes\n"),
            package("server", "Depends: mail-agent | postman, essential\nPre-Depends: lib\n"),
            package("lib", "Depends: lib-data\n"),
            package("lib-data", "Depends: lib\n"),
            package("mailer", "Provides: mail-agent\n"),
            package("postman", ""),
            package("small", "Depends: lib\n"),
            package("zsh", ""),
        ];
        let names = |stages: Vec<Vec<usize>>| -> Vec<Vec<String>> {
            let names = |stage: Vec<usize>| {
                stage.into_iter().map(|index| packages[index].package().to_owned()).collect()
            };
            stages.into_iter().map(names).collect()
        };
        // All alternatives, since dpkg may take another one than the first; a circle stays together.
        let server = ["lib-data", "lib", "mailer", "postman", "server"];
        assert_eq!(
            names(stages(&packages, 4)),
            [&["essential"][..], &server, &["small", "alone", "zsh"]].map(<[&str]>::to_vec)
        );
        // However large a stage is, the order is the same.
        assert_eq!(names(stages(&packages, 1)).concat(), names(stages(&packages, 100)).concat());
        assert_eq!(stages(&packages[1..2], 1), [vec![0], vec![]]);
    }

    #[test]
    fn a_package_of_several_architectures_is_in_one_stage() {
        let of = |name, architecture, more| {
            read_control(&DebBuilder::of(name, architecture, more).deb("", "")[..]).unwrap()
        };
        let depends = "Depends: data\n";
        let packages = [
            of("lib", "amd64", depends),
            of("middle", "amd64", depends),
            of("lib", "i386", ""),
            of("data", "all", ""),
        ];
        assert_eq!(stages(&packages, 1), [vec![], vec![3, 0, 2], vec![1]]);
    }
}
