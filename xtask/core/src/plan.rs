//! `Plan`: every decision about an image, and nothing left to choose.
//!
//! Made from an [`Image`](crate::Image) alone: no network, no root, no clock. A plan made
//! twice is the same plan, whichever machine makes it; a step of the build
//! reads it and decides nothing.

use serde::Serialize;
use uuid::Uuid;

use crate::image::Distribution;
use crate::image::answer::Answer;
pub use crate::image::bind::BindKind;
use crate::image::target::Architecture;
use crate::image::volatile::Volatile;
use crate::location::SourceLocation;
use crate::release;
use crate::secret::Secret;
use crate::value::{DebLocation, DevicePath, Glob, PackageName, Sha256, UnitName, Url};

pub mod diff;
pub mod display;
pub mod guid;

mod archives;
pub(crate) mod arguments;
mod boot;
mod budgets;
pub use budgets::{BudgetPlan, Part};
pub(crate) use budgets::{OVER_BUDGET, plan as budgets};
pub mod compatible;
mod console;
pub use compatible::{Incompatible, SavedPlan, SavedPlanError};
mod contents;
pub use contents::{ContentsPlan, FilterPlan, RemovedPlan, ScriptPlan};
mod dangers;
mod debs;
mod disk;
pub use disk::{DataPlan, DiskPlan, EspPlan, PartitionGuid, PartitionPlan, RootPlan, SlotsPlan, VerityPlan};
mod disks;
mod draft;
pub(crate) use draft::Draft;
pub(crate) mod hardening;
mod hostname;
mod identity;
mod initrd;
pub use initrd::{InitrdFeatures, InitrdPlan};
mod layout;
mod listeners;
pub use listeners::{ListenerPlan, Protocol};
pub(crate) mod modules;
mod packages;
mod trust;
pub(crate) use archives::{origins_of, plan as all_archives};
pub use identity::{DATABASES, Database, IDENTITIES, Identity, IdentityFile, IdentityPlan};
pub(crate) use packages::implied;
pub use trust::{SecureBootPlan, UnsignedNames};
mod people;
pub(crate) use people::homes;
mod sshd;
mod state;
pub use state::BACKING;
mod system;
pub(crate) mod template;
pub use template::Unfit;
mod topic;
pub use topic::Topic;
mod units;
use units::UNITS;
mod updates;
pub use updates::{HealthyWhen, UpdatesPlan};

/// The packages of which a machine of another architecture runs its own programs: what scripts of packages start most, and
/// `depmod`, which takes half a minute for an ordinary kernel when it is emulated. They do the same on every processor.
pub const NATIVE: [&str; 6] = ["coreutils", "dash", "grep", "kmod", "perl-base", "sed"];

/// Everything that was decided about an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The image's name: `edge-debian`.
    pub name: String,
    /// Its version: `1.4.0`.
    pub version: Option<String>,
    /// Whose release it is made of.
    pub distribution: Distribution,
    /// The release: `trixie`.
    pub release: String,
    /// The processor it is for.
    pub architecture: Architecture,
    /// Where packages come from, in the order apt is given them.
    pub archives: Vec<ArchivePlan>,
    /// The moment at which the distribution's archive is taken, from its snapshot service.
    pub snapshot: Option<SnapshotPlan>,
    /// The mirrors to fetch the distribution's archive from, the first to be asked first.
    pub mirrors: Vec<Url>,
    /// The packages asked for and implied, by name; dependencies are the lock's.
    pub packages: Vec<PackagePlan>,
    /// The packages of vendors that have no archive, in the description's order.
    pub debs: Vec<DebPlan>,
    /// The packages kept out, by name.
    pub without: Vec<PackageName>,
    /// The answers to packages' questions, in the description's order.
    pub answers: Vec<AnswerPlan>,
    /// The packages of the tools tree, by name.
    pub tools: Vec<PackageName>,
    /// The host name, or the template each device makes its own of.
    pub hostname: Option<String>,
    /// The kernel's command line, without `roothash=`, which the build adds first.
    pub command_line: Vec<String>,
    /// The locale: `C.UTF-8`.
    pub locale: String,
    /// The time zone: `UTC`.
    pub timezone: String,
    /// The disk.
    pub disk: DiskPlan,
    /// How large parts of the image may become.
    pub budgets: Vec<BudgetPlan>,
    /// Every file, directory and link that is generated, by path.
    pub files: Vec<FilePlan>,
    /// The directories that are copied over the root, in order.
    pub overlays: Vec<OverlayPlan>,
    /// What is left out of the packages, and what is done to the finished tree.
    pub contents: ContentsPlan,
    /// The units that are enabled and masked.
    pub units: UnitsPlan,
    /// The users.
    pub users: Vec<UserPlan>,
    /// What is kept.
    pub binds: Vec<BindPlan>,
    /// What each device makes for itself, by the packages that are installed by name.
    pub identities: Vec<IdentityPlan>,
    /// What belongs to one machine and is accepted in the image.
    pub shared: Vec<SharedPlan>,
    /// The initrd.
    pub initrd: InitrdPlan,
    /// How a device is updated.
    pub updates: Option<UpdatesPlan>,
    /// Whose programs firmware starts, where that is said.
    pub secure_boot: Option<SecureBootPlan>,
    /// The ports that it opens, as far as the description says it.
    pub listeners: Vec<ListenerPlan>,
    /// What the description weakens, by the words that start with `dangerous_`.
    pub dangers: Vec<DangerPlan>,
    /// What becomes of writes to the root.
    pub volatile: Volatile,
    /// Settings of the kernel and of systemd: the defaults that hold, and the description's.
    pub settings: Vec<SettingPlan>,
    /// Kernel modules for the initrd, beyond the usual ones.
    pub modules: Vec<ModulePlan>,
    /// The names of the files that come out.
    pub artifacts: ArtifactNames,
    /// What every identifier is derived from.
    pub seed: Uuid,
}

