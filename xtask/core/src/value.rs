//! The values of a description, each a type that cannot hold a wrong one.
//!
//! A value is parsed once, where it is given; whatever holds one afterwards
//! need not look again. Every value knows the code of the rule (and so the page
//! of `explain`) that a malformed one breaks.

use crate::diagnostic::Diagnostic;

mod archive;
mod debconf;
mod device;
mod glob;
mod host;
mod kernel;
mod pattern;
mod people;
mod size;
mod unit;

pub use archive::{
    Component, DebLocation, FileUrl, Fingerprint, PackageName, Sha256, Snapshot, Suite, Url, Version,
};
pub use debconf::{AnswerText, Question};
pub use device::{Compatible, DevicePath, Hostname, ImageVersion, Label, Locale, Timezone};
pub use glob::Glob;
pub use host::{Address, DomainName};
pub use kernel::{Argument, ModuleName, SysctlKey, SysctlValue};
pub use pattern::PathPattern;
pub use people::{GroupName, SshKey, UserName};
pub use size::{GiB, MiB, Size};
pub use unit::{UnitName, escape_path};

/// A value: text with a syntax.
pub trait Value: Sized {
    /// The code of the rule that a malformed one breaks.
    const CODE: &'static str;
    /// The value's name in a sentence, with its article: "a package name".
    const WHAT: &'static str;

    /// Parses the value.
    ///
    /// # Errors
    /// What is wrong with `text`, and if it is known, what to write instead.
    fn parse(text: &str) -> Result<Self, Malformed>;
}

/// Text that is not the value it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The text as it was given.
    pub text: String,
    /// Why it is not the value, as the end of a sentence.
    pub reason: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Malformed {
    pub(crate) fn new(text: &str, reason: impl Into<String>) -> Self {
        Malformed { text: text.to_string(), reason: reason.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn diagnostic(self, code: &'static str, what: &str) -> Diagnostic {
        let shown = abbreviated(&self.text);
        let diagnostic =
            Diagnostic::new(code, format!("`{shown}` is not {what}")).label(self.reason).word(&self.text);
        match self.help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "`{}`: {}", abbreviated(&self.text), self.reason)
    }
}

impl std::error::Error for Malformed {}

/// A key or a whole file given by mistake does not fill the terminal.
fn abbreviated(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { '·' } else { c }).collect();
    if line.chars().count() <= 48 {
        return line;
    }
    let start: String = line.chars().take(45).collect();
    format!("{start}…")
}

/// Reads a value from its text, so that a file of ours refuses what a description refuses.
///
/// # Errors
/// The text is malformed; the message names it, what it is not, and why.
pub(crate) fn deserialize<'de, T: Value, D: serde::Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let text = <String as serde::Deserialize>::deserialize(from)?;
    T::parse(&text).map_err(|Malformed { text, reason, .. }| {
        serde::de::Error::custom(format!("`{}` is not {}: {reason}", abbreviated(&text), T::WHAT))
    })
}

/// Declares a value: a newtype over its text, made only by its syntax. It is read as that text.
macro_rules! value {
    ($(#[$doc:meta])* $name:ident, $code:literal, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text of it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns the value of text that this program wrote itself, and that is known to be right.
            #[allow(dead_code, reason = "not every value is one that the program writes")]
            pub(crate) fn known(text: impl Into<String>) -> Self {
                let text = text.into();
                debug_assert_eq!($check(&text), Ok(()));
                $name(text)
            }
        }

        impl $crate::value::Value for $name {
            const CODE: &'static str = $code;
            const WHAT: &'static str = $what;

            fn parse(text: &str) -> Result<Self, $crate::value::Malformed> {
                $check(text).map(|()| $name(text.to_string()))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.pad(&self.0)
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl From<&$name> for String {
            fn from(value: &$name) -> String {
                value.0.clone()
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        // Values are ordered and hashed as their text, so that a set of them is searched by text.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<String> for $name {
            fn eq(&self, other: &String) -> bool {
                self.0 == *other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $crate::value::deserialize(from)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::value::Malformed;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                <Self as $crate::value::Value>::parse(text)
            }
        }
    };
}
pub(crate) use value;
