//! The releases an image can be made of: one table.
//!
//! A row holds the facts in which releases differ and that decide something in
//! a plan; nothing else in this crate asks for a release by name. What follows
//! from a version is decided below the table, so that adding a release is
//! adding a row.

use self::Named::{As, Within};
use crate::image::Distribution::{self, Debian, Ubuntu};
use crate::image::target::Architecture;
use crate::value::Url;

/// A release and what it has.
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
    /// Where its packages are.
    pub archives: &'static Archives,
    /// The version of systemd.
    pub systemd: u32,
    /// The version of the oldest kernel it offers.
    pub kernel: (u32, u32),
    /// The version of e2fsprogs.
    pub e2fsprogs: (u32, u32, u32),
    /// Packages with what sets up a verified root at boot.
    pub verity: &'static [&'static str],
    /// Packages with what encrypts a data partition, and opens it with a TPM; none where that does not work.
    pub sealing: &'static [&'static str],
    /// The package with `systemd-repart`.
    pub repart: &'static str,
    /// The library `mke2fs` loads to read a tar stream.
    pub libarchive: &'static str,
    /// The package with statically linked emulators of other processors, and what follows the processor's name in
    /// theirs.
    pub emulators: (&'static str, &'static str),
    /// What other releases call otherwise.
    pub named: &'static [(Thing, Named)],
}

/// What is one thing to a person, and has not one name in all releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// The packages that bring a kernel and keep it up to date.
    Kernel,
    /// `docker compose`.
    Compose,
    /// `docker`, the command.
    DockerClient,
    /// The library that speaks to a TPM; programs load it when they run, so nothing depends on it.
    Tpm,
    /// What opens encrypted and verified volumes at boot.
    Cryptsetup,
}

/// What a release calls a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// So: the packages that bring it.
    As(&'static [&'static str]),
    /// Not at all: this package has it in it.
    Within(&'static str),
}

/// A distribution's archives: the same in all its releases.
#[derive(Debug)]
pub struct Archives {
    /// For an architecture: the address of the main archive, and of the one with security updates. Without a slash at
    /// the end.
    pub bases: &'static [(Architecture, &'static str, &'static str)],
    /// Where the snapshot services have the main archive, and the one with security updates, as they were at `MOMENT`;
    /// the first of them that answers is taken.
    pub snapshots: &'static [(&'static str, &'static str)],
    /// The components taken by default.
    pub components: &'static [&'static str],
    /// The others there are.
    pub further: &'static [&'static str],
}

/// The pocket with security updates.
pub const SECURITY: &str = "security";

/// The pockets, with what follows the release's name in their suites, in the order apt is given them: of two equal
/// versions it takes the first, and a security update is copied into `updates`, where nobody would know it as one.
const POCKETS: [(&str, &str); 3] = [("release", ""), (SECURITY, "-security"), ("updates", "-updates")];

static DEBIAN: Archives = Archives {
    bases: &[
        (Architecture::X86_64, "http://ftp.debian.org/debian", "http://security.debian.org/debian-security"),
        (Architecture::Aarch64, "http://ftp.debian.org/debian", "http://security.debian.org/debian-security"),
    ],
    // The content delivery network before Debian's service: the service itself
    // answers a build's many requests with refusals for coming too fast.
    snapshots: &[(
        "https://snapshot-cloudflare.debian.org/archive/debian/MOMENT",
        "https://snapshot-cloudflare.debian.org/archive/debian-security/MOMENT",
    )],
    components: &["main"],
    further: &["contrib", "non-free", "non-free-firmware"],
};

static UBUNTU: Archives = Archives {
    bases: &[
        (Architecture::X86_64, "http://archive.ubuntu.com/ubuntu", "http://security.ubuntu.com/ubuntu"),
        // Everything but amd64 (and i386) lives on the ports archive, security too.
        (
            Architecture::Aarch64,
            "http://ports.ubuntu.com/ubuntu-ports",
            "http://ports.ubuntu.com/ubuntu-ports",
        ),
    ],
    // All pockets and all architectures are under this one path.
    snapshots: &[("https://snapshot.ubuntu.com/ubuntu/MOMENT", "https://snapshot.ubuntu.com/ubuntu/MOMENT")],
    components: &["main", "universe"],
    further: &["restricted", "multiverse"],
};

const DEBIAN_KERNELS: Named =
    As(&["linux-image-amd64", "linux-image-cloud-amd64", "linux-image-arm64", "linux-image-cloud-arm64"]);
const EMULATORS: (&str, &str) = ("qemu-user", "");
/// Where `qemu-user` is linked dynamically.
const STATIC_EMULATORS: (&str, &str) = ("qemu-user-static", "-static");
/// Since the transition to 64-bit time.
const TPM: Named = As(&["libtss2-esys-3.0.2-0t64"]);

/// Since systemd-cryptsetup is a package of its own.
const SEALING: &[&str] = &[
    "libtss2-esys-3.0.2-0t64",
    "libtss2-mu-4.0.1-0t64",
    "libtss2-rc0t64",
    "libtss2-tcti-device0t64",
    "systemd-cryptsetup",
];

