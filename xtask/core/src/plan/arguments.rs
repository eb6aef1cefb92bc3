//! What the kernel and systemd make of an argument: which ones weaken a device,
//! which ones add up, and of which ones the last wins.
//!
//! <https://docs.kernel.org/admin-guide/kernel-parameters.html>,
//! <https://www.freedesktop.org/software/systemd/man/latest/kernel-command-line.html>

use super::DangerPlan;
use crate::image::Image;

/// An argument as the kernel and systemd read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// Its name, with `_` for every `-`: both spell the same one.
    pub(crate) name: String,
    /// What follows the first `=`, without quotation marks.
    pub(crate) value: Option<String>,
}

impl Parsed {
    pub(crate) fn of(text: &str) -> Self {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.trim_matches('"').to_string())),
            None => (text, None),
        };
        Parsed { name: name.replace('-', "_"), value }
    }

    fn value(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }

    /// True for what a switch reads as off. No value at all is on.
    pub(super) fn is_off(&self) -> bool {
        let value = self.value().to_ascii_lowercase();
        matches!(value.as_str(), "0" | "n" | "no" | "f" | "false" | "off" | "disable" | "disabled")
    }

    pub(super) fn is_one_of(&self, values: &[&str]) -> bool {
        values.contains(&self.value())
    }
}

/// When an argument weakens a device.
#[derive(Debug, Clone, Copy)]
enum When {
    /// Whatever its value.
    Always,
    /// Switched off.
    Off,
    /// Not switched off.
    On,
    /// With one of these values.
    Is(&'static [&'static str]),
    /// With any but these values.
    IsNot(&'static [&'static str]),
    /// With one of these in its value.
    Has(&'static [&'static str]),
    /// With none of these in its value.
    Lacks(&'static str),
}

const SHELL: &str = "who reaches the console has a shell of root's, without a password";
const STOPS: &str = "the device stops for a person at its console, and starts no service";
const OTHER_TARGET: &str = "what the image enables is not what is started";
const PROCESSOR: &str = "a flaw of the processor is open to programs on the device";
const ADDRESSES: &str = "an attack on the kernel knows where everything is";
const MEMORY: &str = "mistakes of the kernel are easier to turn into an attack";
const PROTECTIONS: &str = "the kernel's protection of services from each other is off";
const DMA: &str = "a device on a bus may read and write all memory";
const ROOT: &str = "the root's content is not checked any more";
const FIRST_PROCESS: &str = "another program than systemd is the first process";
const SYSTEMD: [&str; 4] =
    ["/sbin/init", "/usr/sbin/init", "/lib/systemd/systemd", "/usr/lib/systemd/systemd"];

