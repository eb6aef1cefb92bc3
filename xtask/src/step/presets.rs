//! Applies presets that the description brings, as `systemctl --root preset` would for the units they name.
//!
//! <https://www.freedesktop.org/software/systemd/man/latest/systemd.preset.html>
//!
//! All preset files of the image are read, in the order of their names, and the first line that fits a unit decides.
//! Only where that line is in a file that the description brings is anything changed: what packages bring is enabled and
//! disabled by their maintainer scripts, and the distribution's own presets say nothing else. `.enable(…)` and `.mask(…)`
//! come after presets and win.

use std::collections::{BTreeMap, BTreeSet};

use bedplate_core::SourceLocation;
use bedplate_core::glob::{Wildcard, fits, is_pattern};
use bedplate_core::plan::UnitsPlan;
use bedplate_core::spelling::nearest;
use bedplate_formats::tree::{Kind, Tree, TreePath};

use super::units::{self, SYSTEM, Scope, USER};
use crate::error::LocatedError;

/// One line of a preset file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    does: Does,
    pattern: String,
    instances: Vec<String>,
    file: TreePath,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Enable,
    Disable,
    Ignore,
}

/// Applies the presets in `brought`; `line` names the line of the description that brought a file.
///
/// # Errors
/// A line that systemd would not understand, and one with a misspelt unit.
pub fn apply(
    units: &UnitsPlan,
    brought: &BTreeSet<TreePath>,
    tree: &mut Tree,
    line: &dyn Fn(&Tree, &TreePath) -> Option<SourceLocation>,
) -> Result<(), LocatedError> {
    for scope in [&SYSTEM, &USER] {
        if brought.iter().any(|path| scope.presets.iter().any(|above| path.starts_with(&above.into()))) {
            apply_to(scope, units, brought, tree, line)?;
        }
    }
    Ok(())
}

fn apply_to(
    scope: &Scope,
    units: &UnitsPlan,
    brought: &BTreeSet<TreePath>,
    tree: &mut Tree,
    line: &dyn Fn(&Tree, &TreePath) -> Option<SourceLocation>,
) -> Result<(), LocatedError> {
    let rules = rules(scope, brought, tree, line)?;
    let names: BTreeSet<String> = units::names_in(tree, scope).into_iter().collect();
    for rule in rules.iter().filter(|rule| brought.contains(&rule.file)) {
        misspelt(rule, &names)
            .map_or(Ok(()), |problem| Err(LocatedError { at: line(tree, &rule.file), ..problem }))?;
    }
    let is_system = scope.links == SYSTEM.links;
    for name in &names {
        let fitting = |rule: &&Rule| fits(rule.pattern.as_bytes(), name.as_bytes(), Wildcard::Any);
        let Some(rule) = rules.iter().find(fitting).filter(|rule| brought.contains(&rule.file)) else {
            continue;
        };
        if is_system && units.names(name) {
            continue;
        }
        match rule.does {
            Does::Ignore => {}
            Does::Disable => units::disable(tree, scope, name),
            Does::Enable => {
                for name in instances(name, &rule.instances) {
                    units::enable_if_possible(tree, scope, &name)?;
                }
            }
        }
    }
    Ok(())
}

/// The names that `enable NAME@.service INSTANCE…` stands for.
fn instances(name: &str, instances: &[String]) -> Vec<String> {
    match name.split_once("@.") {
        Some((stem, kind)) if !instances.is_empty() => {
            instances.iter().map(|instance| format!("{stem}@{instance}.{kind}")).collect()
        }
        _ => vec![name.to_owned()],
    }
}

/// Every line of every file, the one that decides first before the others.
fn rules(
    scope: &Scope,
    brought: &BTreeSet<TreePath>,
    tree: &Tree,
    line: &dyn Fn(&Tree, &TreePath) -> Option<SourceLocation>,
) -> Result<Vec<Rule>, LocatedError> {
    // By name over all directories; of two of one name the first directory's counts.
    let mut files: BTreeMap<Vec<u8>, TreePath> = BTreeMap::new();
    for directory in scope.presets {
        for (path, node) in tree.children(&directory.into()).filter(|(_, node)| !node.is_directory()) {
            let name = path.name().unwrap_or_default();
            let is_mask = matches!(&node.kind, Kind::Symlink(to) if to == b"/dev/null");
            if name.ends_with(b".preset") || is_mask {
                files.entry(name.to_vec()).or_insert_with(|| path.clone());
            }
        }
    }
    let mut rules = Vec::new();
    for file in files.values() {
        let text = tree.content(file).and_then(|content| content.read().ok()).unwrap_or_default();
        for text in String::from_utf8_lossy(&text).lines().map(str::trim) {
            if text.is_empty() || text.starts_with(['#', ';']) {
                continue;
            }
            match parse(text, file) {
                Some(rule) => rules.push(rule),
                None if brought.contains(file) => {
                    return Err(LocatedError {
                        message: format!("`{file}` has a line that is no preset: `{text}`"),
                        at: line(tree, file),
                        word: None,
                        help: "write `enable NAME.service`, `disable NAME.service` or `ignore NAME.service`"
                            .into(),
                    });
                }
                None => {}
            }
        }
    }
    Ok(rules)
}

