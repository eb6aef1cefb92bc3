//! The terminal's settings, kept for after QEMU, which makes it raw and may be ended before it undoes that.

use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// The settings as they were; put back when this is dropped.
pub(super) struct Saved(Option<Termios>);

impl Saved {
    /// Nothing is kept when standard input is no terminal.
    pub(super) fn now() -> Self {
        Self(tcgetattr(stdin()).ok())
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        if let Some(settings) = &self.0 {
            // A terminal that went away needs no settings.
            let _ = tcsetattr(stdin(), OptionalActions::Drain, settings);
        }
    }
}
