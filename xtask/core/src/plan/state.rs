//! What a device keeps: the data partition, its growth, and the binds on it.
//!
//! ```text
//! local.mount ───► bedplate-state.service ─► greengrass.mount ─► local-fs.target
//! (by the initrd)   (directories are made)    (bind)
//!      └─► systemd-repart, systemd-growfs@local (partition and file system grow)
//! ```
//!
//! Everything is in place before `local-fs.target`, so no service can see a
//! directory before what is kept in it. The partition is that of the booted disk, and
//! mounted by the initrd (`initrd.rs` beside this). None of it is required: on
//! a device whose data partition is lost, what needs it does not start, and
//! the rest does.

use super::template::{Unfit, quoted, template, units, words};
use super::units::UNITS;
use super::{
    BindKind, BindPlan, DataPlan, DiskPlan, FileKind, FilePlan, PartitionGuid, RequiredBy, UserPlan,
};
use crate::image::Image;
use crate::image::bind::Bind;
use crate::image::volatile::Volatile;
use crate::location::SourceLocation;
use crate::value::{DevicePath, UnitName, escape_path};

/// The directory on the data partition that backs the binds.
pub const BACKING: &str = "persistent";
const STATE_UNIT: &str = "bedplate-state.service";
const DATA_UNIT: &str = "bedplate-data.service";

/// What is kept, by path: what the description says, and what makes a device itself.
pub(super) fn binds(image: &Image, users: &[UserPlan]) -> Vec<BindPlan> {
    let Some(mount) = image.kept_on() else { return Vec::new() };
    let backing = |path: &DevicePath| DevicePath::of_plan(format!("{}/{BACKING}{path}", mount.value));
    let said = image.binds.iter().filter_map(|bind| {
        let path = bind.path.as_ref()?;
        // Each device has an id of its own in any case, before the first unit is started.
        if (path.value.as_str(), bind.kind) == (MACHINE_ID, BindKind::File) {
            return None;
        }
        let home = people(users).any(|user| user.home == path.value);
        Some(BindPlan {
            path: path.value.clone(),
            backing: backing(&path.value),
            kind: bind.kind,
            seeded: bind.seeded || home && !bind.empty,
            empty: bind.empty,
            mode: bind.mode.as_ref().map(|mode| mode.value),
            owner: bind.owner.as_ref().map(|name| name.value.to_string()),
            group: bind.group.as_ref().map(|name| name.value.to_string()),
            executable: bind.executable.is_some(),
            required_by: bind
                .required_by
                .iter()
                .map(|unit| RequiredBy { unit: unit.value.clone(), at: Some(unit.at.clone()) })
                .collect(),
            unit: Some(UnitName::mounting(&path.value)),
            why: None,
            at: Some(path.at.clone()),
        })
    });
    // What the description keeps whole holds what is implied below it too.
    let covered = |path: &str| {
        let held = |bind: &Bind| bind.path.as_ref().is_some_and(|bound| below(path, bound.value.as_str()));
        image.binds.iter().any(held)
    };
    let implied =
        implied(image).into_iter().filter(|(_, path, ..)| !covered(path)).map(|(kind, path, mode, why)| {
            let path = DevicePath::known(path);
            BindPlan {
                backing: backing(&path),
                kind,
                seeded: false,
                empty: false,
                mode: Some(mode),
                owner: Some("root".to_string()),
                group: Some("root".to_string()),
                executable: false,
                required_by: Vec::new(),
                unit: (path != MACHINE_ID).then(|| UnitName::mounting(&path)),
                why: Some(why.to_string()),
                at: None,
                path,
            }
        });
    let mut binds: Vec<BindPlan> = said.chain(implied).collect();
    // What the description says stands before what is implied, and wins.
    binds.sort_by(|left, right| left.path.cmp(&right.path));
    binds.dedup_by(|later, first| later.path == first.path);
    binds
}

/// The users who log in, and so have a home.
fn people(users: &[UserPlan]) -> impl Iterator<Item = &UserPlan> {
    users.iter().filter(|user| !user.system)
}

