//! One unit as systemd would read it from the tree: its file, and the drop-ins
//! of its name, its prefixes, its template and its type.
//!
//! <https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html>
//!
//! Deliberately absent: `/run` and generators, which no tree has.

use std::collections::BTreeMap;

use bedplate_formats::tree::{Kind, Tree, TreePath};

/// Where systemd looks for units, first match first.
pub(super) const DIRECTORIES: [&str; 3] =
    ["etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system"];

/// One assignment of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::step) struct Setting {
    pub section: String,
    pub key: String,
    pub value: String,
    /// The file it stands in.
    pub path: TreePath,
    /// Its first line there, from 1.
    pub line: u32,
}

/// A unit that can be started.
#[derive(Debug)]
pub(in crate::step) struct Unit {
    /// The name by which it was asked for.
    pub name: String,
    /// Its main file.
    pub path: TreePath,
    settings: Vec<Setting>,
}

/// What stands at a unit's name.
pub(in crate::step) enum Found {
    Unit(Unit),
    Masked,
    Nothing,
}

/// Reads the unit of this name.
pub(in crate::step) fn load(tree: &Tree, name: &str) -> Found {
    let template = template(name);
    for candidate in std::iter::once(name).chain(template.as_deref()) {
        match file(tree, candidate) {
            Some(Main::Masked) => return Found::Masked,
            Some(Main::At(path)) => return Found::Unit(read(tree, name, path)),
            None => {}
        }
    }
    Found::Nothing
}

/// Whether systemd would find a unit of this name, masked or not.
pub(super) fn exists(tree: &Tree, name: &str) -> bool {
    let template = template(name);
    std::iter::once(name).chain(template.as_deref()).any(|candidate| file(tree, candidate).is_some())
}

enum Main {
    At(TreePath),
    Masked,
}

fn file(tree: &Tree, name: &str) -> Option<Main> {
    DIRECTORIES.iter().find_map(|directory| {
        let path = TreePath::new(directory).join(name);
        match &tree.get(&path)?.kind {
            Kind::Symlink(target) if target == b"/dev/null" => Some(Main::Masked),
            Kind::Directory => None,
            // An empty file masks as well.
            _ => match tree.resolve(&path)? {
                (_, node) if node.is_directory() => None,
                (real, _) if tree.content(&real).is_some_and(|content| content.len() == 0) => {
                    Some(Main::Masked)
                }
                (real, _) => Some(Main::At(real)),
            },
        }
    })
}

/// `getty@.service` of `getty@tty1.service`.
pub(super) fn template(name: &str) -> Option<String> {
    let (prefix, rest) = name.split_once('@')?;
    let (instance, kind) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{kind}"))
}

fn read(tree: &Tree, name: &str, path: TreePath) -> Unit {
    let own = path.name().map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default();
    let mut settings = parse(tree, &path);
    let mut drop_ins: BTreeMap<Vec<u8>, TreePath> = BTreeMap::new();
    let mut names = directories(name);
    if own != name {
        names.extend(directories(&own));
    }
    // Of two files of a name, the one in the directory that is looked at first counts.
    for directory in DIRECTORIES {
        for name in &names {
            let directory = TreePath::new(directory).join(format!("{name}.d"));
            for (path, node) in tree.children(&directory).filter(|(_, node)| !node.is_directory()) {
                let Some(file) = path.name().filter(|file| file.ends_with(b".conf")) else { continue };
                let masked = matches!(&node.kind, Kind::Symlink(target) if target == b"/dev/null");
                let path = if masked { TreePath::root() } else { path.clone() };
                drop_ins.entry(file.to_vec()).or_insert(path);
            }
        }
    }
    for path in drop_ins.into_values() {
        settings.extend(parse(tree, &path));
    }
    Unit { name: name.to_owned(), path, settings }
}

/// The names whose drop-ins a unit has, the nearest first: its own, its
/// template, its prefixes, its type.
fn directories(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    names.extend(template(name));
    let Some((stem, kind)) = name.rsplit_once('.') else { return names };
    let dashes = stem.match_indices('-').map(|(at, _)| format!("{}.{kind}", &stem[..=at]));
    let mut prefixes: Vec<String> = dashes.filter(|prefix| *prefix != format!("{stem}.{kind}")).collect();
    prefixes.reverse();
    names.extend(prefixes);
    names.push(kind.to_owned());
    names
}

/// The assignments of one file. Continued lines are one.
pub(super) fn parse(tree: &Tree, path: &TreePath) -> Vec<Setting> {
    let bytes = tree.content(path).and_then(|content| content.read().ok()).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut settings: Vec<Setting> = Vec::new();
    let mut section = String::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        let mut line = line.trim().to_owned();
        if line.starts_with(['#', ';']) {
            continue;
        }
        while line.ends_with('\\') {
            line.pop();
            // A comment between continued lines is left out.
            let Some((_, next)) = lines.by_ref().find(|(_, next)| !next.trim_start().starts_with(['#', ';']))
            else {
                break;
            };
            line = format!("{} {}", line.trim_end(), next.trim());
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once('=') {
            settings.push(Setting {
                section: section.clone(),
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
                path: path.clone(),
                line: number,
            });
        }
    }
    settings
}

