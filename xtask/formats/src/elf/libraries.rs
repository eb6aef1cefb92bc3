//! The libraries a program loads, found in a tree as ld.so(8) finds them.
//!
//! Invariant: a file of the closure is named by the path it was found under,
//! not by what its links lead to, so that whoever copies it copies the links.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Dlopen, Elf, ElfError};
use crate::tree::{Kind, Tree, TreePath};

/// Where ld.so looks when nothing else says where.
const TRUSTED: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// A library that is needed and nowhere to be found, or a file that is broken.
#[derive(Debug, thiserror::Error)]
pub enum MissingLibrary {
    /// No directory holds it.
    #[error("`{needed_by}` needs the library `{name}`, which is in none of its directories")]
    Missing {
        /// The library's file name, or the interpreter's path.
        name: String,
        /// Who needs it.
        needed_by: TreePath,
    },
    /// A program of which the closure was asked is not in the tree.
    #[error("`{0}` is not in the tree")]
    Program(TreePath),
    /// A file could not be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: TreePath,
        /// Why.
        source: std::io::Error,
    },
    /// A file is broken.
    #[error("cannot understand `{path}`")]
    Elf {
        /// The file.
        path: TreePath,
        /// Why.
        source: ElfError,
    },
}

/// The libraries of a tree.
pub struct Libraries<'a> {
    tree: &'a Tree,
    directories: Vec<TreePath>,
    read: RefCell<BTreeMap<TreePath, Option<Elf>>>,
}

impl<'a> Libraries<'a> {
    /// Reads where the tree's `/etc/ld.so.conf` says that libraries lie.
    ///
    /// # Errors
    /// A configuration that cannot be read.
    pub fn of(tree: &'a Tree) -> Result<Self, MissingLibrary> {
        let mut directories = Vec::new();
        configured(tree, &"/etc/ld.so.conf".into(), &mut directories, 0)?;
        directories.extend(TRUSTED.map(TreePath::new));
        Ok(Self { tree, directories, read: RefCell::default() })
    }

    /// A library by its file name in the configured directories.
    pub fn find(&self, name: &str) -> Option<TreePath> {
        let mut paths = self.directories.iter().map(|d| d.join(name));
        paths.find(|path| self.tree.content(path).is_some())
    }

