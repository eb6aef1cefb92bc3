//! The project a program is run for: its images and where their files lie.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use bedplate_core::spelling::nearest;
use bedplate_core::{Architecture, Entry, Plan, Target};
use camino::Utf8PathBuf;

use crate::cli::NameArgs;
use crate::problem::Misuse;
use crate::report::Report;

/// The images of one `main.rs`.
#[derive(Clone, Copy)]
pub struct Project<'a> {
    /// What `main.rs` lists; the first is the default.
    pub images: &'a [Entry],
    /// The directory that paths in descriptions start from.
    pub root: &'a Path,
}

/// The directory of the project's package, as cargo tells it to a program it
/// runs: one that was moved since it was compiled is found where it is, and not
/// where it was.
pub fn root(images: &[Entry]) -> PathBuf {
    let compiled = || images.first().map_or(".", |entry| entry.root).into();
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(compiled, PathBuf::from)
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
                    Misuse(format!("no image is named `{name}`; did you mean `{near}`? there are {list}"))
                }
                None => Misuse(format!("no image is named `{name}`; there are {list}")),
            }
            .into()
        })
    }

    /// Plans an image; where the description is wrong, says all that is wrong.
    ///
    /// # Errors
    /// The exit code of a wrong description, once its mistakes are printed.
    pub fn plan(&self, entry: &Entry, architecture: Architecture, report: &Report) -> Result<Plan, ExitCode> {
        entry.plan(&Target { architecture }).map_err(|mistakes| {
            report.mistakes(&mistakes, &|file| self.source(file));
            ExitCode::from(1)
        })
    }

    /// The image that the command line names, with its plan.
    ///
    /// # Errors
    /// A name that no image or architecture has; inside, the exit code of a
    /// wrong description, once its mistakes are printed.
    pub fn planned(&self, args: &NameArgs, report: &Report) -> Result<Result<(&Entry, Plan), ExitCode>> {
        let entry = self.entry(args.name.as_deref())?;
        Ok(self.plan(entry, args.architecture()?, report).map(|plan| (entry, plan)))
    }

    /// The text of a source file that a place names.
    pub fn source(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.root.join(file)).ok()
    }

    /// Where an image's lock lies: beside the description.
    pub fn lock(&self, entry: &Entry, given: Option<&Utf8PathBuf>) -> PathBuf {
        match given {
            Some(path) => path.into(),
            None => self.root.join("image").join(&entry.name).with_extension("lock"),
        }
    }

    /// Where an image's artifacts lie.
    pub fn out(&self, entry: &Entry, given: Option<&Utf8PathBuf>) -> PathBuf {
        match given {
            Some(path) => path.into(),
            None => self.root.join("build").join(&entry.name),
        }
    }
}

impl NameArgs {
    /// The architecture asked for; x86-64 when none is.
    ///
    /// # Errors
    /// A name that no architecture has.
    pub fn architecture(&self) -> Result<Architecture> {
        match self.arch.as_deref() {
            None | Some("x86-64" | "x86_64" | "amd64") => Ok(Architecture::X86_64),
            Some("arm64" | "aarch64") => Ok(Architecture::Aarch64),
            Some(other) => {
                let message = format!("no architecture is named `{other}`; there are `x86-64` and `arm64`");
                Err(Misuse(message).into())
            }
        }
    }
}
