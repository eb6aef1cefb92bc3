//! What services keep, and where the plan keeps it.

use std::collections::BTreeSet;

use bedplate_core::plan::{BindPlan, PartitionContent};
use bedplate_core::{Bind, Diagnostic, Rule, Unit, Volatile, example};
use bedplate_formats::tree::TreePath;

use super::started::Started;
use super::{Findings, Subject, unit};

pub(super) static BIND_OF_DYNAMIC_USER: Rule = Rule {
    code: "bind-of-dynamic-user",
    title: "the state of a service with a dynamic user is kept below /var/lib/private",
    why: "With DynamicUser=yes, systemd keeps a StateDirectory= in /var/lib/private and makes its place in /var/lib a \
          link to it. It cannot put a link where something is mounted, and the service fails with \
          238/STATE_DIRECTORY. The same is true of /var/cache and /var/log.",
    wrong: example!(|device| device
        .bind(Bind::new("/var/lib/hello").required_by("hello.service"))
        .enable("hello.service")
        .unit(Unit::new(
            "units/hello.service",
            "[Service]\nDynamicUser=yes\nStateDirectory=hello\nExecStart=true\n\
             [Install]\nWantedBy=multi-user.target\n",
        ))),
    right: example!(|device| device
        .bind(Bind::new("/var/lib/private/hello").required_by("hello.service"))
        .enable("hello.service")
        .unit(Unit::new(
            "units/hello.service",
            "[Service]\nDynamicUser=yes\nStateDirectory=hello\nExecStart=true\n\
             [Install]\nWantedBy=multi-user.target\n",
        ))),
};

pub(super) static STATE_IS_VOLATILE: Rule = Rule {
    code: "state-is-volatile",
    title: "the state of a service is kept",
    why: "What is written to the root is gone at the next boot, and so is the directory in which a service keeps what \
          it should find again. This is a warning and no error: some state is better lost. Docker's layers do not \
          fit into memory, and it takes its slowest driver there.",
    wrong: example!(|device| device.volatile(Volatile::Overlay).enable("hello.service").unit(Unit::new(
        "units/hello.service",
        "[Service]\nStateDirectory=hello\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
    ))),
    right: example!(|device| device
        .volatile(Volatile::Overlay)
        .bind("/var/lib/hello")
        .enable("hello.service")
        .unit(Unit::new(
            "units/hello.service",
            "[Service]\nStateDirectory=hello\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
        ))),
};

/// Directories of systemd's services, by key.
const DIRECTORIES: [(&str, &str); 3] =
    [("StateDirectory", "/var/lib"), ("CacheDirectory", "/var/cache"), ("LogsDirectory", "/var/log")];

/// Where programs keep their state whose units do not say it.
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

pub(super) fn check(subject: &Subject<'_>, started: &Started, found: &mut Findings) {
    dynamic_users(subject, found);
    volatile(subject, started, found);
}

/// A bind on the place where systemd wants to make a link.
fn dynamic_users(subject: &Subject<'_>, found: &mut Findings) {
    let mut seen = BTreeSet::new();
    for name in crate::step::units::unit_names(subject.tree) {
        let unit::Found::Unit(unit) = unit::load(subject.tree, &name) else { continue };
        if !unit.is("DynamicUser") {
            continue;
        }
        for (key, base) in DIRECTORIES {
            for (word, _) in unit.words(key) {
                let Some(directory) = unit.expand(word.split(':').next().unwrap_or(word)) else { continue };
                let path = format!("{base}/{directory}");
                let Some(bind) = subject.plan.binds.iter().find(|bind| bind.path == path) else { continue };
                if seen.insert(path.clone()) {
                    found.mistake(dynamic_user(bind, &unit.name, &format!("{base}/private/{directory}")));
                }
            }
        }
    }
}

fn dynamic_user(bind: &BindPlan, unit: &str, private: &str) -> Diagnostic {
    let message = format!("`{}` is a link that systemd makes for `{unit}`, and cannot be kept", bind.path);
    let mistake = Diagnostic::new(BIND_OF_DYNAMIC_USER.code, message)
        .help(format!("keep what it leads to: `Bind::new(\"{private}\")`"));
    match &bind.at {
        Some(at) => mistake.at(at).word(&bind.path),
        None => mistake,
    }
}

