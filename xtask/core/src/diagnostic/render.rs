//! Mistakes as text, the way rustc shows them.
//!
//! The source text is handed in by the caller: this crate reads no file.
//! Without it the place alone is shown.

use super::span::{self, Span};
use super::{Diagnostic, Diagnostics};
use crate::location::SourceLocation;

/// Turns mistakes into text for a terminal or a log.
#[derive(Debug, Clone, Copy)]
pub struct Renderer {
    color: bool,
    width: usize,
    anonymous: bool,
    warning: bool,
}

/// How a file's text is asked for; `None` when it cannot be read.
type Sources<'a> = &'a dyn Fn(&str) -> Option<String>;

const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const BLUE: &str = "1;34";
const BOLD: &str = "1";

impl Renderer {
    /// Without colour, 100 columns wide.
    #[must_use]
    pub fn plain() -> Self {
        Renderer { color: false, width: 100, anonymous: false, warning: false }
    }

    /// With ANSI colours, or without.
    #[must_use]
    pub fn color(mut self, color: bool) -> Self {
        self.color = color;
        self
    }

    /// For a terminal of so many columns; under 40 it is as for 40.
    #[must_use]
    pub fn width(mut self, columns: usize) -> Self {
        self.width = columns.max(40);
        self
    }

    /// For what the reader should know, though nothing fails for it.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.warning = true;
        self
    }

    /// With `LL` for line numbers, as rustc's own tests have it, so that a
    /// snapshot does not change when a line is added above.
    #[must_use]
    pub fn anonymous_lines(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// All mistakes, with a blank line between them and their number below.
    #[must_use]
    pub fn render_all(&self, diagnostics: &Diagnostics, sources: Sources<'_>) -> String {
        let mut text = String::new();
        for diagnostic in diagnostics {
            text.push_str(&self.render(diagnostic, sources));
            text.push('\n');
        }
        let count = match diagnostics.len() {
            1 => "1 mistake".to_string(),
            count => format!("{count} mistakes"),
        };
        let first = diagnostics.iter().next().map_or("CODE", |first| first.code);
        let closing = format!("{count}; `cargo xtask explain {first}` says more about it");
        text.push_str(&self.paint(BOLD, &closing));
        text.push('\n');
        text
    }

    /// One mistake, ending in a newline.
    #[must_use]
    pub fn render(&self, diagnostic: &Diagnostic, sources: Sources<'_>) -> String {
        let mut text = String::new();
        let (kind, style) = if self.warning { ("warning", YELLOW) } else { ("error", RED) };
        let error = match diagnostic.code {
            "" => kind.to_owned(),
            code => format!("{kind}[{code}]"),
        };
        let head = self.paint(style, &error);
        let indent = error.len() + 2;
        let message = wrap(&diagnostic.message, self.width.saturating_sub(indent), 7);
        text.push_str(&format!("{head}{}\n", self.paint(BOLD, &format!(": {message}"))));

        let label = diagnostic.label.as_deref().unwrap_or_default();
        let word = diagnostic.word.as_deref();
        let main = diagnostic.at.as_ref().map(|place| (place, word, label, '^'));
        let others = diagnostic.related.iter().map(|(place, what)| (place, word, what.as_str(), '-'));
        let shown: Vec<_> = main.into_iter().chain(others).collect();

        let files: Vec<Option<String>> = shown.iter().map(|(place, ..)| sources(&place.file)).collect();
        let spans: Vec<Option<Span<'_>>> = shown
            .iter()
            .zip(&files)
            .map(|((place, word, ..), file)| span::find(file.as_deref()?, place, *word))
            .collect();
        let gutter = spans.iter().flatten().map(|span| self.number(span.line).len()).max().unwrap_or(1);

        for ((place, _, label, mark), span) in shown.iter().zip(&spans) {
            self.excerpt(&mut text, place, span.as_ref(), gutter, label, *mark);
        }
        if let Some(help) = &diagnostic.help {
            if diagnostic.at.is_some() {
                text.push_str(&format!("{:gutter$} {}\n", "", self.paint(BLUE, "|")));
            }
            let help = wrap(help, self.width.saturating_sub(gutter + 9), gutter + 9);
            text.push_str(&format!(
                "{:gutter$} {} {}: {help}\n",
                "",
                self.paint(BLUE, "="),
                self.paint(BOLD, "help")
            ));
        }
        text
    }

    fn excerpt(
        &self,
        text: &mut String,
        place: &SourceLocation,
        span: Option<&Span<'_>>,
        gutter: usize,
        label: &str,
        mark: char,
    ) {
        let arrow = if mark == '^' { "-->" } else { ":::" };
        let (line, column) =
            span.map_or((place.line, place.column as usize), |span| (span.line, span.start + 1));
        let at = match self.anonymous {
            true => format!("{}:LL:CC", place.file),
            false => format!("{}:{line}:{column}", place.file),
        };
        text.push_str(&format!("{:gutter$}{} {at}\n", "", self.paint(BLUE, arrow)));
        let bar = self.paint(BLUE, "|");
        let Some(span) = span else {
            if !label.is_empty() {
                let label = wrap(label, self.width.saturating_sub(gutter + 3), gutter + 3);
                text.push_str(&format!("{:gutter$} {} {label}\n", "", self.paint(BLUE, "=")));
            }
            return;
        };
        // Indentation says nothing here, and a narrow terminal has no room for it.
        let lead = span.text.len() - span.text.trim_start().len();
        let lead = lead.min(span.start).saturating_sub(4);
        let room = self.width.saturating_sub(gutter + 3).max(20);
        let source: String = span.text.chars().skip(lead).map(|c| if c == '\t' { ' ' } else { c }).collect();
        let (source, start) = window(&source, span.start - lead, span.length, room);
        let length = span.length.min(room.saturating_sub(start)).max(1);

        let number = self.paint(BLUE, &format!("{:>gutter$}", self.number(span.line)));
        let marks = self.paint(if mark == '^' { RED } else { BLUE }, &mark.to_string().repeat(length));
        text.push_str(&format!("{:gutter$} {bar}\n", ""));
        text.push_str(&format!("{number} {bar} {}\n", source.trim_end()));
        let beside = room.saturating_sub(start + length + 1);
        let label_color = if mark == '^' { RED } else { BLUE };
        if label.chars().count() <= beside {
            let line = format!("{:start$}{marks} {}", "", self.paint(label_color, label));
            text.push_str(&format!("{:gutter$} {bar} {}\n", "", line.trim_end()));
        } else {
            text.push_str(&format!("{:gutter$} {bar} {:start$}{marks}\n", "", ""));
            // Below the marks, as far to the right as there is room for it.
            let label = wrap(label, room, 0);
            let longest = label.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            let indent = start.min(room.saturating_sub(longest));
            for line in label.lines() {
                text.push_str(&format!(
                    "{:gutter$} {bar} {:indent$}{}\n",
                    "",
                    "",
                    self.paint(label_color, line)
                ));
            }
        }
    }

    fn number(&self, line: u32) -> String {
        if self.anonymous { "LL".to_string() } else { line.to_string() }
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.color && !text.is_empty() { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// The part of a long line that holds the marked characters.
fn window(line: &str, start: usize, length: usize, room: usize) -> (String, usize) {
    let count = line.chars().count();
    if count <= room || start + length <= room {
        return (line.chars().take(room).collect(), start);
    }
    let skip = start.saturating_sub(room / 4).min(count.saturating_sub(room));
    let kept: String = line.chars().skip(skip).take(room).collect();
    (format!("…{}", kept.chars().skip(1).collect::<String>()), start - skip)
}

/// Breaks `text` at blanks into lines of `width`, the second and later ones indented.
pub(crate) fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let longer = line.chars().count() + 1 + word.chars().count();
            if !line.is_empty() && longer > width.max(20) {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join(&format!("\n{:indent$}", ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const SOURCE: &str = "    image\n        .bind(\"/greengrass\")\n        .bind(\"/greengrass\")\n";

    fn twice() -> Diagnostic {
        let place = |line| SourceLocation { file: "image/main.rs".into(), line, column: 10 };
        Diagnostic::new("bound-twice", "`/greengrass` is bound twice")
            .at(&place(3))
            .related(&place(2), "first bound here")
            .help("remove one of the two")
    }

    #[test]
    fn a_mistake_underlines_its_line_and_the_one_it_quarrels_with() {
        expect![[r#"
            error[bound-twice]: `/greengrass` is bound twice
             --> image/main.rs:3:10
              |
            3 |     .bind("/greengrass")
              |      ^^^^^^^^^^^^^^^^^^^
             ::: image/main.rs:2:10
              |
            2 |     .bind("/greengrass")
              |      ------------------- first bound here
              |
              = help: remove one of the two
        "#]]
        .assert_eq(&Renderer::plain().render(&twice(), &|_| Some(SOURCE.to_string())));
    }

    #[test]
    fn without_the_source_the_place_alone_is_shown() {
        expect![[r#"
            error[bound-twice]: `/greengrass` is bound twice
             --> image/main.rs:3:10
             ::: image/main.rs:2:10
              = first bound here
              |
              = help: remove one of the two
        "#]]
        .assert_eq(&Renderer::plain().render(&twice(), &|_| None));
    }

    #[test]
    fn no_line_is_wider_than_a_narrow_terminal() {
        let long = Diagnostic::new(
            "malformed-path",
            "a message that goes on and on for the width of three terminals",
        )
        .at(&SourceLocation { file: "m.rs".into(), line: 1, column: 60 })
        .label("a label that does not fit beside the marks either")
        .help("and a help that is as long as the message, or even a little longer than that");
        let source = format!("{}.bind(\"/a\")", "x".repeat(58));
        let text = Renderer::plain().width(48).render(&long, &|_| Some(source.clone()));
        for line in text.lines() {
            assert!(line.chars().count() <= 48, "{line}");
        }
        assert!(text.contains("^^^^^^^^^^"), "{text}");
    }

    #[test]
    fn colour_changes_no_letter() {
        let plain = Renderer::plain().render(&twice(), &|_| Some(SOURCE.to_string()));
        let mut colored = Renderer::plain().color(true).render(&twice(), &|_| Some(SOURCE.to_string()));
        assert_ne!(plain, colored);
        for style in [RED, BLUE, BOLD, "0"] {
            colored = colored.replace(&format!("\x1b[{style}m"), "");
        }
        assert_eq!(plain, colored);
    }
}
