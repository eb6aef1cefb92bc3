//! The guide in `docs/` and the README: what they tell to type is taken, what they quote compiles, what they refer to is
//! there, and the reference is what the code says.

mod book;
mod commands;
#[expect(dead_code, reason = "there is no disk to ask")]
mod device;
mod links;
mod pieces;
mod quotations;
mod reference;
mod tutorial;

use std::fs;
use std::path::{Path, PathBuf};

use crate::product::root;

/// A page, by its path from the repository on.
struct Page {
    path: PathBuf,
    text: String,
}

/// A fenced block.
struct Block {
    /// What stands behind its fence: `console device`.
    info: String,
    /// The line before the fence that has something in it.
    before: String,
    /// The number of its first line.
    line: usize,
    text: String,
}

impl Page {
    fn read(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let text =
            fs::read_to_string(root().join(&path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self { path, text }
    }

    fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let (mut open, mut before) = (false, "");
        for (number, line) in (1..).zip(self.text.lines()) {
            match (line.strip_prefix("```"), open) {
                (Some(info), false) => {
                    let (info, before) = (info.to_owned(), before.to_owned());
                    blocks.push(Block { info, before, line: number + 1, text: String::new() });
                    open = true;
                }
                (Some(_), true) => open = false,
                (None, true) => {
                    let block = blocks.last_mut().unwrap();
                    block.text += line;
                    block.text.push('\n');
                }
                (None, false) if !line.trim().is_empty() => before = line,
                (None, false) => {}
            }
        }
        assert!(!open, "{}: a block does not end", self.path.display());
        blocks
    }

    /// Its lines outside of blocks, with their numbers.
    fn prose(&self) -> Vec<(usize, &str)> {
        let mut open = false;
        let outside = |(_, line): &(usize, &str)| {
            let is_fence = line.starts_with("```");
            open ^= is_fence;
            !open && !is_fence
        };
        (1..).zip(self.text.lines()).filter(outside).collect()
    }
}

/// Every file below a directory whose name ends so, by its path from the repository on.
fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root().join(directory)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The pages of the book.
fn guide() -> Vec<Page> {
    files(Path::new("docs/src"), "md").into_iter().map(Page::read).collect()
}

/// Those, and the pages beside the code.
fn pages() -> Vec<Page> {
    let others = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "image/keys/README.md",
        "tests/README.md",
    ];
    others.into_iter().map(Page::read).chain(guide()).collect()
}

#[test]
fn every_block_is_of_a_kind_that_the_tests_know() {
    let kinds = [
        // Held by the tests beside this one.
        "console",
        "rust",
        "text", // Of a running device, and of AWS: marked, and not run.
        "console device",
        "console aws", // Of other programs.
        "ini",
        "json",
        "lua",
        "sh",
        "toml",
    ];
    for page in guide().into_iter().chain([Page::read("README.md")]) {
        for block in page.blocks() {
            let is_known = kinds.contains(&block.info.as_str());
            assert!(is_known, "{}:{}: `{}`", page.path.display(), block.line, block.info);
        }
    }
}