/// Name, when, and what may come of it. A name with `_` also has it with `-`.
const DANGERS: &[(&str, When, &str)] = &[
    // Who commands the device.
    ("init", When::IsNot(&SYSTEMD), FIRST_PROCESS),
    ("rdinit", When::IsNot(&["/init"]), FIRST_PROCESS),
    ("systemd.debug_shell", When::On, SHELL),
    ("rd.systemd.debug_shell", When::On, SHELL),
    ("systemd.crash_shell", When::On, SHELL),
    ("systemd.wants", When::Has(&["debug-shell", "rescue", "emergency"]), SHELL),
    ("rd.systemd.wants", When::Has(&["debug-shell", "rescue", "emergency"]), SHELL),
    ("systemd.break", When::Always, SHELL),
    ("rd.systemd.break", When::Always, SHELL),
    ("rd.break", When::Always, SHELL),
    ("rd.shell", When::On, SHELL),
    ("break", When::Always, SHELL),
    ("SYSTEMD_SULOGIN_FORCE", When::On, SHELL),
    ("systemd.setenv", When::Has(&["SYSTEMD_", "LD_"]), "systemd is another one than the image's"),
    ("LD_PRELOAD", When::Always, "foreign code runs in every process"),
    ("LD_LIBRARY_PATH", When::Always, "foreign code runs in every process"),
    ("single", When::Always, STOPS),
    ("s", When::Always, STOPS),
    ("S", When::Always, STOPS),
    ("1", When::Always, STOPS),
    ("_s", When::Always, STOPS),
    ("_b", When::Always, STOPS),
    ("rescue", When::Always, STOPS),
    ("emergency", When::Always, STOPS),
    ("rd.rescue", When::Always, STOPS),
    ("rd.emergency", When::Always, STOPS),
    ("systemd.confirm_spawn", When::On, STOPS),
    ("systemd.unit", When::IsNot(&["default.target", "multi-user.target", "graphical.target"]), OTHER_TARGET),
    ("rd.systemd.unit", When::IsNot(&["initrd.target"]), OTHER_TARGET),
    ("systemd.run", When::Always, "a command of root's that is in no unit runs at every boot"),
    ("systemd.mask", When::Always, "a unit that the image enables is not started"),
    ("rd.systemd.mask", When::Always, "a unit that finds or checks the root is not started"),
    ("systemd.set_credential", When::Always, "every program on the device can read the credential"),
    ("systemd.set_credential_binary", When::Always, "every program on the device can read the credential"),
    ("sysrq_always_enabled", When::Always, "a key on the console commands the kernel"),
    ("kgdboc", When::Always, "who reaches the console has a debugger of the kernel"),
    ("kgdbwait", When::Always, "who reaches the console has a debugger of the kernel"),
    // What is trusted.
    ("systemd.verity", When::Off, ROOT),
    ("rd.systemd.verity", When::Off, ROOT),
    ("systemd.verity_root_options", When::Has(&["ignore-corruption", "check-at-most-once"]), ROOT),
    ("dm_verity.error_behavior", When::Always, ROOT),
    ("lockdown", When::IsNot(&["integrity", "confidentiality"]), "root can change the running kernel"),
    ("module.sig_enforce", When::Off, "the kernel loads modules that nobody has signed"),
    ("ima_appraise", When::Is(&["off", "fix", "log"]), "files are used whose signature does not hold"),
    ("evm", When::Is(&["fix"]), "files are used whose signature does not hold"),
    ("selinux", When::Off, PROTECTIONS),
    ("enforcing", When::Off, PROTECTIONS),
    ("apparmor", When::Off, PROTECTIONS),
    ("security", When::Is(&["none", ""]), PROTECTIONS),
    ("lsm", When::Lacks("lockdown"), "the kernel's lockdown is left out: root can change it"),
    // Walls that hardware puts up.
    ("mitigations", When::Is(&["off"]), PROCESSOR),
    ("nospectre_v1", When::Always, PROCESSOR),
    ("nospectre_v2", When::Always, PROCESSOR),
    ("nospectre_bhb", When::Always, PROCESSOR),
    ("spectre_v2", When::Off, PROCESSOR),
    ("spectre_v2_user", When::Off, PROCESSOR),
    ("spectre_bhi", When::Off, PROCESSOR),
    ("spec_store_bypass_disable", When::Off, PROCESSOR),
    ("nospec_store_bypass_disable", When::Always, PROCESSOR),
    ("ssbd", When::Is(&["force-off"]), PROCESSOR),
    ("spec_rstack_overflow", When::Off, PROCESSOR),
    ("retbleed", When::Off, PROCESSOR),
    ("l1tf", When::Off, PROCESSOR),
    ("mds", When::Off, PROCESSOR),
    ("tsx_async_abort", When::Off, PROCESSOR),
    ("mmio_stale_data", When::Off, PROCESSOR),
    ("srbds", When::Off, PROCESSOR),
    ("gather_data_sampling", When::Off, PROCESSOR),
    ("reg_file_data_sampling", When::Off, PROCESSOR),
    ("indirect_target_selection", When::Off, PROCESSOR),
    ("tsa", When::Off, PROCESSOR),
    ("vmscape", When::Off, PROCESSOR),
    ("kvm.nx_huge_pages", When::Off, PROCESSOR),
    ("nopti", When::Always, PROCESSOR),
    ("pti", When::Off, PROCESSOR),
    ("kpti", When::Off, PROCESSOR),
    ("nosmep", When::Always, MEMORY),
    ("nosmap", When::Always, MEMORY),
    ("noexec", When::Off, MEMORY),
    ("noexec32", When::Off, MEMORY),
    ("ibt", When::Off, MEMORY),
    ("cfi", When::Off, MEMORY),
    ("clearcpuid", When::Always, MEMORY),
    ("rodata", When::Off, MEMORY),
    ("hardened_usercopy", When::Off, MEMORY),
    ("init_on_alloc", When::Off, MEMORY),
    ("randomize_kstack_offset", When::Off, MEMORY),
    ("iomem", When::Is(&["relaxed"]), MEMORY),
    ("nokaslr", When::Always, ADDRESSES),
    ("norandmaps", When::Always, ADDRESSES),
    ("no_hash_pointers", When::Always, ADDRESSES),
    ("hash_pointers", When::Is(&["never"]), ADDRESSES),
    ("iommu", When::Has(&["off"]), DMA),
    ("intel_iommu", When::Has(&["off"]), DMA),
    ("amd_iommu", When::Has(&["off"]), DMA),
    ("vfio_iommu_type1.allow_unsafe_interrupts", When::On, DMA),
];

/// What may come of an argument; none where it weakens nothing.
pub(crate) fn danger(argument: &Parsed) -> Option<&'static str> {
    let holds = |when: &When| match when {
        When::Always => true,
        When::Off => argument.is_off(),
        When::On => !argument.is_off(),
        When::Is(values) => argument.is_one_of(values),
        When::IsNot(values) => !argument.is_one_of(values),
        When::Has(parts) => parts.iter().any(|part| argument.value().contains(part)),
        When::Lacks(part) => !argument.value().contains(part),
    };
    let same = |name: &&(&str, When, &str)| name.0 == argument.name && holds(&name.1);
    DANGERS.iter().find(same).map(|(.., why)| *why)
}

