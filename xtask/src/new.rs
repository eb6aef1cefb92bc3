//! A project of one's own, from the files in `xtask/project`.
//!
//! All of it is put together in memory, so that whatever is wrong is said before anything is written. It is written
//! beside its place and renamed: there is a whole project or none.

pub mod dependency;
pub mod mkosi;

use std::path::{Path, PathBuf, absolute};
use std::process::Command;

use anyhow::{Context as _, Result};
use bedplate_core::release::{RELEASES, Release};
use bedplate_core::value::{Hostname, Value as _};
use bedplate_core::{Distribution, spelling::nearest};
use fs_err as fs;
use fs_err::os::unix::fs::symlink;

use crate::error::{LocatedError, UsageError};
use dependency::Dependency;

/// The name that the files in `xtask/project` have for the project, and the function of its first image.
const NAME: (&str, &str) = ("example-device", "example_device");

/// What a project cannot be called: its first image is a function of its name, and a package cannot have the others.
const TAKEN: [&str; 49] = [
    "abstract", "alloc", "as", "async", "await", "become", "bedplate", "boots", "box", "break", "const",
    "consoles", "continue", "core", "disk", "do", "dyn", "else", "enum", "extern", "final", "fn", "for",
    "gen", "if", "impl", "in", "let", "loop", "macro", "main", "match", "mod", "move", "override", "people",
    "priv", "pub", "ref", "return", "static", "std", "struct", "system", "test", "trait", "try", "type",
    "xtask",
];

/// A file of a project.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    /// Where it goes, from the project's directory on.
    pub path: PathBuf,
    /// What is in it.
    pub content: Content,
}

/// What a file is made of.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// This text.
    Text(String),
    /// The bytes and permissions of another file.
    Copy(PathBuf),
    /// A symbolic link to this.
    Link(PathBuf),
}

impl File {
    /// A file with this text.
    pub fn text(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { path: path.into(), content: Content::Text(text.into()) }
    }
}

/// What the files of a new project differ in.
pub struct Settings {
    /// The package's name, which is its first image's, too.
    pub name: String,
    /// The release the image is made of.
    pub release: &'static Release,
    /// How it names this crate.
    pub dependency: Dependency,
}

/// Returns the name of a project in a directory.
///
/// # Errors
/// It cannot be the name of a package, a function and a host alike.
pub fn name(directory: &Path, given: Option<&str>) -> Result<String, UsageError> {
    let last = || absolute(directory).ok()?.file_name()?.to_str().map(str::to_owned);
    let name = given.map(str::to_owned).or_else(last).unwrap_or_default();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let reason = if !name.chars().all(allowed) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        "it is not made of a-z 0-9 - alone, with a letter first".to_owned()
    } else if TAKEN.contains(&name.as_str()) {
        "it has a meaning in Rust, or in the project's own files".to_owned()
    } else if let Err(malformed) = Hostname::parse(&format!("{name}-{{machine-id}}")) {
        format!("as a host name, {}", malformed.reason)
    } else {
        return Ok(name);
    };
    Err(UsageError(format!(
        "invalid name `{name}` for a project: {reason}; give it another one with `--name`"
    )))
}

/// Returns the release of this name.
///
/// # Errors
/// There is none, or no image is made of it.
pub fn release(name: &str) -> Result<&'static Release, UsageError> {
    let names = || RELEASES.iter().filter(|release| release.refused.is_none()).map(|release| release.name);
    let list = || names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let Some(release) = RELEASES.iter().find(|release| release.name == name) else {
        return Err(UsageError(match nearest(name, names()) {
            Some(near) => format!("unknown release `{name}`; did you mean `{near}`? there are {}", list()),
            None => format!("unknown release `{name}`; there are {}", list()),
        }));
    };
    match release.refused {
        None => Ok(release),
        Some((why, instead)) => {
            Err(UsageError(format!("no image is made of `{name}`: {why}; use `{instead}`")))
        }
    }
}

impl Settings {
    /// All files of a project with the description of a small device.
    ///
    /// # Errors
    /// The release cannot take the credential that the device is handed.
    pub fn files(&self) -> Result<Vec<File>, UsageError> {
        if !self.release.imports_credentials() {
            let release = self.release.name;
            return Err(UsageError(format!(
                "the device of a new project is handed a key as a credential, which `{release}` takes none of; make it \
                 of another release"
            )));
        }
        let mut files = self.frame(&self.name);
        files.push(File::text("README.md", self.named(include_str!("../project/readme.md"))));
        files.push(File::text("image/main.rs", self.description()));
        let unit = include_str!("../project/image/units/boots.service");
        files.push(File::text("image/units/boots.service", unit));
        let network = "etc/systemd/network/80-wired.network";
        let text = include_str!("../project/image/overlay/etc/systemd/network/80-wired.network");
        files.push(File::text(Path::new("image/overlay").join(network), text));
        files.push(File::text("tests/image.rs", self.named(include_str!("../project/tests/image.rs"))));
        Ok(files)
    }

