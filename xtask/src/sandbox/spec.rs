//! What a sandbox is to be, in the form in which it travels to the processes that make it.
//!
//! It travels as one argument in JSON: a file would have to be cleaned up, and an inherited descriptor could
//! leak into whatever else is started meanwhile.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::host::Way;

use super::emulation::Emulator;

/// A sandbox, as the outermost process asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spec {
    /// The directory on the host that becomes `/`.
    pub root: PathBuf,
    /// The directory of an overlay that is mounted at `root`: see [`overlay`](super::overlay).
    pub overlay: Option<PathBuf>,
    /// Whether that directory is mounted read-only.
    pub read_only: bool,
    /// What runs programs of another architecture.
    pub emulator: Option<Emulator>,
    /// What is bound into it, in this order.
    pub binds: Vec<Bind>,
    /// Whether the host's network stays visible.
    pub network: bool,
    /// Whether `fsync` and its relatives do nothing.
    pub without_sync: bool,
    /// Whether nothing can be mounted inside.
    pub without_mounts: bool,
    /// The command's whole environment.
    pub environment: BTreeMap<String, String>,
    /// The command's working directory, inside.
    pub directory: String,
    /// The process whose end ends the sandbox.
    pub parent: u32,
    /// How the command is shut in; none as long as nobody has found out.
    pub way: Option<Way>,
    /// The pipe of the process that hears how long the command took.
    pub told: Option<PathBuf>,
}

/// A file or directory of the host that is seen inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bind {
    pub host: PathBuf,
    pub inside: String,
    pub read_only: bool,
}

impl Spec {
    pub(super) fn new(root: PathBuf, environment: BTreeMap<String, String>) -> Self {
        Self {
            root,
            overlay: None,
            read_only: false,
            emulator: None,
            binds: Vec::new(),
            network: false,
            without_sync: false,
            without_mounts: false,
            environment,
            directory: "/".to_owned(),
            parent: 0,
            way: None,
            told: None,
        }
    }

    /// The form [`Spec::from_argument`] reads. Paths that are not UTF-8 cannot be said in JSON; the empty argument
    /// they give is refused there with its reason.
    pub(super) fn to_argument(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn from_argument(argument: &str) -> Result<Self> {
        serde_json::from_str(argument)
            .context("could not read what the sandbox is to be (is a path in it not UTF-8?)")
    }
}

/// How the command ended, as process 1 tells it to the process outside.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ending {
    /// It exited with this code.
    Exited(u8),
    /// It was ended by this signal.
    Signalled(i32),
    /// It never started, and why.
    NotStarted(String),
}
