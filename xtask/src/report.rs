//! The only place that prints.
//!
//! Data goes to stdout; everything else to stderr, as cargo does it: a verb
//! flush right, what it did, how long it took. What takes longer than a second
//! shows a bar on a terminal and plain lines elsewhere.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

pub use self::activity::Activity;
use self::timings::Timings;
pub use self::transfer::Transfer;
pub use bedplate_core::bytes::bytes;
use bedplate_core::{Diagnostic, Diagnostics, Renderer};

use crate::error::{AdvisedError, Exit, LocatedError, Refused, WrongDescription};
use crate::fetch::{FetchError, Progress};
pub use crate::paths::path;
use crate::sandbox;
use crate::store::{Full, disk_is_full};
use crate::terminal;

mod activity;
mod timings;
mod transfer;

/// What a run tells of itself, whatever the verb.
#[derive(Debug, Default, Args)]
pub struct OutputArgs {
    /// Tell nothing but warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Show what maintainer scripts print, also in image.log, and each command that is run, with its time
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Tell at the end where the time went
    #[arg(long, global = true)]
    pub timings: bool,
    /// When to use colours; without it, on a terminal where NO_COLOR is not set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    pub color: Color,
}

/// When colours are used. `NO_COLOR` is read by `auto`: <https://no-color.org>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "they would be printed beside the names")]
pub enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// Where a run tells what it does. Clones tell it in the same place.
#[derive(Clone)]
pub struct Report {
    color: Color,
    quiet: bool,
    verbose: bool,
    /// What was timed, where that is asked for.
    timings: Option<Arc<Timings>>,
    /// What is drawn below all that is printed; nothing elsewhere than on a terminal.
    lines: MultiProgress,
    bar: ProgressBar,
    terminal: bool,
    started: Instant,
}

/// How often a run without a terminal says how far a download is.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

impl Default for Report {
    fn default() -> Self {
        Self::new(&OutputArgs::default())
    }
}

impl Report {
    /// What a run tells, as the command line says.
    pub fn new(args: &OutputArgs) -> Self {
        let terminal = io::stderr().is_terminal();
        let target = match terminal && !args.quiet {
            true => ProgressDrawTarget::stderr_with_hz(8),
            false => ProgressDrawTarget::hidden(),
        };
        let lines = MultiProgress::with_draw_target(target);
        Self {
            color: args.color,
            quiet: args.quiet,
            verbose: args.verbose,
            timings: args.timings.then(Arc::default),
            bar: lines.add(ProgressBar::no_length()),
            lines,
            terminal,
            started: Instant::now(),
        }
    }

    /// Whether stderr takes colours.
    pub fn color(&self) -> bool {
        is_colored(self.color, self.terminal)
    }

    /// Writes data to stdout. A reader that has gone away is no error.
    pub fn data(&self, text: impl Display) {
        let _ = write!(io::stdout().lock(), "{text}");
    }

    /// Whether all that foreign programs print is shown.
    pub fn verbose(&self) -> bool {
        self.verbose
    }

    /// Hears of the commands that are run in sandboxes, where somebody asked for them, as long as the answer lives.
    ///
    /// # Errors
    /// There is no pipe.
    pub fn watch_commands(&self) -> anyhow::Result<Option<sandbox::Watch>> {
        let report = self.clone();
        let heard = move |command: &str, took| {
            if report.verbose {
                report.did("Ran", format_args!("{command}  {}", seconds(took)));
            }
            report.note(command, took);
        };
        (self.verbose || self.timings.is_some()).then(|| sandbox::watch(heard)).transpose()
    }

    /// One line: a verb of at most twelve letters, and what was done.
    pub fn did(&self, verb: &str, what: impl Display) {
        if !self.quiet {
            self.line("1;32", verb, what);
        }
    }

