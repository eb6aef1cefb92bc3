//! Hardening that costs nothing: settings every device has until it says otherwise.
//!
//! Each has its reason, and yields to the description: an argument or a sysctl
//! of the same key given there takes its place. Nothing here is to slow a
//! device down, or to keep Docker or a distribution's kernel from working.
//!
//! <https://docs.kernel.org/admin-guide/kernel-parameters.html>,
//! <https://docs.kernel.org/admin-guide/sysctl/index.html>,
//! <https://www.freedesktop.org/software/systemd/man/latest/systemd-system.conf.html>

use super::arguments::Parsed;
use super::{FilePlan, SettingPlan, Settled};
use crate::image::Image;

/// Read after the packages' own, before what an administrator puts into /etc.
const SYSCTLS: &str = "/usr/lib/sysctl.d/60-bedplate.conf";
const MANAGER: &str = "/usr/lib/systemd/system.conf.d/60-bedplate.conf";

const DEFAULTS: [(Settled, &str, &str, &str); 24] = [
    (Settled::Argument, "panic", "10", "a kernel that gave up starts again after 10 s"),
    (Settled::Argument, "oops", "panic", "a kernel with a broken thread is not trusted to go on"),
    (Settled::Argument, "lockdown", "integrity", "root cannot change the running kernel"),
    (Settled::Argument, "module.sig_enforce", "1", "the kernel loads its distribution's modules only"),
    (Settled::Sysctl, "dev.tty.ldisc_autoload", "0", "a terminal does not make the kernel load modules"),
    (Settled::Sysctl, "fs.protected_fifos", "2", "nobody is led into writing to another's pipe"),
    (Settled::Sysctl, "fs.protected_hardlinks", "1", "nobody links to a file he may not write"),
    (Settled::Sysctl, "fs.protected_regular", "2", "nobody is led into writing to another's file"),
    (Settled::Sysctl, "fs.protected_symlinks", "1", "links in /tmp are followed by their owner only"),
    (Settled::Sysctl, "fs.suid_dumpable", "0", "what ran with more rights leaves no memory behind"),
    (Settled::Sysctl, "kernel.core_pattern", "|/bin/false", "no memory of a program reaches the disk"),
    (Settled::Sysctl, "kernel.dmesg_restrict", "1", "the kernel's log is the administrator's"),
    (Settled::Sysctl, "kernel.kexec_load_disabled", "1", "no kernel is started but the firmware's"),
    (Settled::Sysctl, "kernel.kptr_restrict", "2", "no address of the kernel is shown"),
    (Settled::Sysctl, "kernel.sysrq", "0", "a key on the console does not command the kernel"),
    (Settled::Sysctl, "kernel.unprivileged_bpf_disabled", "1", "only root loads programs into the kernel"),
    (Settled::Sysctl, "net.ipv4.conf.*.accept_redirects", "0", "nobody on the network changes routes"),
    (Settled::Sysctl, "net.ipv4.conf.*.accept_source_route", "0", "nobody on the network chooses routes"),
    (Settled::Sysctl, "net.ipv4.tcp_syncookies", "1", "a flood of connections does not lock others out"),
    (Settled::Sysctl, "net.ipv6.conf.*.accept_redirects", "0", "nobody on the network changes routes"),
    (Settled::Sysctl, "vm.unprivileged_userfaultfd", "0", "only root stops the kernel in a page fault"),
    (Settled::Manager, "CrashReboot", "yes", "a device whose first process died starts again"),
    (Settled::Manager, "DefaultLimitCORE", "0", "no memory of a program reaches the disk"),
    (Settled::Manager, "RuntimeWatchdogSec", "2min", "a device that hangs is started again by its hardware"),
];

/// The defaults that hold, then the sysctls of the description, each by key.
pub(crate) fn settings(image: &Image) -> Vec<SettingPlan> {
    let holds = |kind: Settled, key: &str| match kind {
        Settled::Argument => {
            let given = image.arguments.iter().any(|argument| Parsed::of(argument.text()).name == key);
            !given && (!key.starts_with("module.") && key != "lockdown" || modules_are_signed(image))
        }
        Settled::Sysctl => !image.sysctls.iter().any(|(given, _)| dotted(given.value.as_str()) == key),
        Settled::Manager => true,
    };
    let defaults =
        DEFAULTS.iter().filter(|(kind, key, ..)| holds(*kind, key)).map(|&(kind, key, value, why)| {
            SettingPlan {
                kind,
                key: key.to_string(),
                value: value.to_string(),
                why: why.to_string(),
                at: None,
            }
        });
    let mut given: Vec<SettingPlan> = image
        .sysctls
        .iter()
        .map(|(key, value)| SettingPlan {
            kind: Settled::Sysctl,
            key: dotted(key.value.as_str()),
            value: value.value.to_string(),
            why: "the description says so".to_string(),
            at: Some(key.at.clone()),
        })
        .collect();
    given.sort_by(|left, right| left.key.cmp(&right.key));
    defaults.chain(given).collect()
}