/// State of started services that is gone at the next boot.
fn volatile(subject: &Subject<'_>, started: &Started, found: &mut Findings) {
    let lost = match subject.plan.volatile {
        Volatile::Overlay => "is gone at the next boot",
        Volatile::None if is_read_only(subject) => "cannot be written, since the root is read-only",
        Volatile::None | Volatile::Persistent => return,
    };
    // A device without a data partition is meant to forget.
    if subject.data_mounts().next().is_none() {
        return;
    }
    for unit in started.iter() {
        let mut directories: Vec<String> = unit
            .words("StateDirectory")
            .filter_map(|(word, _)| unit.expand(word.split(':').next().unwrap_or(word)))
            .map(|directory| match unit.is("DynamicUser") {
                true => format!("/var/lib/private/{directory}"),
                false => format!("/var/lib/{directory}"),
            })
            .collect();
        let unsaid = UNSAID.iter().find(|(name, _)| *name == unit.name);
        directories.extend(unsaid.map(|(_, directory)| (*directory).to_owned()));
        // What systemd's own services need to last, the plan keeps.
        directories.retain(|path| !path.starts_with("/var/lib/systemd") && !subject.is_kept(path));
        // A bind where the link would be is a mistake already.
        directories.retain(|path| !subject.is_kept(&path.replace("/private/", "/")));
        directories.dedup();
        for path in directories {
            found.cautions.extend(is_volatile(subject, unit, &path, lost));
        }
    }
}

/// Whether nothing can be written to the root at all.
fn is_read_only(subject: &Subject<'_>) -> bool {
    subject.plan.root().is_some_and(|root| match &root.content {
        PartitionContent::Root { filesystem, .. } => filesystem.is_read_only(),
        _ => false,
    })
}

fn is_volatile(subject: &Subject<'_>, unit: &unit::Unit, path: &str, lost: &str) -> Option<Diagnostic> {
    let at = subject.answerable(unit)?;
    let message = format!("what `{}` keeps in `{path}` {lost}", unit.name);
    let mut caution = Diagnostic::new(STATE_IS_VOLATILE.code, message).at(&at);
    caution.help = Some(format!("add `.bind(\"{path}\")`"));
    Some(caution)
}

