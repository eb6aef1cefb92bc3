//! Rules of the kernel's command line.

use super::repeated;
use crate::diagnostic::Diagnostic;
use crate::explain::{Rule, example};
use crate::image::Image;
use crate::image::volatile::Volatile;
use crate::plan::hardening::dotted;

pub(crate) static ARGUMENT_OF_THE_PLAN: Rule = Rule {
    code: "argument-of-the-plan",
    title: "what follows from the description is not said by hand",
    why: "Where the root is, its hash, and what becomes of writes to it are decided by the partitions and by \
          `.volatile(…)`. The same by hand on the command line would win over them at boot, and the plan would say \
          one thing and the device do another.",
    wrong: example!(|device| device.command_line("root=/dev/sda2")),
    right: example!(|device| device.volatile(Volatile::Overlay)),
};

pub(crate) static ARGUMENT_TWICE: Rule = Rule {
    code: "argument-twice",
    title: "an argument is given to the kernel once",
    why: "An argument said twice was most likely added by two pieces of a description, one of which can go. Several \
          `console=` with different values are different arguments.",
    wrong: example!(|device| device.command_line("quiet").command_line("quiet")),
    right: example!(|device| device.command_line("console=tty0").command_line("console=ttyS0,115200")),
};

pub(crate) static SYSCTL_TWICE: Rule = Rule {
    code: "sysctl-twice",
    title: "a sysctl is given once",
    why: "Of two values for one setting the last would win, and the other be a line that is not true. A default of the \
          plan's is no second value: it yields.",
    wrong: example!(|device| device.sysctl("kernel.sysrq", "0").sysctl("kernel.sysrq", "176")),
    right: example!(|device| device.sysctl("kernel.sysrq", "176")),
};

/// Arguments that follow from the description, and what to write instead.
const OF_THE_PLAN: [(&str, &str); 12] = [
    ("initrd", "the initrd is a part of the unified kernel image"),
    ("resume", "an image does not hibernate"),
    ("ro", "it follows from the root's file system and `.volatile(…)`"),
    ("root", "it follows from `.partition(Root::new(…))`"),
    ("rootflags", "it follows from `.partition(Root::new(…))`"),
    ("rootfstype", "it follows from `.partition(Root::new(…))`"),
    ("roothash", "it follows from `Root::verity`"),
    ("rw", "it follows from the root's file system and `.volatile(…)`"),
    ("systemd.verity", "it follows from `Root::verity`"),
    ("systemd.verity_root_data", "it follows from `Root::verity`"),
    ("systemd.volatile", "write `.volatile(Volatile::Overlay)`"),
    ("usrhash", "there is no partition for /usr alone"),
];

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    for argument in &image.arguments {
        let text = argument.value.as_str();
        let name = text.split_once('=').map_or(text, |(name, _)| name);
        if let Some((_, instead)) = OF_THE_PLAN.iter().find(|(own, _)| *own == name) {
            let message = format!("`{text}` is decided by the description, and not said by hand");
            let mistake = Diagnostic::new(ARGUMENT_OF_THE_PLAN.code, message).at(&argument.at).word(text);
            found.push(mistake.help(*instead));
        }
    }
    for (first, second) in repeated(&image.sysctls, |(key, _)| Some(dotted(key.value.as_str()))) {
        let message = format!("the sysctl `{}` is given twice", second.0.value);
        let mistake = Diagnostic::new(SYSCTL_TWICE.code, message).at(&second.0.at);
        found.push(mistake.related(&first.0.at, "first given here").help("remove one of the two"));
    }
    for (first, second) in repeated(&image.arguments, |argument| Some(&argument.value)) {
        let mistake =
            Diagnostic::new(ARGUMENT_TWICE.code, format!("`{}` is given to the kernel twice", second.value));
        found.push(
            mistake.at(&second.at).related(&first.at, "first given here").help("remove one of the two"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use crate::explain::device;
    use expect_test::expect;

    const SOURCE: &str = include_str!("kernel.rs");

    #[test]
    fn the_root_is_not_named_by_hand() {
        expect![[r#"
            error[argument-of-the-plan]: `root=/dev/sda2` is decided by the description, and not said by hand
              --> xtask/core/src/check/kernel.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.command_line("root=/dev/sda2")),
               |                                                  ^^^^^^^^^^^^^^^^
               |
               = help: it follows from `.partition(Root::new(…))`
        "#]]
        .assert_eq(&refusal(&ARGUMENT_OF_THE_PLAN, SOURCE));
        for argument in ["roothash=00", "systemd.volatile=overlay", "ro", "rootfstype=ext4"] {
            let mistakes = device().command_line(argument).plan().unwrap_err();
            assert_eq!(mistakes.iter().next().unwrap().code, ARGUMENT_OF_THE_PLAN.code, "{argument}");
        }
        assert!(device().command_line("rootwait").plan().is_ok());
    }

    #[test]
    fn an_argument_said_twice_shows_the_first() {
        expect![[r#"
            error[argument-twice]: `quiet` is given to the kernel twice
              --> xtask/core/src/check/kernel.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.command_line("quiet").command_line("quiet")),
               |                                                           ^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/kernel.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.command_line("quiet").command_line("quiet")),
               |                                     --------------------- first given here
               |
               = help: remove one of the two
        "#]]
        .assert_eq(&refusal(&ARGUMENT_TWICE, SOURCE));
    }

    #[test]
    fn a_sysctl_said_twice_shows_the_first() {
        expect![[r#"
            error[sysctl-twice]: the sysctl `kernel.sysrq` is given twice
              --> xtask/core/src/check/kernel.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.sysctl("kernel.sysrq", "0").sysctl("kernel.sysrq", "176")),
               |                                                                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              ::: xtask/core/src/check/kernel.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.sysctl("kernel.sysrq", "0").sysctl("kernel.sysrq", "176")),
               |                                     --------------------------- first given here
               |
               = help: remove one of the two
        "#]].assert_eq(&refusal(&SYSCTL_TWICE, SOURCE));
    }
}
