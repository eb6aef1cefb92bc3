//! The project a program is run for: its images and where their files lie.

pub mod checkout;

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use bedplate_core::spelling::nearest;
use bedplate_core::{Architecture, Entry, Plan, Target};
use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{LocatedError, UsageError, WrongDescription};

/// The images of one `main.rs`.
#[derive(Clone, Copy)]
pub struct Project<'a> {
    /// What `main.rs` lists; the first is the default.
    pub images: &'a [Entry],
    /// The directory that paths in descriptions start from: the workspace's.
    pub root: &'a Utf8Path,
    /// The directory of the package, where locks and artifacts lie.
    pub package: &'a Utf8Path,
}

/// Returns the directory of the package that the program is run for, and that of its workspace.
///
/// # Errors
/// The program was compiled of another checkout, or the directory's path is not UTF-8.
pub fn directories(images: &[Entry]) -> Result<(Utf8PathBuf, Utf8PathBuf)> {
    let Some(Entry { compiled, .. }) = images.first() else { return Ok((".".into(), ".".into())) };
    let package = checkout::package(compiled.package, compiled.name, compiled.checkout).map_err(|other| {
        let file = checkout::workspace(&other.called, compiled.file).join(compiled.file);
        LocatedError {
            message: format!("{other}: they share a target directory"),
            at: None,
            word: None,
            help: format!(
                "run `touch {}`, then the same again; cargo sees it by itself with `BEDPLATE_CHECKOUT = {{ value = \
                 \"\", relative = true, force = true }}` below `[env]` in `.cargo/config.toml`",
                file.display()
            ),
        }
    })?;
    let root = checkout::workspace(&package, compiled.file);
    Ok((utf8(package)?, utf8(root)?))
}

/// Returns a path that locks, plans and messages can name.
fn utf8(path: PathBuf) -> Result<Utf8PathBuf, LocatedError> {
    Utf8PathBuf::from_path_buf(path).map_err(|path| {
        let message = format!("the path of the project is not UTF-8: `{}`", path.display());
        LocatedError::without_line(message, "rename the directory, or move the project to another one")
    })
}

impl Project<'_> {
    /// The image of this name, or the default.
    ///
    /// # Errors
    /// No image has the name; says which there are.
    pub fn entry(&self, name: Option<&str>) -> Result<&Entry> {
        let Some(name) = name else {
            return self.images.first().ok_or_else(|| anyhow!("`bedplate::main` was given no image"));
        };
        let names = || self.images.iter().map(|entry| entry.name.as_str());
        self.images.iter().find(|entry| entry.name == name.replace('_', "-")).ok_or_else(|| {
            let list = names().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
            match nearest(name, names()) {
                Some(near) => {
                    UsageError(format!("no image is named `{name}`; did you mean `{near}`? there are {list}"))
                }
                None => UsageError(format!("no image is named `{name}`; there are {list}")),
            }
            .into()
        })
    }

    /// The image of this name, or the default, with its plan.
    ///
    /// # Errors
    /// A name that no image has, or a wrong description.
    pub fn planned(&self, name: Option<&str>, architecture: Architecture) -> Result<(&Entry, Plan)> {
        let entry = self.entry(name)?;
        Ok((entry, plan(entry, architecture)?))
    }

    /// The text of a source file that a place names.
    pub fn source(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.root.join(file)).ok()
    }

    /// Where an image's lock lies: beside the description.
    pub fn lock(&self, entry: &Entry, given: Option<&Utf8PathBuf>) -> Utf8PathBuf {
        match given {
            Some(path) => path.clone(),
            None => self.package.join("image").join(&entry.name).with_extension("lock"),
        }
    }

    /// Where an image's artifacts lie.
    pub fn out(&self, entry: &Entry, given: Option<&Utf8PathBuf>) -> Utf8PathBuf {
        match given {
            Some(path) => path.clone(),
            None => self.package.join("build").join(&entry.name),
        }
    }
}

/// Plans an image.
///
/// # Errors
/// All that is wrong with the description.
pub fn plan(entry: &Entry, architecture: Architecture) -> Result<Plan, WrongDescription> {
    entry.plan(&Target { architecture }).map_err(WrongDescription)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn a_project_whose_path_is_not_utf_8_is_refused() {
        let path = std::ffi::OsString::from_vec(b"/home/me/caf\xe9".to_vec());
        let error = utf8(path.into()).unwrap_err();
        assert_eq!(error.message, "the path of the project is not UTF-8: `/home/me/caf\u{fffd}`");
    }
}
