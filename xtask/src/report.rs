//! The only place that prints.
//!
//! Data goes to stdout; everything else to stderr, as cargo does it: a verb
//! flush right, what it did, how long it took. What takes longer than a second
//! shows a bar on a terminal and plain lines elsewhere.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where a run tells what it does.
pub struct Report {
    color: bool,
    bar: ProgressBar,
    terminal: bool,
    started: Instant,
    plain: Mutex<Instant>,
}

/// How often a run without a terminal says how far a download is.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

impl Default for Report {
    fn default() -> Self {
        let terminal = io::stderr().is_terminal();
        Self {
            color: terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
            bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
            terminal,
            started: Instant::now(),
            plain: Mutex::new(Instant::now()),
        }
    }
}

impl Report {
    /// Whether stderr takes colours: a terminal, and `NO_COLOR` is not set.
    pub fn color(&self) -> bool {
        self.color
    }

    /// Writes data to stdout. A reader that has gone away is no error.
    pub fn data(&self, text: impl Display) {
        let _ = write!(io::stdout().lock(), "{text}");
    }

    /// One line: a verb of at most twelve letters, and what was done.
    pub fn did(&self, verb: &str, what: impl Display) {
        self.line("1;32", verb, what);
    }

    /// The same, with the time since `since`.
    pub fn timed(&self, verb: &str, what: impl Display, since: Instant) {
        self.did(verb, format_args!("{what}  {}", seconds(since.elapsed())));
    }

    /// Something the reader should know, though the run goes on.
    pub fn warn(&self, what: impl Display) {
        self.line("1;33", "warning", what);
    }

    /// What ended the run: the error, the chain of its causes, and the advice.
    pub fn failure(&self, error: &anyhow::Error) {
        let mut lines = format!("{}: {error}\n", self.paint("1;31", "error"));
        for cause in error.chain().skip(1) {
            let mut text = String::new();
            for (number, line) in cause.to_string().lines().enumerate() {
                let indent = if number == 0 { "  caused by: " } else { "    " };
                text.push_str(&format!("{indent}{line}\n"));
            }
            lines.push_str(&text);
        }
        self.text(lines);
    }

    /// Text that is already laid out, such as a rendered diagnostic.
    pub fn text(&self, text: impl Display) {
        self.bar.suspend(|| {
            let _ = write!(io::stderr().lock(), "{text}");
        });
    }

    /// The time since this run began.
    pub fn elapsed(&self) -> String {
        seconds(self.started.elapsed())
    }

    fn line(&self, color: &str, verb: &str, what: impl Display) {
        self.text(format_args!("{} {what}\n", self.paint(color, &format!("{verb:>12}"))));
    }

    fn paint(&self, color: &str, text: &str) -> String {
        if self.color { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `0.4 s`, `12.3 s`.
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Bytes in the largest decimal unit, with three digits: `512 B`, `23.4 MB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.5 {
            let digits = if unit == "B" || value >= 99.95 { 0 } else { 1 };
            return format!("{value:.digits$} {unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}
