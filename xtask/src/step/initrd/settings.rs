//! What the description says of modules and devices, and what of it the initrd
//! takes: modprobe.d, modules-load.d, udev's rules and `.link` files.
//!
//! The initrd is cut out of the packages' system beside the root. It sees of the
//! description's files and overlays these alone, so that an edit of any other
//! file does not build it anew.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use bedplate_core::SourceLocation;
use bedplate_core::plan::{FileKind, Plan};
use bedplate_formats::tree::{Kind, Tree, TreePath};
use camino::Utf8Path;

use super::programs;

/// Where programs look for settings, and how the names of such files end.
const DIRECTORIES: [(&str, &str); 4] = [
    ("modprobe.d", ".conf"),
    ("modules-load.d", ".conf"),
    ("udev/rules.d", ".rules"),
    ("systemd/network", ".link"),
];
const ROOTS: [&str; 3] = ["etc", "usr/local/lib", "usr/lib"];

/// A file of settings that the initrd takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its path.
    pub path: TreePath,
    /// Its text; none for a link to `/dev/null`, which switches off a file of the same name.
    pub text: Option<String>,
}

impl Setting {
    /// Whether udev reads it.
    pub fn is_rule(&self) -> bool {
        lies_in(&self.path, "/udev/rules.d")
    }
}

/// Whether a file is in a directory whose path ends so.
fn lies_in(path: &TreePath, directory: &str) -> bool {
    path.parent().unwrap_or_default().to_string().ends_with(directory)
}

/// The settings of a description.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// What the initrd takes.
    pub taken: Vec<Setting>,
    /// The modules that modules-load.d names, with the line that brought the file.
    pub modules: Vec<(String, Option<SourceLocation>)>,
    /// What is left out of the initrd or has no effect there, and why.
    pub told: Vec<(Option<SourceLocation>, String)>,
}

/// Collects the settings of the description's files and overlays.
///
/// # Errors
/// A file that cannot be read.
pub fn of(plan: &Plan, project: &Utf8Path, system: &Tree) -> Result<Settings> {
    let mut found: BTreeMap<TreePath, (Option<String>, Option<SourceLocation>)> = BTreeMap::new();
    for overlay in &plan.overlays {
        // An overlay that cannot be read is told by the step that copies it.
        let Some(layer) = crate::step::overlay::scan(overlay, project) else { continue };
        for (path, node) in layer.iter() {
            let Some(to) = setting(path) else { continue };
            let text = match &node.kind {
                Kind::Symlink(target) if target == b"/dev/null" => None,
                _ => {
                    let Some(content) = layer.content(path) else { continue };
                    let bytes = content.read().with_context(|| format!("cannot read `{path}`"))?;
                    Some(String::from_utf8_lossy(&bytes).into_owned())
                }
            };
            found.insert(to, (text, Some(overlay.at.clone())));
        }
    }
    // What the plan writes for itself is in `Plan::initrd` where it belongs there.
    for file in plan.files.iter().filter(|file| file.at.is_some()) {
        let Some(to) = setting(&TreePath::new(&file.path)) else { continue };
        match &file.kind {
            FileKind::File { text } => _ = found.insert(to, (Some(text.clone()), file.at.clone())),
            FileKind::Symlink { target } if target == "/dev/null" => {
                found.insert(to, (None, file.at.clone()));
            }
            _ => {}
        }
    }
    let mut settings = Settings::default();
    for (path, (text, at)) in found {
        settings.add(path, text, at, system);
    }
    Ok(settings)
}

/// The path of a file of settings, with `/lib` as the link it is.
fn setting(path: &TreePath) -> Option<TreePath> {
    let text = path.to_string();
    let text = text.trim_start_matches('/');
    let text = if text.starts_with("lib/") { format!("usr/{text}") } else { text.to_owned() };
    let is_setting = ROOTS.iter().any(|root| {
        let below = text.strip_prefix(root).and_then(|rest| rest.strip_prefix('/'));
        below.is_some_and(|below| {
            DIRECTORIES.iter().any(|(directory, ending)| {
                let name = below.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/'));
                name.is_some_and(|name| !name.contains('/') && name.ends_with(ending))
            })
        })
    });
    is_setting.then(|| TreePath::new(text))
}

impl Settings {
    fn add(&mut self, path: TreePath, text: Option<String>, at: Option<SourceLocation>, system: &Tree) {
        let lines = text.as_deref().unwrap_or_default();
        let is_in = |name: &str| lies_in(&path, name);
        if is_in("/udev/rules.d") {
            let missing: BTreeSet<String> =
                commands(lines).into_iter().filter(|program| !programs::has(system, program)).collect();
            if !missing.is_empty() {
                let missing: Vec<String> = missing.iter().map(|program| format!("`{program}`")).collect();
                self.told.push((
                    at,
                    format!(
                        "`{path}` stays out of the initrd, which does not have {}; the rules act in the root, where \
                         every device is announced again",
                        missing.join(", ")
                    ),
                ));
                return;
            }
        } else if is_in("/modprobe.d") {
            for (module, command) in installs(lines) {
                self.told.push((
                    at.clone(),
                    format!(
                        "`{path}` loads `{module}` by `{command}`, for which the initrd has no shell: the module is \
                         loaded by the root alone"
                    ),
                ));
            }
        } else if is_in("/modules-load.d") {
            self.modules.extend(words(lines).into_iter().map(|name| (name, at.clone())));
        }
        self.taken.push(Setting { path, text });
    }
}

/// The modules that a file of modules-load.d(5) names.
fn words(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])).map(str::to_owned).collect()
}

