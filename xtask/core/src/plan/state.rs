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

/// The binds by path.
pub(super) fn binds(image: &Image) -> Vec<BindPlan> {
    let Some(mount) = image.kept_on() else { return Vec::new() };
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
    let Some(mount) = image.kept_on() else { return files };
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
    let wants = if *grow { format!("Wants={growth} systemd-repart.service\n") } else { String::new() };
    let text = format!(
        "[Unit]\nDescription=Data of this device ({label})\nRequires={fsck}\nAfter={fsck} systemd-repart.service\n{wants}\n\
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

#[cfg(test)]
mod tests {
    use crate::explain::device;
    use crate::{Bind, Data, Ext4, Image};
    use expect_test::expect;

    fn text(image: &Image, path: &str) -> String {
        image.plan().unwrap().text(path).unwrap().to_string()
    }

    #[test]
    fn the_data_partition_is_checked_and_found_by_id() {
        expect![[r#"
            [Unit]
            Description=Data of this device (persistent)
            Requires=systemd-fsck@dev-disk-by\x2dpartuuid-df6c4265\x2db554\x2d50c3\x2d86a8\x2d177e158e4500.service
            After=systemd-fsck@dev-disk-by\x2dpartuuid-df6c4265\x2db554\x2d50c3\x2d86a8\x2d177e158e4500.service systemd-repart.service
            Wants=systemd-growfs@local.service systemd-repart.service

            [Mount]
            What=/dev/disk/by-partuuid/df6c4265-b554-50c3-86a8-177e158e4500
            Where=/local
            Type=ext4
            Options=nosuid,nodev
        "#]].assert_eq(&text(&device(), "/usr/lib/systemd/system/local.mount"));
    }

    #[test]
    fn the_data_partition_grows_and_its_file_system_with_it() {
        expect![[r#"
            [Partition]
            Type=linux-generic
            Label=persistent
            UUID=df6c4265-b554-50c3-86a8-177e158e4500
            SizeMinBytes=1073741824
        "#]]
        .assert_eq(&text(&device(), "/usr/lib/repart.d/04-persistent.conf"));
        expect![[r#"
            [Unit]
            Description=Grow File System on /local
            DefaultDependencies=no
            BindsTo=local.mount
            Conflicts=shutdown.target
            After=systemd-repart.service local.mount
            Before=shutdown.target local-fs.target

            [Service]
            Type=oneshot
            RemainAfterExit=yes
            ExecStart=/usr/lib/systemd/systemd-growfs /local
            TimeoutSec=0
        "#]]
        .assert_eq(&text(&device(), "/usr/lib/systemd/system/systemd-growfs@local.service"));
    }

    #[test]
    fn a_bind_is_mounted_after_what_is_behind_it_was_made() {
        let image = device().bind("/opt/my-agent");
        expect![[r#"
            [Unit]
            Description=/opt/my-agent Is Kept
            Requires=bedplate-state.service
            After=bedplate-state.service

            [Mount]
            What=/local/persistent/opt/my-agent
            Where=/opt/my-agent
            Type=none
            Options=bind
        "#]]
        .assert_eq(&text(&image, r"/usr/lib/systemd/system/opt-my\x2dagent.mount"));
        expect![[r#"
            [Unit]
            Description=Directories This Device Keeps
            DefaultDependencies=no
            RequiresMountsFor=/local
            Conflicts=shutdown.target
            Before=local-fs.target shutdown.target

            [Service]
            Type=oneshot
            RemainAfterExit=yes
            ExecStart=systemd-tmpfiles --create /usr/lib/bedplate/state.conf
        "#]]
        .assert_eq(&text(&image, "/usr/lib/systemd/system/bedplate-state.service"));
    }

    #[test]
    fn a_seeded_bind_starts_with_the_packages_files_and_a_plain_one_empty() {
        let image = device().bind("/greengrass").bind(Bind::new("/etc/amazon/ssm").seeded());
        expect![[r#"
            # Made at every boot, before the binds; what is there is left as it is.
            C /local/persistent/etc/amazon/ssm - - - - /etc/amazon/ssm
            d /local/persistent/greengrass :0755 :root :root -
        "#]]
        .assert_eq(&text(&image, "/usr/lib/bedplate/state.conf"));
    }

    #[test]
    fn every_mount_is_required_before_services_start() {
        let plan = device().bind("/greengrass").plan().unwrap();
        for unit in ["local.mount", "greengrass.mount"] {
            assert!(plan.file(&format!("/usr/lib/systemd/system/local-fs.target.requires/{unit}")).is_some());
        }
    }

    #[test]
    fn what_is_kept_goes_where_there_is_room() {
        let mut image =
            device().partition(Data::new("logs", Ext4).mount("/logs").fixed()).bind("/greengrass");
        image.data.reverse();
        assert_eq!(image.plan().unwrap().backing("/greengrass"), Some("/local/persistent/greengrass"));
    }
}
