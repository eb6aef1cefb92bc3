//! Links of the pages: files and headings that are there, and a contents page that has every page of the book.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::{Page, guide, pages};
use crate::product::root;

/// The address of a heading, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let letters = heading.trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    letters.collect()
}

/// The addresses of a page's headings; of two with one name, the second has a number.
fn anchors(page: &Page) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let headings = page.prose().into_iter().filter_map(|(_, line)| {
        let text = line.trim_start_matches('#');
        (line.starts_with('#') && text.starts_with(' ')).then(|| anchor(text))
    });
    let numbered = headings.map(|name| {
        let count = seen.entry(name.clone()).and_modify(|count| *count += 1).or_default();
        if *count == 0 { name } else { format!("{name}-{count}") }
    });
    numbered.collect()
}

/// The targets of a line's links, outside of code.
fn targets(line: &str) -> Vec<String> {
    let prose: String =
        line.split('`').enumerate().map(|(at, part)| if at % 2 == 0 { part } else { "" }).collect();
    let ends = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    ends.map(|(target, _)| target.to_owned()).collect()
}

/// A path without `.` and `..`; nothing when it leaves the repository.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !found.pop() {
                    return None;
                }
            }
            part => found.push(part),
        }
    }
    Some(found)
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    for page in pages() {
        let directory = page.path.parent().unwrap();
        let is_book = page.path.starts_with("docs/src");
        for (number, line) in page.prose() {
            for target in targets(line).into_iter().filter(|target| !target.contains("://")) {
                let place = format!("{}:{number}: {target}", page.path.display());
                let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
                let path = if file.is_empty() { page.path.clone() } else { directory.join(file) };
                let path = plain(&path).unwrap_or_else(|| panic!("{place} leaves the repository"));
                assert!(root().join(&path).exists(), "{place} is not there");
                // The book has its own pages and nothing else.
                assert!(!is_book || path.starts_with("docs/src"), "{place} leaves the book");
                if !heading.is_empty() {
                    let known = anchors(&Page::read(&path));
                    assert!(known.contains(heading), "{place}: there is no such heading in {known:?}");
                }
            }
        }
    }
}

#[test]
fn the_contents_have_every_page_of_the_book_once() {
    let summary = Page::read("docs/src/SUMMARY.md");
    let listed: Vec<String> = summary.prose().iter().flat_map(|(_, line)| targets(line)).collect();
    let pages = guide().into_iter().map(|page| page.path.strip_prefix("docs/src").unwrap().to_owned());
    let pages: BTreeSet<String> = pages.map(|path| path.to_str().unwrap().to_owned()).collect();
    let mut expected = pages;
    expected.remove("SUMMARY.md");
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(listed.len(), expected.len(), "a page is listed twice");
}

/// What code, messages and other files say of a page of the guide.
#[test]
fn every_page_that_the_code_names_is_there() {
    let mut found = 0;
    for directory in ["xtask", "image", "tests", "benches", "chores"] {
        for file in super::files(Path::new(directory), "rs") {
            let text = std::fs::read_to_string(root().join(&file)).unwrap();
            for (at, _) in text.match_indices("docs/") {
                let rest = &text[at..];
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"/-_.".contains(c));
                let name = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
                if name.ends_with(".md") && !text[..at].ends_with('/') {
                    assert!(root().join(name).is_file(), "{}: `{name}` is not there", file.display());
                    found += 1;
                }
            }
        }
    }
    assert!(found > 5, "{found} names");
}