/// All of them, Ubuntu first, newest first.
pub static RELEASES: [Release; 5] = [
    Release {
        distribution: Ubuntu,
        name: "resolute",
        version: "26.04",
        refused: None,
        archives: &UBUNTU,
        systemd: 259,
        kernel: (7, 0),
        e2fsprogs: (1, 47, 2),
        verity: &["dmsetup", "systemd-cryptsetup"],
        sealing: SEALING,
        repart: "systemd-repart",
        libarchive: "libarchive13t64",
        emulators: EMULATORS,
        named: &[
            (Thing::Kernel, As(&["linux-generic", "linux-virtual", "linux-aws"])),
            (Thing::Compose, As(&["docker-compose-v2", "docker-compose"])),
            (Thing::DockerClient, Within("docker.io")),
            (Thing::Tpm, TPM),
            (Thing::Cryptsetup, As(&["systemd-cryptsetup"])),
        ],
    },
    Release {
        distribution: Ubuntu,
        name: "noble",
        version: "24.04",
        refused: None,
        archives: &UBUNTU,
        systemd: 255,
        kernel: (6, 8),
        e2fsprogs: (1, 47, 0),
        verity: &["cryptsetup-bin", "dmsetup"],
        sealing: &[
            "libtss2-esys-3.0.2-0t64",
            "libtss2-mu-4.0.1-0t64",
            "libtss2-rc0t64",
            "libtss2-tcti-device0t64",
            "cryptsetup-bin",
        ],
        repart: "systemd",
        libarchive: "libarchive13t64",
        emulators: STATIC_EMULATORS,
        named: &[
            (Thing::Kernel, As(&["linux-generic", "linux-generic-hwe-24.04", "linux-virtual", "linux-aws"])),
            (Thing::Compose, As(&["docker-compose-v2", "docker-compose"])),
            (Thing::DockerClient, Within("docker.io")),
            (Thing::Tpm, TPM),
            (Thing::Cryptsetup, Within("systemd")),
        ],
    },
    Release {
        distribution: Ubuntu,
        name: "jammy",
        version: "22.04",
        refused: Some(("it packages neither systemd-boot nor the stub of a unified kernel image", "noble")),
        archives: &UBUNTU,
        systemd: 249,
        kernel: (5, 15),
        e2fsprogs: (1, 46, 5),
        verity: &["cryptsetup-bin", "dmsetup"],
        sealing: &[],
        repart: "systemd",
        libarchive: "libarchive13",
        emulators: STATIC_EMULATORS,
        named: &[],
    },
    Release {
        distribution: Debian,
        name: "trixie",
        version: "13",
        refused: None,
        archives: &DEBIAN,
        systemd: 257,
        kernel: (6, 12),
        e2fsprogs: (1, 47, 2),
        verity: &["dmsetup", "systemd-cryptsetup"],
        sealing: SEALING,
        repart: "systemd-repart",
        libarchive: "libarchive13t64",
        emulators: EMULATORS,
        named: &[
            (Thing::Kernel, DEBIAN_KERNELS),
            (Thing::Compose, As(&["docker-compose"])),
            (Thing::DockerClient, As(&["docker-cli"])),
            (Thing::Tpm, TPM),
            (Thing::Cryptsetup, As(&["systemd-cryptsetup"])),
        ],
    },
    Release {
        distribution: Debian,
        name: "bookworm",
        version: "12",
        refused: None,
        archives: &DEBIAN,
        systemd: 252,
        kernel: (6, 1),
        e2fsprogs: (1, 47, 0),
        verity: &["cryptsetup-bin", "dmsetup"],
        sealing: &[],
        repart: "systemd",
        libarchive: "libarchive13",
        emulators: STATIC_EMULATORS,
        named: &[
            (Thing::Kernel, DEBIAN_KERNELS),
            // Version 1, a program of its own: no package of bookworm has `docker compose`.
            (Thing::Compose, As(&["docker-compose"])),
            (Thing::DockerClient, Within("docker.io")),
            (Thing::Tpm, As(&["libtss2-esys-3.0.2-0"])),
            (Thing::Cryptsetup, Within("systemd")),
        ],
    },
];

impl Release {
    /// Services take credentials by `ImportCredential=`.
    #[must_use]
    pub fn imports_credentials(&self) -> bool {
        self.systemd >= 254
    }

    /// The kernel reads zstd in an erofs.
    #[must_use]
    pub fn erofs_zstd(&self) -> bool {
        self.kernel >= (6, 10)
    }

    /// `mke2fs -d` takes a tar stream.
    #[must_use]
    pub fn ext4_tar(&self) -> bool {
        self.e2fsprogs >= (1, 47, 1)
    }

    /// What it calls a thing.
    #[must_use]
    pub fn name_of(&self, thing: Thing) -> Option<Named> {
        self.named.iter().find(|(known, _)| *known == thing).map(|(_, named)| *named)
    }

