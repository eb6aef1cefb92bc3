//! `Image`: what a person said, each word with the line that said it.
//!
//! One plain value, moved through: every method is `fn(self, …) -> Self`, so
//! conditions are `match`, loops are `for`, and reuse is a function from image
//! to image. No method fails: what is wrong is kept with its place, and
//! [`Image::plan`] reports all of it at once.
//!
//! Deliberately absent: anything decided. Offsets, ids, units and implied
//! packages are the [plan](crate::plan)'s.

use std::fmt;

use serde::Serialize;

use crate::diagnostic::Diagnostic;
use crate::given::{Given, SizeWithUnit, accept};
use crate::location::{At, SourceLocation};
use crate::value::{
    Address, AnswerText, Argument, Component, DevicePath, DomainName, Hostname, ImageVersion, Locale,
    ModuleName, PackageName, Question, Size, Snapshot, Suite, SysctlKey, SysctlValue, Timezone, UnitName,
    Url, Value as _,
};

pub mod answer;
pub mod bind;
pub mod budget;
pub mod compiled;
pub mod compression;
pub(crate) mod contents;
pub mod data;
pub mod deb;
pub mod encryption;
pub mod entry;
pub mod esp;
pub mod filesystem;
pub mod overlay;
pub mod package;
pub mod partition;
pub mod repository;
pub mod root;
pub mod script;
pub mod secure_boot;
pub mod target;
pub mod text;
pub mod unit;
pub mod updates;
pub mod user;
pub mod volatile;

use answer::{Answer, GivenAnswer};
use bind::Bind;
use budget::Budget;
use data::Data;
use deb::Deb;
use esp::Esp;
use overlay::Overlay;
use package::{GivenPackage, Package};
use partition::Partition;
use repository::{Key, Repository};
use root::RootSlot;
use secure_boot::SecureBoot;
use text::{Text, Written};
use unit::Unit;
use updates::Updates;
use user::User;
use volatile::Volatile;

/// The family of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
}

impl fmt::Display for Distribution {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Distribution::Debian => "Debian",
            Distribution::Ubuntu => "Ubuntu",
        })
    }
}

/// An argument of the kernel's command line.
#[derive(Debug, Clone)]
pub(crate) struct KernelArgument {
    pub(crate) argument: At<Argument>,
    /// The description knows that it weakens the device.
    pub(crate) dangerous: bool,
}

impl KernelArgument {
    pub(crate) fn text(&self) -> &str {
        self.argument.value.as_str()
    }
}

/// The description of a disk image.
///
/// ```
/// use bedplate_core::*;
///
/// let image = Image::debian("trixie")
///     .package("linux-image-amd64")
///     .hostname("edge")
///     .partition(Esp::new(MiB(512)))
///     .partition(Root::new(Erofs).verity())
///     .partition(Data::new("persistent", Ext4).mount("/local"))
///     .bind("/greengrass");
///
/// let plan = image.plan().unwrap();
/// assert_eq!(plan.backing("/greengrass"), Some("/local/persistent/greengrass"));
/// ```
#[must_use = "an image does nothing until it is returned from its function"]
#[derive(Debug, Clone)]
pub struct Image {
    pub(crate) distribution: Distribution,
    pub(crate) release: At<String>,
    pub(crate) packages: Vec<At<PackageName>>,
    /// What is said of packages beyond their names.
    pub(crate) choices: Vec<Package>,
    pub(crate) without: Vec<At<PackageName>>,
    pub(crate) answers: Vec<(At<Question>, Answer)>,
    pub(crate) suites: Vec<At<Suite>>,
    pub(crate) components: Vec<At<Component>>,
    pub(crate) repositories: Vec<Repository>,
    pub(crate) debs: Vec<Deb>,
    pub(crate) snapshot: Option<At<Snapshot>>,
    pub(crate) mirrors: Vec<At<Url>>,
    pub(crate) signed_by: Option<Key>,
    pub(crate) version: Option<At<ImageVersion>>,
    pub(crate) hostname: Option<At<Hostname>>,
    pub(crate) hosts: Vec<(At<Address>, At<DomainName>)>,
    pub(crate) locale: Option<At<Locale>>,
    pub(crate) timezone: Option<At<Timezone>>,
    pub(crate) arguments: Vec<KernelArgument>,
    pub(crate) modules: Vec<At<ModuleName>>,
    pub(crate) sysctls: Vec<(At<SysctlKey>, At<SysctlValue>)>,
    pub(crate) esps: Vec<Esp>,
    pub(crate) roots: Vec<RootSlot>,
    pub(crate) data: Vec<Data>,
    pub(crate) budgets: Vec<Budget>,
    pub(crate) sector_size: Option<At<u32>>,
    pub(crate) volatile: Volatile,
    pub(crate) volatile_size: Option<At<Size>>,
    /// The first that was said, and the lines that say others.
    pub(crate) updates: Option<Updates>,
    pub(crate) updates_again: Vec<SourceLocation>,
    pub(crate) secure_boot: Option<SecureBoot>,
    pub(crate) secure_boot_again: Vec<SourceLocation>,
    pub(crate) overlays: Vec<Overlay>,
    pub(crate) files: Vec<Written>,
    pub(crate) units: Vec<Unit>,
    pub(crate) enabled: Vec<At<UnitName>>,
    pub(crate) masked: Vec<At<UnitName>>,
    pub(crate) users: Vec<User>,
    pub(crate) binds: Vec<Bind>,
    pub(crate) contents: contents::Contents,
    pub(crate) local_names: Option<SourceLocation>,
    pub(crate) autologin: Option<SourceLocation>,
    pub(crate) shared: Vec<At<DevicePath>>,
    pub(crate) mistakes: Vec<Diagnostic>,
}

