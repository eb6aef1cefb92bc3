//! The programs that can test their settings.

mod device;
mod services;

use bedplate_formats::tree::TreePath;

/// A program that can test its settings.
#[derive(Debug)]
pub(in super::super) struct Program {
    /// What it is called in messages.
    pub name: &'static str,
    /// Where it may be; one of them is enough.
    pub needs: &'static [&'static str],
    /// Its settings: files, and directories with all that is below them.
    pub reads: &'static [&'static str],
    /// How names of settings end, if not all count.
    pub endings: &'static [&'static str],
    /// What their first line begins with, if not all count.
    pub starts: &'static [&'static str],
    /// The command, for `sh -c`, behind [`BEFORE`]; the files of the description are its arguments.
    pub command: &'static str,
    /// What makes a complaint a mistake.
    pub counts: Counts,
    /// Words of lines about what only a device has.
    pub ignored: &'static [&'static str],
    /// What to do about a complaint.
    pub help: &'static str,
}

/// What makes a complaint a mistake, and not a warning.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Counts {
    /// The program fails.
    Failure,
    /// One of these words is in it.
    Words(&'static [&'static str]),
}

/// What comes before each command: directories in `/run`, as tmpfiles.d makes them at boot, and a function for programs
/// that test their settings only when they start. `watch WORDS COMMAND…` stops one that goes on after `WORDS`, and
/// prints what it wrote, to `$log` as well.
const BEFORE: &str = "systemd-tmpfiles --create --prefix=/run >/dev/null 2>&1; words=/run/words; log=; \
    watch() { until=$1; shift; \"$@\" >>$words 2>&1 & pid=$!; turns=0; \
    while kill -0 $pid 2>/dev/null && [ $turns -lt 50 ] && ! grep -qs \"$until\" $words $log; do \
    sleep 0.1; turns=$((turns + 1)); done; \
    if kill $pid 2>/dev/null; then code=0; else wait $pid; code=$?; fi; cat $words $log 2>/dev/null; }; ";

impl Program {
    /// The command line for these files of the description.
    pub(super) fn argv(&self, touched: &[TreePath]) -> Vec<String> {
        let command = format!("{BEFORE}{}", self.command);
        let shell = ["sh", "-c", &command, "sh"].map(str::to_owned);
        shell.into_iter().chain(touched.iter().map(TreePath::to_string)).collect()
    }

    /// Whether a line of its words is about what only a device has.
    pub(super) fn ignores(&self, line: &str) -> bool {
        self.ignored.iter().any(|words| line.contains(words))
    }

    /// Whether a complaint in this line is a mistake.
    pub(super) fn refuses(&self, line: &str, failed: bool) -> bool {
        match self.counts {
            Counts::Failure => failed,
            Counts::Words(words) => words.iter().any(|word| line.contains(word)),
        }
    }
}

pub(super) const OTHERWISE: Program = Program {
    name: "",
    needs: &[],
    reads: &[],
    endings: &[],
    starts: &[],
    command: "",
    counts: Counts::Failure,
    ignored: &[],
    help: "mend the line, or remove it",
};

/// Words with which systemd's programs go on without a line.
const LEFT_OUT: Counts = Counts::Words(&[
    "gnoring",
    "Failed",
    "Invalid",
    "Unknown",
    "refus",
    "Refus",
    "Missing",
    "not valid",
    "Not a valid",
]);

/// All of them: what a device itself is set up with, and services.
pub(super) fn programs() -> impl Iterator<Item = &'static Program> {
    device::PROGRAMS.iter().chain(services::PROGRAMS)
}
