//! What differs between the architectures a guest can have.

use std::path::Path;

use bedplate_core::Architecture;

use crate::disk::Disk;

/// QEMU's machine for one architecture.
#[derive(Debug)]
pub(super) struct Platform {
    /// The guest's architecture.
    pub architecture: Architecture,
    /// The packages with QEMU, its firmware and its TPM.
    pub packages: [&'static str; 5],
    /// The emulator, in the tools tree.
    pub emulator: &'static str,
    /// QEMU's machine type.
    pub machine: &'static str,
    /// The processor of a guest that is translated.
    pub translated: &'static str,
    /// The firmware's code, without Secure Boot.
    pub code: &'static str,
    /// The same with Secure Boot, and what else QEMU has to have for it.
    pub secure: Secure,
    /// The firmware's variables, as they are at first.
    pub variables: &'static str,
    /// The TPM's front end.
    pub tpm: &'static str,
    /// The kernel's name of the serial port.
    pub serial: &'static str,
}

/// Firmware with Secure Boot.
#[derive(Debug)]
pub(super) struct Secure {
    /// Its code.
    pub code: &'static str,
    /// What QEMU's machine type is followed by.
    pub machine: &'static str,
    /// Further options of QEMU's.
    pub options: &'static [&'static str],
}

/// A PC with UEFI.
static X86_64: Platform = Platform {
    architecture: Architecture::X86_64,
    packages: ["base-files", "ovmf", "qemu-system-x86", "qemu-utils", "swtpm"],
    emulator: "qemu-system-x86_64",
    machine: "q35",
    // Each level of page tables and each module loaded for a feature costs: a sixth of the time until a guest is up.
    translated: "max,la57=off,svm=off",
    code: "/usr/share/OVMF/OVMF_CODE_4M.fd",
    secure: Secure {
        code: "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
        // Variables are written by code that the system cannot reach.
        machine: ",smm=on",
        options: &[
            "-global",
            "driver=cfi.pflash01,property=secure,value=on",
            "-global",
            "ICH9-LPC.disable_s3=1",
        ],
    },
    variables: "/usr/share/OVMF/OVMF_VARS_4M.fd",
    tpm: "tpm-crb",
    serial: "ttyS0",
};

/// QEMU's own ARM machine, with UEFI and ACPI.
static AARCH64: Platform = Platform {
    architecture: Architecture::Aarch64,
    packages: ["base-files", "qemu-efi-aarch64", "qemu-system-arm", "qemu-utils", "swtpm"],
    emulator: "qemu-system-aarch64",
    machine: "virt",
    // Without signed addresses, which take most of the time, and without a third kind of vectors.
    translated: "neoverse-n1",
    code: "/usr/share/AAVMF/AAVMF_CODE.fd",
    secure: Secure { code: "/usr/share/AAVMF/AAVMF_CODE.ms.fd", machine: "", options: &[] },
    variables: "/usr/share/AAVMF/AAVMF_VARS.fd",
    tpm: "tpm-tis-device",
    serial: "ttyAMA0",
};

impl Platform {
    /// The machine for an architecture.
    pub fn of(architecture: Architecture) -> &'static Self {
        match architecture {
            Architecture::X86_64 => &X86_64,
            Architecture::Aarch64 => &AARCH64,
        }
    }

    /// The machine that can start a disk, by the type of its root. A disk that cannot be read is refused when it is
    /// started.
    pub fn of_disk(disk: &Path) -> &'static Self {
        let architecture = Disk::open(disk).ok().and_then(|disk| disk.architecture());
        Self::of(architecture.unwrap_or_default())
    }

    /// Whether this machine's processor is of the guest's architecture.
    pub fn is_native(&self) -> bool {
        std::env::consts::ARCH == self.architecture.machine()
    }
}