    /// The same, with the time since `since`.
    pub fn timed(&self, verb: &str, what: impl Display, since: Instant) {
        let took = since.elapsed();
        self.note(format_args!("{verb} {what}"), took);
        self.did(verb, format_args!("{what}  {}", seconds(took)));
    }

    fn note(&self, what: impl Display, took: Duration) {
        if let Some(timings) = &self.timings {
            timings.note(self.started, what.to_string(), took);
        }
    }

    /// Tells where the time went, if that was asked for.
    pub fn tell_timings(&self) {
        if let Some(timings) = &self.timings {
            self.text(timings.table(self.started.elapsed(), self.columns().clamp(40, 200)));
        }
    }

    /// Something the reader should know, though the run goes on.
    pub fn warn(&self, what: impl Display) {
        self.line("1;33", "warning", what);
    }

    /// How many columns there are to write in: as many as `COLUMNS` says, else
    /// as the terminal has, and never more than can be read at a glance.
    pub fn width(&self) -> usize {
        self.columns().clamp(40, 100)
    }

    /// How a table on standard output is laid out that may have long paths in it: how many columns it may have, and
    /// whether it has colours.
    pub fn sheet(&self) -> (usize, bool) {
        let terminal = io::stdout().is_terminal();
        let color = is_colored(self.color, terminal);
        (self.columns().clamp(40, 200), color)
    }

    fn columns(&self) -> usize {
        let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let has = || if self.terminal { usize::from(console::Term::stderr().size().1) } else { 100 };
        told.unwrap_or_else(has)
    }

    /// The mistakes of a description.
    fn mistakes(&self, mistakes: &Diagnostics, source: &dyn Fn(&str) -> Option<String>) {
        self.text(self.renderer().render_all(mistakes, source));
    }

    /// Something a line of the description brings about that the reader should
    /// know, though the run goes on.
    pub fn caution(&self, caution: &Diagnostic, source: &dyn Fn(&str) -> Option<String>) {
        self.text(self.renderer().warning().render(caution, source));
    }

    fn renderer(&self) -> Renderer {
        Renderer::plain().color(self.color()).width(self.width())
    }

    /// What ended the run: the error and the chain of its causes, or the line
    /// of the description that is answerable for it, `source` being the text
    /// of a file.
    pub fn failure(&self, error: &anyhow::Error, source: &dyn Fn(&str) -> Option<String>) {
        self.bar.finish_and_clear();
        if let Some(problem) = error.chain().find_map(|cause| cause.downcast_ref::<LocatedError>()) {
            self.text(self.renderer().render(&problem.diagnostic(), source));
            return;
        }
        if let Some(Refused(mistake)) = error.chain().find_map(|cause| cause.downcast_ref::<Refused>()) {
            self.text(self.renderer().render(mistake, source));
            return;
        }
        let described = error.chain().find_map(|cause| cause.downcast_ref::<WrongDescription>());
        let of_tree = || error.chain().find_map(|cause| cause.downcast_ref::<Diagnostics>());
        if let Some(mistakes) = described.map(|wrong| &wrong.0).or_else(of_tree) {
            self.mistakes(mistakes, source);
            return;
        }
        let mut lines = format!("{}: {error}\n", self.paint("1;31", "error"));
        for cause in error.chain().skip(1) {
            let mut text = String::new();
            for (number, line) in cause.to_string().lines().enumerate() {
                let indent = if number == 0 { "  caused by: " } else { "    " };
                text.push_str(&format!("{indent}{line}\n"));
            }
            lines.push_str(&text);
        }
        if let Some(advice) = advice(error) {
            lines.push_str(&format!("{}: {advice}\n", self.paint("1;36", "help")));
        }
        self.text(lines);
    }

