//! AppArmor's profiles, compiled. Otherwise a device does it at each start, some hundred of them, and nothing else of
//! userspace is started meanwhile.
//!
//! What a profile is compiled to depends on what the kernel knows of AppArmor, and only a running kernel says that. The
//! files beside this are what kernels have said, as the parser keeps it with what it compiled. At each start that is
//! compared with the kernel, and where it does not fit the device compiles, as it would have. So what is missing here
//! costs time, and no confinement.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use bedplate_core::plan::BindPlan;
use bedplate_core::{Distribution, Plan, Volatile};
use bedplate_formats::tree::{Node, Tree, TreePath};

use super::check::unit::{self, Found};
use super::inside::{Inside, add_to};
use super::origin;
use crate::error::LocatedError;
use crate::sandbox::failed;

/// What Debian's kernels say in `/sys/kernel/security/apparmor/features`, by how their release begins.
const FEATURES: [(&str, &str); 1] = [("6.12.", include_str!("apparmor/linux-6.12"))];

const PARSER: &str = "usr/sbin/apparmor_parser";
const PROFILES: &str = "etc/apparmor.d";
/// What else decides on the result: the parser's settings, and the features that policies may use.
const SETTINGS: [&str; 2] = ["etc/apparmor", "usr/share/apparmor-features"];
/// Where the results are, and what the kernel knew.
const COMPILED: &str = "var/cache/apparmor";
/// The package's unit that loads them, and its program.
const UNIT: &str = "apparmor.service";
const LOADS: &str = "/lib/apparmor/apparmor.systemd reload";
/// Has what is compiled loaded without the parser, by this program.
const LOADER: &str = "usr/sbin/aa-load";
const LOADED: &str = include_str!("apparmor/loaded.conf");
/// Where the parser finds what the kernel knows.
const SHOWN: &str = "/run/bedplate/apparmor-features";
const ARGV: [&str; 7] = [
    "apparmor_parser",
    "--kernel-features",
    SHOWN,
    "--skip-kernel-load",
    "--write-cache",
    // It goes on where it cannot write.
    "--Werror=cache",
    "/etc/apparmor.d",
];

/// Compiles the tree's profiles for the kernel of this release, where it is known what that understands.
///
/// # Errors
/// A profile that cannot be compiled, at the line that brought it.
pub fn apply(inside: &Inside<'_>, kernel: &str, brought: &BTreeSet<TreePath>, tree: &mut Tree) -> Result<()> {
    let known = FEATURES.iter().find(|(release, _)| kernel.starts_with(release));
    let Some((_, features)) = known.filter(|_| inside.plan.distribution == Distribution::Debian) else {
        return Ok(());
    };
    let profiles = TreePath::new(PROFILES);
    if tree.content(&PARSER.into()).is_none() || !tree.contains(&profiles) {
        return Ok(());
    }
    let mut key = inside.key("apparmor");
    key.add(features);
    for directory in SETTINGS.iter().chain([&PROFILES]).map(TreePath::new) {
        let inputs: Vec<&TreePath> = tree.below(&directory).map(|(path, _)| path).collect();
        add_to(&mut key, inside.store, tree, inputs)?;
        // What was compiled has the time of the newest that it was made of.
        let times = tree.below(&directory).map(|(_, node)| node.mtime.min(inside.epoch));
        times.for_each(|time| key.add(time.to_le_bytes()));
    }
    inside.cached("apparmor", key, tree, |inside, shown| {
        let file = inside.store.temporary()?.join("features");
        fs_err::write(&file, features)?;
        let changes = inside.changes(shown, |sandbox| {
            let sandbox = sandbox.clone().bind_read_only(&file, SHOWN);
            let command = sandbox.command(ARGV).stdin_null().stderr_to_stdout().stdout_capture();
            let output = command.unchecked().run().context("could not start the sandbox")?;
            if output.status.success() {
                return Ok(());
            }
            let text = String::from_utf8_lossy(&output.stdout);
            let ours = brought.iter().filter(|path| path.starts_with(&profiles));
            let named = ours.into_iter().find_map(|path| {
                let complaint = text.lines().find(|line| line.contains(&format!("{path} ")))?;
                Some((path, complaint))
            });
            let Some((path, complaint)) = named else {
                return Err(failed(&ARGV.map(str::to_owned), output.status, &output.stdout));
            };
            Err(LocatedError {
                message: format!("`apparmor_parser` finds fault with `{path}`: {}", complaint.trim()),
                at: origin::of(inside.plan, inside.project, shown, path),
                word: None,
                help: "mend the profile, or leave it out".into(),
            }
            .into())
        })?;
        // It passes over a directory that it cannot make. Where the description has them elsewhere, nobody looks.
        let place = TreePath::new(COMPILED);
        let compiled = changes.written.keys().any(|path| path.starts_with(&place))
            || shown.below(&place).any(|(path, _)| *path != place);
        ensure!(
            compiled || is_elsewhere(shown),
            "`apparmor_parser` has written nothing to `/{COMPILED}`, where a device looks for compiled profiles"
        );
        Ok(changes)
    })?;
    if tree.content(&LOADER.into()).is_some() && is_complete(tree) && is_as_packaged(inside.plan, tree) {
        let conf = TreePath::new("usr/lib/systemd/system").join(format!("{UNIT}.d/bedplate.conf"));
        tree.insert(conf, Node::file(LOADED, 0o644));
    }
    Ok(())
}

