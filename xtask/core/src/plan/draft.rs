//! The plan in the making.

use super::guid::Stream;
use super::template::Unfit;
use super::{
    BindPlan, ContentsPlan, DiskPlan, FileKind, FilePlan, InitrdPlan, ModulePlan, OverlayPlan, OverlayRule,
    Plan, SettingPlan, SnapshotPlan, UnitsPlan, UserPlan,
};
use super::{
    archives, boot, budgets, console, contents, dangers, debs, disks, hardening, identity, initrd, layout,
    listeners, packages, people, sshd, state, system, trust, units, updates,
};
use crate::image::Image;
use crate::image::overlay::{self, Overlay};
use crate::image::root::RootSlot;
use crate::image::target::Target;
use crate::image::text::Written;
use crate::release::{self, Release};

/// What the plan writes by itself, before the description's own files are laid over it.
pub(crate) struct Draft<'a> {
    image: &'a Image,
    name: &'a str,
    target: &'a Target,
    release: &'static Release,
    root: &'a RootSlot,
    stream: Stream,
    /// The disk.
    pub disk: DiskPlan,
    users: Vec<UserPlan>,
    binds: Vec<BindPlan>,
    contents: ContentsPlan,
    settings: Vec<SettingPlan>,
    initrd: InitrdPlan,
    /// Files of the plan.
    pub files: Vec<FilePlan>,
    /// Units that are enabled and masked.
    pub units: UnitsPlan,
}

impl<'a> Draft<'a> {
    /// Starts the plan of an image without mistakes. None where its release, its ESP or its root is missing, which is one.
    pub fn new(image: &'a Image, name: &'a str, target: &'a Target) -> Result<Option<Self>, Unfit> {
        let release = release::find(image.distribution, &image.release.value);
        let (Some(release), Some(esp), Some(root)) = (release, image.esps.first(), image.roots.first())
        else {
            return Ok(None);
        };
        let stream = Stream::of(name);
        let disk = layout::disk(image, esp, root, target.architecture, &stream);
        let users = people::users(image);
        let binds = state::binds(image, &users);
        let units = units::plan(image);
        let contents = contents::plan(image);
        let settings = hardening::settings(image);
        let mut files = Vec::new();
        files.extend(state::files(image, &disk, &binds, &users)?);
        files.extend(disks::root(image, &disk)?);
        files.extend(updates::files(image, &disk)?);
        files.extend(system::files(image)?);
        files.extend(hardening::files(&settings));
        files.extend(people::files(&users));
        files.extend(units::files(image, &units));
        files.extend(sshd::files(image)?);
        files.extend(console::files(image)?);
        files.extend(contents::files(&contents));
        Ok(Some(Draft {
            initrd: initrd::plan(image, root, &disk)?,
            image,
            name,
            target,
            release,
            root,
            stream,
            disk,
            users,
            binds,
            contents,
            settings,
            files,
            units,
        }))
    }

    /// Decides everything else.
    pub fn finish(self) -> Plan {
        let Draft { image, name, target, release, root, disk, settings, .. } = self;
        let debs = debs::plan(image);
        let archives = archives::plan(image, release, target.architecture);
        let mut plan = Plan {
            name: name.to_string(),
            version: image.version.as_ref().map(|version| version.value.to_string()),
            distribution: image.distribution,
            release: release.name.to_string(),
            architecture: target.architecture,
            snapshot: image
                .snapshot
                .as_ref()
                .map(|snapshot| SnapshotPlan { moment: snapshot.value.to_string(), at: snapshot.at.clone() }),
            mirrors: image.mirrors.iter().map(|url| url.value.without_slash()).collect(),
            packages: packages::plan(image, release, root, &archives),
            archives,
            dangers: dangers::plan(image).into_iter().chain(debs::dangers(&debs)).collect(),
            debs,
            without: packages::without(image),
            answers: packages::answers(image),
            tools: packages::tools(image, release, root),
            hostname: image.hostname.as_ref().map(|name| name.value.to_string()),
            command_line: boot::command_line(image, &disk, &settings),
            locale: system::locale(image),
            timezone: image.timezone.as_ref().map_or("UTC".to_string(), |zone| zone.value.to_string()),
            artifacts: boot::artifacts(image, &disk, target.architecture),
            initrd: self.initrd,
            updates: updates::plan(image, &disk),
            secure_boot: trust::plan(image),
            disk,
            budgets: budgets::plan(image),
            files: files(image, self.files),
            overlays: image.overlays.iter().map(overlay).collect(),
            contents: self.contents,
            units: self.units,
            users: self.users,
            binds: self.binds,
            volatile: image.volatile,
            settings,
            modules: image
                .modules
                .iter()
                .map(|module| ModulePlan { name: module.value.to_string(), at: Some(module.at.clone()) })
                .collect(),
            identities: Vec::new(),
            listeners: Vec::new(),
            shared: dangers::shared(image),
            seed: self.stream.seed(),
        };
        plan.identities = identity::plan(&plan);
        plan.listeners = listeners::plan(image, &plan);
        plan
    }
}

/// The plan's files and those of the description, by path.
fn files(image: &Image, mut files: Vec<FilePlan>) -> Vec<FilePlan> {
    files.retain(|place| {
        let text = |file: &Written| file.path.value == place.path;
        !(matches!(place.kind, FileKind::MountPoint) && image.files.iter().any(text))
    });
    files.extend(image.files.iter().map(|file| {
        let name = |name: &dyn std::fmt::Display| name.to_string();
        FilePlan {
            mode: file.text.mode.as_ref().map_or(0o644, |mode| mode.value),
            owner: file.text.owner.as_ref().map(|owner| name(&owner.value)),
            group: file.text.group.as_ref().map(|group| name(&group.value)),
            ..FilePlan::text(file.path.value.as_str(), &file.text.text, "written in the description")
        }
        .at(Some(&file.path.at))
    }));
    files.sort_by(|left: &FilePlan, right| left.path.cmp(&right.path));
    files.dedup_by(|later, first| later.path == first.path);
    files
}

fn overlay(overlay: &Overlay) -> OverlayPlan {
    let rule = |rule: &overlay::Rule| OverlayRule {
        pattern: rule.pattern.value.clone(),
        mode: rule.mode,
        owner: rule.owner.as_ref().map(ToString::to_string),
        group: rule.group.as_ref().map(ToString::to_string),
        at: rule.pattern.at.clone(),
    };
    OverlayPlan {
        source: overlay.directory.at.beside(&overlay.directory.value),
        rules: overlay.rules.iter().map(rule).collect(),
        at: overlay.directory.at.clone(),
    }
}
