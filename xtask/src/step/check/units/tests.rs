use bedplate_core::{Bind, Unit};
use expect_test::expect;

use super::*;
use crate::step::check::tests::{refusal, refused};

const SOURCE: &str = include_str!("rules.rs");

#[test]
fn a_unit_that_is_not_there_is_told_its_neighbour() {
    expect![[r#"
        error[no-unit-to-enable]: unit `dokcer.service` is to be enabled, but is not in the image
          --> xtask/src/step/check/units/rules.rs:LL:CC
           |
        LL |     wrong: example!(|device| device.enable("dokcer.service")),
           |                                            ^^^^^^^^^^^^^^^^
           |
           = help: there is `docker.service`
    "#]]
    .assert_eq(&refusal(&NO_UNIT_TO_ENABLE, SOURCE));
}

#[test]
fn a_static_unit_that_is_enabled_is_told_that_it_need_not_be() {
    expect![[r#"
        error[nothing-to-enable]: unit `hello.service` is to be enabled, but has no [Install] section
          --> xtask/src/step/check/units/rules.rs:LL:CC
           |
        LL |     .enable("hello.service")),
           |             ^^^^^^^^^^^^^^^
           |
           = help: it is started by what needs it; nothing has to enable it
    "#]]
    .assert_eq(&refusal(&NOTHING_TO_ENABLE, SOURCE));
}

#[test]
fn all_units_that_cannot_be_enabled_are_told_at_once_with_all_else() {
    let found = refused(|image| {
        image.enable("a.service").enable("b.service").bind("/opt/agent").bind(Bind::file("/var/mail"))
    });
    assert_eq!(found.matches("error[no-unit-to-enable]").count(), 2, "{found}");
    assert!(found.contains("bind-through-link") && found.contains("bind-of-other-kind"), "{found}");
}

#[test]
fn a_target_that_is_not_there_is_told_its_neighbour() {
    expect![[r#"
        error[no-such-target]: `hello.service` is to be started by `mulit-user.target`, which is not in the
               image
          --> xtask/src/step/check/units/rules.rs:LL:CC
           |
        LL |     .unit(Unit::new(
           |           ^^^^^^^^^^ line 4: `WantedBy=mulit-user.target`
           |
           = help: write `WantedBy=multi-user.target`
    "#]]
    .assert_eq(&refusal(&NO_SUCH_TARGET, SOURCE));
}

#[test]
fn a_dangling_wants_link_is_told_the_unit_that_was_meant() {
    expect![[r#"
        error[link-to-no-unit]: `/etc/systemd/system/multi-user.target.wants/helo.service` starts
               `helo.service` with `multi-user.target`, but there is no such unit
          --> xtask/src/step/check/units/rules.rs:LL:CC
           |
        LL | …   .file("/etc/systemd/system/multi-user.target.wants/helo.service", "[Service]\nExecStart=tru
           |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |      line 1: `[Service]`
           |
           = help: remove the link, or add the unit with `.unit(unit!(…))` or its package
    "#]]
    .assert_eq(&refusal(&LINK_TO_NO_UNIT, SOURCE));
}

#[test]
fn a_needed_unit_that_is_not_there_is_told_its_neighbour() {
    expect![[r#"
        error[no-such-unit]: `hello.service` needs `dokcer.service`, which is not in the image
          --> xtask/src/step/check/units/rules.rs:LL:CC
           |
        LL |     wrong: example!(|device| device.enable("hello.service").unit(Unit::new(
           |                                                                  ^^^^^^^^^^
           |                                                               line 2: `Requires=dokcer.service`
           |
           = help: write `Requires=docker.service`
    "#]]
    .assert_eq(&refusal(&NO_SUCH_UNIT, SOURCE));
}

#[test]
fn a_program_that_is_not_there_is_told_its_neighbour() {
    expect![[r#"
        error[no-such-program]: `hello.service` starts `/usr/bin/ture`, which is not in the image
          --> xtask/src/step/check/units/rules.rs:LL:CC
           |
        LL |     wrong: example!(|device| device.enable("hello.service").unit(Unit::new(
           |                                                                  ^^^^^^^^^^
           |                                                               line 2: `ExecStart=/usr/bin/ture`
           |
           = help: there is `/usr/bin/true`
    "#]]
    .assert_eq(&refusal(&NO_SUCH_PROGRAM, SOURCE));
}

#[test]
fn an_unknown_user_is_told_the_word_that_makes_it() {
    expect![[r#"
        error[no-such-unit-user]: `hello.service` runs as the user `hello`, which is not in the image
          --> xtask/src/step/check/units/rules.rs:LL:CC
           |
        LL |     wrong: example!(|device| device.enable("hello.service").unit(Unit::new(
           |                                                                  ^^^^^^^^^^
           |                                                                  line 2: `User=hello`
           |
           = help: add `.user(User::system("hello").uid(…))`, or write `DynamicUser=yes`
    "#]]
    .assert_eq(&refusal(&NO_SUCH_UNIT_USER, SOURCE));
}

#[test]
fn a_missing_environment_file_is_told_the_dash() {
    expect![[r#"
        error[no-such-unit-path]: `hello.service` needs `/etc/hello`, which is not in the image
          --> xtask/src/step/check/units/rules.rs:LL:CC
           |
        LL |     wrong: example!(|device| device.enable("hello.service").unit(Unit::new(
           |                                                                  ^^^^^^^^^^
           |                                                            line 2: `EnvironmentFile=/etc/hello`
           |
           = help: put it there, or write `EnvironmentFile=-/etc/hello`
    "#]]
    .assert_eq(&refusal(&NO_SUCH_UNIT_PATH, SOURCE));
}

/// What is found of a service that is enabled and has these lines.
fn of_service(lines: &str) -> String {
    let text = format!("[Service]\n{lines}\n[Install]\nWantedBy=multi-user.target\n");
    refused(|image| image.unit(Unit::new("units/x.service", &text)).enable("x.service"))
}

#[test]
fn what_may_come_later_or_be_missing_is_right() {
    for lines in [
        "ExecStart=-/usr/bin/nothing",
        "ExecStart=/local/bin/agent",
        "ExecStart=/run/agent/start",
        "ExecStart=true\nUser=0",
        "ExecStart=!!true %i",
        "ExecStart=@/usr/bin/true called",
        "ExecStart=\"/usr/bin/true\" one",
        "ExecStart=/usr/bin/${WHICH}",
        "ExecStart=true\nDynamicUser=yes\nUser=x",
        "ExecStart=true\nRuntimeDirectory=x\nWorkingDirectory=/run/x",
        "ExecStart=true\nLogsDirectory=x\nReadWritePaths=/var/log/x/deep",
        "ExecStart=true\nReadWritePaths=-/nothing\nWorkingDirectory=~",
        "RootDirectory=/local/x\nExecStart=/usr/bin/agent",
        "ExecStart=/usr/bin/nothing\nExecStart=\nExecStart=true",
        "ExecStopPost=/usr/bin/nothing\nExecStart=true",
    ] {
        assert_eq!(of_service(lines), "", "{lines}");
    }
}

#[test]
fn what_fails_at_each_start_is_refused() {
    for (lines, help) in [
        ("ExecStart=/usr/sbin/true", "it is at `/usr/bin/true`"),
        ("ExecStart=ture", "there is `/usr/bin/true`"),
        ("ExecStart=/opt/agent/run", "add the package that brings it"),
        ("ExecStart=true\nExecStartPre=/usr/bin/ture", "there is `/usr/bin/true`"),
        ("ExecStart=true\nUser=roto", "write `User=root`"),
        ("ExecStart=true\nGroup=suod", "write `Group=sudo`"),
        ("ExecStart=true\nWorkingDirectory=/var/lib/x", "write `StateDirectory=x`"),
        ("ExecStart=true\nBindPaths=/srv/x:/y", "write `BindPaths=-/srv/x`"),
    ] {
        let found = of_service(lines);
        assert_eq!(found.matches("error[").count(), 1, "{lines}: {found}");
        assert!(found.replace("\n  ", " ").contains(help), "{lines}: {found}");
    }
}

#[test]
fn a_script_needs_its_interpreter_and_the_right_to_be_started() {
    let script = |text: &str| {
        let text = text.to_owned();
        refused(|image| {
            image
                .file("/usr/bin/agent", text)
                .unit(Unit::new(
                    "units/x.service",
                    "[Service]\nExecStart=/usr/bin/agent\n[Install]\nWantedBy=multi-user.target\n",
                ))
                .enable("x.service")
        })
    };
    assert!(script("#!/bin/sh\n").contains("which is not executable"));
}

#[test]
fn a_fault_of_a_package_is_nobodys_mistake_and_a_unit_nobody_starts_is_not_looked_at() {
    assert_eq!(refused(|image| image), "");
    assert_eq!(
        refused(|image| image.unit(Unit::new("x.service", "[Service]\nExecStart=/usr/bin/nothing\n"))),
        ""
    );
}

#[test]
fn a_timer_starts_its_service() {
    let found = refused(|image| {
        image
            .unit(Unit::new(
                "x.timer",
                "[Timer]\nOnBootSec=1\n[Install]\nWantedBy=timers.target multi-user.target\n",
            ))
            .unit(Unit::new("x.service", "[Service]\nExecStart=/usr/bin/nothing\n"))
            .enable("x.timer")
    });
    assert!(found.contains("no-such-program") && found.contains("no-such-target"), "{found}");
}

#[test]
fn a_drop_in_for_a_misspelt_unit_is_told_its_neighbour() {
    expect![[r#"
        error[drop-in-of-no-unit]: `/etc/systemd/system/dokcer.service.d/10-ours.conf` changes
               `dokcer.service`, which is not in the image
          --> xtask/src/step/check/units/rules.rs:LL:CC
           |
        LL |     .file("/etc/systemd/system/dokcer.service.d/10-ours.conf", "[Service]\nRestart=always\n")),
           |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |      line 1: `[Service]`
           |
           = help: call its directory `docker.service.d`
    "#]]
    .assert_eq(&refusal(&DROP_IN_OF_NO_UNIT, SOURCE));
}

#[test]
fn a_drop_in_counts_for_a_type_a_prefix_and_what_is_made_at_boot() {
    let drop_in = |name: &str| {
        let path = format!("/etc/systemd/system/{name}.d/10-ours.conf");
        refused(|image| image.file(path.as_str(), "[Unit]\n"))
    };
    for name in ["service", "sshd-.service", "dev-sda1.device", "docker.service"] {
        assert_eq!(drop_in(name), "", "{name}");
    }
    assert!(drop_in("of-another-package.service").contains("warning[drop-in-of-no-unit]"));
}

#[test]
fn an_environment_file_that_is_written_as_a_script_is_told_its_line() {
    expect![[r#"
        error[line-of-no-variable]: `hello.service` reads `/etc/hello`, but not its line 1
          --> xtask/src/step/check/units/rules.rs:LL:CC
           |
        LL | … example!(|device| device.enable("hello.service").file("/etc/hello", "export LEVEL=3\n").unit(
           |                                                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |                                                    line 1: `export LEVEL=3`
           |
           = help: write `LEVEL=3`: it is no script
    "#]]
    .assert_eq(&refusal(&LINE_OF_NO_VARIABLE, SOURCE));
    let unit = "[Service]\nEnvironmentFile=/etc/x\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n";
    let of_file = |text: &'static str| {
        refused(|image| image.file("/etc/x", text).unit(Unit::new("x.service", unit)).enable("x.service"))
    };
    let right = "# it's a comment\n; one more\n\nA=1\nB_2='x y'\nC=\"one\ntwo\"\nD = 4\nE=a \\\nb\nF=it's\n";
    assert_eq!(of_file(right), "");
    assert!(of_file("A=1\nA B\n").contains("line 2: `A B`"));
}

#[test]
fn words_of_a_shell_are_told() {
    expect![[r#"
        warning[no-shell]: `ExecStart=` of `hello.service` has the argument `>`: systemd starts no shell
          --> xtask/src/step/check/units/rules.rs:LL:CC
           |
        LL |     wrong: example!(|device| device.enable("hello.service").unit(Unit::new(
           |                                                                  ^^^^^^^^^^
           |                                                  line 2: `ExecStart=/usr/bin/true > /run/hello`
           |
           = help: write the line into a script, or start it with `/bin/sh -c '…'`
    "#]]
    .assert_eq(&refusal(&NO_SHELL, SOURCE));
    for lines in ["ExecStart=/bin/sh -c 'true | true'", "ExecStart=sh -c \"a && b\"", "ExecStart=true a|b >x"]
    {
        assert_eq!(of_service(lines), "", "{lines}");
    }
}

#[test]
fn a_timer_without_its_service_is_refused() {
    let found = refused(|image| {
        image
            .enable("x.timer")
            .unit(Unit::new("x.timer", "[Timer]\nOnBootSec=1\n[Install]\nWantedBy=multi-user.target\n"))
    });
    assert!(found.contains("`x.timer` starts `x.service`, which is not in the image"), "{found}");
}

#[test]
fn a_wish_for_a_unit_that_is_not_there_is_told() {
    expect![[r#"
        warning[wish-for-no-unit]: `Wants=dokcer.service` of `hello.service` does nothing: there is no such
               unit
          --> xtask/src/step/check/units/rules.rs:LL:CC
           |
        LL |     wrong: example!(|device| device.enable("hello.service").unit(Unit::new(
           |                                                                  ^^^^^^^^^^
           |                                                                  line 2: `Wants=dokcer.service`
           |
           = help: write `Wants=docker.service`
    "#]]
    .assert_eq(&refusal(&WISH_FOR_NO_UNIT, SOURCE));
}

#[test]
fn an_order_is_told_where_a_unit_is_misspelt() {
    let of_unit = |lines: &str| {
        let text =
            format!("[Unit]\n{lines}\n[Service]\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n");
        refused(|image| image.unit(Unit::new("units/x.service", &text)).enable("x.service"))
    };
    for lines in [
        "After=syslog.target network-online.target",
        "Before=shutdown.target",
        "After=local-fs.target docker.service",
        "Wants=dev-sda.device srv.mount",
        "After=%i.service",
    ] {
        assert_eq!(of_unit(lines), "", "{lines}");
    }
    for (lines, help) in [
        ("After=dokcer.service", "write `After=docker.service`"),
        ("OnFailure=repair.service", "add the package"),
        ("Upholds=dockre.service", "write `Upholds=docker.service`"),
    ] {
        let found = of_unit(lines);
        assert!(found.contains("warning[wish-for-no-unit]") && found.contains(help), "{lines}: {found}");
    }
}