impl Image {
    /// An image of Ubuntu: `noble` (24.04) or `resolute` (26.04).
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let image = Image::ubuntu("noble");
    /// ```
    #[track_caller]
    #[doc(alias("Distribution", "Release"))]
    pub fn ubuntu(release: &str) -> Self {
        Image::of(Distribution::Ubuntu, release)
    }

    /// An image of Debian: `trixie` (13) or `bookworm` (12).
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let image = Image::debian("trixie");
    /// ```
    #[track_caller]
    #[doc(alias("Distribution", "Release"))]
    pub fn debian(release: &str) -> Self {
        Image::of(Distribution::Debian, release)
    }

    #[track_caller]
    fn of(distribution: Distribution, release: &str) -> Self {
        Image {
            distribution,
            release: At { value: release.to_string(), at: SourceLocation::caller() },
            packages: Vec::new(),
            choices: Vec::new(),
            without: Vec::new(),
            answers: Vec::new(),
            suites: Vec::new(),
            components: Vec::new(),
            repositories: Vec::new(),
            debs: Vec::new(),
            snapshot: None,
            mirrors: Vec::new(),
            signed_by: None,
            version: None,
            hostname: None,
            hosts: Vec::new(),
            locale: None,
            timezone: None,
            arguments: Vec::new(),
            modules: Vec::new(),
            sysctls: Vec::new(),
            esps: Vec::new(),
            roots: Vec::new(),
            data: Vec::new(),
            budgets: Vec::new(),
            sector_size: None,
            volatile: Volatile::None,
            volatile_size: None,
            updates: None,
            updates_again: Vec::new(),
            secure_boot: None,
            secure_boot_again: Vec::new(),
            overlays: Vec::new(),
            files: Vec::new(),
            units: Vec::new(),
            enabled: Vec::new(),
            masked: Vec::new(),
            users: Vec::new(),
            binds: Vec::new(),
            contents: contents::Contents::default(),
            local_names: None,
            autologin: None,
            shared: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    /// Installs a package, with what it depends on and without what it recommends: its name, or a [`Package`] that
    /// says more.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.package("docker.io").package(Package::new("podman").recommends());
    /// assert!(image.plan().unwrap().package("docker.io").is_some());
    /// ```
    #[track_caller]
    #[doc(alias("Packages", "install", "apt"))]
    pub fn package(mut self, package: impl GivenPackage) -> Self {
        let mut package = package.package(&SourceLocation::caller());
        self.mistakes.append(&mut package.mistakes);
        self.packages.extend(package.name.clone());
        if package.from.is_some() || package.version.is_some() || package.recommends {
            self.choices.push(package);
        }
        self
    }

    /// Installs several packages.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.packages(["docker.io", "docker-compose"]);
    /// # image.plan().unwrap();
    /// ```
    #[track_caller]
    #[doc(alias("Packages", "install", "apt"))]
    pub fn packages(mut self, names: impl IntoIterator<Item = impl Given<PackageName>>) -> Self {
        let at = SourceLocation::caller();
        for name in names {
            self.packages.extend(accept(&mut self.mistakes, name, &at));
        }
        self
    }

    /// Keeps a package out, whatever depends on it; when something does, the
    /// lock cannot be made and says what.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.package("network-manager").without("wpasupplicant");
    /// assert_eq!(image.plan().unwrap().without, ["wpasupplicant"]);
    /// ```
    #[track_caller]
    #[doc(alias("RemovePackages", "exclude", "purge"))]
    pub fn without(mut self, name: impl Given<PackageName>) -> Self {
        let at = SourceLocation::caller();
        self.without.extend(accept(&mut self.mistakes, name, &at));
        self
    }

    /// Answers a question that a package asks when it is configured, a licence among them; without an answer, a
    /// package goes by its own default, or fails. A question that no package of the image asks is an error.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # fn of(image: Image) -> Image {
    /// image
    ///     .package("firmware-ipw2x00")
    ///     .debconf("firmware-ipw2x00/license/accepted", true)
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias("debconf-set-selections", "preseed", "dpkg-reconfigure"))]
    pub fn debconf(mut self, question: impl Given<Question>, answer: impl GivenAnswer) -> Self {
        let at = SourceLocation::caller();
        let question = accept(&mut self.mistakes, question, &at);
        match answer.answer() {
            Ok(answer) => self.answers.extend(question.map(|question| (question, answer))),
            Err(wrong) => self.mistakes.push(wrong.diagnostic(Question::CODE, AnswerText::WHAT).at(&at)),
        }
        self
    }

