//! What firmware starts: the sections of a kernel image, the kernel's command line, and the files of the initrd.

use std::collections::BTreeMap;

use anyhow::Result;
use bedplate_core::bytes::bytes;
use bedplate_core::plan::diff::Difference;
use bedplate_formats::digest::hex;
use bedplate_formats::{cpio, members};
use sha2::{Digest as _, Sha256};

use super::holder::Holder;
use super::system::Facts;
use crate::disk::{Uki, assignments};

/// What a kernel image says, by name; what it is made of, with a digest.
///
/// # Errors
/// It is damaged.
pub fn facts(uki: &Uki) -> Result<Facts> {
    let mut facts = Facts::new();
    for section in uki.sections() {
        let content = uki.section(&section.name)?;
        let text = || String::from_utf8_lossy(&content).trim_end_matches(['\0', '\n']).to_owned();
        match section.name.as_str() {
            // The words of the command line are told one by one.
            ".cmdline" => {}
            ".uname" => _ = facts.insert("kernel".to_owned(), text()),
            ".osrel" => {
                for (name, value) in assignments(&text()) {
                    facts.insert(format!("os-release {name}"), value);
                }
            }
            name => {
                let digest = hex(&Sha256::digest(&content));
                let size = bytes(content.len() as u64);
                facts.insert(format!("section {name}"), format!("{size}, sha256 {}", &digest[..12]));
            }
        }
    }
    for signature in uki.signatures()? {
        let holds = if signature.holds { "" } else { ", DOES NOT HOLD" };
        facts.insert(format!("signature of {}", signature.signer), format!("there{holds}"));
    }
    Ok(facts)
}

/// How two command lines differ, word by word. The root hash is another one with every root, and has a name of its own.
pub fn command_line(before: &[String], after: &[String]) -> Vec<Difference> {
    let hash =
        |words: &[String]| words.iter().find_map(|word| word.strip_prefix("roothash=").map(str::to_owned));
    let counted = |words: &[String]| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for word in words.iter().filter(|word| !word.starts_with("roothash=")) {
            *counts.entry(word.clone()).or_default() += 1;
        }
        counts
    };
    let (old, new) = (counted(before), counted(after));
    let mut found = Vec::new();
    let more = |one: &BTreeMap<String, usize>, other: &BTreeMap<String, usize>| -> Vec<String> {
        let more = |(word, count): (&String, &usize)| {
            (*count > other.get(word).copied().unwrap_or_default()).then(|| word.clone())
        };
        one.iter().filter_map(more).collect()
    };
    let argument = "argument".to_owned();
    for gone in more(&old, &new) {
        found.push(Difference { what: argument.clone(), before: Some(gone), after: None });
    }
    for come in more(&new, &old) {
        found.push(Difference { what: argument.clone(), before: None, after: Some(come) });
    }
    let words = |words: &[String]| {
        words.iter().filter(|word| !word.starts_with("roothash=")).cloned().collect::<Vec<_>>().join(" ")
    };
    if found.is_empty() && words(before) != words(after) {
        let (before, after) = (Some(words(before)), Some(words(after)));
        found.push(Difference { what: "order of the arguments".to_owned(), before, after });
    }
    if let (Some(before), Some(after)) = (hash(before), hash(after))
        && before != after
    {
        let short = |hash: String| Some(format!("{}…", hash.chars().take(12).collect::<String>()));
        found.push(Difference { what: "root hash".to_owned(), before: short(before), after: short(after) });
    }
    found
}

/// The files of a kernel image's initrd, where it is one archive, compressed or not.
///
/// # Errors
/// The kernel image is damaged.
pub fn initrd(uki: &Uki) -> Result<Option<Holder>> {
    if uki.image().section(".initrd").is_none() {
        return Ok(None);
    }
    let section = uki.section(".initrd")?;
    let content = members::decompressed(&section).map_or(section, |(_, content)| content);
    let tree = cpio::read(&content).ok();
    Ok(tree.map(|tree| Holder::of_tree(format!("the initrd of {}", uki.what()), tree)))
}
