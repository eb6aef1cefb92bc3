//! `image.provenance.json`: an in-toto Statement with SLSA's provenance, <https://slsa.dev/spec/v1.0/provenance>.
//!
//! It holds what decides on the artifacts and nothing of the run: no time, no host, no path, no option that changes no
//! byte. The one thing that is not of the artifacts is the commit, so that two checkouts of a description that differ in
//! other files differ in this file alone.
//!
//! Deliberately absent: a signature. Who runs the build signs it, with what signs their other statements.

use anyhow::Result;
use bedplate_core::lock::LockedPackage;
use bedplate_core::{Lock, Plan};
use serde_json::{Value, json};

use super::rendered;

/// What a build was given, beside its plan.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// What was decided.
    pub plan: &'a Plan,
    /// What was pinned.
    pub lock: &'a Lock,
    /// The digest of the plan and of the files that it names, in hexadecimal.
    pub description: &'a str,
    /// The commit that the description is of.
    pub commit: Option<&'a str>,
}

/// Returns the statement about artifacts of these names and digests.
///
/// # Errors
/// None that a well-formed plan has.
pub fn statement(given: Given<'_>, artifacts: &[(String, String)]) -> Result<Vec<u8>> {
    let Given { plan, lock, description, commit } = given;
    let subjects: Vec<Value> =
        artifacts.iter().map(|(name, sha256)| json!({"name": name, "digest": {"sha256": sha256}})).collect();
    // The lock itself is none of them: it also says which archives it was resolved from, and by way of a snapshot the
    // same packages have other ones.
    let mut inputs = vec![json!({"name": "description", "digest": {"sha256": description}})];
    if let Some(commit) = commit {
        inputs.insert(0, json!({"name": "repository", "digest": {"gitCommit": commit}}));
    }
    let roles = [(&lock.packages, "package"), (&lock.tools, "tool"), (&lock.cross_tools, "cross-tool")];
    for (packages, role) in roles {
        // A lock that was just made is in another order than the same one out of its file.
        let mut packages: Vec<&LockedPackage> = packages.iter().collect();
        packages.sort();
        inputs.extend(packages.into_iter().map(|package| input(package, role)));
    }
    Ok(rendered(&json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "pkg:generic/bedplate#docs/src/reference/papers.md",
                "externalParameters": {"image": plan.name, "architecture": plan.architecture.systemd()},
                "internalParameters": {"SOURCE_DATE_EPOCH": lock.epoch.to_string()},
                "resolvedDependencies": inputs,
            },
            "runDetails": {
                "builder": {
                    "id": concat!("pkg:generic/bedplate@", env!("CARGO_PKG_VERSION")),
                    "version": {"bedplate": env!("CARGO_PKG_VERSION"), "sources": env!("BEDPLATE_SOURCES")},
                },
            },
        },
    })))
}

/// A package as SLSA describes what was put in.
fn input(package: &LockedPackage, role: &str) -> Value {
    let mut input = json!({
        "name": package.name.as_str(),
        "digest": {"sha256": package.sha256.as_str()},
        "annotations": {"role": role, "version": package.version},
    });
    match package.url.is_file() {
        true => input["annotations"]["path"] = json!(package.url.as_str()),
        false => input["uri"] = json!(package.url.as_str()),
    }
    input
}
