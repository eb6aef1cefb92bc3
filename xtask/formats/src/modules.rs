//! A kernel's modules: what each needs, and the indexes modprobe reads.
//!
//! Formats: modules.dep(5), depmod(8). Names are compared as kmod does: `-` and
//! `_` are the same letter.
//!
//! Invariant: the indexes written for a choice of modules name no other module.
//! Deliberately absent: symbols (`modules.symbols`), which only serve loading
//! by symbol.

mod index;
pub mod info;

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{Tree, TreePath};

/// The modules of one kernel.
#[derive(Debug, Clone, Default)]
pub struct Modules {
    modules: BTreeMap<Name, Module>,
    builtin: BTreeSet<Name>,
    softdeps: BTreeMap<Name, Vec<String>>,
    weakdeps: BTreeMap<Name, Vec<String>>,
    /// Soft dependencies of modprobe.d, which stay there.
    configured: BTreeMap<Name, Vec<String>>,
    aliases: Vec<(String, Name)>,
    devnames: Vec<(Name, String)>,
}

/// A module's name with `_` for every `-`.
type Name = String;

/// A loadable module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Below the kernel's directory, as `kernel/fs/erofs/erofs.ko.xz`.
    pub path: String,
    /// Its place in the order the kernel was linked in, which decides between
    /// two modules for one device.
    order: u32,
    /// The modules it cannot be loaded without, in the order of `modules.dep`.
    needs: Vec<Name>,
}

/// Why modules cannot be chosen.
#[derive(Debug, thiserror::Error)]
pub enum ModulesError {
    /// A list is missing or cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The list.
        path: TreePath,
        /// Why.
        source: std::io::Error,
    },
    /// A line does not read as its list demands.
    #[error("`{path}` line {line} is no line of its kind: `{text}`")]
    Line {
        /// The list.
        path: TreePath,
        /// Counted from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// A module needs one that `modules.dep` does not have.
    #[error("the kernel module `{module}` needs `{needs}`, which is not in `modules.dep`")]
    Needs {
        /// The module.
        module: String,
        /// What it needs.
        needs: String,
    },
    /// Nothing has this name.
    #[error("there is no kernel module `{name}`{}", nearest.as_ref().map(|n| format!("; the nearest name is `{n}`")).unwrap_or_default())]
    Unknown {
        /// The name asked for.
        name: String,
        /// The most similar name there is.
        nearest: Option<String>,
    },
}

impl Modules {
    /// Reads the lists in a kernel's module directory, for example
    /// `/usr/lib/modules/6.12.0`.
    ///
    /// # Errors
    /// A missing `modules.dep`, and lines that cannot be understood.
    pub fn read(tree: &Tree, directory: &TreePath) -> Result<Self, ModulesError> {
        let lines = |name: &str| list(tree, &directory.join(name));
        let order: Vec<Name> = lines("modules.order")?.iter().map(|(_, line)| name_of(line)).collect();
        let order: BTreeMap<&str, usize> = order.iter().enumerate().map(|(i, n)| (n.as_str(), i)).collect();
        let mut modules = Self::default();
        let dep = directory.join("modules.dep");
        if tree.content(&dep).is_none() {
            return Err(ModulesError::Read { path: dep, source: std::io::ErrorKind::NotFound.into() });
        }
        for (line, text) in lines("modules.dep")? {
            let found = text.split_once(':').filter(|(path, _)| !path.contains(char::is_whitespace));
            let Some((path, needs)) = found else {
                return Err(ModulesError::Line { path: dep, line, text });
            };
            let name = name_of(path);
            // A module from elsewhere has no place in the order: it comes last.
            let place = order.get(name.as_str()).copied().unwrap_or(order.len() + line);
            let needs = needs.split_whitespace().map(name_of).collect();
            let order = u32::try_from(place).unwrap_or(u32::MAX);
            modules.modules.insert(name, Module { path: path.to_owned(), order, needs });
        }
        modules.builtin = lines("modules.builtin")?.iter().map(|(_, line)| name_of(line)).collect();
        for (line, text) in lines("modules.softdep")? {
            let words: Vec<&str> = text.split_whitespace().collect();
            let ["softdep", name, others @ ..] = &words[..] else {
                return Err(ModulesError::Line { path: directory.join("modules.softdep"), line, text });
            };
            let others = others.iter().filter(|word| !["pre:", "post:"].contains(word));
            modules.softdeps.entry(normal(name)).or_default().extend(others.map(|&o| o.to_owned()));
        }
        for (line, text) in lines("modules.weakdep")? {
            let words: Vec<&str> = text.split_whitespace().collect();
            let ["weakdep", name, others @ ..] = &words[..] else {
                return Err(ModulesError::Line { path: directory.join("modules.weakdep"), line, text });
            };
            modules.weakdeps.entry(normal(name)).or_default().extend(others.iter().map(|&o| o.to_owned()));
        }
        for (line, text) in lines("modules.alias")? {
            // A pattern may have spaces: one of a driver for sound does.
            let alias = text.strip_prefix("alias ").and_then(|rest| rest.rsplit_once(' '));
            let Some((pattern, name)) = alias else {
                return Err(ModulesError::Line { path: directory.join("modules.alias"), line, text });
            };
            modules.aliases.push((pattern.to_owned(), normal(name)));
        }
        for (line, text) in lines("modules.devname")? {
            let Some((name, _)) = text.split_once(' ') else {
                return Err(ModulesError::Line { path: directory.join("modules.devname"), line, text });
            };
            modules.devnames.push((normal(name), text));
        }
        Ok(modules)
    }

