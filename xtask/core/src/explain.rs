//! The pages of the rules: what `explain CODE` prints.

use crate::check;
use crate::rule::Rule;

/// The rule named `code`, if there is one.
#[must_use]
pub fn rule(code: &str) -> Option<&'static Rule> {
    check::RULES.iter().copied().find(|rule| rule.code == code)
}

/// The code nearest to a mistyped one.
#[must_use]
pub fn nearest(code: &str) -> Option<&'static str> {
    crate::spelling::nearest(code, check::RULES.iter().map(|rule| rule.code))
}

/// The page of `rule`, for a terminal of `width` columns.
#[must_use]
pub fn page(rule: &Rule, width: usize) -> String {
    let width = width.clamp(40, 100);
    let why: Vec<String> = rule
        .why
        .split("\n\n")
        .map(|text| crate::diagnostic::wrap(&text.replace('\n', " "), width, 0))
        .collect();
    format!(
        "{}: {}\n\n{}\n\nThis is refused:\n\n{}\n\nThis is right:\n\n{}\n",
        rule.code,
        rule.title,
        why.join("\n\n"),
        chained(rule.wrong.source),
        chained(rule.right.source),
    )
}

/// A chain of calls as rustfmt would have it: a call a line, and a call that
/// does not fit with an argument a line.
fn chained(source: &str) -> String {
    let flat = source.split_whitespace().collect::<Vec<_>>().join(" ");
    let flat = flat.replace(" .", ".").replace("( ", "(").replace(",)", ")").replace(", )", ")");
    let calls = pieces(&flat, '.');
    let mut lines = vec![format!("    {}", calls[0])];
    lines.extend(calls[1..].iter().map(|call| format!("        .{}", folded(call, 8))));
    lines.join("\n")
}

fn folded(call: &str, indent: usize) -> String {
    let chain = pieces(call, '.');
    if let [first, rest @ ..] = chain.as_slice()
        && !rest.is_empty()
        && indent + call.len() > 90
    {
        let rest = rest.iter().map(|call| format!("\n{:indent$}.{}", "", folded(call, indent)));
        return folded(first, indent) + &rest.collect::<String>();
    }
    let mut depth = 0usize;
    // The bracket that the last one closes; no example has one in a string.
    let open = call.rfind(|c| {
        depth = if c == ')' { depth + 1 } else { depth.saturating_sub(usize::from(c == '(')) };
        c == '(' && depth == 0
    });
    let Some(open) = open.filter(|_| indent + call.len() > 90 && call.ends_with(')')) else {
        return call.to_string();
    };
    let inner = indent + 4;
    let arguments = pieces(&call[open + 1..call.len() - 1], ',');
    let argument = |text: &&str| format!("{:inner$}{},\n", "", folded(text.trim(), inner));
    let arguments: String = arguments.iter().map(argument).collect();
    format!("{}\n{arguments}{:indent$})", &call[..=open], "")
}

/// `text` cut at each `separator` that is in no bracket and no string.
fn pieces(text: &str, separator: char) -> Vec<&str> {
    let (mut depth, mut quoted, mut start, mut before) = (0usize, false, 0, ' ');
    let mut pieces = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '"' if before != '\\' => quoted = !quoted,
            _ if quoted => {}
            _ if c == separator && depth == 0 => {
                pieces.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = c;
    }
    pieces.push(&text[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::device;
    use expect_test::expect;
    use std::collections::BTreeSet;

    #[test]
    fn the_device_of_the_examples_breaks_no_rule() {
        device().plan().unwrap();
    }

    #[test]
    fn every_rules_wrong_example_breaks_that_rule_alone() {
        for rule in check::RULES {
            let mistakes = rule.wrong.describe().plan().unwrap_err();
            let codes: BTreeSet<&str> = mistakes.iter().map(|mistake| mistake.code).collect();
            assert_eq!(codes, BTreeSet::from([rule.code]), "{}: {mistakes}", rule.wrong.source);
        }
    }

    #[test]
    fn every_rules_right_example_breaks_none() {
        for rule in check::RULES {
            let plan = rule.right.describe().plan();
            assert!(plan.is_ok(), "{}: {}", rule.code, plan.unwrap_err());
        }
    }

    #[test]
    fn every_rule_has_a_page_and_a_name_of_its_own() {
        let codes: BTreeSet<&str> = check::RULES.iter().map(|rule| rule.code).collect();
        assert_eq!(codes.len(), check::RULES.len());
        for rule in check::RULES {
            assert!(rule.code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", rule.code);
            assert!(!rule.title.ends_with('.'), "{}", rule.title);
            assert!(rule.why.ends_with('.'), "{}", rule.code);
            // A string cannot be broken, and a key is a long one.
            let fits = |line: &str| line.chars().count() <= 100 || line.trim_start().starts_with('"');
            assert!(page(rule, 80).lines().all(fits), "{}", page(rule, 80));
        }
    }

    #[test]
    fn a_page_says_the_reason_and_shows_both_spellings() {
        expect![[r#"
            bound-twice: a directory is bound once

            Both would become one mount unit, and one of them may be seeded and the other
            not. When two reusable pieces keep the same directory, keep it in the piece they
            share.

            This is refused:

                device
                    .bind("/greengrass")
                    .bind("/greengrass")

            This is right:

                device
                    .bind("/greengrass")
        "#]]
        .assert_eq(&page(rule("bound-twice").unwrap(), 80));
    }

    #[test]
    fn a_mistyped_code_finds_the_one_that_was_meant() {
        assert_eq!(nearest("bound-twise"), Some("bound-twice"));
        assert_eq!(nearest("borrow-checker"), None);
    }
}
