//! How a new project names this crate: from where this one came.

use std::fmt;
use std::path::{Component, Path, PathBuf, absolute};

use crate::error::UsageError;

/// The value of `bedplate` below `[dependencies]`.
#[derive(Debug, PartialEq, Eq)]
pub enum Dependency {
    /// A checkout on this machine, from the project's directory or from the root.
    Path(PathBuf),
    /// A commit of a repository.
    Git {
        /// Its address.
        url: String,
        /// The commit, a tag or a branch.
        revision: Option<String>,
    },
    /// A version in the registry.
    Registry(String),
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // On another machine it is there as well, or named otherwise.
            Self::Path(path) => {
                writeln!(
                    f,
                    "# A checkout on this machine; elsewhere, CI among it: `{{ git = \"…\", rev = \"…\" }}`."
                )?;
                write!(f, "bedplate = {{ path = {:?} }}", path.display().to_string())
            }
            Self::Git { url, revision: Some(revision) } => {
                write!(f, "bedplate = {{ git = {url:?}, rev = {revision:?} }}")
            }
            Self::Git { url, revision: None } => write!(f, "bedplate = {{ git = {url:?} }}"),
            Self::Registry(version) => write!(f, "bedplate = {version:?}"),
        }
    }
}

impl Dependency {
    /// What somebody wrote: a version, the address of a repository with `#` and a commit, or the path of a checkout.
    pub fn parse(text: &str, project: &Path) -> Self {
        let is_address = text.contains("://") || text.starts_with("git@");
        match text.split_once('#') {
            Some((url, revision)) if is_address => {
                Self::Git { url: url.to_owned(), revision: Some(revision.to_owned()) }
            }
            None if is_address => Self::Git { url: text.to_owned(), revision: None },
            _ if text.starts_with(|c: char| c.is_ascii_digit() || "=^~".contains(c)) => {
                Self::Registry(text.to_owned())
            }
            _ => {
                let checkout = absolute(text).unwrap_or_else(|_| text.into());
                // Of a whole repository, the crate is meant.
                let inside = checkout.join("xtask");
                Self::path(if inside.join("Cargo.toml").is_file() { &inside } else { &checkout }, project)
            }
        }
    }

    /// Where this program's own crate came from. `lock` is the `Cargo.lock` that it was built with.
    ///
    /// # Errors
    /// It came from a repository whose address no lock names, or from a checkout that is gone.
    pub fn own(project: &Path, lock: &str) -> Result<Self, UsageError> {
        Self::of(Path::new(env!("CARGO_MANIFEST_DIR")), env!("CARGO_PKG_VERSION"), project, lock)
    }

    fn of(compiled: &Path, version: &str, project: &Path, lock: &str) -> Result<Self, UsageError> {
        let is_below = |kind: [&str; 2]| {
            let parts: Vec<&str> = compiled.iter().filter_map(|part| part.to_str()).collect();
            parts.windows(2).any(|pair| pair == kind)
        };
        if is_below(["registry", "src"]) {
            return Ok(Self::Registry(version.to_owned()));
        }
        if is_below(["git", "checkouts"]) {
            return locked(lock)
                .ok_or_else(|| unknown("`Cargo.lock` does not name the repository of this bedplate"));
        }
        if !compiled.is_dir() {
            return Err(unknown(&format!(
                "the bedplate that this program was built of has gone from `{}`",
                compiled.display()
            )));
        }
        Ok(Self::path(compiled, project))
    }

    /// A checkout: from the project on when they have one of its next two directories in common.
    fn path(checkout: &Path, project: &Path) -> Self {
        let project = absolute(project).unwrap_or_else(|_| project.into());
        for (up, above) in project.ancestors().enumerate().take(3) {
            let is_a_place = above.components().any(|part| matches!(part, Component::Normal(_)));
            if let (true, Ok(below)) = (is_a_place, checkout.strip_prefix(above)) {
                return Self::Path((0..up).map(|_| "..").collect::<PathBuf>().join(below));
            }
        }
        Self::Path(checkout.to_owned())
    }
}

fn unknown(why: &str) -> UsageError {
    UsageError(format!(
        "{why}; say with `--bedplate` how the new project names it: a path, URL#COMMIT or a version"
    ))
}

/// The repository and the commit that a `Cargo.lock` has of this crate: `source = "git+URL?rev=…#COMMIT"`.
fn locked(lock: &str) -> Option<Dependency> {
    let package = lock.split("[[package]]").find(|package| package.contains("\nname = \"bedplate\"\n"))?;
    let source = package.split("source = \"git+").nth(1)?.split('"').next()?;
    let (address, revision) = source.split_once('#')?;
    let url = address.split('?').next().unwrap_or(address);
    Some(Dependency::Git { url: url.to_owned(), revision: Some(revision.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "[[package]]\nname = \"bedplate\"\nversion = \"0.1.0\"\n\
        source = \"git+https://example.com/bedplate?branch=main#0123abc\"\n\n[[package]]\nname = \"zstd\"\n";

    fn of(compiled: &str, lock: &str) -> Result<String, String> {
        let dependency = Dependency::of(Path::new(compiled), "0.1.0", Path::new("/home/me/edge"), lock);
        dependency.map(|dependency| dependency.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_project_names_bedplate_as_the_program_had_it() {
        let registry = of("/root/.cargo/registry/src/index.example-1949/bedplate-0.1.0", "").unwrap();
        assert_eq!(registry, "bedplate = \"0.1.0\"");
        let checkouts = "/root/.cargo/git/checkouts/bedplate-12ab/0123abc/xtask";
        let git = "bedplate = { git = \"https://example.com/bedplate\", rev = \"0123abc\" }";
        assert_eq!(of(checkouts, LOCK).unwrap(), git);
        assert!(of(checkouts, "").unwrap_err().contains("--bedplate"));
        assert!(of("/nowhere/bedplate/xtask", "").unwrap_err().contains("`/nowhere/bedplate/xtask`"));
    }

    #[test]
    fn a_checkout_nearby_is_named_from_the_project() {
        let path = |checkout, project| match Dependency::path(Path::new(checkout), Path::new(project)) {
            Dependency::Path(path) => path.display().to_string(),
            other => panic!("{other}"),
        };
        assert_eq!(path("/src/bedplate/xtask", "/src/edge"), "../bedplate/xtask");
        assert_eq!(path("/src/bedplate/xtask", "/src/bedplate/mine/edge"), "../../xtask");
        assert_eq!(path("/src/bedplate/xtask", "/home/me/edge"), "/src/bedplate/xtask");
        assert_eq!(path("/bedplate/xtask", "/edge"), "/bedplate/xtask", "the root is nobody's neighbourhood");
    }

    #[test]
    fn what_somebody_wrote_is_told_apart() {
        let parse = |text| Dependency::parse(text, Path::new("/src/edge"));
        assert_eq!(parse("0.2"), Dependency::Registry("0.2".to_owned()));
        let (url, revision) = ("https://example.com/b".to_owned(), Some("v1".to_owned()));
        assert_eq!(parse("https://example.com/b#v1"), Dependency::Git { url: url.clone(), revision });
        assert_eq!(parse("https://example.com/b"), Dependency::Git { url, revision: None });
        assert_eq!(parse("/src/bedplate"), Dependency::Path("../bedplate".into()));
    }
}