/// The `install` lines of a modprobe.d(5) file, without those that ban a module
/// by a program that does nothing.
fn installs(text: &str) -> Vec<(String, String)> {
    let text = text.replace("\\\n", " ");
    let install = |line: &str| {
        let (module, command) =
            line.trim().strip_prefix("install")?.trim_start().split_once(char::is_whitespace)?;
        let command = command.trim();
        let bans = matches!(command.rsplit('/').next(), Some("true" | "false" | ":"));
        (!bans).then(|| (module.to_owned(), command.to_owned()))
    };
    text.lines().filter_map(install).collect()
}

/// The programs that udev's rules run, as absolute paths.
fn commands(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let mut programs = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        for key in [
            "RUN+=",
            "RUN=",
            "RUN:=",
            "RUN{program}+=",
            "RUN{program}=",
            "RUN{program}:=",
            "PROGRAM=",
            "IMPORT{program}=",
        ] {
            for (at, _) in line.match_indices(key) {
                // The end of a longer key is no key.
                let before = line[..at].chars().next_back();
                if before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
                    continue;
                }
                let value = line[at + key.len()..].trim_start_matches('=').trim_start();
                let value = value.strip_prefix('e').unwrap_or(value);
                let Some(value) = value.strip_prefix('"') else { continue };
                let value = value.split('"').next().unwrap_or_default().trim_start();
                let program = value.split_whitespace().next().unwrap_or_default().trim_matches('\'');
                if program.starts_with('/') {
                    programs.push(program.to_owned());
                } else if !program.is_empty() {
                    programs.push(format!("/usr/lib/udev/{program}"));
                }
            }
        }
    }
    programs
}

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_core::rule::device;
    use bedplate_formats::tree::Node;

    fn system() -> Tree {
        let mut system = Tree::new();
        system.insert("bin".into(), Node::symlink("usr/bin"));
        for path in ["usr/bin/systemctl", "usr/bin/udevadm", "usr/lib/udev/ata_id"] {
            system.insert(path.into(), Node::file("#!", 0o755));
        }
        system
    }

    fn described(path: &str, text: &str) -> Settings {
        let plan = device().file(path, text).plan().unwrap();
        of(&plan, Utf8Path::new("/nonexistent"), &system()).unwrap()
    }

    /// Case 11.
    #[test]
    fn options_of_the_description_are_taken_and_other_files_are_not() {
        let text = "options overlay metacopy=on\n";
        for path in ["/etc/modprobe.d/o.conf", "/lib/modprobe.d/o.conf", "/usr/local/lib/modprobe.d/o.conf"] {
            let settings = described(path, text);
            assert_eq!(settings.taken.len(), 1, "{path}");
            assert_eq!(settings.taken[0].text.as_deref(), Some(text));
            assert!(settings.told.is_empty());
        }
        for path in
            ["/etc/modprobe.d/o.conf.bak", "/etc/modprobe.d/x/o.conf", "/etc/motd", "/opt/modprobe.d/o.conf"]
        {
            assert_eq!(described(path, text), Settings::default(), "{path}");
        }
    }

    #[test]
    fn an_overlay_brings_settings_and_switches_rules_off() {
        let project = tempfile::tempdir().unwrap();
        let rules = project.path().join("overlay/etc/udev/rules.d");
        std::fs::create_dir_all(&rules).unwrap();
        std::os::unix::fs::symlink("/dev/null", rules.join("80-drivers.rules")).unwrap();
        let mut plan = device().overlay("overlay").plan().unwrap();
        plan.overlays[0].source = "overlay".into();
        let settings = of(&plan, project.path().try_into().unwrap(), &system()).unwrap();
        let path = "etc/udev/rules.d/80-drivers.rules".into();
        assert_eq!(settings.taken, [Setting { path, text: None }]);
    }

    #[test]
    fn rules_that_run_what_the_initrd_lacks_stay_out_and_are_told() {
        let settings = described(
            "/etc/udev/rules.d/90-x.rules",
            "# RUN+=\"/bin/no\"\nKERNEL==\"sda\", RUN{builtin}+=\"kmod load x\", \\\n  RUN+=\"/usr/local/bin/seen %k\"\n",
        );
        assert!(settings.taken.is_empty());
        assert!(settings.told[0].1.contains("does not have `/usr/local/bin/seen`"), "{:?}", settings.told);
        assert!(settings.told[0].0.is_some());
        let settings = described(
            "/etc/udev/rules.d/90-x.rules",
            "PROGRAM==\"ata_id x\", RUN+=\"/bin/systemctl --no-block start x\"\n",
        );
        assert_eq!((settings.taken.len(), settings.told.len()), (1, 0));
    }

    #[test]
    fn a_module_that_a_program_loads_is_told_and_a_banned_one_is_not() {
        let text = "install nbd /bin/false\ninstall dm-x /usr/bin/true\ninstall usb /sbin/modprobe -i usb && echo 1\n";
        let settings = described("/etc/modprobe.d/b.conf", text);
        assert_eq!(settings.told.len(), 1);
        assert!(settings.told[0].1.contains("loads `usb` by `/sbin/modprobe -i usb && echo 1`"));
        assert_eq!(settings.taken.len(), 1);
    }

    #[test]
    fn modules_that_are_to_be_loaded_are_named() {
        let settings = described("/etc/modules-load.d/x.conf", "# why\nnbd\n\n; no\nloop\n");
        let names: Vec<&str> = settings.modules.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["nbd", "loop"]);
    }
}
