//! Packages: those asked for, those implied, those the build runs.

use super::{AnswerPlan, ArchivePlan, OriginPlan, PackagePlan, Why, origins_of};
use crate::image::Image;
use crate::image::answer::Answer;
use crate::image::filesystem::Filesystem;
use crate::image::root::RootSlot;
use crate::location::{At, SourceLocation};
use crate::release::Release;
use crate::value::{PackageName, Question};

/// By name; a package both asked for and implied is one that was asked for.
pub(super) fn plan(
    image: &Image,
    release: &Release,
    root: &RootSlot,
    archives: &[ArchivePlan],
) -> Vec<PackagePlan> {
    let asked = image.packages.iter().map(|package| PackagePlan {
        name: package.value.clone(),
        why: Why::Asked,
        from: None,
        version: None,
        recommends: false,
        at: Some(package.at.clone()),
    });
    let implied = implied(image, release, root).into_iter().map(|(name, why, at)| PackagePlan {
        name: PackageName::known(name),
        why: Why::Implied(why.to_string()),
        from: None,
        version: None,
        recommends: false,
        at: at.cloned(),
    });
    let mut packages: Vec<PackagePlan> = asked.chain(implied).collect();
    packages.sort_by(|left, right| left.name.cmp(&right.name));
    packages.dedup_by(|later, first| later.name == first.name);
    for choice in &image.choices {
        let Some(name) = &choice.name else { continue };
        let mut same = packages.iter_mut().filter(|package| package.name == name.value);
        let Some(package) = same.next() else { continue };
        // The line that says most of it is answerable for what cannot be had.
        package.at = Some(name.at.clone());
        package.recommends |= choice.recommends;
        if let Some(suite) = &choice.from {
            let origin = origins_of(archives, suite.value.as_str()).first().map(|archive| OriginPlan {
                base: archive.base.clone(),
                suite: archive.suite.clone(),
                pocket: archive.pocket.clone(),
            });
            package.from = origin.or(package.from.take());
        }
        if let Some(version) = &choice.version {
            package.version = Some(version.value.to_string());
        }
    }
    packages
}

/// The answers to packages' questions, in the order in which they are given.
pub(super) fn answers(image: &Image) -> Vec<AnswerPlan> {
    let plan = |(question, answer): &(At<Question>, Answer)| AnswerPlan {
        name: question.value.to_string(),
        answer: answer.clone(),
        at: Some(question.at.clone()),
    };
    image.answers.iter().map(plan).collect()
}

/// A package, why it must be there, and the line that makes it so.
pub(crate) type Implied<'a> = (&'static str, &'static str, Option<&'a SourceLocation>);

/// The packages a description cannot do without, whether or not it names them.
pub(crate) fn implied<'a>(image: &'a Image, release: &Release, root: &'a RootSlot) -> Vec<Implied<'a>> {
    let mut implied: Vec<Implied<'_>> = vec![
        ("systemd-sysv", "the first process", None),
        ("udev", "devices and their names, in the initrd too", None),
        ("dbus", "systemd is spoken to over it", None),
        ("kmod", "the kernel's modules", None),
    ];
    if root.verity {
        let packages = release.verity.iter();
        implied.extend(packages.map(|name| (*name, "sets up the verified root", Some(&root.at))));
    }
    if let Some(mount) = image.kept_on() {
        implied.push((super::disks::PACKAGE, "gives a device's disk ids of its own", Some(&mount.at)));
    }
    if let Some(updates) = &image.updates {
        let packages = super::updates::PACKAGES.iter();
        implied.extend(packages.map(|(name, why)| (*name, *why, Some(&updates.at))));
    }
    for data in &image.data {
        implied.push(("e2fsprogs", "checks the data partition at boot", Some(&data.at)));
        if let Some(encryption) = &data.encryption {
            let packages = release.sealing.iter().chain([&release.repart]);
            implied.extend(packages.map(|name| (*name, "encrypts the data partition", Some(&encryption.at))));
            if encryption.recovery.is_some() {
                implied.push(("openssl", "encrypts the recovery key to its owner", Some(&encryption.at)));
            }
        } else if data.grow {
            implied.push((release.repart, "grows the data partition", Some(&data.at)));
        }
    }
    if root.filesystem == Filesystem::Ext4 {
        implied.push(("e2fsprogs", "checks the root at boot", Some(&root.at)));
    }
    if let Some(locale) = &image.locale
        && !locale.value.as_str().starts_with("C.")
    {
        implied.push(("locales", "makes the locale", Some(&locale.at)));
    }
    for user in &image.users {
        let at = user.name.as_ref().map(|name| &name.at);
        if user.comes_in() {
            implied.push((super::sshd::PACKAGE, "lets those in who have a key", at));
        }
        if user.administrator {
            implied.push(("sudo", "makes an administrator root", at));
        }
    }
    if let Some(hostname) = super::hostname::template(image) {
        implied.push((super::hostname::PACKAGE, "resolves the device's own name", Some(&hostname.at)));
    }
    if let Some(at) = &image.autologin {
        implied.push((super::console::PACKAGE, "logs root in on the console", Some(at)));
    }
    if let Some(timezone) = &image.timezone {
        implied.push(("tzdata", "knows the time zone", Some(&timezone.at)));
    }
    implied
}

pub(super) fn without(image: &Image) -> Vec<PackageName> {
    let mut names: Vec<PackageName> = image.without.iter().map(|package| package.value.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// The package whose files are copied into the image's EFI system partition.
pub(super) const EFI_PROGRAMS: &str = "systemd-boot-efi";

/// What the build runs or copies from, in a tree of its own.
pub(super) fn tools(image: &Image, release: &Release, root: &RootSlot) -> Vec<PackageName> {
    // base-files has the links of a merged /usr, without which no program finds its loader.
    let mut names = vec!["base-files", EFI_PROGRAMS];
    if root.filesystem == Filesystem::Squashfs {
        names.push("squashfs-tools");
    }
    if root.filesystem == Filesystem::Ext4 || !image.data.is_empty() {
        names.push("e2fsprogs");
        // mke2fs loads it at run time to read a tar stream; nothing depends on it.
        names.extend(release.ext4_tar().then_some(release.libarchive));
    }
    names.sort_unstable();
    names.into_iter().map(PackageName::known).collect()
}
