//! `preinst install`, as dpkg runs it for a package that was never there.
//!
//! `maintscript_run_new` in dpkg's `script.c`: from `tmp.ci`, with the package
//! in the environment.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bedplate_formats::deb::Control;

use super::failure::{Explainer, last_lines};
use super::log::Log;
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
    for relation in control.field("Pre-Depends").split([',', '|']) {
        let name = relation.trim().split([' ', ':', '(']).next().unwrap_or_default();
        if let Some(needed) = by_name.get(name) {
            visit(needed, by_name, state, order);
        }
    }
    order.push(control);
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