/// The homes that a device has to make: where the image has each, and where it belongs.
fn homes(image: &Image, binds: &[BindPlan], users: &[UserPlan]) -> Vec<(DevicePath, DevicePath)> {
    let made = people(users).filter_map(|user| {
        let home = &user.home;
        if user.image_home != *home {
            return Some((user.image_home.clone(), home.clone()));
        }
        let bind = binds.iter().find(|bind| below(home, &bind.path))?;
        let below = home.strip_prefix(bind.path.as_str())?;
        Some((home.clone(), DevicePath::of_plan(format!("{}{below}", bind.backing))))
    });
    if image.kept_on().is_some() { made.collect() } else { Vec::new() }
}

/// The mount points of further data partitions that homes lie on.
fn mounts_of_homes<'a>(image: &'a Image, kept: &str, users: &[UserPlan]) -> Vec<&'a str> {
    let mounts = image.data.iter().filter_map(|data| data.mount.as_ref()).map(|mount| mount.value.as_str());
    mounts.filter(|mount| *mount != kept && people(users).any(|user| is_in(&user.home, mount))).collect()
}

/// True for a directory itself and for all below it.
pub(super) fn is_in(path: &str, directory: &str) -> bool {
    path == directory || below(path, directory)
}

fn below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

const MACHINE_ID: &str = "/etc/machine-id";

/// What every device keeps, whatever the description says: kind, path, mode, why.
fn implied(image: &Image) -> Vec<(BindKind, &'static str, u32, &'static str)> {
    let mut rows = vec![
        (BindKind::File, MACHINE_ID, 0o444, "who this device is"),
        (BindKind::File, "/var/lib/systemd/random-seed", 0o600, "its own randomness, from the last boot"),
        // A timer with `Persistent=` asks for the mount of this directory by itself.
        (BindKind::Directory, "/var/lib/systemd/timers", 0o755, "when timers that outlast a reboot last ran"),
    ];
    let has = |name: &str| image.packages.iter().any(|package| package.value.as_str() == name);
    if has("systemd-timesyncd") {
        rows.push((
            BindKind::Directory,
            "/var/lib/systemd/timesync",
            0o755,
            "no clock goes back over a reboot",
        ));
    }
    if image.updates.is_some() {
        rows.push((BindKind::Directory, super::updates::STATE, 0o755, "what is known of updates"));
    }
    if super::sshd::is_there(image) {
        rows.push((BindKind::Directory, super::sshd::KEYS, 0o700, "the keys this device is known by"));
    }
    if super::sshd::has_credentials(image) {
        rows.push((
            BindKind::Directory,
            "/etc/credstore",
            0o700,
            "credentials handed in on the data partition",
        ));
    }
    rows
}

pub(super) fn files(
    image: &Image,
    disk: &DiskPlan,
    binds: &[BindPlan],
    users: &[UserPlan],
) -> Result<Vec<FilePlan>, Unfit> {
    let mut files = Vec::new();
    let kept = super::initrd::kept_on(image, disk);
    for partition in &disk.data {
        let early = kept.as_ref().is_some_and(|(kept, _)| kept == &partition);
        files.extend(data(partition, early)?);
    }
    // Where one is encrypted, the initrd makes and grows all of them.
    if disk.encrypted().is_none() {
        files.extend(repart(disk, "/usr/lib/repart.d")?);
    }
    if image.volatile == Volatile::Overlay {
        files.extend(nearly_full()?);
    }
    let Some((_, mount)) = kept else { return Ok(files) };
    files.extend(factory_reset(&mount, disk.encrypted().is_some())?);
    files.push(FilePlan::text(
        format!("{UNITS}/{STATE_UNIT}"),
        state_unit(&mount, &mounts_of_homes(image, &mount, users))?,
        "makes what lies behind the binds",
    ));
    files.push(
        FilePlan::text(
            "/usr/lib/bedplate/state",
            state_script(binds, &homes(image, binds, users))?,
            "which directories and files, and what they start with",
        )
        .mode(0o755),
    );
    for bind in binds {
        files.extend(bound(bind, users)?);
    }
    Ok(files)
}