    /// Takes packages from this component of the distribution's archive too:
    /// `non-free-firmware`, `multiverse`.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.component("non-free-firmware").package("firmware-realtek");
    /// # image.plan().unwrap();
    /// ```
    #[track_caller]
    #[doc(alias("Repositories"))]
    pub fn component(mut self, name: impl Given<Component>) -> Self {
        let at = SourceLocation::caller();
        self.components.extend(accept(&mut self.mistakes, name, &at));
        self
    }

    /// Takes packages from this suite of the distribution's archive too: `trixie-backports`, `noble-proposed`. The
    /// distribution's own keys sign it.
    ///
    /// Of backports nothing is installed by itself: name the packages with [`Package::from`].
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.suite("trixie-backports").package(Package::new("podman").from("trixie-backports"));
    /// # image.plan().unwrap();
    /// ```
    #[track_caller]
    #[doc(alias("Repositories", "backports", "proposed-updates"))]
    pub fn suite(mut self, name: impl Given<Suite>) -> Self {
        let at = SourceLocation::caller();
        self.suites.extend(accept(&mut self.mistakes, name, &at));
        self
    }

    /// Takes packages from another signed archive too.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let docker = Repository::signed(
    ///     "https://download.docker.com/linux/debian",
    ///     "trixie",
    ///     ["stable"],
    ///     Key::file("keys/docker.asc").pinned("9DC858229FC7DD38854AE2D88D81803C0EBFCD88"),
    /// );
    /// let image = device.repository(docker).package("docker-ce");
    /// # image.plan().unwrap();
    /// ```
    #[doc(alias("SandboxTrees", "PackageDirectories", "sources.list"))]
    pub fn repository(mut self, repository: Repository) -> Self {
        self.mistakes.extend_from_slice(&repository.mistakes);
        self.repositories.push(repository);
        self
    }

    /// Installs a package that is in no archive, from a vendor's address or a file of the project. The
    /// description names the file, the lock its name, version and sha256.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.deb(Deb::file("debs/agent.deb"));
    /// assert_eq!(image.plan().unwrap().debs.len(), 1);
    /// ```
    #[doc(alias("Packages", "PackageDirectories", "dpkg", "install"))]
    pub fn deb(mut self, mut deb: Deb) -> Self {
        self.mistakes.append(&mut deb.mistakes);
        self.debs.push(deb);
        self
    }

