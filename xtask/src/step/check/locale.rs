//! The locale is one that can be made.

use bedplate_core::plan::Plan;
use bedplate_core::spelling::nearest;
use bedplate_core::{Diagnostic, Rule, SourceLocation, example};
use bedplate_formats::tree::TreePath;

use super::{Findings, Subject};

pub(super) static NO_SUCH_LOCALE: Rule = Rule {
    code: "no-such-locale",
    title: "the locale is one that the release has",
    why: "A locale is made by locale-gen from the definitions of the package locales. One that is not among them \
          cannot be made, and programs would fall back to C.",
    wrong: example!(|device| device.locale("de_ED.UTF-8")),
    right: example!(|device| device.locale("de_DE.UTF-8")),
};

/// The locales that the package `locales` knows.
pub(super) const SUPPORTED: &str = "usr/share/i18n/SUPPORTED";

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    let Some(at) = asked(subject.plan) else { return };
    let supported = subject.text(&TreePath::new(SUPPORTED));
    found.mistakes.extend(unknown(&subject.plan.locale, at, &supported));
}

/// The line that asks for a locale which has to be made.
pub(super) fn asked(plan: &Plan) -> Option<&SourceLocation> {
    let at = plan.file("/etc/locale.conf").and_then(|file| file.at.as_ref());
    at.filter(|_| !plan.locale.starts_with("C.") && !["C", "POSIX"].contains(&plan.locale.as_str()))
}

/// What is said of a locale that is not `supported`; nothing where that is not known.
pub(super) fn unknown(locale: &str, at: &SourceLocation, supported: &str) -> Option<Diagnostic> {
    let names = || supported.lines().filter_map(|line| line.split_whitespace().next());
    if names().next().is_none() || names().any(|name| name == locale) {
        return None;
    }
    let help = match nearest(locale, names()) {
        Some(near) => format!("use `.locale(\"{near}\")`"),
        None => format!("choose one of those in `/{SUPPORTED}`"),
    };
    let message = format!("there is no locale `{locale}` in the release");
    Some(Diagnostic::new(NO_SUCH_LOCALE.code, message).at(at).word(locale).help(help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::check::tests::refusal;
    use expect_test::expect;

    #[test]
    fn a_locale_that_cannot_be_made_is_told_its_neighbour() {
        expect![[r#"
            error[no-such-locale]: there is no locale `de_ED.UTF-8` in the release
              --> xtask/src/step/check/locale.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.locale("de_ED.UTF-8")),
               |                                            ^^^^^^^^^^^^^
               |
               = help: use `.locale("de_DE.UTF-8")`
        "#]]
        .assert_eq(&refusal(&NO_SUCH_LOCALE, include_str!("locale.rs")));
    }
}