/// What systemd-repart makes of the data partitions, in a directory. It matches definitions and partitions of a type in
/// their order, so that a partition which stays as it is has one, too.
pub(super) fn repart(disk: &DiskPlan, directory: &str) -> Result<Vec<FilePlan>, Unfit> {
    let definition = |data: &DataPlan| {
        let DataPlan { partition, filesystem, grow, encrypted, .. } = data;
        let PartitionGuid::Fixed(guid) = partition.guid else { return Ok(None) };
        let (label, size) = (&partition.label, partition.size);
        let text = match encrypted {
            true => template!(
                "settings/repart-encrypted.conf", LABEL = label, UUID = guid, SIZE = size,
                FILESYSTEM = filesystem.name();
                if FIXED = !grow
            )?,
            false => template!(
                "settings/repart.conf", LABEL = label, UUID = guid, SIZE = size;
                if FIXED = !grow
            )?,
        };
        let why = match grow {
            true => "the partition grows to the end of the disk",
            false => "the partition keeps its size",
        };
        let path = format!("{directory}/{:02}-{label}.conf", partition.number);
        Ok(Some(FilePlan::text(path, text, why).at(partition.at.as_ref())))
    };
    disk.data.iter().filter_map(|data| definition(data).transpose()).collect()
}

/// A data partition: where it is mounted, and how it grows. The one that the
/// binds lie on is mounted by the initrd, `early`.
fn data(data: &DataPlan, early: bool) -> Result<Vec<FilePlan>, Unfit> {
    let DataPlan { partition, filesystem, mount, grow, .. } = data;
    let (at, label) = (partition.at.as_ref(), &partition.label);
    let mut files = Vec::new();
    let Some(mount) = mount else { return Ok(files) };
    let device = super::disks::device(label);
    let unit = UnitName::mounting(mount);
    let growth = format!("systemd-growfs@{}.service", escape_path(mount));
    let check = if early { DATA_UNIT.to_string() } else { format!("bedplate-check-{label}.service") };
    let text = template!(
        "units/data.mount",
        LABEL = label,
        CHECK = units([&check]),
        GROWTH = units([&growth]),
        DEVICE = &device,
        MOUNT = mount,
        FILESYSTEM = filesystem.name();
        if GROWS = *grow
    )?;
    files.push(
        FilePlan::text(format!("{UNITS}/{unit}"), text, "mounts the data partition of the booted disk")
            .at(at),
    );
    files.push(wanted(&unit, "a device whose data is lost starts all the same", at));
    files.push(FilePlan::directory(mount, "the data partition is mounted here").at(at));
    if early {
        files.extend(mounted_or_lost(label, mount, at)?);
    } else {
        files.extend(checked(data, early)?.into_iter().map(|file| file.at(at)));
    }
    if *grow {
        let text = template!("units/systemd-growfs@.service", MOUNT = mount, UNIT = units([&unit]))?;
        files.push(
            FilePlan::text(format!("{UNITS}/{growth}"), text, "the file system grows with its partition")
                .at(at),
        );
    }
    Ok(files)
}

/// What the initrd could not mount stays away, and that is told where somebody may see it.
fn mounted_or_lost(label: &str, mount: &str, at: Option<&SourceLocation>) -> Result<Vec<FilePlan>, Unfit> {
    let why = "says so when the data partition is lost";
    let unit = template!("units/bedplate-data.service", LABEL = label)?;
    let script = template!("scripts/data-is-there.sh", MOUNT = mount, LABEL = label)?;
    let not_grown = template!("units/systemd-repart.service.d/50-bedplate.conf")?;
    Ok(vec![
        FilePlan::text(format!("{UNITS}/{DATA_UNIT}"), unit, why).at(at),
        FilePlan::text("/usr/lib/bedplate/data-is-there", script, why).mode(0o755).at(at),
        FilePlan::text(
            format!("{UNITS}/systemd-repart.service.d/50-bedplate.conf"),
            not_grown,
            "a partition that nobody knows is not grown",
        )
        .at(at),
    ])
}

