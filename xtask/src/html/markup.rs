//! HTML that is written so that nothing in it can be taken for anything else: names of tags and attributes are the
//! program's, every element is closed, and all other text is escaped.
//!
//! The same text is well-formed XML, which a strict parser can hold it against.

/// Attributes of an element: their names, and values that are escaped.
pub type Attributes<'a> = &'a [(&'static str, &'a str)];

/// Elements that have a line of their own in the source.
const LINES: [&str; 22] = [
    "body", "caption", "dd", "desc", "details", "div", "dt", "footer", "g", "h2", "h3", "header", "li",
    "main", "nav", "p", "section", "summary", "table", "tbody", "thead", "tr",
];

/// HTML, as far as it is written.
#[derive(Debug, Default)]
pub struct Markup {
    text: String,
}

impl Markup {
    /// The text of a document that has this for its content.
    pub fn document(self) -> String {
        format!("<!DOCTYPE html>\n{}", self.text)
    }

    /// Text, which is nothing but that.
    pub fn text(&mut self, text: &str) {
        escape(text, &mut self.text);
    }

    /// Text of which the parts between backticks are set as code.
    pub fn prose(&mut self, text: &str) {
        // An odd number of backticks sets nothing.
        if text.matches('`').count() % 2 == 1 {
            return self.text(text);
        }
        for (number, part) in text.split('`').enumerate() {
            match number % 2 {
                0 => self.text(part),
                _ => self.leaf("code", &[], part),
            }
        }
    }

    /// Whether nothing is written yet.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Adds what was written apart.
    pub fn append(&mut self, other: Self) {
        self.text.push_str(&other.text);
    }

    /// An element with what `inside` writes into it.
    pub fn element(&mut self, tag: &'static str, attributes: Attributes<'_>, inside: impl FnOnce(&mut Self)) {
        self.open(tag, attributes);
        self.text.push('>');
        inside(self);
        self.text.push_str("</");
        self.text.push_str(tag);
        self.text.push('>');
        if LINES.contains(&tag) {
            self.text.push('\n');
        }
    }

    /// An element that holds text alone.
    pub fn leaf(&mut self, tag: &'static str, attributes: Attributes<'_>, text: &str) {
        self.element(tag, attributes, |markup| markup.text(text));
    }

    /// An element that holds nothing.
    pub fn void(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.open(tag, attributes);
        self.text.push_str("/>\n");
    }

    /// A style sheet or a script of the program's own, which no escape is for.
    pub fn source(&mut self, tag: &'static str, source: &'static str) {
        self.open(tag, &[]);
        self.text.push('>');
        self.text.push_str(source);
        self.text.push_str("</");
        self.text.push_str(tag);
        self.text.push_str(">\n");
    }

    fn open(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.text.push('<');
        self.text.push_str(tag);
        for (name, value) in attributes {
            self.text.push(' ');
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(value, &mut self.text);
            self.text.push('"');
        }
    }
}

/// Appends text without what HTML or XML would take for its own. What no document may hold, and what turns the direction
/// of the text around it, is shown as `�`.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            '\u{fdd0}'..='\u{fdef}' => out.push('\u{fffd}'),
            c if c.is_control() || u32::from(c) & 0xfffe == 0xfffe => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Markup)) -> String {
        let mut markup = Markup::default();
        write(&mut markup);
        markup.text
    }

    #[test]
    fn text_is_nothing_but_text() {
        let hostile = "</td><script>alert(\"1\")</script>&amp;' onload='x";
        let text = written(|markup| markup.text(hostile));
        assert!(!text.contains(['<', '>', '"', '\'']), "{text}");
        assert!(text.contains("&amp;amp;"), "{text}");
        let attribute = written(|markup| markup.void("br", &[("title", hostile)]));
        assert_eq!(attribute.matches('"').count(), 2, "{attribute}");
        assert_eq!(attribute.matches('<').count(), 1, "{attribute}");
    }

    #[test]
    fn what_no_document_may_hold_is_shown_in_its_place() {
        let text = written(|markup| markup.text("a\0b\x1b[31mc\u{202e}d\u{ffff}e\u{85}f"));
        assert_eq!(text, "a\u{fffd}b\u{fffd}[31mc\u{fffd}d\u{fffd}e\u{fffd}f");
    }

    #[test]
    fn backticks_set_code() {
        assert_eq!(written(|markup| markup.prose("run `a < b` now")), "run <code>a &lt; b</code> now");
        assert_eq!(written(|markup| markup.prose("it`s <odd>")), "it`s &lt;odd&gt;");
    }
}
