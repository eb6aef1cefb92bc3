//! What a package's copyright file says of its licences, where a machine can read it.
//!
//! <https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>, called DEP-5. The file tells the licence of
//! each set of files of the source; all of them together are what is declared for the package.

use std::collections::{BTreeMap, BTreeSet};

use bedplate_formats::control::{Stanza, stanzas};
use bedplate_formats::digest::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::licence::identifier;

/// How many words a licence's name has at most; what is longer is the licence.
const MOST_WORDS: usize = 12;
/// How deep parentheses are looked into.
const DEEPEST: usize = 16;

/// The licences of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licences {
    /// An SPDX expression: `MIT AND (Artistic-1.0 OR GPL-1.0-or-later) AND LicenseRef-custom-01234567`.
    pub expression: String,
    /// What is meant by each `LicenseRef-` in it.
    pub texts: BTreeMap<String, LicenceText>,
}

/// A licence that has no identifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenceText {
    /// Its name in the copyright file.
    pub name: String,
    /// Its text; empty where the file has none.
    pub text: String,
}

/// Reads a copyright file. None when it is not of the machine-readable form, or names no licence.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Licences> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // What is not UTF-8 was written before it was usual.
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    };
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let header = stanzas(&text).next()?;
    let format = header.field("Format").or_else(|| header.field("Format-Specification"))?;
    if !["copyright-format", "dep5", "dep-5", "DEP5"].iter().any(|name| format.contains(name)) {
        return None;
    }
    let licence = |stanza: &Stanza<'_>| stanza.field("License").map(Licence::of);
    let of_files: Vec<Licence> =
        stanzas(&text).filter(|stanza| stanza.field("Files").is_some()).filter_map(|s| licence(&s)).collect();
    let alone: Vec<Licence> = stanzas(&text)
        .skip(1)
        .filter(|stanza| stanza.field("Files").is_none())
        .filter_map(|stanza| licence(&stanza))
        .collect();
    let declared = if of_files.is_empty() { licence(&header).into_iter().collect() } else { of_files };

    let mut texts = BTreeMap::new();
    let mut parts = BTreeSet::new();
    for licence in &declared {
        let mut name = |name: &str| match identifier(name) {
            Some(identifier) => Expression::of_identifier(&identifier),
            None => {
                let text = text_of(name, licence, &alone);
                let reference = reference(name, &text);
                texts.insert(reference.clone(), LicenceText { name: name.to_owned(), text });
                Expression::Licence(reference)
            }
        };
        let expression = licence.expression().resolved(&mut name);
        match expression {
            Expression::All(of) => parts.extend(of.iter().map(|part| part.render(true))),
            other => drop(parts.insert(other.render(true))),
        }
    }
    let expression = match parts.len() {
        0 => return None,
        1 => parts.pop_first()?,
        _ => parts.into_iter().collect::<Vec<_>>().join(" AND "),
    };
    Some(Licences { expression, texts })
}

/// A `License` field.
struct Licence {
    /// Its first line: names, and words between them.
    names: String,
    /// The other lines; empty where the text stands elsewhere.
    text: String,
}

impl Licence {
    fn of(field: &str) -> Self {
        let (names, text) = field.split_once('\n').unwrap_or((field, ""));
        let names = names.split_whitespace().collect::<Vec<_>>().join(" ");
        // A text without a name: the field's first line was empty.
        if names.is_empty() || names.split(' ').count() > MOST_WORDS {
            return Self { names: "unnamed".to_owned(), text: unfolded(field) };
        }
        Self { names, text: unfolded(text) }
    }

    fn expression(&self) -> Expression {
        // What an `or` begins here is no further licence.
        let mut names = self.names.clone();
        for later in [" or later version", " or any later version", " or later", " or newer"] {
            names = names.replace(later, "+");
        }
        let tokens = tokens(&names);
        let mut parser = Parser { tokens: &tokens, depth: 0 };
        let whole = parser.list().filter(|_| parser.tokens.is_empty());
        whole.unwrap_or_else(|| Expression::Licence(self.names.clone()))
    }
}

/// The text of a licence that one paragraph names: its own, or that of the paragraph which is there for it.
fn text_of(name: &str, named: &Licence, alone: &[Licence]) -> String {
    let of = |names: &str| alone.iter().find(|licence| licence.names.eq_ignore_ascii_case(names));
    let shared = || of(name).or_else(|| of(&named.names)).map(|licence| licence.text.as_str());
    let text = if named.text.is_empty() { shared().unwrap_or_default() } else { &named.text };
    text.to_owned()
}

/// The lines of a field without the space before each, and with the empty ones.
fn unfolded(text: &str) -> String {
    let lines = text.lines().map(|line| match line.trim() {
        "." => "",
        _ => line.strip_prefix([' ', '\t']).unwrap_or(line).trim_end(),
    });
    lines.collect::<Vec<_>>().join("\n").trim_matches('\n').to_owned()
}