/// The check of a data partition, and what formats it before where a device may: units of the initrd for the one that
/// it mounts, `early`, and of the root for others.
pub(super) fn checked(data: &DataPlan, early: bool) -> Result<Vec<FilePlan>, Unfit> {
    let DataPlan { partition, filesystem, makefs: makes, .. } = data;
    let (label, filesystem, device) =
        (&partition.label, filesystem.name(), super::disks::device(&partition.label));
    let device_unit = format!("{}.device", escape_path(&device));
    let of_it = if early { String::new() } else { format!("-{label}") };
    let [check, makefs] = ["check", "makefs"].map(|what| format!("bedplate-{what}{of_it}.service"));
    let after = if *makes { vec![&device_unit, &makefs] } else { vec![&device_unit] };
    let text = template!(
        "units/bedplate-check.service",
        LABEL = label,
        DEVICE = &device,
        DEVICE_UNIT = units([&device_unit]),
        AFTER = units(after),
        MAKEFS_UNIT = units([&makefs]),
        FILESYSTEM = filesystem;
        if MAKEFS = *makes;
        if EARLY = early;
        if LATE = !early
    )?;
    let why = "the data partition is checked before it is mounted";
    let mut files = vec![FilePlan::text(format!("{UNITS}/{check}"), text, why)];
    if *makes {
        let text = template!(
            "units/bedplate-makefs.service",
            LABEL = label,
            DEVICE = &device,
            DEVICE_UNIT = units([&device_unit]),
            FILESYSTEM = filesystem;
            if EARLY = early;
            if LATE = !early
        )?;
        files.push(FilePlan::text(
            format!("{UNITS}/{makefs}"),
            text,
            "formats what has no known file system",
        ));
    }
    Ok(files)
}

/// The order is given here and carried out by the next boot's initrd, before anything reads what is kept.
fn factory_reset(mount: &str, encrypted: bool) -> Result<Vec<FilePlan>, Unfit> {
    let mount_unit = units([UnitName::mounting(mount)]);
    let text = template!(
        "units/bedplate-factory-reset.service",
        MOUNT = mount,
        UNIT = mount_unit;
        if PLAIN = !encrypted;
        if ENCRYPTED = encrypted
    )?;
    let why = "`systemctl start factory-reset.target` empties what is kept, at the next boot";
    let unit = "bedplate-factory-reset.service";
    Ok(vec![
        FilePlan::text(format!("{UNITS}/{unit}"), text, why),
        FilePlan::link(format!("{UNITS}/factory-reset.target.requires/{unit}"), format!("../{unit}"), why),
    ])
}

/// Looks after the memory that the root's writable layer takes.
fn nearly_full() -> Result<Vec<FilePlan>, Unfit> {
    let why = "says so when the memory for what is written to the root is nearly used up";
    let service = template!("units/bedplate-overlay-full.service")?;
    let timer = template!("units/bedplate-overlay-full.timer")?;
    let script = template!("scripts/overlay-has-room.sh")?;
    let unit = "bedplate-overlay-full";
    Ok(vec![
        FilePlan::text(format!("{UNITS}/{unit}.service"), service, why),
        FilePlan::text(format!("{UNITS}/{unit}.timer"), timer, why),
        FilePlan::link(format!("{UNITS}/timers.target.wants/{unit}.timer"), format!("../{unit}.timer"), why),
        FilePlan::text("/usr/lib/bedplate/overlay-has-room", script, why).mode(0o755),
    ])
}

fn state_unit(mount: &str, further: &[&str]) -> Result<String, Unfit> {
    let writable = std::iter::once(mount.to_string()).chain(further.iter().map(|mount| format!("-{mount}")));
    template!(
        "units/bedplate-state.service",
        MOUNT = mount,
        FURTHER_UNITS = units(further.iter().map(|mount| UnitName::mounting(mount))),
        WRITABLE = words(writable);
        if FURTHER = !further.is_empty();
        if HOME = mount == "/home" || further.contains(&"/home")
    )
}