    /// Adds the `softdep` lines of a modprobe.d(5) file.
    pub fn configure(&mut self, text: &str) {
        for line in text.replace("\\\n", " ").lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let ["softdep", name, others @ ..] = &words[..] else { continue };
            let others = others.iter().filter(|word| !["pre:", "post:"].contains(word));
            self.configured.entry(normal(name)).or_default().extend(others.map(|&o| o.to_owned()));
        }
    }

    /// A loadable module by its name.
    pub fn get(&self, name: &str) -> Option<&Module> {
        self.modules.get(&normal(name))
    }

    /// Whether a name or an alias stands for something, built in or loadable.
    pub fn has(&self, name: &str) -> bool {
        self.named(name).is_some()
    }

    /// The modules that must be there to load the named ones, by name: what
    /// they need, and what they are happier with (`softdep`, `weakdep`). A name may be an
    /// alias without wildcards (`crypto-sha256`), and then means every module
    /// that has it. What is built into the kernel needs nothing.
    ///
    /// # Errors
    /// A name that nothing has, with the nearest one there is.
    pub fn closure<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<BTreeSet<String>, ModulesError> {
        let mut pending = Vec::new();
        for name in names {
            let Some(found) = self.named(name) else {
                return Err(ModulesError::Unknown { name: name.to_owned(), nearest: self.nearest(name) });
            };
            pending.extend(found);
        }
        let mut closure = BTreeSet::new();
        while let Some(name) = pending.pop() {
            let Some(module) = self.modules.get(&name) else { continue };
            if closure.contains(&name) {
                continue;
            }
            for needed in &module.needs {
                if !self.modules.contains_key(needed) {
                    return Err(ModulesError::Needs { module: name, needs: needed.clone() });
                }
                pending.push(needed.clone());
            }
            let soft = [&self.softdeps, &self.weakdeps, &self.configured];
            for soft in soft.into_iter().filter_map(|all| all.get(&name)).flatten() {
                pending.extend(self.named(soft).into_iter().flatten());
            }
            closure.insert(name);
        }
        Ok(closure)
    }

    /// The loadable modules a name or an alias stands for; `None` where it
    /// stands for nothing, not even for something built in.
    fn named(&self, name: &str) -> Option<Vec<Name>> {
        let normal = normal(name);
        if self.modules.contains_key(&normal) {
            return Some(vec![normal]);
        }
        let found: Vec<Name> =
            self.aliases.iter().filter(|(a, _)| self::normal(a) == normal).map(|(_, n)| n.clone()).collect();
        (!found.is_empty() || self.builtin.contains(&normal)).then_some(found)
    }

    fn nearest(&self, name: &str) -> Option<String> {
        let name = normal(name);
        let far = |other: &str| distance(&name, other);
        let best = self.modules.keys().chain(&self.builtin).min_by_key(|other| far(other))?;
        // Further than a third of the word is no misspelling.
        (far(best) <= 1 + name.len() / 3).then(|| best.clone())
    }

    /// The lists and indexes of a choice of modules, by file name. The modules
    /// are taken to lie there uncompressed: `.xz` and the like are cut off.
    pub fn indexes(&self, chosen: &BTreeSet<String>) -> BTreeMap<&'static str, Vec<u8>> {
        let chosen: Vec<(&Name, &Module)> =
            self.modules.iter().filter(|(n, _)| chosen.contains(*n)).collect();
        let has = |name: &Name| chosen.binary_search_by(|(n, _)| (*n).cmp(name)).is_ok();

        let mut by_order = chosen.clone();
        by_order.sort_by_key(|(name, module)| (module.order, *name));
        let order: String = by_order.iter().map(|(_, module)| format!("{}\n", plain(&module.path))).collect();
        // Counted anew, as depmod would count this choice.
        let by_order: BTreeMap<&Name, u32> = by_order.into_iter().map(|(name, _)| name).zip(0..).collect();

        let mut dep = String::new();
        let mut dep_index = index::Index::default();
        for (name, module) in &chosen {
            let needs = module.needs.iter().filter_map(|n| self.modules.get(n));
            let needs: String = needs.map(|m| format!(" {}", plain(&m.path))).collect();
            let line = format!("{}:{needs}", plain(&module.path));
            dep_index.insert(name, by_order[name], &line);
            dep += &format!("{line}\n");
        }

        let mut alias = String::new();
        let mut alias_index = index::Index::default();
        for (pattern, name) in self.aliases.iter().filter(|(_, name)| has(name)) {
            alias += &format!("alias {pattern} {name}\n");
            alias_index.insert(&normal_pattern(pattern), by_order[name], name);
        }
        let mut softdep = String::new();
        for (name, others) in self.softdeps.iter().filter(|(name, _)| has(name)) {
            // Before or after makes no difference to what must be there, and
            // kmod only needs to know what to try.
            softdep += &format!("softdep {name} pre: {}\n", others.join(" "));
        }
        let weakdeps = self.weakdeps.iter().filter(|(name, _)| has(name));
        let weakdep: String =
            weakdeps.map(|(name, others)| format!("weakdep {name} {}\n", others.join(" "))).collect();
        let devnames = self.devnames.iter().filter(|(name, _)| has(name));
        let devname: String = devnames.map(|(_, line)| format!("{line}\n")).collect();
        let mut lists = BTreeMap::from([
            ("modules.alias", alias.into_bytes()),
            ("modules.alias.bin", alias_index.bytes()),
            ("modules.dep", dep.into_bytes()),
            ("modules.dep.bin", dep_index.bytes()),
            ("modules.devname", devname.into_bytes()),
            ("modules.order", order.into_bytes()),
            ("modules.softdep", softdep.into_bytes()),
        ]);
        if !weakdep.is_empty() {
            lists.insert("modules.weakdep", weakdep.into_bytes());
        }
        lists
    }
}

