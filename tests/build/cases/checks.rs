//! The finished tree is held against the description.

use expect_test::expect;

use crate::product::{self, cases, errors};

/// What a build says that is to end with a refusal. All of them have the packages of one image.
#[track_caller]
fn refused(name: &str) -> String {
    errors(&product::refused(&mut cases(&["image", name], "checks.lock"))).to_owned()
}

/// Case 10: refused before the packages are installed, or by the tree where they were for another image.
#[test]
fn a_time_zone_that_has_moved_is_told_at_its_line() {
    expect![[r#"
        error[no-such-timezone]: there is no time zone `US/Eastern` in the image
          --> tests/images/cases/checks.rs:14:25
           |
        14 |     equipped().timezone("US/Eastern")
           |                         ^^^^^^^^^^^^
           |
           = help: use `.timezone("America/New_York")`, the same zone by its name of today, or add
                   `.package("tzdata-legacy")`

        1 mistake; `cargo xtask explain no-such-timezone` says more about it
    "#]]
    .assert_eq(&refused("checks-zone"));
}

/// Cases 20, O2 and O7, all in one build.
#[test]
fn every_mistake_of_a_tree_is_told_at_once_and_at_its_line() {
    expect![[r#"
        error[mount-of-no-device]: a device without `UUID=7b0c9bd4-05b1-4d1a-ad8d-2c8a3ff1f3f0` does not
               start
          --> tests/images/cases/checks.rs:20:10
           |
        20 |     .overlay("checks/unfit")
           |      ^^^^^^^^^^^^^^^^^^^^^^^
          ::: tests/images/cases/checks/unfit/etc/fstab:2:1
           |
         2 | UUID=7b0c9bd4-05b1-4d1a-ad8d-2c8a3ff1f3f0 /srv ext4 defaults 0 2
           | ---------------------------------------------------------------- here
           |
           = help: add `nofail` to its options

        error[link-to-no-unit]: `/etc/systemd/system/multi-user.target.wants/agnet.service` starts
               `agnet.service` with `multi-user.target`, but there is no such unit
          --> tests/images/cases/checks.rs:20:10
           |
        20 |     .overlay("checks/unfit")
           |      ^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: use `.enable("agent.service")` in place of the link

        error[no-such-target]: `agent.service` is to be started by `mulit-user.target`, which is not in the
               image
          --> tests/images/cases/checks.rs:21:15
           |
        21 |     .unit(unit!("checks/agent.service"))
           |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ line 9: `WantedBy=mulit-user.target`
           |
           = help: write `WantedBy=multi-user.target`

        error[no-such-program]: `agent.service` starts `/usr/bin/agnet`, which is not in the image
          --> tests/images/cases/checks.rs:21:15
           |
        21 |     .unit(unit!("checks/agent.service"))
           |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ line 6: `ExecStart=/usr/bin/agnet`
           |
           = help: add the package that brings it, or put it there with an overlay

        error[no-such-unit-user]: `agent.service` runs as the user `agnet`, which is not in the image
          --> tests/images/cases/checks.rs:21:15
           |
        21 |     .unit(unit!("checks/agent.service"))
           |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ line 5: `User=agnet`
           |
           = help: add `.user(User::system("agnet").uid(…))`, or write `DynamicUser=yes`

        error[bind-of-dynamic-user]: `/var/lib/dynamic` is a link that systemd makes for `dynamic.service`,
               and cannot be kept
          --> tests/images/cases/checks.rs:23:25
           |
        23 |     .bind(Bind::new("/var/lib/dynamic").required_by("dynamic.service"))
           |                     ^^^^^^^^^^^^^^^^^^
           |
           = help: keep what it leads to: `Bind::new("/var/lib/private/dynamic")`

        6 mistakes; `cargo xtask explain mount-of-no-device` says more about it
    "#]]
    .assert_eq(&refused("checks-unfit"));
}

/// Case O5: what would keep sshd, sudo, nft or a service from starting is found by the program itself.
#[test]
fn settings_are_tested_by_their_own_program() {
    expect![[r#"
        error[refused-by-program]: `sshd` of `/etc/ssh/sshd_config.d/10-ours.conf`: Bad configuration
               option: PermitRotLogin
          --> tests/images/cases/checks.rs:31:10
           |
        31 |     .overlay("checks/settings")
           |      ^^^^^^^^^^^^^^^^^^^^^^^^^^
          ::: tests/images/cases/checks/settings/etc/ssh/sshd_config.d/10-ours.conf:2:1
           |
         2 | PermitRotLogin no
           | ----------------- here
           |
           = help: mend the line, or remove it

        error[refused-by-program]: `sudo` of `/etc/sudoers.d/operators`: syntax error
          --> tests/images/cases/checks.rs:31:10
           |
        31 |     .overlay("checks/settings")
           |      ^^^^^^^^^^^^^^^^^^^^^^^^^^
          ::: tests/images/cases/checks/settings/etc/sudoers.d/operators:1:1
           |
         1 | %sudo ALL=(ALL NOPASSWD: ALL
           | ---------------------------- here
           |
           = help: mend the line, or remove it

        error[refused-by-program]: `nft` of `/etc/nftables.conf`: syntax error, unexpected string
          --> tests/images/cases/checks.rs:32:10
           |
        32 |     .file("/etc/nftables.conf", "flush ruleset\ntable inet filter {\n    chian input {}\n}\n")
           |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |      line 3: `chian input {}`
           |
           = help: mend the line, or remove it

        error[refused-by-program]: `systemd` of `/usr/lib/systemd/system/misspelt.service`: Unknown key
               'ExecStrat' in section [Service], ignoring
          --> tests/images/cases/checks.rs:33:15
           |
        33 |     .unit(unit!("checks/misspelt.service"))
           |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ line 2: `ExecStrat=true`
           |
           = help: mend the line, or remove it

        4 mistakes; `cargo xtask explain refused-by-program` says more about it
    "#]]
    .assert_eq(&refused("checks-settings"));
}