    /// What every project has around its description; `image` is the one that is built elsewhere.
    pub fn frame(&self, image: &str) -> Vec<File> {
        let container = include_str!("../project/repository/Containerfile");
        let toolchain =
            container.split("RUSTUP_TOOLCHAIN=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let toolchain = include_str!("../project/rust-toolchain.toml")
            .replace("RUSTUP_TOOLCHAIN", toolchain.unwrap_or("stable"));
        let container = container
            .replace("--tag bedplate ", &format!("--tag {} ", self.name))
            .replace("--volume bedplate:", &format!("--volume {}:", self.name))
            .replace(
                " bedplate cargo xtask image edge",
                &format!(" {} cargo xtask image {image}", self.name),
            );
        let cargo = include_str!("../project/repository/cargo-config.toml");
        let cargo = cargo.split_inclusive('\n').filter(|line| !line.starts_with("chore = "));
        let codebuild =
            cut(include_str!("../project/repository/buildspec.yml"), "  pre_build:\n", "  build:\n");
        let github = include_str!("../project/repository/image.yml");
        let github = cut(github, "      - name: Lock\n", "      - name: Build\n");
        let built = |text: String| text.replace("IMAGE: edge\n", &format!("IMAGE: {image}\n"));
        vec![
            File::text("Cargo.toml", self.manifest()),
            File::text(".cargo/config.toml", cargo.collect::<String>()),
            File::text(".gitignore", include_str!("../project/gitignore")),
            File::text("rust-toolchain.toml", toolchain),
            File::text("rustfmt.toml", include_str!("../project/repository/rustfmt.toml")),
            File::text("Containerfile", container),
            File::text("buildspec.yml", built(codebuild)),
            File::text(".github/workflows/image.yml", built(github)),
        ]
    }

    fn manifest(&self) -> String {
        let profiles = include_str!("../project/repository/manifest.toml");
        let profiles =
            profiles.find("# `cargo xtask` builds the dev profile.").map_or("", |at| &profiles[at..]);
        let manifest = self.named(include_str!("../project/manifest.toml"));
        manifest.replace("bedplate = {}\n", &format!("{}\n", self.dependency)) + profiles
    }

    fn description(&self) -> String {
        let text = self.named(include_str!("../project/image/main.rs"));
        let name = self.release.name;
        match self.release.distribution {
            Distribution::Ubuntu => text.replace("ubuntu(\"noble\")", &format!("ubuntu(\"{name}\")")),
            Distribution::Debian => text
                .replace("ubuntu(\"noble\")", &format!("debian(\"{name}\")"))
                .replace("\"linux-generic\"", "format!(\"linux-image-{}\", target.architecture.deb())"),
        }
    }

    /// A text with the project's name in it.
    pub fn named(&self, text: &str) -> String {
        text.replace(NAME.0, &self.name).replace(NAME.1, &self.name.replace('-', "_"))
    }
}

/// Returns the text without what is from the one line to before the other.
fn cut(text: &str, from: &str, to: &str) -> String {
    let (Some(start), Some(end)) = (text.find(from), text.find(to)) else { return text.to_owned() };
    [&text[..start], &text[end..]].concat()
}

/// Writes the files of a project into a directory that is not there, or empty.
///
/// # Errors
/// The directory has something in it, or cannot be written. Then nothing is left.
pub fn write(directory: &Path, files: &[File]) -> Result<()> {
    refuse_occupied(directory)?;
    let directory = absolute(directory).with_context(|| format!("cannot find `{}`", directory.display()))?;
    // The outermost directory that is missing, or the empty one itself, comes to its place by one rename.
    let place = directory.ancestors().take_while(|above| !above.exists()).last().unwrap_or(&directory);
    let beside = place.parent().with_context(|| format!("cannot replace `{}`", place.display()))?;
    let scratch = tempfile::Builder::new()
        .prefix(".bedplate-new-")
        .tempdir_in(beside)
        .with_context(|| format!("cannot write into `{}`", beside.display()))?;
    let whole = scratch.path().join("whole");
    let root = whole.join(directory.strip_prefix(place).unwrap_or(Path::new("")));
    fs::create_dir_all(&root)?;
    for file in files {
        let path = root.join(&file.path);
        fs::create_dir_all(path.parent().unwrap_or(&root))?;
        match &file.content {
            Content::Text(text) => fs::write(path, text)?,
            Content::Copy(from) => drop(fs::copy(from, path)?),
            Content::Link(to) => symlink(to, path)?,
        }
    }
    fs::rename(&whole, place)?;
    Ok(())
}

/// Refuses a directory that has something in it.
///
/// # Errors
/// It has, or is no directory.
pub fn refuse_occupied(directory: &Path) -> Result<()> {
    let is_free = match fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => false,
        Err(error) => return Err(error.into()),
    };
    if is_free {
        return Ok(());
    }
    let message = format!("`{}` is there already", directory.display());
    let help = "nothing is written over: name a directory that is not there, or an empty one";
    Err(LocatedError::without_line(message, help).into())
}

/// Makes a repository of a new project, as `cargo new` does: where git is there, and the directory is in no other
/// repository, or ignored by that one. Returns whether it did.
pub fn make_repository(directory: &Path) -> bool {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
            git.env_remove(name);
        }
        git.args(arguments).current_dir(directory).output().is_ok_and(|output| output.status.success())
    };
    let is_inside = git(&["rev-parse", "--is-inside-work-tree"]) && !git(&["check-ignore", "--quiet", "."]);
    !is_inside && git(&["init", "--quiet"])
}

#[cfg(test)]
mod tests;
