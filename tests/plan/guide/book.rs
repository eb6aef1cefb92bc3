//! mdBook makes a book of the guide.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::product::{self, kept, root, scratch, success};

/// Takes it from the crate registry, and a minute or two to compile it.
#[test]
fn the_guide_is_a_book_without_complaint() {
    if !product::all() {
        return;
    }
    let (tools, book) = (kept("mdbook"), scratch("book"));
    let mut install = Command::new(env!("CARGO"));
    install.args(["install", "--quiet", "--debug", "--locked", "--no-default-features", "--version", "^0.5"]);
    install.args(["mdbook", "--root"]);
    success(install.arg(&tools));
    let mut build = Command::new(tools.join("bin/mdbook"));
    build.arg("build").arg(root().join("docs")).arg("--dest-dir").arg(&book);
    let output = build.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("WARN") && !said.contains("ERROR"), "{said}");
    has_pages_of(&root().join("docs/src"), &book);
}

/// Each page is one of the book's.
fn has_pages_of(source: &Path, book: &Path) {
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        let made = book.join(path.file_name().unwrap());
        match path.extension() {
            None => has_pages_of(&path, &made),
            Some(ending) if ending == "md" && !path.ends_with("SUMMARY.md") => {
                let made = made.with_extension("html");
                assert!(made.is_file(), "`{}` is not in `SUMMARY.md`", path.display());
            }
            Some(_) => {}
        }
    }
}
