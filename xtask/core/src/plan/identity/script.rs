//! The service that makes a device's ids and keys, and what it runs.

use std::collections::BTreeSet;

use super::super::Plan;
use super::super::template::{Unfit, template, units, words};
use super::{Identity, IdentityFile, PUBLIC, STORE};

/// Where they lie when there is no data partition, or it is lost.
const VOLATILE: &str = "/run/bedplate/own";

/// Before anything else of the system: a service of any kind may read it.
pub(super) fn unit(plan: &Plan, rows: &[&Identity]) -> Result<String, Unfit> {
    let before = ["sysinit.target", "shutdown.target"].into_iter();
    let before = before.chain(rows.iter().flat_map(|row| row.before).copied());
    let elsewhere = rows.iter().flat_map(|row| row.files).filter(|file| !file.path.starts_with("/etc/"));
    let elsewhere: BTreeSet<&str> = elsewhere.map(IdentityFile::directory).collect();
    let elsewhere = elsewhere.iter().map(|directory| format!("-{directory}"));
    let writable = ["/etc".to_string(), "/run".to_string()].into_iter().chain(mount(plan)).chain(elsewhere);
    template!("units/bedplate-identity.service", BEFORE = units(before), WRITABLE = words(writable))
}

/// Where the data partition is mounted.
fn mount(plan: &Plan) -> Option<String> {
    let store = plan.identity_store()?;
    let mount = store.strip_suffix(STORE)?.strip_suffix(super::super::BACKING)?;
    Some(mount.trim_end_matches('/').to_string())
}

/// `linked` when programs are led to [`PUBLIC`], since the root cannot be written.
pub(super) fn script(plan: &Plan, rows: &[&Identity], linked: bool) -> Result<String, Unfit> {
    let mount = mount(plan);
    let makes = rows.iter().flat_map(|row| row.make.lines()).map(str::to_string).collect();
    let owns = rows.iter().flat_map(|row| owned(row, linked)).collect();
    template!(
        "scripts/identity.sh",
        STORE = plan.identity_store().unwrap_or(VOLATILE.to_string()),
        MOUNT = mount.as_deref().unwrap_or_default();
        if PERSISTENT = mount.is_some();
        lines MAKES = makes;
        lines OWNS = owns
    )
}

/// The calls that make the files of a row, and put them where programs look for them.
fn owned(row: &Identity, linked: bool) -> Vec<String> {
    let set = row.set;
    let mut calls = vec![String::new(), format!("own {set} make_{}", set.replace('-', "_"))];
    for file in row.files {
        let path = if linked { format!("{PUBLIC}/{set}/{}", file.name()) } else { file.path.to_string() };
        calls.push(format!("put {set} {} {} {} {path}", file.name(), file.mode, file.owner));
    }
    calls
}
