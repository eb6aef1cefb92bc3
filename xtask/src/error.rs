//! Failures that somebody is answerable for: a line of the description, or the
//! command line.

use std::process::ExitCode;

use bedplate_core::{Diagnostic, Diagnostics, SourceLocation};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is done.
    Done,
    /// The description or the command line is wrong.
    Wrong,
    /// Something failed.
    Failed,
    /// A comparison found something, and was told to end so.
    Differs,
}

impl Exit {
    /// All there are, by their codes.
    pub const ALL: [Self; 4] = [Self::Done, Self::Wrong, Self::Failed, Self::Differs];

    /// The exit code.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What it means, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Wrong => "the description or the command line is wrong",
            Self::Failed => "something failed, or was interrupted",
            Self::Differs => "something differs, with `--exit-code` of `diff` and `plan --against`",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What could not be done, where the description asked for it, and what helps.
///
/// It travels as an [`anyhow::Error`]; [`crate::report`] draws the line.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct LocatedError {
    /// What was attempted, on what, and why it failed.
    pub message: String,
    /// The call in `main.rs` that asked for it.
    pub at: Option<SourceLocation>,
    /// The word of that call which is answerable, when it says more than one.
    pub word: Option<String>,
    /// What to do about it.
    pub help: String,
}

impl LocatedError {
    /// A failure that no line of the description is answerable for.
    pub fn without_line(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), at: None, word: None, help: help.into() }
    }

    /// As the mistakes of a description are shown.
    pub fn diagnostic(&self) -> Diagnostic {
        let mut diagnostic = Diagnostic::new("", &self.message).help(&self.help);
        diagnostic.at.clone_from(&self.at);
        diagnostic.word.clone_from(&self.word);
        diagnostic
    }
}

/// A failure with its causes, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct AdvisedError {
    /// What failed, and on what.
    pub message: String,
    /// Why.
    #[source]
    pub cause: anyhow::Error,
    /// What to do about it.
    pub help: String,
}

/// A failure that several lines of the description are answerable for.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub struct Refused(pub Box<Diagnostic>);

/// A description with mistakes: the program ends with 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongDescription(pub Diagnostics);

/// A command line that means nothing here: the program ends with 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);