/// Whether all of the profiles are compiled: one that only complains by a link in `force-complain` is never kept so.
fn is_complete(tree: &Tree) -> bool {
    let compiled = TreePath::new(COMPILED);
    let compiled: Vec<&TreePath> = tree.children(&compiled).map(|(path, _)| path).collect();
    let [compiled] = compiled[..] else { return false };
    let profiles = TreePath::new(PROFILES);
    let disabled = profiles.join("disable");
    tree.children(&profiles).filter(|(_, node)| !node.is_directory()).all(|(path, _)| {
        let Some(name) = path.name() else { return false };
        tree.contains(&compiled.join(name)) != tree.contains(&disabled.join(name))
    })
}

/// Whether the unit loads profiles as the package has it, and at each start they and what they were compiled to are what
/// the image has: of another version of it, a device may have kept either.
fn is_as_packaged(plan: &Plan, tree: &Tree) -> bool {
    let Found::Unit(unit) = unit::load(tree, UNIT) else { return false };
    let starts: Vec<&str> = unit.all("ExecStart").map(|setting| setting.value.as_str()).collect();
    let decides = SETTINGS.iter().chain([&PROFILES, &COMPILED]).map(TreePath::new).collect::<Vec<_>>();
    let is_kept = |bind: &BindPlan| {
        let kept = TreePath::new(&bind.path);
        decides.iter().any(|path| kept.starts_with(path) || path.starts_with(&kept))
    };
    starts == [LOADS] && plan.volatile == Volatile::Overlay && !plan.binds.iter().any(is_kept)
}

/// Whether the parser's settings name another place for what is compiled.
fn is_elsewhere(tree: &Tree) -> bool {
    let settings = tree.content(&"etc/apparmor/parser.conf".into()).and_then(|content| content.read().ok());
    let settings = settings.unwrap_or_default();
    String::from_utf8_lossy(&settings).lines().any(|line| line.trim_start().starts_with("cache-loc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_complete_when_each_is_compiled_or_disabled() {
        let with = |paths: &[&str]| {
            let paths = ["etc/apparmor.d/a", "etc/apparmor.d/local/a", "var/cache/apparmor/1.0/a"]
                .iter()
                .chain(paths)
                .map(|path| (TreePath::new(path), Node::file("", 0o644)));
            let mut tree = Tree::default();
            paths.for_each(|(path, node)| tree.insert(path, node));
            is_complete(&tree)
        };
        assert!(with(&[]));
        assert!(!with(&["etc/apparmor.d/complains"]));
        assert!(with(&["etc/apparmor.d/off", "etc/apparmor.d/disable/off"]));
        // Nobody compiles these: what is there was, before.
        assert!(!with(&["etc/apparmor.d/disable/a"]));
        // Compiled for two kernels.
        assert!(!with(&["var/cache/apparmor/2.0/a"]));
    }
}
