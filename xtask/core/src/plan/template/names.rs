//! The names in a file, held against those that are given when the crate is compiled.

/// The names that a file has, by what they stand for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    /// Words within lines.
    pub(crate) words: &'static [&'static str],
    /// Conditions of lines.
    pub(crate) conditions: &'static [&'static str],
    /// Any number of lines.
    pub(crate) lines: &'static [&'static str],
}

/// How many names a file may have of a kind.
const MOST: usize = 16;

impl Names {
    /// Fails when a name in the file has no value, or a value no name in the file: called by a constant, it fails in
    /// the compiler.
    pub(crate) const fn check(&self, text: &str) {
        let text = text.as_bytes();
        assert!(!text.is_empty() && text[text.len() - 1] == b'\n', "the last line has no end");
        let mut used = [[false; MOST]; 3];
        let mut at = 0;
        while at < text.len() {
            if text[at] != b'@' || at + 1 == text.len() || !text[at + 1].is_ascii_uppercase() {
                at += 1;
                continue;
            }
            let start = at + 1;
            let mut end = start;
            while end < text.len() && (text[end].is_ascii_uppercase() || text[end] == b'_') {
                end += 1;
            }
            let begins_line = at == 0 || text[at - 1] == b'\n';
            let condition = end < text.len() && text[end] == b'?';
            at = if condition { end + 2 } else { end + 1 };
            assert!(at <= text.len() && text[at - 1] == b'@', "a name is not closed by `@`");
            let is_line = begins_line && at < text.len() && text[at] == b'\n';
            if condition {
                assert!(begins_line, "a condition does not begin its line");
                used[1][index(self.conditions, text, start, end)] = true;
            } else if is_line && !equal(b"SANDBOX", text, start, end) {
                used[2][index(self.lines, text, start, end)] = true;
            } else if !is_line {
                used[0][index(self.words, text, start, end)] = true;
            }
        }
        all(self.words, &used[0]);
        all(self.conditions, &used[1]);
        all(self.lines, &used[2]);
    }
}

const fn index(names: &[&str], text: &[u8], start: usize, end: usize) -> usize {
    let mut index = 0;
    while index < names.len() {
        if equal(names[index].as_bytes(), text, start, end) {
            return index;
        }
        index += 1;
    }
    panic!("a name in the file has no value of its kind")
}

const fn equal(name: &[u8], text: &[u8], start: usize, end: usize) -> bool {
    let mut at = 0;
    while at < name.len() && start + at < end && name[at] == text[start + at] {
        at += 1;
    }
    at == name.len() && start + at == end
}

const fn all(names: &[&str], used: &[bool; MOST]) {
    let mut index = 0;
    while index < names.len() {
        assert!(used[index], "a value has no name in the file");
        index += 1;
    }
}