/// A moment of a snapshot service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotPlan {
    /// `20260101T000000Z`
    pub moment: String,
    /// The line that asked for it.
    pub at: SourceLocation,
}

/// One suite of one archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArchivePlan {
    /// The canonical address, without a slash at its end. The lock's URLs start with it.
    pub base: Url,
    /// The suite: `trixie-updates`; of a flat archive its directory, with a slash at the end.
    pub suite: String,
    /// `release`, `updates`, `security`, or a third party's host name.
    pub pocket: String,
    /// The components taken; none of a flat archive.
    pub components: Vec<String>,
    /// Whose signature is accepted.
    pub keyring: Keyring,
    /// Where it is fetched from when there is a snapshot, the first to be asked
    /// first, without a slash at the end; in place of `base` and its mirrors.
    pub snapshots: Vec<Url>,
    /// True for the distribution's own archive.
    pub own: bool,
    /// The line that asked for it; none for what every image of the release has.
    pub at: Option<SourceLocation>,
    /// The line that names its key, where that is another one.
    #[serde(skip)]
    pub key_at: Option<SourceLocation>,
}

/// The keys an archive may be signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Keyring {
    /// Debian's archive keys.
    Debian,
    /// Ubuntu's archive key.
    Ubuntu,
    /// A key named in the description; at least one of the three is there, and
    /// a fingerprint where there is an address.
    Key {
        /// The file with the key, relative to the project.
        file: Option<String>,
        /// Where the key is fetched from when the lock is made, without the query.
        url: Option<Url>,
        /// The query of that address.
        #[serde(skip)]
        query: Option<Secret>,
        /// The fingerprint it must have.
        fingerprint: Option<String>,
    },
}

/// A package that is installed by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackagePlan {
    /// Its name.
    pub name: PackageName,
    /// Why it is there.
    pub why: Why,
    /// The archive it is taken from; none for the best one there is.
    pub from: Option<OriginPlan>,
    /// The version, or the start of it and a star; none for the newest one.
    pub version: Option<String>,
    /// True when what it recommends is installed too.
    pub recommends: bool,
    /// The line that asked for it, or for what implies it.
    pub at: Option<SourceLocation>,
}

/// One suite of one archive, for a package that is taken from no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OriginPlan {
    /// The archive's address.
    pub base: Url,
    /// The suite.
    pub suite: String,
    /// The pocket.
    pub pocket: String,
}

/// A package that is fetched from its vendor's address, or is a file of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DebPlan {
    /// Where it is: an address without its query, or a path in the project.
    pub url: DebLocation,
    /// The query of the address.
    #[serde(skip)]
    pub query: Option<Secret>,
    /// Where its detached signature is, without the query.
    pub signature: Option<Url>,
    /// The query of that address.
    #[serde(skip)]
    pub signature_query: Option<Secret>,
    /// Whose signature is accepted; there when `signature` is.
    pub keyring: Option<Keyring>,
    /// The digest it is taken by, when there is no signature.
    pub sha256: Option<Sha256>,
    /// True when what it recommends is installed too.
    pub recommends: bool,
    /// The line that asked for it.
    pub at: Option<SourceLocation>,
}

