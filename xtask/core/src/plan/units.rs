//! Units: those enabled, those masked, those written by hand.
//!
//! What a package enables in a living system is of no use, or fails, where the
//! root is an image: those units are masked, each with its reason.

use super::{FilePlan, UnitPlan, UnitsPlan};
use crate::image::Image;
use crate::image::volatile::Volatile;
use crate::location::At;
use crate::value::UnitName;

/// Where units live that come with the image, as those of packages do.
pub(super) const UNITS: &str = "/usr/lib/systemd/system";

/// Units that make no sense on a root that is an image, and why.
const OF_NO_USE: [(&str, &str); 14] = [
    ("apt-daily-upgrade.service", "packages come with the image"),
    ("apt-daily-upgrade.timer", "packages come with the image"),
    ("apt-daily.service", "packages come with the image"),
    ("apt-daily.timer", "packages come with the image"),
    ("dpkg-db-backup.service", "dpkg's database comes with the image"),
    ("dpkg-db-backup.timer", "dpkg's database comes with the image"),
    ("e2scrub_all.timer", "there are no LVM volumes to scrub"),
    ("e2scrub_reap.service", "there are no LVM volumes to scrub"),
    ("sys-kernel-debug.mount", "nobody debugs the kernel of a device"),
    ("sys-kernel-tracing.mount", "nobody traces the kernel of a device"),
    ("motd-news.timer", "nothing is fetched that nobody asked for"),
    ("systemd-boot-update.service", "the boot loader comes with the image"),
    ("systemd-firstboot.service", "nobody sits at the console to be asked"),
    ("systemd-remount-fs.service", "the root is mounted as it stays"),
];

pub(super) fn plan(image: &Image) -> UnitsPlan {
    let said =
        |unit: &At<UnitName>| UnitPlan { name: unit.value.clone(), why: None, at: Some(unit.at.clone()) };
    let mut enable: Vec<UnitPlan> = image.enabled.iter().map(said).collect();
    let mut mask: Vec<UnitPlan> = image.masked.iter().map(said).collect();
    let wanted = |name: &str| image.enabled.iter().any(|unit| unit.value.as_str() == name);
    if is_image(image) {
        let of_no_use = OF_NO_USE.iter().filter(|(name, _)| !wanted(name));
        mask.extend(of_no_use.map(|(name, why)| UnitPlan {
            name: UnitName::known(*name),
            why: Some((*why).to_string()),
            at: None,
        }));
    }
    let (daemon, socket) = super::sshd::units(image);
    enable.extend(daemon);
    mask.extend(socket);
    if image.kept_on().is_some() {
        mask.push(UnitPlan {
            name: UnitName::known("systemd-machine-id-commit.service"),
            why: Some("the id is on the data partition already".to_string()),
            at: None,
        });
    }
    let seed = "systemd-boot-random-seed.service";
    let why = match (&image.updates, image.kept_on()) {
        (Some(_), _) => Some("the ESP decides what is started, and only updates write to it"),
        // A FAT that is written at every start is one that a power cut can damage at every start.
        (None, Some(_)) if !wanted(seed) => {
            Some("randomness is kept on the data partition, and the ESP as it is")
        }
        _ => None,
    };
    mask.extend(why.map(|why| UnitPlan {
        name: UnitName::known(seed),
        why: Some(why.to_string()),
        at: None,
    }));
    for units in [&mut enable, &mut mask] {
        units.sort_by(|left, right| left.name.cmp(&right.name));
        units.dedup_by(|later, first| later.name == first.name);
    }
    UnitsPlan { enable, mask }
}

/// True when what is written to the root is not kept there.
fn is_image(image: &Image) -> bool {
    image.volatile != Volatile::None || image.roots.iter().any(|root| root.filesystem.is_read_only())
}

pub(super) fn files(image: &Image, units: &UnitsPlan) -> Vec<FilePlan> {
    let own = image.units.iter().filter_map(|unit| {
        let name = unit.name.as_ref()?;
        let path = format!("{UNITS}/{}", name.value);
        Some(FilePlan::text(path, unit.text.clone(), "written by hand").at(Some(&unit.at)))
    });
    let masks = units.mask.iter().map(|unit| {
        let why = unit.why.as_deref().unwrap_or("the description masks it");
        FilePlan::link(format!("/etc/systemd/system/{}", unit.name), "/dev/null", why).at(unit.at.as_ref())
    });
    own.chain(masks).collect()
}
