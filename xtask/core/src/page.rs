//! Pages for people at a terminal.
//!
//! Wide tables are cut to the terminal, never wrapped: a row is a line.

/// Text that is no wider than its reader's terminal.
#[derive(Debug)]
pub struct Page {
    text: String,
    width: usize,
}

impl Page {
    /// An empty page so many columns wide, 40 at least.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { text: String::new(), width: width.max(40) }
    }

    /// The page's text.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    /// A line, cut where the page ends.
    pub fn line(&mut self, line: &str) {
        let line = line.trim_end();
        if line.chars().count() > self.width {
            self.text.extend(line.chars().take(self.width - 1));
            self.text.push('…');
        } else {
            self.text.push_str(line);
        }
        self.text.push('\n');
    }

    /// A line with an empty one before it.
    pub fn heading(&mut self, heading: &str) {
        self.text.push('\n');
        self.line(heading);
    }

    /// Columns as wide as what is in them, the widest cut until a row fits;
    /// no header when it is empty.
    pub fn table(&mut self, header: &[&str], rows: impl Iterator<Item = Vec<String>>) {
        let rows: Vec<Vec<String>> = rows.collect();
        if rows.is_empty() {
            return;
        }
        let titles: Vec<String> = header.iter().map(ToString::to_string).collect();
        let titles = header.iter().any(|title| !title.is_empty()).then_some(titles);
        let all: Vec<&Vec<String>> = titles.iter().chain(&rows).collect();
        let mut widths: Vec<usize> = (0..header.len())
            .map(|column| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        while widths.iter().map(|width| width + 2).sum::<usize>() > self.width {
            let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > 4) else { break };
            *widest -= 1;
        }
        for row in all {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| match cell.chars().count() > width {
                true => format!("{}…", cell.chars().take(width - 1).collect::<String>()),
                false => format!("{cell:width$}"),
            });
            let line = format!("  {}", cells.collect::<Vec<_>>().join("  "));
            self.line(&line);
        }
    }

    /// Words one after the other, as many a line as there is room for.
    pub fn words<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        let mut line = String::from(" ");
        for word in words {
            if line.chars().count() + 1 + word.chars().count() > self.width && line != " " {
                self.line(&line);
                line = String::from(" ");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }
}
