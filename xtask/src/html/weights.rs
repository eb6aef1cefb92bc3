//! What the root is made of, by package and by directory, in bytes of files that are not compressed.

use std::collections::{BTreeMap, BTreeSet};

use bedplate_formats::filesystem::FileType;

use super::svg::COLOURS;
use super::treemap::Cell;
use crate::diff::holder::Holder;

/// The most packages that are drawn by themselves.
const MOST_PACKAGES: usize = 90;

/// The root by the package that brings each file, from the bytes of each; those of the empty name are of no package.
/// Those that are `asked` for by name have a colour of their own.
pub fn by_package(sizes: &BTreeMap<String, u64>, asked: &BTreeSet<&str>) -> Vec<Cell> {
    let mut cells: Vec<Cell> = sizes
        .iter()
        .filter(|(_, size)| **size > 0)
        .map(|(name, &size)| {
            let (name, class) = match name.as_str() {
                "" => ("of no package", "c3"),
                name if asked.contains(name) => (name, "c2"),
                name => (name, "c1"),
            };
            Cell { name: name.to_owned(), short: name.to_owned(), size, class, inner: Vec::new() }
        })
        .collect();
    cells.sort_by(|one, other| other.size.cmp(&one.size).then_with(|| one.name.cmp(&other.name)));
    let rest = cells.split_off(MOST_PACKAGES.min(cells.len()));
    cells.extend(summed(format!("{} more packages", rest.len()), rest.iter().map(|cell| cell.size)));
    cells
}

/// A directory with what is in it.
#[derive(Debug, Default)]
struct Directory {
    size: u64,
    files: u64,
    inner: BTreeMap<String, Directory>,
}

/// The root by directory: those that hold much are opened, and what is left in each is summed up.
pub fn by_directory(root: &Holder) -> Vec<Cell> {
    let regular = root.paths().filter_map(|path| {
        let metadata = root.metadata(path).filter(|metadata| metadata.kind == FileType::Regular)?;
        Some((String::from_utf8_lossy(path).into_owned(), metadata.size))
    });
    directories(regular)
}

fn directories(files: impl Iterator<Item = (String, u64)>) -> Vec<Cell> {
    let mut top = Directory::default();
    for (path, size) in files {
        let mut directory = &mut top;
        let mut names = path.split('/').peekable();
        while let Some(name) = names.next() {
            directory.size += size;
            if names.peek().is_none() {
                directory.files += size;
                break;
            }
            directory = directory.inner.entry(name.to_owned()).or_default();
        }
    }
    let total = top.size;
    let mut groups = Vec::new();
    top.groups(String::new(), total, &mut groups);
    groups.sort_by(|one, other| other.size.cmp(&one.size).then_with(|| one.name.cmp(&other.name)));
    for (number, group) in groups.iter_mut().enumerate() {
        let class = COLOURS[number % COLOURS.len()];
        group.class = class;
        group.inner.iter_mut().for_each(|cell| cell.class = class);
    }
    groups
}

impl Directory {
    /// Adds a cell for the directory, or where it holds a good part of the whole, one for each that it holds.
    fn groups(&self, path: String, total: u64, groups: &mut Vec<Cell>) {
        let is_large = self.size > total / 5 && self.files < self.size / 2;
        if path.is_empty() || is_large {
            for (name, directory) in &self.inner {
                directory.groups(format!("{path}/{name}"), total, groups);
            }
            groups.extend(summed(format!("{path}/*"), std::iter::once(self.files)));
            return;
        }
        // What is less than a label's width is summed up.
        let is_told = |directory: &&Directory| directory.size > total / 250;
        let mut inner: Vec<Cell> = self
            .inner
            .iter()
            .filter(|(_, directory)| is_told(directory))
            .map(|(name, directory)| Cell {
                name: format!("{path}/{name}"),
                short: name.clone(),
                size: directory.size,
                ..Cell::default()
            })
            .collect();
        let told: u64 = inner.iter().map(|cell| cell.size).sum();
        if !inner.is_empty() {
            inner.extend(summed(format!("{path}, the rest"), std::iter::once(self.size - told)));
        }
        let short = path.rsplit('/').next().unwrap_or_default().to_owned();
        groups.push(Cell { name: path, short, size: self.size, class: "", inner });
    }
}

/// One cell for many sizes; none for nothing.
fn summed(name: String, sizes: impl Iterator<Item = u64>) -> Option<Cell> {
    let size: u64 = sizes.sum();
    (size > 0).then(|| Cell { short: name.clone(), name, size, class: "c4", inner: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(cells: &[Cell]) -> u64 {
        cells.iter().map(|cell| cell.size).sum()
    }

    #[test]
    fn every_byte_is_in_a_cell_of_its_directory() {
        let files = [
            ("usr/lib/modules/6.12/kernel/fs/ext4.ko", 4000),
            ("usr/lib/modules/6.12/modules.dep", 100),
            ("usr/lib/libc.so.6", 900),
            ("usr/bin/bash", 700),
            ("etc/passwd", 30),
            ("etc/ssl/certs/ca.pem", 60),
            ("vmlinuz", 1000),
        ];
        let cells = directories(files.iter().map(|(path, size)| ((*path).to_owned(), *size)));
        assert_eq!(total(&cells), 6790);
        for group in cells.iter().filter(|group| !group.inner.is_empty()) {
            assert_eq!(total(&group.inner), group.size, "{group:?}");
        }
        let names: Vec<&str> = cells.iter().map(|cell| cell.name.as_str()).collect();
        // What holds a fifth of all is opened as long as there are directories in it.
        assert_eq!(names[0], "/usr/lib/modules/6.12/kernel/fs");
        assert!(
            names.contains(&"/etc") && names.contains(&"/usr/lib/*") && names.contains(&"/*"),
            "{names:?}"
        );
    }

    #[test]
    fn packages_beyond_those_that_are_drawn_are_summed_up() {
        let sizes: BTreeMap<String, u64> = (0..200).map(|n| (format!("package-{n:03}"), n)).collect();
        let cells = by_package(&sizes, &BTreeSet::from(["package-199"]));
        assert_eq!(total(&cells), (0..200).sum::<u64>());
        assert_eq!((cells[0].name.as_str(), cells[0].class, cells[1].class), ("package-199", "c2", "c1"));
        assert_eq!(cells.last().unwrap().name, "109 more packages");
        assert_eq!(
            by_package(&BTreeMap::from([(String::new(), 5)]), &BTreeSet::new())[0].name,
            "of no package"
        );
    }
}
