//! What differs, from a comparison.

use super::markup::Markup;
use super::table::{Content, capitalised, table};
use crate::diff::Comparison;
use crate::diff::told::{Mark, Row, Section, download, sections};

/// The most rows of a section: who wants to see more of them asks `diff`.
const MOST_ROWS: usize = 200;
/// The most lines that are told of a file.
const MOST_LINES: usize = 200;

/// Writes every section of a comparison, the gravest first, and its notes. `all` is the command that tells everything.
pub fn write(markup: &mut Markup, found: &Comparison, all: &str) {
    for section in sections(found, false) {
        of_section(markup, &section, all);
    }
    for note in download(found).iter().chain(&found.notes) {
        markup.element("p", &[("class", "note")], |markup| markup.prose(note));
    }
}

/// Whether anything is told to differ.
pub fn any(found: &Comparison) -> bool {
    !sections(found, false).is_empty()
}

fn of_section(markup: &mut Markup, section: &Section, all: &str) {
    let title = capitalised(&section.title);
    let heading = match section.summary.is_empty() {
        true => title.clone(),
        false => format!("{title}: {}", section.summary),
    };
    markup.element("h3", &[], |markup| markup.prose(&heading));
    let shown = section.rows.get(..MOST_ROWS.min(section.rows.len())).unwrap_or_default();
    if section.columns.is_empty() {
        markup.element("ul", &[("class", "grave")], |markup| {
            for row in shown {
                markup.element("li", &[], |markup| markup.prose(&row.cells.join(" ")));
            }
        });
    } else if !shown.is_empty() {
        let titles: Vec<&str> = section.columns.iter().copied().chain(["change"]).collect();
        let rows = shown.iter().map(|row| {
            let cells = row.cells.iter().map(|cell| Content::Text(cell.clone()));
            cells.chain([Content::Text(how(row.mark).to_owned())]).collect()
        });
        table(markup, &title.replace('`', ""), &titles, rows);
    }
    for row in shown.iter().filter(|row| !row.lines.is_empty()) {
        lines(markup, row);
    }
    let left_out = section.rows.len() - shown.len();
    if left_out > 0 {
        let text = format!("… and {left_out} more: `{all}`");
        markup.element("p", &[("class", "note")], |markup| markup.prose(&text));
    }
    if let Some(rest) = &section.rest {
        markup.element("p", &[("class", "note")], |markup| markup.prose(rest));
    }
}

/// Lines of a unified diff.
fn lines(markup: &mut Markup, row: &Row) {
    markup.element("details", &[], |markup| {
        markup.leaf("summary", &[], row.cells.first().map_or("", String::as_str));
        markup.element("pre", &[("tabindex", "0")], |markup| {
            for line in row.lines.iter().take(MOST_LINES) {
                let tag = match line.as_bytes().first() {
                    Some(b'+') => "ins",
                    Some(b'-') => "del",
                    _ => "span",
                };
                markup.leaf(tag, &[], line);
                markup.text("\n");
            }
            if row.lines.len() > MOST_LINES {
                markup.text(&format!("… {} more lines", row.lines.len() - MOST_LINES));
            }
        });
    });
}

fn how(mark: Mark) -> &'static str {
    match mark {
        Mark::Added => "new",
        Mark::Removed => "gone",
        Mark::Changed => "changed",
        Mark::Grave => "breaks devices",
    }
}
