//! The answer to a question that a package asks.

use serde::Serialize;

use crate::given::Given;
use crate::value::{AnswerText, Malformed, Value as _};

/// The answer to a question that a package asks when it is configured: yes or no, or text.
///
/// ```
/// # use bedplate_core::*;
/// # fn of(image: Image) -> Image {
/// image
///     .debconf("wireshark-common/install-setuid", true)
///     .debconf("postfix/main_mailer_type", "Local only")
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Yes or no.
    Flag(bool),
    /// Text, for any other question: a text, one choice, or several with `, ` between them.
    Text(AnswerText),
}

impl Answer {
    /// The answer as debconf keeps it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Answer::Flag(true) => "true",
            Answer::Flag(false) => "false",
            Answer::Text(text) => text.as_str(),
        }
    }
}

/// What answers a question: `true`, `false`, or text.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not answer a question",
    label = "expected `true`, `false` or text"
)]
pub trait GivenAnswer {
    /// The answer, or what is wrong with the text.
    ///
    /// # Errors
    /// The reason why the text is no answer, and the text.
    fn answer(self) -> Result<Answer, Malformed>;
}

impl GivenAnswer for bool {
    fn answer(self) -> Result<Answer, Malformed> {
        Ok(Answer::Flag(self))
    }
}

impl GivenAnswer for &str {
    fn answer(self) -> Result<Answer, Malformed> {
        AnswerText::parse(self).map(Answer::Text)
    }
}

impl GivenAnswer for String {
    fn answer(self) -> Result<Answer, Malformed> {
        Given::<AnswerText>::given(self).map(Answer::Text)
    }
}

impl GivenAnswer for Answer {
    fn answer(self) -> Result<Answer, Malformed> {
        Ok(self)
    }
}
