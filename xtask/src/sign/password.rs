//! The password of a private key, which a person types and nobody sees.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result};

use crate::terminal::Saved;

/// Asks for the password of `name`; nobody, where this process has no terminal.
///
/// # Errors
/// The terminal cannot be set, or ends.
pub(super) fn ask(name: &str) -> Result<Option<String>> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(None);
    }
    let mut typed = String::new();
    {
        let terminal = Saved::now();
        terminal.hide().context("cannot hide what is typed")?;
        write!(io::stderr(), "password of the private key in `{name}`: ")?;
        io::stdin().lock().read_line(&mut typed).context("cannot read the password")?;
    }
    writeln!(io::stderr())?;
    Ok(Some(typed.trim_end_matches(['\r', '\n']).to_owned()))
}
