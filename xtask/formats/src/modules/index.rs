//! The binary index of kmod (`modules.dep.bin`, `modules.alias.bin`): a trie
//! from words to values, written as depmod 34 writes it.
//!
//! Format: kmod's `libkmod/libkmod-index.h`. modprobe and udev read nothing
//! else: the text lists beside it are for people.

use std::collections::BTreeMap;

const MAGIC: u32 = 0xb007_f457;
const VERSION: u32 = 0x0002_0001;
const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;

/// Values by word, each with its order.
#[derive(Debug, Default)]
pub(super) struct Index(BTreeMap<Vec<u8>, Vec<(u32, String)>>);

/// Words that begin alike, cut to what is still to be written of them.
type Entries<'a> = [(&'a [u8], &'a [(u32, String)])];

impl Index {
    /// Adds a value, before those of the same or a higher order.
    pub(super) fn insert(&mut self, word: &str, order: u32, value: &str) {
        let values = self.0.entry(word.as_bytes().to_vec()).or_default();
        let at = values.partition_point(|(other, _)| *other < order);
        values.insert(at, (order, value.to_owned()));
    }

    /// The file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = [MAGIC, VERSION, 0].map(u32::to_be_bytes).concat();
        let entries: Vec<_> = self.0.iter().map(|(word, values)| (&word[..], &values[..])).collect();
        let root = node(&mut out, &[], &entries);
        out[8..12].copy_from_slice(&root.to_be_bytes());
        out
    }
}

/// Writes a node and then its children; the place of it, with its flags.
fn node(out: &mut Vec<u8>, prefix: &[u8], entries: &Entries) -> u32 {
    let (values, entries) = match entries {
        [([], values), rest @ ..] => (*values, rest),
        all => (&[][..], all),
    };
    let mut place = u32::try_from(out.len()).unwrap_or(u32::MAX);
    if !prefix.is_empty() {
        place |= HAS_PREFIX;
        out.extend(prefix);
        out.push(0);
    }
    let letters = entries.first().zip(entries.last()).map(|((first, _), (last, _))| (first[0], last[0]));
    if let Some((first, last)) = letters {
        place |= HAS_CHILDREN;
        out.extend([first, last]);
    }
    let table = out.len();
    if let Some((first, last)) = letters {
        out.resize(table + 4 * (usize::from(last - first) + 1), 0);
    }
    if !values.is_empty() {
        place |= HAS_VALUES;
        out.extend(u32::try_from(values.len()).unwrap_or(u32::MAX).to_be_bytes());
        for (order, value) in values {
            out.extend(order.to_be_bytes());
            out.extend(value.as_bytes());
            out.push(0);
        }
    }
    let mut rest = entries;
    while let ([(word, _), ..], Some((letter, _))) = (rest, letters) {
        let (alike, others) = rest.split_at(rest.partition_point(|(other, _)| other[0] == word[0]));
        rest = others;
        let last = alike[alike.len() - 1].0;
        // Sorted words have in common what the first and the last have.
        let common = word.iter().zip(last).take_while(|(a, b)| a == b).count();
        let tails: Vec<_> = alike.iter().map(|(word, values)| (&word[common..], *values)).collect();
        let child = node(out, &word[1..common], &tails);
        let at = table + 4 * usize::from(word[0] - letter);
        out[at..at + 4].copy_from_slice(&child.to_be_bytes());
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trie_lies_as_depmod_writes_it() {
        let mut index = Index::default();
        index.insert("dm_mod", 1, "m:");
        index.insert("dm", 2, "d:");
        let parts: [&[u8]; 4] = [
            b"\xb0\x07\xf4\x57\x00\x02\x00\x01\x20\0\0\x0c", // the root has children and lies at 12
            b"dd\xe0\0\0\x12",                               // one, `d`
            b"m\0__\xc0\0\0\x25\0\0\0\x01\0\0\0\x02d:\0",    // 18: `dm`: one child, `_`, and one value
            b"mod\0\0\0\0\x01\0\0\0\x01m:\0",                // 37: `dm_mod`: one value
        ];
        assert_eq!(index.bytes(), parts.concat());
    }

    #[test]
    fn a_lower_order_comes_first() {
        let mut index = Index::default();
        index.insert("a", 9, "late");
        index.insert("a", 1, "soon");
        let bytes = index.bytes();
        let at = |text: &[u8]| bytes.windows(text.len()).position(|w| w == text).unwrap();
        assert!(at(b"soon") < at(b"late"));
    }
}
