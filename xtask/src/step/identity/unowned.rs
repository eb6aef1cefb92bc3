//! Which files packages own, by dpkg's lists.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use bedplate_formats::tree::{Content, Kind, Tree, TreePath};

/// The paths of all packages, and their files by size.
pub(super) struct Packaged {
    paths: BTreeMap<TreePath, BTreeSet<String>>,
    sizes: BTreeMap<u64, Vec<TreePath>>,
}

impl Packaged {
    /// Reads the lists and the diversions of a system.
    pub fn of(system: &Tree) -> Result<Self> {
        let mut paths: BTreeMap<TreePath, BTreeSet<String>> = BTreeMap::new();
        let info = TreePath::new("var/lib/dpkg/info");
        let mut real = BTreeMap::new();
        for (list, _) in system.children(&info) {
            let name = String::from_utf8_lossy(list.name().unwrap_or_default()).into_owned();
            let Some(package) = name.strip_suffix(".list") else { continue };
            let package = package.split(':').next().unwrap_or(package);
            let bytes = system.content(list).map(Content::read).transpose()?.unwrap_or_default();
            for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                let path = canonical(system, &TreePath::new(line), &mut real);
                paths.entry(path).or_default().insert(package.to_owned());
            }
        }
        // A diverted file is a package's as well.
        let diversions = system.content(&"var/lib/dpkg/diversions".into());
        let bytes = diversions.map(Content::read).transpose()?.unwrap_or_default();
        let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
        for diversion in lines.chunks_exact(3) {
            let path = canonical(system, &TreePath::new(diversion[1]), &mut real);
            paths.entry(path).or_default();
        }
        let mut sizes: BTreeMap<u64, Vec<TreePath>> = BTreeMap::new();
        for path in paths.keys() {
            if let Some(content) = super::content(system, path) {
                sizes.entry(content.len()).or_default().push(path.clone());
            }
        }
        Ok(Self { paths, sizes })
    }

    /// The packages that own a path.
    pub fn owners(&self, path: &TreePath) -> impl Iterator<Item = &str> {
        self.paths.get(path).into_iter().flatten().map(String::as_str)
    }

    /// Whether a package has a path.
    pub fn owns(&self, path: &TreePath) -> bool {
        self.paths.contains_key(path)
    }

    /// The files with content that a script made or changed: a package's own
    /// has the package's time, which is before the epoch.
    pub fn made<'a>(&self, tree: &'a Tree, epoch: i64) -> Vec<&'a TreePath> {
        let made = tree.iter().filter(|(path, node)| {
            let has_content = match &node.kind {
                Kind::File(content) => content.len() > 0,
                Kind::Hardlink(_) => true,
                _ => false,
            };
            has_content && (!self.owns(path) || node.mtime >= epoch)
        });
        made.map(|(path, _)| path).collect()
    }

    /// Whether a package's file has the same content: a template that was copied.
    pub fn has_copy(&self, tree: &Tree, path: &TreePath) -> Result<bool> {
        let Some(content) = super::content(tree, path) else { return Ok(false) };
        let Some(alike) = self.sizes.get(&content.len()) else { return Ok(false) };
        let bytes = content.read()?;
        if super::secret::kind(&bytes).is_some() {
            return Ok(false);
        }
        for other in alike.iter().filter(|other| *other != path) {
            if let Some(other) = super::content(tree, other)
                && other.read()? == bytes
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The path with the links of its directories followed: lists say `/lib`.
fn canonical(tree: &Tree, path: &TreePath, real: &mut BTreeMap<TreePath, TreePath>) -> TreePath {
    let (Some(parent), Some(name)) = (path.parent(), path.name()) else { return path.clone() };
    let parent = real.entry(parent).or_insert_with_key(|parent| match tree.resolve(parent) {
        Some((real, _)) => real,
        None => parent.clone(),
    });
    parent.join(name)
}
