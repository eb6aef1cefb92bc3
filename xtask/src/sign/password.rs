//! The password of a private key, which a person types and nobody sees.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, Result};
use rustix::stdio::stdin;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

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
        let _hidden = Hidden::new().context("cannot hide what is typed")?;
        write!(io::stderr(), "password of the private key in `{name}`: ")?;
        io::stdin().lock().read_line(&mut typed).context("cannot read the password")?;
    }
    writeln!(io::stderr())?;
    Ok(Some(typed.trim_end_matches(['\r', '\n']).to_owned()))
}

/// A terminal that does not show what is typed; it does again when this is dropped.
struct Hidden(Termios);

impl Hidden {
    fn new() -> io::Result<Self> {
        let saved = tcgetattr(stdin())?;
        let mut hidden = saved.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self(saved))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that went away needs no settings.
        let _ = tcsetattr(stdin(), OptionalActions::Flush, &self.0);
    }
}
