//! Rust in the guide and in the README: quotations of files that are compiled.

use std::fs;
use std::path::{Path, PathBuf};

use super::pieces::{PIECES, Start};
use super::{Page, files, guide};
use crate::product::root;
use bedplate::prelude::*;

/// Where quotations are of: all of it is compiled by `cargo test`.
const SOURCES: [&str; 4] = ["image", "tests/plan/guide", "xtask/project/image", "xtask/project/tests"];

/// Pages whose blocks the tutorial's test compiles, in the project that they are for.
const COMPILED: [&str; 3] =
    ["docs/src/tutorial/change.md", "docs/src/tutorial/disk.md", "docs/src/tutorial/update.md"];

/// The indentation of a line.
fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Whether these lines are in a text, one after the other, wherever they begin.
fn quotes(text: &[&str], quoted: &[&str]) -> bool {
    let Some(first) = quoted.first() else { return false };
    text.windows(quoted.len()).any(|lines| {
        let Some(further) = indentation(lines[0]).checked_sub(indentation(first)) else { return false };
        let is = |(line, quoted): (&&str, &&str)| match quoted.trim().is_empty() {
            true => line.trim().is_empty(),
            false => **line == format!("{:further$}{quoted}", ""),
        };
        lines.iter().zip(quoted).all(is)
    })
}

#[test]
fn every_block_of_rust_is_in_a_file_that_is_compiled() {
    let sources: Vec<PathBuf> = SOURCES.iter().flat_map(|source| files(Path::new(source), "rs")).collect();
    let texts: Vec<String> =
        sources.iter().map(|path| fs::read_to_string(root().join(path)).unwrap()).collect();
    for page in guide().into_iter().chain([Page::read("README.md")]) {
        if COMPILED.iter().any(|path| page.path == Path::new(path)) {
            continue;
        }
        for block in page.blocks().iter().filter(|block| block.info == "rust") {
            // What is compiled here asks a disk that is not there.
            let quoted: Vec<&str> = block.text.lines().filter(|line| *line != "#[test]").collect();
            let is = texts.iter().any(|text| quotes(&text.lines().collect::<Vec<_>>(), &quoted));
            assert!(is, "{}:{}: no file has\n{}", page.path.display(), block.line, block.text);
        }
    }
}

#[test]
fn every_piece_of_a_description_breaks_no_rule() {
    for (index, (start, piece)) in PIECES.iter().enumerate() {
        let system = || {
            let system = Image::debian("trixie").package("linux-image-amd64");
            system.partition(Esp::new(MiB(512))).partition(Root::new(Erofs).verity())
        };
        let image = match start {
            Start::Device => bedplate::rule::device(),
            Start::System => system(),
        };
        if let Err(mistakes) = piece(image).plan() {
            panic!("piece {index}: {mistakes}");
        }
    }
}
