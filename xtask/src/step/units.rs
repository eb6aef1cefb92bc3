//! Enables units in a tree, as `systemctl --root enable` would, from the
//! `[Install]` section of the unit in the image. Masks are links among the
//! plan's files.
//!
//! <https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html#%5BInstall%5D%20Section%20Options>
//!
//! Deliberately absent: specifiers other than `%i` in `[Install]`.

use bedplate_core::plan::UnitPlan;
use bedplate_core::spelling::nearest;
use bedplate_core::{Diagnostic, Rule, SourceLocation};
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};

use super::check::{NO_UNIT_TO_ENABLE, NOTHING_TO_ENABLE};
use crate::error::LocatedError;

/// Where systemd looks for units, first match first.
const UNIT_PATH: [&str; 3] = SYSTEM.units;

/// Units of one kind of systemd.
pub(super) struct Scope {
    /// Where units are looked for, first match first.
    pub units: [&'static str; 3],
    /// Where presets are looked for, first match first.
    pub presets: [&'static str; 3],
    /// Where links go that enable a unit.
    pub links: &'static str,
}

/// The machine's units.
pub(super) const SYSTEM: Scope = Scope {
    units: ["etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system"],
    presets: [
        "etc/systemd/system-preset",
        "usr/local/lib/systemd/system-preset",
        "usr/lib/systemd/system-preset",
    ],
    links: "etc/systemd/system",
};

/// The units of every user's own systemd.
pub(super) const USER: Scope = Scope {
    units: ["etc/systemd/user", "usr/local/lib/systemd/user", "usr/lib/systemd/user"],
    presets: ["etc/systemd/user-preset", "usr/local/lib/systemd/user-preset", "usr/lib/systemd/user-preset"],
    links: "etc/systemd/user",
};

/// Enables the units of a plan. Returns what cannot be enabled: units that are not in the tree, or have no `[Install]`
/// section, at their lines.
#[must_use]
pub fn apply(enabled: &[UnitPlan], tree: &mut Tree) -> Vec<Diagnostic> {
    let enable = |unit: &UnitPlan| enable(tree, &SYSTEM, &unit.name, unit.at.as_ref(), &mut Vec::new()).err();
    enabled.iter().filter_map(enable).map(|mistake| *mistake).collect()
}

/// Enables a unit, unless it has no `[Install]` section.
pub(super) fn enable_if_possible(tree: &mut Tree, scope: &Scope, name: &str) -> Result<(), LocatedError> {
    match find_in(tree, scope, name) {
        Some((_, text)) if Install::parse(&text) != Install::default() => {
            enable(tree, scope, name, None, &mut Vec::new()).map_err(|mistake| problem(*mistake))
        }
        _ => Ok(()),
    }
}

fn problem(mistake: Diagnostic) -> LocatedError {
    let Diagnostic { message, at, word, help, .. } = mistake;
    LocatedError { message, at, word, help: help.unwrap_or_default() }
}

/// Removes the links that enable a unit, its aliases among them.
pub(super) fn disable(tree: &mut Tree, scope: &Scope, name: &str) {
    let directory = TreePath::new(scope.links);
    let instance_of = |link: &str| {
        name.split_once("@.").is_some_and(|(stem, kind)| {
            link.strip_prefix(stem)
                .is_some_and(|rest| rest.starts_with('@') && rest.ends_with(&format!(".{kind}")))
        })
    };
    let is_link_to = |path: &TreePath, node: &Node| {
        let Kind::Symlink(target) = &node.kind else { return false };
        let link = String::from_utf8_lossy(path.name().unwrap_or_default()).into_owned();
        let target = String::from_utf8_lossy(target).into_owned();
        let leads = target.rsplit('/').next() == Some(name);
        let enables = path.parent().is_some_and(|above| above != directory);
        leads || (enables && (link == name || instance_of(&link)))
    };
    let links = tree.below(&directory).filter(|(path, node)| is_link_to(path, node));
    let links: Vec<TreePath> = links.map(|(path, _)| path.clone()).collect();
    for link in links {
        tree.remove(&link);
        // systemctl leaves no empty directory behind either.
        if let Some(above) = link.parent().filter(|above| *above != directory)
            && tree.children(&above).next().is_none()
        {
            tree.remove(&above);
        }
    }
}

fn enable(
    tree: &mut Tree,
    scope: &Scope,
    name: &str,
    at: Option<&SourceLocation>,
    seen: &mut Vec<String>,
) -> Result<(), Box<Diagnostic>> {
    if seen.iter().any(|n| n == name) {
        return Ok(());
    }
    seen.push(name.to_owned());
    let Some((path, text)) = find_in(tree, scope, name) else {
        let names = names_in(tree, scope);
        let help = match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("there is `{near}`"),
            None => "add the package that brings it, or the unit itself with `.unit(unit!(…))`".into(),
        };
        let message = format!("unit `{name}` is to be enabled, but is not in the image");
        return Err(Box::new(mistake(&NO_UNIT_TO_ENABLE, message, at, name).help(help)));
    };
    let install = Install::parse(&text);
    if install == Install::default() {
        let message = format!("unit `{name}` is to be enabled, but has no [Install] section");
        let help = "it is started by what needs it; nothing has to enable it";
        return Err(Box::new(mistake(&NOTHING_TO_ENABLE, message, at, name).help(help)));
    }
    let link_to = Node::symlink(format!("/{path}").replace("//", "/"));
    let (instance, link_name) = match name.split_once('@') {
        // A template without an instance is enabled as its default instance.
        Some((prefix, rest)) if rest.starts_with('.') => match &install.default_instance {
            Some(instance) => (instance.clone(), format!("{prefix}@{instance}{rest}")),
            None => (String::new(), name.to_owned()),
        },
        Some((_, rest)) => (rest.rsplit_once('.').map_or(rest, |(i, _)| i).to_owned(), name.to_owned()),
        None => (String::new(), name.to_owned()),
    };
    let directory = TreePath::new(scope.links);
    for (suffix, targets) in
        [("wants", &install.wanted_by), ("requires", &install.required_by), ("upholds", &install.upheld_by)]
    {
        for target in targets {
            let target = target.replace("%i", &instance);
            tree.insert(directory.join(format!("{target}.{suffix}")).join(&link_name), link_to.clone());
        }
    }
    for alias in install.alias {
        tree.insert(directory.join(alias), link_to.clone());
    }
    for other in install.also {
        enable(tree, scope, &other, at, seen)?;
    }
    Ok(())
}

/// A mistake at the line that enables a unit, if one does.
fn mistake(rule: &Rule, message: String, at: Option<&SourceLocation>, name: &str) -> Diagnostic {
    let mistake = Diagnostic::new(rule.code, message);
    match at {
        Some(at) => mistake.at(at).word(name),
        None => mistake,
    }
}

/// The unit's path (an instance is found by its template) and text.
pub(super) fn find(tree: &Tree, name: &str) -> Option<(String, String)> {
    find_in(tree, &SYSTEM, name)
}

fn find_in(tree: &Tree, scope: &Scope, name: &str) -> Option<(String, String)> {
    let template = name
        .split_once('@')
        .and_then(|(prefix, rest)| rest.rsplit_once('.').map(|(_, suffix)| format!("{prefix}@.{suffix}")));
    for candidate in std::iter::once(name.to_owned()).chain(template) {
        for directory in scope.units {
            let path = TreePath::new(directory).join(&candidate);
            if let Some(content) = tree.content(&path)
                && let Ok(bytes) = content.read()
                && !bytes.is_empty()
            {
                return Some((
                    format!("{directory}/{candidate}"),
                    String::from_utf8_lossy(&bytes).into_owned(),
                ));
            }
        }
    }
    None
}

pub(super) fn unit_names(tree: &Tree) -> Vec<String> {
    let mut names = Vec::new();
    for directory in UNIT_PATH {
        for (path, _) in tree.children(&TreePath::new(directory)) {
            names.extend(unit_name(path));
        }
    }
    names
}

/// The units of a scope, without their aliases.
pub(super) fn names_in(tree: &Tree, scope: &Scope) -> Vec<String> {
    let mut names = Vec::new();
    for directory in scope.units {
        for (path, node) in tree.children(&TreePath::new(directory)) {
            let is_alias =
                matches!(&node.kind, Kind::Symlink(to) if to.rsplit(|&b| b == b'/').next() != path.name());
            names.extend(unit_name(path).filter(|_| !is_alias));
        }
    }
    names
}

fn unit_name(path: &TreePath) -> Option<String> {
    let name = String::from_utf8_lossy(path.name().unwrap_or_default()).into_owned();
    let directories = [".wants", ".requires", ".upholds", ".d"];
    (!directories.iter().any(|suffix| name.ends_with(suffix))).then_some(name)
}

#[derive(Debug, Default, PartialEq)]
struct Install {
    wanted_by: Vec<String>,
    required_by: Vec<String>,
    upheld_by: Vec<String>,
    alias: Vec<String>,
    also: Vec<String>,
    default_instance: Option<String>,
}

impl Install {
    fn parse(text: &str) -> Self {
        let mut install = Self::default();
        let mut inside = false;
        for line in text.replace("\\\n", " ").lines().map(str::trim) {
            if line.starts_with('[') {
                inside = line == "[Install]";
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| inside && !line.starts_with(['#', ';']))
            else {
                continue;
            };
            let list = match key.trim() {
                "WantedBy" => &mut install.wanted_by,
                "RequiredBy" => &mut install.required_by,
                "UpheldBy" => &mut install.upheld_by,
                "Alias" => &mut install.alias,
                "Also" => &mut install.also,
                "DefaultInstance" => {
                    install.default_instance = Some(value.trim().to_owned());
                    continue;
                }
                _ => continue,
            };
            // An empty assignment resets the list, as everywhere in systemd.
            if value.trim().is_empty() {
                list.clear();
            }
            list.extend(value.split_whitespace().map(str::to_owned));
        }
        install
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(units: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        tree.insert("lib".into(), Node::symlink("usr/lib"));
        for (name, text) in units {
            tree.insert(TreePath::new("usr/lib/systemd/system").join(name), Node::file(*text, 0o644));
        }
        tree
    }

    fn links(tree: &Tree) -> Vec<String> {
        let link = |(path, node): (&TreePath, &Node)| match &node.kind {
            bedplate_formats::tree::Kind::Symlink(to) if path.starts_with(&"etc".into()) => {
                Some(format!("{path} -> {}", String::from_utf8_lossy(to)))
            }
            _ => None,
        };
        tree.iter().filter_map(link).collect()
    }

    #[test]
    fn wants_aliases_and_companions_are_linked() {
        let mut tree = tree(&[
            ("a.service", "[Unit]\n[Install]\nWantedBy=multi-user.target\nAlias=b.service\nAlso=a.socket\n"),
            ("a.socket", "[Install]\nRequiredBy=sockets.target\nAlso=a.service\n"),
        ]);
        enable(&mut tree, &SYSTEM, "a.service", None, &mut Vec::new()).unwrap();
        assert_eq!(
            links(&tree),
            [
                "/etc/systemd/system/b.service -> /usr/lib/systemd/system/a.service",
                "/etc/systemd/system/multi-user.target.wants/a.service -> /usr/lib/systemd/system/a.service",
                "/etc/systemd/system/sockets.target.requires/a.socket -> /usr/lib/systemd/system/a.socket",
            ]
        );
    }

    #[test]
    fn an_instance_is_enabled_by_its_template() {
        let mut tree =
            tree(&[("getty@.service", "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n")]);
        enable(&mut tree, &SYSTEM, "getty@ttyS1.service", None, &mut Vec::new()).unwrap();
        enable(&mut tree, &SYSTEM, "getty@.service", None, &mut Vec::new()).unwrap();
        assert_eq!(
            links(&tree),
            [
                "/etc/systemd/system/getty.target.wants/getty@tty1.service -> /usr/lib/systemd/system/getty@.service",
                "/etc/systemd/system/getty.target.wants/getty@ttyS1.service -> /usr/lib/systemd/system/getty@.service",
            ]
        );
    }

    #[test]
    fn a_missing_unit_names_its_neighbour() {
        let mut tree = tree(&[("docker.service", "[Install]\nWantedBy=multi-user.target\n")]);
        let mistake = enable(&mut tree, &SYSTEM, "dokcer.service", None, &mut Vec::new()).unwrap_err();
        assert_eq!(mistake.help.unwrap(), "there is `docker.service`");
    }

    #[test]
    fn a_static_unit_cannot_be_enabled() {
        let mut tree = tree(&[("x.service", "[Service]\nExecStart=/bin/true\n")]);
        assert!(enable(&mut tree, &SYSTEM, "x.service", None, &mut Vec::new()).is_err());
    }
}