/// Each is made beside its place and renamed to it, on disk before the rename
/// and after: a power cut leaves all of it or nothing.
fn state_script(binds: &[BindPlan], homes: &[(DevicePath, DevicePath)]) -> Result<String, Unfit> {
    let binds = binds.iter().filter(|bind| bind.unit.is_some()).map(kept).collect();
    let mut lines: Vec<String> =
        homes.iter().map(|(from, to)| format!("kept seeded - - {} {}", quoted(from), quoted(to))).collect();
    if !lines.is_empty() {
        lines.splice(..0, [String::new(), "# Homes of users, as the image has them.".to_string()]);
    }
    template!("scripts/state.sh"; lines BINDS = binds; lines HOMES = lines)
}

/// The call that makes what lies behind one bind.
fn kept(bind: &BindPlan) -> String {
    let kind = match (bind.seeded, bind.kind) {
        (true, _) => "seeded",
        (false, BindKind::Directory) => "directory",
        (false, BindKind::File) => "file",
    };
    let mode = bind.mode.map_or("-".to_string(), |mode| format!("{mode:04o}"));
    let owner = match (&bind.owner, &bind.group) {
        (None, None) => "-".to_string(),
        (owner, group) => {
            let group = group.as_ref().map(|group| format!(":{group}")).unwrap_or_default();
            format!("{}{group}", owner.as_deref().unwrap_or_default())
        }
    };
    format!("kept {kind} {mode} {owner} {} {}", quoted(&bind.path), quoted(&bind.backing))
}

fn bound(bind: &BindPlan, users: &[UserPlan]) -> Result<Vec<FilePlan>, Unfit> {
    let Some(unit) = &bind.unit else { return Ok(Vec::new()) };
    let (path, at) = (&bind.path, bind.at.as_ref());
    let exec = if bind.executable { "exec" } else { "noexec" };
    let text = template!("units/bind.mount", PATH = path, BACKING = &bind.backing, EXEC = exec)?;
    let why = match (&bind.why, bind.seeded) {
        (Some(why), _) => why.as_str(),
        (None, true) => "kept, starting with the packages' files",
        (None, false) => "kept, starting empty",
    };
    let place = match bind.kind {
        BindKind::Directory => FilePlan::directory(path, "a bind is mounted here"),
        BindKind::File => FilePlan::new(path, 0o644, FileKind::MountPoint, "a bind is mounted here"),
    };
    // A service's home that no package makes is the service's.
    let (uid, gid) = users.iter().find(|user| user.home == *path).map_or((0, 0), |user| (user.uid, user.gid));
    let mut files = vec![
        FilePlan::text(format!("{UNITS}/{unit}"), text, why).at(at),
        wanted(unit, "no service starts before what is kept is there", at),
        place.owned_by(uid, gid).at(at),
    ];
    for needs in &bind.required_by {
        let name = format!("{UNITS}/{}.d/50-kept-{}.conf", needs.unit, escape_path(path));
        let text = template!("units/required-by.conf", PATH = path)?;
        let why = format!("{} does not start without {path}", needs.unit);
        files.push(FilePlan::text(name, text, why).at(needs.at.as_ref()));
    }
    Ok(files)
}

fn wanted(unit: &str, why: &str, at: Option<&SourceLocation>) -> FilePlan {
    FilePlan::link(format!("{UNITS}/local-fs.target.wants/{unit}"), format!("../{unit}"), why).at(at)
}

#[cfg(test)]
mod tests {
    use crate::rule::device;
    use crate::{Bind, Data, Ext4, Image, User};
    use expect_test::expect;

    fn text(image: &Image, path: &str) -> String {
        image.plan().unwrap().text(path).unwrap().to_string()
    }