/// The settings that are arguments of the kernel.
pub(crate) fn arguments(settings: &[SettingPlan]) -> impl Iterator<Item = String> {
    of(settings, Settled::Argument).map(|setting| format!("{}={}", setting.key, setting.value))
}

pub(super) fn files(settings: &[SettingPlan]) -> Vec<FilePlan> {
    let lines = |kind, equals: &str| -> String {
        of(settings, kind).map(|setting| format!("{}{equals}{}\n", setting.key, setting.value)).collect()
    };
    let manager = format!("[Manager]\n{}", lines(Settled::Manager, "="));
    vec![
        FilePlan::text(SYSCTLS, lines(Settled::Sysctl, " = "), "settings of the kernel"),
        FilePlan::text(MANAGER, manager, "settings of systemd"),
    ]
}

fn of(settings: &[SettingPlan], kind: Settled) -> impl Iterator<Item = &SettingPlan> {
    settings.iter().filter(move |setting| setting.kind == kind)
}

/// A distribution that signs a kernel's modules has the unsigned one apart.
fn modules_are_signed(image: &Image) -> bool {
    let unsigned = |name: &str| name.starts_with("linux-image-") && name.contains("-unsigned");
    !image.packages.iter().any(|package| unsigned(package.value.as_str()))
}

/// sysctl.d(5): when the first separator is a slash, dots and slashes change places.
pub(crate) fn dotted(key: &str) -> String {
    match key.find(['.', '/']).map(|first| key.as_bytes()[first]) {
        Some(b'/') => key
            .chars()
            .map(|c| {
                if c == '/' {
                    '.'
                } else if c == '.' {
                    '/'
                } else {
                    c
                }
            })
            .collect(),
        _ => key.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::device;

    fn sysctls(image: &Image) -> String {
        image.plan().unwrap().text(SYSCTLS).unwrap().to_string()
    }

    #[test]
    fn every_default_has_a_reason_and_is_said_once() {
        for (at, (kind, key, _, why)) in DEFAULTS.iter().enumerate() {
            assert!(!why.is_empty(), "{key}");
            assert!(!DEFAULTS[..at].iter().any(|(other, known, ..)| (other, known) == (kind, key)), "{key}");
        }
    }

    #[test]
    fn a_kernel_that_breaks_starts_again_and_takes_no_foreign_modules() {
        let plan = device().plan().unwrap();
        for argument in ["panic=10", "oops=panic", "lockdown=integrity", "module.sig_enforce=1"] {
            assert!(plan.command_line.iter().any(|known| known == argument), "{argument}");
        }
    }

    #[test]
    fn a_default_argument_yields_to_the_descriptions() {
        let plan = device().command_line("panic=0").dangerous_command_line("lockdown=none").plan().unwrap();
        let named = |name: &str| -> Vec<&String> {
            plan.command_line.iter().filter(|argument| argument.starts_with(name)).collect()
        };
        assert_eq!(named("panic="), ["panic=0"]);
        assert_eq!(named("lockdown="), ["lockdown=none"]);
    }

    #[test]
    fn a_default_sysctl_yields_to_the_descriptions() {
        assert!(sysctls(&device()).contains("kernel.sysrq = 0\n"));
        for key in ["kernel.sysrq", "kernel/sysrq"] {
            let text = sysctls(&device().sysctl(key, "176"));
            let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("kernel.sysrq")).collect();
            assert_eq!(lines, ["kernel.sysrq = 176"]);
        }
    }

    #[test]
    fn a_key_with_slashes_is_the_same_key_with_dots() {
        assert_eq!(dotted("net/ipv4/conf/eth0.100/forwarding"), "net.ipv4.conf.eth0/100.forwarding");
        assert_eq!(dotted("net.ipv4.conf.eth0/100.forwarding"), "net.ipv4.conf.eth0/100.forwarding");
    }

    #[test]
    fn an_unsigned_kernel_loads_its_own_modules() {
        let plan = device().package("linux-image-6.12.1-amd64-unsigned").plan().unwrap();
        assert!(!plan.command_line.iter().any(|argument| argument.contains("sig_enforce")));
        assert!(!plan.command_line.iter().any(|argument| argument.starts_with("lockdown=")));
        assert!(plan.command_line.contains(&"panic=10".to_string()));
    }

    #[test]
    fn no_core_dump_reaches_the_disk_and_a_hung_device_starts_again() {
        let plan = device().plan().unwrap();
        let manager = plan.text(MANAGER).unwrap();
        for line in ["DefaultLimitCORE=0\n", "RuntimeWatchdogSec=2min\n"] {
            assert!(manager.contains(line), "{manager}");
        }
        assert!(sysctls(&device()).contains("kernel.core_pattern = |/bin/false\n"));
    }
}