/// The answer to a question that a package asks through debconf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AnswerPlan {
    /// The question's name.
    pub name: String,
    /// The answer: `true` or `false`, or text.
    pub answer: Answer,
    /// The line that answers it.
    pub at: Option<SourceLocation>,
}

/// Why a package is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// The description names it.
    Asked,
    /// Something else in the description needs it: the reason.
    Implied(String),
}

/// One generated file, directory or link of the root.
///
/// A directory that the packages have already keeps its mode and owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FilePlan {
    /// Its path.
    pub path: DevicePath,
    /// Its permissions.
    pub mode: u32,
    /// The user it belongs to.
    pub uid: u32,
    /// The group it belongs to.
    pub gid: u32,
    /// The user it belongs to, by name, in place of `uid`: looked up in the finished root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The group it belongs to, by name, in place of `gid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What it is.
    pub kind: FileKind,
    /// Why it is there.
    pub why: String,
    /// The line that asked for it.
    pub at: Option<SourceLocation>,
}

/// What a generated file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A file with this text.
    File {
        /// All of it.
        text: String,
    },
    /// A symbolic link.
    Symlink {
        /// What it points at.
        target: String,
    },
    /// An empty file, unless there is a file: a mount point.
    #[serde(rename = "mount-point")]
    MountPoint,
}

/// A directory that is copied over the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OverlayPlan {
    /// The directory, relative to the project: `image/overlay`.
    pub source: String,
    /// What its files are to have beyond what git keeps; the last one that fits counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<OverlayRule>,
    /// The line that asked for it.
    pub at: SourceLocation,
}

/// What the files of an overlay that fit a pattern are to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OverlayRule {
    /// The pattern, as written.
    pub pattern: Glob,
    /// Their permissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// The user they belong to, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The group they belong to, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The line that asked for it.
    pub at: SourceLocation,
}

/// What happens to the packages' units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitsPlan {
    /// Enabled, by name, as their `[Install]` sections say.
    pub enable: Vec<UnitPlan>,
    /// Masked, by name; the links are among the generated files.
    pub mask: Vec<UnitPlan>,
}

/// A unit by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitPlan {
    /// The full name.
    pub name: UnitName,
    /// Why, when the description does not ask for it.
    pub why: Option<String>,
    /// The line that asked for it.
    pub at: Option<SourceLocation>,
}

/// A user; locked, without a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserPlan {
    /// The name.
    pub name: String,
    /// True for one that a service runs as, made before packages are configured.
    pub system: bool,
    /// The user's id.
    pub uid: u32,
    /// The user's own group.
    pub group: String,
    /// Its id.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<String>,
    /// The home directory.
    pub home: DevicePath,
    /// Where the image has it: at its place, or for a home on a data partition, where the device copies it from.
    pub image_home: DevicePath,
    /// The shell.
    pub shell: String,
    /// True when the user may become root with `sudo`.
    pub administrator: bool,
    /// True when keys handed in as a credential let the user in.
    pub credential: bool,
    /// True when a program becomes the user. Nothing in the image comes of it.
    #[serde(skip)]
    pub program: bool,
    /// The keys that let the user in; also in a generated file.
    pub authorized_keys: Vec<String>,
    /// The line that asked for it.
    pub at: Option<SourceLocation>,
}

/// A directory or file that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BindPlan {
    /// Its path as programs see it.
    pub path: DevicePath,
    /// Its path on the data partition.
    pub backing: DevicePath,
    /// Directory or file.
    pub kind: BindKind,
    /// True when it starts with the packages' content, modes and owners.
    pub seeded: bool,
    /// True when it starts empty although the image may have files in its place.
    pub empty: bool,
    /// Its permissions when it is made; none for those of its place in the image.
    pub mode: Option<u32>,
    /// The user it belongs to when it is made; none for that of its place in the image.
    pub owner: Option<String>,
    /// The group it belongs to when it is made; none for that of its place in the image.
    pub group: Option<String>,
    /// True when programs in it may be started.
    pub executable: bool,
    /// The units that do not start without it.
    pub required_by: Vec<RequiredBy>,
    /// The unit that mounts it; none when the initrd does, before systemd looks at it.
    pub unit: Option<UnitName>,
    /// Why, when the description does not ask for it.
    pub why: Option<String>,
    /// The line that asked for it.
    pub at: Option<SourceLocation>,
}

