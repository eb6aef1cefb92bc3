//! Files, lines and reasons in a line of a program's words.

/// Whether a line names a file, and not one whose name begins with the same letters.
pub(super) fn names(line: &str, file: &str) -> bool {
    occurrences(line, file).next().is_some()
}

/// The places behind each mention of a file.
fn occurrences<'a>(line: &'a str, file: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    line.match_indices(file).map(move |(at, _)| (&line[..at], &line[at + file.len()..])).filter(
        |(_, behind)| {
            let mut next = behind.chars();
            match next.next() {
                Some('.') => !next.next().is_some_and(char::is_alphanumeric),
                Some(c) => !(c.is_alphanumeric() || matches!(c, '-' | '_' | '~' | '/')),
                None => true,
            }
        },
    )
}

/// The line's number: directly behind the file or before it, or else behind the word `line`.
pub(super) fn number(line: &str, file: &str) -> Option<u32> {
    let behind = occurrences(line, file).find_map(|(_, behind)| Some(at(behind)?.0));
    let before = || occurrences(line, file).find_map(|(before, _)| of(before));
    behind.or_else(before).or_else(|| line.split("line ").skip(1).find_map(digits))
}

/// The number that a text begins with.
fn digits(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// The line's number behind a file, and what follows it: `:3:7: …`, `(3): …`, `, line 3: …`, ` line: 3 pos: 7 …`.
fn at(behind: &str) -> Option<(u32, &str)> {
    let text = behind.trim_start_matches(['"', '\'', ')', ']']);
    let direct = text.strip_prefix([':', '(']).filter(|text| digits(text).is_some());
    let number = direct.or_else(|| {
        // dash: `x: 3: Syntax error`.
        let spaced = text.strip_prefix(": ").filter(|text| {
            text.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(": ") && digits(text).is_some()
        });
        if spaced.is_some() {
            return spaced;
        }
        let text = text.trim_start_matches([':', ',', ' ', '(']);
        let text = text.strip_prefix("at ").unwrap_or(text);
        let text = text.strip_prefix("line").or_else(|| text.strip_prefix("Line"))?;
        Some(text.trim_start_matches([':', ' ']))
    })?;
    let rest = number.trim_start_matches(|c: char| c.is_ascii_digit());
    // Columns behind it.
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ':' | '.' | '-'));
    let rest = rest
        .strip_prefix(" pos: ")
        .map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    Some((digits(number)?, rest))
}

/// The line's number before a file: `line 3 of `, `at line 3 in file `.
fn of(before: &str) -> Option<u32> {
    let (_, behind) = before.rsplit_once("line ")?;
    let rest = behind.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() <= " in file \"".len()).then(|| digits(behind)).flatten()
}

/// The message without the place, which is shown beside it, and without the program's name.
pub(super) fn message(line: &str, file: &str, program: &str) -> String {
    let last = if file.is_empty() { None } else { occurrences(line, file).last() };
    let (before, behind) = last.unwrap_or((line, ""));
    let behind = at(behind).map_or(behind, |(_, rest)| rest);
    let behind = behind.trim_start_matches([':', ' ', ']', ')', ',', '.', '"', '\'', '-']);
    let before = match file.is_empty() {
        true => before.trim(),
        false => before.trim().trim_end_matches([':', '[', '(', '"', '\'', ' ']),
    };
    let text = if behind.is_empty() { before } else { behind };
    let text = [" of", " in file", " in"].iter().find_map(|end| text.strip_suffix(end)).unwrap_or(text);
    // `bad option at line 3 of x`
    let text = match text.rsplit_once(" line ") {
        Some((reason, number)) if number.bytes().all(|b| b.is_ascii_digit()) => {
            reason.strip_suffix(" at").or_else(|| reason.strip_suffix(" on")).unwrap_or(reason)
        }
        _ => text,
    };
    // `x[107:0] fatal error: `, but not `Syntax error: `.
    let is_kind = |kind: &str| {
        kind.is_empty() || [']', ':'].iter().any(|&end| kind.ends_with(end)) || kind.ends_with("fatal")
    };
    let text = text
        .rsplit_once("error: ")
        .filter(|(kind, _)| is_kind(kind.trim_end()))
        .map_or(text, |(_, text)| text);
    let starts = [&format!("{program}: "), "Error: ", "ERROR: ", "Fatal error : ", "FAILED: "];
    let text = starts.iter().fold(text, |text, start| text.strip_prefix(*start).unwrap_or(text));
    text.trim().trim_end_matches('.').to_owned()
}

/// The reason that stands in the next line, with its number if it has one: where nothing is left of the first without
/// its place, where it ends with a colon, and where the next one begins with a number.
pub(super) fn reason(line: &str, message: &str, next: &str) -> Option<(Option<u32>, String)> {
    let text = next.trim();
    let numbered = text.trim_start_matches('[').strip_prefix("line ").map(str::trim_start);
    if let Some(numbered) = numbered.filter(|text| digits(text).is_some()) {
        let text = numbered.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ']' | ':' | ' '));
        return Some((digits(numbered), text.to_owned()));
    }
    let open = message.is_empty() || line.trim_end().ends_with(':');
    (open && !text.is_empty()).then(|| (None, text.to_owned()))
}

/// A line without the time at its start.
pub(super) fn untimed(line: &str) -> &str {
    let count = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    let mut line = line.trim();
    if let Some((time, rest)) = line.strip_prefix('[').and_then(|line| line.split_once("] "))
        && count(time) >= 6
        && !time.contains('/')
    {
        line = rest;
    }
    let of_time = |word: &str| {
        let fits = |c: char| c.is_ascii_digit() || "-:.,/TZ|".contains(c);
        count(word) >= 4 && word.chars().all(fits) && !word.starts_with('/')
    };
    while let Some((word, rest)) = line.split_once(' ')
        && of_time(word.trim_end_matches(':'))
    {
        line = rest.trim_start();
    }
    line
}

/// What a line quotes, then its words that are no plain words.
pub(super) fn tokens(line: &str) -> impl Iterator<Item = &str> {
    let quoted = [['"', '"'], ['\'', '\''], ['`', '\''], ['(', ')'], ['[', ']']].into_iter().flat_map(
        move |[start, end]| {
            let mut rest = line;
            std::iter::from_fn(move || {
                let (_, inside) = rest.split_once(start)?;
                let (inside, behind) = inside.split_once(end)?;
                rest = behind;
                Some(inside)
            })
        },
    );
    let plain = |c: char| c.is_ascii_alphabetic() || c == '-';
    let words = line.split_whitespace().map(|word| word.trim_matches(|c: char| ":;,.()[]{}\"'`".contains(c)));
    let words = words.filter(move |word| !word.chars().all(plain));
    let words =
        words.flat_map(|word| std::iter::once(word).chain(word.split_once('=').map(|(name, _)| name)));
    quoted.chain(words).filter(|token| token.len() > 2)
}

/// The first line of a text, from 1, in which a word stands that is no comment.
pub(super) fn line_of(token: &str, text: &str) -> Option<u32> {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let stands = |line: &str| {
        line.match_indices(token).any(|(at, _)| {
            let before = line[..at].chars().next_back().is_some_and(part);
            let behind = line[at + token.len()..].chars().next().is_some_and(part);
            !before && !behind
        })
    };
    let mut lines = (1..).zip(text.lines());
    lines
        .find(|(_, line)| !line.trim_start().starts_with(['#', ';']) && stands(line))
        .map(|(number, _)| number)
}
