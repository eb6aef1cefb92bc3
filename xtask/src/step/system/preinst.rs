//! `preinst install`, as dpkg runs it for a package that was never there.
//!
//! `maintscript_run_new` in dpkg's `script.c`: from `tmp.ci`, with the package
//! in the environment.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use bedplate_formats::deb::Control;

use super::failure::{Explainer, last_lines};
use super::log::Log;
use crate::archive::index::relation_names;
use crate::sandbox::Sandbox;

/// The packages with a `preinst`, each after the ones it pre-depends on.
pub(super) fn order(controls: &[Control]) -> Vec<&Control> {
    let by_name: BTreeMap<&str, &Control> = controls.iter().map(|c| (c.package(), c)).collect();
    let mut state = BTreeMap::new();
    let mut order = Vec::new();
    // The essential ones first: `base-passwd` makes the accounts others count on.
    let essential = |c: &&Control| c.field("Essential") != "yes";
    let mut sorted: Vec<&Control> = controls.iter().collect();
    sorted.sort_by_key(|c| (essential(c), c.package(), c.architecture()));
    for control in sorted {
        visit(control, &by_name, &mut state, &mut order);
    }
    order.retain(|c| c.file("preinst").is_some());
    order
}

fn visit<'a>(
    control: &'a Control,
    by_name: &BTreeMap<&str, &'a Control>,
    state: &mut BTreeMap<(String, String), ()>,
    order: &mut Vec<&'a Control>,
) {
    let key = (control.package().to_owned(), control.architecture().to_owned());
    if state.insert(key, ()).is_some() {
        return;
    }
    for name in related(control.field("Pre-Depends")) {
        if let Some(needed) = by_name.get(name) {
            visit(needed, by_name, state, order);
        }
    }
    order.push(control);
}

/// What decides when a package is put in place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs<'a> {
    /// Its name.
    pub package: &'a str,
    /// What must be there before its `preinst`.
    pub pre_depends: &'a str,
    /// What must be there before others may use it.
    pub depends: &'a str,
    /// The names that it has beside its own.
    pub provides: &'a str,
}

impl<'a> Needs<'a> {
    /// Reads the fields of a package.
    pub fn of(control: &'a Control) -> Self {
        let field = |name| control.field(name);
        Self {
            package: control.package(),
            pre_depends: field("Pre-Depends"),
            depends: field("Depends"),
            provides: field("Provides"),
        }
    }
}

/// Splits packages with a `preinst` into waves: what a package pre-depends on, and what that depends on, is in an
/// earlier one, since its `preinst` may run their programs (`adduser`, which has one itself). A circle is one wave.
///
/// `all` are the packages that are installed together, those without a `preinst` too.
pub(super) fn waves<T>(all: &[Needs<'_>], packages: Vec<T>, name: impl Fn(&T) -> &str) -> Vec<Vec<T>> {
    let by_name = by_name(all);
    let mut waves = Vec::new();
    let mut rest = packages;
    while !rest.is_empty() {
        let names: BTreeSet<String> = rest.iter().map(|package| name(package).to_owned()).collect();
        let waits = |package: &T| {
            let own = name(package);
            needed(own, &by_name).iter().any(|needed| *needed != own && names.contains(*needed))
        };
        let (later, ready): (Vec<T>, Vec<T>) = rest.into_iter().partition(waits);
        let (wave, later) = if ready.is_empty() { (later, Vec::new()) } else { (ready, later) };
        waves.push(wave);
        rest = later;
    }
    waves
}

/// The packages that must be configured before the `preinst` of a package runs, Debian Policy 7.2: those it pre-depends
/// on, and what these depend on.
pub(super) fn pre_depended<'a>(all: &[Needs<'a>], package: &str) -> BTreeSet<&'a str> {
    needed(package, &by_name(all))
}

/// The packages by their names, and by those they provide.
fn by_name<'a>(all: &[Needs<'a>]) -> BTreeMap<&'a str, Vec<Needs<'a>>> {
    let mut by_name: BTreeMap<&str, Vec<Needs<'_>>> = BTreeMap::new();
    for needs in all {
        for name in std::iter::once(needs.package).chain(related(needs.provides)) {
            by_name.entry(name).or_default().push(*needs);
        }
    }
    by_name
}

