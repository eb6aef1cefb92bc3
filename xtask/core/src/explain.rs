//! The rules of a description: what `explain CODE` prints.
//!
//! A rule's examples are code, compiled and planned by a test: the wrong one
//! breaks exactly its rule, the right one breaks none.

use crate::check;
use crate::image::Image;
use crate::image::compression::Compression;
use crate::image::data::Data;
use crate::image::esp::Esp;
use crate::image::filesystem::{Erofs, Ext4};
use crate::image::root::Root;
use crate::value::MiB;

/// A rule that descriptions keep.
#[derive(Debug)]
pub struct Rule {
    /// Its name in messages and for `explain`: `bound-twice`.
    pub code: &'static str,
    /// The rule as a sentence without full stop.
    pub title: &'static str,
    /// Why there is such a rule: one or more paragraphs.
    pub why: &'static str,
    /// A description that breaks this rule and no other.
    pub wrong: Example,
    /// The same put right.
    pub right: Example,
}

/// Some words of a description, as text and as the function they are.
#[derive(Debug)]
pub struct Example {
    /// The words.
    pub source: &'static str,
    /// What they do to [`device`].
    pub image: fn(Image) -> Image,
}

/// The words of a description, both shown and run.
macro_rules! example {
    (|$device:ident| $body:expr) => {
        $crate::explain::Example {
            source: stringify!($body),
            // An example may start over and leave the device it was given.
            image: |#[allow(unused_variables)] $device: $crate::image::Image| $body,
        }
    };
}
pub(crate) use example;

/// The device that examples start from: complete, and with nothing wrong.
#[must_use]
pub fn device() -> Image {
    Image::debian("trixie")
        .package("linux-image-amd64")
        .partition(Esp::new(MiB(512)))
        .partition(Root::new(Erofs).compression(Compression::Lz4hc).verity())
        .partition(Data::new("persistent", Ext4).mount("/local"))
}

/// The rule named `code`, if there is one.
#[must_use]
pub fn rule(code: &str) -> Option<&'static Rule> {
    check::RULES.iter().copied().find(|rule| rule.code == code)
}

/// The code nearest to a mistyped one.
#[must_use]
pub fn nearest(code: &str) -> Option<&'static str> {
    crate::value::nearest(code, check::RULES.iter().map(|rule| rule.code))
}

/// The page of `rule`, for a terminal of `width` columns.
#[must_use]
pub fn page(rule: &Rule, width: usize) -> String {
    let width = width.clamp(40, 100);
    let why: Vec<String> =
        rule.why.split("\n\n").map(|text| crate::diagnostic::wrap(&text.replace('\n', " "), width, 0)).collect();
    format!(
        "{}: {}\n\n{}\n\nThis is refused:\n\n{}\n\nThis is right:\n\n{}\n",
        rule.code,
        rule.title,
        why.join("\n\n"),
        chained(rule.wrong.source),
        chained(rule.right.source),
    )
}

/// A chain of calls with one call a line, as rustfmt would have it.
fn chained(source: &str) -> String {
    let mut text = String::from("    ");
    let (mut depth, mut quoted) = (0usize, false);
    let flat = source.split_whitespace().collect::<Vec<_>>().join(" ").replace(" .", ".").replace("( ", "(");
    let chars: Vec<char> = flat.chars().collect();
    for (index, &c) in chars.iter().enumerate() {
        match c {
            '"' if index == 0 || chars[index - 1] != '\\' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth = depth.saturating_sub(1),
            '.' if !quoted && depth == 0 => text.push_str("\n        "),
            _ => {}
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use std::collections::BTreeSet;

    #[test]
    fn the_device_of_the_examples_breaks_no_rule() {
        device().plan().unwrap();
    }

    #[test]
    fn every_rules_wrong_example_breaks_that_rule_alone() {
        for rule in check::RULES {
            let mistakes = (rule.wrong.image)(device()).plan().unwrap_err();
            let codes: BTreeSet<&str> = mistakes.iter().map(|mistake| mistake.code).collect();
            assert_eq!(codes, BTreeSet::from([rule.code]), "{}: {mistakes}", rule.wrong.source);
        }
    }

    #[test]
    fn every_rules_right_example_breaks_none() {
        for rule in check::RULES {
            let plan = (rule.right.image)(device()).plan();
            assert!(plan.is_ok(), "{}: {}", rule.code, plan.unwrap_err());
        }
    }

    #[test]
    fn every_rule_has_a_page_and_a_name_of_its_own() {
        let codes: BTreeSet<&str> = check::RULES.iter().map(|rule| rule.code).collect();
        assert_eq!(codes.len(), check::RULES.len());
        for rule in check::RULES {
            assert!(rule.code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", rule.code);
            assert!(!rule.title.ends_with('.'), "{}", rule.title);
            assert!(rule.why.ends_with('.'), "{}", rule.code);
            assert!(page(rule, 80).lines().all(|line| line.chars().count() <= 100), "{}", page(rule, 80));
        }
    }

    #[test]
    fn a_page_says_the_reason_and_shows_both_spellings() {
        expect![[r#""#]].assert_eq(&page(rule("bound-twice").unwrap(), 80));
    }

    #[test]
    fn a_mistyped_code_finds_the_one_that_was_meant() {
        assert_eq!(nearest("bound-twise"), Some("bound-twice"));
        assert_eq!(nearest("borrow-checker"), None);
    }
}
