//! The releases an image can be made of: one table.
//!
//! A row holds what differs between releases and decides something in a plan;
//! nothing else in this crate asks for a release by name.

use crate::image::Distribution::{self, Debian, Ubuntu};
use crate::image::target::Architecture;

/// A release and what it can do.
#[derive(Debug)]
pub struct Release {
    /// Whose it is.
    pub distribution: Distribution,
    /// The name in the archive: `trixie`.
    pub name: &'static str,
    /// The number: `13`, `24.04`.
    pub version: &'static str,
    /// Why no image is made of it, and what to use instead.
    pub refused: Option<(&'static str, &'static str)>,
    /// Packages with what sets up a verified root at boot.
    pub verity: &'static [&'static str],
    /// Its systemd knows `ImportCredential=` (254).
    pub credentials: bool,
    /// The package with `systemd-repart`.
    pub repart: &'static str,
    /// `mkfs.erofs --tar` exists (erofs-utils 1.7).
    pub erofs: bool,
    /// The kernel reads and erofs-utils write zstd in an erofs (6.10, 1.8).
    pub erofs_zstd: bool,
    /// `mke2fs -d` takes a tar stream (1.47.1): with the library it loads for it.
    pub ext4_tar: Option<&'static str>,
}

/// All of them, Ubuntu first, newest first.
pub static RELEASES: [Release; 5] = [
    Release {
        distribution: Ubuntu,
        name: "resolute",
        version: "26.04",
        refused: None,
        verity: &["dmsetup", "systemd-cryptsetup"],
        credentials: true,
        repart: "systemd-repart",
        erofs: true,
        erofs_zstd: true,
        ext4_tar: Some("libarchive13t64"),
    },
    Release {
        distribution: Ubuntu,
        name: "noble",
        version: "24.04",
        refused: None,
        verity: &["cryptsetup-bin", "dmsetup"],
        credentials: true,
        repart: "systemd",
        erofs: true,
        erofs_zstd: false,
        ext4_tar: None,
    },
    Release {
        distribution: Ubuntu,
        name: "jammy",
        version: "22.04",
        refused: Some(("it packages neither systemd-boot nor the stub of a unified kernel image", "noble")),
        verity: &[],
        credentials: false,
        repart: "systemd",
        erofs: false,
        erofs_zstd: false,
        ext4_tar: None,
    },
    Release {
        distribution: Debian,
        name: "trixie",
        version: "13",
        refused: None,
        verity: &["dmsetup", "systemd-cryptsetup"],
        credentials: true,
        repart: "systemd-repart",
        erofs: true,
        erofs_zstd: true,
        ext4_tar: Some("libarchive13t64"),
    },
    Release {
        distribution: Debian,
        name: "bookworm",
        version: "12",
        refused: None,
        verity: &["cryptsetup-bin", "dmsetup"],
        credentials: false,
        repart: "systemd",
        erofs: false,
        erofs_zstd: false,
        ext4_tar: None,
    },
];

/// The row of a release, refused ones included.
#[must_use]
pub fn find(distribution: Distribution, name: &str) -> Option<&'static Release> {
    RELEASES.iter().find(|release| release.distribution == distribution && release.name == name)
}

/// The names of a distribution's releases that images are made of.
pub fn names(distribution: Distribution) -> impl Iterator<Item = &'static str> {
    let offered = move |release: &&Release| release.distribution == distribution && release.refused.is_none();
    RELEASES.iter().filter(offered).map(|release| release.name)
}

/// One of the suites a release consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pocket {
    /// `release`, `updates` or `security`.
    pub name: &'static str,
    /// The archive's address, without a slash at its end.
    pub base: &'static str,
    /// What follows the release's name in the suite: `-updates`.
    pub suffix: &'static str,
}

/// The suites of a distribution for an architecture, in the order apt is given them.
#[must_use]
pub fn pockets(distribution: Distribution, architecture: Architecture) -> [Pocket; 3] {
    let (archive, security) = match (distribution, architecture) {
        (Debian, _) => ("http://ftp.debian.org/debian", "http://security.debian.org/debian-security"),
        (Ubuntu, Architecture::X86_64) => {
            ("http://archive.ubuntu.com/ubuntu", "http://security.ubuntu.com/ubuntu")
        }
        // Everything but amd64 (and i386) lives on the ports archive, security too.
        (Ubuntu, Architecture::Aarch64) => {
            ("http://ports.ubuntu.com/ubuntu-ports", "http://ports.ubuntu.com/ubuntu-ports")
        }
    };
    [
        Pocket { name: "release", base: archive, suffix: "" },
        Pocket { name: "updates", base: archive, suffix: "-updates" },
        Pocket { name: "security", base: security, suffix: "-security" },
    ]
}

/// Where the snapshot service has the pocket as it was at `moment`.
#[must_use]
pub fn snapshot(distribution: Distribution, pocket: &str, moment: &str) -> String {
    // The content delivery network before Debian's service: the service itself
    // answers a build's many requests with refusals for coming too fast.
    let debian = |archive| format!("https://snapshot-cloudflare.debian.org/archive/{archive}/{moment}");
    match (distribution, pocket) {
        (Debian, "security") => debian("debian-security"),
        (Debian, _) => debian("debian"),
        // All pockets and all architectures are under this one path.
        (Ubuntu, _) => format!("https://snapshot.ubuntu.com/ubuntu/{moment}"),
    }
}

/// The components a distribution's archive has, those taken by default first.
#[must_use]
pub fn components(distribution: Distribution) -> (&'static [&'static str], &'static [&'static str]) {
    match distribution {
        Debian => (&["main"], &["contrib", "non-free", "non-free-firmware"]),
        Ubuntu => (&["main", "universe"], &["restricted", "multiverse"]),
    }
}