    /// Text that is already laid out, such as a rendered diagnostic.
    pub fn text(&self, text: impl Display) {
        self.lines.suspend(|| {
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
        if self.color() { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Whether somebody wants colours, where they can be shown or not.
fn is_colored(choice: Color, terminal: bool) -> bool {
    match choice {
        Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        Color::Always => true,
        Color::Never => false,
    }
}

/// What to do about a failure, where its cause is known.
fn advice(error: &anyhow::Error) -> Option<String> {
    if let Some(error) = error.chain().find_map(|cause| cause.downcast_ref::<AdvisedError>()) {
        return Some(error.help.clone());
    }
    if let Some(error) = error.chain().find_map(|cause| cause.downcast_ref::<FetchError>()) {
        return error.advice();
    }
    let said = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(disk_is_full)
    };
    let full = error.is::<Full>() || error.chain().any(said);
    full.then(|| {
        "the disk is full: free some space there, or name another place with `--out` or `BEDPLATE_CACHE`"
            .to_owned()
    })
}

/// What an interrupted run leaves behind, unless it says so itself: what is being written has another name than what is
/// kept.
static LEAVES: Mutex<&str> = Mutex::new("the last artifacts, the lock and the cache are whole");

/// Ends the program with 2 when it is interrupted or told to end, and says what is left behind.
///
/// # Errors
/// The signals cannot be watched.
pub fn watch_for_interrupts() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        terminal::restore();
        let leaves = LEAVES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = writeln!(io::stderr(), "\n interrupted: {leaves}");
        std::process::exit(Exit::Failed.code().into());
    })?;
    Ok(())
}

/// Says from now on of an interrupted run that it leaves this behind.
pub fn leave(text: &'static str) {
    let _ = leave_by(text, || Ok::<_, std::convert::Infallible>(()));
}

/// Does what makes the difference between what an interrupted run leaves behind before and after: it is done, or not.
///
/// # Errors
/// As `change` does; nothing else is said then.
pub fn leave_by<T, E>(text: &'static str, change: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let mut leaves = LEAVES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let changed = change()?;
    *leaves = text;
    Ok(changed)
}

/// `0.4 s`, `12.3 s`.
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Shows how far downloads are.
pub struct Downloads<'a> {
    report: &'a Report,
    started: Mutex<Option<Started>>,
}

struct Started {
    files: usize,
    total: u64,
    done: u64,
    since: Instant,
    told: Instant,
}

impl<'a> Downloads<'a> {
    /// Downloads of one run.
    pub fn new(report: &'a Report) -> Self {
        Self { report, started: Mutex::new(None) }
    }

    fn with(&self, change: impl FnOnce(&mut Option<Started>)) {
        // A poisoned lock only means that another download's thread is gone.
        change(&mut self.started.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl Progress for Downloads<'_> {
    fn notice(&self, text: &str) {
        self.report.warn(text);
    }

    fn start(&self, files: usize, total: u64) {
        let now = Instant::now();
        self.with(|started| *started = Some(Started { files, total, done: 0, since: now, told: now }));
        if self.report.terminal {
            self.report.bar.reset();
            self.report.bar.set_length(total);
            let style = ProgressStyle::with_template("{msg:>12} [{bar:24}] {bytes}/{total_bytes} {eta}");
            self.report
                .bar
                .set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            self.report.bar.set_message("Fetching");
        }
    }

    fn advance(&self, count: u64) {
        self.report.bar.inc(count);
        self.with(|started| {
            let Some(started) = started else { return };
            started.done += count;
            if !self.report.terminal && started.told.elapsed() >= PLAIN_INTERVAL {
                started.told = Instant::now();
                self.report
                    .did("Fetching", format_args!("{} of {}", bytes(started.done), bytes(started.total)));
            }
        });
    }

    fn done(&self) {
        self.report.bar.finish_and_clear();
        self.with(|started| {
            if let Some(Started { files, total, since, .. }) = started.take() {
                let plural = if files == 1 { "" } else { "s" };
                self.report.timed("Fetched", format_args!("{files} file{plural}, {}", bytes(total)), since);
            }
        });
    }
}
