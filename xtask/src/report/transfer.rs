//! How far something is that has a known length: one line on a terminal, a plain one now and then elsewhere.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::{PLAIN_INTERVAL, Report, bytes};

/// Bytes on their way.
pub struct Transfer<'a> {
    report: &'a Report,
    verb: &'static str,
    total: u64,
    done: u64,
    since: Instant,
    told: Instant,
    bar: ProgressBar,
}

/// What a line has beside the bar: the verb, how much of how much, the speed and the time left.
const BESIDE: usize = 56;

impl<'a> Transfer<'a> {
    /// So many bytes, of which nothing is done yet.
    pub fn start(report: &'a Report, verb: &'static str, total: u64) -> Self {
        let now = Instant::now();
        if report.terminal {
            let width = report.width().saturating_sub(BESIDE).clamp(4, 24);
            let template = format!(
                "{{msg:>12}} [{{bar:{width}}}] {{decimal_bytes}}/{{decimal_total_bytes}} {{decimal_bytes_per_sec}} {{eta}}"
            );
            let style = ProgressStyle::with_template(&template);
            report.bar.reset();
            report.bar.set_length(total);
            report
                .bar
                .set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            report.bar.set_message(verb);
        }
        Self { report, verb, total, done: 0, since: now, told: now, bar: report.bar.clone() }
    }

    /// So many more are done.
    pub fn advance(&mut self, count: u64) {
        self.done += count;
        self.bar.inc(count);
        if !self.report.terminal && self.told.elapsed() >= PLAIN_INTERVAL {
            self.told = Instant::now();
            let (done, total, speed) = (bytes(self.done), bytes(self.total), self.speed(self.done));
            self.report.did(self.verb, format_args!("{done} of {total}, {speed}"));
        }
    }

    /// How fast so many bytes went, as `21.3 MB/s`.
    pub fn speed(&self, count: u64) -> String {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is printed in three digits"
        )]
        #[expect(clippy::cast_precision_loss, reason = "it is printed in three digits")]
        let speed = (count as f64 / self.since.elapsed().as_secs_f64().max(0.001)) as u64;
        format!("{}/s", bytes(speed))
    }

    /// Says what was done, in how long.
    pub fn done(self, verb: &str, what: &str) {
        self.report.timed(verb, what, self.since);
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
