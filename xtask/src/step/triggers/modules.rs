//! Kernel modules: depmod(8) for the kernels whose modules are changed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use bedplate_formats::modules::is_module;
use bedplate_formats::tree::{Tree, TreePath};

use crate::error::LocatedError;
use crate::step::inside::{Inside, add_to};
use crate::step::origin;

const MODULES: &str = "usr/lib/modules";
/// The last bytes of a module that is signed.
const SIGNED: &[u8] = b"~Module signature appended~\n";
/// Arguments with which the kernel loads no module that is not signed.
const SIGNED_ONLY: [&str; 4] =
    ["module.sig_enforce", "module.sig_enforce=1", "lockdown=integrity", "lockdown=confidentiality"];

/// Runs depmod for each kernel of which `brought` has modules.
///
/// # Errors
/// Modules of a kernel that the image has not, or that it would not load, at the line that brought them.
pub(super) fn apply(inside: &Inside<'_>, brought: &BTreeSet<TreePath>, tree: &mut Tree) -> Result<()> {
    let settings: Vec<&TreePath> =
        brought.iter().filter(|path| path.starts_with(&"etc/depmod.d".into())).collect();
    for (release, modules) in modules(brought) {
        for path in &modules {
            if let Some((message, help)) = fault(inside, tree, &release, path)? {
                let at = origin::of(inside.plan, inside.project, tree, path);
                return Err(LocatedError { message, at, word: None, help }.into());
            }
        }
        let mut key = inside.key("depmod");
        add_to(&mut key, inside.store, tree, modules.iter().chain(&settings).copied())?;
        inside.cached("tool", key, tree, |inside, shown| {
            inside.changes(shown, |sandbox| sandbox.run(["depmod", "-a", &release]).map(drop))
        })?;
    }
    Ok(())
}

/// The modules by the kernel they are for.
fn modules(brought: &BTreeSet<TreePath>) -> BTreeMap<String, Vec<&TreePath>> {
    let mut modules: BTreeMap<String, Vec<&TreePath>> = BTreeMap::new();
    let above = TreePath::new(MODULES);
    for path in brought.iter().filter(|path| path.starts_with(&above)) {
        let is_module = path.name().is_some_and(is_module);
        if let Some(release) = path.components().nth(3).filter(|_| is_module) {
            modules.entry(String::from_utf8_lossy(release).into_owned()).or_default().push(path);
        }
    }
    modules
}

fn fault(
    inside: &Inside<'_>,
    tree: &Tree,
    release: &str,
    path: &TreePath,
) -> Result<Option<(String, String)>> {
    let base = inside.base.tree;
    let above = TreePath::new(MODULES);
    if !base.contains(&above.join(release).join("modules.builtin")) {
        let kernels: Vec<String> = base
            .children(&above)
            .filter(|(path, _)| base.contains(&path.join("modules.builtin")))
            .filter_map(|(path, _)| path.name().map(|name| String::from_utf8_lossy(name).into_owned()))
            .collect();
        let help = format!("build it for {}", kernels.join(" or "));
        return Ok(Some((format!("`{path}` is for the kernel {release}, which is not in the image"), help)));
    }
    let only = inside.plan.command_line.iter().find(|word| SIGNED_ONLY.contains(&word.as_str()));
    let Some(only) = only.filter(|_| path.name().is_some_and(|name| name.ends_with(b".ko"))) else {
        return Ok(None);
    };
    let content = tree.content(path).map(|content| content.read()).transpose()?.unwrap_or_default();
    if content.ends_with(SIGNED) {
        return Ok(None);
    }
    let message = format!("`{path}` is not signed, and with `{only}` the kernel would not load it");
    Ok(Some((message, "sign it with a key that the kernel knows".into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_by_their_kernel() {
        let paths =
            ["usr/lib/modules/6.12/updates/a.ko", "usr/lib/modules/6.1/b.ko.xz", "usr/lib/modules/6.1/order"];
        let brought: BTreeSet<TreePath> = paths.iter().map(TreePath::new).collect();
        let found: Vec<(String, usize)> = modules(&brought).into_iter().map(|(r, m)| (r, m.len())).collect();
        assert_eq!(found, [("6.1".to_owned(), 1), ("6.12".to_owned(), 1)]);
    }
}
