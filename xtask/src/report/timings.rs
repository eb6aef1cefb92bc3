//! Where the time of a run went: `--timings`.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::seconds;

/// How many columns stand for the whole run, where there is room.
const BAR: usize = 24;
/// What took less is in no row of its own.
const SHORT: Duration = Duration::from_millis(50);
/// The columns before the bar, and those between it and what was done.
const BESIDE: usize = 8 + 2 + 8 + 2 + 2;

/// What a run did, in the order in which it ended.
#[derive(Debug, Default)]
pub(super) struct Timings(Mutex<Vec<Span>>);

#[derive(Debug, Clone)]
struct Span {
    what: String,
    from: Duration,
    took: Duration,
}

impl Timings {
    /// Notes what ended now and took so long, in a run that began at `start`.
    pub(super) fn note(&self, start: Instant, what: String, took: Duration) {
        let from = start.elapsed().saturating_sub(took);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Span { what, from, took });
    }

    /// A row for each, by when it began, in so many columns; `whole` is how long the run took.
    pub(super) fn table(&self, whole: Duration, width: usize) -> String {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let all = spans.len();
        spans.retain(|span| span.took >= SHORT);
        spans.sort_by_key(|span| (span.from, span.took));
        let columns = width.saturating_sub(BESIDE + BAR).clamp(4, BAR);
        let room = width.saturating_sub(BESIDE + columns);
        let mut text = format!("{:>8}  {:>8}  of {}\n", "from", "time", seconds(whole));
        for Span { what, from, took } in &spans {
            let what = match what.char_indices().nth(room) {
                Some(_) => format!("{}…", what.chars().take(room - 1).collect::<String>()),
                None => what.clone(),
            };
            let (from, took, bar) = (seconds(*from), seconds(*took), bar(*from, *took, whole, columns));
            let _ = writeln!(text, "{from:>8}  {took:>8}  {bar}  {what}");
        }
        match all - spans.len() {
            0 => {}
            short => {
                let indent = " ".repeat(BESIDE + columns);
                let _ = writeln!(text, "{indent}{short} more, of less than {} ms each", SHORT.as_millis());
            }
        }
        text
    }
}

/// The part of the whole that something took, drawn.
fn bar(from: Duration, took: Duration, whole: Duration, columns: usize) -> String {
    let column = |time: Duration| {
        let column = time.as_millis() * columns as u128 / whole.as_millis().max(1);
        usize::try_from(column).map_or(columns, |column| column.min(columns))
    };
    let first = column(from).min(columns - 1);
    let end = column(from + took).max(first + 1);
    format!("{}{}{}", " ".repeat(first), "=".repeat(end - first), " ".repeat(columns - end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_part_of_the_whole() {
        let timings = Timings::default();
        let span = |what: &str, from: u64, took: u64| Span {
            what: what.to_owned(),
            from: Duration::from_millis(from),
            took: Duration::from_millis(took),
        };
        *timings.0.lock().unwrap() = vec![
            span("Root erofs of 4 MB", 6000, 6000),
            span("System 2 packages", 0, 6000),
            span("`true`", 1000, 2),
        ];
        let expected = [
            "    from      time  of 12.0 s",
            "   0.0 s     6.0 s  ============              System 2 packages",
            "   6.0 s     6.0 s              ============  Root erofs of 4 MB",
            "                                              1 more, of less than 50 ms each",
        ];
        assert_eq!(timings.table(Duration::from_secs(12), 80).lines().collect::<Vec<_>>(), expected);
        let narrow = timings.table(Duration::from_secs(12), 40);
        assert!(narrow.contains("  ==    System 2 pack…\n"), "{narrow}");
    }

    #[test]
    fn what_is_longer_than_the_run_ends_where_it_ends() {
        let [zero, nine, ten] = [0, 9, 10].map(Duration::from_secs);
        assert_eq!(bar(nine, nine, ten, 10), "         =");
        assert_eq!(bar(zero, zero, zero, 4), "=   ");
    }
}
