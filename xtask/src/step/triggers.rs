//! What a package's triggers would have done, had a package brought the description's files.
//!
//! File triggers of the installed packages are fired with dpkg's own machinery. What dpkg does in a maintainer script
//! (`ldconfig`, `locale-gen`), or a device would do at boot if its `/usr` were not an image, is in one [`table`]. Results
//! are cached by what they are made of: an edit that touches none of it starts no program.

mod file;
mod modules;
mod table;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use bedplate_formats::tree::{Tree, TreePath};

use self::table::{TABLE, Tool};
use super::inside::{Inside, add_to};
use super::origin;
use crate::error::LocatedError;
use crate::sandbox::failed;

/// Does what the files in `brought` ask for.
///
/// # Errors
/// A program that is not in the image, or that finds fault with a file, at the line that brought the file.
pub fn apply(inside: &Inside<'_>, brought: &BTreeSet<TreePath>, tree: &mut Tree) -> Result<()> {
    for tool in TABLE {
        let files: Vec<&TreePath> =
            brought.iter().filter(|path| (tool.wants)(&String::from_utf8_lossy(&path.to_bytes()))).collect();
        if !files.is_empty() {
            run(inside, tool, &files, tree).with_context(|| format!("while `{}` is run", tool.argv[0]))?;
        }
    }
    modules::apply(inside, brought, tree)?;
    file::apply(inside, brought, tree)
}

fn run(inside: &Inside<'_>, tool: &Tool, files: &[&TreePath], tree: &mut Tree) -> Result<()> {
    let at = |tree: &Tree, path: &TreePath| origin::of(inside.plan, inside.project, tree, path);
    let problem = |tree: &Tree, path: &TreePath, message: String, help: String| LocatedError {
        message,
        at: at(tree, path),
        word: None,
        help,
    };
    if tree.content(&tool.program.into()).is_none() {
        if !tool.needed {
            return Ok(());
        }
        let message =
            format!("`{}` has no effect without `{}`, which is not in the image", files[0], tool.argv[0]);
        let help = format!("add `.package(\"{}\")`", tool.package);
        return Err(problem(tree, files[0], message, help).into());
    }
    for path in files {
        if let Some((reason, help)) = (tool.refuses)(&String::from_utf8_lossy(&path.to_bytes())) {
            return Err(problem(tree, path, format!("`{path}` {reason}"), help.into()).into());
        }
    }
    let mut key = inside.key(tool.argv[0]);
    add_to(&mut key, inside.store, tree, files.iter().copied())?;
    inside.cached("tool", key, tree, |inside, shown| {
        inside.changes(shown, |sandbox| {
            let command = sandbox.command(tool.argv).stdin_null().stderr_to_stdout().stdout_capture();
            let output = command.unchecked().run()?;
            let text = String::from_utf8_lossy(&output.stdout);
            let complaint = text.lines().find(|line| (tool.complains)(line));
            if output.status.success() && complaint.is_none() {
                return Ok(());
            }
            // The file it complains of, by its name, or the first.
            let named = |path: &&&TreePath| {
                let name = path.name().map(String::from_utf8_lossy).unwrap_or_default();
                let stem = name.rsplit_once('.').map_or(&*name, |(stem, _)| stem);
                complaint.is_some_and(|line| line.contains(stem))
            };
            let path = files.iter().find(named).unwrap_or(&files[0]);
            let message = match complaint {
                Some(line) => format!("`{}` finds fault with `{path}`: {}", tool.argv[0], line.trim()),
                None => {
                    let argv: Vec<String> = tool.argv.iter().map(|&word| word.to_owned()).collect();
                    failed(&argv, output.status, &output.stdout).to_string()
                }
            };
            Err(problem(shown, path, message, "mend the file, or leave it out".into()).into())
        })
    })?;
    Ok(())
}
