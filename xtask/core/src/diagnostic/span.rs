//! From a place to the words that stand there.
//!
//! `#[track_caller]` gives the start of a call and nothing more. With the
//! source at hand the end is where its brackets close, and the wrong word of
//! a list of forty packages is the string literal that spells it.

use crate::location::SourceLocation;

/// Characters of one line of source.
pub(super) struct Span<'a> {
    /// The line, from 1.
    pub(super) line: u32,
    /// The text of the line, tabs as blanks.
    pub(super) text: &'a str,
    /// The first character meant, from 0.
    pub(super) start: usize,
    /// How many are meant, at least 1.
    pub(super) length: usize,
}

/// The words `place` means in `source`, or `None` when the source has changed
/// since and no longer has that line.
pub(super) fn find<'a>(source: &'a str, place: &SourceLocation, word: Option<&str>) -> Option<Span<'a>> {
    let line_index = usize::try_from(place.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(place.column).ok()?.checked_sub(1)?;
    let line_start = source.split_inclusive('\n').take(line_index).map(str::len).sum::<usize>();
    let line = source.get(line_start..)?.lines().next()?;
    let offset = line.char_indices().nth(column).map(|(offset, _)| offset)?;
    let call = call(&source[line_start + offset..]);

    let literal = word.and_then(|word| call.find(&format!("\"{word}\"")).map(|at| (at, word.len() + 2)));
    let (start, length) = literal.unwrap_or((0, call.len()));
    Some(on_line(source, line_start + offset + start, length))
}

/// The span of `length` bytes at `start`, cut off at the end of its line.
fn on_line(source: &str, start: usize, length: usize) -> Span<'_> {
    let line_start = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let text = source[line_start..].lines().next().unwrap_or_default();
    let meant = source[start..start + length].lines().next().unwrap_or_default();
    let line = source[..start].matches('\n').count() + 1;
    Span {
        line: u32::try_from(line).unwrap_or(u32::MAX),
        text,
        start: source[line_start..start].chars().count(),
        length: meant.trim_end().chars().count().max(1),
    }
}

/// The text of the call that `text` starts with: up to the bracket that closes it.
fn call(text: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth <= 1 => {
                return if depth == 1 { &text[..=index] } else { &text[..index] };
            }
            ')' | ']' | '}' => depth -= 1,
            ';' | ',' if depth == 0 => return &text[..index],
            _ => {}
        }
    }
    text.lines().next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "fn edge() -> Image {\n    image\n        .packages([\n            \"jq\", \"les\",\n        ])\n        .bind(\"/a(b\")\n}\n";

    fn meant(line: u32, column: u32, word: Option<&str>) -> (u32, String) {
        let place = SourceLocation { file: "main.rs".into(), line, column };
        let span = find(SOURCE, &place, word).unwrap();
        (span.line, span.text.chars().skip(span.start).take(span.length).collect())
    }

    #[test]
    fn a_call_reaches_to_the_bracket_that_closes_it() {
        assert_eq!(meant(6, 10, None), (6, "bind(\"/a(b\")".to_string()));
    }

    #[test]
    fn the_wrong_word_of_a_list_is_found_on_its_own_line() {
        assert_eq!(meant(3, 10, Some("les")), (4, "\"les\"".to_string()));
    }

    #[test]
    fn a_call_over_several_lines_is_shown_by_its_first() {
        assert_eq!(meant(3, 10, None), (3, "packages([".to_string()));
    }

    #[test]
    fn a_line_that_is_no_longer_there_is_no_span() {
        let place = SourceLocation { file: "main.rs".into(), line: 90, column: 3 };
        assert!(find(SOURCE, &place, None).is_none());
    }
}
