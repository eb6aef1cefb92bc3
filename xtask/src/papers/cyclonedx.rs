//! `image.cdx.json`: CycloneDX 1.6, <https://cyclonedx.org/docs/1.6/json/>.
//!
//! Licences are one expression a package; the texts behind a `LicenseRef-` in it are in `image.spdx.json`.

use bedplate_core::Plan;
use serde_json::{Value, json};

use super::package::Package;
use super::{Image, id};

/// The id of the image as a whole.
const IMAGE: &str = "image";

/// Returns the document for artifacts of these names and digests.
pub fn document(plan: &Plan, image: &Image, artifacts: &[(String, String)]) -> Value {
    let (system, release) = &image.system;
    let mut components = vec![json!({
        "type": "operating-system", "bom-ref": "operating-system", "name": system, "version": release,
    })];
    components.extend(image.every_package().map(deb));
    components.extend(artifacts.iter().map(|(name, sha256)| {
        json!({
            "type": "file", "bom-ref": artifact_id(name), "name": name,
            "hashes": [{"alg": "SHA-256", "content": sha256}],
        })
    }));
    components.extend(image.files.iter().map(|file| {
        let mut component = json!({
            "type": "file", "bom-ref": format!("file:{}", file.path), "name": file.path,
            "description": file.origin,
        });
        if !file.private {
            component["hashes"] = json!([{"alg": "SHA-256", "content": file.sha256}]);
        }
        component
    }));
    let purl =
        |name: &str| image.every_package().find(|package| package.name == name).map(|package| &package.purl);
    let mut dependencies = vec![json!({
        "ref": IMAGE,
        "dependsOn": image.asked.iter().filter_map(|name| purl(name)).collect::<Vec<_>>(),
    })];
    dependencies.extend(image.packages.iter().map(|package| {
        let on: Vec<&String> = package.depends.iter().filter_map(|name| purl(name)).collect();
        json!({"ref": package.purl, "dependsOn": on})
    }));
    for (name, _) in artifacts {
        let parts = image.parts(&plan.artifacts).into_iter().filter(|(artifact, ..)| artifact == name);
        let on: Vec<&String> = parts.filter_map(|(_, package, _)| purl(package)).collect();
        if !on.is_empty() {
            dependencies.push(json!({"ref": artifact_id(name), "dependsOn": on}));
        }
    }
    let mut whole = json!({"type": "firmware", "bom-ref": IMAGE, "name": plan.name});
    if let Some(version) = &plan.version {
        whole["version"] = json!(version);
    }
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": image.timestamp(),
            "tools": {
                "components": [{
                    "type": "application", "name": "bedplate", "version": env!("CARGO_PKG_VERSION"),
                }],
            },
            "component": whole,
        },
        "components": components,
        "dependencies": dependencies,
    });
    let serial = format!("urn:uuid:{}", id(&document));
    document["serialNumber"] = json!(serial);
    document
}

fn artifact_id(name: &str) -> String {
    format!("artifact:{name}")
}

fn deb(package: &Package) -> Value {
    let mut deb = json!({
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        "hashes": [{"alg": "SHA-256", "content": package.sha256}],
    });
    if !package.summary.is_empty() {
        deb["description"] = json!(package.summary);
    }
    if let Some(maintainer) = &package.maintainer {
        let mut contact = json!({"name": maintainer.name});
        if let Some(email) = &maintainer.email {
            contact["email"] = json!(email);
        }
        deb["supplier"] = json!({"name": maintainer.name, "contact": [contact]});
    }
    if let Some(licences) = &package.licences {
        let expression = &licences.expression;
        deb["licenses"] = json!([{"expression": expression, "acknowledgement": "declared"}]);
    }
    let mut references = Vec::new();
    if let Some(location) = &package.location {
        references.push(json!({"type": "distribution", "url": location}));
    }
    if let Some(homepage) = &package.homepage {
        references.push(json!({"type": "website", "url": homepage}));
    }
    if !references.is_empty() {
        deb["externalReferences"] = json!(references);
    }
    let (name, version) = &package.source;
    let mut source = json!({"type": "library", "name": name, "version": version});
    if let Some(url) = super::purl::source(&package.purl, name, version) {
        source["purl"] = json!(url);
    }
    deb["pedigree"] = json!({"ancestors": [source]});
    deb
}
