//! Taking files out of a tree, with the links that lead to them.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use bedplate_formats::tree::{Kind, Node, Tree, TreePath};

use super::settings::Setting;
use super::{Need, Options};

/// An initrd that is being cut out of a system.
pub(super) struct Cut<'a> {
    pub(super) system: &'a Tree,
    pub(super) initrd: Tree,
    pub(super) options: &'a Options,
}

impl<'a> Cut<'a> {
    /// Begins with the empty directories every system has.
    pub(super) fn of(system: &'a Tree, options: &'a Options) -> Self {
        let mut initrd = Tree::new();
        for path in ["dev", "proc", "run", "sys", "sysroot", "var"] {
            initrd.insert(TreePath::new(path), Node::directory(0o755));
        }
        initrd.insert(TreePath::new("root"), Node::directory(0o700));
        initrd.insert(TreePath::new("tmp"), Node::directory(0o1777));
        let mut cut = Self { system, initrd, options };
        // A system with a merged /usr keeps its links, also those nothing
        // was taken through: units name programs by either path.
        for path in ["bin", "sbin", "lib", "lib64"] {
            if let Some(Node { kind: Kind::Symlink(_), .. }) = system.get(&path.into()) {
                cut.take_links(&path.into());
            }
        }
        cut
    }

    /// Takes an entry of a table; whether it was there.
    pub(super) fn take(&mut self, path: &str, need: Need) -> anyhow::Result<bool> {
        let path = TreePath::new(path);
        match need {
            Need::Verity(_) if !self.options.features.verity => return Ok(false),
            Need::Writable(_) if !self.options.features.writable => return Ok(false),
            Need::Persistent(_) if !self.options.features.persistent => return Ok(false),
            Need::Slots(_) if !self.options.features.slots => return Ok(false),
            Need::Makefs(_) if !self.options.features.makefs => return Ok(false),
            Need::Recovery(_) if !self.options.features.recovery => return Ok(false),
            Need::Reseals(_) if !self.options.features.reseals => return Ok(false),
            Need::Encrypted(_) if !self.options.features.encrypted => return Ok(false),
            _ => {}
        }
        match (self.take_file(&path), need) {
            (true, _) => Ok(true),
            (false, Need::WhenThere) => Ok(false),
            (
                false,
                Need::Always(package)
                | Need::Verity(package)
                | Need::Writable(package)
                | Need::Persistent(package)
                | Need::Makefs(package)
                | Need::Encrypted(package)
                | Need::Recovery(package)
                | Need::Reseals(package)
                | Need::Slots(package),
            ) => {
                bail!("`{path}` is not in the system: the image needs the package `{package}`")
            }
        }
    }

    /// Takes one file and every link on the way to it; whether it was there.
    pub(super) fn take_file(&mut self, path: &TreePath) -> bool {
        let Some(content) = self.system.content(path) else { return false };
        let Some((real, node)) = self.system.resolve(path) else { return false };
        self.take_links(path);
        // Nobody but root lives here: nothing needs to be set-id.
        let file = Node { mode: node.mode & 0o777, ..Node::file("", 0) };
        self.initrd.insert(real, Node { kind: Kind::File(content.clone()), ..file });
        true
    }

    /// Takes the directories and links that a path leads through.
    pub(super) fn take_links(&mut self, path: &TreePath) {
        let mut pending = last_first(path);
        let mut at = TreePath::root();
        let mut seen = BTreeSet::new();
        while let Some(name) = pending.pop() {
            if name == b".." {
                at = at.parent().unwrap_or_default();
                continue;
            }
            let next = at.join(&name);
            let Some(node) = self.system.get(&next) else { return };
            match &node.kind {
                Kind::Symlink(target) => {
                    self.initrd.insert(next.clone(), Node::symlink(target.clone()));
                    // A link met twice with the same rest to go is a circle.
                    if !seen.insert((next, pending.len())) {
                        return;
                    }
                    if target.first() == Some(&b'/') {
                        at = TreePath::root();
                    }
                    pending.extend(last_first(&TreePath::new(target)));
                }
                Kind::Directory => {
                    if !self.initrd.contains(&next) {
                        self.initrd.insert(next.clone(), Node::directory(node.mode & 0o777));
                    }
                    at = next;
                }
                _ => at = next,
            }
        }
    }

    /// Takes all files of a directory, whose names end so.
    pub(super) fn take_directory(&mut self, path: &str, suffix: &str) {
        let path = TreePath::new(path);
        let files: Vec<TreePath> = self.system.children(&path).map(|(path, _)| path.clone()).collect();
        for file in files.iter().filter(|f| f.name().is_some_and(|n| n.ends_with(suffix.as_bytes()))) {
            self.take_file(file);
        }
    }

    /// Puts a file that is not the system's.
    pub(super) fn write(&mut self, path: &str, text: impl Into<Vec<u8>>, mode: u32) {
        self.initrd.insert(TreePath::new(path), Node::file(text.into(), mode));
    }

    /// The text of a file of the system's; empty where there is none.
    pub(super) fn text(&self, path: &str) -> anyhow::Result<String> {
        let Some(content) = self.system.content(&path.into()) else { return Ok(String::new()) };
        let bytes = content.read().with_context(|| format!("cannot read `{path}`"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The description's own settings.
    pub(super) fn settings(&self) -> &'a [Setting] {
        &self.options.settings
    }

    /// The initrd.
    pub(super) fn finish(self) -> Tree {
        self.initrd
    }
}

/// A path's components, to be taken from the end.
fn last_first(path: &TreePath) -> Vec<Vec<u8>> {
    let mut components: Vec<Vec<u8>> = path.components().map(<[u8]>::to_vec).collect();
    components.reverse();
    components
}
