//! How the content of two files differs, told by what they are: text line by line, ELF files by what a linker and a
//! loader see, archives by their members, the rest by the first byte.

use std::collections::{BTreeMap, BTreeSet};

use bedplate_core::plan::diff::Difference;
use bedplate_formats::elf::Elf;
use bedplate_formats::members::{self, Member};
use serde::Serialize;
use similar::TextDiff;

use super::system::changed;

/// The longest text of which lines are compared, in bytes.
const MOST_TEXT: usize = 4 << 20;
/// How many pairs of lines are compared before it would take longer than anybody waits.
const MOST_PAIRS: usize = 40_000_000;
/// How many lines that are the same stand around those that differ.
const AROUND: usize = 2;

/// How two contents differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Content {
    /// Text.
    Text {
        /// What both are compressed with, where they are.
        #[serde(skip_serializing_if = "Option::is_none")]
        compressed: Option<&'static str>,
        /// How many lines are new.
        added: usize,
        /// How many lines are gone.
        removed: usize,
        /// The lines that differ and those around them, as `diff -u` writes them, without the names of files. Empty
        /// where the texts are too long to be compared.
        lines: Vec<String>,
    },
    /// Programs and libraries.
    Elf {
        /// What both are compressed with, where they are.
        #[serde(skip_serializing_if = "Option::is_none")]
        compressed: Option<&'static str>,
        /// The build id, the interpreter and the libraries. Nothing where the code alone differs.
        facts: Vec<Difference>,
    },
    /// Archives of one format.
    Archive {
        /// `tar`, `cpio` or `zip`.
        format: &'static str,
        /// Members that were added, removed or changed.
        members: Vec<Difference>,
    },
    /// Anything else.
    Binary {
        /// The first byte that differs, counted from 0; the end of the shorter one where it begins the longer one.
        first: u64,
    },
}

impl Content {
    /// Tells how two contents differ, which do.
    pub fn of(before: &[u8], after: &[u8]) -> Self {
        let inside = members::decompressed(before).zip(members::decompressed(after));
        if let Some(((format, before), (other, after))) = inside
            && format == other
            && before != after
        {
            // The outer bytes of what is compressed tell nobody anything.
            return described(Some(format), &before, &after).unwrap_or_else(|| binary(&before, &after));
        }
        described(None, before, after).unwrap_or_else(|| binary(before, after))
    }
}

fn described(compressed: Option<&'static str>, before: &[u8], after: &[u8]) -> Option<Content> {
    if let (Some(before), Some(after)) = (text(before), text(after)) {
        return Some(of_text(compressed, before, after));
    }
    if let (Ok(Some(before)), Ok(Some(after))) = (Elf::parse(before), Elf::parse(after)) {
        return Some(Content::Elf { compressed, facts: of_elf(&before, &after) });
    }
    let ((format, before), (other, after)) = members::members(before).zip(members::members(after))?;
    (format == other).then(|| Content::Archive { format, members: of_members(&before, &after) })
}

/// Text is UTF-8 of lines, without what a terminal would obey.
fn text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r' | '\u{c}' | '\u{8}' | '\u{1b}');
    (!text.contains(odd)).then_some(text)
}

fn of_text(compressed: Option<&'static str>, before: &str, after: &str) -> Content {
    let count = |text: &str| text.lines().count();
    let (olds, news) = (count(before), count(after));
    let same = before.lines().zip(after.lines()).take_while(|(one, other)| one == other).count();
    let far = (olds - same).saturating_mul(news - same) > MOST_PAIRS;
    if far || before.len().max(after.len()) > MOST_TEXT {
        return Content::Text { compressed, added: news, removed: olds, lines: Vec::new() };
    }
    let diff = TextDiff::from_lines(before, after);
    let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
    let unified = diff.unified_diff().context_radius(AROUND).to_string();
    let shown = |line: &str| line.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}");
    Content::Text {
        compressed,
        added: count(similar::ChangeTag::Insert),
        removed: count(similar::ChangeTag::Delete),
        lines: unified.lines().map(shown).collect(),
    }
}

