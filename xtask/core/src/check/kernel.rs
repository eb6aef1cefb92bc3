//! Rules of the kernel's command line.

use super::repeated;
use crate::diagnostic::Diagnostic;
use crate::image::volatile::Volatile;
use crate::image::{Image, KernelArgument};
use crate::plan::arguments::{self, Parsed};
use crate::plan::hardening::dotted;
use crate::rule::{Rule, example};

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
    why: "An argument given twice was most likely added by two pieces of a description, one of which can go. Where the \
          kernel takes the last of two values, the other would be lost. Arguments that repeat by design are accepted in \
          their order: several `console=` or `pci=`, and `hugepages=` once for each `hugepagesz=`.",
    wrong: example!(|device| device.command_line("quiet").command_line("quiet")),
    right: example!(|device| device.command_line("console=tty0").command_line("console=ttyS0,115200")),
};

pub(crate) static DANGEROUS_ARGUMENT: Rule = Rule {
    code: "dangerous-argument",
    title: "an argument that weakens a device is given by the word that says so",
    why: "Some arguments of the kernel take away what the rest of the description promises: a verified root, signed \
          modules, a console that lets nobody in, units that start. They are added with \
          `.dangerous_command_line(…)`, and the plan lists them in its first lines.",
    wrong: example!(|device| device.command_line("init=/bin/sh")),
    right: example!(|device| device.dangerous_command_line("init=/bin/sh")),
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
const OF_THE_PLAN: [(&str, &str); 19] = [
    ("initrd", "the initrd is a part of the unified kernel image"),
    ("mount.usr", "there is no partition for /usr alone"),
    ("mount.usrflags", "there is no partition for /usr alone"),
    ("mount.usrfstype", "there is no partition for /usr alone"),
    ("resume", "an image does not hibernate"),
    ("ro", "it follows from the root's file system and `.volatile(…)`"),
    ("root", "it follows from `.partition(Root::new(…))`"),
    ("rootflags", "it follows from `.partition(Root::new(…))`"),
    ("rootfstype", "it follows from `.partition(Root::new(…))`"),
    ("roothash", "it follows from `Root::verity`"),
    ("rw", "it follows from the root's file system and `.volatile(…)`"),
    ("systemd.hostname", "write `.hostname(…)`"),
    (
        "systemd.machine_id",
        "each device makes its own id at its first boot, and keeps it on its data partition",
    ),
    ("systemd.verity", "it follows from `Root::verity`"),
    ("systemd.verity_root_data", "it follows from `Root::verity`"),
    ("systemd.verity_root_hash", "it follows from `Root::verity`"),
    ("rd.systemd.verity", "it follows from `Root::verity`"),
    ("systemd.volatile", "write `.volatile(Volatile::Overlay)`"),
    ("usrhash", "there is no partition for /usr alone"),
];

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    for argument in &image.arguments {
        found.extend(weakens(argument).or_else(|| of_the_plan(argument)));
    }
    for (first, second) in repeated(&image.sysctls, |(key, _)| Some(dotted(key.value.as_str()))) {
        let message = format!("the sysctl `{}` is given twice", second.0.value);
        let mistake = Diagnostic::new(SYSCTL_TWICE.code, message).at(&second.0.at);
        found.push(mistake.related(&first.0.at, "first given here").help("remove one of the two"));
    }
    found.extend(twice(&image.arguments));
}

fn of_the_plan(argument: &KernelArgument) -> Option<Diagnostic> {
    let text = argument.text();
    let parsed = Parsed::of(text);
    if argument.dangerous && arguments::danger(&parsed).is_some() {
        return None;
    }
    let (_, instead) = OF_THE_PLAN.iter().find(|(own, _)| *own == parsed.name)?;
    let message = format!("`{text}` is decided by the description, and not said by hand");
    let mistake = Diagnostic::new(ARGUMENT_OF_THE_PLAN.code, message).at(&argument.argument.at).word(text);
    Some(mistake.help(*instead))
}

