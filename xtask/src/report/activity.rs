//! What a run is at: one line on a terminal, which is gone when it is over, and a plain one now and then elsewhere.

use std::fmt::Display;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::{PLAIN_INTERVAL, Report};

/// What is over sooner is never shown.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a terminal shows how far it is.
const INTERVAL: Duration = Duration::from_millis(125);

/// Something that takes a while. It is over when this is dropped.
pub struct Activity {
    what: Arc<Mutex<String>>,
    /// Dropped first, which ends the thread.
    over: Option<Sender<()>>,
    teller: Option<JoinHandle<()>>,
}

impl Report {
    /// Begins something that takes a while, as `Resolving` `the packages`.
    pub fn activity(&self, verb: &'static str, what: impl Display) -> Activity {
        let what = Arc::new(Mutex::new(what.to_string()));
        let (over, ended) = mpsc::channel::<()>();
        let (report, said) = (self.clone(), Arc::clone(&what));
        let teller = thread::spawn(move || {
            let mut line = Line::new(&report, verb);
            let mut wait = line.first;
            while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                wait = line.next;
                let now = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                line.show(now);
            }
        });
        Activity { what, over: Some(over), teller: Some(teller) }
    }
}

impl Activity {
    /// Says what it is at.
    pub fn at(&self, what: impl Display) {
        *self.what.lock().unwrap_or_else(PoisonError::into_inner) = what.to_string();
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.over = None;
        // A teller that panicked has told its last line.
        let _ = self.teller.take().map(JoinHandle::join);
    }
}

/// Where it is shown.
struct Line<'a> {
    report: &'a Report,
    verb: &'static str,
    last: String,
    bar: Option<ProgressBar>,
    first: Duration,
    next: Duration,
}

impl<'a> Line<'a> {
    fn new(report: &'a Report, verb: &'static str) -> Self {
        let (first, next) =
            if report.terminal { (PATIENCE, INTERVAL) } else { (PLAIN_INTERVAL, PLAIN_INTERVAL) };
        Self { report, verb, last: String::new(), bar: None, first, next }
    }

    fn show(&mut self, what: String) {
        if what == self.last {
            return;
        }
        match self.report.terminal {
            true => {
                let bar = self.bar.get_or_insert_with(|| self.report.lines.add(spinner()));
                bar.set_message(line(self.report, self.verb, &what));
            }
            false => self.report.did(self.verb, &what),
        }
        self.last = what;
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::no_length().with_style(style)
}

/// The line of a terminal, cut where that ends.
fn line(report: &Report, verb: &str, what: &str) -> String {
    let room = report.width().saturating_sub(14);
    let what = match what.char_indices().nth(room) {
        Some((end, _)) => format!("{}…", &what[..end]),
        None => what.to_owned(),
    };
    format!("{} {what}", report.paint("1;36", &format!("{verb:>12}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Color;

    #[test]
    fn what_is_soon_over_is_never_told() {
        let report = Report::default();
        let started = std::time::Instant::now();
        let activity = report.activity("Unpacking", "packages");
        activity.at("more packages");
        drop(activity);
        assert!(started.elapsed() < PATIENCE, "it waited for itself");
    }

    #[test]
    fn a_long_line_ends_where_the_terminal_ends() {
        let report = Report { color: Color::Never, terminal: false, ..Report::default() };
        let said = line(&report, "Configuring", &"ö".repeat(300));
        assert!(said.chars().count() <= report.width(), "{said}");
        assert!(said.ends_with("ö…") && said.starts_with(" Configuring ö"), "{said}");
        assert_eq!(line(&report, "Verifying", "the disk"), "   Verifying the disk");
    }
}