/// The lines of a list that say something, with their numbers. A kernel
/// without, say, aliases has no such list.
fn list(tree: &Tree, path: &TreePath) -> Result<Vec<(usize, String)>, ModulesError> {
    let Some(content) = tree.content(path) else { return Ok(Vec::new()) };
    let bytes = content.read().map_err(|source| ModulesError::Read { path: path.clone(), source })?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim().to_owned()));
    Ok(lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect())
}

/// Whether a file of this name is a module, compressed or not.
#[must_use]
pub fn is_module(name: &[u8]) -> bool {
    [&b".ko"[..], b".ko.xz", b".ko.zst", b".ko.gz"].iter().any(|end| name.ends_with(end))
}

/// `kernel/fs/erofs/erofs.ko.xz` is `erofs`.
fn name_of(path: &str) -> Name {
    let file = path.rsplit('/').next().unwrap_or(path);
    normal(file.split(".ko").next().unwrap_or(file))
}

/// A module's path as it is once decompressed.
pub fn plain(path: &str) -> &str {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    path[name..].find(".ko.").map_or(path, |at| &path[..name + at + 3])
}

fn normal(name: &str) -> Name {
    name.replace('-', "_")
}

/// As `normal`, but a range (`[0-9]`) keeps its dash.
fn normal_pattern(pattern: &str) -> String {
    let mut inside = false;
    let letter = |c| match c {
        '[' | ']' => {
            inside = c == '[';
            c
        }
        '-' if !inside => '_',
        _ => c,
    };
    pattern.chars().map(letter).collect()
}

