//! What a device keeps: the data partition, its growth, and the binds on it.
//!
//! ```text
//! systemd-repart ─► local.mount ─► bedplate-state.service ─► greengrass.mount ─► local-fs.target
//! (partition grows)  (after fsck)   (directories are made)    (bind)
//!                        └─► systemd-growfs@local (file system grows)
//! ```
//!
//! Everything is in place before `local-fs.target`, so no service can see a
//! directory before what is kept in it. The partition is found by its id.

use super::units::UNITS;
use super::{BindPlan, DiskPlan, FilePlan, PartitionContent, PartitionGuid, PartitionPlan};
use crate::image::Image;
use crate::place::Place;
use crate::value::escape_path;

/// The directory on the data partition that backs the binds.
const BACKING: &str = "persistent";
const STATE_UNIT: &str = "bedplate-state.service";
const STATE_RULES: &str = "/usr/lib/bedplate/state.conf";

/// The binds by path, on the first data partition that is mounted.
pub(super) fn binds(image: &Image) -> Vec<BindPlan> {
    let Some(mount) = image.data.iter().find_map(|data| data.mount.as_ref()) else { return Vec::new() };
    let mut binds: Vec<BindPlan> = image
        .binds
        .iter()
        .filter_map(|bind| {
            let path = bind.path.as_ref()?;
            Some(BindPlan {
                path: path.value.to_string(),
                backing: format!("{}/{BACKING}{}", mount.value, path.value),
                seeded: bind.seeded,
                unit: format!("{}.mount", escape_path(path.value.as_str())),
                at: Some(path.at.clone()),
            })
        })
        .collect();
    binds.sort_by(|left, right| left.path.cmp(&right.path));
    binds
}

pub(super) fn files(image: &Image, disk: &DiskPlan, binds: &[BindPlan]) -> Vec<FilePlan> {
    let mut files = Vec::new();
    for partition in &disk.partitions {
        files.extend(data(partition));
    }
    let Some(mount) = image.data.iter().find_map(|data| data.mount.as_ref()) else { return files };
    if binds.is_empty() {
        return files;
    }
    files.push(FilePlan::text(
        format!("{UNITS}/{STATE_UNIT}"),
        state_unit(mount.value.as_str()),
        "makes the directories behind the binds",
    ));
    files.push(FilePlan::text(
        STATE_RULES,
        state_rules(binds),
        "which directories, and what they start with",
    ));
    for bind in binds {
        files.extend(bound(bind));
    }
    files
}

/// A data partition: where it is mounted, and how it grows.
fn data(partition: &PartitionPlan) -> Vec<FilePlan> {
    let PartitionContent::Data { filesystem, mount, grow, .. } = &partition.content else {
        return Vec::new();
    };
    let PartitionGuid::Fixed(guid) = partition.guid else { return Vec::new() };
    let (at, label) = (partition.at.as_ref(), &partition.label);
    let mut files = Vec::new();

    // repart matches definitions and partitions of a type in their order, so a
    // partition that stays as it is needs one too.
    let most = if *grow { String::new() } else { format!("SizeMaxBytes={}\n", partition.size) };
    files.push(
        FilePlan::text(
            format!("/usr/lib/repart.d/{:02}-{label}.conf", partition.number),
            format!(
                "[Partition]\nType=linux-generic\nLabel={label}\nUUID={guid}\nSizeMinBytes={}\n{most}",
                partition.size
            ),
            if *grow { "the partition grows to the end of the disk" } else { "the partition keeps its size" },
        )
        .at(at),
    );

    let Some(mount) = mount else { return files };
    let device = format!("/dev/disk/by-partuuid/{guid}");
    let unit = format!("{}.mount", escape_path(mount));
    let fsck = format!("systemd-fsck@{}.service", escape_path(&device));
    let growth = format!("systemd-growfs@{}.service", escape_path(mount));
    let wants = if *grow { format!("Wants={growth}\n") } else { String::new() };
    let text = format!(
        "[Unit]\nDescription=Data of this device ({label})\nRequires={fsck}\nAfter={fsck}\n{wants}\n\
         [Mount]\nWhat={device}\nWhere={mount}\nType={}\nOptions=nosuid,nodev\n",
        filesystem.name()
    );
    files.push(FilePlan::text(format!("{UNITS}/{unit}"), text, "mounts the data partition by its id").at(at));
    files.push(required(&unit, "the device does not start without its data", at));
    files.push(FilePlan::directory(mount, "the data partition is mounted here").at(at));
    if *grow {
        // As systemd's fstab generator writes it; older releases have no template.
        let text = format!(
            "[Unit]\nDescription=Grow File System on {mount}\nDefaultDependencies=no\nBindsTo={unit}\n\
             Conflicts=shutdown.target\nAfter=systemd-repart.service {unit}\nBefore=shutdown.target local-fs.target\n\n\
             [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/lib/systemd/systemd-growfs {mount}\nTimeoutSec=0\n"
        );
        files.push(
            FilePlan::text(format!("{UNITS}/{growth}"), text, "the file system grows with its partition")
                .at(at),
        );
    }
    files
}

fn state_unit(mount: &str) -> String {
    format!(
        "[Unit]\nDescription=Directories This Device Keeps\nDefaultDependencies=no\nRequiresMountsFor={mount}\n\
         Conflicts=shutdown.target\nBefore=local-fs.target shutdown.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=systemd-tmpfiles --create {STATE_RULES}\n"
    )
}

/// tmpfiles.d(5): a colon before mode and owner means only when it is made, so
/// that a service that narrows its directory's mode keeps it narrow.
fn state_rules(binds: &[BindPlan]) -> String {
    let mut rules = String::from("# Made at every boot, before the binds; what is there is left as it is.\n");
    for bind in binds {
        let line = match bind.seeded {
            true => format!("C {} - - - - {}\n", bind.backing, bind.path),
            false => format!("d {} :0755 :root :root -\n", bind.backing),
        };
        rules.push_str(&line);
    }
    rules
}

fn bound(bind: &BindPlan) -> Vec<FilePlan> {
    let (path, backing, at) = (&bind.path, &bind.backing, bind.at.as_ref());
    let text = format!(
        "[Unit]\nDescription={path} Is Kept\nRequires={STATE_UNIT}\nAfter={STATE_UNIT}\n\n\
         [Mount]\nWhat={backing}\nWhere={path}\nType=none\nOptions=bind\n"
    );
    let why = if bind.seeded { "kept, starting with the packages' files" } else { "kept, starting empty" };
    vec![
        FilePlan::text(format!("{UNITS}/{}", bind.unit), text, why).at(at),
        required(&bind.unit, "no service starts without what is kept", at),
        FilePlan::directory(path, "a bind is mounted here").at(at),
    ]
}

fn required(unit: &str, why: &str, at: Option<&Place>) -> FilePlan {
    FilePlan::link(format!("{UNITS}/local-fs.target.requires/{unit}"), format!("../{unit}"), why).at(at)
}
