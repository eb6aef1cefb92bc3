//! A unified kernel image: its sections.
//!
//! <https://uapi-group.org/specifications/specs/unified_kernel_image/>

use anyhow::{Context as _, Result};
use bedplate_formats::region::Region;
use bedplate_formats::{authenticode, pe};

use super::inspection::SignatureFacts;
use crate::certificate::Certificate;
use crate::sign::PublicKey;

/// A unified kernel image, open for reading.
#[derive(Debug)]
pub struct Uki {
    what: String,
    region: Region,
    image: pe::Image,
}

impl Uki {
    pub(super) fn read(what: String, region: Region) -> Result<Self> {
        let image = pe::Image::read(&mut region.reader()).with_context(|| format!("reading {what}"))?;
        Ok(Self { what, region, image })
    }

    /// Where it lies, in a sentence.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// How long it is, in bytes.
    pub fn size(&self) -> u64 {
        self.region.len()
    }

    /// Its headers: the sections, the machine, where signatures lie.
    pub fn image(&self) -> &pe::Image {
        &self.image
    }

    /// The sections, in the order of the table.
    pub fn sections(&self) -> &[pe::Section] {
        &self.image.sections
    }

    /// The content of a section, without its padding.
    ///
    /// # Errors
    /// There is no such section; says which there are.
    pub fn section(&self, name: &str) -> Result<Vec<u8>> {
        let section = self.image.section(name).with_context(|| {
            let names: Vec<String> =
                self.sections().iter().map(|section| format!("`{}`", section.name)).collect();
            format!("{} has no section `{name}`; there are {}", self.what, names.join(", "))
        })?;
        pe::Image::content(&mut self.region.reader(), section)
            .with_context(|| format!("reading section `{name}` of {}", self.what))
    }

    /// The kernel's command line.
    ///
    /// # Errors
    /// It has none.
    pub fn command_line(&self) -> Result<String> {
        self.text(".cmdline")
    }

    /// A section that is text, without what ends it.
    ///
    /// # Errors
    /// There is no such section; says which there are.
    pub fn text(&self, name: &str) -> Result<String> {
        let content = self.section(name)?;
        Ok(String::from_utf8_lossy(&content).trim_end_matches(['\0', '\n']).to_owned())
    }

    /// Its signatures.
    ///
    /// # Errors
    /// One is damaged, or of a kind that firmware does not take.
    pub fn signatures(&self) -> Result<Vec<SignatureFacts>> {
        let what = || format!("reading the signatures of {}", self.what);
        let found = authenticode::signatures(&mut self.region.reader()).with_context(what)?;
        let facts = |one: authenticode::Signature| {
            let certificate = Certificate::from_der(&one.certificate)?;
            let signer = certificate.subject();
            let key = PublicKey::new(certificate.public_key(), format!("`{signer}`"))?;
            let holds = one.fits && key.verify(&one.message, &one.signature);
            Ok(SignatureFacts { signer, holds })
        };
        found.into_iter().map(facts).collect::<Result<_>>().with_context(what)
    }

    /// The root hash on the command line, in hexadecimal.
    pub fn root_hash(&self) -> Option<String> {
        let command_line = self.command_line().ok()?;
        command_line.split_whitespace().find_map(|word| word.strip_prefix("roothash=")).map(str::to_owned)
    }
}
