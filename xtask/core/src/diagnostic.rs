//! A mistake of a description: data with a place, collected and shown together.
//!
//! The form is rustc's, because that is what the reader of a `main.rs` has
//! seen all day: code, message, the line underlined, what to do.

use std::fmt;

use serde::Serialize;

use crate::location::SourceLocation;

mod render;
mod span;

pub use render::Renderer;
pub(crate) use render::wrap;

/// One mistake in a description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The name of the rule, as `explain` takes it: `bound-twice`. Empty where
    /// no rule is broken, and something failed that the line is answerable for.
    pub code: &'static str,
    /// What is wrong: lower case, no full stop, values in backticks.
    pub message: String,
    /// The call that is wrong; `None` when something is missing altogether.
    pub at: Option<SourceLocation>,
    /// What is said beneath the underlined words.
    pub label: Option<String>,
    /// The word that is wrong, when the call holds more than that word.
    pub word: Option<String>,
    /// Other places that matter, each with what it did.
    pub related: Vec<(SourceLocation, String)>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A mistake against the rule `code`.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic {
            code,
            message: message.into(),
            at: None,
            label: None,
            word: None,
            related: Vec::new(),
            help: None,
        }
    }

    /// Says which call is wrong.
    #[must_use]
    pub fn at(mut self, place: &SourceLocation) -> Self {
        self.at = Some(place.clone());
        self
    }

    /// Says something beneath the underlined words.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Narrows the underline to this word of the call, where its text has it.
    #[must_use]
    pub fn word(mut self, word: impl Into<String>) -> Self {
        self.word = Some(word.into());
        self
    }

    /// Shows another place beside it: "first bound here".
    #[must_use]
    pub fn related(mut self, place: &SourceLocation, what: impl Into<String>) -> Self {
        self.related.push((place.clone(), what.into()));
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// All mistakes of a description, in the order of its lines; never empty when
/// a plan failed with it.
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Puts them in the order of the description: what has no line comes last.
    #[must_use]
    pub fn new(mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics
            .sort_by(|left, right| (left.at.is_none(), &left.at).cmp(&(right.at.is_none(), &right.at)));
        // A function used by several images says its mistake once.
        diagnostics.dedup();
        Diagnostics(diagnostics)
    }

    /// The mistakes, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&Renderer::plain().render_all(self, &|_| None))
    }
}

/// As it is displayed: `plan().unwrap()` in a test shows what is wrong, not
/// how it is kept.
impl fmt::Debug for Diagnostics {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\n{self}")
    }
}

impl std::error::Error for Diagnostics {}