fn parse(text: &str, file: &TreePath) -> Option<Rule> {
    let mut words = text.split_whitespace();
    let does = match words.next()? {
        "enable" => Does::Enable,
        "disable" => Does::Disable,
        "ignore" => Does::Ignore,
        _ => return None,
    };
    let pattern = words.next()?.to_owned();
    let instances: Vec<String> = words.map(str::to_owned).collect();
    let takes_instances = does == Does::Enable && pattern.contains("@.");
    (instances.is_empty() || takes_instances).then(|| Rule { does, pattern, instances, file: file.clone() })
}

/// systemd passes over units that are not there, and a preset may name one that another image has; one that is nearly
/// there is a mistake.
fn misspelt(rule: &Rule, names: &BTreeSet<String>) -> Option<LocatedError> {
    let name = rule.pattern.as_str();
    let template =
        name.split_once('@').and_then(|(stem, rest)| Some(format!("{stem}@.{}", rest.rsplit_once('.')?.1)));
    if is_pattern(name) || names.contains(name) || template.is_some_and(|name| names.contains(&name)) {
        return None;
    }
    let near = nearest(name, names.iter().map(String::as_str))?;
    Some(LocatedError {
        message: format!("`{}` is about the unit `{name}`, which is not in the image", rule.file),
        at: None,
        word: None,
        help: format!("there is `{near}`"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_core::rule::device;
    use bedplate_formats::tree::Node;

    const INSTALL: &str = "[Service]\nExecStart=x\n[Install]\nWantedBy=multi-user.target\n";

    fn tree() -> Tree {
        let mut tree = Tree::new();
        for name in ["cron.service", "agent.service", "static.service", "getty@.service", "fstrim.timer"] {
            let text = if name == "static.service" { "[Service]\n" } else { INSTALL };
            tree.insert(TreePath::new("usr/lib/systemd/system").join(name), Node::file(text, 0o644));
        }
        let link = "etc/systemd/system/multi-user.target.wants/cron.service";
        tree.insert(link.into(), Node::symlink("/usr/lib/systemd/system/cron.service"));
        tree.insert(
            "usr/lib/systemd/system-preset/90-systemd.preset".into(),
            Node::file("enable *\n", 0o644),
        );
        tree
    }

    fn wants(image: bedplate_core::Image, presets: &[(&str, &str)]) -> Result<Vec<String>, LocatedError> {
        let (mut tree, mut brought) = (tree(), BTreeSet::new());
        for (path, text) in presets {
            tree.insert(path.into(), Node::file(*text, 0o644));
            brought.insert(path.into());
        }
        apply(&image.plan().unwrap().units, &brought, &mut tree, &|_, _| None)?;
        let directory = "etc/systemd/system/multi-user.target.wants".into();
        let names = tree.children(&directory).filter_map(|(path, _)| path.name());
        Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }

    const OURS: &str = "etc/systemd/system-preset/10-x.preset";

    /// Case 31.
    #[test]
    fn lines_of_the_description_enable_and_disable_and_those_of_packages_change_nothing() {
        assert_eq!(wants(device(), &[]).unwrap(), ["cron.service"]);
        let lines = "# ours\nenable fstrim.timer\ndisable cron.service\nenable static.service\n";
        assert_eq!(wants(device(), &[(OURS, lines)]).unwrap(), ["fstrim.timer"]);
        let instances = "enable getty@.service tty1 tty2\n";
        assert_eq!(
            wants(device(), &[(OURS, instances)]).unwrap(),
            ["cron.service", "getty@tty1.service", "getty@tty2.service"]
        );
    }

    #[test]
    fn the_first_line_of_the_first_file_decides() {
        let later = "usr/lib/systemd/system-preset/99-default.preset";
        let files = [(OURS, "enable agent.service\n"), (later, "disable *\n")];
        // Of `*` in the packages' 90-systemd.preset, which comes before 99, nothing is left to be disabled.
        assert_eq!(wants(device(), &files).unwrap(), ["agent.service", "cron.service"]);
        let files = [(OURS, "enable agent.service\ndisable *\n")];
        assert_eq!(wants(device(), &files).unwrap(), ["agent.service"]);
    }

    #[test]
    fn what_the_description_enables_by_its_own_word_stays() {
        let image = device().enable("cron.service").mask("agent.service");
        let lines = "disable cron.service\nenable agent.service\n";
        assert_eq!(wants(image, &[(OURS, lines)]).unwrap(), ["cron.service"]);
    }

    #[test]
    fn a_misspelt_unit_and_an_unknown_word_are_refused() {
        let help = |text| wants(device(), &[(OURS, text)]).unwrap_err().help;
        assert_eq!(help("enable fstrm.timer\n"), "there is `fstrim.timer`");
        assert!(help("start fstrim.timer\n").starts_with("write `enable NAME.service`"));
        assert!(wants(device(), &[(OURS, "enable of-another-image.service\n")]).is_ok());
    }
}
