//! The terminal's settings, kept while a program of others or a question changes them. They are put back when that has
//! ended, and when this program is interrupted before.

use std::io;
use std::sync::{Mutex, PoisonError};

use rustix::stdio::stdin;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

static KEPT: Mutex<Option<Termios>> = Mutex::new(None);

/// The settings as they were; put back when this is dropped.
pub struct Saved(());

impl Saved {
    /// Nothing is kept when standard input is no terminal.
    pub fn now() -> Self {
        keep(tcgetattr(stdin()).ok());
        Self(())
    }

    /// Shows nothing of what is typed.
    ///
    /// # Errors
    /// Standard input is no terminal, or cannot be set.
    pub fn hide(&self) -> io::Result<()> {
        let mut hidden = tcgetattr(stdin())?;
        hidden.local_modes.remove(LocalModes::ECHO);
        Ok(tcsetattr(stdin(), OptionalActions::Flush, &hidden)?)
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts back what is kept.
pub fn restore() {
    if let Some(settings) = keep(None) {
        // A terminal that went away needs no settings.
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &settings);
    }
}

fn keep(settings: Option<Termios>) -> Option<Termios> {
    std::mem::replace(&mut *KEPT.lock().unwrap_or_else(PoisonError::into_inner), settings)
}
