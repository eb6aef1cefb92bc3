//! `image.spdx.json`: SPDX 2.3, <https://spdx.github.io/spdx-spec/v2.3/>.
//!
//! Artifacts are packages of the purpose `FILE`, because SPDX wants a SHA-1 of what it calls a file. Sources are
//! packages, too, so that a scanner finds what was fixed in them.

use std::collections::BTreeMap;

use bedplate_core::Plan;
use serde_json::{Value, json};

use super::package::Package;
use super::{Image, id};

const NO_ASSERTION: &str = "NOASSERTION";
/// The id of the image as a whole.
const IMAGE: &str = "SPDXRef-Image";

/// Returns the document for artifacts of these names and digests.
pub fn document(plan: &Plan, image: &Image, artifacts: &[(String, String)]) -> Value {
    let mut packages = vec![root(plan, image)];
    packages.extend(artifacts.iter().map(|(name, sha256)| artifact(name, sha256)));
    let mut texts = BTreeMap::new();
    let mut sources = BTreeMap::new();
    let mut relations = Relations(vec![json!({
        "spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": IMAGE,
    })]);
    for (name, _) in artifacts {
        relations.add(IMAGE, "CONTAINS", &artifact_id(name), None);
    }
    for package in image.every_package() {
        let this = package_id(&package.name);
        packages.push(deb(package));
        texts.extend(package.licences.iter().flat_map(|licences| &licences.texts));
        for other in &package.depends {
            relations.add(&this, "DEPENDS_ON", &package_id(other), None);
        }
        let (name, version) = &package.source;
        let source = format!("SPDXRef-Source-{}-{}", part(name), part(version));
        relations.add(&this, "GENERATED_FROM", &source, None);
        sources.entry(source).or_insert(package);
    }
    for package in &image.packages {
        relations.add(IMAGE, "CONTAINS", &package_id(&package.name), None);
    }
    for (artifact, package, what) in image.parts(&plan.artifacts) {
        relations.add(&artifact_id(artifact), "GENERATED_FROM", &package_id(package), Some(what));
    }
    packages.extend(sources.into_iter().map(|(id, package)| source(&id, package)));
    let files = image.files.iter().filter(|file| !file.private);
    let files: Vec<Value> = files
        .map(|file| {
            let id = format!("SPDXRef-File-{}", part(file.path.trim_start_matches('/')));
            // SPDX lets no package contain a file unless all of its files are listed.
            relations.add(&artifact_id(&plan.artifacts.root), "GENERATED_FROM", &id, None);
            json!({
                "SPDXID": id,
                "fileName": format!(".{}", file.path),
                "checksums": [
                    {"algorithm": "SHA1", "checksumValue": file.sha1},
                    {"algorithm": "SHA256", "checksumValue": file.sha256},
                ],
                "comment": file.origin,
                "copyrightText": NO_ASSERTION,
                "licenseConcluded": NO_ASSERTION,
            })
        })
        .collect();
    let extracted: Vec<Value> = texts
        .into_iter()
        .map(|(reference, licence)| {
            let text = match licence.text.is_empty() {
                true => {
                    format!("A copyright file names the licence `{}`, and has no text of it.", licence.name)
                }
                false => licence.text.clone(),
            };
            json!({"licenseId": reference, "name": licence.name, "extractedText": text})
        })
        .collect();
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": plan.name,
        "creationInfo": {
            "created": image.timestamp(),
            "creators": [concat!("Tool: bedplate-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "files": files,
        "hasExtractedLicensingInfos": extracted,
        "relationships": relations.0,
    });
    let namespace = format!("https://spdx.org/spdxdocs/{}-{}", plan.name, id(&document));
    document["documentNamespace"] = json!(namespace);
    document
}

struct Relations(Vec<Value>);

impl Relations {
    fn add(&mut self, from: &str, kind: &str, to: &str, comment: Option<&str>) {
        let mut relation = json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to});
        if let Some(comment) = comment {
            relation["comment"] = json!(comment);
        }
        self.0.push(relation);
    }
}

fn root(plan: &Plan, image: &Image) -> Value {
    let mut root = json!({
        "SPDXID": IMAGE,
        "name": plan.name,
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": false,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "summary": format!("{} {}", plan.distribution, plan.release),
    });
    if let Some(version) = &plan.version {
        root["versionInfo"] = json!(version);
    }
    let private: Vec<&str> =
        image.files.iter().filter(|file| file.private).map(|file| file.path.as_str()).collect();
    if !private.is_empty() {
        let names = private.join(" ");
        root["comment"] =
            json!(format!("Files of the description that are private have no digest here: {names}"));
    }
    root
}

fn artifact(name: &str, sha256: &str) -> Value {
    json!({
        "SPDXID": artifact_id(name),
        "name": name,
        "packageFileName": name,
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": false,
        "primaryPackagePurpose": "FILE",
        "checksums": [{"algorithm": "SHA256", "checksumValue": sha256}],
    })
}

fn deb(package: &Package) -> Value {
    let licence = package.licences.as_ref().map_or(NO_ASSERTION, |licences| &licences.expression);
    let supplier = package.maintainer.as_ref().map_or(NO_ASSERTION.to_owned(), |maintainer| {
        let email = maintainer.email.as_ref().map(|email| format!(" ({email})")).unwrap_or_default();
        format!("Organization: {}{email}", maintainer.name)
    });
    let mut deb = json!({
        "SPDXID": package_id(&package.name),
        "name": package.name,
        "versionInfo": package.version,
        "supplier": supplier,
        "downloadLocation": package.location.as_deref().unwrap_or(NO_ASSERTION),
        "filesAnalyzed": false,
        "checksums": [{"algorithm": "SHA256", "checksumValue": package.sha256}],
        "licenseConcluded": NO_ASSERTION,
        "licenseDeclared": licence,
        "copyrightText": NO_ASSERTION,
        "externalRefs": [purl(&package.purl)],
    });
    if !package.summary.is_empty() {
        deb["summary"] = json!(package.summary);
    }
    if let Some(homepage) = &package.homepage {
        deb["homepage"] = json!(homepage);
    }
    deb
}

/// The source package of a package.
fn source(id: &str, package: &Package) -> Value {
    let (name, version) = &package.source;
    let mut source = json!({
        "SPDXID": id,
        "name": name,
        "versionInfo": version,
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": false,
        "primaryPackagePurpose": "SOURCE",
    });
    if let Some(url) = super::purl::source(&package.purl, name, version) {
        source["externalRefs"] = json!([purl(&url)]);
    }
    source
}

fn purl(url: &str) -> Value {
    json!({"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url})
}

fn package_id(name: &str) -> String {
    format!("SPDXRef-Package-{}", part(name))
}

fn artifact_id(name: &str) -> String {
    format!("SPDXRef-Artifact-{}", part(name))
}

/// A part of an id, which has letters, digits, dots and dashes: `libstdc++6` is `libstdc.2B.2B6`.
fn part(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'.' { ".".to_owned() } else { encoded(byte) }).collect()
}

fn encoded(byte: u8) -> String {
    match byte.is_ascii_alphanumeric() || byte == b'-' {
        true => char::from(byte).to_string(),
        false => format!(".{byte:02X}"),
    }
}
