//! Units, scripts and settings: files of their own type beside this one, in `units/`, `scripts/` and `settings/`.
//!
//! | in a file | stands for |
//! |---|---|
//! | `@NAME@` | a value: a word, or words with spaces between them |
//! | `@NAME?@` at the start of a line | nothing; without the condition there is no such line |
//! | `@NAME@` as a line | any number of lines |
//! | `@SANDBOX@` as a line | `units/sandbox.conf`, in a service |
//!
//! Comments that begin a unit's file are the template's; all others are in the image, too. A file and the names that
//! [`template!`] gives it fit together, or the crate does not compile. A value that would mean something else where it
//! is written is an error of the plan.

use uuid::Uuid;

use crate::value::DevicePath;

mod names;
pub(super) use names::Names;

const SANDBOX: &str = include_str!("units/sandbox.conf");

/// Fills in a file of `plan/`: words, then conditions, then lines, each by name.
macro_rules! template {
    (
        $file:literal
        $(, $word:ident = $value:expr)*
        $(; if $flag:ident = $holds:expr)*
        $(; lines $line:ident = $lines:expr)*
        $(,)?
    ) => {{
        const TEXT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/plan/", $file));
        const NAMES: $crate::plan::template::Names = $crate::plan::template::Names {
            words: &[$(stringify!($word)),*],
            conditions: &[$(stringify!($flag)),*],
            lines: &[$(stringify!($line)),*],
        };
        const { NAMES.check(TEXT) };
        $crate::plan::template::Template {
            file: $file,
            text: TEXT,
            names: NAMES,
            words: &[$($crate::plan::template::Value::from($value)),*],
            conditions: &[$($holds),*],
            lines: &[$($lines),*],
        }
        .fill()
    }};
}
pub(super) use template;

/// A file, and what its names stand for, in the order of the names.
pub(super) struct Template<'a> {
    pub(super) file: &'static str,
    pub(super) text: &'static str,
    pub(super) names: Names,
    pub(super) words: &'a [Value],
    pub(super) conditions: &'a [bool],
    pub(super) lines: &'a [Vec<String>],
}

/// What a name stands for within a line.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A word.
    Word(String),
    /// At least one word, with spaces between them.
    Words(Vec<String>),
    /// The names of units, which systemd reads without unescaping them.
    Units(Vec<String>),
    /// Any text, in the quotes of a shell.
    Quoted(String),
}

/// A value that would mean something else in the file it is written into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` cannot be written into `{file}`")]
pub struct Unfit {
    value: String,
    file: &'static str,
}

impl Template<'_> {
    /// Returns the file's text.
    pub(super) fn fill(&self) -> Result<String, Unfit> {
        let text = if self.file.starts_with("units/") { without_head(self.text) } else { self.text };
        let mut filled = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            let name = line.strip_prefix('@').and_then(|rest| rest.trim_end().strip_suffix('@'));
            if name == Some("SANDBOX") {
                filled.push_str(without_head(SANDBOX));
            } else if let Some(lines) = name.and_then(|name| named(self.names.lines, self.lines, name)) {
                self.push_lines(&mut filled, lines)?;
            } else if let Some((name, rest)) = line.strip_prefix('@').and_then(|rest| rest.split_once("?@")) {
                if named(self.names.conditions, self.conditions, name) == Some(&true) {
                    self.push_words(&mut filled, rest)?;
                }
            } else {
                self.push_words(&mut filled, line)?;
            }
        }
        Ok(filled)
    }

    fn push_lines(&self, filled: &mut String, lines: &[String]) -> Result<(), Unfit> {
        for line in lines {
            if line.contains(|c: char| c.is_control() && c != '\t') {
                return Err(self.unfit(line));
            }
            filled.push_str(line);
            filled.push('\n');
        }
        Ok(())
    }

    fn push_words(&self, filled: &mut String, line: &str) -> Result<(), Unfit> {
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('@') {
            filled.push_str(before);
            let value = after
                .split_once('@')
                .and_then(|(name, after)| Some((named(self.names.words, self.words, name)?, after)));
            let Some((value, after)) = value else {
                filled.push('@');
                rest = after;
                continue;
            };
            filled.push_str(&self.text_of(value)?);
            rest = after;
        }
        filled.push_str(rest);
        Ok(())
    }

    fn text_of(&self, value: &Value) -> Result<String, Unfit> {
        let is_script = self.file.starts_with("scripts/");
        let fits = |word: &String| if is_script { fits_script(word) } else { fits_unit(word) };
        let checked =
            |words: &[String], fits: &dyn Fn(&String) -> bool| match words.iter().find(|word| !fits(word)) {
                Some(word) => Err(self.unfit(word)),
                None if words.is_empty() => Err(self.unfit("")),
                None => Ok(words.join(" ")),
            };
        match value {
            Value::Word(word) => checked(std::slice::from_ref(word), &fits),
            Value::Words(words) => checked(words, &fits),
            Value::Units(units) => checked(units, &|unit| !is_script && fits_unit(&unit.replace('\\', ""))),
            Value::Quoted(text) if is_script => Ok(quoted(text)),
            Value::Quoted(text) => Err(self.unfit(text)),
        }
    }

    fn unfit(&self, value: &str) -> Unfit {
        Unfit { value: value.to_string(), file: self.file }
    }
}

/// True for a word that means itself in a unit, in rules of udev and of tmpfiles.d.
pub(crate) fn fits_unit(word: &str) -> bool {
    let special = |c: char| c.is_control() || c.is_whitespace() || r#""'\%$"#.contains(c);
    !word.is_empty() && !word.contains(special)
}

/// True for a word that means itself in a script of a shell, outside of quotes and inside.
pub(crate) fn fits_script(word: &str) -> bool {
    fits_unit(word) && !word.contains(|c| "`;&|<>()*?[]{}#~!".contains(c))
}

/// Returns a word of a shell's, whatever is in it.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Returns words of a unit or of a script.
pub(super) fn words(words: impl IntoIterator<Item = impl Into<String>>) -> Value {
    Value::Words(words.into_iter().map(Into::into).collect())
}

/// Returns the names of units.
pub(super) fn units(names: impl IntoIterator<Item = impl ToString>) -> Value {
    Value::Units(names.into_iter().map(|name| name.to_string()).collect())
}

fn named<'a, T>(names: &[&str], values: &'a [T], name: &str) -> Option<&'a T> {
    values.get(names.iter().position(|known| *known == name)?)
}

/// Leaves out the comments that begin a text.
fn without_head(text: &str) -> &str {
    let mut rest = text;
    while let Some((_, next)) =
        rest.split_once('\n').filter(|(line, _)| line.is_empty() || line.starts_with('#'))
    {
        rest = next;
    }
    rest
}

impl From<&str> for Value {
    fn from(word: &str) -> Self {
        Value::Word(word.to_string())
    }
}

impl From<&DevicePath> for Value {
    fn from(path: &DevicePath) -> Self {
        Value::Word(path.to_string())
    }
}

impl From<&String> for Value {
    fn from(word: &String) -> Self {
        Value::Word(word.clone())
    }
}

impl From<String> for Value {
    fn from(word: String) -> Self {
        Value::Word(word)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Value::Word(number.to_string())
    }
}

impl From<Uuid> for Value {
    fn from(id: Uuid) -> Self {
        Value::Word(id.to_string())
    }
}

#[cfg(test)]
mod tests;