/// How many letters must be changed, added or dropped.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Node;

    fn modules() -> Modules {
        let mut tree = Tree::new();
        let mut put = |name: &str, text: &str| {
            tree.insert(TreePath::new("/m").join(name), Node::file(text, 0o644));
        };
        put(
            "modules.dep",
            "kernel/md/dm-verity.ko.xz: kernel/md/dm-bufio.ko.xz kernel/md/dm-mod.ko.xz\n\
             kernel/md/dm-mod.ko.xz:\nkernel/md/dm-bufio.ko.xz: kernel/md/dm-mod.ko.xz\n\
             kernel/fs/ext4.ko.xz:\nkernel/crypto/crc32c-fast.ko.xz:\nkernel/crypto/crc32c-slow.ko.xz:\n",
        );
        put("modules.order", "kernel/md/dm-mod.ko\nkernel/md/dm-bufio.ko\nkernel/md/dm-verity.ko\n");
        put("modules.builtin", "kernel/drivers/virtio/virtio.ko\n");
        put("modules.softdep", "# soft\nsoftdep ext4 pre: crypto-crc32c gone\n");
        put(
            "modules.alias",
            "alias crypto-crc32c crc32c_fast\nalias crypto-crc32c crc32c_slow\nalias fs-ext4 ext4\n\
             alias sound soc card sound\n",
        );
        put("modules.devname", "dm_mod mapper/control c10:236\next4 x c1:1\n");
        Modules::read(&tree, &"/m".into()).unwrap()
    }

    #[test]
    fn weak_dependencies_and_those_of_modprobe_d_come_along() {
        let mut tree = Tree::new();
        let mut put =
            |name: &str, text: &str| tree.insert(TreePath::new("/m").join(name), Node::file(text, 0o644));
        put("modules.dep", "a.ko:\nb.ko:\nc-d.ko:\ne.ko:\n");
        put("modules.weakdep", "weakdep a b\n");
        let mut modules = Modules::read(&tree, &"/m".into()).unwrap();
        modules.configure("options a x=1\nsoftdep b pre: \\\n c-d post: gone\n");
        let chosen = modules.closure(["a"]).unwrap();
        assert_eq!(chosen.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "b", "c_d"]);
        assert_eq!(modules.indexes(&chosen)["modules.weakdep"], b"weakdep a b\n");
    }

    fn closure(names: &[&str]) -> Vec<String> {
        modules().closure(names.iter().copied()).unwrap().into_iter().collect()
    }

    #[test]
    fn a_module_brings_what_it_needs() {
        assert_eq!(closure(&["dm-verity"]), ["dm_bufio", "dm_mod", "dm_verity"]);
    }

    #[test]
    fn soft_dependencies_are_found_through_aliases_and_may_be_missing() {
        assert_eq!(closure(&["fs-ext4"]), ["crc32c_fast", "crc32c_slow", "ext4"]);
    }

    #[test]
    fn what_is_built_in_brings_nothing() {
        assert!(closure(&["virtio"]).is_empty());
    }

    #[test]
    fn a_misspelt_module_names_the_nearest() {
        let error = modules().closure(["dm_veritty"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no kernel module `dm_veritty`; the nearest name is `dm_verity`"
        );
        let error = modules().closure(["completely_else"]).unwrap_err();
        assert_eq!(error.to_string(), "there is no kernel module `completely_else`");
    }

    #[test]
    fn the_lists_of_a_choice_name_nothing_else() {
        let all = modules();
        let lists = all.indexes(&all.closure(["dm_verity"]).unwrap());
        let text = |name| String::from_utf8_lossy(&lists[name]).into_owned();
        assert_eq!(
            text("modules.dep"),
            "kernel/md/dm-bufio.ko: kernel/md/dm-mod.ko\nkernel/md/dm-mod.ko:\n\
             kernel/md/dm-verity.ko: kernel/md/dm-bufio.ko kernel/md/dm-mod.ko\n"
        );
        assert_eq!(text("modules.devname"), "dm_mod mapper/control c10:236\n");
        assert_eq!((text("modules.alias"), text("modules.softdep")), (String::new(), String::new()));
    }

    #[test]
    fn a_line_that_is_none_is_shown_with_its_number() {
        let mut tree = Tree::new();
        tree.insert("/m/modules.dep".into(), Node::file("a.ko:\nb.ko\n", 0o644));
        let error = Modules::read(&tree, &"/m".into()).unwrap_err();
        assert_eq!(error.to_string(), "`/m/modules.dep` line 2 is no line of its kind: `b.ko`");
    }

    #[test]
    fn ranges_in_patterns_keep_their_dash() {
        assert_eq!(normal_pattern("of:a-b[0-9]-c"), "of:a_b[0-9]_c");
    }
}
