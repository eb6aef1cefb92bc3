//! Which checkout a program is run for, and whether it was compiled of that one.
//!
//! The description is compiled in; what lies beside it (overlays, the lock) is read from where cargo was called. With
//! one target directory for two checkouts these may be two descriptions: such a program is not run.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// A program of one checkout that cargo runs in another.
#[derive(Debug, PartialEq, Eq)]
pub struct OtherCheckout {
    /// The package that was compiled.
    pub compiled: PathBuf,
    /// The package that cargo was called for.
    pub called: PathBuf,
}

impl fmt::Display for OtherCheckout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (compiled, called) = (self.compiled.display(), self.called.display());
        write!(f, "this program was compiled from `{compiled}`, and cargo runs it for `{called}`")
    }
}

/// Returns the directory of the package that this program is run for: the one that cargo was called for, else the one
/// that was compiled in `directory`, as `package`, in the checkout that `BEDPLATE_CHECKOUT` named.
///
/// # Errors
/// Cargo was called for the same package in another checkout.
pub fn package(directory: &str, package: &str, checkout: Option<&str>) -> Result<PathBuf, OtherCheckout> {
    decide(Path::new(directory), package, checkout, &|name| std::env::var_os(name))
}

fn decide(
    compiled: &Path,
    package: &str,
    checkout: Option<&str>,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, OtherCheckout> {
    let Some(called) = variable("CARGO_MANIFEST_DIR").map(PathBuf::from) else {
        return Ok(compiled.to_owned());
    };
    // A test in another package of the workspace starts this program.
    if variable("CARGO_PKG_NAME").is_some_and(|name| name != package) {
        return Ok(compiled.to_owned());
    }
    let named = checkout.filter(|checkout| compiled.starts_with(checkout)).map(OsString::from);
    let at_home = named.is_some() && named == variable("BEDPLATE_CHECKOUT");
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    // In the checkout that it was compiled of, a test may name another directory for the project's files.
    if at_home || real(&called) == real(compiled) {
        return Ok(called);
    }
    Err(OtherCheckout { compiled: compiled.to_owned(), called })
}

/// Returns the directory that rustc names the `file` of a package from, which is the workspace's.
pub fn workspace(package: &Path, file: &str) -> PathBuf {
    let names = |above: &&Path| {
        let below = package.strip_prefix(above).ok();
        below.is_some_and(|below| Path::new(file).starts_with(below)) && above.join(file).is_file()
    };
    package.ancestors().find(names).unwrap_or(package).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The package `edge`, compiled in `/one`, run with these variables.
    fn run(checkout: Option<&str>, variables: &[(&str, &str)]) -> Result<PathBuf, OtherCheckout> {
        decide(Path::new("/one"), "edge", checkout, &|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn a_program_runs_for_the_checkout_it_was_compiled_of() {
        let runs = |checkout, variables: &[(&str, &str)]| run(checkout, variables).unwrap();
        assert_eq!(runs(None, &[]), Path::new("/one"), "without cargo");
        assert_eq!(runs(None, &[("CARGO_MANIFEST_DIR", "/one")]), Path::new("/one"));
        let elsewhere =
            [("CARGO_MANIFEST_DIR", "/two"), ("BEDPLATE_CHECKOUT", "/one/"), ("CARGO_PKG_NAME", "edge")];
        assert_eq!(runs(Some("/one/"), &elsewhere), Path::new("/two"), "a test of it says so");
        let member = [("CARGO_MANIFEST_DIR", "/one/tests"), ("CARGO_PKG_NAME", "tests")];
        assert_eq!(runs(None, &member), Path::new("/one"), "a test of another package starts it");
    }

    #[test]
    fn a_program_of_another_checkout_is_not_run() {
        let two = [("CARGO_MANIFEST_DIR", "/two"), ("CARGO_PKG_NAME", "edge")];
        let other = run(None, &two).unwrap_err();
        let told = "this program was compiled from `/one`, and cargo runs it for `/two`";
        assert_eq!(other.to_string(), told, "neither has the line in its configuration");
        assert_eq!(run(Some("/one/"), &two), Err(other), "the first has it");
        let named = |checkout| [two[0], two[1], ("BEDPLATE_CHECKOUT", checkout)];
        run(None, &named("/two/")).expect_err("the second has it");
        run(Some("/one/"), &named("/two/")).expect_err("a cargo that does not look at it");
        run(Some("/three/"), &named("/three/")).expect_err("cargo was started by that of a third one");
    }

    #[test]
    fn a_checkout_by_another_name_is_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let variable = |name: &str| (name == "CARGO_MANIFEST_DIR").then(|| link.clone().into());
        assert_eq!(decide(&real, "edge", None, &variable), Ok(link.clone()));
    }

    #[test]
    fn files_are_named_from_the_workspace() {
        let directory = tempfile::tempdir().unwrap();
        let (workspace_root, package) = (directory.path(), directory.path().join("devices"));
        std::fs::create_dir_all(package.join("image")).unwrap();
        std::fs::write(package.join("image/main.rs"), "").unwrap();
        assert_eq!(workspace(&package, "devices/image/main.rs"), workspace_root);
        assert_eq!(workspace(&package, "image/main.rs"), package);
        assert_eq!(workspace(&package, "elsewhere/main.rs"), package, "a project without its description");
        let absolute = package.join("image/main.rs");
        assert_eq!(workspace(&package, absolute.to_str().unwrap()), package, "outside of the workspace");
    }
}
