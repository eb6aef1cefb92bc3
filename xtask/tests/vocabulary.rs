//! What an editor shows of a description's words: whoever knows mkosi, repart or systemd finds a word by theirs, and its
//! first sentence is all that is read of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

/// Words that no other program has another word for.
const NO_OTHER_WORD: &[&str] = &[
    "new", // Of every type.
    "Key",
    "disk",
    "empty",
    "executable",
    "file",
    "fingerprint",
    "group",
    "home",
    "other",
    "outside",
    "own_group",
    "pinned",
    "dangerous_unsigned",
    "signature",
    "signed",
    "uid",
    "url",
    "keys",
    "compression",
    // What is asked of a value, and is no part of a description.
    "as_str",
    "deb",
    "efi",
    "is_read_only",
    "machine",
    "name",
    "systemd",
];

/// A word of the vocabulary: a method, or a variant.
struct Word {
    file: String,
    name: String,
    /// None for a variant.
    has_alias: Option<bool>,
    documentation: String,
}

fn words() -> Vec<Word> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("core/src");
    let below = fs::read_dir(source.join("image")).unwrap().map(|entry| entry.unwrap().path());
    below.chain([source.join("image.rs")]).flat_map(|file| words_of(&file)).collect()
}

fn words_of(file: &Path) -> Vec<Word> {
    let text = fs::read_to_string(file).unwrap();
    let mut found = Vec::new();
    let (mut documentation, mut attributes) = (String::new(), String::new());
    for line in text.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            documentation += words;
            documentation.push('\n');
        } else if line.starts_with("#[") {
            attributes += line;
        } else {
            let method = line.strip_prefix("pub fn ").and_then(|rest| rest.split(['(', '<']).next());
            let variant = line.strip_suffix(',').and_then(|line| line.split('(').next());
            let variant = variant.filter(|name| {
                name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(char::is_alphanumeric)
            });
            let is_shown = !documentation.is_empty() && !attributes.contains("doc(hidden)");
            if let Some(name) = method.or(variant).filter(|_| is_shown) {
                found.push(Word {
                    file: file.file_name().unwrap().to_string_lossy().into_owned(),
                    name: name.to_owned(),
                    has_alias: method.map(|_| attributes.contains("alias(")),
                    documentation: documentation.clone(),
                });
            }
            documentation.clear();
            attributes.clear();
        }
    }
    found
}

#[test]
fn every_word_is_found_by_what_others_call_it() {
    let words = words();
    let methods: Vec<&Word> = words.iter().filter(|word| word.has_alias.is_some()).collect();
    assert!(methods.len() > 100, "{} methods were found", methods.len());
    for Word { file, name, has_alias, .. } in methods {
        let needs_none = NO_OTHER_WORD.contains(&name.as_str());
        assert!(
            *has_alias == Some(true) || needs_none,
            "{file}: `{name}` has no alias: who comes from mkosi or systemd does not find it"
        );
    }
    for name in NO_OTHER_WORD {
        assert!(words.iter().any(|word| word.name == *name), "there is no word `{name}` any more");
    }
}

#[test]
fn the_first_sentence_of_a_word_stands_alone() {
    for Word { file, name, documentation, .. } in words() {
        let first = documentation.split("\n\n").next().unwrap_or_default();
        let mut spoken = first.split_whitespace().map(|word| word.trim_end_matches([',', '.', ':', ';']));
        let (start, second) = (spoken.next().unwrap_or_default(), spoken.next().unwrap_or_default());
        let refers = ["It", "Its", "Of", "See", "They", "With"].contains(&start)
            || ["it", "same", "so", "them", "there"].contains(&second);
        assert!(!refers, "{file}: `{name}` speaks of something that was said before:{first}");
    }
}