fn of_elf(before: &Elf, after: &Elf) -> Vec<Difference> {
    let mut facts = Vec::new();
    let mut fact = |what: &str, before: Option<String>, after: Option<String>| {
        if before != after {
            facts.push(Difference { what: what.to_owned(), before, after });
        }
    };
    fact("build id", before.build_id.clone(), after.build_id.clone());
    fact("interpreter", before.interpreter.clone(), after.interpreter.clone());
    fact("machine", Some(format!("{:?}", before.machine)), Some(format!("{:?}", after.machine)));
    let libraries = |elf: &Elf| elf.needed.iter().cloned().collect::<BTreeSet<_>>();
    let (old, new) = (libraries(before), libraries(after));
    for gone in old.difference(&new) {
        fact("needs", Some(gone.clone()), None);
    }
    for come in new.difference(&old) {
        fact("needs", None, Some(come.clone()));
    }
    fact("searches", Some(before.runpath.join(":")), Some(after.runpath.join(":")));
    facts
}

fn of_members(before: &BTreeMap<String, Member>, after: &BTreeMap<String, Member>) -> Vec<Difference> {
    let shown = |member: &Member| {
        let mode = member.mode.map(|mode| format!("{mode:04o}, ")).unwrap_or_default();
        format!("{mode}{} bytes", member.size)
    };
    changed(before, after)
        .map(|(name, before, after)| Difference {
            what: name.clone(),
            before: before.map(shown),
            after: after.map(shown),
        })
        .collect()
}

fn binary(before: &[u8], after: &[u8]) -> Content {
    let first = before.iter().zip(after).position(|(one, other)| one != other);
    Content::Binary { first: first.unwrap_or_else(|| before.len().min(after.len())) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn text_is_told_by_its_lines() {
        let Content::Text { added, removed, lines, .. } =
            Content::of(b"one\ntwo\nthree\nfour\n", b"one\n2\nthree\nfour\n")
        else {
            panic!("it is text")
        };
        assert_eq!((added, removed), (1, 1));
        expect![[r#"
            @@ -1,4 +1,4 @@
             one
            -two
            +2
             three
             four"#]]
        .assert_eq(&lines.join("\n"));
    }

    #[test]
    fn what_is_compressed_is_told_by_what_is_in_it() {
        let packed = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
        let found = Content::of(&packed("one\n"), &packed("two\n"));
        assert!(matches!(found, Content::Text { compressed: Some("zstd"), added: 1, .. }), "{found:?}");
        // Compressed otherwise, and the same within.
        let harder = zstd::encode_all(&b"one\n"[..], 19).unwrap();
        let found = Content::of(&[&packed("one\n")[..], &harder].concat(), &harder);
        assert!(!matches!(found, Content::Elf { .. }), "{found:?}");
    }

    #[test]
    fn an_archive_is_told_by_its_members() {
        use bedplate_formats::tree::{Node, Tree};
        let archive = |content: &str| {
            let mut tree = Tree::new();
            tree.insert("etc/same".into(), Node::file("same", 0o644));
            tree.insert("etc/other".into(), Node::file(content, 0o600));
            let mut bytes = Vec::new();
            bedplate_formats::tar::write(&tree, &mut bytes).unwrap();
            bytes
        };
        let Content::Archive { format, members } = Content::of(&archive("a"), &archive("b")) else {
            panic!("it is an archive")
        };
        assert_eq!((format, members.len()), ("tar", 1));
        assert_eq!(members[0].before.as_deref(), Some("0600, 1 bytes"));
    }

    #[test]
    fn the_rest_is_told_by_its_first_byte() {
        assert_eq!(Content::of(b"\0ab", b"\0ac"), Content::Binary { first: 2 });
        assert_eq!(Content::of(b"\0ab", b"\0abc"), Content::Binary { first: 3 });
    }
}