    #[test]
    fn the_data_partition_is_checked_and_found_by_id() {
        expect![[r#"
            [Unit]
            Description=Data Partition (persistent)
            Requires=bedplate-data.service
            After=bedplate-data.service systemd-repart.service
            Wants=systemd-growfs@local.service systemd-repart.service

            [Mount]
            What=/dev/bedplate/persistent
            Where=/local
            Type=ext4
            Options=nosuid,nodev,noexec
        "#]]
        .assert_eq(&text(&device(), "/usr/lib/systemd/system/local.mount"));
    }

    #[test]
    fn the_data_partition_grows_and_its_file_system_with_it() {
        expect![[r#"
            [Partition]
            Type=linux-generic
            Label=persistent
            UUID=df6c4265-b554-50c3-86a8-177e158e4500
            SizeMinBytes=268435456
        "#]]
        .assert_eq(&text(&device(), "/usr/lib/repart.d/04-persistent.conf"));
        expect![[r#"
            [Unit]
            Description=Grow File System on /local
            DefaultDependencies=no
            BindsTo=local.mount
            Conflicts=shutdown.target
            After=systemd-repart.service local.mount
            Before=sysinit.target shutdown.target

            [Service]
            Type=oneshot
            RemainAfterExit=yes
            ExecStart=/usr/lib/systemd/systemd-growfs /local
            TimeoutSec=0
        "#]]
        .assert_eq(&text(&device(), "/usr/lib/systemd/system/systemd-growfs@local.service"));
    }

    #[test]
    fn a_data_partition_that_is_lost_is_left_as_it_is() {
        let repart = text(&device(), "/usr/lib/systemd/system/systemd-repart.service.d/50-bedplate.conf");
        assert_eq!(repart, "[Unit]\nRequires=bedplate-data.service\nAfter=bedplate-data.service\n");
    }

    #[test]
    fn a_bind_is_mounted_after_what_is_behind_it_was_made() {
        let image = device().bind("/opt/my-agent");
        expect![[r#"
            [Unit]
            Description=Persistent /opt/my-agent
            Wants=bedplate-state.service
            After=bedplate-state.service
            AssertPathExists=/local/persistent/opt/my-agent

            [Mount]
            What=/local/persistent/opt/my-agent
            Where=/opt/my-agent
            Type=none
            Options=bind,nosuid,nodev,noexec
        "#]]
        .assert_eq(&text(&image, r"/usr/lib/systemd/system/opt-my\x2dagent.mount"));
        expect![[r#"
            [Unit]
            Description=Persistent State Setup
            DefaultDependencies=no
            RequiresMountsFor=/local
            Conflicts=shutdown.target
            Before=local-fs.target shutdown.target

            [Service]
            Type=oneshot
            RemainAfterExit=yes
            ExecStart=/usr/lib/bedplate/state
            TimeoutSec=0
            NoNewPrivileges=yes
            PrivateDevices=yes
            PrivateNetwork=yes
            ProtectSystem=strict
            ProtectHome=read-only
            ProtectKernelTunables=yes
            ProtectKernelModules=yes
            ProtectKernelLogs=yes
            ProtectControlGroups=yes
            ProtectClock=yes
            ProtectHostname=yes
            ProtectProc=invisible
            ProcSubset=pid
            RestrictAddressFamilies=none
            RestrictNamespaces=yes
            RestrictRealtime=yes
            LockPersonality=yes
            MemoryDenyWriteExecute=yes
            SystemCallArchitectures=native
            SystemCallFilter=@system-service
            SystemCallErrorNumber=EPERM
            KeyringMode=private
            IPAddressDeny=any
            UMask=0077
            ReadWritePaths=/local
            CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID
        "#]]
        .assert_eq(&text(&image, "/usr/lib/systemd/system/bedplate-state.service"));
    }

    #[test]
    fn what_lies_behind_a_bind_is_made_as_it_was_said() {
        let image = device()
            .bind("/greengrass")
            .bind(Bind::new("/etc/amazon/ssm").seeded())
            .bind(Bind::file("/etc/serial").mode(0o600).owner("ggc_user").group("ggc_group"));
        let script = text(&image, "/usr/lib/bedplate/state");
        let calls: Vec<&str> = script.lines().filter(|line| line.starts_with("kept ")).collect();
        expect![[r#"
            [
                "kept seeded - - '/etc/amazon/ssm' '/local/persistent/etc/amazon/ssm'",
                "kept file 0600 ggc_user:ggc_group '/etc/serial' '/local/persistent/etc/serial'",
                "kept directory - - '/greengrass' '/local/persistent/greengrass'",
                "kept file 0600 root:root '/var/lib/systemd/random-seed' '/local/persistent/var/lib/systemd/random-seed'",
                "kept directory 0755 root:root '/var/lib/systemd/timers' '/local/persistent/var/lib/systemd/timers'",
            ]
        "#]]
        .assert_debug_eq(&calls);
    }

    /// case M
    #[test]
    fn a_bind_of_the_machine_id_is_the_one_that_every_device_has() {
        let plan = device().bind(Bind::file("/etc/machine-id")).plan().unwrap();
        assert_eq!(plan.binds, device().plan().unwrap().binds);
        assert!(plan.file(r"/usr/lib/systemd/system/etc-machine\x2did.mount").is_none());
        assert!(plan.initrd.files.iter().any(|file| file.path.ends_with("/bedplate-machine-id.service")));
    }

    /// case 8
    #[test]
    fn a_home_that_is_hidden_is_made_on_the_device() {
        let homes = |image: Image| {
            let image = image.user(User::new("bob").home("/home/bob"));
            let script = text(&image, "/usr/lib/bedplate/state");
            script.lines().filter(|line| line.contains("bob")).map(str::to_string).collect::<Vec<_>>()
        };
        assert_eq!(homes(device()), [""; 0]);
        let expected = "kept seeded - - '/home/bob' '/local/persistent/home/bob'";
        assert_eq!(homes(device().bind("/home")), [expected]);
        assert_eq!(homes(device().bind("/home/bob")), [expected]);
        let on_data = device().partition(Data::new("homes", Ext4).mount("/home").fixed());
        let mut on_data = on_data;
        on_data.data.reverse();
        assert_eq!(homes(on_data.clone()), ["kept seeded - - '/usr/lib/bedplate/homes/bob' '/home/bob'"]);
        let unit = text(&on_data.user(User::new("bob")), "/usr/lib/systemd/system/bedplate-state.service");
        assert!(
            unit.contains("After=home.mount\n")
                && unit.contains("ProtectHome=no\nReadWritePaths=/local -/home\n"),
            "{unit}"
        );
    }

    #[test]
    fn a_service_owns_its_persistent_home() {
        let agent = User::system("agent").uid(990).home("/var/lib/agent");
        let plan = device().user(agent).bind("/var/lib/agent").plan().unwrap();
        let place = plan.file("/var/lib/agent").unwrap();
        assert_eq!((place.uid, place.gid), (990, 990));
    }

    #[test]
    fn a_service_that_needs_what_is_kept_does_not_start_without() {
        let image = device().bind(Bind::new("/var/lib/docker").executable().required_by("docker.service"));
        let drop_in = r"/usr/lib/systemd/system/docker.service.d/50-kept-var-lib-docker.conf";
        assert_eq!(text(&image, drop_in), "[Unit]\nRequiresMountsFor=/var/lib/docker\n");
        let unit = text(&image, "/usr/lib/systemd/system/var-lib-docker.mount");
        assert!(unit.contains("Options=bind,nosuid,nodev,exec\n"), "{unit}");
    }

    #[test]
    fn no_mount_keeps_a_device_from_starting() {
        let plan = device().bind("/greengrass").plan().unwrap();
        for unit in ["local.mount", "greengrass.mount"] {
            let link = |how: &str| format!("/usr/lib/systemd/system/local-fs.target.{how}/{unit}");
            assert!(plan.file(&link("wants")).is_some() && plan.file(&link("requires")).is_none());
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