impl Subject<'_> {
    /// The line that brought a unit or its package.
    fn answerable(&self, unit: &unit::Unit) -> Option<bedplate_core::Place> {
        let enabled = self.plan.units.enable.iter().find(|enabled| enabled.name == unit.name);
        enabled
            .and_then(|enabled| enabled.at.clone())
            .or_else(|| self.origins.of(&unit.path).map(|origin| origin.at.clone()))
            .or_else(|| self.package_of(&unit.path))
    }

    /// The line that asked for the package a file belongs to.
    fn package_of(&self, path: &TreePath) -> Option<bedplate_core::Place> {
        let line = path.to_string();
        self.plan.packages.iter().filter(|package| package.at.is_some()).find_map(|package| {
            let list = self.text(&TreePath::new("var/lib/dpkg/info").join(format!("{}.list", package.name)));
            let own = |listed: &str| {
                listed == line
                    || listed.strip_prefix("/lib").is_some_and(|rest| line == format!("/usr/lib{rest}"))
            };
            list.lines().any(own).then(|| package.at.clone()).flatten()
        })
    }

    /// Where the data partitions are mounted.
    pub(super) fn data_mounts(&self) -> impl Iterator<Item = &str> {
        self.plan.disk.partitions.iter().filter_map(|partition| match &partition.content {
            PartitionContent::Data { mount, .. } => mount.as_deref(),
            _ => None,
        })
    }

    /// Whether what is at this path lasts: it is kept, or on a data partition.
    pub(super) fn is_kept(&self, path: &str) -> bool {
        let binds = self.plan.binds.iter().map(|bind| bind.path.as_str());
        binds.chain(self.data_mounts()).any(|directory| is_below(path, directory))
    }

    /// Whether something may stand at this path on a device, though nothing
    /// does in the image.
    pub(super) fn comes_later(&self, path: &str) -> bool {
        const OF_THE_KERNEL: [&str; 7] = ["/run", "/tmp", "/var/tmp", "/var/run", "/proc", "/sys", "/dev"];
        self.is_kept(path)
            || OF_THE_KERNEL.iter().any(|directory| is_below(path, directory))
            || self.made_by_tmpfiles(path)
            || self.mounted(path)
    }

    /// Whether a line of tmpfiles.d makes it, or something it may come with.
    fn made_by_tmpfiles(&self, path: &str) -> bool {
        ["etc/tmpfiles.d", "usr/lib/tmpfiles.d"].iter().any(|directory| {
            let directory = TreePath::new(directory);
            self.tree.children(&directory).any(|(file, _)| {
                self.text(file).lines().any(|line| {
                    let mut fields = line.split_whitespace();
                    let (kind, made) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
                    let makes = kind.starts_with(['d', 'D', 'f', 'F', 'L', 'C', 'v', 'q', 'Q', 'p', 'w']);
                    let copies = kind.starts_with(['C', 'L']);
                    makes
                        && (made.trim_end_matches('/') == path
                            || is_below(made, path)
                            || copies && is_below(path, made))
                })
            })
        })
    }

    /// Whether a mount unit or fstab of the tree covers it.
    fn mounted(&self, path: &str) -> bool {
        let fstab = self.text(&TreePath::new("etc/fstab"));
        let mut mounts = fstab.lines().filter(|line| !line.trim_start().starts_with('#'));
        let mounted = |line: &str| {
            let mount = line.split_whitespace().nth(1);
            mount.is_some_and(|mount| mount.starts_with('/') && mount != "/" && is_below(path, mount))
        };
        mounts.any(mounted)
            || unit::DIRECTORIES.iter().any(|directory| {
                let directory = TreePath::new(directory);
                let mut units =
                    self.origins.below(&directory).filter(|(path, _)| path.to_string().ends_with(".mount"));
                units.any(|(unit, _)| {
                    let settings = unit::parse(self.tree, unit);
                    settings.iter().any(|setting| setting.key == "Where" && is_below(path, &setting.value))
                })
            })
    }
}

/// Whether a path is a directory or stands below it.
fn is_below(path: &str, directory: &str) -> bool {
    let directory = directory.trim_end_matches('/');
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::check::tests::{refusal, refused};
    use expect_test::expect;

    const SOURCE: &str = include_str!("state.rs");

    #[test]
    fn a_bind_where_systemd_makes_a_link_is_told_the_directory_behind_it() {
        expect![[r#"
            error[bind-of-dynamic-user]: `/var/lib/hello` is a link that systemd makes for `hello.service`, and
                   cannot be kept
              --> xtask/src/step/check/state.rs:LL:CC
               |
            LL |     .bind(Bind::new("/var/lib/hello").required_by("hello.service"))
               |                     ^^^^^^^^^^^^^^^^
               |
               = help: keep what it leads to: `Bind::new("/var/lib/private/hello")`
        "#]].assert_eq(&refusal(&BIND_OF_DYNAMIC_USER, SOURCE));
    }

    #[test]
    fn state_that_is_lost_is_told() {
        expect![[r#"
            warning[state-is-volatile]: what `hello.service` keeps in `/var/lib/hello` is gone at the next boot
              --> xtask/src/step/check/state.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.volatile(Volatile::Overlay).enable("hello.service").unit(Un
               |                                                                 ^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: add `.bind("/var/lib/hello")`
        "#]].assert_eq(&refusal(&STATE_IS_VOLATILE, SOURCE));
    }

    #[test]
    fn docker_without_a_store_is_told_and_with_one_is_not() {
        let lost = refused(|image| image.volatile(Volatile::Overlay).enable("docker.service"));
        assert!(lost.contains("add `.bind(\"/var/lib/docker\")`"), "{lost}");
        let kept = refused(|image| {
            image.volatile(Volatile::Overlay).enable("docker.service").bind("/var/lib/docker")
        });
        assert_eq!(kept, "");
        assert!(refused(|image| image.enable("docker.service")).contains("cannot be written"));
    }
}
