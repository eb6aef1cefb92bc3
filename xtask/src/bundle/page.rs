//! A bundle's page of `inspect`: what `rauc info` prints, and what the bundle is made of.

use bedplate_core::page::Page;
use bedplate_formats::digest::hex;
use serde::Serialize;

use super::Bundle;
use super::manifest::Image;
use crate::certificate::Certificate;
use crate::disk;

/// The facts of a bundle.
#[derive(Debug, Clone, Serialize)]
pub struct Facts {
    /// What it is: `bundle`.
    pub kind: &'static str,
    /// How long it is, in bytes.
    pub size: u64,
    /// What devices it is for.
    pub compatible: String,
    /// The version that it brings.
    pub version: Option<String>,
    /// What it is, for people.
    pub description: Option<String>,
    /// Which build it is of.
    pub build: Option<String>,
    /// Who signed it.
    pub signer: CertificateFacts,
    /// The other certificates in it.
    pub certificates: Vec<CertificateFacts>,
    /// The size of the squashfs, in bytes.
    pub payload: u64,
    /// The size of the hash tree over it, in bytes.
    pub verity_size: u64,
    /// The root hash that was signed, which the payload has.
    pub root_hash: String,
    /// What goes into slots.
    pub images: Vec<ImageFacts>,
    /// All files.
    pub files: Vec<FileFacts>,
}

/// A certificate.
#[derive(Debug, Clone, Serialize)]
pub struct CertificateFacts {
    /// Whom it names.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// From when on it is valid.
    pub not_before: String,
    /// Until when it is.
    pub not_after: String,
}

/// What goes into a slot.
#[derive(Debug, Clone, Serialize)]
pub struct ImageFacts {
    /// The class of the slots.
    pub class: String,
    /// The file.
    pub filename: String,
    /// Its size, in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: String,
    /// How a device may fetch only what it has not.
    pub adaptive: Vec<String>,
}

/// A file of the payload.
#[derive(Debug, Clone, Serialize)]
pub struct FileFacts {
    /// Its name.
    pub name: String,
    /// Its size, in bytes.
    pub size: u64,
}

impl From<&Certificate> for CertificateFacts {
    fn from(certificate: &Certificate) -> Self {
        let [not_before, not_after] = certificate.validity();
        Self { subject: certificate.subject(), issuer: certificate.issuer(), not_before, not_after }
    }
}

impl From<&Image> for ImageFacts {
    fn from(image: &Image) -> Self {
        let Image { class, filename, size, sha256, adaptive } = image.clone();
        Self { class, filename, size, sha256: hex(&sha256), adaptive }
    }
}

impl Bundle {
    /// What there is to tell of it.
    pub fn facts(&self) -> Facts {
        let manifest = &self.manifest;
        let file = |(name, size): &(String, u64)| FileFacts { name: name.clone(), size: *size };
        Facts {
            kind: "bundle",
            size: self.size,
            compatible: manifest.compatible.clone(),
            version: manifest.version.clone(),
            description: manifest.description.clone(),
            build: manifest.build.clone(),
            signer: (&self.signer).into(),
            certificates: self.others.iter().map(CertificateFacts::from).collect(),
            payload: self.payload,
            verity_size: self.verity.size,
            root_hash: hex(&self.verity.hash),
            images: manifest.images.iter().map(ImageFacts::from).collect(),
            files: self.files.iter().map(file).collect(),
        }
    }
}

impl Facts {
    /// The facts as text, no line wider than `width` columns (at least 40).
    pub fn page(&self, name: &str, width: usize) -> String {
        let mut page = Page::new(width);
        page.line(&format!("{name}: an update bundle of {}, {} bytes", disk::size(self.size), self.size));
        page.line("");
        let mut facts = Vec::new();
        let mut fact = |name: &str, value: &str| facts.push(vec![name.to_owned(), value.to_owned()]);
        fact("compatible", &self.compatible);
        for (name, value) in
            [("version", &self.version), ("description", &self.description), ("build", &self.build)]
        {
            if let Some(value) = value {
                fact(name, value);
            }
        }
        fact(
            "payload",
            &format!(
                "{} of squashfs, {} of hash tree",
                disk::size(self.payload),
                disk::size(self.verity_size)
            ),
        );
        fact("root hash", &self.root_hash);
        fact("integrity", "signature and payload are whole");
        page.table(&["", ""], facts.into_iter());
        page.heading("images");
        page.table(
            &["slot class", "file", "size", "adaptive", "SHA-256"],
            self.images.iter().map(|image| {
                let adaptive =
                    if image.adaptive.is_empty() { "-".to_owned() } else { image.adaptive.join(" ") };
                let (class, filename) = (image.class.clone(), image.filename.clone());
                vec![class, filename, image.size.to_string(), adaptive, image.sha256.clone()]
            }),
        );
        page.heading("certificates, the signer's first");
        page.table(
            &["subject", "issuer", "not before", "not after"],
            std::iter::once(&self.signer).chain(&self.certificates).map(|certificate| {
                let CertificateFacts { subject, issuer, not_before, not_after } = certificate.clone();
                vec![subject, issuer, not_before, not_after]
            }),
        );
        page.heading("files");
        page.table(
            &["name", "size"],
            self.files.iter().map(|file| vec![file.name.clone(), file.size.to_string()]),
        );
        page.finish()
    }
}
