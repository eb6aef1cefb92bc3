use expect_test::expect;

use super::*;
use crate::step::check::tests::refusal;

const SOURCE: &str = include_str!("../programs.rs");

#[test]
fn a_word_that_sshd_does_not_know_is_refused() {
    expect![[r#""#]].assert_eq(&refusal(&REFUSED_BY_PROGRAM, SOURCE));
}

#[test]
fn what_a_program_warns_of_is_told() {
    expect![[r#""#]].assert_eq(&refusal(&LINE_NOT_READ, SOURCE));
}
