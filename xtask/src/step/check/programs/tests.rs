use expect_test::expect;

use super::*;
use crate::step::check::tests::refusal;

const SOURCE: &str = include_str!("../programs.rs");

#[test]
fn a_word_that_sshd_does_not_know_is_refused() {
    expect![[r#"
        error[refused-by-program]: `sshd` of `/etc/ssh/sshd_config.d/10-ours.conf`: Bad configuration option
          --> xtask/src/step/check/programs.rs:LL:CC
           |
        LL | … example!(|device| device.file("/etc/ssh/sshd_config.d/10-ours.conf", "PermitRotLogin no\n")),
           |                            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |                            line 1: `PermitRotLogin no`
           |
           = help: mend the line, or remove it
    "#]]
    .assert_eq(&refusal(&REFUSED_BY_PROGRAM, SOURCE));
}

#[test]
fn what_a_program_warns_of_is_told() {
    expect![[r#"
        warning[line-not-read]: `systemd` of `/usr/lib/systemd/system/hello.service`: This is unsafe
          --> xtask/src/step/check/programs.rs:LL:CC
           |
        LL |     wrong: example!(|device| device.enable("hello.service").unit(Unit::new(
           |                                                                  ^^^^^^^^^^
           |                                                                  line 2: `KillMode=none`
           |
           = help: mend the line, or remove it
    "#]]
    .assert_eq(&refusal(&LINE_NOT_READ, SOURCE));
}
