//! Tables, which may be scrolled where the screen is narrow, and what a plan tells in them.

use bedplate_core::page::Block;

use super::markup::Markup;

/// What is in a column of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text, with code between backticks.
    Text(String),
    /// A number, which is set flush right.
    Number(String),
    /// A number in the colour that it has in a drawing.
    Swatch(&'static str, String),
    /// Text of which only the beginning is shown until somebody asks for more.
    Folded(String, String),
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Writes a table. Its caption is for who does not see the heading above it; the first column names what a row is about.
pub fn table(
    markup: &mut Markup,
    caption: &str,
    titles: &[&str],
    rows: impl IntoIterator<Item = Vec<Content>>,
) {
    table_with(markup, &[], caption, titles, rows);
}

/// The same, with attributes of the table's own.
pub fn table_with(
    markup: &mut Markup,
    attributes: super::markup::Attributes<'_>,
    caption: &str,
    titles: &[&str],
    rows: impl IntoIterator<Item = Vec<Content>>,
) {
    let rows: Vec<Vec<Content>> = rows.into_iter().collect();
    let is_number = |column: usize| {
        rows.first().and_then(|row| row.get(column)).is_some_and(|cell| matches!(cell, Content::Number(_)))
    };
    markup.element("div", &[("class", "scroll")], |markup| {
        markup.element("table", attributes, |markup| {
            markup.leaf("caption", &[("class", "unseen")], caption);
            if titles.iter().any(|title| !title.is_empty()) {
                markup.element("thead", &[], |markup| {
                    markup.element("tr", &[], |markup| {
                        for (number, title) in titles.iter().enumerate() {
                            column(markup, title, is_number(number));
                        }
                    });
                });
            }
            markup.element("tbody", &[], |markup| {
                for row in &rows {
                    markup.element("tr", &[], |markup| {
                        for (number, content) in row.iter().enumerate() {
                            cell(markup, content, number == 0);
                        }
                    });
                }
            });
        });
    });
}

fn column(markup: &mut Markup, title: &str, is_number: bool) {
    match (title, is_number) {
        ("", _) => markup.leaf("td", &[], ""),
        (title, true) => markup.leaf("th", &[("scope", "col"), ("class", "number")], title),
        (title, false) => markup.leaf("th", &[("scope", "col")], title),
    }
}

fn cell(markup: &mut Markup, content: &Content, first: bool) {
    // What has no name is no heading.
    let names = first && !matches!(content, Content::Text(text) if text.is_empty());
    let tag = if names { "th" } else { "td" };
    let scope: &[(&str, &str)] = if names { &[("scope", "row")] } else { &[] };
    let number = [scope, &[("class", "number")]].concat();
    match content {
        Content::Text(text) => markup.element(tag, scope, |markup| markup.prose(text)),
        Content::Number(text) => markup.leaf(tag, &number, text),
        Content::Swatch(class, text) => markup.element(tag, scope, |markup| {
            let class = format!("swatch {class}");
            markup.leaf("span", &[("class", &class)], text);
        }),
        Content::Folded(short, long) => markup.element(tag, scope, |markup| {
            markup.element("details", &[], |markup| {
                markup.leaf("summary", &[], short);
                markup.text(long);
            });
        }),
    }
}

/// Writes what a page for a terminal has as parts of a section. `title` is what stands above them already, in place of
/// their own heading.
pub fn blocks(markup: &mut Markup, blocks: &[Block], title: Option<&str>) {
    let mut heading = title.unwrap_or_default().to_owned();
    for block in blocks {
        match block {
            Block::Heading(text) => {
                heading = capitalised(text);
                if title.is_none() {
                    markup.element("h3", &[], |markup| markup.prose(&heading));
                }
            }
            Block::Line(text) if text.is_empty() => {}
            Block::Line(text) => markup.element("p", &[], |markup| markup.prose(text)),
            Block::Words(words) => {
                markup.element("ul", &[("class", "words")], |markup| {
                    words.iter().for_each(|word| markup.leaf("li", &[], word));
                });
            }
            Block::Table { header, rows } => {
                let titles: Vec<&str> = header.iter().map(String::as_str).collect();
                let rows = rows.iter().map(|row| row.iter().map(|cell| cell.as_str().into()).collect());
                table(markup, &heading.replace('`', ""), &titles, rows);
            }
        }
    }
}

/// A heading begins with a capital.
pub fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
