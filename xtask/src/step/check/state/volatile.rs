//! State of started services that is gone at the next boot.

use std::collections::BTreeSet;

use bedplate_core::{Diagnostic, SourceLocation, Volatile};
use bedplate_formats::tree::TreePath;

use super::super::started::Started;
use super::super::unit::{self, Unit};
use super::super::{Findings, Subject};
use super::{STATE_IS_VOLATILE, is_below};
use crate::step::users;

/// Where programs keep their state whose units and packages do not say it.
const UNSAID: [(&str, &str); 11] = [
    ("docker.service", "/var/lib/docker"),
    ("containerd.service", "/var/lib/containerd"),
    ("mosquitto.service", "/var/lib/mosquitto"),
    ("redis-server.service", "/var/lib/redis"),
    ("mariadb.service", "/var/lib/mysql"),
    ("postgresql.service", "/var/lib/postgresql"),
    ("influxdb.service", "/var/lib/influxdb"),
    ("grafana-server.service", "/var/lib/grafana"),
    ("tailscaled.service", "/var/lib/tailscale"),
    ("NetworkManager.service", "/etc/NetworkManager/system-connections"),
    ("bluetooth.service", "/var/lib/bluetooth"),
];

/// Directories in `/var/lib` that are the packages' own, that the plan takes care of, or whose loss nobody notices.
const OF_NO_USE: [&str; 32] = [
    "apache2",
    "apt",
    "aspell",
    "bedplate",
    "binfmts",
    "command-not-found",
    "dbus",
    "dkms",
    "dpkg",
    "emacsen-common",
    "grub",
    "haproxy",
    "initramfs-tools",
    "logrotate",
    "man-db",
    "misc",
    "os-prober",
    "pam",
    "php",
    "plymouth",
    "polkit-1",
    "private",
    "python",
    "sgml-base",
    "sudo",
    "systemd",
    "ucf",
    "udisks2",
    "unbound",
    "update-notifier",
    "vim",
    "xml-core",
];

/// Tells of each started service that the description asks for what it loses.
pub(super) fn volatile(subject: &Subject<'_>, started: &Started, found: &mut Findings) {
    let lost = match subject.plan.volatile {
        Volatile::Overlay => "is gone at the next boot",
        Volatile::None if subject.plan.disk.root.filesystem.is_read_only() => {
            "cannot be written, since the root is read-only"
        }
        Volatile::None | Volatile::Persistent => return,
    };
    // A device without a data partition is meant to forget.
    if subject.data_mounts().next().is_none() {
        return;
    }
    journal(subject, lost, found);
    let packages = Packages::new(subject);
    let passwd = users::read(subject.tree, "etc/passwd");
    let mut told = BTreeSet::new();
    for unit in started.iter() {
        let package = packages.of(unit);
        let Some(at) = answerable(subject, unit, package) else { continue };
        let mut directories: Vec<String> = Vec::new();
        for directory in
            said(unit).chain(shipped(subject, unit, package)).chain(owned(subject, unit, &passwd))
        {
            if is_lost(subject, &directory) && told.insert(directory.clone()) {
                directories.push(directory);
            }
        }
        if !directories.is_empty() {
            found.cautions.push(is_volatile(unit, &directories, lost).at(&at));
        }
    }
}

/// A journal that the description wants to last, in a directory that does not.
fn journal(subject: &Subject<'_>, lost: &str, found: &mut Findings) {
    const JOURNAL: &str = "/var/log/journal";
    for place in ["etc/systemd/journald.conf", "etc/systemd/journald.conf.d"].map(TreePath::new) {
        for (path, _) in subject.origins.below(&place) {
            let settings = unit::parse(subject.tree, path);
            let asked =
                settings.iter().find(|setting| setting.key == "Storage" && setting.value == "persistent");
            if let Some(setting) = asked.filter(|_| is_lost(subject, JOURNAL)) {
                let message = format!("the journal in `{JOURNAL}` {lost}, whatever `Storage=` says");
                let caution = Diagnostic::new(STATE_IS_VOLATILE.code, message)
                    .help(format!("add `.bind(\"{JOURNAL}\")`"));
                found.cautions.push(subject.blame(caution, path, setting.line));
            }
        }
    }
}

fn is_volatile(unit: &Unit, directories: &[String], lost: &str) -> Diagnostic {
    let list =
        |form: &dyn Fn(&String) -> String| directories.iter().map(form).collect::<Vec<_>>().join(" and ");
    let paths = list(&|path| format!("`{path}`"));
    let message = format!("what `{}` keeps in {paths} {lost}", unit.name);
    let binds = list(&|path| format!("`.bind(\"{path}\")`"));
    Diagnostic::new(STATE_IS_VOLATILE.code, message).help(format!("add {binds}"))
}