/// The packages that must be in place before the `preinst` of a package runs.
fn needed<'a>(package: &str, by_name: &BTreeMap<&'a str, Vec<Needs<'a>>>) -> BTreeSet<&'a str> {
    let mut needed = BTreeSet::new();
    let own = by_name.get(package).into_iter().flatten().filter(|needs| needs.package == package);
    let mut pending: Vec<&str> = own.flat_map(|needs| related(needs.pre_depends)).collect();
    while let Some(name) = pending.pop() {
        for needs in by_name.get(name).into_iter().flatten() {
            if needed.insert(needs.package) {
                pending.extend(related(needs.pre_depends).chain(related(needs.depends)));
            }
        }
    }
    needed
}

/// The names in a field of relationships, alternatives too.
fn related(field: &str) -> impl Iterator<Item = &str> {
    field.split('|').flat_map(relation_names)
}

/// Runs the `preinst` whose package is laid out in `tmp.ci`.
pub(super) fn run(
    sandbox: &Sandbox,
    control: &Control,
    architecture: &str,
    log: &Log<'_>,
    explainer: &Explainer<'_>,
) -> Result<()> {
    let package = control.package();
    let sandbox = sandbox
        .clone()
        .env("DPKG_MAINTSCRIPT_PACKAGE", package)
        .env("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1")
        .env("DPKG_MAINTSCRIPT_ARCH", architecture)
        .env("DPKG_MAINTSCRIPT_NAME", "preinst")
        .env("DPKG_MAINTSCRIPT_DEBUG", "0")
        .env("DPKG_ADMINDIR", "/var/lib/dpkg")
        .env("DPKG_ROOT", "")
        .env("DPKG_FORCE", "unsafe-io");
    let argv = ["/var/lib/dpkg/tmp.ci/preinst", "install"];
    let expression = sandbox.command(argv).stdin_null().stderr_to_stdout().stdout_capture().unchecked();
    let output = expression.run().context("could not start the sandbox")?;
    log.add(&output.stdout);
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let ended = match output.status.code() {
        Some(code) => format!("failed with exit code {code}"),
        None => "was ended by a signal".to_owned(),
    };
    let headline = format!("`preinst` of the package `{package}` {ended}");
    Err(explainer.package(package, &headline, &last_lines(text.lines())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_preinst_runs_is_in_place_before_it() {
        let needs = |package, pre_depends, depends| Needs { package, pre_depends, depends, provides: "" };
        let all = [
            needs("server", "adduser (>= 3.40), debconf | cdebconf", "libc6"),
            needs("plugin", "common:any", "server"),
            needs("common", "", "server"),
            needs("adduser", "", "passwd"),
            needs("other", "", "server"),
        ];
        let with_preinst = vec!["adduser", "other", "plugin", "server"];
        let waves = waves(&all, with_preinst, |name| name);
        assert_eq!(waves, [vec!["adduser", "other"], vec!["server"], vec!["plugin"]]);
    }

    #[test]
    fn what_a_package_pre_depends_on_is_found_with_what_that_needs() {
        let needs =
            |package, pre_depends, depends, provides| Needs { package, pre_depends, depends, provides };
        let all = [
            needs("server", "adduser (>= 3.40), debconf | cdebconf", "perl", ""),
            needs("adduser", "", "passwd, logger", ""),
            needs("util", "", "", "logger (= 1)"),
            needs("perl", "", "", ""),
        ];
        assert_eq!(pre_depended(&all, "server"), BTreeSet::from(["adduser", "util"]));
        assert_eq!(pre_depended(&all, "perl"), BTreeSet::new());
    }

    #[test]
    fn packages_that_need_each_other_are_put_in_place_together() {
        let all = [
            Needs { package: "a", pre_depends: "b", depends: "", provides: "" },
            Needs { package: "b", pre_depends: "a", depends: "", provides: "" },
        ];
        assert_eq!(waves(&all, vec!["a", "b"], |name| name), [["a", "b"]]);
    }
}
