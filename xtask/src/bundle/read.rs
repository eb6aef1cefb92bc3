//! A finished bundle, of any origin.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Error, Result, anyhow, ensure};
use bedplate_formats::filesystem::{FileType, Filesystem};
use bedplate_formats::region::Region;
use bedplate_formats::verity::{self, BLOCK, VerityError};

use super::MOST_SIGNATURE;
use super::cms::{self, Signed};
use super::manifest::{BLOCK_INDEX, Manifest, Verity};
use crate::certificate::Certificate;
use crate::paths;

/// The length of the signature's length, in bytes.
const LENGTH: u64 = 8;

/// A bundle whose signature holds.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// How long it is, in bytes.
    pub size: u64,
    /// What was signed.
    pub manifest: Manifest,
    /// The hash tree of the manifest.
    pub verity: Verity,
    /// Who signed it. Whether devices believe that is for their keyring.
    pub signer: Certificate,
    /// The other certificates that are in it.
    pub others: Vec<Certificate>,
    /// The size of the squashfs, in bytes.
    pub payload: u64,
    /// The files by name, with their sizes in bytes.
    pub files: Vec<(String, u64)>,
}

impl Bundle {
    /// Whether a file looks like a bundle: a squashfs, with a signed message at its end. Also true of a file that is
    /// named as one.
    pub fn is(path: &Path) -> bool {
        let signed = || {
            let region = Region::of(File::open(path).ok()?).ok()?;
            let (_, bytes) = signature(&region).ok()?;
            // A SEQUENCE with a length of two bytes, as everything of this size has.
            (region.read(0, 4).ok()? == b"hsqs" && bytes.starts_with(&[0x30, 0x82])).then_some(())
        };
        path.extension().is_some_and(|extension| extension == "raucb") || signed().is_some()
    }

    /// Opens a bundle, and holds all of it against its signature: the manifest by the signer's key, every byte of the
    /// payload by the manifest's root hash.
    ///
    /// # Errors
    /// It cannot be read, is no bundle of the verity format, or is damaged; says what is.
    pub fn open(path: &Path) -> Result<Self> {
        let name = paths::path(path);
        let file = File::open(path).with_context(|| format!("cannot open the bundle `{name}`"))?;
        let open = || -> Result<Self> {
            let region = Region::of(file.try_clone()?)?;
            let bundle = Self::signed(&region)?;
            let (payload, Verity { hash, salt, .. }) = (bundle.payload, &bundle.verity);
            verity::verify_tree(&file, 0..payload, &file, payload, salt, hash).map_err(
                |error| match error {
                    VerityError::Tree { offset } => {
                        anyhow!("its hash tree is damaged at byte {}", payload + offset)
                    }
                    VerityError::Data { offset } => anyhow!("its payload is damaged at byte {offset}"),
                    other => Error::new(other).context("its payload is not the one that was signed"),
                },
            )?;
            bundle.with_files(&region)
        };
        open().with_context(|| format!("invalid bundle `{name}`"))
    }

    /// Reads a bundle and checks the signature; the payload is not held against the root hash.
    ///
    /// # Errors
    /// As [`Bundle::open`].
    pub fn read(region: &Region) -> Result<Self> {
        Self::signed(region)?.with_files(region)
    }

    /// What the signature stands for, without the files.
    fn signed(region: &Region) -> Result<Self> {
        let (end, bytes) = signature(region)?;
        let signed = cms::read(&bytes).context("its signature cannot be used")?;
        let text = std::str::from_utf8(&signed.content).context("its manifest is no text")?;
        let manifest = Manifest::parse(text)?;
        let verity = manifest.verity.context("its manifest has no root hash")?;
        let payload = end.checked_sub(verity.size).filter(|payload| payload.is_multiple_of(BLOCK as u64));
        let payload = payload.filter(|&payload| verity::device_size(payload) == verity.size + BLOCK as u64);
        let payload = payload.with_context(|| {
            format!(
                "{end} bytes are no payload with a hash tree of the {} that its manifest tells",
                verity.size
            )
        })?;
        let Signed { signer, others, .. } = signed;
        Ok(Self { size: region.len(), manifest, verity, signer, others, payload, files: Vec::new() })
    }

    fn with_files(mut self, region: &Region) -> Result<Self> {
        let filesystem =
            Filesystem::open(&region.part(0..self.payload)?).context("its payload cannot be read")?;
        ensure!(filesystem.name() == "squashfs", "its payload is {}, and no squashfs", filesystem.name());
        for (path, metadata) in filesystem.walk().context("its payload cannot be read")? {
            if metadata.kind == FileType::Regular {
                let path = String::from_utf8_lossy(&path).trim_start_matches('/').to_owned();
                self.files.push((path, metadata.size));
            }
        }
        self.check_files()?;
        Ok(self)
    }

    /// The images of the manifest are there, as long as it tells.
    fn check_files(&self) -> Result<()> {
        for image in &self.manifest.images {
            let has = |name: &str, size: u64| {
                let found = self.files.iter().find(|(known, _)| known == name);
                let found =
                    found.map(|(_, size)| *size).with_context(|| format!("its file `{name}` is missing"))?;
                ensure!(found == size, "its file `{name}` has {found} bytes, and not {size}");
                Ok(())
            };
            has(&image.filename, image.size)?;
            if image.adaptive.iter().any(|method| method == BLOCK_INDEX) {
                has(&format!("{}.{BLOCK_INDEX}", image.filename), image.size / BLOCK as u64 * 32)?;
            }
        }
        Ok(())
    }
}

/// Where payload and hash tree end, and the signature behind them.
pub(super) fn signature(region: &Region) -> Result<(u64, Vec<u8>)> {
    let behind = region.len().checked_sub(LENGTH).context("it is too short for a bundle")?;
    let mut length = [0; 8];
    region.read_at(behind, &mut length)?;
    let length = u64::from_be_bytes(length);
    let end = behind.checked_sub(length).filter(|_| (1..=MOST_SIGNATURE).contains(&length));
    let end = end.with_context(|| format!("its last 8 bytes tell of a signature of {length} bytes"))?;
    Ok((end, region.read(end, length)?))
}