    /// Takes the distribution's archive as it was at this moment, in all
    /// pockets: `20260101T000000Z`.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.snapshot("20260101T000000Z");
    /// # image.plan().unwrap();
    /// ```
    #[track_caller]
    #[doc(alias("Snapshot", "SourceDateEpoch"))]
    pub fn snapshot(mut self, moment: impl Given<Snapshot>) -> Self {
        let at = SourceLocation::caller();
        self.snapshot = accept(&mut self.mistakes, moment, &at).or(self.snapshot);
        self
    }

    /// Fetches from this mirror of the distribution's archive, or, given again, from this one when those before it
    /// do not answer. The lock names the archive all the same, so that a mirror can change or go away.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.mirror("https://mirror.example.org/debian");
    /// # image.plan().unwrap();
    /// ```
    #[track_caller]
    #[doc(alias("Mirror"))]
    pub fn mirror(mut self, url: impl Given<Url>) -> Self {
        let at = SourceLocation::caller();
        self.mirrors.extend(accept(&mut self.mistakes, url, &at));
        self
    }

    /// Believes the distribution's archive when this key has signed it, in place of the distribution's own keys: for a
    /// mirror that is not a copy, but a selection with a signature of its own, as aptly makes one.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let image = Image::ubuntu("noble")
    ///     .mirror("https://archive.example.com/ubuntu")
    ///     .signed_by(Key::file("keys/example.asc").pinned("F6ECB3762474EDA9D21B7022871920D1991BC93C"));
    /// ```
    #[doc(alias("Signed-By", "keyring", "trusted.gpg"))]
    pub fn signed_by(mut self, key: Key) -> Self {
        self.mistakes.extend_from_slice(key.mistakes());
        self.signed_by = Some(key);
        self
    }

    /// The version of the image: `1.4.0`. It is `IMAGE_VERSION` in os-release,
    /// beside the image's name as `IMAGE_ID`. Of a device with [updates](Image::updates)
    /// it is the bundle's, too. Of any other it is in the file name of the kernel
    /// image on the EFI system partition, so that two versions of an image with
    /// one kernel have two names there and systemd-boot starts the newer one.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let image = Image::debian("trixie").version("1.4.0");
    /// ```
    ///
    /// The packages' os-release is changed: `dpkg --verify` names it.
    #[track_caller]
    #[doc(alias("ImageVersion", "IMAGE_VERSION", "ImageId", "IMAGE_ID"))]
    pub fn version(mut self, version: impl Given<ImageVersion>) -> Self {
        let at = SourceLocation::caller();
        self.version = accept(&mut self.mistakes, version, &at).or(self.version);
        self
    }

    /// The device's host name: one for all devices, or, with `{machine-id}` or
    /// `{serial}` in it, one that each makes of what it is known by.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let image = Image::debian("trixie").hostname("edge-{machine-id}");
    /// ```
    ///
    /// A machine id is kept on the data partition; a device without one is
    /// called otherwise at every boot. One without a serial number in its
    /// firmware is named after its machine id.
    #[track_caller]
    #[doc(alias("Hostname"))]
    pub fn hostname(mut self, name: impl Given<Hostname>) -> Self {
        let at = SourceLocation::caller();
        self.hostname = accept(&mut self.mistakes, name, &at).or(self.hostname);
        self
    }

