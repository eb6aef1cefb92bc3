//! What an image is built for.

use std::fmt;

use serde::Serialize;

/// The processor of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Default)]
pub enum Architecture {
    /// 64-bit x86 with UEFI.
    #[default]
    #[serde(rename = "x86-64")]
    X86_64,
    /// 64-bit ARM with UEFI.
    #[serde(rename = "arm64")]
    Aarch64,
}

impl Architecture {
    /// Debian's name: `amd64`.
    #[must_use]
    pub fn deb(self) -> &'static str {
        match self {
            Architecture::X86_64 => "amd64",
            Architecture::Aarch64 => "arm64",
        }
    }

    /// systemd's name, as in the labels of partitions: `x86-64`.
    #[must_use]
    pub fn systemd(self) -> &'static str {
        match self {
            Architecture::X86_64 => "x86-64",
            Architecture::Aarch64 => "arm64",
        }
    }

    /// The kernel's name, as `uname -m` and QEMU have it: `x86_64`.
    #[must_use]
    pub fn machine(self) -> &'static str {
        match self {
            Architecture::X86_64 => "x86_64",
            Architecture::Aarch64 => "aarch64",
        }
    }

    /// The other architecture.
    #[must_use]
    pub fn other(self) -> Architecture {
        match self {
            Architecture::X86_64 => Architecture::Aarch64,
            Architecture::Aarch64 => Architecture::X86_64,
        }
    }

    /// UEFI's name, as in `linuxx64.efi.stub`: `x64`.
    #[must_use]
    pub fn efi(self) -> &'static str {
        match self {
            Architecture::X86_64 => "x64",
            Architecture::Aarch64 => "aa64",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.systemd())
    }
}

/// What an image is built for; handed to the description, which may `match` on it.
///
/// The default is the same on every machine: it never follows the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// The processor.
    pub architecture: Architecture,
}
