//! A comparison as Markdown, for a comment on a pull request.

use super::Comparison;
use super::page::plain;
use super::told::{Mark, Section, download, sections};

/// The most text of files, in bytes: GitHub takes 65536 characters of a comment.
const MOST: usize = 40_000;
/// The most rows of a section.
const MOST_ROWS: usize = 200;
/// From how many rows on a section is folded.
const FOLDED: usize = 12;

impl Comparison {
    /// The comparison as Markdown of GitHub's kind, no longer than a comment may be. With `full`, everything is told.
    pub fn markdown(&self, full: bool) -> String {
        let mut text = format!("### {} → {}\n", code(&self.before.name), code(&self.after.name));
        if self.same {
            text.push_str("\nNothing differs.\n");
        }
        for section in sections(self, full) {
            let room = if full { usize::MAX } else { MOST.saturating_sub(text.len()) };
            text.push_str(&of_section(&section, room));
        }
        for sentence in download(self).iter().chain(&self.notes) {
            text.push_str(&format!("\n{}\n", escaped(sentence)));
        }
        text
    }
}

fn of_section(section: &Section, room: usize) -> String {
    let grave = section.rows.iter().any(|row| row.mark == Mark::Grave);
    let title = upper(&section.title);
    let summary = match section.summary.is_empty() {
        true => title.clone(),
        false => format!("{title}: {}", section.summary),
    };
    if section.columns.is_empty() {
        let rows = section.rows.iter().map(|row| format!("> * {}\n", escaped(&row.cells.join(" "))));
        return format!("\n> [!CAUTION]\n> **{summary}**\n>\n{}", rows.collect::<String>());
    }
    let mut body = String::new();
    if !section.rows.is_empty() {
        body.push_str(&format!(
            "\n| | {} |\n|---|{}\n",
            section.columns.join(" | "),
            "---|".repeat(section.columns.len())
        ));
    }
    let most = if room == usize::MAX { usize::MAX } else { MOST_ROWS };
    for row in section.rows.iter().take(most) {
        let mark = row.mark.sign();
        let cells: Vec<String> = row
            .cells
            .iter()
            .enumerate()
            // The first column is a name.
            .map(|(column, cell)| if column == 0 { code(cell) } else { escaped(cell) })
            .collect();
        body.push_str(&format!("| `{mark}` | {} |\n", cells.join(" | ")));
    }
    if section.rows.len() > most {
        body.push_str(&format!("\n… and {} more.\n", section.rows.len() - most));
    }
    let mut left_out = 0;
    for row in section.rows.iter().filter(|row| !row.lines.is_empty()) {
        let lines: String = row.lines.iter().map(|line| format!("{}\n", plain(line))).collect();
        if body.len() + lines.len() > room {
            left_out += 1;
            continue;
        }
        // A fence is longer than any within it.
        let longest = lines.split(|c| c != '`').map(str::len).max().unwrap_or_default();
        let fence = "`".repeat(longest.max(2) + 1);
        let name = row.cells.first().map(|name| code(name)).unwrap_or_default();
        body.push_str(&format!("\n{name}\n\n{fence}diff\n{lines}{fence}\n"));
    }
    if left_out > 0 {
        body.push_str(&format!("\nThe text of {left_out} more files is left out.\n"));
    }
    if let Some(rest) = &section.rest {
        body.push_str(&format!("\n{}\n", escaped(rest)));
    }
    let long = section.rows.len() > FOLDED || section.rows.iter().any(|row| !row.lines.is_empty());
    match grave {
        true => format!("\n> [!CAUTION]\n> **{summary}**\n{body}"),
        false if long => format!("\n<details><summary><b>{summary}</b></summary>\n{body}\n</details>\n"),
        false => format!("\n**{summary}**\n{body}"),
    }
}

fn upper(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// A name in the font of code. A bar would end its column.
fn code(text: &str) -> String {
    let text = plain(text).replace('|', "\\|");
    match text.contains('`') {
        true => format!("`` {text} ``"),
        false => format!("`{text}`"),
    }
}

/// Text without what Markdown or HTML would take for its own.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '|' | '*' | '_' | '[' | '#' | '\\' | '~' | '@' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}