impl BindPlan {
    /// True when it starts empty, whatever the image has in its place.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        !self.seeded
    }
}

/// A unit that does not start without something that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequiredBy {
    /// The unit.
    pub unit: UnitName,
    /// The line that said so.
    pub at: Option<SourceLocation>,
}

/// Files of one machine that all devices share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SharedPlan {
    /// The file, or the directory with all below it.
    pub path: DevicePath,
    /// The line that accepts it.
    pub at: SourceLocation,
}

/// Something the description weakens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DangerPlan {
    /// What it does.
    pub what: String,
    /// What may come of it.
    pub why: String,
    /// The line that asked for it.
    pub at: Option<SourceLocation>,
}

/// A kernel module in the initrd, with its firmware.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModulePlan {
    /// Its name.
    pub name: String,
    /// The line that asked for it.
    pub at: Option<SourceLocation>,
}

/// One setting of the kernel or of systemd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingPlan {
    /// What is set.
    pub kind: Settled,
    /// Its name: `kernel.sysrq`.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Why it is set.
    pub why: String,
    /// The line that asked for it; none for a default.
    pub at: Option<SourceLocation>,
}

/// What a setting is a setting of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Settled {
    /// The kernel, on its command line.
    Argument,
    /// The kernel, by sysctl.
    Sysctl,
    /// systemd, the first process.
    Manager,
}

/// The names of the files in `build/NAME/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArtifactNames {
    /// The whole disk.
    pub disk: String,
    /// A link to the disk.
    pub disk_link: String,
    /// The unified kernel image.
    pub uki: String,
    /// The content of the ESP.
    pub esp: String,
    /// The initrd inside the UKI.
    pub initrd: String,
    /// The same under the name of its format.
    pub initrd_cpio: String,
    /// A link to the initrd.
    pub initrd_link: String,
    /// The kernel.
    pub kernel: String,
    /// The content of the root partition.
    pub root: String,
    /// The content of the verity partition.
    pub verity: Option<String>,
    /// The content of the slot's kernel image partition.
    pub uki_slot: Option<String>,
    /// The content of each data partition, in order.
    pub data: Vec<String>,
    /// What a TPM will have measured, as JSON.
    pub pcrs: String,
    /// The same as AWS's tool for NitroTPM prints it.
    pub nitro: String,
    /// The variables that EC2 gives a new machine's firmware.
    pub uefi_data: Option<String>,
    /// What there is in place of the signed files until they are signed.
    pub unsigned: Option<UnsignedNames>,
    /// Every package in the image, as JSON.
    pub manifest: String,
    /// The bill of materials in the form of SPDX.
    pub spdx: String,
    /// The bill of materials in the form of CycloneDX.
    pub cyclonedx: String,
    /// What the build was given, in the form of SLSA.
    pub provenance: String,
    /// The hashes of all others but the log.
    pub checksums: String,
    /// What dpkg and the packages' scripts printed.
    pub log: String,
}

impl DebPlan {
    /// True for a file of the project.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.url.is_file()
    }
}

impl Plan {
    /// Where on the data partition the directory `path` is kept.
    #[must_use]
    pub fn backing(&self, path: &str) -> Option<&str> {
        self.binds.iter().find(|bind| bind.path == path).map(|bind| bind.backing.as_str())
    }

    /// True when a user's home lies in the directory `bound` and `path` in the home: what is there on the first day
    /// is copied from the image, whatever becomes of the rest.
    #[must_use]
    pub fn holds_home(&self, bound: &str, path: &str) -> bool {
        let people = self.users.iter().filter(|user| !user.system);
        people.into_iter().any(|user| state::is_in(&user.home, bound) && state::is_in(path, &user.home))
    }

    /// The package `name`, when it is installed by name.
    #[must_use]
    pub fn package(&self, name: &str) -> Option<&PackagePlan> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// True when what a package recommends is installed too: the package `name` from an archive, or the vendor's one
    /// at `url`.
    #[must_use]
    pub fn recommends(&self, name: &str, url: &str) -> bool {
        let of_vendor = self.debs.iter().any(|deb| deb.url == url && deb.recommends);
        of_vendor || self.package(name).is_some_and(|package| package.recommends)
    }