impl Unit {
    /// The assignments of a key that count: those after the last empty one.
    pub(in crate::step) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Setting> {
        let of_key = move |setting: &&Setting| setting.key == key;
        let last = self.settings.iter().rposition(|setting| setting.key == key && setting.value.is_empty());
        self.settings.iter().skip(last.map_or(0, |last| last + 1)).filter(of_key)
    }

    /// The last assignment of a key.
    pub(super) fn last<'a>(&'a self, key: &'a str) -> Option<&'a Setting> {
        self.all(key).last()
    }

    /// Each word of a key that is a list, with the assignment it stands in.
    pub(super) fn words<'a>(&'a self, key: &'a str) -> impl Iterator<Item = (&'a str, &'a Setting)> {
        self.all(key).flat_map(|setting| setting.value.split_whitespace().map(move |word| (word, setting)))
    }

    /// Whether a key is set to something true.
    pub(super) fn is(&self, key: &str) -> bool {
        self.last(key).is_some_and(|setting| matches!(setting.value.as_str(), "1" | "yes" | "true" | "on"))
    }

    /// The specifiers of `text` that a build knows; none where there is another.
    ///
    /// <https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html#Specifiers>
    pub(super) fn expand(&self, text: &str) -> Option<String> {
        let (stem, _) = self.name.rsplit_once('.')?;
        let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
        let mut expanded = String::new();
        let mut characters = text.chars();
        while let Some(c) = characters.next() {
            if c != '%' {
                expanded.push(c);
                continue;
            }
            match characters.next()? {
                '%' => expanded.push('%'),
                'n' => expanded.push_str(&self.name),
                'N' => expanded.push_str(stem),
                'p' => expanded.push_str(prefix),
                'i' => expanded.push_str(instance),
                'S' => expanded.push_str("/var/lib"),
                'C' => expanded.push_str("/var/cache"),
                'L' => expanded.push_str("/var/log"),
                'E' => expanded.push_str("/etc"),
                't' => expanded.push_str("/run"),
                'T' => expanded.push_str("/tmp"),
                'V' => expanded.push_str("/var/tmp"),
                _ => return None,
            }
        }
        Some(expanded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_formats::tree::Node;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tree = Tree::new();
        for (path, text) in files {
            tree.insert(TreePath::new(path), Node::file(*text, 0o644));
        }
        tree
    }

    fn unit(tree: &Tree, name: &str) -> Unit {
        match load(tree, name) {
            Found::Unit(unit) => unit,
            _ => panic!("no unit {name}"),
        }
    }

    #[test]
    fn drop_ins_are_read_by_name_after_the_unit_and_an_empty_value_starts_anew() {
        let tree = tree(&[
            ("usr/lib/systemd/system/a-b@.service", "[Service]\nExecStart=/one \\\n  # no\n  two\nUser=x\n"),
            ("etc/systemd/system/a-.service.d/20.conf", "[Service]\nUser=y\n"),
            ("usr/lib/systemd/system/service.d/10.conf", "[Service]\nExecStart=\nExecStart=/three\n"),
            ("usr/lib/systemd/system/a-b@.service.d/20.conf", "[Service]\nUser=hidden\n"),
        ]);
        let unit = unit(&tree, "a-b@c.service");
        assert_eq!(
            unit.all("ExecStart").map(|s| (s.value.as_str(), s.line)).collect::<Vec<_>>(),
            [("/three", 3)]
        );
        assert_eq!(unit.last("User").unwrap().value, "y");
        assert_eq!(unit.expand("/x/%p/%i%%").unwrap(), "/x/a-b/c%");
        assert_eq!(unit.expand("%h"), None);
    }

    #[test]
    fn continued_lines_are_one() {
        let tree =
            tree(&[("usr/lib/systemd/system/a.service", "[Service]\n\nExecStart=/one \\\n# no\n two\n")]);
        let unit = unit(&tree, "a.service");
        let start = unit.last("ExecStart").unwrap();
        assert_eq!((start.value.as_str(), start.line), ("/one two", 3));
    }

    #[test]
    fn a_masked_unit_is_there_and_is_none() {
        let mut tree = tree(&[("usr/lib/systemd/system/a.service", "[Service]\n")]);
        tree.insert("etc/systemd/system/a.service".into(), Node::symlink("/dev/null"));
        assert!(matches!(load(&tree, "a.service"), Found::Masked));
        assert!(exists(&tree, "a.service") && !exists(&tree, "b.service"));
    }
}