/// The name of a licence in an SPDX document: the same for the same name and text, and for no other.
fn reference(name: &str, text: &str) -> String {
    let digest = hex(&Sha256::new().chain_update(name).chain_update("\n").chain_update(text).finalize());
    let allowed = |c: char| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '-' };
    let name: String = name.chars().map(allowed).take(40).collect();
    format!("LicenseRef-{}-{}", name.trim_matches('-'), &digest[..8])
}

/// Licences that are to be chosen from, or that hold together.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    Licence(String),
    All(Vec<Expression>),
    Any(Vec<Expression>),
}

impl Expression {
    fn of_identifier(text: &str) -> Self {
        match text.split_once(" OR ") {
            Some((one, other)) => Self::Any(vec![Self::Licence(one.into()), Self::Licence(other.into())]),
            None => Self::Licence(text.to_owned()),
        }
    }

    /// The same with what each name is called elsewhere.
    fn resolved(&self, name: &mut impl FnMut(&str) -> Expression) -> Self {
        let mut each = |of: &[Expression]| of.iter().map(|part| part.resolved(name)).collect();
        match self {
            Self::All(of) => Self::All(each(of)),
            Self::Any(of) => Self::Any(each(of)),
            Self::Licence(licence) => name(licence),
        }
    }

    /// SPDX's form of it; `inside` of an expression, where a choice has parentheses.
    fn render(&self, inside: bool) -> String {
        let join = |of: &[Expression], word: &str| {
            let mut parts: Vec<String> = Vec::new();
            for part in of.iter().map(|part| part.render(true)) {
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
            (parts.len() == 1, parts.join(word))
        };
        match self {
            Self::Licence(name) => name.clone(),
            Self::All(of) => join(of, " AND ").1,
            Self::Any(of) => match join(of, " OR ") {
                (false, text) if inside => format!("({text})"),
                (_, text) => text,
            },
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    And,
    Or,
    Comma,
    Open,
    Close,
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for mut word in text.split_whitespace() {
        // Behind a word, it belongs to the name: `Own licence (v2)`.
        while let Some(rest) =
            word.strip_prefix('(').filter(|_| !matches!(tokens.last(), Some(Token::Word(_))))
        {
            tokens.push(Token::Open);
            word = rest;
        }
        let mut behind = Vec::new();
        loop {
            let closes = word.matches(')').count() > word.matches('(').count();
            word = match (word.strip_suffix(','), word.strip_suffix(')').filter(|_| closes)) {
                (Some(rest), _) => {
                    behind.push(Token::Comma);
                    rest
                }
                (None, Some(rest)) => {
                    behind.push(Token::Close);
                    rest
                }
                (None, None) => break,
            };
        }
        match word.to_ascii_lowercase().as_str() {
            "" => {}
            "and" | "&" => tokens.push(Token::And),
            // Either, or both: whoever takes one has what is asked for.
            "or" | "and/or" | "|" | "||" => tokens.push(Token::Or),
            _ => tokens.push(Token::Word(word)),
        }
        tokens.extend(behind.into_iter().rev());
    }
    tokens
}

/// `and` binds closer than `or`, and a comma before either less than both.
struct Parser<'a> {
    tokens: &'a [Token<'a>],
    depth: usize,
}

impl Parser<'_> {
    fn take(&mut self, token: Token<'_>) -> bool {
        let found = self.tokens.first() == Some(&token);
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn list(&mut self) -> Option<Expression> {
        let mut left = self.choice()?;
        while self.take(Token::Comma) {
            let any = self.take(Token::Or);
            let all = !any && self.take(Token::And);
            if !any && !all && matches!(self.tokens.first(), None | Some(Token::Close)) {
                break;
            }
            let both = vec![left, self.choice()?];
            left = if any { Expression::Any(both) } else { Expression::All(both) };
        }
        Some(left)
    }

    fn choice(&mut self) -> Option<Expression> {
        let mut of = vec![self.together()?];
        while self.take(Token::Or) {
            of.push(self.together()?);
        }
        Some(if of.len() == 1 { of.remove(0) } else { Expression::Any(of) })
    }

    fn together(&mut self) -> Option<Expression> {
        let mut of = vec![self.licence()?];
        while self.take(Token::And) {
            of.push(self.licence()?);
        }
        Some(if of.len() == 1 { of.remove(0) } else { Expression::All(of) })
    }

    fn licence(&mut self) -> Option<Expression> {
        if self.take(Token::Open) {
            self.depth += 1;
            let inner = if self.depth > DEEPEST { None } else { self.list() };
            self.depth -= 1;
            return inner.filter(|_| self.take(Token::Close));
        }
        let is_word = |token: &&Token<'_>| matches!(token, Token::Word(_));
        let (words, rest) = self.tokens.split_at(self.tokens.iter().take_while(is_word).count());
        self.tokens = rest;
        let words = words.iter().filter_map(|token| match token {
            Token::Word(word) => Some(*word),
            _ => None,
        });
        let name = words.collect::<Vec<_>>().join(" ");
        (!name.is_empty()).then_some(Expression::Licence(name))
    }
}

#[cfg(test)]
mod tests;
