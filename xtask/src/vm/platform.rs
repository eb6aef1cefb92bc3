//! What differs between the architectures a guest can have.

/// QEMU's machine for one architecture.
#[derive(Debug)]
pub(super) struct Platform {
    /// The emulator, in the tools tree.
    pub emulator: &'static str,
    /// QEMU's machine type.
    pub machine: &'static str,
    /// The firmware's code, without Secure Boot.
    pub code: &'static str,
    /// The firmware's variables, as they are at first.
    pub variables: &'static str,
    /// The TPM's front end.
    pub tpm: &'static str,
}

/// A PC with UEFI.
pub(super) const X86_64: Platform = Platform {
    emulator: "qemu-system-x86_64",
    machine: "q35",
    code: "/usr/share/OVMF/OVMF_CODE_4M.fd",
    variables: "/usr/share/OVMF/OVMF_VARS_4M.fd",
    tpm: "tpm-crb",
};