fn weakens(argument: &KernelArgument) -> Option<Diagnostic> {
    let text = argument.text();
    let why = arguments::danger(&Parsed::of(text)).filter(|_| !argument.dangerous)?;
    let mistake = Diagnostic::new(DANGEROUS_ARGUMENT.code, format!("`{text}` weakens the device: {why}"));
    let help = format!("remove it, or write `.dangerous_command_line({text:?})`");
    Some(mistake.at(&argument.argument.at).word(text).help(help))
}

/// Arguments that are given again, or whose value is lost to a later one.
fn twice(given: &[KernelArgument]) -> Vec<Diagnostic> {
    let parsed: Vec<Parsed> = given.iter().map(|argument| Parsed::of(argument.text())).collect();
    let targets: Vec<String> =
        (0..parsed.len()).map(|index| arguments::target(&parsed[index], &parsed[..index])).collect();
    let mut found = Vec::new();
    for (later, argument) in given.iter().enumerate() {
        let lost = |first: usize| {
            targets[first] == targets[later]
                && (parsed[first].value == parsed[later].value || arguments::last_wins(&parsed[later]))
        };
        let Some(first) = (0..later).find(|&first| lost(first)) else { continue };
        let same = parsed[first].value == parsed[later].value;
        let message = match same {
            true => format!("`{}` is given to the kernel twice", argument.text()),
            false => format!("`{}` is lost: the last value wins, `{}`", given[first].text(), argument.text()),
        };
        let mistake = Diagnostic::new(ARGUMENT_TWICE.code, message).at(&argument.argument.at);
        found.push(
            mistake.related(&given[first].argument.at, "first given here").help("remove one of the two"),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use crate::rule::device;
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

    /// Case O4: the words themselves are tested beside their table.
    #[test]
    fn an_argument_that_weakens_is_told_its_word() {
        expect![[r#"
            error[dangerous-argument]: `init=/bin/sh` weakens the device: another program than systemd is the
                   first process
              --> xtask/core/src/check/kernel.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.command_line("init=/bin/sh")),
               |                                                  ^^^^^^^^^^^^^^
               |
               = help: remove it, or write `.dangerous_command_line("init=/bin/sh")`
        "#]]
        .assert_eq(&refusal(&DANGEROUS_ARGUMENT, SOURCE));
        for argument in ["root=/dev/sda2", "systemd.machine-id=00", "systemd.volatile=no"] {
            let mistakes = device().dangerous_command_line(argument).plan().unwrap_err();
            assert_eq!(mistakes.iter().next().unwrap().code, ARGUMENT_OF_THE_PLAN.code, "{argument}");
        }
    }

    /// Case 29.
    #[test]
    fn arguments_that_repeat_by_design_are_accepted_in_order() {
        for line in [
            "hugepagesz=1G hugepages=4 hugepagesz=2M hugepages=4",
            "default_hugepagesz=2M hugepages=64 hugepagesz=1G hugepages=64",
            "console=tty0 console=ttyS0,115200",
            "earlycon earlycon=uart8250,mmio32,0xfedc9000",
            "pci=noaer pci=nomsi",
            "cgroup_no_v1=memory cgroup_no_v1=cpu",
            "virtio_mmio.device=4K@0x1001e000:74 virtio_mmio.device=4K@0x1001f000:75",
            "systemd.setenv=A=1 systemd.setenv=B=1",
            "rd.driver.pre=a rd.driver.pre=b",
            "crashkernel=256M,high crashkernel=72M,low",
        ] {
            let image = line.split(' ').fold(device(), |image, argument| image.command_line(argument));
            let plan = image.plan().unwrap();
            assert!(plan.command_line.join(" ").ends_with(line), "{line}");
        }
    }

    #[test]
    fn a_value_that_would_be_lost_is_told() {
        for line in [
            "loglevel=3 loglevel=7",
            "usbcore.quirks=1:2:k usbcore.quirks=3:4:k",
            "nvme-core.io_timeout=30 nvme_core.io_timeout=60",
            "hugepages=4 hugepages=8",
            "hugepagesz=1G hugepages=4 hugepagesz=1G hugepages=8",
        ] {
            let image = line.split(' ').fold(device(), |image, argument| image.command_line(argument));
            let mistakes = image.plan().unwrap_err();
            assert_eq!(mistakes.iter().next().unwrap().code, ARGUMENT_TWICE.code, "{line}");
        }
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
