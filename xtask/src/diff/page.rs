//! A comparison for people at a terminal.

use bedplate_core::page::Page;

use super::Comparison;
use super::told::{Mark, Section, download, sections};

/// The most rows of a section.
const MOST_ROWS: usize = 40;
/// The most lines of a file's text.
const MOST_LINES: usize = 12;

/// How a page is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// How many columns there are, 40 at least.
    pub width: usize,
    /// Whether there are colours.
    pub color: bool,
    /// Whether everything is told, to the last line.
    pub full: bool,
}

impl Comparison {
    /// The page: what differs, the gravest first. No line is wider than the layout, but in full.
    pub fn page(&self, layout: Layout) -> String {
        let mut sheet = Sheet { text: String::new(), layout };
        let mut page = Page::new(layout.width);
        page.line(&format!("- {}", plain(&self.before.name)));
        page.line(&format!("+ {}", plain(&self.after.name)));
        for (line, style) in page.finish().lines().zip(["31", "32"]) {
            sheet.line(line, style);
        }
        if self.same {
            sheet.heading("nothing differs", "1;32");
        }
        for section in sections(self, layout.full) {
            sheet.section(&section);
        }
        if let Some(download) = download(self) {
            sheet.heading("update", "1");
            sheet.words(&download);
        }
        for note in &self.notes {
            sheet.text.push('\n');
            sheet.words(note);
        }
        sheet.text
    }
}

struct Sheet {
    text: String,
    layout: Layout,
}

impl Sheet {
    fn section(&mut self, section: &Section) {
        let grave = section.rows.iter().any(|row| row.mark == Mark::Grave);
        let title = match section.summary.is_empty() {
            true => section.title.clone(),
            false => format!("{}: {}", section.title, section.summary),
        };
        self.heading(&title, if grave { "1;31" } else { "1" });
        let most = if self.layout.full { usize::MAX } else { MOST_ROWS };
        let shown = section.rows.get(..most.min(section.rows.len())).unwrap_or_default();
        if section.columns.is_empty() {
            // Sentences are wrapped, not cut.
            for row in shown {
                let mut page = Page::new(self.layout.width);
                let sentence = format!("{} {}", row.mark.sign(), row.cells.join(" "));
                page.words(sentence.split(' '));
                for line in page.finish().lines() {
                    self.line(line, style(row.mark));
                }
            }
        } else {
            let mut page = Page::new(self.layout.width);
            let columns = vec![""; section.columns.len() + 1];
            let cells = shown.iter().map(|row| {
                let sign = row.mark.sign().to_owned();
                std::iter::once(sign).chain(row.cells.iter().map(|cell| plain(cell))).collect()
            });
            page.table(&columns, cells);
            for (line, row) in page.finish().lines().zip(shown) {
                self.line(line, style(row.mark));
                self.lines(&row.lines);
            }
        }
        let left_out = section.rows.len() - shown.len();
        if left_out > 0 {
            self.line(&format!("  … and {left_out} more: --full"), "2");
        }
        if let Some(rest) = &section.rest {
            self.words(rest);
        }
    }

    /// Lines of a unified diff.
    fn lines(&mut self, lines: &[String]) {
        // One line more takes as much room as to say that there is one.
        let all = self.layout.full || lines.len() == MOST_LINES + 1;
        let most = if all { usize::MAX } else { MOST_LINES };
        for line in lines.iter().take(most) {
            let style = match line.as_bytes().first() {
                Some(b'+') => "32",
                Some(b'-') => "31",
                Some(b'@') => "36",
                _ => "2",
            };
            let line = format!("      {}", plain(line));
            if self.layout.full {
                self.line(&line, style);
                continue;
            }
            let mut page = Page::new(self.layout.width);
            page.line(&line);
            self.line(page.finish().trim_end_matches('\n'), style);
        }
        if lines.len() > most {
            self.line(&format!("      … {} more lines: --full", lines.len() - most), "2");
        }
    }

    fn heading(&mut self, heading: &str, style: &str) {
        self.text.push('\n');
        let mut page = Page::new(self.layout.width);
        page.line(heading);
        self.line(page.finish().trim_end_matches('\n'), style);
    }

    fn words(&mut self, text: &str) {
        let mut page = Page::new(self.layout.width);
        page.words(text.split(' '));
        self.text.push_str(&page.finish());
    }

    fn line(&mut self, line: &str, style: &str) {
        match self.layout.color {
            true => self.text.push_str(&format!("\x1b[{style}m{line}\x1b[0m\n")),
            false => self.text.push_str(&format!("{line}\n")),
        }
    }
}

fn style(mark: Mark) -> &'static str {
    match mark {
        Mark::Added => "32",
        Mark::Removed => "31",
        Mark::Changed => "33",
        Mark::Grave => "1;31",
    }
}

/// What a terminal would obey is shown in its place.
pub(super) fn plain(text: &str) -> String {
    text.replace('\t', "    ").replace(char::is_control, "\u{fffd}")
}