    /// Everything programs need to start: interpreters and libraries, and those
    /// opened at run time that `wanted` chooses, as far as the tree has them.
    /// The programs are part of the answer; scripts need nothing.
    ///
    /// # Errors
    /// A library that is missing, and files that are broken.
    pub fn closure<'p>(
        &self,
        programs: impl IntoIterator<Item = &'p TreePath>,
        wanted: impl Fn(&Dlopen) -> bool,
    ) -> Result<BTreeSet<TreePath>, MissingLibrary> {
        let mut closure = BTreeSet::new();
        for program in programs {
            if self.tree.content(program).is_none() {
                return Err(MissingLibrary::Program(program.clone()));
            }
            self.load(program, &wanted, &mut closure)?;
        }
        Ok(closure)
    }

    /// Loads one program breadth first, as ld.so does: a name that is loaded
    /// already is not searched for again, wherever it was found.
    fn load(
        &self,
        program: &TreePath,
        wanted: &impl Fn(&Dlopen) -> bool,
        closure: &mut BTreeSet<TreePath>,
    ) -> Result<(), MissingLibrary> {
        let mut loaded: BTreeSet<String> = BTreeSet::new();
        let mut pending = VecDeque::from([program.clone()]);
        while let Some(path) = pending.pop_front() {
            closure.insert(path.clone());
            let Some(elf) = self.elf(&path)? else { continue };
            if let Some(interpreter) = &elf.interpreter {
                let found = TreePath::new(interpreter);
                if self.tree.content(&found).is_none() {
                    return Err(MissingLibrary::Missing { name: interpreter.clone(), needed_by: path });
                }
                closure.insert(found);
            }
            for name in &elf.needed {
                if !loaded.insert(name.clone()) {
                    continue;
                }
                let found = self
                    .search(name, &path, &elf)?
                    .ok_or_else(|| MissingLibrary::Missing { name: name.clone(), needed_by: path.clone() })?;
                pending.push_back(found);
            }
            for note in elf.dlopen.iter().filter(|note| wanted(note)) {
                for name in &note.soname {
                    if loaded.contains(name) {
                        break;
                    }
                    if let Some(found) = self.search(name, &path, &elf)? {
                        loaded.insert(name.clone());
                        pending.push_back(found);
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Finds a library for a file: its own directories first, then everybody's.
    /// One of another machine does not count.
    fn search(&self, name: &str, by: &TreePath, elf: &Elf) -> Result<Option<TreePath>, MissingLibrary> {
        if name.contains('/') {
            return Ok(Some(TreePath::new(name)).filter(|path| self.tree.content(path).is_some()));
        }
        let real = self.tree.resolve(by).map_or_else(|| by.clone(), |(real, _)| real);
        let origin = real.parent().unwrap_or_default().to_string();
        let own = elf.runpath.iter().map(|directory| {
            TreePath::new(directory.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin))
        });
        for directory in own.chain(self.directories.iter().cloned()) {
            let path = directory.join(name);
            if self.tree.content(&path).is_some()
                && self.elf(&path)?.is_some_and(|found| found.machine == elf.machine)
            {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    fn elf(&self, path: &TreePath) -> Result<Option<Elf>, MissingLibrary> {
        if let Some(elf) = self.read.borrow().get(path) {
            return Ok(elf.clone());
        }
        let elf = match self.tree.content(path) {
            None => None,
            Some(content) => {
                let unread = |source| MissingLibrary::Read { path: path.clone(), source };
                let bytes = content.read().map_err(unread)?;
                Elf::parse(&bytes).map_err(|source| MissingLibrary::Elf { path: path.clone(), source })?
            }
        };
        self.read.borrow_mut().insert(path.clone(), elf.clone());
        Ok(elf)
    }
}

/// The directories of an `ld.so.conf`, those it includes among them.
fn configured(
    tree: &Tree,
    path: &TreePath,
    directories: &mut Vec<TreePath>,
    depth: u32,
) -> Result<(), MissingLibrary> {
    let Some(content) = tree.content(path) else { return Ok(()) };
    let bytes = content.read().map_err(|source| MissingLibrary::Read { path: path.clone(), source })?;
    for line in String::from_utf8_lossy(&bytes).lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(pattern) = line.strip_prefix("include ") {
            // A file that includes itself is as wrong as one that is missing.
            if depth < 8 {
                for included in matching(tree, &TreePath::new(pattern.trim())) {
                    configured(tree, &included, directories, depth + 1)?;
                }
            }
        } else if !line.is_empty() {
            directories.push(TreePath::new(line));
        }
    }
    Ok(())
}

/// Files that match a pattern with one `*` in its last component, which is all
/// that distributions write there.
fn matching(tree: &Tree, pattern: &TreePath) -> Vec<TreePath> {
    let (Some(directory), Some(name)) = (pattern.parent(), pattern.name()) else { return Vec::new() };
    let Some(star) = name.iter().position(|&b| b == b'*') else { return vec![pattern.clone()] };
    let (head, tail) = (&name[..star], &name[star + 1..]);
    let fits =
        |name: &[u8]| name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail);
    let files = tree.children(&directory).filter(|(_, node)| !matches!(node.kind, Kind::Directory));
    files.filter(|(path, _)| path.name().is_some_and(fits)).map(|(path, _)| path.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Node};

    /// A tree with this test's own program and its libraries at other places.
    fn tree() -> Tree {
        let mut tree = Tree::new();
        tree.insert("/etc/ld.so.conf".into(), Node::file("include /etc/ld.so.conf.d/*.conf\n", 0o644));
        tree.insert("/etc/ld.so.conf.d/a.conf".into(), Node::file("# local\n/opt/lib\n", 0o644));
        let me = std::fs::read("/proc/self/exe").unwrap();
        let elf = Elf::parse(&me).unwrap().unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mapped: BTreeSet<&str> = maps.lines().filter_map(|l| l.split_whitespace().nth(5)).collect();
        for name in mapped.iter().filter(|path| path.contains(".so")) {
            let file = name.rsplit('/').next().unwrap();
            tree.insert(
                TreePath::new("/opt/lib").join(file),
                Node::file(std::fs::read(name).unwrap(), 0o755),
            );
        }
        let interpreter = elf.interpreter.unwrap();
        let file = interpreter.rsplit('/').next().unwrap().to_owned();
        tree.insert(TreePath::new(&interpreter), Node::symlink(format!("/opt/lib/{file}")));
        tree.insert("/usr/bin/me".into(), Node::file(me, 0o755));
        tree
    }

    #[test]
    fn a_program_brings_its_libraries_and_its_interpreter() {
        let tree = tree();
        let closure = Libraries::of(&tree).unwrap().closure([&"/usr/bin/me".into()], |_| false).unwrap();
        assert!(closure.contains(&"/opt/lib/libc.so.6".into()), "{closure:?}");
        assert!(closure.iter().any(|p| !p.starts_with(&"/opt".into()) && p.to_string().contains("ld-")));
    }

    #[test]
    fn a_missing_library_names_who_needs_it() {
        let mut tree = tree();
        tree.remove(&"/opt/lib/libc.so.6".into());
        let error = Libraries::of(&tree).unwrap().closure([&"/usr/bin/me".into()], |_| false).unwrap_err();
        let said = "needs the library `libc.so.6`, which is in none of its directories";
        assert!(error.to_string().contains(said), "{error}");
    }

    #[test]
    fn a_library_of_another_machine_does_not_count() {
        let mut tree = tree();
        let mut other = tree.content(&"/opt/lib/libc.so.6".into()).unwrap().read().unwrap();
        other[18] ^= 0xff;
        tree.get_mut(&"/opt/lib/libc.so.6".into()).unwrap().kind = Kind::File(Content::from(other));
        let error = Libraries::of(&tree).unwrap().closure([&"/usr/bin/me".into()], |_| false).unwrap_err();
        assert!(matches!(error, MissingLibrary::Missing { name, .. } if name == "libc.so.6"));
    }

    #[test]
    fn a_script_needs_nothing() {
        let mut tree = Tree::new();
        tree.insert("/a".into(), Node::file("#!/bin/sh\n", 0o755));
        let closure = Libraries::of(&tree).unwrap().closure([&"/a".into()], |_| true).unwrap();
        assert_eq!(closure.len(), 1);
    }
}