    /// What it calls the thing that `package` is in another release; `None` for a package of its own, and for one that
    /// no row names.
    #[must_use]
    pub fn otherwise(&self, package: &str) -> Option<Named> {
        let is = |(_, named): &&(Thing, Named)| matches!(named, As(names) if names.contains(&package));
        if self.named.iter().any(|named| is(&named)) {
            return None;
        }
        let (thing, _) = RELEASES.iter().flat_map(|release| release.named).find(is)?;
        self.name_of(*thing)
    }

    /// The suites beside it that a description may add.
    pub fn further_suites(&self) -> impl Iterator<Item = String> + '_ {
        let pockets: &[&str] = match self.distribution {
            Debian => &["backports", "backports-sloppy", "proposed-updates"],
            Ubuntu => &["backports", "proposed"],
        };
        pockets.iter().map(|pocket| format!("{}-{pocket}", self.name))
    }

    /// Its suites for an architecture, in the order apt is given them.
    pub fn pockets(&self, architecture: Architecture) -> impl Iterator<Item = Pocket> {
        let bases = self.archives.bases.iter().find(|(known, ..)| *known == architecture);
        bases.into_iter().flat_map(|(_, main, security)| {
            POCKETS.map(|(name, suffix)| Pocket {
                name,
                base: if name == SECURITY { security } else { main },
                suite: format!("{}{suffix}", self.name),
            })
        })
    }
}

impl Archives {
    /// Where the snapshot services have a pocket as it was at `moment`, the first to be asked first.
    pub fn snapshots(&self, pocket: &str, moment: &str) -> Vec<Url> {
        let of = |(main, security): &(&str, &str)| {
            let base = if pocket == SECURITY { security } else { main };
            Url::known(base.replace("MOMENT", moment))
        };
        self.snapshots.iter().map(of).collect()
    }
}

/// One of the suites a release consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pocket {
    /// `release`, `updates` or `security`.
    pub name: &'static str,
    /// The archive's address, without a slash at its end.
    pub base: &'static str,
    /// `noble-updates`
    pub suite: String,
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Data, Erofs, Esp, Ext4, Image, MiB, Root, Target};

    fn image(release: &Release) -> Image {
        match release.distribution {
            Ubuntu => Image::ubuntu(release.name),
            Debian => Image::debian(release.name),
        }
    }

    #[test]
    fn every_row_is_a_release_or_says_why_it_is_none() {
        for release in &RELEASES {
            let Some(As([kernel, ..])) = release.name_of(Thing::Kernel) else {
                assert!(release.refused.is_some(), "{}: no kernel", release.name);
                let mistakes = image(release).plan().unwrap_err();
                assert!(mistakes.iter().any(|mistake| mistake.code == "refused-release"), "{}", release.name);
                continue;
            };
            for architecture in [Architecture::X86_64, Architecture::Aarch64] {
                let device = image(release).package(*kernel).partition(Esp::new(MiB(512)));
                let device = device.partition(Root::new(Erofs).verity());
                let device = device.partition(Data::new("persistent", Ext4).mount("/local"));
                let plan = device
                    .plan_for("device", &Target { architecture })
                    .unwrap_or_else(|mistakes| panic!("{} {architecture}: {mistakes}", release.name));
                let suites: Vec<&str> = plan.archives.iter().map(|archive| archive.suite.as_str()).collect();
                let name = release.name;
                assert_eq!(suites, [name, &format!("{name}-security"), &format!("{name}-updates")]);
                for implied in release.verity.iter().chain([&release.repart]) {
                    assert!(plan.package(implied).is_some(), "{name}: {implied}");
                }
            }
        }
    }

    #[test]
    fn no_release_has_two_rows_and_no_thing_two_names_in_one() {
        for (number, release) in RELEASES.iter().enumerate() {
            let before = &RELEASES[..number];
            assert!(before.iter().all(|one| (one.name, one.version) != (release.name, release.version)));
            for (place, (thing, _)) in release.named.iter().enumerate() {
                assert!(
                    release.named[..place].iter().all(|(one, _)| one != thing),
                    "{}: {thing:?}",
                    release.name
                );
            }
        }
    }

    #[test]
    fn what_a_release_cannot_do_follows_from_its_versions() {
        let can = |name: &str| {
            let release = RELEASES.iter().find(|release| release.name == name).unwrap();
            let abilities = [release.imports_credentials(), release.erofs_zstd(), release.ext4_tar()];
            abilities.map(u8::from)
        };
        assert_eq!(can("resolute"), [1, 1, 1]);
        assert_eq!(can("trixie"), [1, 1, 1]);
        assert_eq!(can("noble"), [1, 0, 0]);
        assert_eq!(can("bookworm"), [0, 0, 0]);
    }

    #[test]
    fn a_snapshot_has_the_security_pocket_where_the_service_keeps_it() {
        let noble = find(Ubuntu, "noble").unwrap().archives;
        let trixie = find(Debian, "trixie").unwrap().archives;
        let moment = "20260101T000000Z";
        assert_eq!(noble.snapshots(SECURITY, moment), noble.snapshots("release", moment));
        assert!(trixie.snapshots(SECURITY, moment)[0].ends_with("/debian-security/20260101T000000Z"));
        assert!(trixie.snapshots("updates", moment)[0].ends_with("/debian/20260101T000000Z"));
    }
}
