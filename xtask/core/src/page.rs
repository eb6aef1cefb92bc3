//! Pages for people: parts that say what there is, drawn for a terminal.
//!
//! Wide tables are cut to the terminal, never wrapped: a row is a line.

/// A part of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A line by itself.
    Line(String),
    /// What the parts after it are about.
    Heading(String),
    /// Rows of columns. Where all titles are empty, the first column names what the others tell.
    Table {
        /// The titles of the columns.
        header: Vec<String>,
        /// What is told, each row as many columns.
        rows: Vec<Vec<String>>,
    },
    /// Words one after the other.
    Words(Vec<String>),
}

/// What is told, and how wide it is drawn.
#[derive(Debug)]
pub struct Page {
    blocks: Vec<Block>,
    width: usize,
}

impl Page {
    /// An empty page so many columns wide, 40 at least.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { blocks: Vec::new(), width: width.max(40) }
    }

    /// The page's text, no line wider than the page.
    #[must_use]
    pub fn finish(self) -> String {
        let mut drawn = Drawn { text: String::new(), width: self.width };
        for block in &self.blocks {
            drawn.block(block);
        }
        drawn.text
    }

    /// The page's parts, for whoever draws them in another form.
    #[must_use]
    pub fn into_blocks(self) -> Vec<Block> {
        self.blocks
    }

    /// A line, cut where the page ends.
    pub fn line(&mut self, line: &str) {
        self.blocks.push(Block::Line(line.to_string()));
    }

    /// A line with an empty one before it.
    pub fn heading(&mut self, heading: &str) {
        self.blocks.push(Block::Heading(heading.to_string()));
    }

    /// Columns as wide as what is in them, the widest cut until a row fits;
    /// no header when it is empty.
    pub fn table(&mut self, header: &[&str], rows: impl Iterator<Item = Vec<String>>) {
        let rows: Vec<Vec<String>> = rows.collect();
        if !rows.is_empty() {
            self.blocks.push(Block::Table { header: header.iter().map(ToString::to_string).collect(), rows });
        }
    }

    /// Words one after the other, as many a line as there is room for.
    pub fn words<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        self.blocks.push(Block::Words(words.map(str::to_string).collect()));
    }
}

/// Text that is no wider than its reader's terminal.
struct Drawn {
    text: String,
    width: usize,
}

impl Drawn {
    fn block(&mut self, block: &Block) {
        match block {
            Block::Line(line) => self.line(line),
            Block::Heading(heading) => {
                self.text.push('\n');
                self.line(heading);
            }
            Block::Table { header, rows } => self.table(header, rows),
            Block::Words(words) => self.words(words),
        }
    }

    fn line(&mut self, line: &str) {
        let line = line.trim_end();
        if line.chars().count() > self.width {
            self.text.extend(line.chars().take(self.width - 1));
            self.text.push('…');
        } else {
            self.text.push_str(line);
        }
        self.text.push('\n');
    }

    fn table(&mut self, header: &[String], rows: &[Vec<String>]) {
        let titles = header.iter().any(|title| !title.is_empty()).then_some(header);
        let all: Vec<&[String]> = titles.into_iter().chain(rows.iter().map(Vec::as_slice)).collect();
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

    fn words(&mut self, words: &[String]) {
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