    /// Gives an address a name in `/etc/hosts`, beside the device's own. Given again for an address, it adds a name.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # fn of(image: Image) -> Image {
    /// image.host("10.0.0.5", "plc").host(std::net::Ipv6Addr::LOCALHOST, "loopback")
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias("hosts", "extra_hosts"))]
    pub fn host(self, address: impl Given<Address>, name: impl Given<DomainName>) -> Self {
        self.hosts(address, [name])
    }

    /// Gives an address several names in `/etc/hosts`: `.hosts("10.0.0.5", ["plc", "plc.example.com"])`.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.hosts("10.0.0.5", ["plc", "plc.example.com"]);
    /// assert!(image.plan().unwrap().text("/etc/hosts").unwrap().contains("plc.example.com"));
    /// ```
    #[track_caller]
    #[doc(alias("extra_hosts"))]
    pub fn hosts(
        mut self,
        address: impl Given<Address>,
        names: impl IntoIterator<Item = impl Given<DomainName>>,
    ) -> Self {
        let at = SourceLocation::caller();
        let address = accept(&mut self.mistakes, address, &at);
        for name in names {
            let name = accept(&mut self.mistakes, name, &at);
            self.hosts.extend(address.clone().zip(name));
        }
        self
    }

    /// The language of messages: `en_US.UTF-8`. Otherwise `C.UTF-8`.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.package("locales").locale("de_DE.UTF-8");
    /// # image.plan().unwrap();
    /// ```
    #[track_caller]
    #[doc(alias("Locale", "LANG", "LocaleMessages"))]
    pub fn locale(mut self, locale: impl Given<Locale>) -> Self {
        let at = SourceLocation::caller();
        self.locale = accept(&mut self.mistakes, locale, &at).or(self.locale);
        self
    }

    /// The device's time zone: `Europe/Berlin`. Otherwise UTC.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.timezone("Europe/Berlin");
    /// assert_eq!(image.plan().unwrap().timezone, "Europe/Berlin");
    /// ```
    #[track_caller]
    #[doc(alias("Timezone", "localtime"))]
    pub fn timezone(mut self, timezone: impl Given<Timezone>) -> Self {
        let at = SourceLocation::caller();
        self.timezone = accept(&mut self.mistakes, timezone, &at).or(self.timezone);
        self
    }

    /// Adds one argument to the kernel's command line, in the order given.
    ///
    /// What follows from the description (`roothash=`, `systemd.volatile=`) is
    /// added by the plan and refused here. Arguments that repeat by design may
    /// be given several times:
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # fn of(image: Image) -> Image {
    /// image
    ///     .command_line("hugepagesz=1G").command_line("hugepages=4")
    ///     .command_line("hugepagesz=2M").command_line("hugepages=4")
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias("KernelCommandLine", "cmdline", "kernel_command_line"))]
    pub fn command_line(self, argument: impl Given<Argument>) -> Self {
        self.argument(argument, false, &SourceLocation::caller())
    }

    /// Adds an argument that takes away what the image guarantees, such as a
    /// verified root or a console without a shell. The plan lists it as a danger.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # fn of(image: Image) -> Image {
    /// image.dangerous_command_line("mitigations=off")
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias("KernelCommandLine", "cmdline", "mitigations", "debug_shell"))]
    pub fn dangerous_command_line(self, argument: impl Given<Argument>) -> Self {
        self.argument(argument, true, &SourceLocation::caller())
    }

    fn argument(mut self, argument: impl Given<Argument>, dangerous: bool, at: &SourceLocation) -> Self {
        let argument = accept(&mut self.mistakes, argument, at);
        self.arguments.extend(argument.map(|argument| KernelArgument { argument, dangerous }));
        self
    }

    /// Sets a value of the kernel's at boot, in place of the plan's default for
    /// it: `.sysctl("kernel.sysrq", "176")`.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.sysctl("kernel.sysrq", "176");
    /// # image.plan().unwrap();
    /// ```
    #[track_caller]
    #[doc(alias("sysctl.d", "hardening"))]
    pub fn sysctl(mut self, key: impl Given<SysctlKey>, value: impl Given<SysctlValue>) -> Self {
        let at = SourceLocation::caller();
        let key = accept(&mut self.mistakes, key, &at);
        let value = accept(&mut self.mistakes, value, &at);
        self.sysctls.extend(key.zip(value));
        self
    }

    /// Puts a kernel module, what it depends on and its firmware into the
    /// initrd, beyond those for common disks and buses. The initrd itself is
    /// made of the image's own packages: mkosi's `Initrds` and `InitrdPackages`
    /// have no counterpart.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # fn of(image: Image) -> Image {
    /// image
    ///     .component("non-free-firmware")
    ///     .package("firmware-bnx2x")
    ///     .initrd_module("bnx2x")
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias("KernelModulesInitrdInclude", "KernelInitrdModules", "Initrds", "InitrdPackages"))]
    pub fn initrd_module(mut self, name: impl Given<ModuleName>) -> Self {
        let at = SourceLocation::caller();
        self.modules.extend(accept(&mut self.mistakes, name, &at));
        self
    }

    /// Adds a partition: an [`Esp`], a [`Root`](root::Root) or [`Data`].
    ///
    /// ```
    /// # use bedplate_core::*;
    /// let image = Image::debian("trixie")
    ///     .package("linux-image-amd64")
    ///     .partition(Esp::new(MiB(512)))
    ///     .partition(Root::new(Erofs).verity())
    ///     .partition(Data::new("persistent", Ext4).mount("/local"));
    /// assert_eq!(image.plan().unwrap().disk.partition("persistent").unwrap().number, 4);
    /// ```
    #[doc(alias("RepartDirectories", "repart.d"))]
    pub fn partition(mut self, partition: impl Into<Partition>) -> Self {
        match partition.into() {
            Partition::Esp(esp) => self.esps.push(esp),
            Partition::Root(root) => self.roots.push(root),
            Partition::Data(mut data) => {
                self.mistakes.append(&mut data.mistakes);
                self.data.push(data);
            }
        }
        self
    }

    /// Says how large a part of the image may become: a build that makes it larger fails.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.budget(Budget::kernel_image(MiB(48)));
    /// assert_eq!(image.plan().unwrap().budgets[0].most, 48 << 20);
    /// ```
    #[doc(alias("SizeMaxBytes"))]
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budgets.push(budget);
        self
    }

    /// Lays the disk out in sectors of this many bytes, 512 or 4096; otherwise 512.
    ///
    /// 4096 is for disks without an emulation of small sectors (4Kn, universal
    /// flash storage). An image of one kind does not start from a disk of the
    /// other, since firmware looks for the partition table in the second sector.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # fn of(image: Image) -> Image {
    /// image.sector_size(4096)
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias("SectorSize", "4Kn", "UFS", "logical-block-size"))]
    pub fn sector_size(mut self, bytes: u32) -> Self {
        self.sector_size = Some(At { value: bytes, at: SourceLocation::caller() });
        self
    }

    /// What becomes of writes to the root: see [`Volatile`].
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.volatile(Volatile::Overlay);
    /// assert!(image.plan().unwrap().command_line.contains(&"systemd.volatile=overlay".to_string()));
    /// ```
    #[doc(alias("systemd.volatile", "Overlay"))]
    pub fn volatile(mut self, volatile: Volatile) -> Self {
        self.volatile = volatile;
        self
    }

    /// Lets what is written to the root take at most so much memory, instead
    /// of systemd's share of it.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.volatile(Volatile::Overlay).volatile_size(MiB(256));
    /// # image.plan().unwrap();
    /// ```
    #[track_caller]
    #[doc(alias("systemd.volatile", "size"))]
    pub fn volatile_size(mut self, size: impl SizeWithUnit) -> Self {
        self.volatile_size = Some(At { value: size.size(), at: SourceLocation::caller() });
        self
    }

    /// Makes a device that can be updated: two slots, signed bundles, and the way back. See [`Updates`].
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # fn of(image: Image) -> Image {
    /// # macro_rules! certificate { ($path:literal) => { Certificate::new($path, "") } }
    /// image.version("1.4.0").updates(Updates::rauc("edge", certificate!("keys/update.pem")))
    /// # }
    /// ```
    #[doc(alias("rauc", "A/B", "sysupdate", "SplitArtifacts", "mender", "swupdate"))]
    pub fn updates(mut self, mut updates: Updates) -> Self {
        self.mistakes.append(&mut updates.mistakes);
        match self.updates {
            Some(_) => self.updates_again.push(updates.at),
            None => self.updates = Some(updates),
        }
        self
    }

    /// Has firmware start nothing but what keys of one's own signed. See [`SecureBoot`].
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.secure_boot(SecureBoot::keys("keys"));
    /// # image.plan().unwrap();
    /// ```
    #[doc(alias("SecureBoot", "sbsign", "db", "MOK", "SecureBootSignTool"))]
    pub fn secure_boot(mut self, secure_boot: SecureBoot) -> Self {
        match self.secure_boot {
            Some(_) => self.secure_boot_again.push(secure_boot.directory.at),
            None => self.secure_boot = Some(secure_boot),
        }
        self
    }

    /// Copies a directory over the root: each file to the path it has in it.
    ///
    /// The directory lies beside the file that calls this. A directory that the
    /// root reaches through a link (`lib`) is written behind the link. Files
    /// belong to root and are programs or not, as git has it; for more, give an
    /// [`Overlay`].
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # fn of(image: Image) -> Image {
    /// image.overlay("overlay").overlay(Overlay::new("secrets").mode("etc/agent/token", 0o600))
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias("ExtraTrees", "SkeletonTrees", "mkosi.extra"))]
    pub fn overlay(mut self, overlay: impl Into<Overlay>) -> Self {
        let mut overlay = overlay.into();
        self.mistakes.append(&mut overlay.mistakes);
        self.overlays.push(overlay);
        self
    }

    /// Puts a file with this text into the root, for settings of a few lines
    /// that belong to a piece of the description. It is root's, mode 0644,
    /// unless its [`Text`] says more, and stands in place of a file that a
    /// package brings there.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # fn of(image: Image) -> Image {
    /// image.file("/etc/systemd/journald.conf.d/50-size.conf", "[Journal]\nSystemMaxUse=200M\n")
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias("ExtraTrees", "write", "heredoc"))]
    pub fn file(self, path: impl Given<DevicePath>, text: impl Into<Text>) -> Self {
        self.text(path, text.into(), &SourceLocation::caller())
    }

    /// Puts a file that its owner alone may read (mode 0600) into the root, for a program that finds fault with a file
    /// others may read. It keeps no secret: who has the image has the file.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.private_file("/etc/agent/token", "…\n");
    /// assert_eq!(image.plan().unwrap().file("/etc/agent/token").unwrap().mode, 0o600);
    /// ```
    #[track_caller]
    #[doc(alias("ExtraTrees", "chmod"))]
    pub fn private_file(self, path: impl Given<DevicePath>, text: impl Into<Text>) -> Self {
        let at = SourceLocation::caller();
        let text = text.into();
        let mode = text.mode.clone().or(Some(At { value: 0o600, at: at.clone() }));
        self.text(path, Text { mode, ..text }, &at)
    }

    fn text(mut self, path: impl Given<DevicePath>, mut text: Text, at: &SourceLocation) -> Self {
        self.mistakes.append(&mut text.mistakes);
        if let Some(path) = accept(&mut self.mistakes, path, at) {
            self.files.push(Written { path, text });
        }
        self
    }

    /// Adds a unit of your own: `.unit(unit!("units/hello.service"))`.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # fn of(image: Image) -> Image {
    /// # macro_rules! unit { ($path:literal) => { Unit::new($path, "") } }
    /// image.unit(unit!("units/hello.service")).enable("hello.service")
    /// # }
    /// ```
    #[doc(alias("systemd"))]
    pub fn unit(mut self, mut unit: Unit) -> Self {
        self.mistakes.append(&mut unit.mistakes);
        self.units.push(unit);
        self
    }

    /// Starts a unit at boot, as its `[Install]` section says. A package does
    /// not do so by itself: in a build there is no running systemd to ask.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.package("docker.io").enable("docker.service");
    /// assert!(image.plan().unwrap().enables("docker.service"));
    /// ```
    #[track_caller]
    #[doc(alias("preset", "Presets", "systemctl"))]
    pub fn enable(mut self, unit: impl Given<UnitName>) -> Self {
        let at = SourceLocation::caller();
        self.enabled.extend(accept(&mut self.mistakes, unit, &at));
        self
    }

    /// Makes a unit impossible to start.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.mask("apt-daily.timer");
    /// assert!(image.plan().unwrap().masks("apt-daily.timer"));
    /// ```
    #[track_caller]
    #[doc(alias("disable", "systemctl"))]
    pub fn mask(mut self, unit: impl Given<UnitName>) -> Self {
        let at = SourceLocation::caller();
        self.masked.extend(accept(&mut self.mistakes, unit, &at));
        self
    }

    /// Adds a user.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.user(User::new("alice").administrator().login(Login::Credential));
    /// # image.plan().unwrap();
    /// ```
    #[doc(alias("useradd", "sysusers", "RootPassword"))]
    pub fn user(mut self, mut user: User) -> Self {
        self.mistakes.append(&mut user.mistakes);
        self.users.push(user);
        self
    }

    /// Lets systemd-resolved answer to the device's name on the local network, and ask others for theirs, by LLMNR and
    /// mDNS: ports 5355 and 5353. Otherwise it does not listen.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.package("systemd-resolved").local_names();
    /// # image.plan().unwrap();
    /// ```
    #[track_caller]
    #[doc(alias("LLMNR", "MulticastDNS", "mDNS", "avahi", ".local"))]
    pub fn local_names(mut self) -> Self {
        self.local_names = Some(SourceLocation::caller());
        self
    }

    /// Logs root in on the screen and the serial lines, for whoever sits there.
    ///
    /// Dangerous because the device belongs to whoever reaches its console. It
    /// is for an image to develop with; the plan says so in its first line.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.dangerous_autologin();
    /// assert_eq!(image.plan().unwrap().dangers.len(), 1);
    /// ```
    #[track_caller]
    #[doc(alias("Autologin", "getty", "agetty"))]
    pub fn dangerous_autologin(mut self) -> Self {
        self.autologin = Some(SourceLocation::caller());
        self
    }

    /// Accepts a file, or all files of a directory, that a package makes when
    /// it is configured and that belong to one machine: a key, an id, a
    /// database. All devices of the image then have the same.
    ///
    /// Dangerous because who has the image has the key. A file that is another
    /// in every build makes each build another image, too.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # fn of(image: Image) -> Image {
    /// image.package("vendor-agent").dangerous_shared("/etc/vendor-agent/enrolment.key")
    /// # }
    /// ```
    #[track_caller]
    #[doc(alias("private key", "hostid", "sysprep", "machine-id"))]
    pub fn dangerous_shared(mut self, path: impl Given<DevicePath>) -> Self {
        let at = SourceLocation::caller();
        self.shared.extend(accept(&mut self.mistakes, path, &at));
        self
    }

    /// Keeps a directory across reboots and updates: its path, or a [`Bind`]. What every release reaches through a link
    /// (`/var/spool/mail`) is bound where the link leads.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// # let device = bedplate_core::rule::device();
    /// let image = device.bind("/greengrass").bind(Bind::new("/etc/amazon/ssm").seeded());
    /// assert_eq!(image.plan().unwrap().backing("/greengrass"), Some("/local/persistent/greengrass"));
    /// ```
    #[track_caller]
    #[doc(alias("persistent", "BindPaths", "mount"))]
    pub fn bind(mut self, bind: impl Into<Bind>) -> Self {
        let mut bind = bind.into();
        if let Some(path) = &mut bind.path {
            path.value = path.value.through_links();
        }
        self.mistakes.append(&mut bind.mistakes);
        self.binds.push(bind);
        self
    }

    /// Applies a function to the image: a reusable piece of a description.
    ///
    /// ```
    /// # use bedplate_core::*;
    /// /// Docker, and where it keeps its images.
    /// fn docker(image: Image) -> Image {
    ///     image.package("docker.io").bind("/var/lib/docker")
    /// }
    /// # let device = bedplate_core::rule::device();
    /// let image = device.with(docker);
    /// # image.plan().unwrap();
    /// ```
    #[doc(alias("Include", "Profiles"))]
    pub fn with(self, piece: impl FnOnce(Image) -> Image) -> Self {
        piece(self)
    }

    /// The data partition that binds are on: the one that grows, so the one
    /// with room; else the first that is mounted.
    pub(crate) fn kept_on(&self) -> Option<&At<DevicePath>> {
        let mounts = |grow: bool| self.data.iter().filter(move |data| data.grow == grow);
        mounts(true).chain(mounts(false)).find_map(|data| data.mount.as_ref())
    }
}