/// Whether what is written to a directory is lost: it is kept neither as a whole nor in part.
fn is_lost(subject: &Subject<'_>, path: &str) -> bool {
    // What systemd's own services need to last, the plan keeps.
    let of_no_use = path.strip_prefix("/var/lib/").is_some_and(|rest| {
        let name = rest.split('/').next().unwrap_or(rest);
        OF_NO_USE.contains(&name) && !rest.starts_with("private/")
    });
    let kept = subject.is_kept(path)
        // A bind where the link would be is a mistake already.
        || subject.is_kept(&path.replace("/private/", "/"))
        || subject.plan.binds.iter().any(|bind| is_below(&bind.path, path))
        || subject.data_mounts().any(|mount| is_below(mount, path));
    !of_no_use && !kept
}

/// The directories that a unit says itself, and those that are known of its program.
fn said(unit: &Unit) -> impl Iterator<Item = String> {
    let base = if unit.is("DynamicUser") { "/var/lib/private" } else { "/var/lib" };
    let said = unit
        .words("StateDirectory")
        .filter_map(|(word, _)| unit.expand(word.split(':').next().unwrap_or(word)))
        .map(move |directory| format!("{base}/{directory}"));
    let known = UNSAID.iter().filter(|(name, _)| *name == unit.name);
    said.chain(known.map(|(_, directory)| (*directory).to_owned()))
}

/// The directories of `/var/lib` that its package has.
fn shipped<'a>(
    subject: &'a Subject<'_>,
    unit: &Unit,
    package: Option<&'a Package>,
) -> impl Iterator<Item = String> + 'a {
    // What systemd's own packages have is of systemd.
    let package = package.filter(|_| !unit.name.starts_with("systemd-"));
    let directories = package.into_iter().flat_map(|package| package.directories.iter());
    let is_there = |path: &&String| {
        subject.tree.get(&TreePath::new(path)).is_some_and(bedplate_formats::tree::Node::is_directory)
    };
    directories.filter(is_there).cloned()
}

/// The directories that belong to the user that a unit runs as, and its home.
fn owned(subject: &Subject<'_>, unit: &Unit, passwd: &str) -> Vec<String> {
    let user =
        unit.last("User").filter(|_| !unit.is("DynamicUser")).and_then(|setting| unit.expand(&setting.value));
    let line = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| {
        user.as_deref().is_some_and(|user| fields.first() == Some(&user) || fields.get(2) == Some(&user))
    });
    let Some([_, _, uid, _, _, home, ..]) = line.as_deref() else { return Vec::new() };
    let Some(uid) = uid.parse::<u32>().ok().filter(|uid| *uid != 0) else { return Vec::new() };
    let state = TreePath::new("var/lib");
    let own = subject.tree.children(&state).filter(|(_, node)| node.is_directory() && node.uid == uid);
    let mut owned: Vec<String> = own.map(|(path, _)| path.to_string()).collect();
    let is_state = ["/var/lib/", "/home/", "/opt/", "/srv/"].iter().any(|base| home.starts_with(base));
    if is_state && subject.tree.contains(&TreePath::new(home)) {
        owned.push((*home).to_owned());
    }
    owned
}

/// The line that brought a unit or its package.
fn answerable(subject: &Subject<'_>, unit: &Unit, package: Option<&Package>) -> Option<SourceLocation> {
    let enabled = subject.plan.units.enable.iter().find(|enabled| enabled.name == unit.name);
    enabled
        .and_then(|enabled| enabled.at.clone())
        .or_else(|| subject.origins.of(&unit.path).map(|origin| origin.at.clone()))
        .or_else(|| package.and_then(|package| package.at.clone()))
}

/// A package that the description asks for.
struct Package {
    at: Option<SourceLocation>,
    units: Vec<String>,
    directories: Vec<String>,
}

/// The packages that the description asks for.
struct Packages(Vec<Package>);

impl Packages {
    fn new(subject: &Subject<'_>) -> Self {
        let asked = subject.plan.packages.iter().filter(|package| package.at.is_some());
        let packages: Vec<Package> =
            asked.filter_map(|package| read(subject, &package.name, package.at.clone())).collect();
        Self(packages)
    }

    /// The one that has the file of a unit.
    fn of(&self, unit: &Unit) -> Option<&Package> {
        let path = unit.path.to_string();
        self.0.iter().find(|package| package.units.contains(&path))
    }
}

/// Reads what dpkg knows of a package's files.
fn read(subject: &Subject<'_>, name: &str, at: Option<SourceLocation>) -> Option<Package> {
    let directory = TreePath::new("var/lib/dpkg/info");
    let architecture = subject.plan.architecture.deb();
    let files = [format!("{name}.list"), format!("{name}:{architecture}.list")];
    let file = files.iter().map(|file| directory.join(file)).find(|file| subject.tree.contains(file))?;
    let list = subject.text(&file);
    let unit = |line: &str| {
        let below = line.strip_prefix("/usr").unwrap_or(line).strip_prefix("/lib/systemd/system/")?;
        Some(format!("/usr/lib/systemd/system/{below}"))
    };
    let is_state = |line: &&str| line.strip_prefix("/var/lib/").is_some_and(|name| !name.contains('/'));
    Some(Package {
        at,
        units: list.lines().filter_map(unit).collect(),
        directories: list.lines().filter(is_state).map(str::to_owned).collect(),
    })
}