    /// The generated file at `path`.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&FilePlan> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The text of the generated file at `path`.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        match &self.file(path)?.kind {
            FileKind::File { text } => Some(text),
            _ => None,
        }
    }

    /// True when the description or the plan enables the unit.
    #[must_use]
    pub fn enables(&self, unit: &str) -> bool {
        self.units.enable.iter().any(|enabled| enabled.name == unit)
    }

    /// The distribution's own archives for an architecture, which need not be the image's. None where the release is
    /// not for it.
    #[must_use]
    pub fn own_archives(&self, architecture: Architecture) -> Vec<ArchivePlan> {
        let Some(release) = release::find(self.distribution, &self.release) else { return Vec::new() };
        let pockets: Vec<release::Pocket> = release.pockets(architecture).collect();
        let Some(main) = pockets.first() else { return Vec::new() };
        let own = self.archives.iter().filter(|archive| archive.own);
        let there = own.map(|archive| {
            // Further suites are in the main archive.
            let pocket = pockets.iter().find(|pocket| pocket.name == archive.pocket).unwrap_or(main);
            ArchivePlan { base: Url::known(pocket.base), ..archive.clone() }
        });
        there.collect()
    }

    /// The packages of which programs are run on a machine of the other architecture: those of [`Plan::tools`], the
    /// emulator's, and those of [`NATIVE`].
    #[must_use]
    pub fn cross_tools(&self) -> Vec<PackageName> {
        // The image's own EFI programs are copied from the image's architecture, and never run.
        let programs = self.tools.iter().filter(|name| **name != *packages::EFI_PROGRAMS).cloned();
        let further =
            self.emulator().map(|(package, _)| package).into_iter().chain(NATIVE.map(PackageName::known));
        let mut names: Vec<PackageName> = programs.chain(further).collect();
        names.sort_unstable();
        names
    }

    /// What runs programs of the image on a machine of the other architecture: a package, and the name of the program in
    /// its `/usr/bin`.
    #[must_use]
    pub fn emulator(&self) -> Option<(PackageName, String)> {
        let (package, end) = release::find(self.distribution, &self.release)?.emulators;
        Some((PackageName::known(package), format!("qemu-{}{end}", self.architecture.machine())))
    }

    /// The image's name as `IMAGE_ID` of os-release has it.
    #[must_use]
    pub fn image_id(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// The name of the kernel image in `EFI/Linux` of the EFI system partition.
    #[must_use]
    pub fn uki_on_esp(&self, kernel: &str) -> String {
        match &self.version {
            // The first generation, in the first slot, and proven.
            _ if self.updates.is_some() => "bedplate_1-a.efi".to_string(),
            Some(version) => format!("{}_{version}.efi", self.image_id()),
            None => format!("{}-{kernel}.efi", self.distribution),
        }
    }

    /// True when the description or the plan masks the unit.
    #[must_use]
    pub fn masks(&self, unit: &str) -> bool {
        self.units.mask.iter().any(|masked| masked.name == unit)
    }
}

impl UnitsPlan {
    /// True when it is said here what becomes of the unit.
    #[must_use]
    pub fn names(&self, unit: &str) -> bool {
        self.enable.iter().chain(&self.mask).any(|named| named.name == unit)
    }
}

impl FilePlan {
    fn new(path: impl Into<String>, mode: u32, kind: FileKind, why: impl Into<String>) -> Self {
        FilePlan {
            path: DevicePath::of_plan(path),
            mode,
            uid: 0,
            gid: 0,
            owner: None,
            group: None,
            kind,
            why: why.into(),
            at: None,
        }
    }

    fn text(path: impl Into<String>, text: impl Into<String>, why: impl Into<String>) -> Self {
        FilePlan::new(path, 0o644, FileKind::File { text: text.into() }, why)
    }

    fn link(path: impl Into<String>, target: impl Into<String>, why: impl Into<String>) -> Self {
        FilePlan::new(path, 0o777, FileKind::Symlink { target: target.into() }, why)
    }

    fn directory(path: impl Into<String>, why: impl Into<String>) -> Self {
        FilePlan::new(path, 0o755, FileKind::Directory, why)
    }

    fn at(mut self, place: Option<&SourceLocation>) -> Self {
        self.at = place.cloned();
        self
    }

    fn owned_by(mut self, uid: u32, gid: u32) -> Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }
}
