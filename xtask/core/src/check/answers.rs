//! Rules of the answers to packages' questions.

use super::repeated;
use crate::diagnostic::Diagnostic;
use crate::image::Image;
use crate::rule::{Rule, example};

pub(crate) static ANSWERED_TWICE: Rule = Rule {
    code: "answered-twice",
    title: "a question is answered once",
    why: "Of two answers the last would win, and the other be a line that is not true.",
    wrong: example!(|device| device
        .debconf("wireshark-common/install-setuid", true)
        .debconf("wireshark-common/install-setuid", false)),
    right: example!(|device| device.debconf("wireshark-common/install-setuid", true)),
};

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    for (first, second) in repeated(&image.answers, |(question, _)| Some(question.value.as_str())) {
        let message = format!("`{}` is answered twice", second.0.value);
        let mistake = Diagnostic::new(ANSWERED_TWICE.code, message).at(&second.0.at);
        let mistake = mistake.related(&first.0.at, "first answered here").word(second.0.value.as_str());
        found.push(mistake.help("remove one of the two"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use expect_test::expect;

    const SOURCE: &str = include_str!("answers.rs");

    #[test]
    fn a_question_answered_twice_shows_the_first() {
        expect![[r#"
            error[answered-twice]: `wireshark-common/install-setuid` is answered twice
              --> xtask/core/src/check/answers.rs:LL:CC
               |
            LL |     .debconf("wireshark-common/install-setuid", false)),
               |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/answers.rs:LL:CC
               |
            LL |     .debconf("wireshark-common/install-setuid", true)
               |              --------------------------------- first answered here
               |
               = help: remove one of the two
        "#]]
        .assert_eq(&refusal(&ANSWERED_TWICE, SOURCE));
    }
}