/// The description's arguments that weaken it, by its own word.
pub(super) fn dangers(image: &Image) -> Vec<DangerPlan> {
    let weakening = image.arguments.iter().filter(|argument| argument.dangerous);
    let danger = |argument: &crate::image::KernelArgument| DangerPlan {
        what: format!("`{}` on the kernel's command line", argument.text()),
        why: danger(&Parsed::of(argument.text()))
            .unwrap_or("the description says that it weakens the device")
            .to_string(),
        at: Some(argument.argument.at.clone()),
    };
    weakening.map(danger).collect()
}

/// Arguments of which the last wins, and the others are lost. Names without a
/// dot that are not in it may add up (`console=`, `pci=`, `memmap=`, `ip=`).
const LAST_WINS: &[&str] = &[
    "apparmor",
    "audit",
    "default_hugepagesz",
    "elevator",
    "enforcing",
    "hugepages",
    "init",
    "isolcpus",
    "lockdown",
    "log_buf_len",
    "loglevel",
    "lsm",
    "maxcpus",
    "mitigations",
    "module_blacklist",
    "nohz_full",
    "nr_cpus",
    "numa_balancing",
    "oops",
    "panic",
    "preempt",
    "processor.max_cstate",
    "rcu_nocbs",
    "rdinit",
    "rootdelay",
    "security",
    "selinux",
    "swapaccount",
    "threadirqs",
    "transparent_hugepage",
    "zswap.enabled",
];

/// Arguments with a dot that add up: everything else with one is a parameter of
/// a module, of which the last wins.
const ADDS_UP: &[&str] =
    &["virtio_mmio.device", "ubi.mtd", "phram.phram", "block2mtd.block2mtd", "modprobe.blacklist"];

/// True when of two values of this argument only the last counts.
pub(crate) fn last_wins(argument: &Parsed) -> bool {
    let name = argument.name.as_str();
    let of_systemd = ["systemd.", "rd.", "udev.", "luks.", "sysctl."].iter().any(|of| name.starts_with(of));
    let of_module = name.contains('.') && !of_systemd && !name.ends_with(".dyndbg");
    LAST_WINS.contains(&name) || of_module && !ADDS_UP.contains(&name)
}

/// What an argument sets, given those before it: `hugepages=` counts pages of
/// the size that was named last.
pub(crate) fn target(argument: &Parsed, before: &[Parsed]) -> String {
    if argument.name != "hugepages" {
        return argument.name.clone();
    }
    let is_size = |other: &&Parsed| matches!(other.name.as_str(), "hugepagesz" | "default_hugepagesz");
    let size = before.iter().rev().find(is_size).map_or("", Parsed::value);
    format!("hugepages of {size}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::device;

    fn weakens(text: &str) -> bool {
        danger(&Parsed::of(text)).is_some()
    }

    /// Case O4.
    #[test]
    fn what_takes_away_a_guarantee_is_a_danger_in_either_spelling() {
        for argument in [
            "lockdown=none",
            "init=/bin/sh",
            "rdinit=/bin/sh",
            "systemd.debug_shell",
            "systemd.debug-shell=1",
            "rd.systemd.debug_shell=ttyS0",
            "rd.systemd.verity=0",
            "systemd.verity=no",
            "single",
            "1",
            "systemd.unit=rescue.target",
            "systemd.run=/bin/sh",
            "systemd.set_credential=a:b",
            "systemd.setenv=SYSTEMD_SULOGIN_FORCE=1",
            "module.sig_enforce=0",
            "apparmor=0",
            "mitigations=off",
            "lsm=yama,apparmor",
            "iommu=off",
            "nokaslr",
        ] {
            assert!(weakens(argument), "{argument}");
            let plan = device().command_line(argument).plan();
            assert!(plan.is_err(), "{argument}");
            let plan = device().dangerous_command_line(argument).plan().unwrap();
            assert!(plan.dangers[0].what.contains(argument), "{argument}");
            assert!(plan.command_line.iter().any(|known| known == argument), "{argument}");
        }
    }

    #[test]
    fn what_keeps_or_strengthens_a_guarantee_is_none() {
        for argument in [
            "lockdown=confidentiality",
            "init=/lib/systemd/systemd",
            "systemd.debug_shell=0",
            "rd.systemd.verity=1",
            "systemd.unit=multi-user.target",
            "mitigations=auto,nosmt",
            "iommu=pt",
            "lsm=lockdown,yama,apparmor",
            "systemd.wants=hello.service",
            "nosmt",
            "systemd.log_level=debug",
        ] {
            assert!(!weakens(argument), "{argument}");
        }
    }

    #[test]
    fn a_name_in_the_table_is_spelled_as_it_is_compared() {
        for (name, ..) in DANGERS {
            assert!(!name.contains('-'), "{name}");
        }
    }
}
