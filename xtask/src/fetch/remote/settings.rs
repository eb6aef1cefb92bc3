//! What the environment says of the shared cache. `docs/src/how-to/cache.md` lists the variables.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, Result};
use bedplate_core::secret::Secret;

use super::address::Address;
use crate::error::UsageError;
use crate::sign::{self, PublicKey, Signer};

/// Where the cache is.
pub(super) const ADDRESS: &str = "BEDPLATE_REMOTE_CACHE";
/// Who signs what is put there: a PEM file, or its text.
pub(super) const KEY: &str = "BEDPLATE_REMOTE_CACHE_KEY";
/// The same as a command.
const SIGN_COMMAND: &str = "BEDPLATE_REMOTE_CACHE_SIGN_COMMAND";
/// Whose signatures count: a PEM file of one key or several, or its text.
pub(super) const PUBLIC_KEY: &str = "BEDPLATE_REMOTE_CACHE_PUBLIC_KEY";
/// `1` where nothing is put there.
const READ_ONLY: &str = "BEDPLATE_REMOTE_CACHE_READ_ONLY";

/// How the shared cache is used.
#[derive(Debug)]
pub struct Settings {
    pub(super) address: Address,
    /// The address for messages.
    pub(super) shown: String,
    /// Whose signatures count. Without any, packages alone are shared.
    pub(super) trusted: Vec<PublicKey>,
    /// Who signs, and the key that they sign with, which is among the trusted.
    pub(super) signer: Option<(Signer, PublicKey)>,
    pub(super) read_only: bool,
}

impl Settings {
    /// Reads the environment. None where it names no cache; an empty variable is none, as build services hand one to
    /// those that may not see it.
    ///
    /// # Errors
    /// An address or a switch that is none; keys that cannot be read, or do not belong together.
    pub fn of_environment() -> Result<Option<Self>> {
        Self::read(&|name| std::env::var_os(name))
    }

    /// The same of any variables.
    ///
    /// # Errors
    /// As [`Settings::of_environment`].
    pub fn read(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Option<Self>> {
        let text = |name: &str| -> Result<Option<String>> {
            let Some(value) = variable(name).filter(|value| !value.is_empty()) else { return Ok(None) };
            let text = value.into_string().map_err(|_| UsageError(format!("`{name}` is not UTF-8")))?;
            Ok(Some(text))
        };
        let Some(shown) = text(ADDRESS)? else { return Ok(None) };
        let address = Address::parse(&shown, variable)?;
        let read_only = match text(READ_ONLY)?.as_deref() {
            None | Some("0") => false,
            Some("1") => true,
            Some(other) => {
                return Err(UsageError(format!("invalid `{READ_ONLY}` `{other}`: give `1` or `0`")).into());
            }
        };
        let mut trusted = match text(PUBLIC_KEY)? {
            Some(given) => {
                let pem = Pem::of(&given, PUBLIC_KEY)?;
                PublicKey::parse(pem.text.reveal().as_bytes(), &pem.name)?
            }
            None => Vec::new(),
        };
        let signer = match (text(KEY)?, text(SIGN_COMMAND)?) {
            // A key that was handed on to who only reads is not looked at.
            _ if read_only => None,
            (None, None) => None,
            (Some(_), Some(_)) => {
                return Err(
                    UsageError(format!("`{KEY}` and `{SIGN_COMMAND}` both sign: set one of them")).into()
                );
            }
            (Some(given), None) => {
                let pem = Pem::of(&given, KEY)?;
                let signer = Signer::pem(pem.text.reveal().as_bytes(), pem.name)?;
                let key = signer.public_key().context("the private key has no public half")?;
                if trusted.is_empty() {
                    trusted.push(key.clone());
                }
                if !trusted.iter().any(|other| other.is_same(&key)) {
                    let why = format!(
                        "what `{KEY}` signs would be refused: the public half of the key is not in `{PUBLIC_KEY}`"
                    );
                    return Err(UsageError(why).into());
                }
                Some((signer, key))
            }
            (None, Some(words)) => {
                let Some(key) = trusted.first().cloned() else {
                    let why =
                        format!("`{SIGN_COMMAND}` signs, and `{PUBLIC_KEY}` does not name its public key");
                    return Err(UsageError(why).into());
                };
                Some((Signer::command(&words, sign::TIMEOUT)?, key))
            }
        };
        let shown = shown.trim_end_matches('/').to_owned();
        Ok(Some(Self { address, shown, trusted, signer, read_only }))
    }
}

/// A PEM text, and what messages call it.
struct Pem {
    text: Secret,
    name: String,
}

impl Pem {
    /// The text that a variable holds or names a file of.
    fn of(given: &str, variable: &str) -> Result<Self> {
        if given.trim_start().starts_with("-----BEGIN ") {
            return Ok(Self { text: Secret::new(given), name: variable.to_owned() });
        }
        let name = crate::paths::path(Path::new(given)).to_string();
        let text = std::fs::read_to_string(given)
            .with_context(|| format!("cannot read `{name}`, which `{variable}` names"))?;
        Ok(Self { text: Secret::new(text), name })
    }
}
